"""Radial distribution functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.numba_jit import compiled
from gnnformd.reference.type_names import distinct_names

if TYPE_CHECKING:
    from gnnformd.trajectory.frame import Frame

__all__ = ["MAX_DISTANCE", "RadialDistribution", "narrowest_width", "radial_distribution"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

CELLS_PER_R_MAX, MAX_CELLS = 2, 200
"""Cells of the search per `r_max`, and the largest number of cells along a direction."""

MAX_DISTANCE = 15.0
"""Default `r_max`, angstrom; there g(r) of a liquid is one within its error."""


@dataclass(frozen=True)
class RadialDistribution:
    """Pair distribution function g(r) of two types of atom.

    Attributes
    ----------
    pair
        Names of the types, ``O-H``.
    r
        Middle of each bin, angstrom, (n,).
    g
        Local density over mean density in each frame, (T, n); 1 where atoms are uncorrelated.
    ideal
        Pairs per frame in each shell of an ideal gas, (n,): the counting error of g is ``sqrt(g / ideal)``.
    """

    pair: str
    r: Float
    g: Float
    ideal: Float


def radial_distribution(
    frames: Iterable[Frame],
    type_names: Sequence[str] | None = None,
    *,
    r_max: float | None = None,
    bins: int = 150,
    exclude_molecules: bool = False,
) -> dict[str, RadialDistribution]:
    """Radial distribution functions of every pair of types in each frame; the mean over frames is what is plotted.

    ``g_ab(r) = V n_ab(r) / (P_ab v(r))`` with the volume V of each frame (so that a changing box is treated
    correctly), the number n of pairs in the shell of volume v, and the total number P of pairs: ``N_a N_b`` or
    ``N_a (N_a - 1) / 2``, minus those left out.

    Parameters
    ----------
    frames
        Periodic in all directions, all of the same atoms; streamed.
    type_names
        ``type_names[t - 1]`` names type t; the numbers of the types by default. Types of one name are told apart by
        their numbers, ``H (3)`` and ``H (4)``.
    r_max
        angstrom; by default 15, or a little less than half the narrowest width of the first box, so that it may shrink
        by 5 %.
    bins
        Number of bins from 0 to `r_max`.
    exclude_molecules
        Leave out pairs within a molecule.

    Returns
    -------
    dict
        By name of the pair, the type with the smaller number first; a pair of types that only one atom has is absent.

    Raises
    ------
    InputError
        There are no frames, a box is not periodic or narrower than twice `r_max`, or molecules are to be left out
        but unknown.
    """
    counter: _PairCounter | None = None
    for frame in frames:
        if counter is None:
            default = min(MAX_DISTANCE, 0.475 * narrowest_width(frame)) if r_max is None else r_max
            counter = _PairCounter(frame, default, bins, exclude_molecules)
        counter.add(frame)
    if counter is None:
        raise InputError("the trajectory contains no frames; run more steps or dump more often.")
    return counter.result(type_names)


class _PairCounter:
    """Counts pairs ``n(r)`` of each pair of types, frame by frame."""

    def __init__(self, first: Frame, r_max: float, bins: int, exclude_molecules: bool) -> None:
        self.r_max, self.exclude = r_max, exclude_molecules
        self.edges = np.linspace(0, r_max, bins + 1)
        self.type_count = int(first.types.max())
        self.counts: list[Int] = []
        self.volumes: list[float] = []
        self.types, self.molecule_ids = first.types, first.molecule_ids

    def add(self, frame: Frame) -> None:
        self._check(frame)
        fractional = (frame.positions - frame.origin) @ np.linalg.inv(frame.cell)
        molecules = frame.molecule_ids if self.exclude and frame.molecule_ids is not None else np.empty(0, np.int64)
        counts = np.zeros((self.type_count, self.type_count, len(self.edges) - 1), np.int64)
        cells = np.clip(np.floor(CELLS_PER_R_MAX * _widths(frame) / self.r_max), 1, MAX_CELLS).astype(np.int64)
        start, order = _sort_into_cells(fractional, cells)
        molecules = molecules[order] if len(molecules) else molecules
        rows, types = np.ascontiguousarray(fractional[order].T), frame.types[order] - 1
        _count_pairs(rows, frame.cell, types, molecules, self.r_max, cells, start, counts)
        self.counts.append(counts.reshape(self.type_count**2, -1))
        self.volumes.append(abs(float(np.linalg.det(frame.cell))))

    def result(self, names: Sequence[str] | None) -> dict[str, RadialDistribution]:
        names = distinct_names([str(t) for t in range(1, self.type_count + 1)] if names is None else names)
        possible, volumes = self._possible_pairs(), np.array(self.volumes)
        counts = np.stack(self.counts)  # (T, pairs of types, n)
        shells = 4 / 3 * np.pi * np.diff(self.edges**3)  # (n,)
        middle = (self.edges[1:] + self.edges[:-1]) / 2
        found = {}
        for a in range(self.type_count):
            for b in range(a, self.type_count):
                index = a * self.type_count + b
                if possible[index] > 0:
                    pair = f"{names[a]}-{names[b]}"
                    g = volumes[:, None] * counts[:, index] / (possible[index] * shells)
                    found[pair] = RadialDistribution(pair, middle, g, possible[index] * shells / volumes.mean())
        return found

    def _possible_pairs(self) -> Float:
        """Count the pairs that exist in a frame, by pair of types, (types^2,)."""
        possible = self._pairs_among(self.types - 1)
        if self.exclude and self.molecule_ids is not None:
            order = np.argsort(self.molecule_ids, kind="stable")
            starts = np.flatnonzero(np.diff(self.molecule_ids[order])) + 1
            for members in np.split(self.types[order] - 1, starts):
                possible -= self._pairs_among(members)
        return possible

    def _pairs_among(self, types: Int) -> Float:
        count = np.bincount(types, minlength=self.type_count).astype(float)
        pairs = np.triu(np.outer(count, count), 1) + np.diag(count * (count - 1) / 2)
        return pairs.ravel()

    def _check(self, frame: Frame) -> None:
        if not np.array_equal(frame.types, self.types):
            raise InputError(f"{frame.name}: the atoms differ from those of the first frame; give one system.")
        if not all(frame.periodic):
            raise InputError(
                f"{frame.name}: the box is not periodic, so g(r) has no mean density; give a periodic one."
            )
        if self.r_max > narrowest_width(frame) / 2:
            raise InputError(
                f"{frame.name}: g(r) up to {self.r_max:.2f} angstrom needs a box at least twice as wide, "
                f"but this box is {narrowest_width(frame):.2f} wide; choose a smaller r_max."
            )
        if self.exclude and frame.molecule_ids is None:
            raise InputError(f"{frame.name}: the molecules are unknown and cannot be left out; give a topology.")


@compiled
def _sort_into_cells(fractional: Float, cells: Int) -> tuple[Int, Int]:
    """Order atoms by cell: where each cell begins, with ``cells`` (3,) along the axes, and the atoms."""
    atoms = len(fractional)
    cell_of = np.empty(atoms, np.int64)
    start = np.zeros(cells[0] * cells[1] * cells[2] + 1, np.int64)
    for i in range(atoms):
        cell = 0
        for axis in range(3):
            scaled = fractional[i, axis] - np.floor(fractional[i, axis])
            cell = cell * cells[axis] + min(int(scaled * cells[axis]), cells[axis] - 1)
        cell_of[i] = cell
        start[cell + 1] += 1
    for cell in range(len(start) - 1):
        start[cell + 1] += start[cell]
    filled = start[:-1].copy()
    order = np.empty(atoms, np.int64)
    for i in range(atoms):
        order[filled[cell_of[i]]] = i
        filled[cell_of[i]] += 1
    return start, order


@compiled
def _count_pairs(
    fractional: Float,
    cell: Float,
    types: Int,
    molecules: Int,
    r_max: float,
    cells: Int,
    start: Int,
    counts: Int,
) -> None:
    """Add every pair closer than `r_max` to ``counts``, (types, types, n).

    As `r_max` is at most half the narrowest width, the only image within it is the nearest in fractional
    coordinates. Atoms are ordered by cell (see `_sort_into_cells`); cells are at least half as wide as
    `r_max`, so that a neighbor is at most two of them away.
    """
    bins = counts.shape[2]
    scale, limit = bins / r_max, r_max**2
    around = np.minimum(cells, 2 * CELLS_PER_R_MAX + 1)
    squares = np.empty(fractional.shape[1])
    for cu in range(cells[0]):
        for cv in range(cells[1]):
            for cw in range(cells[2]):
                home = (cu * cells[1] + cv) * cells[2] + cw
                for step in range(around[0] * around[1] * around[2]):
                    u = (cu + step // (around[1] * around[2]) - CELLS_PER_R_MAX) % cells[0]
                    v = (cv + step // around[2] % around[1] - CELLS_PER_R_MAX) % cells[1]
                    w = (cw + step % around[2] - CELLS_PER_R_MAX) % cells[2]
                    other = (u * cells[1] + v) * cells[2] + w
                    if other < home:
                        continue
                    for i in range(start[home], start[home + 1]):
                        first = i + 1 if other == home else start[other]
                        for j in range(first, start[other + 1]):
                            a = fractional[0, j] - fractional[0, i]
                            b = fractional[1, j] - fractional[1, i]
                            c = fractional[2, j] - fractional[2, i]
                            a, b, c = a - np.rint(a), b - np.rint(b), c - np.rint(c)
                            x = a * cell[0, 0] + b * cell[1, 0] + c * cell[2, 0]
                            y = a * cell[0, 1] + b * cell[1, 1] + c * cell[2, 1]
                            z = a * cell[0, 2] + b * cell[1, 2] + c * cell[2, 2]
                            squares[j] = x * x + y * y + z * z
                        for j in range(first, start[other + 1]):
                            if squares[j] < limit and (len(molecules) == 0 or molecules[i] != molecules[j]):
                                one, two = min(types[i], types[j]), max(types[i], types[j])
                                counts[one, two, min(int(np.sqrt(squares[j]) * scale), bins - 1)] += 1


def narrowest_width(frame: Frame) -> float:
    """Smallest distance between opposite faces of the box, angstrom."""
    return float(_widths(frame).min())


def _widths(frame: Frame) -> Float:
    """Distances between opposite faces of the box, angstrom, (3,)."""
    widths: Float = 1 / np.linalg.norm(np.linalg.inv(frame.cell), axis=0)
    return widths
