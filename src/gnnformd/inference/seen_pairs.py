"""SeenPairs: the kinds of bond and pairs of types that a model has seen in training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.graph.bonds import BOND_KINDS
from gnnformd.graph.build import build_graph
from gnnformd.graph.distances import SEARCHED_SHARE

if TYPE_CHECKING:
    from gnnformd.inference.domain import Domain
    from gnnformd.model.files.model_file import LoadedModel
    from gnnformd.trajectory.frame import Frame

__all__ = ["SeenPairs"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_RELATIONS = ("not bonded", "bonded", "second neighbors along bonds", "third neighbors along bonds")


@dataclass(frozen=True)
class SeenPairs:
    """The kinds of bond and pairs of types in the training data of a model, whose functions of others saw no data.

    Attributes
    ----------
    model
        Path of the model.
    type_names
        Of the model.
    reach
        Pairs were searched up to this distance, angstrom.
    pairs
        Whether atoms with a kind of bond and types from 0 were in the data, (4, T, T); None if it is not known.
    bonds
        Whether there were bonds in the data, or may have been.
    """

    model: str
    type_names: tuple[str, ...]
    reach: float
    pairs: NDArray[np.bool_] | None
    bonds: bool

    @classmethod
    def of(cls, loaded: LoadedModel) -> SeenPairs:
        """Take them from the card of a model, and from its contact distances."""
        card, count = loaded.card, len(loaded.card.type_names)
        pairs = np.zeros((BOND_KINDS, count, count), dtype=bool)
        for key in card.closest_pairs:
            pairs[key] = True
        known = pairs.any() and all("closest_pairs" in entry for entry in card.trained_on)
        bonds = bool(pairs[1:].any())
        if not known:  # files of before had contact distances only, which end at a shorter distance
            seen = [k for k in np.ndindex(pairs.shape) if loaded.model.closest_in_data(*k) is not None]
            bonds = bonds or not card.trained_on or not seen or any(kind > 0 for kind, _, _ in seen)
        reach = SEARCHED_SHARE * loaded.model.cutoff
        return cls(str(loaded.path), card.type_names, reach, pairs if known else None, bonds)

    def without_unseen_bonds(self, frame: Frame) -> Frame:
        """Leave the bonds out where the model has seen none: all pairs were then "not bonded" in its training."""
        return frame if self.bonds or frame.bonds is None else replace(frame, bonds=None)

    def check(self, source: object, frame: Frame) -> None:
        """Refuse atoms that are close to each other, of which the model has seen no such pair.

        Parameters
        ----------
        source
            Where the frame comes from, for the sentence.
        frame
            With the model's types.

        Raises
        ------
        InputError
            Names two atoms.
        """
        if self.pairs is None:
            return
        graph = build_graph(self.without_unseen_bonds(frame), self.reach, None, dtype=torch.float64)
        center, neighbor, _, kind = (t.numpy() for t in graph.half_edges)
        distance = graph.half_edge_vectors().norm(dim=1).numpy()
        self._refuse(source, frame.ids, frame.types, (center, neighbor, kind), distance)

    def check_domain(self, source: object, domain: Domain) -> None:
        """Refuse such pairs among the atoms of one rank and their ghosts; see `check`.

        Raises
        ------
        InputError
            Names two atoms.
        """
        if self.pairs is None:
            return
        center, neighbor, kind = domain.lists.half_edges()
        distance = np.linalg.norm(domain.positions[neighbor] - domain.positions[center], axis=1)
        near = distance < self.reach
        edges = (center[near], neighbor[near], kind[near])
        self._refuse(source, domain.ids, domain.types, edges, distance[near])

    def _refuse(self, source: object, ids: Int, types: Int, edges: tuple[Int, Int, Int], distance: Float) -> None:
        """Name the closest of the edges (center, neighbor, kind of bond) that the data did not have, if any."""
        assert self.pairs is not None
        center, neighbor, kind = edges
        unseen = np.flatnonzero(~self.pairs[kind, types[center] - 1, types[neighbor] - 1])
        if not len(unseen):
            return
        edge = unseen[np.argmin(distance[unseen])]
        one, other = center[edge], neighbor[edge]
        names = " and ".join(self.type_names[types[atom] - 1] for atom in (one, other))
        raise InputError(
            f"{source}: atoms {ids[one]} and {ids[other]} ({names}, {_RELATIONS[kind[edge]]}) are "
            f"{distance[edge]:.3g} angstrom apart, but no such pair was in the training data of {self.model}, so their "
            "forces would be arbitrary; train it on data with such pairs."
        )
