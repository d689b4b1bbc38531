from __future__ import annotations

from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from gnnformd.automatic.choose import choose_config
from gnnformd.errors import InputError
from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.interfaces.ase import Calculator
from gnnformd.model.files.model_file import load_model
from gnnformd.model.settings import DensitySettings
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.train import train
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.settings import DataSettings

COULOMB = 14.399645  # eV angstrom / e^2
MADELUNG = 1.747565  # of rocksalt


def salt(path: Path, name: str | None, *, frames: int = 6, changing: bool = False) -> list[ase.Atoms]:
    """Crystals of ions whose charges are in the column ``name``."""
    images = []
    for k in range(frames):
        random = np.random.default_rng(k)
        atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
        charges = np.where(atoms.numbers == 11, 1.0, -1.0) * (1 + 0.1 * k * changing)
        atoms.rattle(0.1, seed=k)
        atoms.calc = SinglePointCalculator(atoms, energy=random.normal(), forces=random.normal(size=(8, 3)))
        if name is not None:
            atoms.arrays[name] = charges
        images.append(atoms)
    ase.io.write(path, images, format="extxyz")
    return images


@pytest.mark.parametrize(
    ("array", "column"),
    [("initial_charges", "initial_charges"), ("charges", "charge"), ("q", "q"), ("DFT_charges", "DFT_charges")],
)
def test_charges_are_used_where_they_are_asked_for_and_else_named(tmp_path: Path, array: str, column: str) -> None:
    salt(tmp_path / "salt.xyz", array)
    assert f":{column}:R:1" in (tmp_path / "salt.xyz").read_text()
    found = open_dataset(tmp_path / "salt.xyz", keys={"charges": column})
    np.testing.assert_array_equal(found[0].charges, np.where(found[0].types == 1, 1.0, -1.0))
    with pytest.warns(UserWarning, match=r"charges of atoms \('.*'\) are not used; data\.keys\.charges=.* takes them"):
        assert open_dataset(tmp_path / "salt.xyz")[0].charges is None


def test_charges_that_some_frames_lack_or_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "salt.xyz"
    salt(path, "q", frames=1)
    text = path.read_text()
    salt(tmp_path / "without.xyz", None, frames=1)
    path.write_text(text + (tmp_path / "without.xyz").read_text())
    with pytest.raises(InputError, match=r"salt\.xyz, line 11: the frame has no 'q', which data\.keys\.charges names"):
        open_dataset(path, keys={"charges": "q"})
    path.write_text(text.replace(":q:R:1", ":q:S:1"))
    with pytest.raises(InputError, match=r"salt\.xyz, line 1: the column 'q' is not one charge an atom"):
        open_dataset(path, keys={"charges": "q"})
    lines = text.splitlines()
    lines[2] = " ".join(["nan" if k == 4 else word for k, word in enumerate(lines[2].split())])
    path.write_text("\n".join(lines) + "\n")
    column = lines[1].split("Properties=")[1].split()[0].split(":")
    assert column[6] == "q"
    with pytest.raises(InputError, match=r"salt\.xyz, line 1: a charge of the frame is not a finite number"):
        open_dataset(path, keys={"charges": "q"})


def test_auto_takes_charges_that_are_asked_for_unless_they_change(tmp_path: Path) -> None:
    def chosen(*changes: str) -> dict[str, object]:
        return {c.key: c.value for c in choose_config([str(tmp_path / "salt.xyz")], changes).choices}

    salt(tmp_path / "salt.xyz", "q")
    with pytest.warns(UserWarning, match="are not used"):
        plain = chosen()
    asked = chosen("data.keys={charges: q}")
    assert plain["model.electrostatics"] == "none"
    assert asked["model.electrostatics"] == "fixed"
    assert asked["model.features"] == plain["model.features"] == 48  # quantum data, with charges too
    salt(tmp_path / "salt.xyz", "q", changing=True)
    assert chosen("data.keys={charges: q}")["model.electrostatics"] == "none"


SETTINGS = TrainingSettings(epochs=1, batch_size=2, loggers=(), accelerator="cpu", threads=1)
MODEL = DensitySettings(
    cutoff=2.8, layers=1, features=4, width=8, radial_functions=4, electrostatics="fixed", node_features="embedding"
)


def test_a_model_with_charges_asks_for_them(tmp_path: Path) -> None:
    (image, *_) = salt(tmp_path / "salt.xyz", "initial_charges")
    data = DataSettings(paths=[str(tmp_path / "salt.xyz")], keys={"charges": "initial_charges"})
    run = train(MODEL, data, SETTINGS, tmp_path / "run")
    loaded = load_model(run.model)
    with pytest.warns(UserWarning, match="are not used"):
        plain = open_dataset(tmp_path / "salt.xyz")
    with pytest.raises(InputError, match="has the Coulomb energy of the atoms' charges, which are not known"):
        evaluate(loaded, [plain])
    evaluate(loaded, [open_dataset(tmp_path / "salt.xyz", keys=data.keys)])
    image.calc = Calculator(loaded)
    with_charges = image.get_potential_energy()
    image.set_initial_charges(np.zeros(8))
    # all but the Coulomb energy is the same; four pairs of ions, nearly on the sites of the crystal
    coulomb = with_charges - image.get_potential_energy()
    assert coulomb == pytest.approx(-4 * MADELUNG * COULOMB / (5.64 / 2), rel=0.05)
    del image.arrays["initial_charges"]
    with pytest.raises(InputError, match="which are not known"):
        image.get_potential_energy()


def test_without_charges_there_is_no_coulomb_energy(tmp_path: Path) -> None:
    salt(tmp_path / "salt.xyz", None)
    data = DataSettings(paths=[str(tmp_path / "salt.xyz")])
    with pytest.warns(UserWarning, match=r"salt\.xyz: has no charges, so there is no Coulomb energy"):
        run = train(MODEL, data, SETTINGS, tmp_path / "run")
    assert load_model(run.model).card.settings.electrostatics == "none"


def test_charges_in_a_part_of_the_data_are_refused(tmp_path: Path) -> None:
    for name, more, values in (("with", " q", (" 1", " -1")), ("without", "", ("", ""))):
        box = "ITEM: BOX BOUNDS pp pp pp\n" + "0 9\n" * 3
        frames = [
            f"ITEM: UNITS\nreal\nITEM: TIMESTEP\n{k}\nITEM: NUMBER OF ATOMS\n2\n{box}"
            f"ITEM: ATOMS id type x y z fx fy fz{more}\n1 1 0 0 0 1 0 0{values[0]}\n"
            f"2 2 {2.5 + 0.1 * k} 0 0 -1 0 0{values[1]}\n"
            for k in range(4)
        ]
        (tmp_path / f"{name}.dump").write_text("".join(frames))
    data = DataSettings(paths=[str(tmp_path / "with.dump"), str(tmp_path / "without.dump")])
    with pytest.raises(InputError, match=r"without\.dump: has no charges, which model\.electrostatics: fixed needs"):
        train(MODEL, data, SETTINGS, tmp_path / "run")
