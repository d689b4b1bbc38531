"""Errors of forces by extrapolation grade: how far a model can be trusted where its data end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.inference.training_range import UNUSUAL

__all__ = ["Extrapolation", "ExtrapolationAccumulator", "GradeErrors", "name_of_grades"]

Float = NDArray[np.float64]

LIMITS: tuple[tuple[float | None, float | None], ...] = ((0.0, 1.0), (1.0, UNUSUAL), (UNUSUAL, None), (None, None))
"""Of the parts; the last is of atoms whose grades are not known."""


@dataclass(frozen=True)
class GradeErrors:
    """Errors of the forces on atoms with grades within limits.

    Attributes
    ----------
    above, up_to
        The limits; None where there is none, both for atoms whose grades are not known.
    atoms
        Atoms with known forces, all frames together.
    rmse
        Root mean square error of a component, kcal/mol/angstrom; None where there are no such atoms.
    """

    above: float | None
    up_to: float | None
    atoms: int
    rmse: float | None


def name_of_grades(above: float | None, up_to: float | None) -> str:
    """Words for the limits of `GradeErrors`."""
    if up_to is not None:
        return f"up to {up_to:g}"
    return "not known" if above is None else f"above {above:g}"


@dataclass(frozen=True)
class Extrapolation:
    """How far data are from those a model was trained on.

    Attributes
    ----------
    largest_grade
        Of all atoms (see `gnnformd.model.density.surroundings.Surroundings`).
    frames
        Frames in which an atom has a grade above 2: surroundings like none in training.
    by_grade
        Errors of the forces on atoms with grades up to 1, from there to 2, and above; last, where there are some, on
        those whose grades are not known (of types with too few atoms in training).
    """

    largest_grade: float
    frames: int
    by_grade: tuple[GradeErrors, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers under their names."""
        parts = [dict(vars(part)) for part in self.by_grade]
        return {"largest_grade": self.largest_grade, "frames": self.frames, "by_grade": parts}


class ExtrapolationAccumulator:
    """Collects grades and errors frame by frame."""

    def __init__(self) -> None:
        self._largest, self._frames, self._graded = 0.0, 0, False
        self._atoms = np.zeros(len(LIMITS), np.int64)
        self._squares = np.zeros(len(LIMITS))

    def add(self, grades: Float, predicted: Float, reference: Float | None) -> None:
        """Take a frame.

        Parameters
        ----------
        grades
            (N,).
        predicted, reference
            kcal/mol/angstrom, (N, 3); no reference where it is not known.
        """
        self._graded = True
        largest = float(np.nan_to_num(grades, nan=0.0).max(initial=0.0))
        self._largest = max(self._largest, largest)
        self._frames += largest > UNUSUAL
        if reference is None:
            return
        part = np.where(np.isnan(grades), len(LIMITS) - 1, np.digitize(grades, (1.0, UNUSUAL), right=True))
        squares = np.square(predicted - reference).sum(axis=1)
        self._atoms += np.bincount(part, minlength=len(self._atoms))
        self._squares += np.bincount(part, weights=squares, minlength=len(self._atoms))

    def result(self) -> Extrapolation | None:
        """Summarize; None where no grades are known."""
        if not self._graded:
            return None
        parts = [
            GradeErrors(*between, int(atoms), float(np.sqrt(squares / (3 * atoms))) if atoms else None)
            for between, atoms, squares in zip(LIMITS, self._atoms, self._squares, strict=True)
        ]
        return Extrapolation(self._largest, self._frames, tuple(parts if self._atoms[-1] else parts[:-1]))
