"""Commands that train: ``train`` and ``finetune``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gnnformd.cli.app import app
from gnnformd.cli.show import progress, save_json, say
from gnnformd.errors import InputError

if TYPE_CHECKING:
    from gnnformd.config import Config
    from gnnformd.training.run_log import EpochRecord
    from gnnformd.training.train import TrainedRun

__all__: list[str] = []

ConfigArgument = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A YAML file, or water, argon, seed-water or seed-argon.")
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


@app.command()
def train(
    config: AutoArgument,
    paths: DataArgument = None,
    data: DataOption = None,
    out: OutOption = None,
    changes: SetOption = None,
    resume: ResumeOption = False,
    checkpoint: CheckpointOption = None,
    max_minutes: MinutesOption = None,
) -> None:
    """Train a network on forces."""
    data = [*(paths or []), *(data or [])]
    automatic = config == "auto" and not Path(config).is_file()
    if automatic:
        settings, name = _choose(data, max_minutes, changes)
    else:
        settings, name = _load(config, data, max_minutes, changes), Path(config).stem
    from gnnformd.training.train import train as run

    folder = out or Path("runs") / name
    if automatic:
        say(f"All settings will be in {folder / 'config.yaml'}, with which 'gnnformd train' does the same.")
    with progress(f"Training, {folder.name}") as report:
        done = run(
            settings.model,
            settings.data,
            settings.training,
            folder,
            resume=checkpoint or resume,
            listener=_say_epoch,
            progress=report,
        )
    _say_where(done)
    _test(done, settings)


@app.command()
def finetune(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model file, or name of a shipped model.")],
    config: ConfigArgument,
    data: DataOption = None,
    out: OutOption = None,
    changes: SetOption = None,
    resume: ResumeOption = False,
    checkpoint: CheckpointOption = None,
    max_minutes: MinutesOption = None,
) -> None:
    """Fine-tune a trained model on other data."""
    settings = _load(config, data, max_minutes, changes)
    from gnnformd.training.train import finetune as run

    folder = out or Path("runs") / f"{Path(model).stem}-on-{Path(config).stem}"
    with progress(f"Training, {folder.name}") as report:
        done = run(
            model,
            settings.model,
            settings.data,
            settings.training,
            folder,
            resume=checkpoint or resume,
            listener=_say_epoch,
            progress=report,
        )
    _say_where(done)
    _test(done, settings)


def _choose(data: list[Path], max_minutes: float | None, changes: list[str] | None) -> tuple[Config, str]:
    """Choose the settings, and the name of the run, from the data, and print the settings with their reasons."""
    if not data:
        raise InputError("auto: there are no data to choose settings from; give them with --data.")
    from gnnformd.automatic.choose import choose_config

    chosen = choose_config([str(path) for path in data], _overrides(max_minutes, changes))
    say("The data:")
    for fact in chosen.facts:
        say(f"  {fact}")
    say("Settings (--set changes any of them):")
    for choice in chosen.choices:
        say(f"  {choice.key}={_in_yaml(choice.value)}: {choice.reason}")
    return chosen.config, chosen.name


def _in_yaml(value: object) -> str:
    if value is None:
        return "null"
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _overrides(max_minutes: float | None, changes: list[str] | None) -> list[str]:
    return [*([] if max_minutes is None else [f"training.max_minutes={max_minutes}"]), *(changes or [])]


def _load(source: str, data: list[Path] | None, max_minutes: float | None, changes: list[str] | None) -> Config:
    from gnnformd.config import load_config

    options = [f"data.paths={json.dumps([str(path) for path in data])}"] if data else []
    config = load_config(source, [*options, *_overrides(max_minutes, changes)])
    if not config.data.paths:
        raise InputError(f"{source}: data.paths is empty; set it, or give data with --data.")
    return config


def _say_epoch(record: EpochRecord) -> None:
    say(
        f"epoch {record.epoch}: validation {record.validation_l1_per_atom:.4g} kcal/mol/angstrom per atom, "
        f"loss {record.validation_loss:.6g} (training {record.train_loss:.6g}), {record.seconds:.0f} s"
    )


def _say_where(run: TrainedRun) -> None:
    from gnnformd.training.run_folder import is_main_process

    if not is_main_process():  # of the processes that share a training, one prints
        return
    say(f"Wrote {run.model}: epoch {run.best.epoch}, {run.best.validation_l1_per_atom:.4g} kcal/mol/angstrom per atom")
    say(f"Next: gnnformd evaluate {run.model} DATA, gnnformd report {run.folder}")


def _test(run: TrainedRun, settings: Config) -> None:
    """Evaluate the model on the data of ``data.test``, if there are any, and keep the result in the run folder."""
    from gnnformd.training.run_folder import is_main_process

    if not settings.data.test or not is_main_process():
        return
    from gnnformd.cli.evaluation import show_evaluation
    from gnnformd.evaluation.forces.metrics import evaluate
    from gnnformd.model.files.model_file import load_model
    from gnnformd.trajectory.packed.dataset import open_datasets

    data = settings.data.model_copy(update={"paths": settings.data.test, "validation": []})
    with progress("Evaluating") as report:
        result = evaluate(load_model(run.model), open_datasets(data), progress=report)
    show_evaluation(result)
    save_json(run.folder / "evaluate-test.json", result.to_dict())
