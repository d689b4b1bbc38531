"""Which frames are for training and which for validation."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal, TypeAlias

import numpy as np

from gnnformd.errors import InputError

__all__ = ["SplitMethod", "split_frames"]

_MAX_BLOCKS, _MIN_BLOCK_LENGTH = 5, 5

Frames = list[tuple[int, int]]
SplitMethod: TypeAlias = Literal["shuffled", "blocks", "trajectory", "stratified", "groups", "compositions"]


def split_frames(
    lengths: Sequence[int],
    *,
    method: SplitMethod = "blocks",
    validation_fraction: float = 0.1,
    seed: int = 0,
    frames: int | None = None,
    config_types: Sequence[Sequence[str | None]] | None = None,
    compositions: Sequence[Sequence[Hashable]] | None = None,
    validation: Sequence[int] = (),
) -> tuple[Frames, Frames]:
    """Split the frames of datasets into training and validation.

    ``shuffled`` draws single frames, as the original study did; consecutive frames are then in both parts, and the
    error is too low. ``blocks`` validates on the ends of up to five segments of each trajectory. ``trajectory``
    validates on whole datasets. ``stratified`` draws frames from each kind of configuration in the same share, and
    ``groups`` validates on all frames of some kinds. ``compositions`` validates on all frames of some compositions.

    Parameters
    ----------
    lengths
        Number of frames of each dataset.
    method
        See above.
    validation_fraction
        Part of the frames to validate on, between 0 and 1; both parts get at least one frame.
    seed
        Of the random choice (``blocks`` makes none).
    frames
        Total number of frames to use, evenly spaced; all of them by default. Those of ``validation`` do not count.
    config_types
        Kind of configuration of each frame of each dataset, for ``stratified`` and ``groups``.
    compositions
        Composition of each frame of each dataset, for ``compositions``.
    validation
        Datasets of which all frames are for validation; all others are then for training, whatever the method.

    Returns
    -------
    train, validation
        ``(dataset_index, frame_index)``, ascending.

    Raises
    ------
    InputError
        There are too few frames or datasets, or a setting is out of range.
    """
    if not 0.0 < validation_fraction < 1.0:
        raise InputError(f"validation_fraction: {validation_fraction} is not between 0 and 1; use for instance 0.1.")
    if validation:
        left = _chosen([0 if d in validation else n for d, n in enumerate(lengths)], frames)
        train = [(d, f) for d, of_one in enumerate(left) for f in of_one]
        given = [(d, f) for d in sorted(validation) for f in range(lengths[d])]
        if not train or not given:
            raise InputError(f"the data has {len(train)} training and {len(given)} validation frames; add data.")
        return train, given
    chosen = _chosen(lengths, frames)
    total = sum(len(c) for c in chosen)
    if total < 2:
        raise InputError(
            f"the data has {total} frame{'' if total == 1 else 's'}, and a training needs at least 2; add data."
        )
    count = min(max(round(validation_fraction * total), 1), total - 1)
    everything = [(d, f) for d, of_one in enumerate(chosen) for f in of_one]
    if method == "shuffled":
        picked = {everything[k] for k in np.random.default_rng(seed).permutation(total)[:count]}
    elif method == "trajectory":
        if sum(bool(of_one) for of_one in chosen) < 2:
            raise InputError("split: 'trajectory' needs at least two datasets; give more paths or use 'blocks'.")
        picked = _whole_groups([[(d, f) for f in of_one] for d, of_one in enumerate(chosen)], count, seed)
    elif method == "blocks":
        picked = _blocks(chosen, validation_fraction)
    else:
        by, what = (
            (compositions, "compositions") if method == "compositions" else (config_types, "values of config_type")
        )
        groups: dict[object, Frames] = {}
        for d, f in everything:
            groups.setdefault(None if by is None else by[d][f], []).append((d, f))
        if len(groups) < 2:
            raise InputError(f"split: '{method}' needs frames of at least two {what}; use 'blocks'.")
        parts, whole = list(groups.values()), method != "stratified"
        picked = _whole_groups(parts, count, seed) if whole else _shares(parts, validation_fraction, seed)
    return [frame for frame in everything if frame not in picked], sorted(picked)


def _chosen(lengths: Sequence[int], frames: int | None) -> list[list[int]]:
    """Frames to use of each dataset."""
    total = sum(lengths)
    if frames is None or frames >= total:
        return [list(range(n)) for n in lengths]
    wanted = [(2 * k + 1) * total // (2 * frames) for k in range(frames)]  # the middle of each segment
    starts = np.cumsum(lengths) - lengths
    return [[w - int(s) for w in wanted if s <= w < s + n] for s, n in zip(starts, lengths, strict=True)]


def _whole_groups(groups: Sequence[Frames], count: int, seed: int) -> set[tuple[int, int]]:
    """Pick all frames of some groups, tried in random order, about ``count`` frames; never all groups."""
    filled = [group for group in groups if group]
    picked: list[int] = []
    size = 0
    for k in np.random.default_rng(seed).permutation(len(filled)):
        larger = size + len(filled[k])
        if abs(larger - count) < abs(size - count) and len(picked) < len(filled) - 1:
            picked, size = [*picked, int(k)], larger
    picked = picked or [min(range(len(filled)), key=lambda k: len(filled[k]))]
    return {frame for k in picked for frame in filled[k]}


def _shares(groups: Sequence[Frames], fraction: float, seed: int) -> set[tuple[int, int]]:
    """Pick frames at random, the same share of each group: at least one, and never all of it."""
    generator = np.random.default_rng(seed)
    picked: set[tuple[int, int]] = set()
    for group in groups:
        count = min(max(round(fraction * len(group)), 1), len(group) - 1)
        picked |= {group[k] for k in generator.permutation(len(group))[:count]}
    if not picked:  # every group is one frame
        picked = {groups[int(generator.integers(len(groups)))][0]}
    return picked


def _blocks(chosen: Sequence[Sequence[int]], fraction: float) -> set[tuple[int, int]]:
    """Pick the ends of equal segments of each dataset."""
    picked: set[tuple[int, int]] = set()
    for d, of_one in enumerate(chosen):
        length = len(of_one)
        count = min(round(fraction * length), length - 1)
        segments = min(max(count // _MIN_BLOCK_LENGTH, 1), _MAX_BLOCKS)
        for k in range(segments):
            stop = (k + 1) * length // segments
            size = (k + 1) * count // segments - k * count // segments
            picked |= {(d, f) for f in of_one[stop - size : stop]}
    if not picked:  # every dataset is too short for its share: the end of the longest one is for validation
        d = max(range(len(chosen)), key=lambda k: len(chosen[k]))
        picked = {(d, chosen[d][-1])}
    return picked
