"""Frames of alloys of six elements, as quantum data come: extended XYZ with energies and forces, without anything else.

Usage: python -m benchmarks.own_systems.alloy FILE [--frames 400] [--seed 1]

Each frame is an fcc (32 atoms) or bcc (54 atoms) crystal of one to five of Mo, Co, Ni, V, Fe and Al in random
proportions, one in five with a vacancy, strained, and simulated for 0.3 to 0.8 ps at 300 to 2500 K with the MEAM of
Wang, Kwon and Kim that comes with LAMMPS (``MoCoNiVFeAlCr_2nn.meam``). Frames of other seeds are other alloys.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ase
import ase.build
import ase.io
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_masses, atomic_numbers

from gnnformd.reference.library import open_lammps, potentials_folder

ELEMENTS = ("Mo", "Co", "Ni", "V", "Fe", "Al")
IN_FILE = (*ELEMENTS, "Cr")
CRYSTALS = {"fcc": (3.62, 2), "bcc": (2.88, 3)}  # lattice constant, angstrom, and cells along each direction
TEMPERATURES = (300, 600, 1000, 1500, 2500)  # K
LARGEST_FORCE = 30.0  # eV/angstrom; frames with larger ones are left out


def main() -> None:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    frames: list[ase.Atoms] = []
    while len(frames) < options.frames:
        frame = simulate(*crystal(rng), rng)
        if np.abs(frame.get_forces()).max() < LARGEST_FORCE:
            frames.append(frame)
    ase.io.write(options.file, frames, format="extxyz")


def crystal(rng: np.random.Generator) -> tuple[ase.Atoms, str]:
    """Build a crystal and name its lattice."""
    lattice = str(rng.choice(list(CRYSTALS)))
    constant, cells = CRYSTALS[lattice]
    elements = rng.choice(ELEMENTS, size=rng.integers(1, 6), replace=False)
    atoms = ase.build.bulk("Fe", lattice, a=constant, cubic=True) * (cells, cells, cells)
    atoms.symbols = rng.choice(elements, size=len(atoms), p=rng.dirichlet(np.ones(len(elements))))
    if rng.random() < 0.2:
        del atoms[int(rng.integers(len(atoms)))]
    strain = (1.0 + rng.uniform(-0.03, 0.06)) * np.ones(3) + rng.normal(0.0, 0.02, 3)
    atoms.set_cell(atoms.cell.array @ np.diag(strain), scale_atoms=True)
    return atoms, lattice


def simulate(atoms: ase.Atoms, lattice: str, rng: np.random.Generator) -> ase.Atoms:
    """Relax a little, heat, simulate, and take the last step with its energy, eV, and forces, eV/angstrom."""
    temperature = int(rng.choice(TEMPERATURES))
    edges = " ".join(f"0 {edge}" for edge in atoms.cell.lengths())
    files = [potentials_folder() / name for name in ("library_2nn.meam", "MoCoNiVFeAlCr_2nn.meam")]
    lmp = open_lammps()
    lmp.commands_list(
        ["units metal", "atom_modify map yes", f"region box block {edges}", f"create_box {len(IN_FILE)} box"]
    )
    types = [IN_FILE.index(symbol) + 1 for symbol in atoms.symbols]
    lmp.create_atoms(len(atoms), list(range(1, len(atoms) + 1)), types, atoms.positions.ravel().tolist())
    names = " ".join(IN_FILE)
    lmp.commands_list(
        [
            *(f"mass {k} {atomic_masses[atomic_numbers[name]]}" for k, name in enumerate(IN_FILE, start=1)),
            "pair_style meam",
            f"pair_coeff * * {files[0]} {names} {files[1]} {names}",
            "minimize 0 1e-3 20 40",
            f"velocity all create {2 * temperature} {rng.integers(1, 10**6)}",
            f"fix bath all nvt temp {temperature} {temperature} 0.1",
            "timestep 0.002",
            f"run {rng.integers(150, 400)}",
        ]
    )
    positions, forces = (np.array(lmp.gather_atoms(name, 1, 3)).reshape(-1, 3) for name in "xf")
    energy = lmp.get_thermo("pe")
    lmp.close()
    result = ase.Atoms(atoms.symbols, positions, cell=atoms.cell, pbc=True)
    result.info["config_type"] = f"{lattice}_{temperature}K"
    result.calc = SinglePointCalculator(result, energy=energy, forces=forces)
    return result


if __name__ == "__main__":
    main()
