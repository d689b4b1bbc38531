"""Commands that train: ``train`` and ``finetune``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from gnnformd.cli.app import app
from gnnformd.cli.options import UnitsChoice, UnitsOption, shown_units
from gnnformd.cli.show import check_writable, progress, save_json, say, show_note
from gnnformd.errors import InputError

if TYPE_CHECKING:
    from gnnformd.config import Config
    from gnnformd.training.run_log import EpochRecord
    from gnnformd.training.settings import TrainingSettings
    from gnnformd.training.train import AfterBest, TrainedRun
    from gnnformd.units import ShownUnits

__all__: list[str] = []

EVERY_EPOCH = "training.checkpoint_every=1"
"""Of fine-tunings of few frames the best epoch may be any; the presets of the original study keep every sixth."""

ConfigArgument = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of a configuration below.")
]
AutoArgument = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG",
        help="A YAML file; auto, which chooses the settings from the data; or water, argon, seed-water or seed-argon.",
    ),
]
DataArgument = Annotated[list[Path] | None, typer.Argument(metavar="[DATA]...", help="The same as --data.")]
DataOption = Annotated[list[Path] | None, typer.Option(help="Training data instead of data.paths; repeatable.")]
OutOption = Annotated[Path | None, typer.Option(help="Run folder to write; runs/CONFIG if not given.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change one setting; repeatable.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint of the run folder.")]
CheckpointOption = Annotated[Path | None, typer.Option(help="Continue from this checkpoint instead of the last.")]
MinutesOption = Annotated[float | None, typer.Option(help="End after about this many minutes (training.max_minutes).")]


class _WithPresets(TyperCommand):
    """A command whose help lists the configurations that come with the package."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write a line about each."""
        from gnnformd.config import preset_descriptions

        with formatter.section("Configurations by name"):
            formatter.write_dl(list(preset_descriptions().items()))


@app.command(cls=_WithPresets)
def train(
    config: AutoArgument,
    paths: DataArgument = None,
    data: DataOption = None,
    out: OutOption = None,
    changes: SetOption = None,
    resume: ResumeOption = False,
    checkpoint: CheckpointOption = None,
    max_minutes: MinutesOption = None,
    units: UnitsOption = None,
) -> None:
    """Train a network on forces."""
    from gnnformd.automatic.run_name import run_name

    data = [*(paths or []), *(data or [])]
    automatic = config == "auto" and not Path(config).is_file()
    if automatic and not data:
        raise InputError("auto: there are no data to choose settings from; give them with --data.")
    folder = out or Path("runs") / (run_name([str(path) for path in data]) if automatic else Path(config).stem)
    _check_folder(folder, resume or checkpoint is not None)
    settings = _choose(data, max_minutes, changes) if automatic else _load(config, data, max_minutes, changes)
    shown = _shown_units(settings, units)
    from gnnformd.training.train import train as run

    if automatic:
        say(f"All settings will be in {folder / 'config.yaml'}, with which 'gnnformd train' does the same.")
    _say_legend()
    epochs = _Epochs(shown)
    with _tell_what_is_left(folder), progress(f"Training, {folder.name}", "step") as report:
        done = run(
            settings.model,
            settings.data,
            settings.training,
            folder,
            resume=checkpoint or resume,
            listener=epochs,
            progress=report,
            stage=report.stage,
        )
    epochs.say_if_none(done, settings.training)
    _say_where(done, shown)
    _test(done, settings, shown)
    _check_stability(done, settings)


@app.command(cls=_WithPresets)
def finetune(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model file, or name of a shipped model.")],
    config: ConfigArgument,
    data: DataOption = None,
    out: OutOption = None,
    changes: SetOption = None,
    resume: ResumeOption = False,
    checkpoint: CheckpointOption = None,
    max_minutes: MinutesOption = None,
    units: UnitsOption = None,
) -> None:
    """Fine-tune a trained model on other data."""
    from gnnformd.model.files.model_file import read_card

    read_card(model)  # a model that is not there is named before the data are read
    if str(config) == "auto" and not Path(config).exists():
        raise InputError(
            "auto: chooses the settings of a training from scratch, and a fine-tuning has those of its model; give the "
            "config.yaml of the folder that the model was trained in."
        )
    folder = out or Path("runs") / f"{Path(model).stem}-on-{Path(config).stem}"
    _check_folder(folder, resume or checkpoint is not None)
    settings = _load(config, data, max_minutes, [EVERY_EPOCH, *(changes or [])])
    shown = _shown_units(settings, units)
    from gnnformd.training.train import finetune as run

    _say_legend()
    epochs = _Epochs(shown)
    with _tell_what_is_left(folder), progress(f"Training, {folder.name}", "step") as report:
        done = run(
            model,
            settings.model,
            settings.data,
            settings.training,
            folder,
            resume=checkpoint or resume,
            listener=epochs,
            progress=report,
            stage=report.stage,
        )
    epochs.say_if_none(done, settings.training)
    _say_where(done, shown)
    _test(done, settings, shown)
    _check_stability(done, settings)


def _check_folder(folder: Path, resume: bool) -> None:
    """Refuse a folder with a training before anything is read or printed, and print its name.

    Raises
    ------
    InputError
        It contains a training that is not to be resumed.
    """
    from gnnformd.training.run_folder import is_main_process, refuse_to_overwrite

    if is_main_process():
        if not resume:
            refuse_to_overwrite(folder)
        say(f"Run folder: {folder}")


def _choose(data: list[Path], max_minutes: float | None, changes: list[str] | None) -> Config:
    """Choose the settings from the data, and print them with their reasons."""
    say("Reading the data ...")
    from gnnformd.automatic.choose import choose_config

    chosen = choose_config([str(path) for path in data], _overrides(max_minutes, changes))
    say("The data:")
    for fact in chosen.facts:
        say(f"  {fact}")
    say("Settings (--set changes any of them):")
    for choice in chosen.choices:
        say(f"  {choice.key}={_in_yaml(choice.value)}: {choice.reason}")
    return chosen.config


def _in_yaml(value: object) -> str:
    if value is None:
        return "null"
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _overrides(max_minutes: float | None, changes: list[str] | None) -> list[str]:
    return [*([] if max_minutes is None else [f"training.max_minutes={max_minutes}"]), *(changes or [])]


@contextmanager
def _tell_what_is_left(folder: Path) -> Iterator[None]:
    """Note at an interruption (some libraries turn it into SystemExit) what the run folder has."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        if (folder / "checkpoints" / "last.ckpt").is_file():
            error.add_note(f"All files in {folder} are complete; --resume goes on from the last validation.")
        else:
            error.add_note(f"There was no validation yet, so there is no model in {folder}; start again.")
        raise


def _load(source: str, data: list[Path] | None, max_minutes: float | None, changes: list[str] | None) -> Config:
    from gnnformd.config import is_preset, load_config

    options = [f"data.paths={json.dumps([str(path) for path in data])}"] if data else []
    config = load_config(source, [*options, *_overrides(max_minutes, changes)])
    if not config.data.paths:
        raise InputError(f"{source}: data.paths is empty; set it, or give data with --data.")
    return _with_present_targets(config, source, changes or []) if is_preset(source) else config


def _with_present_targets(config: Config, preset: str, changes: list[str]) -> Config:
    """Leave out what a preset learns and the data do not have at all, and name virials that it does not learn."""
    from gnnformd.training.run_folder import is_main_process
    from gnnformd.trajectory.packed.dataset import open_datasets

    training, weights = config.training, {"energies": "energy_weight", "virials": "virial_weight"}
    open_to = {plural: name for plural, name in weights.items() if not _is_set(name, changes)}
    datasets = open_datasets(config.data) if open_to else []
    for plural, name in open_to.items():
        present, learned = any(getattr(dataset, f"has_{plural}") for dataset in datasets), bool(getattr(training, name))
        sentence = None
        if learned and not present:
            sentence = f"The data have no {plural}, so none are learned (preset {preset}, training.{name}: 0)."
            training = training.model_copy(update={name: 0.0})
        elif present and not learned and plural == "virials" and config.model.kind == "density":
            sentence = (
                f"The data have virials, which the preset {preset} does not learn; for simulations at constant "
                "pressure add --set training.virial_weight=auto."
            )
        if sentence is not None and is_main_process():
            say(sentence)
    return config.model_copy(update={"training": training})


def _is_set(name: str, changes: list[str]) -> bool:
    return any(change.partition("=")[0].strip() == f"training.{name}" for change in changes)


def _shown_units(config: Config, choice: UnitsChoice | None) -> ShownUnits:
    from gnnformd.trajectory.packed.dataset import common_units, open_datasets

    return shown_units(choice, "real" if choice else common_units(open_datasets(config.data)))


def _error(record: EpochRecord, units: ShownUnits) -> str:
    l1 = f"L1 {units.force * record.validation_l1_per_atom:.4g} {units.force_unit} per atom"
    rmse, energy = record.validation_rmse, record.validation_energy_rmse_per_atom
    forces = l1 if rmse is None else f"RMSE {units.force * rmse:.4g}, {l1}"
    return forces if energy is None else f"{forces}, energy {units.per_atom * energy:.3g} {units.per_atom_unit}"


def _say_legend() -> None:
    from gnnformd.training.run_folder import is_main_process

    if is_main_process():
        show_note(
            "Errors of the validation forces: RMSE of a component; L1: |dFx| + |dFy| + |dFz|, mean over atoms. "
            "Energy: RMSE per atom, up to a constant. Seconds: of the training, without the compilation of loops."
        )


class _Epochs:
    """Prints a line for each epoch, and one where there was none.

    Parameters
    ----------
    units
        Of the errors.
    """

    def __init__(self, units: ShownUnits) -> None:
        self.units, self.count = units, 0

    def __call__(self, record: EpochRecord) -> None:
        self.count += 1
        say(f"epoch {record.epoch}: {_error(record, self.units)}, {record.seconds:.0f} s")

    def say_if_none(self, run: TrainedRun, settings: TrainingSettings) -> None:
        """Say that a continued training was already complete, and how it can be longer."""
        from gnnformd.training.run_folder import is_main_process

        if self.count or not is_main_process():
            return
        if run.in_vain is not None:
            say("Nothing was left to train.")  # the sentence after this one says why
            return
        limits = {"epochs": settings.epochs, "minutes": settings.max_minutes}
        had = " or ".join(f"{limit:g} {name}" for name, limit in limits.items() if limit is not None)
        say(
            f"Nothing was left to train: the training has had its {had or f'{len(run.records)} epochs'}. "
            "--max-minutes or --set training.epochs make it longer."
        )


def _say_where(run: TrainedRun, units: ShownUnits) -> None:
    from gnnformd.training.run_folder import is_main_process

    if not is_main_process():  # of the processes that share a training, one prints
        return
    say(f"Wrote {run.model}: epoch {run.best.epoch}, {_error(run.best, units)}")
    if run.before is not None:
        say(_before(run.before, run.best, units))
    if run.why_unusable is not None:
        say(run.why_unusable)
    if run.why_inconsistent is not None:
        say(run.why_inconsistent)
    if run.in_vain is not None:
        say(_ended_early(run, *run.in_vain))
    elif run.after_best is not None:
        say(_after_best(run.after_best, units))
    say(f"Next: gnnformd evaluate {run.model} DATA, gnnformd report {run.folder}")


def _before(error: float, best: EpochRecord, units: ShownUnits) -> str:
    """Say how large the error was before a fine-tuning."""
    was = f"Before the fine-tuning it was L1 {units.force * error:.4g} {units.force_unit} per atom"
    if best.validation_l1_per_atom <= error:
        return f"{was}."
    return f"{was}, lower than now: keep that model, train longer, or lower training.learning_rate."


def _ended_early(run: TrainedRun, shorter: int, longer: int) -> str:
    """Say why a training was brought to its end, and what would help."""
    last = run.records[-1]
    return (
        f"Ended after {last.epoch} epochs, {last.seconds:.0f} s: {longer} epochs brought the error of validation "
        f"frames no lower than the {shorter} before them had; more frames would help, more time would not."
    )


def _after_best(later: AfterBest, units: ShownUnits) -> str:
    """Say that the training went on after its best model, and what would help."""
    rose = f"L1 {units.force * later.last_l1_per_atom:.4g} {units.force_unit} per atom"
    if later.overfits:
        what = (
            f"the error of training frames went on falling, and that of validation frames rose to {rose} "
            "(overfitting); more frames would help, more time would not"
        )
    else:
        what = f"the error of validation frames rose to {rose}; a lower training.learning_rate may help"
    return f"The best was after {later.best_seconds:.0f} of {later.seconds:.0f} s: since then {what}."


def _test(run: TrainedRun, settings: Config, units: ShownUnits) -> None:
    """Evaluate the model on the data of ``data.test``, if there are any, and keep the result in the run folder."""
    from gnnformd.training.run_folder import is_main_process

    if not settings.data.test or not is_main_process():
        return
    from gnnformd.cli.evaluation import show_evaluation
    from gnnformd.evaluation.forces.metrics import evaluate
    from gnnformd.model.files.model_file import load_model
    from gnnformd.trajectory.packed.dataset import open_datasets

    data = settings.data.model_copy(update={"paths": settings.data.test, "validation": [], "config_type_weights": {}})
    with progress("Evaluating", "frame") as report:
        result = evaluate(load_model(run.model), open_datasets(data), progress=report)
    show_evaluation(result, units)
    save_json(run.folder / "evaluate-test.json", result.to_dict())


def _check_stability(run: TrainedRun, settings: Config) -> None:
    """Run short simulations with the model and print what they showed; the model file gets it, too."""
    from gnnformd.training.run_folder import is_main_process

    if not settings.training.stability_check or not is_main_process():
        return
    from gnnformd.simulation.stability.check import check_trained

    try:
        with progress("Checking stability", "run") as report:
            found = check_trained(run.model, settings.data, run.records[-1].seconds, progress=report)
    except (KeyboardInterrupt, SystemExit) as error:
        error.add_note(f"The training is complete, and so is {run.model}; its stability was not checked.")
        raise
    say(found.verdict)
    for sentence in found.details:
        say(f"  {sentence}")


@app.command()
def specialize(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="'fluids', or a file of such a model for many liquids.")
    ],
    data: Annotated[
        Path,
        typer.Argument(help="Folder made by 'gnnformd generate', LAMMPS data file with coefficients, or LAMMPS input."),
    ],
    out: Annotated[Path, typer.Option(help="Model file to write.", callback=check_writable)],
    tune: Annotated[
        int | None,
        typer.Option(min=1, metavar="FRAMES", help="Fit its functions to so many frames of the folder, too."),
    ] = None,
) -> None:
    """Make the model of one liquid from a model for many, without training or fine-tuned on a few frames."""
    from gnnformd.model.files.model_file import save_model
    from gnnformd.model.fluids.load import load_for, tune_for

    if tune is None:
        made = load_for(model, data)
    else:
        tuned = tune_for(model, data, tune)
        made = tuned.loaded
        where = f"{tuned.tested} other frames, relative l1" if tuned.tested else "cross-validation, root mean square"
        say(f"Errors of forces ({where}): {tuned.before:.3%} without, {tuned.after:.3%} with {tune} frames")
        if not tuned.better:
            say("No fit to these frames is better than the model without them, so it is kept as it was.")
        elif tuned.after > tuned.before:
            say("The fit is worse on frames it has not seen; use more frames, or the model without --tune.")
    save_model(out, made.model, made.card)
    say(f"Wrote {out}: {', '.join(made.card.type_names)}, cutoff {made.card.cutoff:.3g} angstrom")
