"""Checks of the datasets before a training, and digests that identify its frames."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Collection, Sequence

import numpy as np

from gnnformd.errors import InputError
from gnnformd.training.run_folder import INPUTS_DIGEST, WEIGHTS_DIGEST, is_main_process
from gnnformd.training.settings import TrainingSettings
from gnnformd.trajectory.data_checks import check_split, frame_key, sampled_problems
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.packed.dataset import PackedDataset
from gnnformd.trajectory.split import SplitMethod

__all__ = [
    "learned_frames",
    "split_with_known_types",
    "training_digests",
    "types_of",
    "value_digests",
    "warn_of_data_problems",
]

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
        of_frames = sampled_problems(
            lambda k, own=dataset, rows=frames: own[rows[k]],  # type: ignore[misc]
            len(frames),
            dataset.force_field,
            dataset.units,
        )
        for problem in of_frames:
            warnings.warn(f"{dataset.path}: {problem}", stacklevel=3)
    keys = [[frame_key(datasets[which][frame]) for which, frame in part] for part in (training, validation)]
    for problem in check_split(*keys):
        warnings.warn(f"data: {problem}", stacklevel=3)


def split_with_known_types(
    datasets: Sequence[PackedDataset],
    training: Frames,
    validation: Frames,
    method: SplitMethod,
    known_types: Collection[int] = (),
) -> tuple[Frames, Frames]:
    """Train on frames with types of atoms that no training frame has, instead of validating on them; warn of it.

    What a model says of atoms that it has never seen is arbitrary, and so is their error.

    Parameters
    ----------
    datasets
        The data.
    training, validation
        Dataset and frame of each.
    method
        How they were split.
    known_types
        Types, from 1, that need no training frames.

    Returns
    -------
    training, validation
        With the frames moved.

    Raises
    ------
    InputError
        Files for validation, or whole groups of frames, have such types, or no other frame is for validation.
    """
    known = {*known_types, *(kind for frame in training for kind in types_of(datasets, frame))}
    unknown = {frame: types_of(datasets, frame) - known for frame in validation}
    moved = [frame for frame in validation if unknown[frame]]
    if not moved:
        return training, validation
    names, path = datasets[moved[0][0]].type_names or (), datasets[moved[0][0]].path
    kinds = sorted(set[int]().union(*unknown.values()))
    named = ", ".join(names[kind - 1] if kind <= len(names) else f"type {kind}" for kind in kinds)
    if any(dataset.validation for dataset in datasets):
        raise InputError(
            f"{path}: validation frames have {named}, which no training frame has; add training frames with it, or "
            "leave these frames out."
        )
    if method in ("groups", "trajectory") or len(moved) == len(validation):
        raise InputError(
            f"{path}: all frames with {named} are validation frames, so that it would not be learned; choose another "
            "data.split, or add frames."
        )
    if is_main_process():
        warnings.warn(
            f"data: {len(moved)} validation frames have {named}, which no training frame has, and are trained on.",
            stacklevel=3,
        )
    return sorted([*training, *moved]), [frame for frame in validation if not unknown[frame]]


def types_of(datasets: Sequence[PackedDataset], frame: tuple[int, int]) -> frozenset[int]:
    """Types of the atoms of a frame, from 1; ``frame`` has the numbers of dataset and frame."""
    return frozenset(np.unique(datasets[frame[0]][frame[1]].types).tolist())


def training_digests(datasets: Sequence[PackedDataset], training: Frames, digest: Callable[[Frame], str]) -> list[str]:
    """Digests of up to 16 training frames of each dataset, evenly spaced."""
    digests = []
    for number, dataset in enumerate(datasets):
        frames = sorted(frame for which, frame in training if which == number)
        digests += [digest(dataset[frame]) for frame in frames[:: -(-len(frames) // _DIGESTS) or 1]]
    return digests


def value_digests(datasets: Sequence[PackedDataset], training: Frames, validation: Frames) -> list[str]:
    """Digests of what is learned in those frames (forces, energies, virials), and of as many validation frames.

    The one with `INPUTS_DIGEST` is of all else that a model is told of them: types, cells, charges and bonds. The last
    one, where there is one with `WEIGHTS_DIGEST`, is of the weights of all training frames.
    """
    values, inputs = [], hashlib.sha256()
    for number, dataset in enumerate(datasets):
        inputs.update(repr(dataset.type_names).encode())
        for part in (training, validation):
            frames = sorted(frame for which, frame in part if which == number)
            for frame in (dataset[k] for k in frames[:: -(-len(frames) // _DIGESTS) or 1]):
                known = [frame.positions, frame.forces, frame.energy, frame.virial]
                content = b"".join(b"-" if v is None else np.asarray(v, dtype=np.float64).tobytes() for v in known)
                values.append(hashlib.sha256(content).hexdigest()[:12])
                cell = frame.cell if any(frame.periodic) else None
                for told in (frame.types, np.array(frame.periodic), cell, frame.charges, frame.bonds):
                    inputs.update(b"-" if told is None else repr(told.shape).encode() + told.tobytes())
    values.append(INPUTS_DIGEST + inputs.hexdigest()[:12])
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
