"""Frame: one snapshot of a simulation. Topology: the properties that all snapshots share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["EQUAL_WEIGHTS", "Frame", "TargetWeights", "Topology"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class Topology:
    """Types, charges, molecules and bonds of a system; atoms are ordered by ascending id.

    Attributes
    ----------
    ids
        Atom ids, ascending, (N,).
    types
        LAMMPS atom types, numbered from 1, (N,).
    molecule_ids
        Molecule of each atom, (N,), or None.
    charges
        e, (N,), or None.
    bonds
        Pairs of atom indices (rows of the arrays here, not ids), (M, 2).
    angles
        Triples of atom indices, the middle atom second, (K, 3).
    masses
        g/mol per type, ``masses[t - 1]`` belongs to type ``t``, or None.
    positions
        angstrom, (N, 3), the coordinates written in the data file.
    cell
        Rows are the lattice vectors, angstrom, (3, 3).
    origin
        Lower corner of the box, angstrom, (3,).
    type_names
        Label of each type, or the comment behind its mass; None where there is neither.
    """

    ids: Int
    types: Int
    molecule_ids: Int | None
    charges: Float | None
    bonds: Int
    angles: Int
    masses: Float | None
    positions: Float
    cell: Float
    origin: Float
    type_names: tuple[str | None, ...] | None = None


class TargetWeights(NamedTuple):
    """How much the forces, the energy and the virial of a frame count in the loss of a training."""

    forces: float = 1.0
    energy: float = 1.0
    virial: float = 1.0


EQUAL_WEIGHTS = TargetWeights()
"""All count alike."""


@dataclass(frozen=True)
class Frame:
    """One snapshot; atoms are ordered by ascending id, units are ``real``.

    Attributes
    ----------
    timestep
        Step number of the simulation; where the file names none, the number of the frame in the file, from 1.
    cell
        Rows are the lattice vectors, angstrom, (3, 3); triclinic boxes are lower triangular as in LAMMPS.
    origin
        Lower corner of the box, angstrom, (3,).
    periodic
        Whether each direction is periodic, (3,).
    ids
        Atom ids, ascending, (N,).
    types
        LAMMPS atom types, numbered from 1, (N,).
    positions
        angstrom, (N, 3); wrapped or not, as the file has them.
    forces
        kcal/mol/angstrom, (N, 3), or None.
    energy
        Potential energy of the frame, kcal/mol, or None.
    virial
        ``sum_i x_i f_i`` (positive under compression), kcal/mol, (3, 3), or None.
    molecule_ids
        (N,), or None.
    bonds
        Pairs of atom indices, (M, 2), or None when no topology is known (as opposed to "no bonds", an empty array).
    charges
        e, (N,), or None.
    velocities
        angstrom/fs, (N, 3), or None.
    temperature
        That of the simulation it is from, as the file says it, K, or None.
    config_type
        Kind of configuration, as data sets name it ("bulk", "surface", "IsolatedAtom"), or None.
    weights
        In a training. A target is None where its weight in the file is zero.
    line
        Where the file names no step, its line where the frame begins, 0 where the file has no lines; else None.
    """

    timestep: int
    cell: Float
    origin: Float
    periodic: tuple[bool, bool, bool]
    ids: Int
    types: Int
    positions: Float
    forces: Float | None = None
    energy: float | None = None
    virial: Float | None = None
    molecule_ids: Int | None = None
    bonds: Int | None = None
    charges: Float | None = None
    velocities: Float | None = None
    temperature: float | None = None
    config_type: str | None = None
    weights: TargetWeights = EQUAL_WEIGHTS
    line: int | None = None

    @property
    def name(self) -> str:
        """What sentences call it: ``timestep 50``, ``frame 3 (line 120)`` or ``frame 3``."""
        if self.line is None:
            return f"timestep {self.timestep}"
        return f"frame {self.timestep} (line {self.line})" if self.line else f"frame {self.timestep}"
