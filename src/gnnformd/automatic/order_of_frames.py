"""Whether frames of a file are in an order, as those of a trajectory, told by how far atoms get."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.packed.dataset import PackedDataset

__all__ = ["in_order"]

_PLACES = 40
"""Frames from which displacements are measured."""

_LATER = 3
"""Frames after which they are measured again."""

_GROWTH = 0.6
"""Share of the mean square displacement after so many frames that one frame has, below which frames are of a
trajectory: a third or less in one, the same where frames are drawn at random."""


def in_order(datasets: Sequence[PackedDataset]) -> bool:
    """Whether frames next to each other are more alike than those that are three apart: trajectories, strains."""
    places = [(dataset, index) for dataset in datasets for index in range(len(dataset) - _LATER)]
    near = far = 0.0
    for dataset, index in places[:: max(1, -(-len(places) // _PLACES))]:
        first, second, later = (dataset[index + step] for step in (0, 1, _LATER))
        if all(np.array_equal(first.types, other.types) for other in (second, later)):
            near += _squared_displacement(first, second)
            far += _squared_displacement(first, later)
    return near < _GROWTH * far


def _squared_displacement(one: Frame, other: Frame) -> float:
    """Mean square displacement of the atoms to the nearest images, angstrom^2."""
    shifts = (other.positions - one.positions) @ np.linalg.inv(one.cell)
    shifts -= np.round(shifts) * one.periodic
    return float(np.square(shifts @ one.cell).sum(axis=1).mean())
