"""Forces of a domain, whatever engine computes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.inference.domain import Domain, ListedAtoms, NeighborLists
from gnnformd.inference.seen_pairs import SeenPairs, UnseenPairs
from gnnformd.inference.training_range import TrainingRange, refuse_unknown_types
from gnnformd.model.choose_engine import build_domain_engine, state_of
from gnnformd.model.engine import DomainNeighbors, Engine, EngineResult, OtherDomains
from gnnformd.model.interface import weight_of

if TYPE_CHECKING:
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["DomainForces"]

Float = NDArray[np.float64]


class DomainForces:
    """A model asked again and again about the domain of one rank.

    Parameters
    ----------
    loaded
        A model that can be cut (see `gnnformd.model.interface.ForceModel.indivisible`).
    types
        Of the atoms there are, with the model's numbers.
    others
        The other domains, for models that need them (see `gnnformd.model.interface.ForceModel.needs_other_domains`) or
        whose domains are to exchange messages (see `gnnformd.model.choose_engine.exchanges_messages`).
    refuse_unseen
        Whether atoms that are close to each other at the first call are refused where the model has seen no such pair.

    Attributes
    ----------
    unseen
        After an evaluation, how far two atoms are apart that are close to each other, of which the model has seen no
        such pair in training; None if there are none.

    Raises
    ------
    InputError
        The system has a type of atom that the model does not know.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        types: NDArray[np.integer],
        others: OtherDomains | None = None,
        *,
        refuse_unseen: bool = True,
    ) -> None:
        refuse_unknown_types(loaded, types)
        self._loaded = loaded
        self._model, self._fast, self._others = loaded.model.eval(), loaded.compiled, others
        self._take_weights()
        self._contact = TrainingRange.of(loaded).contact
        self._seen, self._refuses = SeenPairs.of(loaded), refuse_unseen
        self.unseen: str | None = None
        self._unseen: UnseenPairs | None = None
        self._lists: NeighborLists | None = None

    def _take_weights(self) -> None:
        """Take floating-point type and device of the weights, and forget what was made of others."""
        self._state = state_of(self._model)
        weights, field = weight_of(self._model), self._loaded.card.force_field
        self._dtype, self._device = weights.dtype, weights.device
        parameters = torch.tensor(self._loaded.card.parameters, dtype=torch.float64)
        self._parameters = parameters.to(device=self._device, dtype=self._dtype)  # (T, 3)
        special = (1.0, 1.0, 1.0) if field is None else field.special_coul
        self._special = torch.tensor([special], dtype=torch.float64, device=self._device).to(self._dtype)  # (1, 3)
        self._engine: Engine[DomainNeighbors] | None = None

    def forget(self) -> None:
        """Keep nothing on which results depend: the size of a mesh for learned charges follows from earlier boxes."""
        if self._model.needs_other_domains:
            self._engine = None

    def evaluate(self, domain: Domain) -> EngineResult:
        """Predict forces on own atoms, then on ghosts, energy and virial; the sums over all ranks are the system's.

        The pair of atoms that is closest in contact distances is named by ids. All domains have to be evaluated at the
        same time if they are given each other.

        Raises
        ------
        InputError
            An atom is of no type of the model; or, at the first call, two atoms are close to each other, of which the
            model has seen no such pair.
        """
        first, self._refuses = self._refuses, False
        self.unseen = None
        if domain.own_count == 0 and self._others is None:
            zero = self._model.conservative
            return EngineResult(
                np.zeros_like(domain.positions), 0.0 if zero else None, np.zeros((3, 3)) if zero else None
            )
        if first:
            refuse_unknown_types(self._loaded, domain.types)
            self._seen.check_domain("the system", domain)
        if state_of(self._model) != self._state:  # the model was trained on, or converted
            self._take_weights()
        engine = self._engine
        if engine is None or self._lists is not domain.lists:
            engine = self._with_lists(domain)
        assert self._unseen is not None
        self.unseen = self._unseen.closest(domain.positions)
        found = engine.evaluate(domain.positions, np.eye(3) if domain.cell is None else domain.cell)
        return found if found.nearest is None else replace(found, nearest=found.nearest.named(domain.ids))

    def _with_lists(self, domain: Domain) -> Engine[DomainNeighbors]:
        """Give new lists to the engine; choose one anew if the atoms are not those it was built for."""
        refuse_unknown_types(self._loaded, domain.types)
        atoms, engine = self._atoms(domain), self._engine
        if engine is None or not engine.serves(atoms):
            engine = build_domain_engine(
                self._model, atoms, fast=self._fast, contact=self._contact, others=self._others
            )
        engine.set_neighbors(ListedAtoms(atoms, domain.lists))
        self._unseen = self._seen.unseen_in_domain(domain)
        self._engine, self._lists = engine, domain.lists
        return engine

    def _atoms(self, domain: Domain) -> AtomicGraph:
        """Describe the atoms, without edges."""
        count = len(domain.ids)
        type_index = self._tensor(domain.types - 1)
        charges, epsilons, sigmas = self._parameters.index_select(0, type_index).unbind(1)
        if domain.charges is not None:
            charges = self._tensor(domain.charges).to(self._dtype)
        nothing = torch.zeros(0, dtype=torch.int64, device=self._device)
        return AtomicGraph(
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
            owned=torch.arange(count, device=self._device) < domain.own_count,
        )

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(*shape, dtype=torch.float64, device=self._device)

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)
