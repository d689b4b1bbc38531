"""TrainingRange: how far the training data of a model went, and so where it extrapolates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.distances import of_edges
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.radial import INNER
from gnnformd.model.density.repulsion import MARGIN
from gnnformd.model.files.model_file import LoadedModel

__all__ = ["ClosePair", "TrainingRange", "Unstable", "nearest_pair"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

BEYOND = 1.5
"""Of the largest force in training. A hundred times as many Gaussian forces have a largest one that is less than 1.3
times as large, so that no sound simulation comes here by chance."""

BELOW = 0.9
"""Of the closest approach in training, for the same reason."""


class Unstable(Exception):
    """The simulation has left physics: a verdict on the model or the timestep, not a fault of the program.

    Attributes
    ----------
    step
        Step at which it was noticed.
    reason
        One sentence.
    """

    def __init__(self, step: int, reason: str) -> None:
        super().__init__(f"step {step}: {reason}")
        self.step = step
        self.reason = reason

    def __reduce__(self) -> tuple[type[Unstable], tuple[int, str]]:
        """Travel from one rank to another."""
        return Unstable, (self.step, self.reason)


@dataclass(frozen=True)
class ClosePair:
    """Two atoms that are closer than contact.

    Attributes
    ----------
    one, other
        Ids of the atoms, or their rows.
    distance, contact
        angstrom.
    """

    one: int
    other: int
    distance: float
    contact: float

    def named(self, ids: Int) -> ClosePair:
        """Put ids in the place of rows."""
        return replace(self, one=int(ids[self.one]), other=int(ids[self.other]))

    def __str__(self) -> str:
        """Say which atoms, and how far apart."""
        first, second = sorted((self.one, self.other))
        return f"atoms {first} and {second} are {self.distance:.3g} angstrom apart"


@dataclass(frozen=True)
class TrainingRange:
    """Limits that the training data of a model set.

    Attributes
    ----------
    contact
        Contact distances, 0.95 of the closest approach in training (in up to 256 frames), for each kind of bond and
        pair of types, angstrom, (4, T, T); zero where it is not known.
    largest_force
        1.5 times the largest force on an atom of each type in training, kcal/mol/angstrom, (T,); infinite where it is
        not known.
    blind_below
        Share of the contact distance below which the model no longer sees how close two atoms are.
    """

    contact: Tensor
    largest_force: Float
    blind_below: float

    @classmethod
    def of(cls, loaded: LoadedModel) -> TrainingRange:
        """Take the limits of a model."""
        card, count = loaded.card, len(loaded.card.type_names)
        forces = np.array([np.inf if force is None else BEYOND * force for force in card.largest_forces])
        if isinstance(loaded.model, DensityModel):
            return cls(loaded.model.contacts.distances.detach().cpu().double(), forces, INNER)
        contact = torch.zeros(4, count, count, dtype=torch.float64)
        for key, distance in card.closest_pairs.items():
            contact[key] = MARGIN * distance
        return cls(contact, forces, 0.0)

    def contact_of_edges(self, graph: AtomicGraph) -> Tensor:
        """Contact distance of each half edge, angstrom, (E/2,)."""
        return of_edges(self.contact.to(graph.type_index.device), graph)

    def check_sight(self, step: int, nearest: ClosePair | None) -> None:
        """Stop when two atoms are so close that the model no longer sees how close.

        Raises
        ------
        Unstable
            With the atoms.
        """
        if nearest is not None and nearest.distance < self.blind_below * nearest.contact:
            limit = self.blind_below * nearest.contact
            raise Unstable(step, f"{nearest}; below {limit:.3g} the model cannot judge their distance.")

    def leaves(self, ids: Int, types: Int, forces: Float, nearest: ClosePair | None) -> str | None:
        """Say in one sentence what lies beyond the training data, or None if nothing does.

        Parameters
        ----------
        ids, types
            Of the atoms, (N,); types from 1.
        forces
            kcal/mol/angstrom, (N, 3).
        nearest
            The pair of atoms that is closest in contact distances, by ids, if it is closer than one.
        """
        if nearest is not None and nearest.distance < BELOW / MARGIN * nearest.contact:
            return f"{nearest}, closer than all such pairs in training (from {nearest.contact / MARGIN:.3g} on)."
        return self._large_force(ids, types, forces)

    def _large_force(self, ids: Int, types: Int, forces: Float) -> str | None:
        limit = self.largest_force[types - 1]
        squares = (forces * forces).sum(axis=1)
        beyond = np.flatnonzero(squares > limit * limit)
        if len(beyond) == 0:
            return None
        worst = beyond[np.argmax(squares[beyond] / limit[beyond] ** 2)]
        return (
            f"the force on atom {ids[worst]} is {np.sqrt(squares[worst]):.4g} kcal/mol/angstrom, in training at most "
            f"{limit[worst] / BEYOND:.4g}."
        )


def nearest_pair(squared: Tensor, contact: Tensor, center: Tensor, neighbor: Tensor) -> ClosePair | None:
    """Find the pair that is closest in contact distances, by rows, if it is closer than one.

    Parameters
    ----------
    squared
        Squared distances of edges, angstrom^2, (E,).
    contact
        Their contact distances, angstrom, (E,).
    center, neighbor
        Their atoms, (E,).
    """
    wrong = torch.nonzero(squared < contact * contact).squeeze(1)
    if len(wrong) == 0:
        return None
    edge = int(wrong[(squared[wrong] / contact[wrong].square()).argmin()])
    return ClosePair(int(center[edge]), int(neighbor[edge]), float(squared[edge].sqrt()), float(contact[edge]))
