"""Folders of DeePMD-kit's NumPy format."""

from __future__ import annotations

import warnings
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from ase.calculators.lj import LennardJones

from gnnformd.errors import InputError
from gnnformd.trajectory.formats.deepmd import read_deepmd
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.read import read_frames
from gnnformd.units import KCAL_PER_MOL_PER_EV


def images(count: int) -> list[ase.Atoms]:
    """Water-like clusters in a skewed box with the forces, energy and stress of a Lennard-Jones fluid."""
    generator = np.random.default_rng(0)
    made = []
    for _ in range(count):
        atoms = ase.Atoms(
            "OHHOHH", generator.uniform(0, 6, (6, 3)), cell=[[7, 0, 0], [1, 8, 0], [0.5, -1, 9]], pbc=True
        )
        atoms.calc = LennardJones(sigma=1.0, epsilon=0.1, rc=3.0)
        atoms.get_stress()
        made.append(atoms)
    return made


def write_folder(folder: Path, made: list[ase.Atoms], sizes: tuple[int, ...], dtype: type = np.float64) -> Path:
    """Write the images as DeePMD-kit's manual says, in sets of these sizes."""
    folder.mkdir()
    (folder / "type.raw").write_text("0\n1\n1\n0\n1\n1\n")
    (folder / "type_map.raw").write_text("O\nH\n")
    start = 0
    for number, size in enumerate(sizes):
        part = folder / f"set.{number:03d}"
        part.mkdir()
        chosen = made[start : start + size]
        start += size
        arrays = {
            "coord": [a.positions.ravel() for a in chosen],
            "box": [a.cell.array.ravel() for a in chosen],
            "force": [a.get_forces().ravel() for a in chosen],
            "energy": [a.get_potential_energy() for a in chosen],
            # its calculator for ASE has stress = -virial / volume
            "virial": [(-a.get_volume() * a.get_stress(voigt=False)).ravel() for a in chosen],
        }
        for name, values in arrays.items():
            np.save(part / f"{name}.npy", np.asarray(values, dtype=dtype))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "water", images(5), (3, 2))


def test_a_folder_gives_the_frames_that_ase_gives_from_extxyz(folder: Path, tmp_path: Path) -> None:
    ase.io.write(tmp_path / "water.xyz", images(5), format="extxyz")
    pairs = list(zip(read_frames(folder), read_frames(tmp_path / "water.xyz"), strict=True))
    assert len(pairs) == 5
    for step, (frame, other) in enumerate(pairs):
        assert (frame.timestep, frame.name) == (step + 1, f"frame {step + 1}")
        assert frame.types.tolist() == other.types.tolist() == [2, 1, 1, 2, 1, 1]
        assert frame.periodic == other.periodic == (True, True, True)
        for name in ("positions", "cell", "forces", "energy", "virial"):
            # ASE writes eight digits
            np.testing.assert_allclose(getattr(frame, name), getattr(other, name), rtol=1e-7, atol=3e-6, err_msg=name)


def test_energies_are_in_kilocalories_and_the_virial_of_repelling_atoms_is_positive(tmp_path: Path) -> None:
    pair = ase.Atoms("OHHOHH", np.arange(6)[:, None] * [1.05, 0, 0] + [1, 1, 1], cell=[20] * 3, pbc=True)
    pair.calc = LennardJones(sigma=1.0, epsilon=0.1, rc=1.5)
    (frame,) = read_deepmd(write_folder(tmp_path / "row", [pair], (1,)))
    assert frame.energy == pytest.approx(pair.get_potential_energy() * KCAL_PER_MOL_PER_EV, rel=1e-12)
    assert frame.forces is not None and frame.virial is not None
    np.testing.assert_allclose(frame.virial, frame.positions.T @ frame.forces, rtol=1e-9, atol=1e-9)
    assert frame.virial[0, 0] > 0


def test_a_pack_keeps_energies_and_virials_and_follows_changes_of_the_arrays(folder: Path) -> None:
    dataset = open_dataset(folder)
    assert dataset.type_names == ("H", "O")
    for packed, read in zip(dataset, read_frames(folder), strict=True):
        assert packed.energy == read.energy
        np.testing.assert_array_equal(packed.virial, read.virial)
    energies = np.load(folder / "set.000" / "energy.npy")
    np.save(folder / "set.000" / "energy.npy", energies + 1.0)
    assert open_dataset(folder)[0].energy == pytest.approx((energies[0] + 1.0) * KCAL_PER_MOL_PER_EV, rel=1e-12)


def test_without_names_types_keep_their_numbers_and_single_precision_is_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "w", images(2), (2,), np.float32)
    (folder / "type_map.raw").unlink()
    frame = next(read_frames(folder / "type.raw"))
    assert frame.types.tolist() == [1, 2, 2, 1, 2, 2]
    np.testing.assert_allclose(frame.positions, images(1)[0].positions, rtol=1e-6)


def test_without_images_the_box_holds_the_atoms_with_room(folder: Path) -> None:
    (folder / "nopbc").touch()
    (folder / "set.000" / "box.npy").unlink()
    for frame in read_deepmd(folder):
        assert frame.periodic == (False, False, False)
        inside = (frame.positions - frame.origin) @ np.linalg.inv(frame.cell)
        assert inside.min() > 0 and inside.max() < 1


def test_what_is_missing_or_wrong_is_named(folder: Path) -> None:
    part = folder / "set.001"
    whole = {path: path.read_bytes() for path in [*part.iterdir(), folder / "type.raw", folder / "type_map.raw"]}
    force = np.load(part / "force.npy")
    wrong = force.copy()
    wrong[1, 4] = np.nan
    for path, content, message in [
        (part / "force.npy", None, r"set\.001: has energies only, and forces are needed, too; compute them"),
        (part / "box.npy", None, r"set\.001/box\.npy: no such file"),
        (part / "coord.npy", None, r"set\.001/coord\.npy: no such file"),
        (part / "force.npy", force[:, :17], r"force\.npy: does not contain rows of 18 numbers"),
        (part / "force.npy", force[:1], r"force\.npy: has 1 rows of float64, and coord\.npy 2"),
        (part / "force.npy", wrong, r"force\.npy: row 2 contains NaN or infinity"),
        (part / "force.npy", np.array([{}, {}]), r"force\.npy: does not contain rows"),
        (part / "force.npy", np.full((2, 18), "a"), r"force\.npy: has 2 rows of <U1"),
        (part / "real_atom_types.npy", force, r"set\.001: types differ between frames"),
        (folder / "type.raw", "0 1 x", r"type\.raw: must contain the type of each atom"),
        (folder / "type.raw", "0 1 1 0 1 2", r"type_map\.raw: lists 2 types, but type\.raw has a type 2; add its name"),
    ]:
        if content is None:
            path.unlink()
        elif isinstance(content, str):
            path.write_text(content)
        else:
            np.save(path, content)
        with pytest.raises(InputError, match=message):
            list(read_deepmd(folder))
        (part / "real_atom_types.npy").unlink(missing_ok=True)
        for name, content in whole.items():
            name.write_bytes(content)
    (part / "force.npy").unlink()
    assert [f.forces is None for f in read_deepmd(folder, require_forces=False)] == [False] * 3 + [True] * 2


def test_a_set_without_forces_is_refused_by_what_else_it_has(folder: Path) -> None:
    part = folder / "set.001"
    (part / "force.npy").unlink()
    how = "compute them by the same method, and write them to force.npy (eV/angstrom), one row of 18 numbers per frame."
    for name, message in [
        (None, f"{part}: has energies only, and forces are needed, too; {how}"),
        ("energy", f"{part}: has virials only, and forces are needed, too; {how}"),
        ("virial", f"{part / 'force.npy'}: no such file; add it with one row of 18 numbers per frame."),
    ]:
        if name is not None:
            (part / f"{name}.npy").unlink()
        with pytest.raises(InputError) as caught:
            open_dataset(folder)
        assert str(caught.value) == message


def test_a_folder_without_sets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "type.raw").write_text("0 0")
    with pytest.raises(InputError, match=r"contains no folder 'set\.\*' with frames; add set\.000"):
        list(read_frames(tmp_path))


@pytest.mark.parametrize(("offset", "dtype", "warned"), [(0.0, np.float32, False), (-9e4, np.float32, True)])
def test_energies_that_single_precision_rounds_away_are_told(
    tmp_path: Path, offset: float, dtype: type, warned: bool
) -> None:
    folder = write_folder(tmp_path / "w", images(2), (2,), dtype)
    path = folder / "set.000" / "energy.npy"
    np.save(path, (np.load(path) + offset).astype(dtype))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        list(read_deepmd(folder))
        np.save(path, np.load(path).astype(np.float64))
        told = [str(w.message) for w in caught]
        list(read_deepmd(folder))
    assert len(caught) == len(told) == warned
    assert all("energy.npy: energies of up to 9e+04 eV are written in single precision" in text for text in told)
