"""The order in which frames are seen: a function of seed and epoch alone.

Whatever shares the work, whenever a training is interrupted, the frames of a step and their random rotations and
dropout are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset, Sampler

from gnnformd.errors import InputError
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.dataset import GraphDataset
from gnnformd.training.settings import TrainingSettings

__all__ = ["EpochOrder", "GraphBatches", "Portion", "frames_at_once", "frames_per_step"]

ATOMS_PER_STEP = 100  # of small molecules; frames with more atoms are taken one by one
ATOMS_AT_ONCE = 400  # from here on a processor is not faster with more


@dataclass(frozen=True)
class Portion:
    """Frames one device takes at a time: a part of a batch.

    Attributes
    ----------
    indices
        Frames in the dataset.
    weights
        Weight of each frame in the loss of a step, ``1 / batch_size`` also in a last batch that is smaller, times
        ``portions`` and ``ranks`` because the framework divides by both; zero for a frame that only fills up.
    seed
        Of the dropout of this portion.
    batch_seed
        Of the rotation, the same for all portions of a batch.
    share
        Of the frames of its batch.
    """

    indices: tuple[int, ...]
    weights: tuple[float, ...]
    seed: int
    batch_seed: int = 0
    share: float = 1.0


class EpochOrder(Sampler[Portion]):
    """Portions of the shuffled frames for one of ``ranks`` devices.

    Batch ``b`` of an epoch is the same set of frames for any number of ranks. The last batch may be smaller; a rank
    that has nothing left of it when others do gets a portion of one frame of weight zero.

    Parameters
    ----------
    frames
        Number of frames in the dataset.
    batch_size
        Frames per step of the optimizer over all ranks.
    frames_at_once
        Frames per portion.
    seed
        Of the order.
    rank, ranks
        Which device, of how many.

    Raises
    ------
    InputError
        The batch cannot be cut into equal portions.
    """

    def __init__(
        self, frames: int, batch_size: int, frames_at_once: int, seed: int, *, rank: int = 0, ranks: int = 1
    ) -> None:
        if batch_size % (frames_at_once * ranks):
            raise InputError(
                f"training.batch_size: {batch_size} is no multiple of devices times frames_at_once "
                f"({ranks} x {frames_at_once}); change one of them."
            )
        self.frames, self.batch_size, self.frames_at_once, self.seed = frames, batch_size, frames_at_once, seed
        self.rank, self.ranks = rank, ranks
        self.portions = batch_size // (frames_at_once * ranks)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0, that the next iteration is for."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Count the portions of this rank in an epoch."""
        whole, rest = divmod(self.frames, self.batch_size)
        return whole * self.portions + -(-rest // (self.frames_at_once * self.ranks))

    def __iter__(self) -> Iterator[Portion]:
        """Yield the portions of the epoch."""
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.frames)
        step = self.frames_at_once * self.ranks
        for start in range(0, self.frames, self.batch_size):
            batch = order[start : start + self.batch_size]
            weight = self.portions * self.ranks / self.batch_size
            batch_seed = _seed_of(self.seed, self.epoch, start)
            for first in range(0, len(batch), step):
                begin = first + self.rank * self.frames_at_once
                mine = batch[begin : begin + self.frames_at_once]
                yield Portion(
                    indices=tuple(mine.tolist()) or (int(batch[0]),),
                    weights=(weight,) * len(mine) or (0.0,),
                    seed=_seed_of(self.seed, self.epoch, self.frames + start + begin),
                    batch_seed=batch_seed,
                    share=len(mine) / len(batch),
                )


class GraphBatches(Dataset[tuple[AtomicGraph, Portion]]):
    """Turns a portion into its graphs."""

    def __init__(self, graphs: GraphDataset) -> None:
        self.graphs = graphs

    def __getitem__(self, portion: Portion) -> tuple[AtomicGraph, Portion]:
        """Batch the graphs of a portion."""
        return self.graphs.batch(portion.indices), portion


def frames_per_step(atoms: float, devices: int) -> int:
    """Frames of a step that hold about `ATOMS_PER_STEP` atoms in all, a multiple of the devices.

    Parameters
    ----------
    atoms
        Mean number of atoms of a frame.
    devices
        That share each step.
    """
    return max(1, round(ATOMS_PER_STEP / (atoms * devices))) * devices


def frames_at_once(settings: TrainingSettings, atoms: float, *, batch_wide: bool, on_processor: bool) -> int:
    """Frames a device takes at a time.

    Parameters
    ----------
    settings
        ``frames_at_once``, or else batch size and devices; the batch size is not None.
    atoms
        Mean number of atoms of a frame.
    batch_wide
        Whether forces on a frame depend on the others of its batch.
    on_processor
        Whether the device is a processor.

    Raises
    ------
    InputError
        A batch that must not be divided is to be divided.
    """
    assert settings.batch_size is not None
    if not batch_wide:
        share = max(1, settings.batch_size // settings.devices)
        most = max(1, int(ATOMS_AT_ONCE / atoms)) if on_processor else share
        fitting = max(count for count in range(1, share + 1) if share % count == 0 and count <= most)
        return settings.frames_at_once or fitting
    if settings.devices > 1:
        raise InputError(
            "training.devices: the GAMD network averages over all atoms of a batch, which one device must hold; set "
            "it to 1 (training.threads may be more)."
        )
    if settings.frames_at_once not in (None, settings.batch_size):
        raise InputError(
            "training.frames_at_once: the GAMD network averages over all atoms of a batch, so its frames go through "
            "it together; set it to null."
        )
    return settings.batch_size


def _seed_of(seed: int, epoch: int, position: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, position)).generate_state(1, np.uint64)[0] >> np.uint64(1))
