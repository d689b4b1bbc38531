"""Extrapolation grades of a block of centers; see `gnnformd.model.density.surroundings.Surroundings`."""

from __future__ import annotations

import numpy as np

from gnnformd.model.density.kernels.matrix import matmul, rows_for
from gnnformd.model.density.kernels.mixing import add_row
from gnnformd.model.density.kernels.simd import borrowed_row
from gnnformd.model.density.kernels.structures import Floats, NetworkWorkspace, SurroundingsWeights
from gnnformd.numba_jit import kernel

__all__ = ["block_grades"]


@kernel
def block_grades(
    activations: Floats, s: int, count: int, width: int, weights: SurroundingsWeights, workspace: NetworkWorkspace
) -> None:
    """Grades of so many centers of species s, to the workspace, from their last activations (ATOMS W).

    With ``|z - r|^2 = |z|^2 + 2 (|r|^2 / 2 - z r)`` the distances to all representatives r are one matrix product.
    """
    rows, depth, number = rows_for(count), weights.offset.shape[1], weights.half_squares.shape[1]
    z, products, half_squares = workspace.coordinates, workspace.products, borrowed_row(weights.half_squares, s)
    matmul(activations, rows, width, borrowed_row(weights.axes, s), depth, z)
    add_row(z, rows, depth, borrowed_row(weights.offset, s))
    matmul(z, rows, depth, borrowed_row(weights.representatives, s), number, products)
    for a in range(count):
        square = 0.0
        for k in range(depth):
            square += z[a * depth + k] * z[a * depth + k]
        nearest = np.inf
        for k in range(number):
            nearest = min(nearest, half_squares[k] - products[a * number + k])
        distance = np.sqrt(max(square + 2.0 * nearest, 0.0))
        workspace.grades[a] = weights.scale[s] * distance if weights.scale[s] > 0.0 else np.nan
