"""The engines of a density model: compiled loops on a processor, kernels of `torch.compile` on an accelerator."""

from __future__ import annotations

import torch

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.compile_engine.system import CompileDomainEngine, CompileEngine
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.domain import NumbaDomainEngine
from gnnformd.model.density.numba_engine.one_layer import MAX_SPECIES
from gnnformd.model.density.numba_engine.system import NumbaEngine
from gnnformd.model.engine import DomainNeighbors, Engine, OtherDomains

__all__ = ["build_density_domain_engine", "build_density_engine", "density_exchanges_messages"]


def build_density_engine(model: DensityModel, atoms: AtomicGraph, weights_change: bool) -> Engine[AtomicGraph] | None:
    """See `gnnformd.model.registry.FastEngines.whole`."""
    if _on_processor(model):
        return NumbaEngine(model, atoms) if _loops_serve(model, atoms) else None
    return None if weights_change or model.settings.electrostatics == "learned" else CompileEngine(model)


def build_density_domain_engine(
    model: DensityModel, atoms: AtomicGraph, others: OtherDomains | None
) -> Engine[DomainNeighbors] | None:
    """See `gnnformd.model.registry.FastEngines.domain`."""
    if others is None and model.needs_other_domains:
        return None
    if _on_processor(model):
        return NumbaDomainEngine(model, atoms, others) if _loops_serve(model, atoms) else None
    return None if others is not None else CompileDomainEngine(model)


def density_exchanges_messages(model: DensityModel) -> bool:
    """See `gnnformd.model.registry.FastEngines.exchanges`: where compiled loops serve all domains for certain."""
    if model.layers == 1 or not _on_processor(model):
        return False
    by_type = model.electrostatics is None and model.settings.node_features == "embedding"
    return model.needs_other_domains or (by_type and model.contacts.distances.shape[-1] <= MAX_SPECIES)


def _on_processor(model: DensityModel) -> bool:
    return model.contacts.distances.device.type == "cpu"


def _loops_serve(model: DensityModel, atoms: AtomicGraph) -> bool:
    """Whether compiled loops serve: they have weights for some species, and charges in boxes or in empty space."""
    if model.electrostatics is not None and atoms.periodic.any() and not atoms.periodic.all():
        return False
    if atoms.atom_count == 0:
        return atoms.owned is not None  # a domain takes part in what all of them do
    return len(torch.unique(model.kinds_of_atoms(atoms), dim=0)) <= MAX_SPECIES
