"""Forces of a domain: by compiled loops where there are some for the model, else by PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnformd.errors import InputError
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.inference.domain import Domain, NeighborLists
from gnnformd.inference.training_range import ClosePair, TrainingRange, nearest_pair
from gnnformd.model.density.compile_engine.engine import AcceleratedDensity, can_accelerate
from gnnformd.model.density.kernels.neighbor_lists import NEIGHBOR_BITS
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.learned_charges import build_loops
from gnnformd.model.density.numba_engine.one_layer import LocalPrediction, OneLayer, can_compile

if TYPE_CHECKING:
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["DomainForces", "Share"]

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Share:
    """What the atoms of one rank give; the sums over all ranks are those of the system.

    Attributes
    ----------
    forces
        On own atoms, then on ghosts, kcal/mol/angstrom, (N + G, 3).
    energy
        kcal/mol, or None if the model has none.
    virial
        kcal/mol, (3, 3), or None.
    nearest
        The pair of atoms that is closest in contact distances, by ids, if it is closer than one.
    """

    forces: Float
    energy: float | None
    virial: Float | None
    nearest: ClosePair | None = None


@dataclass(frozen=True)
class _Listed:
    """The half edges of one neighbor list, and what does not change while it holds.

    Attributes
    ----------
    lists
        Where they come from.
    graph
        All edges up to cutoff and skin, or none where compiled loops have the lists; its positions are of no meaning.
    contact
        Contact distance of each half edge, angstrom, (E/2,).
    density
        Compiled loops or kernels that have these lists, or None.
    """

    lists: NeighborLists
    graph: AtomicGraph
    contact: Tensor | None
    density: OneLayer | AcceleratedDensity | None


class DomainForces:
    """A model asked again and again about the domain of one rank.

    Parameters
    ----------
    loaded
        A model that can be cut (see `gnnformd.model.interface.ForceModel.indivisible`).
    highest_type
        Of the atoms there are.

    Raises
    ------
    InputError
        The system has a type of atom that the model does not know.
    """

    def __init__(self, loaded: LoadedModel, highest_type: int) -> None:
        known = loaded.card.type_names
        if highest_type > len(known):
            raise InputError(
                f"the system has atoms of type {highest_type}, but the model {loaded.path} knows only {len(known)} "
                f"({', '.join(known)}); choose a model of this system."
            )
        self._model, self._may_compile = loaded.model.eval(), loaded.compiled
        weights = next((p for p in self._model.parameters() if p.is_floating_point()), torch.empty(0).double())
        self._dtype, self._device = weights.dtype, weights.device
        field = loaded.card.force_field
        parameters = torch.tensor(loaded.card.parameters, dtype=torch.float64)
        self._parameters = parameters.to(device=self._device, dtype=self._dtype)  # (T, 3)
        special = (1.0, 1.0, 1.0) if field is None else field.special_coul
        self._special = torch.tensor([special], dtype=torch.float64, device=self._device).to(self._dtype)  # (1, 3)
        self._range = TrainingRange.of(loaded)
        self._listed: _Listed | None = None
        self._density: OneLayer | None = None
        self._accelerated: AcceleratedDensity | None = None
        if loaded.compiled and can_accelerate(self._model):
            assert isinstance(self._model, DensityModel)
            self._accelerated = AcceleratedDensity(self._model)

    def evaluate(self, domain: Domain) -> Share:
        """Predict forces on own atoms and ghosts, energy and virial."""
        if domain.own_count == 0:
            zero = self._model.conservative
            return Share(np.zeros_like(domain.positions), 0.0 if zero else None, np.zeros((3, 3)) if zero else None)
        if self._listed is None or self._listed.lists is not domain.lists:
            self._listed = self._list(domain)
        if self._listed.density is not None:
            return _share(domain, self._listed.density.evaluate(domain.positions))
        graph, nearest = self._inside(domain, self._listed)
        with torch.set_grad_enabled(self._model.conservative):
            prediction = self._model(graph)
        forces = prediction.forces.numpy(force=True).astype(np.float64)
        if not self._model.conservative:
            forces[domain.own_count :] = 0.0  # those on ghosts are right where the ghosts are at home
        energy = None if prediction.energies is None else float(prediction.energies[0])
        virial = None if prediction.virials is None else prediction.virials[0].numpy(force=True).astype(np.float64)
        return Share(forces, energy, virial, nearest)

    def _list(self, domain: Domain) -> _Listed:
        """Take over a new list: by the compiled loops as it is, else as half edges."""
        lists, own, count = domain.lists, domain.own_count, len(domain.ids)
        type_index = self._tensor(domain.types - 1)
        charges, epsilons, sigmas = self._parameters.index_select(0, type_index).unbind(1)
        if domain.charges is not None:
            charges = self._tensor(domain.charges).to(self._dtype)
        nothing = torch.zeros(0, dtype=torch.int64, device=self._device)
        graph = AtomicGraph(
            positions=self._zeros(count, 3),
            cells=self._zeros(1, 3, 3),
            periodic=torch.zeros(1, 3, dtype=torch.bool, device=self._device),
            special_coul=self._special,
            type_index=type_index,
            charges=charges,
            epsilons=epsilons,
            sigmas=sigmas,
            center_index=nothing,
            neighbor_index=nothing,
            cell_shift=self._zeros(0, 3),
            bond_kind=nothing,
            graph_index=torch.zeros(count, dtype=torch.int64, device=self._device),
            owned=torch.arange(count, device=self._device) < own,
        )
        density = self._compiled(graph, lists)
        if density is not None:
            return _Listed(lists, graph, None, density)
        graph = self._with_edges(graph, lists, own)
        if self._accelerated is not None:
            self._accelerated.set_neighbors(graph)
            return _Listed(lists, graph, None, self._accelerated)
        return _Listed(lists, graph, self._range.contact_of_edges(graph), None)

    def _with_edges(self, graph: AtomicGraph, lists: NeighborLists, own: int) -> AtomicGraph:
        """Make half edges of a list: one of both directions between own atoms, the only one to a ghost."""
        center = np.repeat(np.arange(own), np.diff(lists.start))
        neighbor = (lists.neighbor & NEIGHBOR_BITS).astype(np.int64)
        kind = (lists.neighbor.view(np.uint32) >> 30).astype(np.int64)
        half = (neighbor >= own) | (center < neighbor)
        first = self._tensor(np.concatenate([center[half], lists.ghost_pairs[:, 0]]))
        second = self._tensor(np.concatenate([neighbor[half], lists.ghost_pairs[:, 1]]))
        kinds = self._tensor(np.concatenate([kind[half], lists.ghost_kinds]))
        return replace(
            graph,
            center_index=torch.cat([first, second]),
            neighbor_index=torch.cat([second, first]),
            cell_shift=self._zeros(2 * len(first), 3),
            bond_kind=kinds.repeat(2),
        )

    def _compiled(self, graph: AtomicGraph, lists: NeighborLists) -> OneLayer | None:
        """Give the lists to the compiled loops, if there are some."""
        kinds = None if self._density is None else self._density.species_of(graph)
        if kinds is None:
            model = self._model
            if not self._may_compile or not isinstance(model, DensityModel) or not can_compile(model, graph):
                return None
            self._density = build_loops(model, graph)
            kinds = self._density.species_of(graph)
        assert self._density is not None and kinds is not None
        own = len(lists.start) - 1
        everybody = graph.atom_count if self._model.layers > 1 else own  # ghosts send something in several layers
        self._density.set_neighbors(*lists.of_first(everybody), kinds, own=own)
        return self._density

    def _inside(self, domain: Domain, listed: _Listed) -> tuple[AtomicGraph, ClosePair | None]:
        """Take the edges that are shorter than the cutoff now, and the closest; distances are measured in float64."""
        x, wide = self._tensor(domain.positions), listed.graph
        half = wide.edge_count // 2
        center, neighbor = wide.center_index[:half], wide.neighbor_index[:half]
        squared = (x.index_select(0, neighbor) - x.index_select(0, center)).square_().sum(dim=1)  # (E/2,)
        assert listed.contact is not None
        nearest = nearest_pair(squared, listed.contact, center, neighbor)
        keep = torch.nonzero(squared < self._model.cutoff**2).squeeze(1)  # (E'/2,)
        center, neighbor = center[keep], neighbor[keep]
        graph = replace(
            wide,
            positions=x,
            center_index=torch.cat([center, neighbor]),
            neighbor_index=torch.cat([neighbor, center]),
            cell_shift=wide.cell_shift[: 2 * len(keep)],
            bond_kind=wide.bond_kind[keep].repeat(2),
        )
        return graph, None if nearest is None else nearest.named(domain.ids)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(*shape, dtype=torch.float64, device=self._device)

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


def _share(domain: Domain, found: LocalPrediction) -> Share:
    nearest = None if found.nearest is None else ClosePair(*found.nearest).named(domain.ids)
    return Share(found.forces, float(found.energies.sum()), found.virial, nearest)
