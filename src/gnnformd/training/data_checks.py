"""Checks of the datasets before a training, and digests that identify its frames."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence

import numpy as np

from gnnformd.errors import InputError
from gnnformd.training.run_folder import is_main_process
from gnnformd.training.settings import TrainingSettings
from gnnformd.trajectory.data_checks import DataChecks, check_split, frame_digest, frame_key
from gnnformd.trajectory.packed.dataset import PackedDataset

__all__ = [
    "check_targets",
    "training_digests",
    "value_digests",
    "warn_of_data_problems",
]

_CHECKED_FRAMES = 50
"""Frames of each dataset that `DataChecks` checks; repeated frames are searched among all."""

_DIGESTS = 16
"""Number of training frames of each dataset whose digests are kept."""

Frames = Sequence[tuple[int, int]]


def warn_of_data_problems(datasets: Sequence[PackedDataset], training: Frames, validation: Frames) -> None:
    """Warn of problems that `gnnformd.trajectory.data_checks` finds, in the first of several processes.

    Parameters
    ----------
    datasets
        The data.
    training, validation
        Dataset and frame of each.
    """
    if not is_main_process():
        return
    for number, dataset in enumerate(datasets):
        frames = sorted(frame for which, frame in (*training, *validation) if which == number)
        checks = DataChecks(dataset.force_field)
        for frame in frames[:: max(1, len(frames) // _CHECKED_FRAMES)]:
            checks.add(dataset[frame])
        for problem in checks.problems():
            warnings.warn(f"{dataset.path}: {problem}", stacklevel=3)
    keys = [[frame_key(datasets[which][frame]) for which, frame in part] for part in (training, validation)]
    for problem in check_split(*keys):
        warnings.warn(f"data: {problem}", stacklevel=3)


def training_digests(datasets: Sequence[PackedDataset], training: Frames) -> list[str]:
    """Digests of up to 16 training frames of each dataset, evenly spaced (see `frame_digest`)."""
    digests = []
    for number, dataset in enumerate(datasets):
        frames = sorted(frame for which, frame in training if which == number)
        digests += [frame_digest(dataset[frame]) for frame in frames[:: -(-len(frames) // _DIGESTS) or 1]]
    return digests


def value_digests(datasets: Sequence[PackedDataset], training: Frames, validation: Frames) -> list[str]:
    """Digests of what is learned in those frames (forces, energies, virials), and of as many validation frames."""
    values = []
    for number, dataset in enumerate(datasets):
        for part in (training, validation):
            frames = sorted(frame for which, frame in part if which == number)
            for frame in (dataset[k] for k in frames[:: -(-len(frames) // _DIGESTS) or 1]):
                known = [frame.positions, frame.forces, frame.energy, frame.virial]
                content = b"".join(b"-" if v is None else np.asarray(v, dtype=np.float64).tobytes() for v in known)
                values.append(hashlib.sha256(content).hexdigest()[:12])
    return values


def check_targets(
    datasets: Sequence[PackedDataset], frames: Sequence[tuple[int, int]], training: TrainingSettings
) -> None:
    """Refuse data without the targets of the loss; every packed frame has forces.

    Raises
    ------
    InputError
        A frame has no energy or no virial, and its weight in the loss is not zero.
    """
    for name, weight in (("energy", training.energy_weight), ("virial", training.virial_weight)):
        for dataset, index in frames if weight else ():
            frame = datasets[dataset][index]
            if getattr(frame, name) is None:
                raise InputError(
                    f"{datasets[dataset].path}: frame {index + 1} (timestep {frame.timestep}) has no {name}; "
                    f"add it to the data or set training.{name}_weight to 0."
                )
