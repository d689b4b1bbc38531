"""Commands that train: ``train`` and ``finetune``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gnnformd.cli.app import app
from gnnformd.cli.options import UnitsChoice, UnitsOption, shown_units
from gnnformd.cli.show import progress, say
from gnnformd.errors import InputError

if TYPE_CHECKING:
    from gnnformd.config import Config
    from gnnformd.training.run_log import EpochRecord
    from gnnformd.training.train import TrainedRun
    from gnnformd.units import ShownUnits

__all__: list[str] = []

ConfigArgument = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A YAML file, or water, argon, seed-water or seed-argon.")
]
DataOption = Annotated[list[Path] | None, typer.Option(help="Training data instead of data.paths; repeatable.")]
OutOption = Annotated[Path | None, typer.Option(help="Run folder to write; runs/CONFIG if not given.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change one setting; repeatable.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint of the run folder.")]
CheckpointOption = Annotated[Path | None, typer.Option(help="Continue from this checkpoint instead of the last.")]
MinutesOption = Annotated[float | None, typer.Option(help="End after about this many minutes (training.max_minutes).")]


@app.command()
def train(
    config: ConfigArgument,
    data: DataOption = None,
    out: OutOption = None,
    changes: SetOption = None,
    resume: ResumeOption = False,
    checkpoint: CheckpointOption = None,
    max_minutes: MinutesOption = None,
    units: UnitsOption = None,
) -> None:
    """Train a network on forces."""
    settings = _load(config, data, max_minutes, changes)
    shown = _shown_units(settings, units)
    from gnnformd.training.train import train as run

    folder = out or Path("runs") / Path(config).stem
    with progress(f"Training, {folder.name}") as report:
        done = run(
            settings.model,
            settings.data,
            settings.training,
            folder,
            resume=checkpoint or resume,
            listener=lambda record: _say_epoch(record, shown),
            progress=report,
        )
    _say_where(done, shown)


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
    units: UnitsOption = None,
) -> None:
    """Fine-tune a trained model on other data."""
    from gnnformd.model.files.model_file import read_card

    read_card(model)  # a model that is not there is named before the data are read
    settings = _load(config, data, max_minutes, changes)
    shown = _shown_units(settings, units)
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
            listener=lambda record: _say_epoch(record, shown),
            progress=report,
        )
    _say_where(done, shown)


def _load(source: str, data: list[Path] | None, max_minutes: float | None, changes: list[str] | None) -> Config:
    from gnnformd.config import is_preset, load_config

    options = [] if max_minutes is None else [f"training.max_minutes={max_minutes}"]
    if data:
        options.append(f"data.paths={json.dumps([str(path) for path in data])}")
    config = load_config(source, [*options, *(changes or [])])
    if not config.data.paths:
        raise InputError(f"{source}: data.paths is empty; set it, or give data with --data.")
    return _without_absent_targets(config, source, changes or []) if is_preset(source) else config


def _without_absent_targets(config: Config, preset: str, changes: list[str]) -> Config:
    """Leave out energies and virials that a preset learns and the data do not have at all."""
    from gnnformd.training.run_folder import is_main_process
    from gnnformd.trajectory.packed.dataset import open_datasets

    training, weights = config.training, {"energies": "energy_weight", "virials": "virial_weight"}
    asked = [name for name in weights.values() if getattr(training, name) and not _is_set(name, changes)]
    datasets = open_datasets(config.data) if asked else []
    for plural, name in weights.items():
        if name in asked and not any(getattr(dataset, f"has_{plural}") for dataset in datasets):
            if is_main_process():
                say(f"The data have no {plural}, so none are learned (preset {preset}, training.{name}: 0).")
            training = training.model_copy(update={name: 0.0})
    return config.model_copy(update={"training": training})


def _is_set(name: str, changes: list[str]) -> bool:
    return any(change.partition("=")[0].strip() == f"training.{name}" for change in changes)


def _shown_units(config: Config, choice: UnitsChoice | None) -> ShownUnits:
    from gnnformd.trajectory.packed.dataset import common_units, open_datasets

    return shown_units(choice, "real" if choice else common_units(open_datasets(config.data)))


def _error(record: EpochRecord, units: ShownUnits) -> str:
    return f"{units.force * record.validation_l1_per_atom:.4g} {units.force_unit} per atom"


def _say_epoch(record: EpochRecord, units: ShownUnits) -> None:
    say(
        f"epoch {record.epoch}: validation {_error(record, units)}, "
        f"loss {record.validation_loss:.6g} (training {record.train_loss:.6g}), {record.seconds:.0f} s"
    )


def _say_where(run: TrainedRun, units: ShownUnits) -> None:
    from gnnformd.training.run_folder import is_main_process

    if not is_main_process():  # of the processes that share a training, one prints
        return
    say(f"Wrote {run.model}: epoch {run.best.epoch}, {_error(run.best, units)}")
    say(f"Next: gnnformd evaluate {run.model} DATA, gnnformd report {run.folder}")
