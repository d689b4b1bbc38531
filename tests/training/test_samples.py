"""Frames that stand for all: no type of atom and no close pair is missing because it is rare."""

from pathlib import Path

import pytest

from gnnformd.training.atom_types import with_common_types
from gnnformd.training.data import FrameData
from gnnformd.training.data_range import shortest_distances_of
from gnnformd.training.samples import FRAMES_OF_EACH_TYPE, representative_frames
from gnnformd.training.settings import TrainingSettings
from gnnformd.trajectory.packed.dataset import open_datasets
from gnnformd.trajectory.settings import DataSettings

pytestmark = pytest.mark.filterwarnings("ignore:.*have the positions of", "ignore:.*are also training frames")

FRAME = """2
Lattice="9 0 0 0 9 0 0 0 9" pbc="T T T" Properties=species:S:1:pos:R:3:forces:R:3 energy=-40.0
Cu 0 0 0 0.5 0 0
{neighbor} {distance} 0 0 -0.5 0 0
"""


def test_frames_are_evenly_spaced_and_rare_types_are_among_them() -> None:
    types = [{1} if k not in (13, 14, 77) else {1, 2} for k in range(100)]
    assert representative_frames(range(100), types, 4) == [0, 13, 14, 25, 50, 75, 77]
    assert representative_frames(range(100), [{1}] * 100, 4) == [0, 25, 50, 75]
    assert representative_frames(range(3), [{1}] * 3, 16) == [0, 1, 2]


def test_of_a_type_in_many_frames_only_some_are_added() -> None:
    types = [{1, 2} if k % 4 == 1 else {1} for k in range(100)]
    chosen = representative_frames(range(100), types, 4)
    added = set(chosen) - {0, 25, 50, 75}
    assert sum(2 in types[frame] for frame in chosen) >= FRAMES_OF_EACH_TYPE
    assert len(added) <= FRAMES_OF_EACH_TYPE


def frames_of(folder: Path, text: str) -> tuple[FrameData, int]:
    (folder / "frames.xyz").write_text(text)
    settings = DataSettings(paths=[str(folder / "frames.xyz")], split="blocks")
    datasets, names = with_common_types(open_datasets(settings))
    return FrameData(datasets, settings, TrainingSettings(), 5.0), len(names)


def test_a_network_takes_its_scales_from_frames_with_every_type(tmp_path: Path) -> None:
    common, rare = FRAME.format(neighbor="Cu", distance=2.5), FRAME.format(neighbor="Au", distance=2.5)
    text = "".join(rare if k in (5, 11) else common for k in range(4000))
    frames, types = frames_of(tmp_path, text)
    assert types == 2
    assert set(frames.sample().type_index.tolist()) == {0, 1}


def test_the_closest_pair_is_found_in_whichever_frame_it_is(tmp_path: Path) -> None:
    texts = [FRAME.format(neighbor="Cu", distance=2.5 if k != 1 else 1.5) for k in range(700)]
    frames, types = frames_of(tmp_path, "".join(texts))
    train = frames.train_graphs
    assert (0, 1) in train.frames
    assert float(shortest_distances_of(train.datasets, train.frames, 5.0, types)[0, 0, 0]) == 1.5


def test_a_pair_of_types_that_meets_in_one_frame_alone_is_found(tmp_path: Path) -> None:
    same, mixed = FRAME.format(neighbor="Cu", distance=2.5), FRAME.format(neighbor="Ag", distance=3.0)
    silver = same.replace("Cu", "Ag")
    texts = [same if k % 2 else silver for k in range(600)]
    texts[1] = mixed
    frames, types = frames_of(tmp_path, "".join(texts))
    train = frames.train_graphs
    assert (0, 1) in train.frames
    assert float(shortest_distances_of(train.datasets, train.frames, 5.5, types)[0, 0, 1]) == 3.0
