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

__all__ = ["EpochOrder", "GraphBatches", "Portion"]


@dataclass(frozen=True)
class Portion:
    """Frames one device takes at a time: a part of a batch.

    Attributes
    ----------
    indices
        Frames in the dataset.
    weights
        Share of each frame in the mean over its batch, times ``portions`` and ``ranks`` because the framework divides
        by both; zero for frames that only fill up.
    seed
        Of the rotations and the dropout of this portion.
    """

    indices: tuple[int, ...]
    weights: tuple[float, ...]
    seed: int


class EpochOrder(Sampler[Portion]):
    """Portions of the shuffled frames for one of ``ranks`` devices.

    Batch ``b`` of an epoch is the same set of frames for any number of ranks. The last batch may be smaller; it is
    filled up with frames of weight zero until every rank has the same number of portions.

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
            weight = self.portions * self.ranks / len(batch)
            for first in range(0, len(batch), step):
                mine = range(first + self.rank * self.frames_at_once, first + (self.rank + 1) * self.frames_at_once)
                yield Portion(
                    indices=tuple(int(batch[k % len(batch)]) for k in mine),
                    weights=tuple(weight if k < len(batch) else 0.0 for k in mine),
                    seed=_seed_of(self.seed, self.epoch, start + mine.start),
                )


class GraphBatches(Dataset[tuple[AtomicGraph, Portion]]):
    """Turns a portion into its graphs."""

    def __init__(self, graphs: GraphDataset) -> None:
        self.graphs = graphs

    def __getitem__(self, portion: Portion) -> tuple[AtomicGraph, Portion]:
        """Batch the graphs of a portion."""
        return self.graphs.batch(portion.indices), portion


def _seed_of(seed: int, epoch: int, position: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, position)).generate_state(1, np.uint64)[0] >> np.uint64(1))
