from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnformd.errors import InputError
from gnnformd.trajectory.settings import DataSettings
from gnnformd.trajectory.split import split_frames


@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=6),
    st.sampled_from(["shuffled", "blocks", "trajectory"]),
    st.floats(0.01, 0.9),
    st.integers(0, 5),
    st.one_of(st.none(), st.integers(2, 50)),
)
def test_every_chosen_frame_is_on_exactly_one_side_and_no_side_is_empty(
    lengths, method, fraction, seed, frames
) -> None:
    try:
        train, validation = split_frames(lengths, method=method, validation_fraction=fraction, seed=seed, frames=frames)
    except InputError as error:
        assert method == "trajectory" and frames is not None and "two datasets" in str(error)
        return
    everything = train + validation
    assert train and validation
    assert len(everything) == len(set(everything)) == min(sum(lengths), frames or sum(lengths))
    assert all(0 <= f < lengths[d] for d, f in everything)
    assert train == sorted(train) and validation == sorted(validation)
    assert (train, validation) == split_frames(
        lengths, method=method, validation_fraction=fraction, seed=seed, frames=frames
    )


def test_shuffled_takes_the_fraction_at_random() -> None:
    train, validation = split_frames([1000], method="shuffled", validation_fraction=0.1, seed=1)
    assert (len(train), len(validation)) == (900, 100)
    assert validation != split_frames([1000], method="shuffled", validation_fraction=0.1, seed=2)[1]
    apart = [b - a for (_, a), (_, b) in pairwise(validation)]
    assert len(set(apart)) > 10


def test_blocks_take_the_ends_of_five_stretches_of_each_trajectory() -> None:
    _, validation = split_frames([1000, 10], method="blocks", validation_fraction=0.1, seed=0)
    ends = [(0, f) for stop in (200, 400, 600, 800, 1000) for f in range(stop - 20, stop)]
    assert validation == [*ends, (1, 9)]


def test_trajectory_never_puts_one_dataset_on_both_sides() -> None:
    for seed in range(10):
        train, validation = split_frames([50] * 10, method="trajectory", validation_fraction=0.2, seed=seed)
        assert len({d for d, _ in validation}) == 2
        assert not {d for d, _ in validation} & {d for d, _ in train}


def test_trajectory_with_one_dataset_is_refused() -> None:
    with pytest.raises(InputError, match="needs at least two datasets"):
        split_frames([100], method="trajectory")


def test_a_limit_takes_evenly_spaced_frames() -> None:
    train, validation = split_frames([60, 40], method="blocks", frames=10)
    assert sorted(train + validation) == [(0, f) for f in (5, 15, 25, 35, 45, 55)] + [(1, f) for f in (5, 15, 25, 35)]


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(InputError, match="validation_fraction"):
        split_frames([10], validation_fraction=fraction)


def test_one_frame_cannot_be_split() -> None:
    with pytest.raises(InputError, match=r"has 1 frame, and"):
        split_frames([1])


def test_settings_are_strict() -> None:
    assert DataSettings().split == "blocks"
    for wrong in (
        {"path": ["x"]},
        {"frames": "many"},
        {"frames": 10.0},
        {"validation_fraction": 1.0},
        {"split": "random"},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            DataSettings(**wrong)


KINDS = [["a"] * 40 + ["b"] * 10, ["c", "a", "c", None]]


def test_a_stratified_split_has_the_same_share_of_every_kind() -> None:
    train, validation = split_frames([50, 4], method="stratified", validation_fraction=0.2, config_types=KINDS)
    assert sorted(train + validation) == [(0, f) for f in range(50)] + [(1, f) for f in range(4)]
    kinds = [KINDS[d][f] for d, f in validation]
    assert {kind: kinds.count(kind) for kind in ("a", "b", "c", None)} == {"a": 8, "b": 2, "c": 1, None: 0}
    assert validation == sorted(validation)
    again = split_frames([50, 4], method="stratified", validation_fraction=0.2, config_types=KINDS)
    assert again == (train, validation)


def test_a_split_by_groups_keeps_every_kind_whole() -> None:
    train, validation = split_frames([50, 4], method="groups", validation_fraction=0.2, config_types=KINDS)
    kinds_of_train = {KINDS[d][f] for d, f in train}
    kinds_of_validation = {KINDS[d][f] for d, f in validation}
    assert kinds_of_train and kinds_of_validation and not kinds_of_train & kinds_of_validation
    for method in ("groups", "stratified"):
        with pytest.raises(InputError, match=f"split: '{method}' needs frames of at least two values of config_type"):
            split_frames([5], method=method, config_types=[["a"] * 5])


def test_datasets_for_validation_are_so_whole_and_the_others_are_for_training() -> None:
    train, validation = split_frames([10, 3, 4], validation=[1], frames=7)
    assert validation == [(1, 0), (1, 1), (1, 2)]
    assert len(train) == 7 and {d for d, _ in train} == {0, 2}
    with pytest.raises(InputError, match="0 training and 3 validation frames"):
        split_frames([0, 3], validation=[1])


def test_a_split_by_compositions_validates_on_whole_systems() -> None:
    compositions = [[(2, f % 5) for f in range(50)], [(2, 4)] * 10]
    train, validation = split_frames(
        [50, 10], method="compositions", validation_fraction=0.2, compositions=compositions
    )
    assert sorted(train + validation) == [(0, f) for f in range(50)] + [(1, f) for f in range(10)]
    left = {compositions[d][f] for d, f in validation}
    assert len(left) == 1 and not left & {compositions[d][f] for d, f in train}
    with pytest.raises(InputError, match="split: 'compositions' needs frames of at least two compositions"):
        split_frames([5], method="compositions", compositions=[[(1,)] * 5])
