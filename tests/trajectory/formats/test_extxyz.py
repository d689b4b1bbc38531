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
        (text.replace("forces:R:3", "dft_forces:R:3"), r"line 1: the frame has no column 'forces' \(it has dft_forces"),
        ("\n".join([*lines[:7], "H 1 2", *lines[8:]]), r"line 6: the frame cannot be read"),
        ("\n".join([*lines[:7], "H nan 0 0 0 0 0", *lines[8:]]), r"line 6: a position of the frame is not a finite"),
        (text.replace("3\n", "three\n", 1), r"line 1: 'three' is not a number of atoms"),
        ("", "contains no complete frame"),
    ]:
        path.write_text(wrong)
        with pytest.raises(InputError, match=r"w\.xyz.*" + message):
            list(read_extxyz(path))
