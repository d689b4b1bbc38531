from __future__ import annotations

import re
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.trajectory.formats.target_weights import target_weights
from gnnformd.trajectory.frame import TargetWeights
from gnnformd.trajectory.packed.dataset import open_dataset, open_datasets
from gnnformd.trajectory.read import read_frames
from gnnformd.trajectory.settings import DataSettings
from gnnformd.units import KCAL_PER_MOL_PER_EV


def write(path: Path, *headers: dict[str, object], lacking: tuple[str, ...] = ()) -> Path:
    """Frames of two atoms under MACE's names, each with these numbers in its line."""
    images = []
    for k, header in enumerate(headers):
        atoms = ase.Atoms("Ar2", [[0, 0, 0], [3.5 + 0.1 * k, 0, 0]], cell=[12, 12, 12], pbc=True)
        atoms.info |= {"REF_energy": -0.1 * k, "REF_stress": np.full(6, 0.01), **header}
        if f"forces {k}" not in lacking:
            atoms.arrays["REF_forces"] = np.array([[0.1, 0, 0], [-0.1, 0, 0]])
        for name in lacking:
            if name == f"energy {k}":
                del atoms.info["REF_energy"]
        images.append(atoms)
    ase.io.write(path, images, format="extxyz")
    return path


def test_weights_of_mace_are_multiplied_and_packed(tmp_path: Path) -> None:
    first = {"config_weight": 2.0, "config_energy_weight": 0.5, "config_forces_weight": 10.0}
    path = write(tmp_path / "w.xyz", {"config_type": "surface", **first, "config_stress_weight": 3}, {})
    expected = [TargetWeights(20.0, 1.0, 6.0), TargetWeights(1.0, 1.0, 1.0)]
    assert [frame.weights for frame in read_frames(path)] == expected
    assert [frame.weights for frame in open_dataset(path)] == expected
    settings = DataSettings(paths=[str(path)], config_type_weights={"surface": 5.0, "Default": 0.25})
    (dataset,) = open_datasets(settings)
    assert dataset.weights.tolist() == [[100.0, 5.0, 30.0], [0.25, 0.25, 0.25]]
    assert dataset[1].weights == TargetWeights(0.25, 0.25, 0.25)


@pytest.mark.parametrize("name", ["energy", "forces", "stress", "virials"])
def test_a_target_of_weight_zero_is_not_there(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "w.xyz", {f"config_{name}_weight": 0.0}, {})
    known = {"forces": [False, True, True], "energy": [True, False, True]}.get(name, [True, True, False])
    dataset = open_dataset(path)
    assert dataset.known.tolist() == [known, [True, True, True]]
    frame = dataset[0]
    assert [value is not None for value in (frame.forces, frame.energy, frame.virial)] == known


def test_a_frame_of_weight_zero_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "w.xyz", {"config_weight": 0}, {})
    (frame,) = open_dataset(path)
    assert frame.energy == pytest.approx(-0.1 * KCAL_PER_MOL_PER_EV)


def test_an_isolated_atom_has_its_energy_whatever_its_weight(tmp_path: Path) -> None:
    path = write(tmp_path / "w.xyz", {}, {})
    atom = ase.Atoms("Ar")
    atom.info |= {"config_type": "IsolatedAtom", "REF_energy": -3.0, "config_weight": 0.0}
    ase.io.write(path, atom, format="extxyz", append=True)
    assert open_dataset(path).isolated_atoms == {"Ar": pytest.approx(-3.0 * KCAL_PER_MOL_PER_EV)}
    settings = DataSettings(paths=[str(path)], config_type_weights={"IsolatedAtom": 0.0})
    assert len(open_datasets(settings)[0]) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"config_weight": -1.0}, "at: config_weight is '-1.0'; write a number that is not negative."),
        ({"config_energy_weight": "high"}, "at: config_energy_weight is 'high'; write a number"),
        ({"config_forces_weight": float("nan")}, "at: config_forces_weight is 'nan'; write a number"),
        (
            {"config_stress_weight": 1.0, "config_virials_weight": 2.0},
            "at: 'config_virials_weight' and 'config_stress_weight' differ, but weigh the same virial",
        ),
    ],
)
def test_a_wrong_weight_is_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        target_weights(given, "at")


def test_a_kind_of_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "w.xyz", {"config_type": "surface"}, {"config_type": "bulk"})
    with pytest.raises(InputError, match="no frame has the config_type 'surfaces'; there are bulk, surface"):
        open_datasets(DataSettings(paths=[str(path)], config_type_weights={"surfaces": 2.0}))


def test_some_frames_may_have_energies_alone_and_others_forces_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "w.xyz", {}, {}, {}, lacking=("forces 0", "energy 2"))
    assert open_dataset(path).known[:, :2].tolist() == [[False, True], [True, True], [True, False]]


def test_a_file_without_any_forces_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "w.xyz", {}, {}, lacking=("forces 0", "forces 1"))
    with pytest.raises(InputError) as refused:
        open_dataset(path)
    assert str(refused.value) == (
        f"{path}: has energies only, and forces are needed, too; compute them by the same method, or, if the file has "
        "them under another name, give it as data.keys.forces (columns of three numbers: none)."
    )
    path.write_text(re.sub("REF_forces|forces", "my_forces", write(path, {}, {}).read_text()))
    with pytest.raises(InputError, match=r"only.*data\.keys\.forces \(columns of three numbers: my_forces\)"):
        open_dataset(path)
    with pytest.raises(InputError, match=r"no frame has 'our_forces', which data\.keys\.forces names"):
        open_dataset(path, keys={"forces": "our_forces"})
    assert len(open_dataset(path, keys={"forces": "my_forces"})) == 2


def test_a_file_whose_forces_all_have_weight_zero_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "w.xyz", {"config_forces_weight": 0}, {"config_forces_weight": 0})
    with pytest.raises(InputError, match=r"w\.xyz: all forces have weight zero.*config_forces_weight"):
        open_dataset(path)


def test_a_frame_with_nothing_to_learn_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "w.xyz", {}, {}, lacking=("forces 1", "energy 1"))
    path.write_text(path.read_text().replace("REF_stress=", "Other_stress="))
    with pytest.raises(InputError, match=r"w\.xyz, line 5: the frame has no column 'forces'"):
        open_dataset(path)
