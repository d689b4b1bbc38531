"""MovingGraph: the graph of atoms that move a little from one call to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gnnformd.force_field import ForceField
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.bonds import bond_table
from gnnformd.graph.build import build_graph
from gnnformd.neighbors import completed_cell
from gnnformd.trajectory.frame import Frame

__all__ = ["MovingGraph"]

Float = NDArray[np.float64]


@dataclass
class _Search:
    """What the last search of neighbors found, and where the atoms were.

    Attributes
    ----------
    graph
        Edges up to cutoff plus skin, float64.
    scaled
        Fractional coordinates, (N, 3).
    cell
        The box; directions that are not periodic are completed by unit vectors, (3, 3).
    periodic
        (3,).
    """

    graph: AtomicGraph
    scaled: Float
    cell: Float
    periodic: NDArray[np.bool_]


class MovingGraph:
    """Finds the neighbors of one system, and searches anew only when atoms have moved far enough.

    The search goes to ``cutoff + skin``. Its edges serve until a pair outside could have come inside the cutoff. Atoms
    may be wrapped or not, and the box may change.

    Parameters
    ----------
    frame
        Types, charges and bonds of the system; atoms keep this order.
    cutoff
        angstrom.
    force_field
        Physical parameters per type, or None.
    skin
        angstrom.

    Attributes
    ----------
    searches
        Neighbor searches done so far.
    """

    def __init__(
        self,
        frame: Frame,
        cutoff: float,
        force_field: ForceField | None,
        *,
        skin: float = 1.0,
    ) -> None:
        self.searches = 0
        self._frame = frame
        self._table = bond_table(frame.bonds, len(frame.types))
        self._cutoff = cutoff
        self._force_field = force_field
        self._skin = skin
        self._last: _Search | None = None

    def forget(self) -> None:
        """Search anew at the next call."""
        self._last = None

    def at(self, positions: Float, cell: Float, periodic: tuple[bool, bool, bool]) -> tuple[AtomicGraph, Float, Float]:
        """Graph with all edges up to cutoff plus skin for these positions (N, 3) and cell (3, 3).

        Returns
        -------
        graph
            The same object until there is a new search; its positions are those of the search.
        positions
            Those given, moved by lattice vectors to where the graph's shifts hold, (N, 3).
        cell
            The box, completed where it is not periodic, (3, 3).

        Raises
        ------
        InputError
            The frame cannot be searched (see `gnnformd.neighbors.neighbor_pairs`).
        """
        last, moved, box = self._current(positions, cell, periodic)
        return last.graph, moved, box

    def _current(
        self, positions: Float, cell: Float, periodic: tuple[bool, bool, bool]
    ) -> tuple[_Search, Float, Float]:
        """Renew the search if it is outdated; positions for its shifts, and the box."""
        flags = np.asarray(periodic, dtype=bool)
        box = completed_cell(cell, flags)
        scaled = positions @ np.linalg.inv(box)  # (N, 3)
        last = self._last
        if last is None or (last.periodic != flags).any() or self._outdated(last, scaled, box):
            last = self._last = self._search(positions, scaled, box, flags)
        images = np.round(scaled - last.scaled) * flags  # lattice vectors crossed since the search, (N, 3)
        return last, positions - images @ box, box

    def _search(self, positions: Float, scaled: Float, box: Float, flags: NDArray[np.bool_]) -> _Search:
        """Search anew; atoms are wrapped into the box, which keeps float32 coordinates small and so accurate."""
        self.searches += 1
        images = np.floor(scaled) * flags
        periodic = (bool(flags[0]), bool(flags[1]), bool(flags[2]))
        frame = replace(self._frame, positions=positions - images @ box, cell=box, periodic=periodic)
        graph = build_graph(frame, self._cutoff + self._skin, self._force_field, table=self._table)
        return _Search(graph, scaled - images, box, flags)

    def _outdated(self, last: _Search, scaled: Float, box: Float) -> bool:
        """Whether a pair that was beyond cutoff plus skin may be within the cutoff now.

        With ``d`` the longest displacement in scaled coordinates, put into today's box, a pair within the cutoff now
        was within ``cutoff + 2 d`` when measured in today's box, and within that times the norm of the change of box
        when measured in the old one. A displacement common to all atoms does not count.
        """
        moved = scaled - last.scaled
        moved -= np.round(moved) * last.periodic
        moved = (moved - moved.mean(axis=0)) @ box  # (N, 3)
        farthest = float(np.sqrt((moved * moved).sum(axis=1).max(initial=0.0)))
        strain = 1.0 if (box == last.cell).all() else float(np.linalg.norm(np.linalg.inv(box) @ last.cell, 2))
        return not (self._cutoff + 2.0 * farthest) * strain < self._cutoff + self._skin
