"""Radial distribution functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError

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
        import freud

        self._check(frame)
        # freud turns the cell until it is triangular; fractional coordinates turn with it
        box = freud.box.Box.from_matrix(frame.cell.T)
        fractional = (frame.positions - frame.origin) @ np.linalg.inv(frame.cell)
        points = box.make_absolute(fractional - np.floor(fractional))
        query = freud.locality.AABBQuery(box, points).query(points, {"r_max": self.r_max, "exclude_ii": True})
        neighbors = query.toNeighborList()
        i, j, distance = neighbors[:, 0], neighbors[:, 1], neighbors.distances
        kept = i < j
        if self.exclude and frame.molecule_ids is not None:
            kept &= frame.molecule_ids[i] != frame.molecule_ids[j]
        i, j, distance = i[kept], j[kept], distance[kept]
        types = np.sort(np.stack([frame.types[i], frame.types[j]]) - 1, axis=0)
        bins = np.minimum((distance / self.r_max * len(self.edges[1:])).astype(np.int64), len(self.edges) - 2)
        flat = (types[0] * self.type_count + types[1]) * (len(self.edges) - 1) + bins
        shape = self.type_count**2, len(self.edges) - 1
        self.counts.append(np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape))
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


def narrowest_width(frame: Frame) -> float:
    """Smallest distance between opposite faces of the box, angstrom."""
    return float((1 / np.linalg.norm(np.linalg.inv(frame.cell), axis=0)).min())
