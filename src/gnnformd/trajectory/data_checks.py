"""Checks for problems in data, reported by ``inspect`` and as warnings of ``train``."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

import numpy as np

from gnnformd.errors import InputError
from gnnformd.force_field import ForceField
from gnnformd.trajectory.frame import Float, Frame, Int
from gnnformd.trajectory.work_of_forces import WorkOfForces
from gnnformd.units import KCAL_PER_MOL_PER_EV, PRESSURE_ATM

__all__ = ["DataChecks", "check_split", "frame_digest", "frame_key", "position_digest", "sampled_problems"]

OVERLAP = 0.5  # angstrom
_SEARCHED = (2.0, 4.0, 10.0)
"""Distances within which the closest pair is searched, one after another until there is one, angstrom."""

_FORCE_UNITS = {"metal": ("eV/angstrom", 1 / KCAL_PER_MOL_PER_EV)}
"""Unit of forces in data of a style, and how many are one kcal/mol/angstrom, which is that of other styles here."""

_MAX_FORCE = 1000.0  # kcal/mol/angstrom
_MIN_DISPLACEMENT = 1e-3  # angstrom
_MAX_NET_CHARGE = 1e-3  # e
_RIGID = 1e-3  # angstrom
_MAX_NET_FORCE = 0.3
_HELD_NET_FORCE = 0.02
"""Sum of the forces along an axis over their size, from which on forces of exactly zero are those of held atoms."""

_FLAT, _THIN = 1e-6, 3.0
"""Largest differences of coordinates, angstrom, and of forces relative to the largest, of atoms in a plane; thickness
of a periodic box below which they are neighbors of their own images, angstrom."""

_FEW_FORCES = 3
"""Number of atoms below which sums of forces are not judged."""

_SAME_ENERGIES = 3
"""Number of frames from which on equal energies are no chance."""

_SURROUNDINGS, _LOPSIDED = 5.0, 1e-3
"""Distance of the neighbors of an atom, angstrom, and share of their unit vectors, weighed by a function that falls to
zero there, that their sum may be where symmetry lets no force act on it."""

_MAX_STRESS = 400.0  # GPa; it is 360 at the center of the earth
_GPA = PRESSURE_ATM * 101325e-9
"""kcal/mol/angstrom^3 in GPa."""

_MAX_ASYMMETRY = 0.02
"""Of a virial, and of its difference from ``sum_i x_i f_i`` in empty space, relative to its size."""

_MIN_FORCE_RATIO, _MAX_FORCE_RATIO = 0.1, 5.0
"""Bounds of rms force over rms bond force, which is 0.25 in minimized and 0.85 in liquid water."""

_COMPARED_FRAMES, _MAX_ATOMS = 5, 20_000
"""Number of frames that are compared with the force field, and their largest number of atoms."""


class DataChecks:
    """Checks frames one by one for problems; memory grows by a few bytes per frame.

    Parameters
    ----------
    force_field
        Force field of the data, or None.
    units
        Unit style that the data had; sentences speak in its unit of forces.

    Attributes
    ----------
    shortest_distance, largest_force
        Shortest distance of two atoms (angstrom; infinity where it is above 10) and largest norm of a force
        (kcal/mol/angstrom), each with the name of its frame.
    largest_net_force
        Largest norm of the sum of all forces of a frame, kcal/mol/angstrom.
    """

    def __init__(self, force_field: ForceField | None = None, units: str = "real") -> None:
        self.force_field = force_field
        self._force_unit, self._force_factor = _FORCE_UNITS.get(units, ("kcal/mol/angstrom", 1.0))
        self.shortest_distance: tuple[float, str] = (math.inf, "")
        self.largest_force: tuple[float, str] = (0.0, "")
        self.largest_net_force = 0.0
        self._frames = self._with_forces = self._of_many_atoms = self._energies_alone = 0
        self._net_force = 0.0  # sum over frames of |sum F| / sqrt(sum F^2), about 1 for independent forces
        self._squares = np.zeros(2)  # mean squares of the forces, and of those of the force field
        self._compared = 0
        self._held: tuple[int, str] = (0, "")
        self._energies: set[float] = set()
        self._other_energies = (math.inf, -math.inf)  # per atom, range of those that are not zero
        self._zero: dict[str, list[str]] = {"energy": [], "forces": [], "virial": []}  # frames where it is exactly zero
        self._with_energy = 0
        self._net_charge: tuple[float, str] = (0.0, "")
        self._seen: set[int] = set()
        self._repeated: list[str] = []
        self._first: Frame | None = None
        self._unchanged = True
        self._without_bonds = False
        self._largest_stress: tuple[float, str] = (0.0, "")
        self._skewed_virial: str | None = None
        self._wrong_virial: str | None = None
        self._work = WorkOfForces()
        self._thickness = np.zeros(3)  # of the box along the axes along which all atoms are at one place

    def add(self, frame: Frame) -> None:
        """Check a frame."""
        self._frames += 1
        self._work.add(frame)
        flat = _thickness_where_flat(frame)
        self._thickness = flat if self._frames == 1 else np.where(flat > 0, self._thickness, 0.0)
        self._add_positions(frame)
        if frame.forces is not None:
            self._add_forces(frame, frame.forces)
        elif frame.energy is not None or frame.virial is not None:
            self._energies_alone += 1
        if frame.virial is not None:
            self._add_virial(frame, frame.virial)
        if frame.energy is not None:
            self._with_energy += 1
            self._energies.add(frame.energy)
            if len(frame.types) > 1:
                self._add_energy(frame, frame.energy / len(frame.types))
        charge = net_charge(frame, self.force_field)
        if abs(charge) > abs(self._net_charge[0]):
            self._net_charge = charge, frame.name
        if self.force_field is not None and self.force_field.bonds and frame.bonds is None:
            self._without_bonds = True

    def follow(self, frame: Frame) -> None:
        """Compare energy and forces of a frame with those of the last one that was added; check nothing else."""
        self._work.add(frame)

    def _add_positions(self, frame: Frame) -> None:
        distance = _shortest_distance(frame, self.shortest_distance[0])
        if distance < self.shortest_distance[0]:
            self.shortest_distance = distance, frame.name
        key = frame_key(frame)
        if key in self._seen:
            self._repeated.append(frame.name)
        self._seen.add(key)
        self._first = frame if self._first is None else self._first
        self._unchanged &= _same(self._first, frame)

    def _add_forces(self, frame: Frame, forces: Float) -> None:
        self._with_forces += 1
        self._of_many_atoms += len(forces) > 1
        norms, total = np.linalg.norm(forces, axis=1), float(np.linalg.norm(forces.sum(axis=0)))
        if norms.max() > self.largest_force[0]:
            self.largest_force = float(norms.max()), frame.name
        self.largest_net_force = max(self.largest_net_force, total)
        if not forces.any() and _is_lopsided(frame):
            self._zero["forces"].append(frame.name)
        held = _held_atoms(forces)
        if held > self._held[0]:
            self._held = held, frame.name
        size = float(np.linalg.norm(norms))  # expected |sum F| of independent forces
        self._net_force += total / size if size > 0 and len(norms) >= _FEW_FORCES else 0.0
        if self.force_field is not None and self._compared < _COMPARED_FRAMES and len(norms) <= _MAX_ATOMS:
            known = _classical_forces(frame, self.force_field)
            if known is not None:
                self._compared += 1
                self._squares += [(forces**2).mean(), (known**2).mean()]

    def _add_energy(self, frame: Frame, per_atom: float) -> None:
        if per_atom == 0.0:
            self._zero["energy"].append(frame.name)
        else:
            low, high = self._other_energies
            self._other_energies = min(low, per_atom), max(high, per_atom)

    def _add_virial(self, frame: Frame, virial: Float) -> None:
        size = float(np.abs(virial).max())
        if size == 0.0 and frame.forces is not None and frame.forces.any():
            self._zero["virial"].append(frame.name)
        if all(frame.periodic):
            stress = size / abs(float(np.linalg.det(frame.cell))) * _GPA
            self._largest_stress = max(self._largest_stress, (stress, frame.name))
        if float(np.abs(virial - virial.T).max()) > _MAX_ASYMMETRY * size:
            self._skewed_virial = frame.name
        if not any(frame.periodic) and frame.forces is not None:
            middle = frame.positions - frame.positions.mean(axis=0)
            known = middle.T @ frame.forces
            size = max(size, float(np.abs(known).max()))
            if float(np.abs(virial + virial.T - known - known.T).max()) > 2 * _MAX_ASYMMETRY * size:
                self._wrong_virial = frame.name

    def problems(self) -> list[str]:
        """Describe the problems and possible causes, a sentence each."""
        found = []
        missing = self._frames - self._with_forces - (self._energies_alone if self._with_forces else 0)
        if missing:
            have = "has" if missing == 1 else "have"
            found.append(f"{missing} of {self._frames} frames {have} no forces and cannot be trained on.")
        if self.shortest_distance[0] < OVERLAP:
            distance, name = self.shortest_distance
            found.append(f"atoms overlap: two are {distance:.3g} angstrom apart at {name}.")
        for axis, thickness in zip("xyz", self._thickness.tolist(), strict=True):
            if thickness:
                found.append(
                    f"all atoms lie in a plane across {axis} and no force leaves it, but the periodic box is only "
                    f"{thickness:.3g} angstrom thick, so that atoms are neighbors of their own images; give a "
                    "two-dimensional system a thick box."
                )
        return found + self._zeros() + self._force_problems() + self._virial_problems() + self._frame_problems()

    @property
    def _zero_is_far(self) -> bool:
        """Whether energies that are not zero are closer to each other than to zero."""
        low, high = self._other_energies
        return low <= high and (low > high - low or -high > high - low)

    def _zeros(self) -> list[str]:
        """Zeros that stand for what was not computed."""
        why = {
            "energy": "though others are not; an energy that was not computed would be learned",
            "forces": "though symmetry does not ask for it; forces that were not computed would be learned",
            "virial": "though forces act; a stress that was not computed would be learned",
        }
        told = {
            "energy": len(self._zero["energy"]) > 1 and self._zero_is_far,  # one may be the zero of energies
            "forces": self.largest_force[0] > 0 and bool(self._zero["forces"]),
            "virial": bool(self._zero["virial"]),
        }
        what = {"energy": "an energy", "forces": "forces", "virial": "a stress or virial"}
        return [
            f"{_counted(frames)} {what[target]} of exactly zero ({_shown(frames)}), {why[target]}; leave it out of "
            "these frames."
            for target, frames in self._zero.items()
            if told[target]
        ]

    def _virial_problems(self) -> list[str]:
        found = []
        stress, name = self._largest_stress
        if stress > _MAX_STRESS:
            found.append(f"the stress is huge: {stress:.3g} GPa at {name}; is it in eV/angstrom^3, not in bar or GPa?")
        if self._skewed_virial is not None:
            found.append(
                f"the virial is not symmetric at {self._skewed_virial}; are its components in the right order?"
            )
        if self._wrong_virial is not None:
            found.append(
                f"the virial of atoms in empty space is not the sum of positions times forces at "
                f"{self._wrong_virial}; are its sign and its units right?"
            )
        return found

    @property
    def _moves(self) -> bool:
        return self.largest_force[0] > 0 and not self._unchanged and len(self._seen) > 1

    def _force_problems(self) -> list[str]:
        found = []
        if self.largest_force[0] > _MAX_FORCE:
            size, name = self.largest_force
            size *= self._force_factor
            found.append(f"forces are huge: {size:.3g} {self._force_unit} on an atom at {name}.")
        if self._of_many_atoms and self.largest_force[0] == 0:  # a single atom has none by symmetry
            found.append("all forces are zero; was the dump written before they were computed?")
        elif self._held[0]:
            count, name = self._held
            atoms = "1 atom" if count == 1 else f"{count} atoms"
            found.append(
                f"forces on {atoms} of {name} are exactly zero, and the others do not sum to zero; if these atoms were "
                "held, write the forces that act on them."
            )
        elif self._net_force > _MAX_NET_FORCE * self._with_forces:
            found.append(
                "the forces of a frame do not even roughly sum to zero; without walls or external fields, the columns "
                "may not be forces, or atoms are missing."
            )
        if self._with_energy >= _SAME_ENERGIES and len(self._energies) == 1 and self._moves:
            found.append(
                f"all {self._with_energy} frames have the same energy, though forces act and atoms move; write the "
                "energy of each, or leave them out (training.energy_weight: 0)."
            )
        if self._work.wrong:
            found.append(
                f"from frame to frame energies fall by {self._work.ratio:.3g} times the work of the forces instead of "
                "by this work; are they potential energies of whole frames, and are energies and forces of the same "
                f"calculation, in units that fit ({self._force_unit})?"
            )
        rms, expected = np.sqrt(self._squares / max(self._compared, 1))
        if expected > 0 and rms > 0 and not _MIN_FORCE_RATIO < rms / expected < _MAX_FORCE_RATIO:
            found.append(
                f"the forces are {rms / expected:.3g} times as large as those of the force field; are they forces in "
                f"{self._force_unit}?"
            )
        return found

    def _frame_problems(self) -> list[str]:
        found = []
        if self._repeated:
            found.append(f"{_counted(self._repeated)} the positions of an earlier frame ({_shown(self._repeated)}).")
        elif self._frames > 1 and self._unchanged:
            found.append(f"all frames are the same: no atom moves by {_MIN_DISPLACEMENT:g} angstrom.")
        if abs(self._net_charge[0]) > _MAX_NET_CHARGE:
            charge, name = self._net_charge
            found.append(f"the charges do not sum to zero but to {charge:.4g} e at {name}.")
        if self._without_bonds:
            found.append(
                "the force field has bonds, but those of the atoms are unknown, so every pair counts as not bonded; "
                "give a LAMMPS data file as topology."
            )
        return found


def sampled_problems(
    frame_of: Callable[[int], Frame], count: int, force_field: ForceField | None, units: str, most: int = 50
) -> list[str]:
    """Describe the problems that `DataChecks` finds in some of the frames, evenly spaced.

    Parameters
    ----------
    frame_of
        Gives a frame by its number.
    count
        Number of frames.
    force_field, units
        As for `DataChecks`.
    most
        About how many frames to check.
    """
    checks = DataChecks(force_field, units)
    for k in range(0, count, max(1, count // most)):
        checks.add(frame_of(k))
        if k + 1 < count:
            checks.follow(frame_of(k + 1))
    return checks.problems()


def _thickness_where_flat(frame: Frame) -> Float:
    """Thickness of a thin periodic box along axes along which all atoms are at one place without forces, or 0, (3,)."""
    if frame.forces is None or len(frame.positions) < _FEW_FORCES:
        return np.zeros(3)
    lengths, size = np.abs(np.diag(frame.cell)), max(float(np.abs(frame.forces).max()), 1e-300)
    upright = np.abs(frame.cell - np.diag(np.diag(frame.cell))).max(axis=0) == 0
    flat = (np.ptp(frame.positions, axis=0) < _FLAT) & (np.abs(frame.forces).max(axis=0) < _FLAT * size)
    return np.where(flat & upright & np.array(frame.periodic) & (lengths < _THIN), lengths, 0.0)


def _held_atoms(forces: Float) -> int:
    """Atoms with a force of exactly zero along an axis along which the forces on the others do not sum to zero."""
    if len(forces) < _FEW_FORCES:
        return 0
    zero = forces == 0.0
    size, total = np.linalg.norm(forces, axis=0), np.abs(forces.sum(axis=0))
    suspect = zero.any(axis=0) & (total > _HELD_NET_FORCE * size)
    return int(zero[:, suspect].any(axis=1).sum())


def _is_lopsided(frame: Frame) -> bool:
    """Whether the neighbors of an atom lie more on one side, so that no symmetry makes the force on it vanish."""
    i, j, vectors, r = _neighbors(frame, _SURROUNDINGS)
    weights = (1.0 - (r / _SURROUNDINGS) ** 2) ** 2
    pulls = _sum_pairs(len(frame.types), i, j, weights, vectors, r)
    sums = np.bincount(np.concatenate([i, j]), np.tile(weights, 2), minlength=len(frame.types))
    return bool((np.linalg.norm(pulls, axis=1) > _LOPSIDED * sums).any())


def check_split(training: Sequence[int], validation: Sequence[int]) -> list[str]:
    """Report frames in both parts of a split, and training frames that occur twice, by their `frame_key`."""
    found = []
    known = set(training)
    both = sum(key in known for key in validation)
    if both:
        are = "is also a training frame" if both == 1 else "are also training frames"
        found.append(f"{both} of {len(validation)} validation frames {are}; the error will be too low.")
    again = len(training) - len(set(training))
    if again:
        have = "has" if again == 1 else "have"
        found.append(f"{again} of {len(training)} training frames {have} the positions of another one.")
    return found


def _same(one: Frame, other: Frame) -> bool:
    """Whether atoms and, where something is periodic, cells of two frames are the same."""
    if not np.array_equal(one.types, other.types) or one.periodic != other.periodic:
        return False
    changes = [other.positions - one.positions, other.cell - one.cell if any(one.periodic) else np.zeros(1)]
    return all(bool(np.abs(change).max(initial=0.0) < _MIN_DISPLACEMENT) for change in changes)


def _counted(frames: Sequence[str]) -> str:
    return "1 frame has" if len(frames) == 1 else f"{len(frames)} frames have"


def _shown(frames: Sequence[str]) -> str:
    return ", ".join(_listed(frames[:5])) + (", ..." if len(frames) > 5 else "")


def _listed(names: Sequence[str]) -> list[str]:
    """Names of frames one after the other; the word ``timestep`` stands once."""
    if len(names) > 1 and all(name.startswith("timestep ") for name in names):
        return [f"timesteps {names[0].split()[1]}", *(name.split()[1] for name in names[1:])]
    return list(names)


def frame_key(frame: Frame) -> int:
    """Return a hash of types, positions, cell and periodic directions."""
    cell = frame.cell if any(frame.periodic) else np.zeros((3, 3))
    arrays = (frame.types, frame.positions, cell)
    return hash((frame.periodic, *(np.ascontiguousarray(array).tobytes() for array in arrays)))


def frame_digest(frame: Frame) -> str:
    """Return a digest of what `frame_key` has: sixteen characters, the same on every machine.

    Forces, energies and bonds are not in it: a structure is the same whoever computed its forces.
    """
    cell = frame.cell if any(frame.periodic) else np.zeros((3, 3))
    digest = hashlib.sha256(bytes(frame.periodic))
    for array in (frame.types.astype(np.int64), frame.positions, cell):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def position_digest(frame: Frame) -> str:
    """Return a digest of the positions of the first 64 atoms: twelve characters, the same on every machine."""
    return hashlib.sha256(np.ascontiguousarray(frame.positions[:64]).tobytes()).hexdigest()[:12]


def net_charge(frame: Frame, force_field: ForceField | None) -> float:
    """Sum of the charges, from the frame or else from the force field, e; 0 where they are unknown."""
    if frame.charges is not None:
        return float(frame.charges.sum())
    if force_field is None or frame.types.max() > len(force_field.types):
        return 0.0
    return float(np.array([kind.charge for kind in force_field.types])[frame.types - 1].sum())


def _classical_forces(frame: Frame, field: ForceField) -> Float | None:
    """Compute classical forces of comparable size: of bonds, or of Lennard-Jones without bonds and charges, or None."""
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
    if np.abs(r - length).max() < _RIGID:  # held by constraints, so that the bonds have no forces to compare with
        return None
    return _sum_pairs(len(frame.types), i, j, 2 * stiffness * (r - length), vectors, r)


def _pair_forces(frame: Frame, field: ForceField) -> Float:
    """Lennard-Jones forces between all pairs closer than 3 sigma."""
    epsilon = np.array([kind.epsilon for kind in field.types])[frame.types - 1]
    sigma = np.array([kind.sigma for kind in field.types])[frame.types - 1]
    i, j, vectors, r = _neighbors(frame, max(min(3 * float(sigma.max()), field.lj_cutoff), 1.0))
    r = np.maximum(r, 1e-3)
    power = (np.sqrt(sigma[i] * sigma[j]) / r) ** 6
    attraction = -24 * np.sqrt(epsilon[i] * epsilon[j]) / r * (2 * power**2 - power)
    return _sum_pairs(len(frame.types), i, j, attraction, vectors, r)


def _sum_pairs(atoms: int, i: Int, j: Int, attraction: Float, vectors: Float, r: Float) -> Float:
    """Sum pair forces ``attraction`` (positive if attractive) along the vectors from i to j."""
    forces = np.zeros((atoms, 3))
    along = (attraction / np.maximum(r, 1e-3))[:, None] * vectors
    np.add.at(forces, i, along)
    np.add.at(forces, j, -along)
    return forces


def _neighbors(frame: Frame, cutoff: float) -> tuple[Int, Int, Float, Float]:
    """Atoms of each pair closer than a cutoff, the vectors between them, and their lengths, angstrom."""
    from gnnformd.neighbors import neighbor_pairs

    try:
        i, j, shift = neighbor_pairs(frame.positions, frame.cell, frame.periodic, cutoff)
    except InputError as error:
        raise InputError(f"{frame.name}: {error}") from error
    vectors = frame.positions[j] - frame.positions[i] + shift @ frame.cell
    return i, j, vectors, np.linalg.norm(vectors, axis=1)


def _shortest_distance(frame: Frame, known: float) -> float:
    """Smallest distance, angstrom; infinity where none is below a known one, and below the range of the search."""
    found = math.inf
    for cutoff in _SEARCHED:
        found = float(np.min(_neighbors(frame, max(min(cutoff, known), OVERLAP))[3], initial=math.inf))
        if found < math.inf or cutoff >= known:
            break
    return found
