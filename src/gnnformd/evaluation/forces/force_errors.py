"""Error metrics of predicted forces, from arrays, accumulated so that memory does not grow with the frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["AxisErrors", "ForceErrorAccumulator", "ForceMetrics", "ForceSamples", "TypeMetrics", "force_metrics"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class AxisErrors:
    """Mean absolute error along each axis, kcal/mol/angstrom."""

    x: float
    y: float
    z: float


@dataclass(frozen=True)
class TypeMetrics:
    """Errors over the atoms of one type (or of all types, see `ForceMetrics`).

    With ``d = predicted - reference`` (N, 3) and the reference forces ``F`` (N, 3):

    Attributes
    ----------
    atoms
        Number of atoms, summed over frames.
    mae
        Mean of ``|d|`` over components, kcal/mol/angstrom.
    rmse
        Root of the mean of ``d**2`` over components, kcal/mol/angstrom.
    l1_per_atom
        Mean over atoms of ``|dx| + |dy| + |dz|``, kcal/mol/angstrom; three times `mae`.
    relative_l1
        ``sum |d| / sum |F|`` over components; infinite where the reference vanishes and the error does not.
    relative_norm
        `l1_per_atom` over the mean length ``||F||`` of the reference force.
    per_axis
        `mae` along x, y and z.
    """

    atoms: int
    mae: float
    rmse: float
    l1_per_atom: float
    relative_l1: float
    relative_norm: float
    per_axis: AxisErrors

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers under their names."""
        numbers = {k: getattr(self, k) for k in ("mae", "rmse", "l1_per_atom", "relative_l1", "relative_norm")}
        return {**numbers, "per_axis": dict(vars(self.per_axis))}


@dataclass(frozen=True)
class ForceMetrics(TypeMetrics):
    """Errors over all atoms, and over each type.

    Attributes
    ----------
    per_type
        The same numbers for the atoms of each type, by name; a type without atoms is absent.
    """

    per_type: dict[str, TypeMetrics]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers under their names, those of each type under ``per_type``."""
        return {**super().to_dict(), "per_type": {name: m.to_dict() for name, m in self.per_type.items()}}


@dataclass(frozen=True)
class ForceSamples:
    """A uniform random sample of atoms with their forces, for a parity plot.

    Attributes
    ----------
    reference, predicted
        kcal/mol/angstrom, (M, 3).
    types
        LAMMPS atom types, from 1, (M,).
    """

    reference: Float
    predicted: Float
    types: Int

    def to_dict(self, limit: int) -> dict[str, Any]:
        """At most ``limit`` components as rows of x, y, z, rounded to 1e-4 kcal/mol/angstrom."""
        rows = slice(0, limit // 3)
        return {
            "reference": self.reference[rows].round(4).tolist(),
            "predicted": self.predicted[rows].round(4).tolist(),
        }


class ForceErrorAccumulator:
    """Sums of errors over any number of frames.

    Parameters
    ----------
    type_names
        ``type_names[t - 1]`` names LAMMPS's atom type ``t``.
    sample_atoms
        Atoms kept for `samples`: each atom draws a random key and those with the smallest keys stay, so that
        every atom seen has the same chance.
    seed
        Seed of these keys.

    Examples
    --------
    >>> errors = ForceErrorAccumulator(("O", "H"))
    >>> errors.add([[1.0, 0.0, 0.0]], [[0.0, 0.0, 2.0]], [2])
    >>> errors.metrics().l1_per_atom
    3.0
    >>> list(errors.metrics().per_type)
    ['H']
    """

    def __init__(self, type_names: Sequence[str], *, sample_atoms: int = 0, seed: int = 0) -> None:
        self._names = tuple(type_names)
        count = len(self._names)
        self._atoms = np.zeros(count, dtype=np.int64)
        self._absolute = np.zeros((count, 3))  # sum |d|
        self._squared = np.zeros(count)  # sum d^2
        self._reference = np.zeros(count)  # sum |F|
        self._norm = np.zeros(count)  # sum ||F||
        self._limit = sample_atoms
        self._generator = np.random.default_rng(seed)
        self._keys = np.zeros(0)
        self._samples = ForceSamples(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, dtype=np.int64))

    def add(self, predicted: Any, reference: Any, types: Any) -> None:
        """Count the atoms of one or more frames.

        Parameters
        ----------
        predicted, reference
            kcal/mol/angstrom, (N, 3).
        types
            LAMMPS atom types, from 1, (N,).

        Raises
        ------
        ValueError
            The shapes do not agree, or a type has no name.
        """
        predicted, reference = np.asarray(predicted, dtype=np.float64), np.asarray(reference, dtype=np.float64)
        types = np.asarray(types, dtype=np.int64)
        if predicted.shape != reference.shape or predicted.shape != (len(types), 3):
            raise ValueError(f"shapes disagree: {predicted.shape}, {reference.shape}, {types.shape}")
        if len(types) and not (types.min() >= 1 and types.max() <= len(self._names)):
            raise ValueError(f"types must lie in 1..{len(self._names)}")
        difference = predicted - reference  # (N, 3)
        for index in np.unique(types) - 1:
            rows = types == index + 1
            self._atoms[index] += rows.sum()
            self._absolute[index] += np.abs(difference[rows]).sum(axis=0)
            self._squared[index] += (difference[rows] ** 2).sum()
            self._reference[index] += np.abs(reference[rows]).sum()
            self._norm[index] += np.linalg.norm(reference[rows], axis=1).sum()
        if self._limit:
            self._sample(predicted, reference, types)

    def metrics(self) -> ForceMetrics:
        """Return the errors over everything counted so far.

        Raises
        ------
        ValueError
            Nothing has been counted.
        """
        everything = self._of(slice(None))
        present = np.flatnonzero(self._atoms)
        per_type = {self._names[i]: self._of(slice(i, i + 1)) for i in present}
        return ForceMetrics(**vars(everything), per_type=per_type)

    def samples(self) -> ForceSamples:
        """Return the random sample of atoms, in random order."""
        return self._samples

    def _of(self, types: slice) -> TypeMetrics:
        atoms = int(self._atoms[types].sum())
        if atoms == 0:
            raise ValueError("no atoms were counted")
        axes = self._absolute[types].sum(axis=0) / atoms  # (3,)
        l1 = float(axes.sum())
        return TypeMetrics(
            atoms=atoms,
            mae=l1 / 3,
            rmse=float(np.sqrt(self._squared[types].sum() / (3 * atoms))),
            l1_per_atom=l1,
            relative_l1=_ratio(l1, self._reference[types].sum() / atoms),
            relative_norm=_ratio(l1, self._norm[types].sum() / atoms),
            per_axis=AxisErrors(*(float(a) for a in axes)),
        )

    def _sample(self, predicted: Float, reference: Float, types: Int) -> None:
        keys = np.concatenate([self._keys, self._generator.random(len(types))])
        kept = np.argsort(keys)[: self._limit]
        self._keys = keys[kept]
        old = self._samples
        self._samples = ForceSamples(
            np.concatenate([old.reference, reference])[kept],
            np.concatenate([old.predicted, predicted])[kept],
            np.concatenate([old.types, types])[kept],
        )


def force_metrics(predicted: Any, reference: Any, type_names: Sequence[str], types: Any) -> ForceMetrics:
    """Errors of predicted forces.

    Parameters
    ----------
    predicted, reference
        kcal/mol/angstrom, (N, 3).
    type_names
        Name of each type.
    types
        LAMMPS atom types, from 1, (N,).

    Examples
    --------
    >>> m = force_metrics([[3.0, 0.0, 0.0]], [[0.0, 0.0, 4.0]], ["Ar"], [1])
    >>> m.l1_per_atom, m.relative_l1, m.relative_norm
    (7.0, 1.75, 1.75)
    """
    accumulator = ForceErrorAccumulator(type_names)
    accumulator.add(predicted, reference, types)
    return accumulator.metrics()


def _ratio(error: float, scale: float) -> float:
    if scale > 0:
        return float(error / scale)
    return 0.0 if error == 0 else float("inf")
