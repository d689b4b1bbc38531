"""FrameData: the data loaders of a training, one for each device."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import lightning.pytorch as lightning
import numpy as np
import torch
from torch.utils.data import DataLoader

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.dataset import GraphDataset
from gnnformd.training.batches import EpochOrder, GraphBatches, Portion, frames_at_once, frames_per_step
from gnnformd.training.data_checks import learned_frames, split_with_known_types, types_of, warn_of_data_problems
from gnnformd.training.samples import representative_frames
from gnnformd.training.settings import TrainingSettings
from gnnformd.trajectory.packed.dataset import PackedDataset
from gnnformd.trajectory.settings import DataSettings
from gnnformd.trajectory.split import split_frames

__all__ = ["FrameData"]

SAMPLE_FRAMES, SAMPLE_ATOMS = 16, 6000  # from which a network takes its scales
RANGE_ATOMS, RANGE_BATCH = 60_000, 600  # from which it takes how low its energies are; atoms of a batch

Batch = tuple[AtomicGraph, Portion]


class FrameData(lightning.LightningDataModule):
    """Graphs of the training and validation frames.

    Parameters
    ----------
    datasets
        The data.
    data
        How it is split.
    training
        Batch size and seed.
    cutoff
        Of the edges, angstrom.
    batch_wide
        Whether forces on a frame depend on the others of its batch, so that a device takes all of them at once.
    known_types
        Types of atoms, from 1, that the model knows without training frames, or None for all: those of the model that a
        fine-tuning starts from.

    Attributes
    ----------
    training
        With the batch size that was found, where none is set.
    atoms
        Mean number of atoms of the training frames.
    """

    def __init__(
        self,
        datasets: Sequence[PackedDataset],
        data: DataSettings,
        training: TrainingSettings,
        cutoff: float,
        *,
        batch_wide: bool = False,
        known_types: Collection[int] | None = (),
    ) -> None:
        super().__init__()
        self.training, self.batch_wide = training, batch_wide
        split = split_frames(
            [len(dataset) for dataset in datasets],
            method=data.split,
            validation_fraction=data.validation_fraction,
            seed=data.seed,
            frames=data.frames,
            config_types=[dataset.config_types for dataset in datasets],
            compositions=[dataset.compositions for dataset in datasets] if data.split == "compositions" else None,
            validation=[number for number, dataset in enumerate(datasets) if dataset.validation],
        )
        known = range(1, 1 + max(dataset.type_count for dataset in datasets)) if known_types is None else known_types
        frames = split_with_known_types(datasets, *split, data.split, known)
        dtype = torch.float64 if training.precision == "64-true" else torch.float32
        train, validation = learned_frames(datasets, *frames, training)
        warn_of_data_problems(datasets, train, validation)
        counts = [dataset.atom_counts for dataset in datasets]
        self.atoms = float(np.mean([counts[which][frame] for which, frame in train]))
        if training.batch_size is None:
            size = frames_per_step(self.atoms, training.devices)
            self.training = training.model_copy(update={"batch_size": size})
        self._lacks_forces = [not datasets[which].known[frame, 0] for which, frame in train]
        self._validated = _spread(
            [bool(datasets[which].known[frame, 0]) for which, frame in validation],
            min(len(validation), training.validation_frames or len(validation)),
        )
        if batch_wide:  # each batch is to be a mixture of all frames, as those of the training are
            self._validated = np.random.default_rng(data.seed).permutation(self._validated).tolist()
        self._with_virials: list[list[int]] = [[] for _ in datasets]
        for k, (which, frame) in enumerate(train):
            if datasets[which].known[frame, 2]:
                self._with_virials[which].append(k)
        self._types = [types_of(datasets, frame) for frame in train]
        self.train_graphs = GraphDataset(datasets, train, cutoff, dtype=dtype)
        self.validation_graphs = GraphDataset(datasets, validation, cutoff, dtype=dtype)

    def sample(self) -> AtomicGraph:
        """Batch some training frames, evenly spaced: at least 16, and as many as hold some thousand atoms.

        Frames without forces are among them in their share, and all types of atoms.
        """
        order = sorted(range(len(self.train_graphs)), key=self._lacks_forces.__getitem__)
        most = max(SAMPLE_FRAMES, round(SAMPLE_ATOMS / self.atoms))
        return self.train_graphs.batch(representative_frames(order, self._types, most))

    def with_virials(self, number: int) -> AtomicGraph | None:
        """Batch training frames of one dataset that have virials, evenly spaced, as many as `sample`; None without."""
        known = self._with_virials[number]
        most = min(len(known), max(SAMPLE_FRAMES, round(SAMPLE_ATOMS / self.atoms)))
        chosen = [known[(2 * k + 1) * len(known) // (2 * most)] for k in range(most)]
        return self.train_graphs.batch(chosen) if chosen else None

    def wide_sample(self) -> Iterator[AtomicGraph]:
        """Batch many training frames, evenly spaced: 16, or as many as hold some ten thousand atoms, and all types."""
        most = max(SAMPLE_FRAMES, round(RANGE_ATOMS / self.atoms))
        chosen = representative_frames(range(len(self.train_graphs)), self._types, most)
        size = max(1, round(RANGE_BATCH / self.atoms))
        for start in range(0, len(chosen), size):
            yield self.train_graphs.batch(chosen[start : start + size])

    def train_dataloader(self) -> DataLoader[Batch]:
        """Cut the batches of an epoch into portions."""
        assert self.trainer is not None
        assert self.training.batch_size is not None
        order = EpochOrder(
            len(self.train_graphs),
            self.training.batch_size,
            self._frames_at_once(),
            self.training.seed,
            rank=self.trainer.global_rank,
            ranks=self.trainer.world_size,
        )
        return self._loader(self.train_graphs, order)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Cut the validation frames into portions, each for one device."""
        assert self.trainer is not None
        mine = self._validated[self.trainer.global_rank :: self.trainer.world_size]
        size, in_batch = self._frames_at_once(), self.training.batch_size
        assert in_batch is not None
        portions: list[Portion] = []
        for start in range(0, len(mine), in_batch):
            batch = mine[start : start + in_batch]
            parts = (tuple(batch[k : k + size]) for k in range(0, len(batch), size))
            portions.extend(Portion(part, (1.0,) * len(part), 0, share=len(part) / len(batch)) for part in parts)
        nothing = [Portion((0,), (0.0,), 0, share=0.0)]  # for a device without frames: all take part in the reduction
        return self._loader(self.validation_graphs, portions or nothing)

    def validation_batches(self) -> Iterator[AtomicGraph]:
        """Join the validation frames as one device has them."""
        frames, size = self._validated, self.training.batch_size
        assert size is not None
        for start in range(0, len(frames), size):
            yield self.validation_graphs.batch(frames[start : start + size])

    def _frames_at_once(self) -> int:
        assert self.trainer is not None
        on_processor = self.trainer.strategy.root_device.type == "cpu"
        return frames_at_once(self.training, self.atoms, batch_wide=self.batch_wide, on_processor=on_processor)

    def _loader(self, graphs: GraphDataset, order: Sequence[Portion] | EpochOrder) -> DataLoader[Batch]:
        assert self.trainer is not None
        workers = 0
        if self.trainer.strategy.root_device.type != "cpu":
            graphs.prepare(threads=4)  # before the worker processes are forked, so that they share the edges
            workers = 4
        return DataLoader(
            GraphBatches(graphs),
            batch_size=None,
            sampler=order,
            num_workers=workers,
            persistent_workers=workers > 0,
        )


def _spread(have_forces: Sequence[bool], count: int) -> list[int]:
    """Choose so many frames, evenly spaced: among those with forces, and others only where these are too few."""
    kinds = ([k for k, has in enumerate(have_forces) if has is kind] for kind in (True, False))
    chosen: list[int] = []
    for frames in kinds:
        most = min(count - len(chosen), len(frames))
        chosen += [frames[(2 * k + 1) * len(frames) // (2 * most)] for k in range(most)]  # the middle of each segment
    return sorted(chosen)
