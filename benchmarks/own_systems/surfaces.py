"""Frames of unlike systems in one file, as data of catalysis come: surfaces, adsorbates, crystals and a gas.

Usage: python -m benchmarks.own_systems.surfaces FILE [--frames 280] [--seed 1]

Surfaces of Pd and Ni (27 atoms, not periodic along z), clean or with O or CO on them, simulated at 300 to 900 K,
strained crystals of both (32 atoms), and CO in empty space, in equal numbers, with energies and forces of ASE's EMT.
Each kind is named by ``config_type``. Which energy belongs to which kind follows from no force in such data.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ase
import ase.io
import numpy as np
from ase import units
from ase.build import add_adsorbate, bulk, fcc111
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.langevin import Langevin

METALS = {"Pd": 3.90, "Ni": 3.49}  # lattice constants of EMT, angstrom
TEMPERATURES = (300, 600, 900)  # K
FIRST, EVERY = 30, 8  # steps of 2 fs before the first frame of a run, and between frames
FRAMES_OF_RUN = 5


def main() -> None:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--frames", type=int, default=280)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    kinds = {f"{metal}_{what}": (metal, what) for metal in METALS for what in ("clean", "O", "CO", "bulk")}
    share = options.frames // (len(kinds) + 1)
    frames = [gas(rng) for _ in range(share)]
    for name, (metal, what) in kinds.items():
        of_kind: list[ase.Atoms] = []
        while len(of_kind) < share:
            of_kind += [crystal(metal, rng)] if what == "bulk" else surface(metal, what, rng)
        frames += [labelled(atoms, name) for atoms in of_kind[:share]]
    ase.io.write(options.file, frames, format="extxyz")


def surface(metal: str, adsorbate: str, rng: np.random.Generator) -> list[ase.Atoms]:
    """Simulate a surface, and take some frames."""
    atoms = fcc111(metal, (3, 3, 3), a=METALS[metal], vacuum=8.0)
    atoms.pbc = (True, True, False)
    if adsorbate != "clean":
        other = ase.Atoms(adsorbate, [(0, 0, 1.15 * k) for k in range(len(adsorbate))])
        site = str(rng.choice(["ontop", "bridge", "fcc", "hcp"]))
        add_adsorbate(atoms, other, 1.5 if adsorbate == "O" else 1.85, site)
    temperature = float(rng.choice(TEMPERATURES))
    atoms.calc = EMT()
    atoms.set_momenta(rng.normal(size=(len(atoms), 3)) * np.sqrt(atoms.get_masses() * units.kB * temperature)[:, None])
    dynamics = Langevin(atoms, 2 * units.fs, temperature_K=temperature, friction=0.02 / units.fs, rng=rng, fixcm=False)
    dynamics.run(FIRST)
    frames = []
    for _ in range(FRAMES_OF_RUN):
        dynamics.run(EVERY)
        frames.append(atoms.copy())
    return frames


def crystal(metal: str, rng: np.random.Generator) -> ase.Atoms:
    """Strain and shake a crystal."""
    atoms = bulk(metal, cubic=True, a=METALS[metal]).repeat(2)
    strain = rng.normal(0.0, 0.02, (3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
    atoms.positions += rng.normal(0.0, 0.08, atoms.positions.shape)
    return atoms


def gas(rng: np.random.Generator) -> ase.Atoms:
    """Build a molecule of CO."""
    length = 1.15 + rng.normal(0.0, 0.06)
    atoms = ase.Atoms("CO", [(0, 0, 0), (0, 0, length)])
    atoms.center(vacuum=6.0)
    return labelled(atoms, "gas")


def labelled(atoms: ase.Atoms, name: str) -> ase.Atoms:
    """Frame with its energy, eV, its forces, eV/angstrom, and its kind, without anything else."""
    frame = ase.Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    frame.calc = EMT()
    energy, forces = frame.get_potential_energy(), frame.get_forces()
    frame.info["config_type"] = name
    frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
    return frame


if __name__ == "__main__":
    main()
