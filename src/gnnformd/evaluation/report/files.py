"""The files of a report: every known kind of result in a folder and its subfolders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gnnformd.errors import InputError
from gnnformd.evaluation.report.history import ORIGINAL_ATOMS, History, read_history
from gnnformd.evaluation.results import CurvesResult, EvaluationResult, SimulationResult
from gnnformd.yaml_files import read_mapping

if TYPE_CHECKING:
    from gnnformd.model.files.model_card import ModelCard
    from gnnformd.model.files.stability import StabilityCheck

__all__ = [
    "Reference",
    "Result",
    "ResultFolder",
    "TrainingRun",
    "read_folder",
    "short_name",
    "simulation_name",
    "units_of",
]

DEPTH = 4
Content = TypeVar("Content", EvaluationResult, CurvesResult, SimulationResult)

IMAGES = (".png", ".svg")
RUN_FILES = ("metrics.csv", "training_log.txt")


@dataclass(frozen=True)
class TrainingRun:
    """A run folder.

    Attributes
    ----------
    name, path
        Its name, and its path relative to the folder of the report.
    history
        Errors by epoch.
    config_text
        ``config.yaml``, '' without one.
    model_kind
        The kind of the network, '' where it is not known.
    finetuned
        Whether the model file lists an earlier training.
    loss_of_validation
        Whether training and validation loss are the same quantity, the sum of the absolute errors of a frame.
    stability
        What short simulations after the training showed, as the model file has it; None where there were none.
    problems
        Why the model is of no use, and what contradicts itself in its data.
    """

    name: str
    path: str
    history: History
    config_text: str
    model_kind: str
    finetuned: bool
    loss_of_validation: bool = True
    stability: StabilityCheck | None = None
    problems: tuple[str, ...] = ()

    @property
    def original(self) -> bool:
        """Whether it is the network of the original study on a system as large as that of its log."""
        return self.model_kind in ("gamd", "seed") and abs(self.history.atoms - ORIGINAL_ATOMS) < 1


@dataclass(frozen=True)
class Reference:
    """A ReferenceRun folder: its name, its path relative to the report's, and the mapping of ``reference.yaml``."""

    name: str
    path: str
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class Result(Generic[Content]):
    """A JSON file that a command wrote.

    Attributes
    ----------
    path
        The file.
    content
        What it holds.
    """

    path: Path
    content: Content


@dataclass(frozen=True)
class ResultFolder:
    """Everything found, in the order of the paths."""

    folder: Path
    runs: tuple[TrainingRun, ...]
    references: tuple[Reference, ...]
    evaluations: tuple[Result[EvaluationResult], ...]
    curves: tuple[Result[CurvesResult], ...]
    simulations: tuple[Result[SimulationResult], ...]
    steps: Mapping[str, Any]
    images: tuple[Path, ...]


def read_folder(folder: Path) -> ResultFolder:
    """Read all results in a folder.

    Parameters
    ----------
    folder
        A run folder, or a folder with several and with JSON files beside them; nothing outside it is read.

    Raises
    ------
    InputError
        There is no such folder, it holds no result, or a file in it is damaged.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; give a run folder or a folder with results.")
    files = sorted(_files(folder, DEPTH), key=lambda f: (f.parent, f.stem, f.suffix))
    references = [f for f in files if f.name == "reference.yaml"]
    found = ResultFolder(
        folder=folder,
        runs=tuple(r for f in sorted({f.parent for f in files if f.name in RUN_FILES}) if (r := _run(f, folder))),
        references=tuple(Reference(_label(f.parent), _relative(f.parent, folder), read_mapping(f)) for f in references),
        evaluations=_results(files, EvaluationResult),
        curves=_results(files, CurvesResult),
        simulations=_results(files, SimulationResult),
        steps=next((_json(f) for f in files if f.name == "demo.json"), {}),
        images=tuple(f for f in files if f.parent.name == "figures" and f.suffix in IMAGES),
    )
    if not any((found.runs, found.references, found.evaluations, found.curves, found.simulations)):
        raise InputError(
            f"{folder}: contains no run and no result to report; give a folder made by 'gnnformd train', or one where "
            "evaluate, curves or simulate have written JSON files."
        )
    return found


def units_of(found: ResultFolder) -> str:
    """Find the unit style of the data: of models, else of results or reference runs; ``real`` where they differ."""
    from gnnformd.model.files.model_file import read_card

    models = [found.folder / run.path / "model.safetensors" for run in found.runs]
    styles = {read_card(path).shown_units for path in models if path.is_file()}
    styles = styles or {r.content.shown_units for r in found.evaluations}
    styles = styles or {r.content.shown_units for r in found.simulations}
    styles = styles or {str(reference.manifest.get("units", "real")) for reference in found.references}
    return styles.pop() if len(styles) == 1 else "real"


def simulation_name(path: Path, folder: Path) -> str:
    """Name a simulation by its folder, and by its file where that is not ``simulate.json``.

    >>> simulation_name(Path("runs/a/md300/simulate.json"), Path("runs/a"))
    'md300'
    >>> simulation_name(Path("demo/simulate-water.json"), Path("demo"))
    'simulate-water'

    Parameters
    ----------
    path
        The JSON file.
    folder
        That of the report.
    """
    place = path.parent if path.stem == "simulate" else path.with_suffix("")
    return _label(folder) if place == folder else _relative(place, folder)


def short_name(path: str) -> str:
    """Name of a model or dataset for tables: that of the folder where the file name is always the same.

    >>> short_name("runs/water/model.safetensors"), short_name("argon.safetensors"), short_name("data/argon/")
    ('water', 'argon', 'argon')
    """
    parts = Path(path)
    general = parts.name in ("model.safetensors", "trajectory.dump", "reference.yaml") and parts.parent.name
    return parts.parent.name if general else parts.name.removesuffix(".safetensors")


def _files(folder: Path, depth: int) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_file():
            yield entry
        elif entry.is_dir() and depth > 1:
            yield from _files(entry, depth - 1)


def _label(folder: Path) -> str:
    return folder.resolve().name


def _relative(folder: Path, top: Path) -> str:
    return folder.relative_to(top).as_posix()


def _run(folder: Path, top: Path) -> TrainingRun | None:
    history = read_history(folder)
    if history is None:
        return None
    path = folder / "config.yaml"
    config = read_mapping(path) if path.is_file() else {}
    model = config.get("model")
    kind = str(model.get("kind", "")) if isinstance(model, Mapping) else ""
    text = path.read_text(encoding="utf-8") if config else ""
    training = config.get("training")
    settings: Mapping[str, Any] = training if isinstance(training, Mapping) else {}
    forces_alone = not settings.get("energy_weight") and not settings.get("virial_weight")
    card = _card(folder / "model.safetensors")
    told = [card.why_unusable, card.why_inconsistent] if card is not None else []
    told = told if any(told) else [history.why_unusable, history.why_inconsistent]
    return TrainingRun(
        _label(folder),
        _relative(folder, top),
        history,
        text,
        kind,
        card is not None and len(card.trained_on) > 1,
        settings.get("loss", "l1") == "l1" and forces_alone,
        None if card is None else card.stability,
        tuple(text for text in told if text is not None),
    )


def _card(path: Path) -> ModelCard | None:
    from gnnformd.model.files.model_file import read_card

    return read_card(path) if path.is_file() else None


def _results(files: list[Path], kind: type[Content]) -> tuple[Result[Content], ...]:
    """Read the JSON files of one command; of equal files the first is taken."""
    known: list[Mapping[str, Any]] = []
    found = []
    for path in files:
        if path.suffix == ".json" and path.name.startswith(kind.command):
            data = _json(path)
            if data not in known:
                known.append(data)
                found.append(Result(path, kind.from_dict(data, str(path))))
    return tuple(found)


def _json(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is not whole JSON ({error}); write it again or remove it.") from error
    if not isinstance(data, Mapping):
        raise InputError(f"{path}: is not a mapping; write it again or remove it.")
    return data
