from __future__ import annotations

from pathlib import Path

import pytest

from gnnformd.training.atom_types import with_common_types
from gnnformd.training.data import FrameData
from gnnformd.training.settings import TrainingSettings
from gnnformd.trajectory.packed.dataset import open_datasets
from gnnformd.trajectory.settings import DataSettings
from gnnformd.units import KCAL_PER_MOL_PER_EV
from tests.training.conftest import write_liquid

PAIR = """2
Lattice="9 0 0 0 9 0 0 0 9" pbc="T T T" Properties=species:S:1:pos:R:3:forces:R:3 energy=-40.0
O 0 0 0 0.5 0 0
H 1 0 0 -0.5 0 0
"""
ATOM = """1
config_type=IsolatedAtom Properties=species:S:1:pos:R:3 energy=-430.0
O 0 0 0
"""


def test_named_files_validate_and_nothing_else_does(tmp_path: Path) -> None:
    write_liquid(tmp_path / "train.dump", frames=7)
    write_liquid(tmp_path / "valid.dump", frames=3, seed=1)
    settings = DataSettings(paths=[str(tmp_path / "train.dump")], validation=[str(tmp_path / "valid.dump")])
    datasets, _ = with_common_types(open_datasets(settings))
    frames = FrameData(datasets, settings, TrainingSettings(), 4.0)
    assert frames.train_graphs.frames == tuple((0, k) for k in range(7))
    assert frames.validation_graphs.frames == tuple((1, k) for k in range(3))


def test_energies_of_isolated_atoms_follow_the_common_numbering_of_a_training(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text(PAIR + PAIR.replace("O ", "C "))
    (tmp_path / "b.xyz").write_text(PAIR + ATOM)
    paths = [str(tmp_path / "b.xyz"), str(tmp_path / "a.xyz")]
    datasets, names = with_common_types(open_datasets(DataSettings(paths=paths)))
    assert names == ("H", "O", "C")
    for dataset in datasets:
        assert dataset.atom_energies == pytest.approx({2: -430 * KCAL_PER_MOL_PER_EV})
