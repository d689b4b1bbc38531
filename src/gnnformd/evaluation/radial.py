"""Radial distribution functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.trajectory.compiled import compiled

if TYPE_CHECKING:
    from gnnformd.trajectory.frame import Frame

__all__ = ["RadialDistribution", "narrowest_width", "radial_distribution"]

Float = NDArray[np.float64]


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
        Local density over mean density in each frame, (T, n); 1 where atoms do not know of each other.
    ideal
        Pairs per frame in each shell of an ideal gas, (n,): counting alone scatters g by ``sqrt(g / ideal)``.
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
    right), the number n of pairs in the shell of volume v, and the number P of pairs there are: ``N_a N_b`` or
    ``N_a (N_a - 1) / 2``, less those left out.

    Parameters
    ----------
    frames
        Periodic in all directions, all of the same atoms; streamed.
    type_names
        ``type_names[t - 1]`` names type t; the numbers themselves by default.
    r_max
        angstrom; by default a little less than half the narrowest width of the first box, so that it may shrink by
        5 %.
    bins
        Number of bins from 0 to `r_max`.
    exclude_molecules
        Leave out pairs within one molecule.

    Returns
    -------
    dict
        By name of the pair, the type with the smaller number first; pairs of a lone atom are absent.

    Raises
    ------
    InputError
        There are no frames, a box is not periodic or narrower than twice `r_max`, or molecules are to be left out
        and not known.
    """
    counter: _PairCounter | None = None
    for frame in frames:
        if counter is None:
            reach = 0.475 * narrowest_width(frame) if r_max is None else r_max
            counter = _PairCounter(frame, reach, bins, exclude_molecules)
        counter.add(frame)
    if counter is None:
        raise InputError("the trajectory holds no frames to count neighbors in; run more steps or dump more often.")
    return counter.result(type_names)


class _PairCounter:
    """Counts pairs ``n(r)`` of each two types, frame by frame."""

    def __init__(self, first: Frame, r_max: float, bins: int, exclude_molecules: bool) -> None:
        self.r_max, self.exclude = r_max, exclude_molecules
        self.edges = np.linspace(0, r_max, bins + 1)
        self.type_count = int(first.types.max())
        self.counts: list[NDArray[np.int64]] = []
        self.volumes: list[float] = []
        self.types, self.molecule_ids = first.types, first.molecule_ids

    def add(self, frame: Frame) -> None:
        self._check(frame)
        fractional = (frame.positions - frame.origin) @ np.linalg.inv(frame.cell)
        molecules = frame.molecule_ids if self.exclude and frame.molecule_ids is not None else np.empty(0, np.int64)
        counts = np.zeros((self.type_count, self.type_count, len(self.edges) - 1), np.int64)
        _count_pairs(fractional, frame.cell, frame.types - 1, molecules, self.r_max, counts)
        self.counts.append(counts.reshape(self.type_count**2, -1))
        self.volumes.append(abs(float(np.linalg.det(frame.cell))))

    def result(self, names: Sequence[str] | None) -> dict[str, RadialDistribution]:
        names = [str(t) for t in range(1, self.type_count + 1)] if names is None else list(names)
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
        """Pairs of each two types that may be counted in a frame."""
        possible = self._pairs_among(self.types - 1)
        if self.exclude and self.molecule_ids is not None:
            order = np.argsort(self.molecule_ids, kind="stable")
            starts = np.flatnonzero(np.diff(self.molecule_ids[order])) + 1
            for members in np.split(self.types[order] - 1, starts):
                possible -= self._pairs_among(members)
        return possible

    def _pairs_among(self, types: NDArray[np.int64]) -> Float:
        count = np.bincount(types, minlength=self.type_count).astype(float)
        pairs = np.triu(np.outer(count, count), 1) + np.diag(count * (count - 1) / 2)
        return pairs.ravel()

    def _check(self, frame: Frame) -> None:
        if not np.array_equal(frame.types, self.types):
            raise InputError(f"timestep {frame.timestep}: the atoms are not those of the first frame; give one system.")
        if not all(frame.periodic):
            raise InputError(
                f"timestep {frame.timestep}: the box is not periodic, so g(r) has no mean density; give a periodic one."
            )
        if self.r_max > narrowest_width(frame) / 2:
            raise InputError(
                f"timestep {frame.timestep}: g(r) up to {self.r_max:.2f} angstrom needs a box at least twice as wide, "
                f"but this one is {narrowest_width(frame):.2f} wide; choose a smaller r_max."
            )
        if self.exclude and frame.molecule_ids is None:
            raise InputError(
                f"timestep {frame.timestep}: molecules are not known and cannot be left out; name a topology."
            )


@compiled
def _count_pairs(
    fractional: Float,
    cell: Float,
    types: NDArray[np.int64],
    molecules: NDArray[np.int64],
    r_max: float,
    counts: NDArray[np.int64],
) -> None:
    """Add every pair closer than `r_max` to ``counts``, (types, types, n).

    As `r_max` is at most half the narrowest width, the only image that may be so close is that whose fractional
    coordinates are nearest.
    """
    bins = counts.shape[2]
    scale, limit = bins / r_max, r_max**2
    for i in range(len(fractional)):
        for j in range(i + 1, len(fractional)):
            a, b, c = (
                fractional[j, 0] - fractional[i, 0],
                fractional[j, 1] - fractional[i, 1],
                fractional[j, 2] - fractional[i, 2],
            )
            a, b, c = a - np.rint(a), b - np.rint(b), c - np.rint(c)
            x = a * cell[0, 0] + b * cell[1, 0] + c * cell[2, 0]
            y = a * cell[0, 1] + b * cell[1, 1] + c * cell[2, 1]
            z = a * cell[0, 2] + b * cell[1, 2] + c * cell[2, 2]
            squared = x * x + y * y + z * z
            if squared < limit and (len(molecules) == 0 or molecules[i] != molecules[j]):
                one, other = min(types[i], types[j]), max(types[i], types[j])
                counts[one, other, min(int(np.sqrt(squared) * scale), bins - 1)] += 1


def narrowest_width(frame: Frame) -> float:
    """Smallest distance between opposite faces of the box, angstrom."""
    return float((1 / np.linalg.norm(np.linalg.inv(frame.cell), axis=0)).min())
