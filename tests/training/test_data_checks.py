"""A training says before it starts what is doubtful in its data."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import ase
import ase.io
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from gnnformd.errors import InputError
from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.model.files.model_file import load_model
from gnnformd.model.settings import GamdSettings
from gnnformd.training.data import FrameData
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.train import train
from gnnformd.trajectory.data_checks import position_digest
from gnnformd.trajectory.packed.dataset import open_datasets
from gnnformd.trajectory.settings import DataSettings
from tests.training.conftest import write_crystal, write_liquid


def said(data: DataSettings) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        FrameData(open_datasets(data), data, TrainingSettings(), 4.4)
    return [str(w.message) for w in caught if w.category is UserWarning]


def test_good_data_are_passed_over_in_silence(liquid: DataSettings) -> None:
    assert said(liquid.model_copy(update={"force_field": None})) == []


def test_forces_that_are_not_those_of_the_force_field_are_told(liquid: DataSettings) -> None:
    assert "times as large as those of the force field" in said(liquid)[0]  # the liquid has a law of its own


def test_frames_that_stand_on_both_sides_are_counted(tmp_path: Path, liquid: DataSettings) -> None:
    write_liquid(tmp_path / "test.dump", seed=0)  # the same 13 frames
    both = liquid.model_copy(
        update={
            "paths": [*liquid.paths, str(tmp_path / "test.dump")],
            "split": "trajectory",
            "validation_fraction": 0.5,
            "force_field": None,
        }
    )
    assert said(both) == ["data: 13 of 13 validation frames are also training frames; the error will be too low."]


def test_data_that_repeat_themselves_are_told(tmp_path: Path, liquid: DataSettings) -> None:
    path = Path(liquid.paths[0])
    path.write_text(path.read_text() * 2)
    found = " ".join(said(liquid))
    assert "liquid.dump: 13 frames have the positions of an earlier frame" in found
    assert "training frames have the positions of another one" in found


def test_bonds_that_nothing_tells_are_missed(tmp_path: Path, liquid: DataSettings) -> None:
    field = Path(str(liquid.force_field))
    field.write_text(field.read_text().replace("bonds: []", "bonds: [{types: [1, 2], stiffness: 100.0, length: 1.5}]"))
    assert "those of the atoms are unknown" in " ".join(said(liquid))


def test_a_model_knows_the_frames_it_was_trained_on(tmp_path: Path, liquid: DataSettings) -> None:
    settings = TrainingSettings(epochs=1, accelerator="cpu", threads=1, warmup_epochs=1, loggers=())
    run = train(GamdSettings(width=4, layers=1, cutoff=4.4), liquid, settings, tmp_path / "run")
    write_liquid(tmp_path / "other.dump", seed=1)
    other = liquid.model_copy(update={"paths": [str(tmp_path / "other.dump")]})
    loaded = load_model(run.model)
    (first, *_) = open_datasets(liquid)
    earlier = replace(loaded.card, trained_on=({"some_frames": [position_digest(first[1])]},))  # of an older version
    for model, data, known in (
        *((loaded, liquid, True), (loaded, other, False)),
        *((replace(loaded, card=earlier), liquid, True), (replace(loaded, card=earlier), other, False)),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            evaluate(model, open_datasets(data), frames=1)
        said = [str(w.message) for w in caught if "was trained on frames of this dataset" in str(w.message)]
        assert len(said) == known


@pytest.fixture(scope="module")
def crystals_alike(tmp_path_factory: pytest.TempPathFactory) -> list[ase.Atoms]:
    return write_crystal(tmp_path_factory.mktemp("crystals") / "crystal.xyz", frames=10, seed=0)


def with_gold(path: Path, images: list[ase.Atoms], *frames: int) -> None:
    """Write the crystals, some of which get an atom of gold."""
    changed = [atoms.copy() for atoms in images]
    for number, (atoms, known) in enumerate(zip(changed, images, strict=True)):
        atoms.symbols[3] = "Au" if number in frames else "Ar"
        atoms.calc = SinglePointCalculator(atoms, **known.calc.results)
    ase.io.write(path, changed, format="extxyz")


@pytest.mark.parametrize("split", ["shuffled", "blocks"])
def test_an_element_is_not_validated_on_alone(tmp_path: Path, crystals_alike: list[ase.Atoms], split: str) -> None:
    for number in range(10):
        with_gold(tmp_path / "gold.xyz", crystals_alike, number)
        settings = DataSettings(paths=[str(tmp_path / "gold.xyz")], split=split, validation_fraction=0.2)
        datasets = open_datasets(settings)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            data = FrameData(datasets, settings, TrainingSettings(), 4.4)
        assert (0, number) in data.train_graphs.frames
        moved = [str(w.message) for w in caught if "1 validation frames have Au, which no training" in str(w.message)]
        assert len(data.validation_graphs.frames) == 2 - len(moved)


def test_elements_of_validation_data_alone_are_refused(tmp_path: Path, crystals_alike: list[ase.Atoms]) -> None:
    with_gold(tmp_path / "copper.xyz", crystals_alike)
    with_gold(tmp_path / "gold.xyz", crystals_alike, 2)
    files = DataSettings(paths=[str(tmp_path / "copper.xyz")], validation=[str(tmp_path / "gold.xyz")])
    files = files.model_copy(update={"elements": ["Ar", "Au"]})
    with pytest.raises(InputError, match=r"gold\.xyz: validation frames have Au, which no training frame has; add"):
        FrameData(open_datasets(files), files, TrainingSettings(), 4.4)
    FrameData(open_datasets(files), files, TrainingSettings(), 4.4, known_types={2})  # of a model that is fine-tuned
    with_gold(tmp_path / "two.xyz", crystals_alike, 9)
    one = DataSettings(paths=[str(tmp_path / "two.xyz")], split="blocks")  # its last frame alone validates
    with pytest.raises(InputError, match=r"two\.xyz: all frames with Au are validation frames"):
        FrameData(open_datasets(one), one, TrainingSettings(), 4.4)
