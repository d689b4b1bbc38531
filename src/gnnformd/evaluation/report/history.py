"""History: the errors of a training by epoch, from the files of a run folder."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gnnformd.errors import InputError
from gnnformd.model.files.usability import why_inconsistent, why_unusable

__all__ = ["ORIGINAL_ATOMS", "ORIGINAL_LOG", "History", "read_history", "read_metrics", "read_training_log"]

COLUMNS = ("epoch", "train_loss", "validation_loss", "learning_rate")
EPOCH_LINE = re.compile(
    r"Epoch:\s*(\d+), Train Loss:\s*(\S+), (?:Test|Validation) Loss:\s*(\S+), LR:\s*([\d.eE+-]+)\*10\^\((-?\d+)\)"
)
AXES_LINE = re.compile(r"Losses: x:\s*(\S+), y:\s*(\S+), z:\s*(\S+)")

ORIGINAL_ATOMS = 648
ORIGINAL_LOG: Mapping[str, tuple[float, ...]] = {
    "epoch": (1, 2, 3, 4),
    "validation_loss": (16993.3735, 6105.3166, 4500.1855, 3926.5310),
}
"""The log printed on the original slide: 216 waters, sum of absolute errors per frame, kcal/mol/angstrom."""


@dataclass(frozen=True)
class History:
    """Errors and learning rate by epoch; a number that is not in the file is NaN.

    Attributes
    ----------
    path
        The file they were read from.
    epoch
        Numbered from 1.
    train_loss, validation_loss
        As the loss was logged: the sum of absolute errors per frame, kcal/mol/angstrom (with a penalty on top while the
        training warms up).
    validation_l1_per_atom
        ``|dFx| + |dFy| + |dFz|``, mean over atoms, kcal/mol/angstrom.
    train_l1_per_atom
        The same of the training frames, while the weights change.
    validation_rmse
        Root mean square error of a component of a force, kcal/mol/angstrom.
    validation_score
        What the epoch of the model was chosen by: the loss, or the loss and the error of the energy.
    validation_mean_force
        ``|Fx| + |Fy| + |Fz|`` of the validation data, mean over atoms, kcal/mol/angstrom.
    shares
        ``train_energy_share`` and ``train_virial_share``, by ``energy`` and ``virial``.
    per_axis
        Share of `validation_loss` along x, y and z.
    learning_rate, seconds
        The latter is wall time.
    """

    path: Path
    epoch: tuple[int, ...]
    train_loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    validation_l1_per_atom: tuple[float, ...]
    train_l1_per_atom: tuple[float, ...]
    validation_rmse: tuple[float, ...]
    validation_score: tuple[float, ...]
    validation_mean_force: tuple[float, ...]
    shares: Mapping[str, tuple[float, ...]]
    per_axis: Mapping[str, tuple[float, ...]]
    learning_rate: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def best(self) -> int:
        """Index of the epoch that the model is of: that with the smallest score, or loss where there are none."""
        scores = self.validation_loss if all(map(math.isnan, self.validation_score)) else self.validation_score
        known = [math.inf if math.isnan(v) else v for v in scores]
        return known.index(min(known))

    @property
    def why_unusable(self) -> str | None:
        """See `gnnformd.model.files.usability.why_unusable`."""
        return why_unusable(
            *self._of_best(self.validation_l1_per_atom, self.validation_mean_force, self.train_l1_per_atom)
        )

    @property
    def why_inconsistent(self) -> str | None:
        """See `gnnformd.model.files.usability.why_inconsistent`."""
        of_forces = self._of_best(self.validation_l1_per_atom, self.validation_mean_force, self.train_l1_per_atom)
        error, force, training = of_forces
        energy, virial = self._of_best(self.shares["energy"], self.shares["virial"])
        return why_inconsistent(error, force, training, energy, virial)

    def _of_best(self, *columns: tuple[float, ...]) -> list[float | None]:
        """Values at the best epoch, None for those that are not known."""
        return [None if math.isnan(values[self.best]) else values[self.best] for values in columns]

    @property
    def atoms(self) -> float:
        """Atoms per frame that the two kinds of validation error imply; NaN if one is missing."""
        loss, per_atom = self.validation_loss[self.best], self.validation_l1_per_atom[self.best]
        return loss / per_atom if per_atom > 0 else math.nan


def read_history(folder: Path) -> History | None:
    """Read ``metrics.csv`` of a run folder, or else ``training_log.txt``; None if there is neither or no epoch yet.

    Raises
    ------
    InputError
        A file exists but cannot be parsed.
    """
    for name, read in (("metrics.csv", read_metrics), ("training_log.txt", read_training_log)):
        if (folder / name).is_file():
            return read(folder / name)
    return None


def read_metrics(path: Path) -> History | None:
    """Read ``metrics.csv``: one row per epoch, columns by name.

    Raises
    ------
    InputError
        A required column is missing, or an entry is not a number.
    """
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); train again or remove it.") from error
    if not rows:
        return None
    missing = [name for name in COLUMNS if name not in rows[0]]
    if missing:
        raise InputError(f"{path}: has no column '{missing[0]}'; train again or remove it.")

    def column(name: str) -> tuple[float, ...]:
        return tuple(_number(path, k, name, row.get(name)) for k, row in enumerate(rows, start=2))

    return History(
        path=path,
        epoch=tuple(int(e) for e in column("epoch")),
        train_loss=column("train_loss"),
        validation_loss=column("validation_loss"),
        validation_l1_per_atom=column("validation_l1_per_atom"),
        train_l1_per_atom=column("train_l1_per_atom"),
        validation_rmse=column("validation_rmse"),
        validation_score=column("validation_score"),
        validation_mean_force=column("validation_mean_force"),
        shares={name: column(f"train_{name}_share") for name in ("energy", "virial")},
        per_axis={axis: column(f"validation_{axis}") for axis in "xyz"},
        learning_rate=column("learning_rate"),
        seconds=column("seconds"),
    )


def read_training_log(path: Path) -> History | None:
    """Read a log in the original format: a line of losses and a line of their parts along x, y and z per epoch.

    Raises
    ------
    InputError
        The file cannot be read, or holds text but no epoch in the original format.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); train again or remove it.") from error
    epochs = EPOCH_LINE.findall(text)
    if not epochs:
        if text.strip():
            raise InputError(f"{path}: holds no line 'Epoch: 01, Train Loss: ...'; train again or remove it.")
        return None
    axes = AXES_LINE.findall(text)[: len(epochs)]
    axes += [("nan", "nan", "nan")] * (len(epochs) - len(axes))
    nothing = (math.nan,) * len(epochs)
    return History(
        path=path,
        epoch=tuple(int(e[0]) for e in epochs),
        train_loss=_floats(path, [e[1] for e in epochs]),
        validation_loss=_floats(path, [e[2] for e in epochs]),
        validation_l1_per_atom=nothing,
        train_l1_per_atom=nothing,
        validation_rmse=nothing,
        validation_score=nothing,
        validation_mean_force=nothing,
        shares={"energy": nothing, "virial": nothing},
        per_axis={axis: _floats(path, [a[k] for a in axes]) for k, axis in enumerate("xyz")},
        learning_rate=_floats(path, [f"{e[3]}e{e[4]}" for e in epochs]),
        seconds=nothing,
    )


def _floats(path: Path, texts: Sequence[str]) -> tuple[float, ...]:
    try:
        return tuple(float(t) for t in texts)
    except ValueError as error:
        raise InputError(f"{path}: a loss is not a number ({error}); train again or remove it.") from error


def _number(path: Path, line: int, name: str, text: str | None) -> float:
    if text is None or not text.strip():
        return math.nan
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{path}, line {line}: '{text}' in column '{name}' is not a number; correct it.") from error
