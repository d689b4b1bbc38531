"""Commands that train: ``train`` and ``finetune``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gnnformd.cli.app import app
from gnnformd.cli.show import progress, say
from gnnformd.errors import InputError

if TYPE_CHECKING:
    from gnnformd.config import Config
    from gnnformd.training.run_log import EpochRecord
    from gnnformd.training.train import TrainedRun

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
) -> None:
    """Train a network on forces."""
    settings = _load(config, data, max_minutes, changes)
    from gnnformd.training.train import train as run

    folder = out or Path("runs") / Path(config).stem
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


def _load(source: str, data: list[Path] | None, max_minutes: float | None, changes: list[str] | None) -> Config:
    from gnnformd.config import load_config

    options = [] if max_minutes is None else [f"training.max_minutes={max_minutes}"]
    if data:
        options.append(f"data.paths={json.dumps([str(path) for path in data])}")
    config = load_config(source, [*options, *(changes or [])])
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


@app.command()
def specialize(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="'fluids', or a file of such a model for many liquids.")
    ],
    data: Annotated[Path, typer.Argument(help="Folder made by 'gnnformd generate', with the force field of a liquid.")],
    out: Annotated[Path, typer.Option(help="Model file to write.")],
) -> None:
    """Make the model of one liquid from a model for many, without training."""
    from gnnformd.model.files.model_file import save_model
    from gnnformd.model.fluids.load import load_for

    made = load_for(model, data)
    save_model(out, made.model, made.card)
    say(f"Wrote {out}: {', '.join(made.card.type_names)}, cutoff {made.card.cutoff:.3g} angstrom")
