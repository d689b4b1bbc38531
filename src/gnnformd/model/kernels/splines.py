"""Charges spread on a mesh by B-splines, and what a mesh says at the places of charges."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnformd.model.kernels.places import compiled

__all__ = ["ORDER", "gather_slopes", "spline", "spread"]

ORDER = 8
"""Nodes that a charge is spread over along each direction."""


@compiled
def spline(x: float, weights: Any, slopes: Any) -> None:
    """Cardinal B-spline ``M(x + ORDER - 1 - n)`` at nodes n = 0 .. ORDER - 1 for 0 <= x < 1, and its derivative.

    ``M_p(u) = (u M_{p-1}(u) + (p - u) M_{p-1}(u - 1)) / (p - 1)`` and ``M_p' = M_{p-1}(u) - M_{p-1}(u - 1)``. Source:
    Essmann et al., J. Chem. Phys. 103, 8577 (1995).
    """
    weights[:] = 0.0
    weights[0], weights[1] = 1.0 - x, x
    for p in range(3, ORDER + 1):
        if p == ORDER:
            before = 0.0
            for n in range(ORDER):
                slopes[n] = before - weights[n]
                before = weights[n]
        over = 1.0 / (p - 1)
        for n in range(p - 1, 0, -1):
            weights[n] = over * ((x + p - 1 - n) * weights[n - 1] + (n + 1 - x) * weights[n])
        weights[0] *= over * (1.0 - x)


@compiled
def spread(scaled: Any, charges: Any, mesh: Any) -> None:
    """Add the charges at fractional coordinates (N, 3) in [0, 1) to a mesh (X, Y, Z)."""
    weights, slopes = np.zeros((3, ORDER)), np.zeros((3, ORDER))
    nodes = np.zeros((3, ORDER), np.int64)
    for i in range(len(charges)):
        _place(scaled[i], mesh.shape, weights, slopes, nodes)
        for a in range(ORDER):
            for b in range(ORDER):
                w = charges[i] * weights[0, a] * weights[1, b]
                for c in range(ORDER):
                    mesh[nodes[0, a], nodes[1, b], nodes[2, c]] += w * weights[2, c]


@compiled
def _place(place: Any, shape: Any, weights: Any, slopes: Any, nodes: Any) -> None:
    for axis in range(3):
        u = place[axis] * shape[axis]
        low = int(u)
        spline(u - low, weights[axis], slopes[axis])
        for n in range(ORDER):
            nodes[axis, n] = (low + n) % shape[axis]


@compiled
def gather_slopes(atoms: Any, scaled: Any, charges: Any, mesh: Any, slopes: Any) -> None:
    """``q_i`` times the derivative of the interpolated mesh by the fractional coordinates, (N, 3)."""
    weights, changes = np.zeros((3, ORDER)), np.zeros((3, ORDER))
    nodes = np.zeros((3, ORDER), np.int64)
    for i in range(atoms[0], atoms[1]):
        _place(scaled[i], mesh.shape, weights, changes, nodes)
        x = y = z = 0.0
        for a in range(ORDER):
            for b in range(ORDER):
                along = across = 0.0
                for c in range(ORDER):
                    value = mesh[nodes[0, a], nodes[1, b], nodes[2, c]]
                    along += value * weights[2, c]
                    across += value * changes[2, c]
                x += changes[0, a] * weights[1, b] * along
                y += weights[0, a] * changes[1, b] * along
                z += weights[0, a] * weights[1, b] * across
        slopes[i, 0] = charges[i] * mesh.shape[0] * x
        slopes[i, 1] = charges[i] * mesh.shape[1] * y
        slopes[i, 2] = charges[i] * mesh.shape[2] * z
