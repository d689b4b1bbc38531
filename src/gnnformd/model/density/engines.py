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

__all__ = ["build_density_domain_engine", "build_density_engine"]


def build_density_engine(model: DensityModel, atoms: AtomicGraph, weights_change: bool) -> Engine[AtomicGraph] | None:
    """See `gnnformd.model.registry.FastEngines.whole`."""
    if _on_processor(model):
        return NumbaEngine(model, atoms) if _loops_serve(model, atoms) else None
    return None if weights_change or model.settings.electrostatics == "learned" else CompileEngine(model)


def build_density_domain_engine(
    model: DensityModel, atoms: AtomicGraph, others: OtherDomains | None
) -> Engine[DomainNeighbors] | None:
    """See `gnnformd.model.registry.FastEngines.domain`."""
    if model.needs_other_domains and others is None:
        return None
    if _on_processor(model):
        return NumbaDomainEngine(model, atoms, others) if _loops_serve(model, atoms) else None
    return None if model.needs_other_domains else CompileDomainEngine(model)


def _on_processor(model: DensityModel) -> bool:
    return model.contacts.distances.device.type == "cpu"


def _loops_serve(model: DensityModel, atoms: AtomicGraph) -> bool:
    """Whether compiled loops serve: they have weights for some species, and charges in boxes or in empty space."""
    if model.electrostatics is not None and atoms.periodic.any() and not atoms.periodic.all():
        return False
    if atoms.atom_count == 0:
        return model.needs_other_domains and atoms.owned is not None  # a domain takes part in sums over all of them
    return len(torch.unique(model.kinds_of_atoms(atoms), dim=0)) <= MAX_SPECIES
