"""TrainingRange: how far the training data of a model went, and so where it extrapolates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnformd.errors import InputError
from gnnformd.force_field import ForceField
from gnnformd.graph.distances import CONTACT_SHARE
from gnnformd.model.engine import ClosePair
from gnnformd.model.files.model_file import LoadedModel
from gnnformd.trajectory.frame import Frame
from gnnformd.units import SHOWN, ShownUnits

__all__ = [
    "UNUSUAL",
    "TrainingRange",
    "Unstable",
    "refuse_missing_charges",
    "refuse_unknown_types",
    "unusual_surroundings",
]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

BEYOND = 1.5
"""Of the largest force in training. A hundred times as many Gaussian forces have a largest one that is less than 1.3
times as large, so that no sound simulation comes here by chance."""

BELOW = 0.9
"""Of the closest approach in training, for the same reason."""

UNUSUAL = 2.0
"""Largest extrapolation grade of atoms that are like those in training. In simulations that are sound single atoms are
above for moments (in up to 5 % of the steps, ``docs/results.md``), so that it ends none."""


def refuse_unknown_types(loaded: LoadedModel, types: NDArray[np.integer]) -> None:
    """Refuse atoms of a type that the model does not know; types from 1, 0 for one that is none of the model's.

    Raises
    ------
    InputError
        There are such atoms.
    """
    known, highest, lowest = len(loaded.card.type_names), int(types.max(initial=1)), int(types.min(initial=1))
    if highest > known or lowest < 1:
        which = f"type {highest}, but the model {loaded.path} knows only {known}"
        if lowest < 1:
            which = f"a type that is none of those of the model {loaded.path}"
        raise InputError(
            f"the system has atoms of {which} ({', '.join(loaded.card.type_names)}); choose a model of this system."
        )


def needs_charges(loaded: LoadedModel) -> bool:
    """Whether the model has the Coulomb energy of charges that its data had."""
    charged = any(entry.get("largest_charge") for entry in loaded.card.trained_on)
    return loaded.model.long_range is not None and charged


def refuse_missing_charges(loaded: LoadedModel, frame: Frame, force_field: ForceField | None) -> None:
    """Refuse atoms whose charges are not known where the model has the Coulomb energy of the charges in its data.

    Raises
    ------
    InputError
        Neither the frame nor a force field has charges.
    """
    if frame.charges is None and force_field is None and needs_charges(loaded):
        raise InputError(
            f"the model {loaded.path} has the Coulomb energy of the atoms' charges, which are not known "
            f"({frame.name}); give a LAMMPS data file with charges as topology, a force field, or name their column "
            "(--key charges=NAME)."
        )


def unusual_surroundings(ids: Int, grades: Float | None) -> str | None:
    """Say in one sentence which atom has surroundings like none in training; None if there is no such atom.

    Parameters
    ----------
    ids
        Of the atoms, (N,).
    grades
        Their extrapolation grades, (N,), or None.
    """
    if grades is None or not (grades > UNUSUAL).any():  # what is not known is NaN
        return None
    worst = int(np.nanargmax(grades))
    return f"the surroundings of atom {ids[worst]} are like none in training (extrapolation grade {grades[worst]:.3g})."


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
class TrainingRange:
    """Limits that the training data of a model set.

    Attributes
    ----------
    contact
        Contact distances, 0.95 of the closest approach in training, for each kind of bond and pair of types, angstrom,
        (4, T, T); zero where it is not known.
    largest_force
        1.5 times the largest force on an atom of each type in training, kcal/mol/angstrom, (T,); infinite where it is
        not known.
    blind_below
        Share of the contact distance below which the model no longer sees how close two atoms are.
    units
        That sentences speak.
    """

    contact: Tensor
    largest_force: Float
    blind_below: float
    units: ShownUnits = SHOWN["real"]

    @classmethod
    def of(cls, loaded: LoadedModel) -> TrainingRange:
        """Take the limits of a model."""
        card, count = loaded.card, len(loaded.card.type_names)
        forces = np.array([np.inf if force is None else BEYOND * force for force in card.largest_forces])
        known = loaded.model.contact_distances
        if known is not None:
            return cls(known, forces, loaded.model.blind_below, SHOWN[card.shown_units])
        contact = torch.zeros(4, count, count, dtype=torch.float64)
        for key, distance in card.closest_pairs.items():
            contact[key] = CONTACT_SHARE * distance
        return cls(contact, forces, loaded.model.blind_below, SHOWN[card.shown_units])

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

    def leaves(self, ids: Int, types: Int, forces: Float, nearest: ClosePair | None, unseen: str | None) -> str | None:
        """Say in one sentence what lies beyond the training data, or None if nothing does.

        Parameters
        ----------
        ids, types
            Of the atoms, (N,); types from 1.
        forces
            kcal/mol/angstrom, (N, 3).
        nearest
            The pair of atoms that is closest in contact distances, by ids, if it is closer than one.
        unseen
            How far two atoms are apart of which there was no such pair in training, or None (see
            `gnnformd.inference.seen_pairs.UnseenPairs`).
        """
        if unseen is not None:
            return f"{unseen}, but no such pair was in training."
        if nearest is not None and nearest.distance < BELOW / CONTACT_SHARE * nearest.contact:
            return f"{nearest}, closer than all such pairs in training (from {nearest.contact / CONTACT_SHARE:.3g} on)."
        return self._large_force(ids, types, forces)

    def _large_force(self, ids: Int, types: Int, forces: Float) -> str | None:
        squares = np.einsum("ij,ij->i", forces, forces)
        if squares.max(initial=0.0) <= self.largest_force.min() ** 2:
            return None
        limit = self.largest_force[types - 1]
        beyond = np.flatnonzero(squares > limit * limit)
        if len(beyond) == 0:
            return None
        worst = beyond[np.argmax(squares[beyond] / limit[beyond] ** 2)]
        force, largest = (self.units.force * size for size in (np.sqrt(squares[worst]), limit[worst] / BEYOND))
        return (
            f"the force on atom {ids[worst]} is {force:.4g} {self.units.force_unit}, in training at most {largest:.4g}."
        )
