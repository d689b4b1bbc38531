"""One sheared crystal whose six components of the stress all differ, at every door, against ASE and LAMMPS.

ASE's stress is ``-virial/volume`` in eV/angstrom^3, in the order xx yy zz yz xz xy; LAMMPS's pressure is
``+virial/volume`` in atm (without the kinetic part), in the order xx yy zz xy xz yz.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.calculators.singlepoint import SinglePointCalculator

from gnnformd.inference.system import Evaluator
from gnnformd.interfaces.ase import Calculator
from gnnformd.reference.generate import generate
from gnnformd.simulation.lammps.coupling import Coupling
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate
from gnnformd.trajectory.data_checks import DataChecks
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.read import read_frames
from gnnformd.units import KCAL_PER_MOL_PER_EV as EV
from gnnformd.units import PRESSURE_ATM

CUTOFF = 5.0
LAMMPS_ORDER = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
PRESSURES = ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")


def crystal() -> ase.Atoms:
    atoms = bulk("Ar", "fcc", a=5.2, cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=3)
    shear = np.array([[1.0, 0, 0], [0.06, 0.97, 0], [-0.04, 0.09, 1.02]])
    atoms.set_cell(atoms.cell.array @ shear, scale_atoms=True)
    return atoms


@pytest.fixture(scope="module")
def expected() -> tuple[ase.Atoms, np.ndarray, np.ndarray]:
    """The crystal, ASE's stress (3, 3) in eV/angstrom^3, and the virial (3, 3) in kcal/mol."""
    atoms = crystal()
    atoms.calc = AseLennardJones(sigma=3.405, epsilon=0.2378 / EV, rc=CUTOFF, smooth=False)
    stress = atoms.get_stress(voigt=False)
    parts = np.sort(np.abs(stress[np.triu_indices(3)]))
    assert parts[0] > 1e-4  # all differ from zero and from each other
    assert np.diff(parts).min() > 1e-5
    return atoms, stress, -stress * atoms.get_volume() * EV


def frame_of(atoms: ase.Atoms) -> Frame:
    ids = np.arange(1, len(atoms) + 1)
    return Frame(0, atoms.cell.array, np.zeros(3), (True,) * 3, ids, np.ones_like(ids), atoms.positions)


def test_the_models_virial_and_the_stress_of_the_calculator_are_those_of_ase(expected, helpers) -> None:
    atoms, stress, virial = expected
    loaded = helpers.load(helpers.LennardJones(CUTOFF, shifted=True))
    frame = frame_of(atoms)
    found = Evaluator(loaded, frame).evaluate(frame.positions, frame.cell, frame.periodic)
    np.testing.assert_allclose(found.virials[0].numpy(), virial, rtol=1e-9, atol=1e-9)
    ours = crystal()
    ours.calc = Calculator(loaded)
    np.testing.assert_allclose(ours.get_stress(voigt=False), stress, rtol=1e-9, atol=1e-12)
    six = ours.get_stress()
    np.testing.assert_allclose(six, [stress[k] for k in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))], rtol=1e-9)


@pytest.mark.parametrize("key", ["of ase", "stress of nine", "virial", "virial, units=real"])
def test_extended_xyz(expected, tmp_path: Path, key: str) -> None:
    atoms, stress, virial = expected
    path = tmp_path / "a.xyz"
    copy = atoms.copy()
    results = {"energy": 1.0, "forces": atoms.get_forces()}
    if key == "of ase":
        results["stress"] = atoms.get_stress()
    copy.calc = SinglePointCalculator(copy, **results)
    ase.io.write(path, copy, format="extxyz")
    if key.startswith("stress"):
        numbers = " ".join(repr(float(v)) for v in stress.ravel())
        path.write_text(path.read_text().replace("energy=", f'stress="{numbers}" energy='))
    elif key.startswith("virial"):
        real = "real" in key
        numbers = " ".join(repr(float(v)) for v in (virial if real else virial / EV).ravel())
        units = "units=real " if real else ""
        path.write_text(path.read_text().replace("energy=", f'{units}virial="{numbers}" energy='))
    (frame,) = read_frames(path)
    np.testing.assert_allclose(frame.virial, virial, rtol=1e-6)


@pytest.mark.parametrize(("key", "factor"), [("stress", -729.0), ("virial", 1.0)])
def test_six_components_are_xx_yy_zz_yz_xz_xy(tmp_path: Path, key: str, factor: float) -> None:
    path = tmp_path / "a.xyz"
    path.write_text(
        '1\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3:forces:R:3 '
        f'{key}="1 2 3 4 5 6" pbc="T T T"\nAr 0 0 0 0 0 0\n'
    )
    (frame,) = read_frames(path)
    wanted = factor * np.array([[1, 6, 5], [6, 2, 4], [5, 4, 3]]) * EV
    np.testing.assert_allclose(frame.virial, wanted, rtol=1e-12)


def test_a_folder_of_deepmd(expected, tmp_path: Path) -> None:
    atoms, _, virial = expected
    part = tmp_path / "d" / "set.000"
    part.mkdir(parents=True)
    (tmp_path / "d" / "type.raw").write_text("0 " * len(atoms))
    rows = {"coord": atoms.positions, "box": atoms.cell.array, "force": atoms.get_forces(), "virial": virial / EV}
    for name, values in rows.items():
        np.save(part / f"{name}.npy", values.reshape(1, -1))
    (frame,) = read_frames(tmp_path / "d")
    np.testing.assert_allclose(frame.virial, virial, rtol=1e-12)


def data_file(path: Path, atoms: ase.Atoms) -> Path:
    (a, _, _), (xy, b, _), (xz, yz, c) = atoms.cell.array.tolist()
    rows = "".join(f"{k} 1 {x!r} {y!r} {z!r}\n" for k, (x, y, z) in enumerate(atoms.positions.tolist(), start=1))
    path.write_text(
        f"argon, units = real\n\n{len(atoms)} atoms\n1 atom types\n0 {a!r} xlo xhi\n0 {b!r} ylo yhi\n0 {c!r} zlo zhi\n"
        f"{xy!r} {xz!r} {yz!r} xy xz yz\n\nMasses\n\n1 39.948 # Ar\n\nAtoms # atomic\n\n{rows}"
    )
    return path


def test_lammps_itself_and_the_coupling_have_the_pressures_of_ase(expected, helpers, tmp_path: Path) -> None:
    atoms, _, virial = expected
    path = data_file(tmp_path / "a.data", atoms)
    pressures = np.array([virial[k] for k in LAMMPS_ORDER]) / atoms.get_volume() * PRESSURE_ATM
    start = ["units real", "atom_style atomic", f"pair_style lj/cut {CUTOFF}", f"read_data {path}"]
    with helpers.lammps(*start, "pair_coeff 1 1 0.2378 3.405", "run 0") as lmp:
        np.testing.assert_allclose([lmp.get_thermo(name) for name in PRESSURES], pressures, rtol=1e-9)
    with helpers.lammps(*start, "pair_coeff 1 1 0.2378 3.405") as lmp:
        Coupling(lmp, helpers.load(helpers.LennardJones(CUTOFF, shifted=True))).run(0)
        np.testing.assert_allclose([lmp.get_thermo(name) for name in PRESSURES], pressures, rtol=1e-9)


@pytest.mark.parametrize("engine", ["ase", "lammps"])
def test_the_pressure_of_a_simulation_is_that_of_ase_with_the_kinetic_part(
    expected, helpers, tmp_path: Path, engine: str
) -> None:
    atoms, _, virial = expected
    settings = SimulationSettings(engine=engine, ensemble="nve", temperature=40, steps=1, thermo_every=1, timestep=0.1)
    loaded = helpers.load(helpers.LennardJones(CUTOFF, shifted=True))
    out = tmp_path / "run"
    simulate(loaded, data_file(tmp_path / "a.data", atoms), settings, out)
    row = next(csv.DictReader((out / "thermo.csv").open()))
    kinetic = 2 * float(row["kinetic_energy"])
    pressure = (np.trace(virial) + kinetic) / (3 * atoms.get_volume()) * PRESSURE_ATM
    assert float(row["pressure_atm"]) == pytest.approx(pressure, rel=1e-5)


def test_the_table_of_a_reference_run_has_the_virial_of_ase(expected, tmp_path: Path) -> None:
    atoms, _, virial = expected
    data_file(tmp_path / "a.data", atoms)
    (tmp_path / "in.lmp").write_text(
        f"units real\natom_style atomic\npair_style lj/cut {CUTOFF}\nread_data a.data\npair_coeff 1 1 0.2378 3.405\n"
        "velocity all create 90 5\nfix 1 all nve\ndump 1 all custom 1 t.dump id type x y z fx fy fz\nrun 0\n"
    )
    run = generate(tmp_path / "in.lmp", tmp_path / "run")
    frame = next(read_frames(run.folder))
    np.testing.assert_allclose(frame.virial, virial, rtol=1e-8)


def checked(frame: Frame) -> list[str]:
    checks = DataChecks()
    checks.add(frame)
    return [text for text in checks.problems() if "stress" in text or "virial" in text]


def test_a_virial_that_cannot_be_is_told(expected) -> None:
    atoms, _, virial = expected
    frame = replace(frame_of(atoms), forces=atoms.get_forces() * EV, virial=virial)
    assert not checked(frame)
    bar = 1.602176634e6  # of one eV/angstrom^3
    (text,) = checked(replace(frame, virial=virial * bar))
    assert "GPa at timestep 0; is it in eV/angstrom^3, not in bar or GPa?" in text
    (text,) = checked(replace(frame, virial=virial + np.abs(virial).max() * np.triu(np.ones((3, 3)), 1)))
    assert "the virial is not symmetric" in text


def test_a_virial_of_atoms_in_empty_space_is_the_sum_of_positions_times_forces(expected) -> None:
    atoms = expected[0].copy()
    atoms.pbc = False
    atoms.calc = AseLennardJones(sigma=3.405, epsilon=0.2378 / EV, rc=CUTOFF, smooth=False)
    virial = -atoms.get_stress(voigt=False) * atoms.get_volume() * EV
    frame = replace(frame_of(atoms), periodic=(False,) * 3, forces=atoms.get_forces() * EV, virial=virial)
    assert not checked(frame)
    for wrong in (-virial, virial / EV):
        (text,) = checked(replace(frame, virial=wrong))
        assert "is not the sum of positions times forces at timestep 0" in text
