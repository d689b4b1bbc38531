"""Random rotations of batches."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph

__all__ = ["random_rotation", "rotate"]


def random_rotation(generator: torch.Generator) -> Tensor:
    """Rotation by three Euler angles, each uniform between 0 and 2 pi, (3, 3), float64.

    ``R = Rz(yaw) Ry(pitch) Rx(roll)``, as the original study draws it: every direction is reached, those near
    the z axis more often than by a uniform rotation.
    """
    angles = 2 * torch.pi * torch.rand(3, generator=generator, dtype=torch.float64)
    (a, b, c), (p, q, r) = angles.cos().tolist(), angles.sin().tolist()  # of yaw, pitch and roll
    return torch.tensor(
        [
            [a * b, a * q * r - p * c, a * q * c + p * r],
            [p * b, p * q * r + a * c, p * q * c - a * r],
            [-q, b * r, b * c],
        ],
        dtype=torch.float64,
    )


def rotate(graph: AtomicGraph, rotation: Tensor) -> AtomicGraph:
    """Turn positions, cells and target forces and virials of all graphs alike; edges stay the same.

    Parameters
    ----------
    graph
        A batch.
    rotation
        The matrix ``R``, (3, 3); vectors become ``R v``.
    """
    rotation = rotation.to(graph.positions.device, torch.float64)

    def turn(vectors: Tensor) -> Tensor:  # not in fewer digits, to which products of float32 may be rounded
        return (vectors.double() @ rotation.T).to(vectors.dtype)

    return replace(
        graph,
        positions=turn(graph.positions),
        cells=turn(graph.cells),
        forces=None if graph.forces is None else turn(graph.forces),
        virials=None if graph.virials is None else turn((rotation @ graph.virials.double()).to(graph.virials.dtype)),
    )
