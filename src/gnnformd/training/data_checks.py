"""Checks of the datasets before a training, and digests that identify its frames."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence

import numpy as np

from gnnformd.errors import InputError
from gnnformd.training.run_folder import WEIGHTS_DIGEST, is_main_process
from gnnformd.training.settings import TrainingSettings
from gnnformd.trajectory.data_checks import DataChecks, check_split, frame_digest, frame_key
from gnnformd.trajectory.packed.dataset import PackedDataset

__all__ = [
    "learned_frames",
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
        checks = DataChecks(dataset.force_field, dataset.units)
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
    """Digests of what is learned in those frames (forces, energies, virials), and of as many validation frames.

    The last one, where there is one with `WEIGHTS_DIGEST`, is of the weights of all training frames.
    """
    values = []
    for number, dataset in enumerate(datasets):
        for part in (training, validation):
            frames = sorted(frame for which, frame in part if which == number)
            for frame in (dataset[k] for k in frames[:: -(-len(frames) // _DIGESTS) or 1]):
                known = [frame.positions, frame.forces, frame.energy, frame.virial]
                content = b"".join(b"-" if v is None else np.asarray(v, dtype=np.float64).tobytes() for v in known)
                values.append(hashlib.sha256(content).hexdigest()[:12])
    weights = np.array([datasets[which].weights[frame] for which, frame in training])
    if (weights != 1).any():
        values.append(WEIGHTS_DIGEST + hashlib.sha256(weights.tobytes()).hexdigest()[:12])
    return values


def learned_frames(
    datasets: Sequence[PackedDataset], training: Frames, validation: Frames, settings: TrainingSettings
) -> tuple[Frames, Frames]:
    """Leave out training frames of weight zero or without any target of the loss; warn of targets that some lack.

    Parameters
    ----------
    datasets
        The data.
    training, validation
        Dataset and frame of each.
    settings
        Weights of energies and virials in the loss.

    Returns
    -------
    training, validation
        What is left of them.

    Raises
    ------
    InputError
        No training frame has forces, or a target whose weight in the loss is not zero, or none is left; or no
        validation frame has forces.
    """
    asked = np.array([True, bool(settings.energy_weight), bool(settings.virial_weight)])
    known = np.array([datasets[which].known[frame] for which, frame in training])
    weights = np.array([datasets[which].weights[frame] for which, frame in training])
    for column, target in ((1, "energy"), (2, "virial")):
        if asked[column] and not known[:, column].any():
            which, index = min((*training, *validation))
            frame = datasets[which][index]
            name = frame.name if frame.line is not None else f"frame {index + 1} ({frame.name})"
            raise InputError(
                f"{datasets[which].path}: {name} has no {target}; "
                f"add it to the data or set training.{target}_weight to 0."
            )
    kept = (known & asked & (weights > 0)).any(1)
    if not (known[:, 0] & kept).any():
        raise InputError("data: no training frame has forces and a weight above zero; add data, or change the weights.")
    left = [frame for frame, keep in zip(training, kept.tolist(), strict=True) if keep]
    if not any(datasets[which].known[frame, 0] for which, frame in validation):
        raise InputError("data: no validation frame has forces; choose others with data.split or data.validation.")
    if is_main_process():
        if len(left) < len(training):
            count = len(training) - len(left)
            have, are = ("has", "is") if count == 1 else ("have", "are")
            warnings.warn(
                f"data: {count} of {len(training)} training frames {have} weight zero, or none of the targets that are "
                f"learned, and {are} left out.",
                stacklevel=3,
            )
        for column, name in enumerate(("forces", "energy", "virial")):
            missing = int((~known[kept, column]).sum())
            if asked[column] and missing:
                have, else_ = ("has", "it has") if missing == 1 else ("have", "they have")
                warnings.warn(
                    f"data: {missing} of {len(left)} training frames {have} no {name}; what else {else_} is learned.",
                    stacklevel=3,
                )
    return left, validation
