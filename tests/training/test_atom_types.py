"""Data with other orders of their types in one training."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from gnnformd.errors import InputError
from gnnformd.force_field import AtomType, ForceField, HarmonicBond
from gnnformd.model.files.model_file import load_model
from gnnformd.model.settings import DensitySettings
from gnnformd.training.atom_types import with_common_types
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.train import finetune, train
from gnnformd.trajectory.packed.dataset import PackedDataset, open_dataset
from gnnformd.trajectory.settings import DataSettings

DENSITY = DensitySettings(
    cutoff=4.4, features=4, width=8, radial_functions=6, electrostatics="none", bond_kinds=0, node_features="embedding"
)
TRAINING = TrainingSettings(
    epochs=2, batch_size=2, checkpoint_every=1, loggers=(), threads=1, accelerator="cpu", warmup_penalty=50.0
)


def write(path: Path, symbols: list[str], seed: int) -> None:
    """Frames of 27 atoms of these elements in turn, with random forces."""
    random = np.random.default_rng(seed)
    lattice = 3.8 * np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    images = []
    for _ in range(6):
        x = lattice + random.normal(0, 0.2, lattice.shape)
        atoms = Atoms([symbols[k % len(symbols)] for k in range(27)], x, cell=[11.4] * 3, pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=random.normal(0, 0.1, x.shape))
        images.append(atoms)
    ase.io.write(path, images, format="extxyz")


def test_datasets_get_the_numbers_of_the_one_with_most_types(tmp_path: Path) -> None:
    write(tmp_path / "two.xyz", ["Ar", "Kr"], 0)
    write(tmp_path / "kr.xyz", ["Kr"], 1)
    two, one = (open_dataset(tmp_path / name, cache=tmp_path) for name in ("two.xyz", "kr.xyz"))
    assert set(one[0].types) == {1}
    (same, changed), names = with_common_types([two, one])
    assert names == ("Ar", "Kr")
    assert same is two
    assert set(changed[0].types) == set(changed.used_types) == {2}
    assert changed.type_count == 2
    assert changed.type_names == names
    assert set(pickle.loads(pickle.dumps(changed))[0].types) == {2}


def test_a_force_field_follows_its_types(tmp_path: Path) -> None:
    write(tmp_path / "a.xyz", ["Ar", "Kr"], 0)
    argon, krypton = AtomType("Ar", 39.95, 0.1, 0.2, 3.4), AtomType("Kr", 83.8, 0.2, 0.3, 3.6)
    fields = [ForceField((argon, krypton)), ForceField((krypton, argon), bonds=(HarmonicBond((1, 2), 5.0, 1.0),))]
    data = [open_dataset(tmp_path / "a.xyz", force_field=field, cache=tmp_path) for field in fields]
    (first, second), names = with_common_types(data)
    assert names == ("Ar", "Kr")
    assert second.force_field == ForceField((argon, krypton), bonds=(HarmonicBond((2, 1), 5.0, 1.0),))
    np.testing.assert_array_equal(first[0].types, second[0].types)


def test_a_dataset_of_other_elements_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "two.xyz", ["Ar", "Kr"], 0)
    write(tmp_path / "other.xyz", ["Xe"], 1)
    data = [open_dataset(tmp_path / name, cache=tmp_path) for name in ("two.xyz", "other.xyz")]
    with pytest.raises(InputError, match=r"other.xyz: its atom types are Xe, but those of .*two.xyz are Ar, Kr"):
        with_common_types(data)


def test_where_parameters_suffice_data_may_be_of_any_types(tmp_path: Path) -> None:
    write(tmp_path / "two.xyz", ["Ar", "Kr"], 0)
    write(tmp_path / "other.xyz", ["Xe"], 1)
    argon, krypton, xenon = (
        AtomType(n, m, 0.0, e, 3.4) for n, m, e in (("Ar", 40, 0.2), ("Kr", 84, 0.3), ("Xe", 131, 0.4))
    )
    deeper = AtomType("Kr", 84.0, 0.0, 0.5, 3.4)
    fields = [ForceField((argon, krypton)), ForceField((xenon,)), ForceField((deeper, argon))]
    data = [
        open_dataset(tmp_path / name, force_field=field, cache=tmp_path)
        for name, field in zip(["two.xyz", "other.xyz", "two.xyz"], fields, strict=True)
    ]
    changed, names = with_common_types(data, parameters_suffice=True)
    assert names == ("Ar", "Kr", "Xe", "Kr")
    every = (argon, krypton, xenon, deeper)
    for old, new, field in zip(data, changed, fields, strict=True):
        assert new.force_field is not None
        assert new.force_field.types == every
        assert [every[t - 1] for t in new[0].types] == [field.types[t - 1] for t in old[0].types]


def test_where_parameters_suffice_the_numbers_of_the_model_stay_and_equal_types_stay_apart(tmp_path: Path) -> None:
    write(tmp_path / "two.xyz", ["Ar", "Kr"], 0)
    argon, krypton, xenon = (
        AtomType(n, m, 0.0, e, 3.4) for n, m, e in (("Ar", 40, 0.2), ("Kr", 84, 0.3), ("Xe", 131, 0.4))
    )

    def data(*kinds: AtomType) -> PackedDataset:
        return open_dataset(tmp_path / "two.xyz", force_field=ForceField(kinds), cache=tmp_path)

    start = SimpleNamespace(card=SimpleNamespace(force_field=ForceField((xenon, argon))))
    (changed,), names = with_common_types([data(argon, krypton)], start, parameters_suffice=True)  # type: ignore[arg-type]
    assert names == ("Xe", "Ar", "Kr")
    assert set(changed.used_types.tolist()) == {2, 3}
    # the dataset with most types comes first, whatever the order
    few, many = data(argon, krypton), data(krypton, argon, argon)
    (one, other), names = with_common_types([few, many], parameters_suffice=True)
    assert names == ("Kr", "Ar", "Ar")
    assert (set(one.used_types.tolist()), set(other.used_types.tolist())) == ({1, 2}, {1, 3})  # the last of a name
    assert other is many


def test_a_model_is_fine_tuned_on_fewer_types_in_another_order(tmp_path: Path) -> None:
    write(tmp_path / "two.xyz", ["Ar", "Kr"], 0)
    write(tmp_path / "kr.xyz", ["Kr"], 1)
    both = DataSettings(paths=[str(tmp_path / name) for name in ("kr.xyz", "two.xyz")], validation_fraction=0.25)
    first = train(DENSITY, both, TRAINING, tmp_path / "first")
    card = load_model(first.model).card
    assert card.type_names == ("Ar", "Kr")
    assert set(card.trained_on[0]["largest_forces"]) == {"Ar", "Kr"}
    krypton = DataSettings(paths=[str(tmp_path / "kr.xyz")], validation_fraction=0.25)
    second = load_model(finetune(first.model, DENSITY, krypton, TRAINING, tmp_path / "second").model).card
    assert second.type_names == ("Ar", "Kr")
    assert set(second.trained_on[1]["largest_forces"]) == {"Kr"}
    assert [pair[1:3] for pair in second.trained_on[1]["closest_pairs"]] == [["Kr", "Kr"]]


def test_channels_that_are_not_set_are_those_of_the_model_that_is_fine_tuned(tmp_path: Path) -> None:
    write(tmp_path / "two.xyz", ["Ar", "Kr"], 0)
    data = DataSettings(paths=[str(tmp_path / "two.xyz")], validation_fraction=0.25)
    first = train(DENSITY.model_copy(update={"channels": 1}), data, TRAINING, tmp_path / "first")
    second = load_model(finetune(first.model, DENSITY, data, TRAINING, tmp_path / "second").model)
    assert second.card.settings == DENSITY.model_copy(update={"channels": 1})
