"""SeenPairs: the kinds of bond and pairs of types that a model has seen in training, and atoms that are others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.bonds import BOND_KINDS
from gnnformd.graph.build import build_graph
from gnnformd.graph.distances import SEARCHED_SHARE

if TYPE_CHECKING:
    from gnnformd.inference.domain import Domain
    from gnnformd.model.files.model_file import LoadedModel
    from gnnformd.trajectory.frame import Frame

__all__ = ["SeenPairs", "UnseenPairs"]

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
        Whether atoms with a kind of bond and types from 0 were in the data, (4, T, T); None if it is not known, or
        where the model knows atoms by their parameters alone, so that those of other data have no types of its own.
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
        return cls(str(loaded.path), card.type_names, reach, pairs if known and loaded.knows_types else None, bonds)

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
        unseen = self.unseen_in_graph(graph, frame.ids)
        self._refuse(source, unseen.closest(graph.positions.numpy(), graph.cells[0].numpy()))

    def check_domain(self, source: object, domain: Domain) -> None:
        """Refuse such pairs among the atoms of one rank and their ghosts; see `check`.

        Raises
        ------
        InputError
            Names two atoms.
        """
        self._refuse(source, self.unseen_in_domain(domain).closest(domain.positions))

    def unseen_in_graph(self, graph: AtomicGraph, ids: Int) -> UnseenPairs:
        """Take those pairs of a graph of which there were none in training; none where that is not known.

        Parameters
        ----------
        graph
            With the model's types.
        ids
            Of its atoms, (N,).
        """
        types = graph.type_index.numpy(force=True)
        center, neighbor, shift, kind = (t.numpy(force=True) for t in graph.half_edges)
        if not self._may_meet(types):
            bonded = np.flatnonzero(kind)
            center, neighbor, shift, kind = center[bonded], neighbor[bonded], shift[bonded], kind[bonded]
        return self._unseen(ids, types, (center, neighbor, kind), shift)

    def unseen_in_domain(self, domain: Domain) -> UnseenPairs:
        """Take those pairs of the atoms of one rank and their ghosts; as `unseen_in_graph`."""
        types, lists = domain.types - 1, domain.lists
        return self._unseen(
            domain.ids, types, lists.half_edges() if self._may_meet(types) else lists.bonded_half_edges(), None
        )

    def _may_meet(self, types: NDArray[np.integer]) -> bool:
        """Whether two atoms of these types (from 0) that are not bonded can be such a pair; most systems have none."""
        present = np.unique(types)
        return self.pairs is not None and not bool(self.pairs[0][np.ix_(present, present)].all())

    def _unseen(
        self, ids: Int, types: Int, edges: tuple[Int, Int, Int], shift: NDArray[np.floating] | None
    ) -> UnseenPairs:
        center, neighbor, kind = edges
        rows = np.empty(0, np.int64)
        if self.pairs is not None:
            rows = np.flatnonzero(~self.pairs[kind, types[center], types[neighbor]])
        names = np.array(self.type_names)[types] if len(rows) else np.empty(0, str)
        chosen: Float | None = None if shift is None else shift[rows].astype(np.float64)
        return UnseenPairs(self.reach, ids, names, center[rows], neighbor[rows], kind[rows], chosen)

    def _refuse(self, source: object, atoms: str | None) -> None:
        if atoms is not None:
            raise InputError(
                f"{source}: {atoms}, but no such pair was in the training data of {self.model}, so their forces would "
                "be arbitrary; train it on data with such pairs."
            )


@dataclass(frozen=True)
class UnseenPairs:
    """Neighbors of which a model has seen no such pair in training.

    Attributes
    ----------
    reach
        Pairs were searched in training up to this distance, angstrom.
    ids, names
        Of all atoms, (N,).
    center, neighbor, kind
        Rows of the atoms and kind of bond of each pair, (K,).
    shift
        Lattice vectors from one to the other, (K, 3); None where copies of atoms are atoms themselves.
    """

    reach: float
    ids: Int
    names: NDArray[np.str_]
    center: Int
    neighbor: Int
    kind: Int
    shift: Float | None

    def closest(self, positions: Float, cell: Float | None = None) -> str | None:
        """Say how far the closest two atoms are apart, by their ids; None if all are farther apart than `reach`.

        Parameters
        ----------
        positions
            angstrom, (N, 3).
        cell
            Rows are the lattice vectors, angstrom, (3, 3); for pairs with a shift.
        """
        if len(self.center) == 0:
            return None
        vectors = positions[self.neighbor] - positions[self.center]
        if self.shift is not None:
            assert cell is not None
            vectors = vectors + self.shift @ cell
        squares = np.einsum("ka,ka->k", vectors, vectors)
        pair = int(np.argmin(squares))
        if squares[pair] >= self.reach**2:
            return None
        one, other = self.center[pair], self.neighbor[pair]
        return (
            f"atoms {self.ids[one]} and {self.ids[other]} ({self.names[one]} and {self.names[other]}, "
            f"{_RELATIONS[self.kind[pair]]}) are {np.sqrt(squares[pair]):.3g} angstrom apart"
        )
