"""Engine: a model evaluated again and again for atoms that move.

`gnnformd.model.choose_engine` chooses among PyTorch, which serves every model (`gnnformd.model.torch_engine`), and what
a kind of model has for processors and accelerators (`gnnformd.model.registry.FAST_ENGINES`). All give the same numbers
to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph, HalfEdges

__all__ = ["NEIGHBOR_BITS", "ClosePair", "DomainNeighbors", "Engine", "EngineResult", "FullLists", "OtherDomains"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]
NeighborsT = TypeVar("NeighborsT", contravariant=True)

NEIGHBOR_BITS = 0x1FFFFFFF
"""The part of an entry of a full list that is the neighbor's index; the kind of bond is in the two upper bits."""


@dataclass(frozen=True)
class ClosePair:
    """Two atoms that are closer than their contact distance.

    Attributes
    ----------
    one, other
        Rows of the atoms, or their ids.
    distance, contact
        angstrom.
    """

    one: int
    other: int
    distance: float
    contact: float

    def named(self, ids: Int) -> ClosePair:
        """Replace rows by ids."""
        return replace(self, one=int(ids[self.one]), other=int(ids[self.other]))

    def __str__(self) -> str:
        """Describe which atoms, and how far apart."""
        first, second = sorted((self.one, self.other))
        return f"atoms {first} and {second} are {self.distance:.3g} angstrom apart"


@dataclass(frozen=True)
class EngineResult:
    """Energy and forces of the atoms where they are now.

    Attributes
    ----------
    forces
        kcal/mol/angstrom, (N, 3).
    energy
        kcal/mol, or None if the model has none.
    virial
        ``sum x f``, kcal/mol, (3, 3), or None.
    nearest
        The pair of atoms that is closest in contact distances, by rows, if it is closer than one.
    grades
        Extrapolation grades of the atoms (of a domain, of its own), (N,), or None (see
        `gnnformd.model.interface.Prediction`).
    """

    forces: Float
    energy: float | None
    virial: Float | None
    nearest: ClosePair | None = None
    grades: Float | None = None


@dataclass(frozen=True)
class FullLists:
    """All neighbors of every center, up to cutoff and margin, as compiled loops read them.

    Attributes
    ----------
    start
        The neighbors of center i are entries ``start[i]`` to ``start[i + 1]``, (N + 1,).
    neighbor
        Index of the neighbor, with the kind of bond in the two upper bits, (E,).
    """

    start: Int
    neighbor: NDArray[np.integer[Any]]


class DomainNeighbors(Protocol):
    """The neighbors of a domain: its own atoms come first, then the atoms around it; there are no periodic images."""

    @property
    def atoms(self) -> AtomicGraph:
        """Types, parameters and which atoms are owned; no edges."""

    @property
    def half_edges(self) -> HalfEdges:
        """Each pair once, on the device of the atoms; without shifts."""

    def of_first(self, count: int) -> FullLists:
        """Full lists of the own atoms, or of them and all atoms around them, ``count`` in all."""


class OtherDomains(Protocol):
    """The other domains of a system, where an evaluation needs more of them than atoms nearby.

    All domains have to call the same methods in the same order, also those that own no atoms.
    """

    def sum(self, values: NDArray[Any]) -> NDArray[Any]:
        """Sum an array, of the same shape everywhere, over all domains; each gets the sum."""

    def to_ghosts(self, values: NDArray[Any]) -> NDArray[Any]:
        """Numbers of the own atoms, (N, ...), followed by those that the owners have for the ghosts, (N + G, ...)."""

    def from_ghosts(self, values: NDArray[Any]) -> NDArray[Any]:
        """Numbers of own atoms and ghosts, (N + G, C), to sums over an atom and all its ghosts, (N, C)."""


class Engine(Protocol[NeighborsT]):
    """A model evaluated for one set of atoms that move.

    Neighbors are given once and serve until atoms have moved too far: those beyond the cutoff are passed over.

    Attributes
    ----------
    name
        ``numba``, ``torch.compile`` or ``torch``.
    """

    name: str

    def serves(self, atoms: AtomicGraph) -> bool:
        """Whether it was built for atoms like these (types, parameters, periodic directions)."""

    def set_neighbors(self, neighbors: NeighborsT) -> None:
        """Take a new search: a graph for a whole system, a `DomainNeighbors` for a domain."""

    def evaluate(self, positions: Float, cell: Float) -> EngineResult:
        """Evaluate the model.

        Parameters
        ----------
        positions
            Where the shifts of the graph hold, angstrom, (N, 3).
        cell
            angstrom, (3, 3). Of a domain, that of its system, which matters to a long-range part alone.
        """

    def parts(self, positions: Float, cell: Float) -> dict[str, Callable[[], object]]:
        """Take an evaluation apart, for its time to be measured.

        Returns
        -------
        dict
            ``short_range`` and, where they are known apart, ``long_range`` electrostatics and ``network``, the work on
            each atom between its densities and their derivatives.
        """

    def operations_per_atom(self, edges_per_atom: float) -> float | None:
        """Floating-point operations for each atom without long-range electrostatics; None if they are not counted."""
