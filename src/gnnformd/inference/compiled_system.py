"""CompiledSystem: one system whose atoms move, evaluated by the compiled loops of the density model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.inference.moving_graph import MovingGraph
from gnnformd.inference.training_range import ClosePair
from gnnformd.model.density.compile_engine.system import fast_graph
from gnnformd.model.density.numba_engine.system import Places
from gnnformd.model.interface import ForceModel, Prediction

__all__ = ["CompiledSystem"]

Float = NDArray[np.float64]


class CompiledSystem:
    """Forces by compiled loops, whose neighbors are searched anew when atoms have moved far enough.

    Parameters
    ----------
    model
        Any model.
    graph
        Neighbors of the system; asked for the edges up to cutoff plus skin.

    Attributes
    ----------
    atoms
        The compiled loops, or None if there are none for the model.
    """

    def __init__(self, model: ForceModel, graph: MovingGraph) -> None:
        self.atoms = fast_graph(model)
        self._graph = graph
        self._searched: AtomicGraph | None = None
        self._possible = False

    def evaluate(self, positions: Float, cell: Float, periodic: tuple[bool, bool, bool]) -> Prediction | None:
        """Predict, or say None where there are no compiled loops; arguments as for `Evaluator.evaluate`."""
        places = self.places(positions, cell, periodic)
        return None if places is None or self.atoms is None else self.atoms.evaluate(places)

    def forget(self) -> None:
        """Keep nothing that a later result could depend on."""
        self._searched = None
        if self.atoms is not None:
            self.atoms.forget()

    @property
    def nearest(self) -> ClosePair | None:
        """The pair of atoms that was closest in contact distances, by rows, if it was closer than one."""
        if self.atoms is None or self.atoms.nearest is None:
            return None
        return ClosePair(*self.atoms.nearest)

    def places(self, positions: Float, cell: Float, periodic: tuple[bool, bool, bool]) -> Places | None:
        """Renew the neighbors where that is due; give places of atoms and ghosts, or None where nothing is compiled."""
        if self.atoms is None:
            return None
        graph, own, box = self._graph.wide_at(positions, cell, periodic)
        if graph is not self._searched:
            self._searched, self._possible = graph, self.atoms.renew(graph)
        return self.atoms.places(own, box) if self._possible else None
