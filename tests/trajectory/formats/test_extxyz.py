from __future__ import annotations

import gzip
import io
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from gnnformd.errors import InputError
from gnnformd.trajectory.formats.extxyz import read_extxyz
from gnnformd.trajectory.read import read_frames
from gnnformd.units import KCAL_PER_MOL_PER_EV


def frames(count: int = 2, pbc: bool = True) -> list[ase.Atoms]:
    generator = np.random.default_rng(0)
    made = []
    for _ in range(count):
        cell = [[5, 0, 0], [1, 6, 0], [0.5, -1, 7]] if pbc else None
        atoms = ase.Atoms("OHH", generator.uniform(0, 5, (3, 3)), cell=cell, pbc=pbc)
        results = {"energy": generator.normal(), "forces": generator.normal(size=(3, 3))}
        if pbc:
            results["stress"] = generator.normal(size=6)
        atoms.calc = SinglePointCalculator(atoms, **results)
        made.append(atoms)
    return made


def write(path: Path, images: list[ase.Atoms]) -> Path:
    text = io.StringIO()
    ase.io.write(text, images, format="extxyz")
    path.write_bytes(gzip.compress(text.getvalue().encode()) if path.suffix == ".gz" else text.getvalue().encode())
    return path


@pytest.mark.parametrize("name", ["w.xyz", "w.xyz.gz"])
def test_what_ase_wrote_comes_back_in_real_units(tmp_path: Path, name: str) -> None:
    images = frames(3)
    found = list(read_extxyz(write(tmp_path / name, images)))
    assert len(found) == 3
    for frame, atoms in zip(found, images, strict=True):
        np.testing.assert_allclose(frame.positions, atoms.positions, atol=1e-8)  # ASE writes eight digits
        np.testing.assert_allclose(frame.forces, atoms.get_forces() * KCAL_PER_MOL_PER_EV, atol=3e-7)
        assert frame.energy == pytest.approx(atoms.get_potential_energy() * KCAL_PER_MOL_PER_EV, rel=1e-12)
        np.testing.assert_allclose(frame.cell, atoms.cell.array)
        assert frame.types.tolist() == [2, 1, 1]
        assert frame.periodic == (True, True, True)


def test_the_virial_is_minus_volume_times_stress(tmp_path: Path) -> None:
    (atoms,) = frames(1)
    (frame,) = read_extxyz(write(tmp_path / "w.xyz", [atoms]))
    expected = -atoms.get_volume() * atoms.get_stress(voigt=False) * KCAL_PER_MOL_PER_EV
    np.testing.assert_allclose(frame.virial, expected, rtol=1e-7)


def test_a_virial_given_as_such_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "v.xyz"
    path.write_text(
        '1\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:forces:R:3 '
        'virial="1 2 3 2 4 5 3 5 6" pbc="T T T"\n'
        "Ar 0 0 0 0 0 0\n"
    )
    (frame,) = read_extxyz(path)
    np.testing.assert_allclose(frame.virial, np.array([[1, 2, 3], [2, 4, 5], [3, 5, 6]]) * KCAL_PER_MOL_PER_EV)
    assert frame.energy is None


def test_the_virial_of_a_pair_is_its_distance_times_its_force(tmp_path: Path) -> None:
    from ase.calculators.lj import LennardJones

    atoms = ase.Atoms("Ar2", [[1, 1, 1], [2.1, 1, 1]], cell=[20, 20, 20], pbc=True)
    atoms.calc = LennardJones()
    forces, stress, energy = atoms.get_forces(), atoms.get_stress(), atoms.get_potential_energy()
    atoms.calc = SinglePointCalculator(atoms, forces=forces, stress=stress, energy=energy)
    (frame,) = read_extxyz(write(tmp_path / "pair.xyz", [atoms]))
    assert frame.forces is not None and frame.virial is not None
    expected = frame.positions.T @ frame.forces  # positive: the pair repels
    assert expected[0, 0] > 0
    np.testing.assert_allclose(frame.virial, expected, rtol=1e-6, atol=1e-6)


def test_a_molecule_without_box_gets_one_that_holds_it(tmp_path: Path) -> None:
    (frame,) = read_extxyz(write(tmp_path / "m.xyz", frames(1, pbc=False)))
    assert frame.periodic == (False, False, False)
    inside = (frame.positions - frame.origin) @ np.linalg.inv(frame.cell)
    assert inside.min() > 0 and inside.max() < 1


def test_a_cut_off_last_frame_is_dropped_with_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "w.xyz", frames(3))
    text = path.read_bytes()
    for lost in (1, 30, 200):
        path.write_bytes(text[:-lost])
        with pytest.warns(UserWarning, match=r"w\.xyz, line 1[1-5]: the file ends inside a frame"):
            assert len(list(read_extxyz(path))) == 2


def test_faults_are_named_with_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path / "w.xyz", frames(2))
    text = path.read_text()
    lines = text.split("\n")
    for wrong, message in [
        (text.replace("forces:R:3", "my_forces:R:3"), r"has energies only, .* \(columns of three numbers: my_forces\)"),
        ("\n".join([*lines[:7], "H 1 2", *lines[8:]]), r"line 6: the frame cannot be read"),
        ("\n".join([*lines[:7], "H nan 0 0 0 0 0", *lines[8:]]), r"line 6: a position of the frame is not a finite"),
        (text.replace("3\n", "three\n", 1), r"line 1: 'three' is not a number of atoms"),
        ("", "contains no complete frame"),
    ]:
        path.write_text(wrong)
        with pytest.raises(InputError, match=r"w\.xyz.*" + message):
            list(read_extxyz(path))


LAMMPS = """2
{units}Timestep=50 Time=100.0 pbc="T T T" Lattice="16 0 0 0 16 0 0 0 16" Potential_energy=-2.5 Temperature=120.0 \
Stress="-913 -9 -18 -9 -993 9 -18 9 -927" Properties=species:S:1:pos:R:3:vel:R:3:forces:R:3
Ar 0 0 0 -0.0026 -0.0005 0.0004 1 2 3
Ar 4 0 0 0.0026 0.0005 -0.0004 -1 -2 -3
"""
"""As LAMMPS's ``dump extxyz`` writes it, with ``dump_modify forces yes vel yes pe yes stress yes``."""


@pytest.mark.parametrize(
    ("units", "factor"), [("real", 1.0), ("metal", KCAL_PER_MOL_PER_EV), ("eV", KCAL_PER_MOL_PER_EV)]
)
def test_what_lammps_wrote_is_read_in_the_units_that_are_added(tmp_path: Path, units: str, factor: float) -> None:
    path = tmp_path / "l.xyz"
    path.write_text(LAMMPS.format(units=f"units={units} "))
    (frame,) = read_extxyz(path)
    np.testing.assert_allclose(frame.forces, np.array([[1, 2, 3], [-1, -2, -3]]) * factor)
    assert frame.energy == pytest.approx(-2.5 * factor)
    assert frame.virial is None  # its stress has a kinetic part
    assert frame.timestep == 50


def test_what_lammps_wrote_without_units_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.xyz"
    path.write_text(LAMMPS.format(units=""))
    with pytest.raises(InputError, match=r"l\.xyz, line 1: was written by LAMMPS's 'dump extxyz', which does not say"):
        list(read_extxyz(path))
    path.write_text(LAMMPS.format(units="units=electron "))
    with pytest.raises(InputError, match="units=electron is not supported; use units=real, metal or eV"):
        list(read_extxyz(path))
    path.write_text(LAMMPS.format(units="").replace(":forces:R:3", ":f:R:3").replace("Potential_energy=-2.5 ", ""))
    (frame,) = read_extxyz(path, require_forces=False)  # positions are the same in both units
    np.testing.assert_array_equal(frame.positions, [[0, 0, 0], [4, 0, 0]])


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("energy_unit=eV", True),
        ("length_units=Angstrom", True),
        ('force_unit="eV / Å"', True),
        ("stress_unit=eV/Ang^3", True),
        ("time_unit=ps", True),  # not read
        ("energy_unit=hartree", False),
        ("length_unit=bohr", False),
        ("units_energy=kcal/mol", False),
        ("stress_unit=GPa", False),
        ("e_unit=meV", False),
    ],
)
def test_units_that_a_frame_says_are_taken_or_refused(tmp_path: Path, said: str, taken: bool) -> None:
    path = tmp_path / "u.xyz"
    path.write_text(LAMMPS.format(units="").replace("Timestep=50", said))
    if taken:
        assert len(list(read_extxyz(path, require_forces=False))) == 1
    else:
        name = said.partition("=")[0]
        with pytest.raises(
            InputError, match=rf"u\.xyz, line 1: {name}=.* is not supported; convert the file to eV and"
        ):
            list(read_extxyz(path, require_forces=False))


def test_a_left_handed_cell_has_a_positive_volume(tmp_path: Path) -> None:
    (atoms,) = frames(1)
    stress = atoms.get_stress()
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    atoms.calc = SinglePointCalculator(atoms, forces=np.zeros((3, 3)), stress=stress)
    (frame,) = read_extxyz(write(tmp_path / "l.xyz", [atoms]))
    expected = -atoms.get_volume() * atoms.get_stress(voigt=False) * KCAL_PER_MOL_PER_EV
    np.testing.assert_allclose(frame.virial, expected, rtol=1e-7)


WATER = """3
Lattice="8.0 0 0 0 8.0 0 0 0 8.0" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.05E+03
O 7.5 6.1 5.6 0.14 0.43 -0.88
H 5.7 6.4 2.1 0.25E-01 -1.52 0.26
H 5.0 6.4 7.1 0.62 0.16 0.28
"""


@pytest.mark.parametrize("change", ["bom", "crlf", "fortran"])
def test_files_of_other_programs_are_read(tmp_path: Path, change: str) -> None:
    path = tmp_path / "w.xyz"
    path.write_text(WATER)
    (expected,) = read_frames(path)
    changed = {
        "bom": b"\xef\xbb\xbf" + WATER.encode(),
        "crlf": WATER.replace("\n", "\r\n").encode(),
        "fortran": WATER.replace("E+03", "D+03").replace("E-01", "d-01").encode(),
    }
    path.write_bytes(changed[change])
    (frame,) = read_frames(path)
    assert frame.energy == expected.energy == pytest.approx(-1050 * KCAL_PER_MOL_PER_EV)
    np.testing.assert_array_equal(frame.forces, expected.forces)
    np.testing.assert_array_equal(frame.types, expected.types)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("H 5.0", "D 5.0", "line 1: 'D' is not a chemical element; write the symbol of an element .*H for deuterium"),
        ("O 7.5", "O1 7.5", "line 1: 'O1' is not a chemical element"),
        ("O 7.5", "1 7.5", "line 1: '1' is not a chemical element"),
        ("-1.05E+03", "high", "the energy is 'high', which is not a number"),
        ("energy", "step=1e30 energy", r"the step 1e\+30 is not a whole number up to 2\^63 - 1"),
        ("energy", "step=many energy", "the step many is not a whole number"),
    ],
)
def test_puzzling_input_gives_a_sentence(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "w.xyz"
    path.write_text(WATER.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        list(read_extxyz(path))


def test_a_last_line_without_line_end_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.xyz"
    path.write_text(WATER.rstrip())
    with (
        pytest.warns(UserWarning, match=r"line 5: .* because the last line has no line end"),
        pytest.raises(InputError, match="contains no complete frame; does its last line have a line end"),
    ):
        list(read_extxyz(path))


@pytest.mark.parametrize(("name", "what"), [("frc", "forces"), ("vel", "velocities")])
def test_forces_and_velocities_of_cp2k_are_not_taken_for_positions(tmp_path: Path, name: str, what: str) -> None:
    text = "1\n i =        0, time =        0.000, E =       -32.95\n H 0.1 0.2 0.3\n"
    (tmp_path / "run-pos-1.xyz").write_text(text)
    (tmp_path / f"run-{name}-1.xyz").write_text(text)
    for positions in ("run-pos-1.xyz", f"{name}-test-pos-1.xyz"):
        (tmp_path / positions).write_text(text)
        (frame,) = read_extxyz(tmp_path / positions, require_forces=False)
        assert frame.positions.tolist() == [[0.1, 0.2, 0.3]]
    with pytest.raises(InputError, match=rf"run-{name}-1\.xyz: holds the {what} of a CP2K run .* where positions are"):
        list(read_extxyz(tmp_path / f"run-{name}-1.xyz", require_forces=False))
