"""The built-in systems: named LAMMPS inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from gnnformd.force_field import AtomType, ForceField, HarmonicAngle, HarmonicBond

__all__ = ["ARGON", "SPC_FW", "SYSTEMS", "System"]

ARGON = ForceField(types=(AtomType("Ar", 39.948, epsilon=0.2378, sigma=3.405),))
"""Lennard-Jones argon of the original script."""

SPC_FW = ForceField(
    types=(AtomType("O", 15.9994, -0.82, 0.155, 3.165), AtomType("H", 1.008, 0.41)),
    bonds=(HarmonicBond((1, 2), 529.581, 1.012),),
    angles=(HarmonicAngle((2, 1, 2), 37.95, 113.24),),
    special_lj=(0.0, 0.0, 0.5),
    special_coul=(0.0, 0.0, 1.0),
)
"""Flexible SPC/Fw water: Wu, Tepper and Voth, J. Chem. Phys. 124, 024503 (2006)."""


@dataclass(frozen=True)
class System:
    """A LAMMPS input that is part of the package.

    Attributes
    ----------
    name
        Name on the command line.
    input_file
        File below ``reference/inputs``.
    description
        One or two sentences, kept in ``reference.yaml``.
    force_field
        Force field of the input; None where the input draws it.
    frames
        Default number of frames.
    variables
        Values of variables that differ from the defaults of the input file.
    """

    name: str
    input_file: str
    description: str
    force_field: ForceField | None
    frames: int
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def input(self) -> Path:
        """Path of the input file."""
        return Path(str(resources.files("gnnformd.reference"))) / "inputs" / self.input_file


_ALL = (
    System(
        "argon",
        "argon.lmp",
        "400 argon atoms, the original script: 20 000 steps, then a frame every 100 of 9 999. 'temp 1 90' ramps from "
        "1 K to 90 K anew in each run, so the frames go through about 1 K to 90 K.",
        ARGON,
        frames=100,
    ),
    System(
        "argon-liquid",
        "argon-liquid.lmp",
        "500 argon atoms, liquid, NVT at 90 K and 1.374 g/cm3, equilibrated for 20 ps, then a frame with velocities "
        "every 80 fs.",
        ARGON,
        frames=500,
    ),
    System(
        "argon-finetune",
        "argon.lmp",
        "The original argon once more with seed 113 for positions and velocities: 1 000 steps, then a frame every 100 "
        "of 299 999. 'temp 1 90' ramps from 1 K to 90 K anew in each run.",
        ARGON,
        frames=3000,
        variables={"seed": "113", "equilibration": "1000", "frames": "3000"},
    ),
    System(
        "water-seed",
        "water-seed.lmp",
        "216 flexible SPC/Fw waters, the original protocol: cold start without velocities, NPT at 1 atm and one "
        "temperature drawn from 280 to 360 K, 2 fs, a frame every 5 steps. The frames drift from stiff and cold to "
        "warm, and each 101st repeats the one before it.",
        SPC_FW,
        frames=10100,
    ),
    System(
        "water-large-seed",
        "water-large-seed.lmp",
        "1600 flexible SPC/Fw waters, the original test set: cold start, NPT at 1 atm, 2 fs, 5 000 steps, then a frame "
        "every 50 steps.",
        SPC_FW,
        frames=100,
    ),
    System(
        "water",
        "water.lmp",
        "216 flexible SPC/Fw waters, NPT at 1 atm, equilibrated for 11 ps, then a frame every 50 fs.",
        SPC_FW,
        frames=100,
    ),
    System(
        "water-large",
        "water.lmp",
        "1600 flexible SPC/Fw waters, NPT at 1 atm, equilibrated for 11 ps, then a frame every 50 fs.",
        SPC_FW,
        frames=20,
        variables={"molecules": "1600", "edge": "36.344", "frames": "20"},
    ),
    System(
        "lj-fluid",
        "lj-fluid.lmp",
        "A Lennard-Jones fluid of one to three kinds of atoms, drawn by the seed: 256 atoms, from gas to solid.",
        None,
        frames=15,
    ),
    System(
        "charged-fluid",
        "charged-fluid.lmp",
        "A molten salt of two kinds of ions, drawn by the seed: 240 ions with charges, neutral as a whole.",
        None,
        frames=15,
    ),
    System(
        "diatomic",
        "diatomic.lmp",
        "A fluid of molecules of two atoms, equal or not, drawn by the seed: 125 molecules.",
        None,
        frames=15,
    ),
    System(
        "triatomic",
        "triatomic.lmp",
        "A fluid of molecules B-A-B, from CO2 to models of water, drawn by the seed: 125 molecules.",
        None,
        frames=15,
    ),
    System(
        "solution",
        "solution.lmp",
        "Ions in a model of water, both drawn by the seed: 100 waters and 6 pairs of ions.",
        None,
        frames=15,
    ),
)

SYSTEMS: Mapping[str, System] = {system.name: system for system in _ALL}
"""The systems by name."""
