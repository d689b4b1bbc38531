from __future__ import annotations

import warnings
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from gnnformd.errors import InputError
from gnnformd.trajectory.formats.target_names import TargetNames, target_keys
from gnnformd.trajectory.read import read_frames
from gnnformd.units import KCAL_PER_MOL_PER_EV

HEAD = 'Lattice="9 0 0 0 9 0 0 0 9" pbc="T T T" Properties=species:S:1:pos:R:3:'


def write(path: Path, comment: str, columns: str, row: str = "1 2 3") -> Path:
    path.write_text(f"2\n{HEAD}{columns} {comment}\nAr 0 0 0 {row}\nAr 4 0 0 {row}\n")
    return path


@pytest.mark.parametrize(
    ("columns", "energy"),
    [
        ("forces:R:3", "energy"),
        ("REF_forces:R:3", "REF_energy"),
        ("dft_forces:R:3", "dft_energy"),
        ("dft_force:R:3", "dft_energy"),
        ("DFT_forces:R:3", "DFT_energy"),
        ("force:R:3", "energy"),
        ("forces:R:3", "free_energy"),
    ],
)
def test_names_of_other_programs_are_known(tmp_path: Path, columns: str, energy: str) -> None:
    path = write(tmp_path / "a.xyz", f"{energy}=-2.5", columns)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (frame,) = read_frames(path)
    assert frame.energy == pytest.approx(-2.5 * KCAL_PER_MOL_PER_EV, rel=1e-14)
    np.testing.assert_allclose(frame.forces, np.tile([1.0, 2.0, 3.0], (2, 1)) * KCAL_PER_MOL_PER_EV, rtol=1e-14)


def test_reference_values_stand_before_predictions_and_the_choice_is_said(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.xyz",
        'energy=-9 free_energy=-8 REF_energy=-2.5 stress="1 1 1 0 0 0" REF_stress="2 2 2 0 0 0"',
        "forces:R:3:REF_forces:R:3",
        "9 9 9 1 2 3",
    )
    with pytest.warns(UserWarning) as caught:
        (frame,) = read_frames(path)
    assert frame.energy == pytest.approx(-2.5 * KCAL_PER_MOL_PER_EV)
    assert frame.forces is not None and frame.virial is not None
    assert frame.forces[0] == pytest.approx(np.array([1, 2, 3]) * KCAL_PER_MOL_PER_EV)
    assert frame.virial == pytest.approx(-2 * 729 * np.eye(3) * KCAL_PER_MOL_PER_EV)
    said = " ".join(str(warning.message) for warning in caught)
    assert "energy is taken from 'REF_energy', not from 'energy', 'free_energy'; data.keys.energy chooses." in said
    assert "forces is taken from 'REF_forces', not from 'forces'" in said
    assert "stress is taken from 'REF_stress', not from 'stress'" in said


def test_given_names_are_taken(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.xyz", 'energy=-9 mine=-2.5 kind=slab my_virial="1 2 3 2 4 5 3 5 6" stress="7 7 7 0 0 0"', "f:R:3"
    )
    names = TargetNames({"energy": "mine", "forces": "f", "virial": "my_virial", "config_type": "kind"})
    (frame,) = read_frames(path, names=names)
    assert frame.energy == pytest.approx(-2.5 * KCAL_PER_MOL_PER_EV)
    assert frame.virial is not None and frame.virial[0, 2] == pytest.approx(3 * KCAL_PER_MOL_PER_EV)
    assert frame.config_type == "slab"
    assert names.notes() == []
    with pytest.raises(InputError, match=r"no frame has 'yours', which data\.keys\.energy names"):
        list(read_frames(path, names=TargetNames({"energy": "yours", "forces": "f"})))
    with pytest.raises(InputError, match=r"has energies only.*data\.keys\.forces \(columns of three numbers: f\)"):
        list(read_frames(path))


def test_a_name_that_changes_within_a_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xyz", "free_energy=-2.5", "forces:R:3")
    other = write(tmp_path / "b.xyz", "energy=-2.4", "forces:R:3")
    path.write_text(path.read_text() + other.read_text())
    with pytest.raises(InputError, match=r"line 5: the frame has 'energy', but frames before it 'free_energy'"):
        list(read_frames(path))


def test_energy_and_forces_of_different_calculations_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xyz", "REF_energy=-2.5", "forces:R:3")
    with pytest.warns(UserWarning, match="energy is taken from 'REF_energy' and forces from 'forces', which need not"):
        list(read_frames(path))


@pytest.mark.parametrize("count", [6, 9])
@pytest.mark.parametrize("name", ["stress", "REF_stress", "virial", "virials", "REF_virials", "dft_virial"])
def test_a_strained_crystal_has_the_virial_of_its_energy(tmp_path: Path, name: str, count: int) -> None:
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.set_cell(atoms.cell.array @ np.array([[1.02, 0.01, 0], [0.01, 0.99, 0.005], [0, 0.005, 1.03]]), True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = EMT()
    expected = np.zeros((3, 3))  # -dE/d(strain)
    for a in range(3):
        for b in range(3):
            energies = []
            for sign in (1, -1):
                strain = np.zeros((3, 3))
                strain[a, b] += sign * 5e-5
                strain[b, a] += sign * 5e-5
                moved = atoms.copy()
                moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
                moved.calc = EMT()
                energies.append(moved.get_potential_energy())
            expected[a, b] = -(energies[0] - energies[1]) / 2e-4
    stress = atoms.get_stress(voigt=False)
    tensor = stress if "stress" in name else -atoms.get_volume() * stress
    numbers = tensor.ravel() if count == 9 else tensor[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    copy = ase.Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True)
    copy.arrays["forces"] = atoms.get_forces()
    ase.io.write(tmp_path / "c.xyz", copy, format="extxyz")
    text = (tmp_path / "c.xyz").read_text()
    (tmp_path / "c.xyz").write_text(
        text.replace("Properties=", f'{name}="{" ".join(map(repr, numbers.tolist()))}" Properties=', 1)
    )
    (frame,) = read_frames(tmp_path / "c.xyz")
    assert frame.virial is not None
    np.testing.assert_allclose(frame.virial / KCAL_PER_MOL_PER_EV, expected, atol=2e-6 * np.abs(expected).max())


def test_a_stress_of_another_sign_than_the_virial_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xyz", 'stress="1 1 1 0 0 0" virial="729 0 0 0 729 0 0 0 729"', "forces:R:3")
    with pytest.raises(InputError, match=r"line 1: 'virial' is not -volume times 'stress' .* name the other"):
        list(read_frames(path))
    (frame,) = read_frames(path, names=TargetNames({"virial": "virial"}))
    assert frame.virial == pytest.approx(729 * np.eye(3) * KCAL_PER_MOL_PER_EV)
    (frame,) = read_frames(path, names=TargetNames({"stress": "stress"}))
    assert frame.virial == pytest.approx(-729 * np.eye(3) * KCAL_PER_MOL_PER_EV)


def test_a_stress_of_five_numbers_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xyz", 'stress="1 1 1 0 0"', "forces:R:3")
    with pytest.raises(InputError, match=r"line 1: the stress is .* write six numbers \(xx, .*\) or nine"):
        list(read_frames(path))


def test_names_on_the_command_line_are_checked() -> None:
    assert target_keys(["energy=e", "config_type=group"]) == {"energy": "e", "config_type": "group"}
    for wrong in ("energy", "enrgy=e", "energy="):
        with pytest.raises(InputError, match=f"--key {wrong}: is not of the form TARGET=NAME"):
            target_keys([wrong])


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("Energy=-1.0", "no energy is read, though there is 'Energy'; data.keys.energy=Energy takes it."),
        (
            "total_energy=-1.0",
            "no energy is read, though there is 'total_energy'; data.keys.energy=total_energy takes it.",
        ),
        (
            'energy=-1.0 Virial="1 0 0 0 1 0 0 0 1"',
            "no virial is read, though there is 'Virial'; data.keys.virial=Virial takes it.",
        ),
        (
            "energy=-1.0 energy_sigma=0.001",
            "'energy_sigma', which weigh targets in GAP, are not used; config_energy_weight, config_forces_weight and "
            "config_virials_weight are.",
        ),
        ("energy=-1.0 kinetic_energy=0.1 config_energy_weight=2", None),
    ],
)
def test_what_may_be_meant_and_is_not_taken_is_named(tmp_path, line, note):
    path = tmp_path / "one.xyz"
    path.write_text(
        f'1\nLattice="4 0 0 0 4 0 0 0 4" pbc="T T T" {line} Properties=species:S:1:pos:R:3:forces:R:3\nAr 0 0 0 1 0 0\n'
    )
    names = TargetNames()
    list(read_frames(path, names=names))
    assert names.notes() == ([] if note is None else [note])
