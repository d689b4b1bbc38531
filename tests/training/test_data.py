from __future__ import annotations

from pathlib import Path

from gnnformd.training.atom_types import with_common_types
from gnnformd.training.data import FrameData
from gnnformd.training.settings import TrainingSettings
from gnnformd.trajectory.packed.dataset import open_datasets
from gnnformd.trajectory.settings import DataSettings
from tests.training.conftest import write_liquid


def test_named_files_validate_and_nothing_else_does(tmp_path: Path) -> None:
    write_liquid(tmp_path / "train.dump", frames=7)
    write_liquid(tmp_path / "valid.dump", frames=3, seed=1)
    settings = DataSettings(paths=[str(tmp_path / "train.dump")], validation=[str(tmp_path / "valid.dump")])
    datasets, _ = with_common_types(open_datasets(settings))
    frames = FrameData(datasets, settings, TrainingSettings(), 4.0)
    assert frames.train_graphs.frames == tuple((0, k) for k in range(7))
    assert frames.validation_graphs.frames == tuple((1, k) for k in range(3))
