"""Checks of the datasets before a training, and digests that identify its frames."""

from __future__ import annotations

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
    "warn_of_data_problems",
    "warn_of_rounded_energies",
]

_CHECKED_FRAMES = 50
"""Frames of each dataset that `DataChecks` checks; repeated frames are searched among all."""

_DIGESTS = 16
"""Number of training frames of each dataset whose digests are kept."""

_MAX_ROUNDING = 1e-3
"""Largest rounding of an energy to float32 that is tolerated, relative to the spread of the energies."""

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


def warn_of_rounded_energies(datasets: Sequence[PackedDataset], training: Frames) -> None:
    """Warn of energies so large, against their spread at equal composition, that float32 rounds the spread away.

    Energies of electrons, -580 or -14 000 eV an atom, are such.
    """
    if len(training) < 2 or not is_main_process():
        return
    size = max(dataset.type_count for dataset in datasets)
    chosen = [datasets[which][frame] for which, frame in training[:: max(1, len(training) // _CHECKED_FRAMES)]]
    frames = [frame for frame in chosen if frame.energy is not None]
    counts = np.array([np.bincount(frame.types - 1, minlength=size) for frame in frames], dtype=np.float64)
    energies = np.array([frame.energy for frame in frames], dtype=np.float64)
    rest = energies - counts @ (np.linalg.pinv(counts, rcond=1e-9) @ energies)
    rounding, spread = float(np.abs(energies).max()) * 2.0**-24, float(rest.std())
    if rounding > _MAX_ROUNDING * spread > 0:
        warnings.warn(
            f"data: energies of up to {np.abs(energies).max():.3g} kcal/mol are rounded by {rounding:.2g} kcal/mol, "
            f"and vary by {spread:.2g} only; subtract energies of free atoms, or set training.precision to 64-true.",
            stacklevel=3,
        )
