"""What makes data doubtful: said by ``inspect`` and warned of by ``train``, never a reason to stop."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from gnnformd.force_field import ForceField
from gnnformd.trajectory.frame import Float, Frame, Int

__all__ = ["Suspicions", "frame_digest", "frame_key", "suspicious_split"]

SEARCHED, OVERLAP = 2.0, 0.5  # angstrom
_HUGE_FORCE = 1000.0  # kcal/mol/angstrom
_STILL = 1e-3  # angstrom
_NET_CHARGE = 1e-3  # e
_NET_FORCE = 0.3
_SMALL, _LARGE = 0.1, 5.0
"""Forces over those of the bonds: 0.25 in water at rest, where others cancel them, 0.85 in the liquid."""

_COMPARED, _MOST_ATOMS = 5, 20_000
"""Frames that are compared with the force field, and atoms of the largest."""


class Suspicions:
    """Looks at frames one by one and remembers what is doubtful; memory grows by a few bytes a frame.

    Parameters
    ----------
    force_field
        What the frames are compared with, or None.

    Attributes
    ----------
    closest, largest_force
        Distance of the two atoms closest to each other (angstrom; infinity where it is above 2) and largest norm of a
        force (kcal/mol/angstrom), each with its timestep.
    largest_sum
        Largest norm of the sum of all forces of a frame, kcal/mol/angstrom.
    """

    def __init__(self, force_field: ForceField | None = None) -> None:
        self.force_field = force_field
        self.closest: tuple[float, int] = (math.inf, 0)
        self.largest_force: tuple[float, int] = (0.0, 0)
        self.largest_sum = 0.0
        self._frames = self._with_forces = 0
        self._net_force = 0.0  # sum over frames of |sum F| over what independent numbers of this size would give
        self._squares = np.zeros(2)  # of the forces, and of those that the force field gives
        self._compared = 0
        self._net_charge: tuple[float, int] = (0.0, 0)
        self._seen: set[int] = set()
        self._repeated: list[int] = []
        self._first: Float | None = None
        self._alike = True
        self._without_bonds = False

    def add(self, frame: Frame) -> None:
        """Look at a frame."""
        self._frames += 1
        self._add_positions(frame)
        if frame.forces is not None:
            self._add_forces(frame, frame.forces)
        charge = net_charge(frame, self.force_field)
        if abs(charge) > abs(self._net_charge[0]):
            self._net_charge = charge, frame.timestep
        if self.force_field is not None and self.force_field.bonds and frame.bonds is None:
            self._without_bonds = True

    def _add_positions(self, frame: Frame) -> None:
        distance = _closest_pair(frame)
        if distance < self.closest[0]:
            self.closest = distance, frame.timestep
        key = frame_key(frame)
        if key in self._seen:
            self._repeated.append(frame.timestep)
        self._seen.add(key)
        self._first = frame.positions if self._first is None else self._first
        same_size = self._first.shape == frame.positions.shape
        self._alike &= same_size and bool(np.abs(frame.positions - self._first).max() < _STILL)

    def _add_forces(self, frame: Frame, forces: Float) -> None:
        self._with_forces += 1
        norms, total = np.linalg.norm(forces, axis=1), float(np.linalg.norm(forces.sum(axis=0)))
        if norms.max() > self.largest_force[0]:
            self.largest_force = float(norms.max()), frame.timestep
        self.largest_sum = max(self.largest_sum, total)
        size = float(np.linalg.norm(norms))  # what |sum F| would be for forces without relation
        self._net_force += total / size if size > 0 and len(norms) > 2 else 0.0
        if self.force_field is not None and self._compared < _COMPARED and len(norms) <= _MOST_ATOMS:
            known = _classical_forces(frame, self.force_field)
            if known is not None:
                self._compared += 1
                self._squares += [(forces**2).mean(), (known**2).mean()]

    def sentences(self) -> list[str]:
        """Say what is doubtful, and what it may come from."""
        found = []
        missing = self._frames - self._with_forces
        if missing:
            found.append(f"{missing} of {self._frames} frames have no forces and cannot be trained on.")
        if self.closest[0] < OVERLAP:
            distance, timestep = self.closest
            found.append(f"atoms overlap: two are {distance:.3g} angstrom apart at timestep {timestep}.")
        return found + self._about_forces() + self._about_frames()

    def _about_forces(self) -> list[str]:
        found = []
        if self.largest_force[0] > _HUGE_FORCE:
            size, timestep = self.largest_force
            found.append(f"forces are huge: {size:.3g} kcal/mol/angstrom on an atom at timestep {timestep}.")
        if self._with_forces and self.largest_force[0] == 0:
            found.append("all forces are zero: was the dump written before they were computed?")
        elif self._net_force > _NET_FORCE * self._with_forces:
            found.append(
                "the forces of a frame do not sum to zero, not even roughly: without walls or fields outside, they may "
                "be other numbers than forces, or atoms are missing."
            )
        own, known = np.sqrt(self._squares / max(self._compared, 1))
        if known > 0 and own > 0 and not _SMALL < own / known < _LARGE:
            found.append(
                f"the forces are {own / known:.3g} times as large as those of the force field: are they forces, and in "
                "kcal/mol/angstrom?"
            )
        return found

    def _about_frames(self) -> list[str]:
        found = []
        if self._repeated:
            steps = ", ".join(map(str, self._repeated[:5])) + (", ..." if len(self._repeated) > 5 else "")
            found.append(f"{len(self._repeated)} frames have the positions of an earlier frame (timesteps {steps}).")
        elif self._frames > 1 and self._alike:
            found.append(f"all frames are alike: no atom moves by {_STILL:g} angstrom.")
        if abs(self._net_charge[0]) > _NET_CHARGE:
            charge, timestep = self._net_charge
            found.append(f"the charges do not sum to zero but to {charge:.4g} e at timestep {timestep}.")
        if self._without_bonds:
            found.append(
                "the force field has bonds, but those of the atoms are not known, so every pair counts as not bonded; "
                "name a LAMMPS data file as topology."
            )
        return found


def suspicious_split(training: Sequence[int], validation: Sequence[int]) -> list[str]:
    """Say how many frames stand on both sides, and how many are trained on twice; they are told by `frame_key`."""
    found = []
    known = set(training)
    both = sum(key in known for key in validation)
    if both:
        found.append(
            f"{both} of {len(validation)} validation frames are training frames, too: the error will be too low."
        )
    again = len(training) - len(set(training))
    if again:
        found.append(f"{again} of {len(training)} training frames have the positions of another one.")
    return found


def frame_key(frame: Frame) -> int:
    """Return a number that is the same for frames with the same positions."""
    return hash(np.ascontiguousarray(frame.positions).tobytes())


def frame_digest(frame: Frame) -> str:
    """Return twelve characters, on any machine the same for frames in which the first 64 atoms stand alike."""
    return hashlib.sha256(np.ascontiguousarray(frame.positions[:64]).tobytes()).hexdigest()[:12]


def net_charge(frame: Frame, force_field: ForceField | None) -> float:
    """Sum of the charges, those of the frame or else those of its types, e; 0 where none are known."""
    if frame.charges is not None:
        return float(frame.charges.sum())
    if force_field is None or frame.types.max() > len(force_field.types):
        return 0.0
    return float(np.array([kind.charge for kind in force_field.types])[frame.types - 1].sum())


def _classical_forces(frame: Frame, field: ForceField) -> Float | None:
    """Find forces of the size of the frame's: of the bonds, or of Lennard-Jones without bonds and charges, or None."""
    if field.bonds and frame.bonds is not None and len(frame.bonds):
        return _bond_forces(frame, field)
    plain = not field.bonds and all(kind.charge == 0 for kind in field.types)
    return _pair_forces(frame, field) if plain and frame.types.max() <= len(field.types) else None


def _bond_forces(frame: Frame, field: ForceField) -> Float | None:
    """Harmonic forces along bonds, ``-2 k (r - r0)``."""
    known = {tuple(sorted(bond.types)): bond for bond in field.bonds}
    assert frame.bonds is not None
    i, j = frame.bonds.T
    kinds = [known.get(tuple(sorted(pair))) for pair in frame.types[frame.bonds].tolist()]
    if None in kinds:
        return None
    vectors = frame.positions[j] - frame.positions[i]
    shifts = np.round(vectors @ np.linalg.inv(frame.cell)) * frame.periodic
    vectors = vectors - shifts @ frame.cell
    r = np.linalg.norm(vectors, axis=1)
    stiffness, length = np.array([(b.stiffness, b.length) for b in kinds if b is not None]).T
    return _sum_pairs(len(frame.types), i, j, 2 * stiffness * (r - length), vectors, r)


def _pair_forces(frame: Frame, field: ForceField) -> Float:
    """Lennard-Jones forces between all pairs closer than three diameters."""
    epsilon = np.array([kind.epsilon for kind in field.types])[frame.types - 1]
    sigma = np.array([kind.sigma for kind in field.types])[frame.types - 1]
    i, j, vectors, r = _neighbors(frame, max(min(3 * float(sigma.max()), field.lj_cutoff), 1.0))
    r = np.maximum(r, 1e-3)
    power = (np.sqrt(sigma[i] * sigma[j]) / r) ** 6
    pull = -24 * np.sqrt(epsilon[i] * epsilon[j]) / r * (2 * power**2 - power)
    return _sum_pairs(len(frame.types), i, j, pull, vectors, r)


def _sum_pairs(atoms: int, i: Int, j: Int, pull: Float, vectors: Float, r: Float) -> Float:
    """Sum forces ``pull`` along the vectors from i to j."""
    forces = np.zeros((atoms, 3))
    along = (pull / np.maximum(r, 1e-3))[:, None] * vectors
    np.add.at(forces, i, along)
    np.add.at(forces, j, -along)
    return forces


def _neighbors(frame: Frame, cutoff: float) -> tuple[Int, Int, Float, Float]:
    from vesin import NeighborList

    i, j, vectors, r = NeighborList(cutoff=cutoff, full_list=False).compute(
        points=frame.positions, box=frame.cell, periodic=np.array(frame.periodic), quantities="ijDd"
    )
    return i.astype(np.int64), j.astype(np.int64), vectors, r


def _closest_pair(frame: Frame) -> float:
    """Smallest distance, angstrom; infinity where none is below the range of the search."""
    return float(np.min(_neighbors(frame, SEARCHED)[3], initial=math.inf))
