from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import voigt_6_to_full_3x3_stress
from typer.testing import CliRunner

import gnnformd
from gnnformd.cli import app
from gnnformd.errors import InputError
from gnnformd.inference.predictions import predict_frames
from gnnformd.model.files.model_file import load_model
from gnnformd.trajectory.read import read_frames
from gnnformd.units import KCAL_PER_MOL_PER_EV

TYPES = """types:
- {name: Ar, mass: 39.948, charge: 0.0, epsilon: 0.2378, sigma: 3.405}
"""


def crystals(path: Path, count: int = 3) -> list[ase.Atoms]:
    generator = np.random.default_rng(0)
    images = []
    for k in range(count):
        atoms = bulk("Ar", "fcc", a=5.5, cubic=True) * (2 + k % 2, 2, 2)  # sizes differ
        atoms.set_cell(atoms.cell.array @ [[1.01, 0.02, 0], [0, 1, 0.01], [0, 0, 0.99]], scale_atoms=True)
        atoms.rattle(0.1, seed=k)
        results = {"energy": generator.normal(), "forces": generator.normal(size=(len(atoms), 3))}
        atoms.calc = SinglePointCalculator(atoms, stress=generator.normal(size=6), **results)
        atoms.info["config_type"] = 'a "crystal"'
        images.append(atoms)
    ase.io.write(path, images, format="extxyz")
    path.with_suffix(".yaml").write_text(TYPES)
    return images


def test_predictions_are_those_of_the_ase_calculator_and_stand_beside_the_reference(tmp_path: Path) -> None:
    from gnnformd.force_field import ForceField

    images = crystals(tmp_path / "in.xyz")
    loaded = load_model("argon", dtype=torch.float64, compiled=False)
    field = ForceField.from_yaml(tmp_path / "in.yaml")
    assert (
        predict_frames(loaded, tmp_path / "in.xyz", tmp_path / "out.xyz", force_field=field, batch_size=2).frames == 3
    )
    calculator = gnnformd.Calculator(loaded)
    for written, atoms in zip(ase.io.read(tmp_path / "out.xyz", ":"), images, strict=True):
        reference = atoms.calc.results
        positions = np.round(atoms.positions, 8)  # ASE writes eight digits
        own = ase.Atoms(atoms.symbols, positions, cell=atoms.cell, pbc=True, calculator=calculator)
        assert written.get_potential_energy() == pytest.approx(own.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(written.get_forces(), own.get_forces(), atol=1e-9)
        np.testing.assert_allclose(written.get_stress(), own.get_stress(), atol=1e-11)
        assert written.info["REF_energy"] == pytest.approx(reference["energy"], rel=1e-9)
        np.testing.assert_allclose(written.arrays["REF_forces"], reference["forces"], atol=2e-8)
        tensor = voigt_6_to_full_3x3_stress(reference["stress"]).ravel()
        np.testing.assert_allclose(written.info["REF_stress"], tensor, rtol=1e-9)
        assert written.info["config_type"] == 'a "crystal"'


def test_written_predictions_are_read_as_the_reference_they_were_made_of(tmp_path: Path) -> None:
    crystals(tmp_path / "in.xyz")
    arguments = ["predict", "argon", str(tmp_path / "in.xyz"), str(tmp_path / "out.xyz"), "--torch"]
    result = CliRunner().invoke(app, [*arguments, "--force-field", str(tmp_path / "in.yaml")])
    assert result.exit_code == 0, result.output
    assert "3 frames" in result.output
    with pytest.warns(UserWarning, match="energy is taken from 'REF_energy', not from 'energy'"):
        again = list(read_frames(tmp_path / "out.xyz"))
    for frame, other in zip(again, read_frames(tmp_path / "in.xyz"), strict=True):
        assert frame.energy == pytest.approx(other.energy, rel=1e-10)
        np.testing.assert_allclose(frame.forces, other.forces, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(frame.virial, other.virial, rtol=1e-8, atol=1e-6)
        np.testing.assert_allclose(frame.positions, other.positions, atol=1e-9)


def test_data_without_forces_are_predicted(tmp_path: Path) -> None:
    atoms = ase.Atoms("Ar2", [[0, 0, 0], [3.8, 0, 0]])
    ase.io.write(tmp_path / "in.xyz", atoms, format="extxyz")
    (tmp_path / "in.yaml").write_text(TYPES)
    from gnnformd.force_field import ForceField

    loaded = load_model("argon", dtype=torch.float64, compiled=False)
    field = ForceField.from_yaml(tmp_path / "in.yaml")
    predict_frames(loaded, tmp_path / "in.xyz", tmp_path / "out.xyz", force_field=field)
    written = ase.io.read(tmp_path / "out.xyz")
    assert not {"REF_energy", "REF_stress", "stress"} & {*written.info, *written.calc.results}
    s6 = (3.405 / 3.8) ** 6  # the shipped model has learned Lennard-Jones
    expected = 24 * 0.2378 / 3.8 * (2 * s6**2 - s6) / KCAL_PER_MOL_PER_EV
    assert written.get_forces()[1, 0] == pytest.approx(expected, abs=0.02 * 0.2378 / KCAL_PER_MOL_PER_EV)


def test_extrapolation_grades_stand_beside_the_predictions(tmp_path: Path, helpers) -> None:
    images = crystals(tmp_path / "in.xyz")
    loaded = helpers.load(helpers.Graded(5.0, [1.2345, 2.5, 1.0]))
    found = predict_frames(
        loaded, tmp_path / "in.xyz", tmp_path / "out.xyz", force_field=loaded.card.force_field, batch_size=1
    )
    assert (found.frames, found.unusual) == (3, 1)
    for written, atoms, grade in zip(ase.io.read(tmp_path / "out.xyz", ":"), images, (1.234, 2.5, 1.0), strict=True):
        expected = [grade] + [1.0] * (len(atoms) - 1)
        assert written.arrays["extrapolation_grade"].tolist() == pytest.approx(expected, abs=1e-3)


def test_the_data_are_not_overwritten_and_other_elements_refused(tmp_path: Path) -> None:
    crystals(tmp_path / "in.xyz", 1)
    before = (tmp_path / "in.xyz").read_bytes()
    loaded = load_model("argon", compiled=False)
    with pytest.raises(InputError, match=r"in\.xyz: is the data itself; name another file"):
        predict_frames(loaded, tmp_path / "in.xyz", tmp_path / "in.xyz")
    assert (tmp_path / "in.xyz").read_bytes() == before
    with pytest.raises(InputError, match=r"in\.xyz: has no force field, but the model's inputs"):
        predict_frames(loaded, tmp_path / "in.xyz", tmp_path / "out.xyz")
    assert not (tmp_path / "out.xyz").exists()
