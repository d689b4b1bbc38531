"""GraphDataset: graphs of many frames, each searched for neighbors once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from gnnformd.force_field import ForceField
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.bonds import BondTable, bond_table
from gnnformd.graph.build import StoredEdges, find_edges, join_frames
from gnnformd.trajectory.frame import Frame

__all__ = ["FrameSource", "GraphDataset"]


class FrameSource(Protocol):
    """A sequence of frames of one system, as `gnnformd.trajectory.packed.dataset.PackedDataset`."""

    @property
    def force_field(self) -> ForceField | None:
        """Physical parameters per type of atom, or None."""

    def __len__(self) -> int:
        """Count the frames."""

    def __getitem__(self, index: int, /) -> Frame:
        """Read one frame."""


class GraphDataset(Dataset[AtomicGraph]):
    """Selected frames of one or more datasets as graphs.

    The half list of edges of a frame is found at first use, or for all frames by `prepare`, and kept in small integers
    (8 bytes per pair for fewer than 65 536 atoms). Positions and forces are read from the datasets every time. It is
    thread-safe.

    Parameters
    ----------
    datasets
        The data.
    frames
        ``(dataset_index, frame_index)`` of each graph.
    cutoff
        Edges join atoms closer than this, angstrom.
    dtype
        Of the floating-point fields.
    """

    def __init__(
        self,
        datasets: Sequence[FrameSource],
        frames: Sequence[tuple[int, int]],
        cutoff: float,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.datasets = tuple(datasets)
        self.frames = tuple(frames)
        self.cutoff = cutoff
        self.dtype = dtype
        self._edges: list[StoredEdges | None] = [None] * len(self.frames)
        # the last bonds seen in each dataset and their table; bonds rarely change along a trajectory
        self._tables: list[tuple[Frame, BondTable] | None] = [None] * len(self.datasets)

    def __len__(self) -> int:
        """Count the graphs."""
        return len(self.frames)

    def __getitem__(self, index: int) -> AtomicGraph:
        """Make the graph of one frame."""
        return self.batch([index])

    def batch(self, indices: Sequence[int]) -> AtomicGraph:
        """Make one batch of the graphs with these indices, in their order.

        Raises
        ------
        InputError
            No graph of a frame can be built: see `gnnformd.graph.build.build_graph`.
        """
        frames = [self._frame(k) for k in indices]
        edges = [self._find(k, frame) for k, frame in zip(indices, frames, strict=True)]
        fields = [self.datasets[self.frames[k][0]].force_field for k in indices]
        return join_frames(frames, edges, fields, dtype=self.dtype)

    def prepare(self, progress: Callable[[int, int], None] | None = None, *, threads: int = 1) -> None:
        """Find the edges of all frames now.

        Parameters
        ----------
        progress
            Called after each frame with the frames done and the total.
        threads
            Frames searched at once.
        """
        with ThreadPoolExecutor(threads) as pool:
            found = pool.map(lambda k: self._find(k, None), range(len(self)))
            for done, _ in enumerate(found, start=1):
                if progress is not None:
                    progress(done, len(self))

    def _frame(self, index: int) -> Frame:
        dataset, frame = self.frames[index]
        return self.datasets[dataset][frame]

    def _find(self, index: int, frame: Frame | None) -> StoredEdges:
        known = self._edges[index]
        if known is not None:
            return known
        frame = self._frame(index) if frame is None else frame
        edges = find_edges(frame, self.cutoff, self._table(self.frames[index][0], frame))
        self._edges[index] = edges
        return edges

    def _table(self, dataset: int, frame: Frame) -> BondTable:
        known = self._tables[dataset]
        if known is not None and known[1].atom_count == len(frame.types) and _same_bonds(known[0], frame):
            return known[1]
        table = bond_table(frame.bonds, len(frame.types))
        self._tables[dataset] = (frame, table)
        return table


def _same_bonds(one: Frame, other: Frame) -> bool:
    if one.bonds is None or other.bonds is None:
        return one.bonds is other.bonds
    return one.bonds is other.bonds or np.array_equal(one.bonds, other.bonds)
