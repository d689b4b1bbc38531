"""NumPy archives of molecules."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from ase import units

from gnnformd.errors import InputError
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.read import read_frames

RNG = np.random.default_rng(0)
POSITIONS, FORCES, ENERGIES = RNG.normal(size=(4, 3, 3)), RNG.normal(size=(4, 3, 3)), RNG.normal(size=4)
NUMBERS = np.array([8, 1, 1])
TYPES = [2, 1, 1]  # hydrogen comes first


def assert_read(path: Path, energy: float = 1.0, length: float = 1.0) -> None:
    frames = list(read_frames(path))
    assert len(frames) == 4
    for k, frame in enumerate(frames):
        np.testing.assert_allclose(frame.positions, POSITIONS[k] * length, rtol=1e-8)
        np.testing.assert_allclose(frame.forces, FORCES[k] * energy / length, rtol=1e-6)
        assert frame.energy == pytest.approx(ENERGIES[k] * energy, rel=1e-6)
        assert frame.types.tolist() == TYPES and frame.periodic == (False, False, False)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_archives_of_both_kinds_are_read_in_kcal(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "md17.npz", R=POSITIONS, F=FORCES, E=ENERGIES.reshape(shape), z=NUMBERS, theory="DFT")
    np.savez_compressed(
        tmp_path / "rmd17.npz", coords=POSITIONS, forces=FORCES, energies=ENERGIES, nuclear_charges=NUMBERS
    )
    for name in ("md17.npz", "rmd17.npz"):
        with pytest.warns(UserWarning, match=r"npz: does not say its units, so kcal/mol and angstrom are taken"):
            assert_read(tmp_path / name)
    with pytest.warns(UserWarning):
        assert open_dataset(tmp_path / "rmd17.npz").units == "real"


@pytest.mark.parametrize(
    ("e_unit", "r_unit", "energy", "length", "style"),
    [
        ("kcal/mol", "Ang", 1.0, 1.0, "real"),
        ("eV", "Angstrom", units.mol / units.kcal, 1.0, "metal"),
        ("Ha", "bohr", units.Hartree * units.mol / units.kcal, units.Bohr, "real"),
        ("kJ/mol", "Ang", units.kJ / units.kcal, 1.0, "real"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_units_that_the_file_says_are_converted(
    tmp_path: Path, e_unit: str, r_unit: str, energy: float, length: float, style: str
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, R=POSITIONS, F=FORCES, E=ENERGIES, z=NUMBERS, e_unit=e_unit, r_unit=r_unit)
    assert_read(path, energy, length)
    assert open_dataset(path).units == style


@pytest.mark.filterwarnings("error")
def test_one_unit_that_the_file_does_not_say_is_named(tmp_path: Path) -> None:
    arrays = {"R": POSITIONS, "F": FORCES, "E": ENERGIES, "z": NUMBERS}
    np.savez(tmp_path / "a.npz", **arrays, r_unit=np.array([b"Bohr"]))
    with pytest.warns(UserWarning, match=r"does not say its unit of energy, so kcal/mol is taken"):
        assert_read(tmp_path / "a.npz", 1.0, units.Bohr)
    np.savez(tmp_path / "b.npz", **arrays, e_unit=np.bytes_("kcal/mol"))
    with pytest.warns(UserWarning, match=r"does not say its unit of length, so angstrom is taken"):
        assert_read(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"z": None}, r"has no atomic numbers \('z' or 'nuclear_charges'\)"),
        ({"R": None}, r"has no positions \('R' or 'coords'\)"),
        ({"F": None}, r"has no forces \('F' or 'forces'\)"),
        ({"F": FORCES[:3]}, r"'F' has the shape \(3, 3, 3\) \(of float64\), and 4 x 3 x 3 real numbers are wanted"),
        ({"R": RNG.normal(size=(4, 3, 9)), "z": np.ones(9, int)}, r"'R' has the shape \(4, 3, 9\)"),  # not transposed
        ({"R": RNG.normal(size=(4, 9, 3)), "F": RNG.normal(size=(4, 9, 3))}, r"'R' has the shape \(4, 9, 3\)"),
        ({"z": np.array([[8], [8], [8]])}, "'z' must be one list of atomic numbers"),
        ({"E": np.where(np.arange(4) == 2, np.nan, 1.0)}, "'E' contains NaN or infinity"),
        ({"z": np.array([[8, 1, 1], [1, 8, 1]])}, "'z' must be one list of atomic numbers, the same for all frames"),
        ({"e_unit": "Ry", "r_unit": "Ang"}, "its e_unit 'Ry' is none of kcal/mol, ev"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*does not say its units")
def test_what_is_wrong_is_named(tmp_path: Path, arrays: dict, sentence: str) -> None:
    whole = {"R": POSITIONS, "F": FORCES, "E": ENERGIES, "z": NUMBERS} | arrays
    np.savez(tmp_path / "a.npz", **{name: values for name, values in whole.items() if values is not None})
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "a.npz")) + ": .*" + sentence):
        list(read_frames(tmp_path / "a.npz"))
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    with pytest.raises(InputError, match=r"b\.npz: cannot be read"):
        list(read_frames(tmp_path / "b.npz"))
