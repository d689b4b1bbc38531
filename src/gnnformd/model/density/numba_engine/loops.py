"""Which compiled loops serve a model."""

from __future__ import annotations

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.learned_charges import LearnedCharges
from gnnformd.model.density.numba_engine.many_layers import ManyLayers
from gnnformd.model.density.numba_engine.one_layer import OneLayer
from gnnformd.model.engine import OtherDomains

__all__ = ["build_loops"]


def build_loops(model: DensityModel, atoms: AtomicGraph, others: OtherDomains | None = None) -> OneLayer:
    """Set up the compiled loops for a model and atoms, for which there are some; ``others`` as for `ManyLayers`."""
    if model.settings.electrostatics == "learned":
        return LearnedCharges(model, atoms, others)
    return OneLayer(model, atoms) if model.layers == 1 else ManyLayers(model, atoms, others)
