"""A look at the data before a training spends hours on it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from gnnformd.training.run_folder import is_main_process
from gnnformd.trajectory.data_checks import Suspicions, frame_digest, frame_key, suspicious_split
from gnnformd.trajectory.packed.dataset import PackedDataset

__all__ = ["some_digests", "warn_of_doubts"]

_LOOKED_AT = 50
"""Frames of each dataset whose atoms are looked at; whether frames repeat is told from all of them."""

_REMEMBERED = 16
"""Training frames of each dataset by which a model knows it again."""

Frames = Sequence[tuple[int, int]]


def warn_of_doubts(datasets: Sequence[PackedDataset], training: Frames, validation: Frames) -> None:
    """Warn of what `gnnformd.trajectory.data_checks` finds in the frames, once where several processes train.

    Parameters
    ----------
    datasets
        Where the frames are.
    training, validation
        Dataset and frame of each.
    """
    if not is_main_process():
        return
    for number, dataset in enumerate(datasets):
        own = sorted(frame for which, frame in (*training, *validation) if which == number)
        suspicions = Suspicions(dataset.force_field)
        for frame in own[:: max(1, len(own) // _LOOKED_AT)]:
            suspicions.add(dataset[frame])
        for sentence in suspicions.sentences():
            warnings.warn(f"{dataset.path}: {sentence}", stacklevel=3)
    keys = [[frame_key(datasets[which][frame]) for which, frame in side] for side in (training, validation)]
    for sentence in suspicious_split(*keys):
        warnings.warn(f"data: {sentence}", stacklevel=3)


def some_digests(datasets: Sequence[PackedDataset], training: Frames) -> list[str]:
    """Tell some training frames of each dataset, evenly spaced, by `gnnformd.trajectory.data_checks.frame_digest`."""
    digests = []
    for number, dataset in enumerate(datasets):
        own = sorted(frame for which, frame in training if which == number)
        digests += [frame_digest(dataset[frame]) for frame in own[:: -(-len(own) // _REMEMBERED) or 1]]
    return digests
