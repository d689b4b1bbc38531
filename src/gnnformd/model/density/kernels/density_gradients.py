"""Compiled loops over neighbors: gradients of what depends on densities."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnformd.model.density.kernels.neighbor_scratch import (
    DISTANCE,
    HARMONIC,
    HARMONICS,
    RECEIVED,
    ROOT3,
    SOFTENING,
    WEIGHT,
    compiled,
    make_scratch,
    prepare,
    set_motion,
    set_turned_weights,
)
from gnnformd.model.density.kernels.simd import fill, lanes_of, load, store

__all__ = ["add_pull", "in_vector", "pull", "pull_along", "pull_neighbors"]


@compiled
def _take(pulls: Any, padded: int, gradient: Any, i: int, count: int, offset: int) -> None:
    """Copy the gradient in the densities of an atom to ``pulls`` (C, 9, padded); degrees it has not stay zero."""
    degrees, _, channels, _ = gradient.shape
    for c in range(channels):
        for lm in range(degrees):
            for k in range(count):
                pulls[(c * HARMONICS + lm) * padded + k] = gradient[lm, i, c, offset + k]


@compiled
def in_vector(over: Any, unit: Any, along: Any, slopes: Any) -> Any:
    """Gradient in a vector from that in its length, ``along``, and those in the harmonics of its unit vector, G_1 to 8.

    The gradient in the unit vector is ``sum_lm G_lm grad Y_lm``; it counts across the vector only, and ``over`` is one
    over its length.
    """
    x, y, z = unit
    g1, g2, g3, g4, g5, g6, g7, g8 = slopes
    across_x = over * (g1 + ROOT3 * (y * g4 + z * g6 + x * g7))
    across_y = over * (g2 + ROOT3 * (x * g4 + z * g5 - y * g7))
    across_z = over * (g3 + ROOT3 * (y * g5 + x * g6) + 3.0 * z * g8)
    radial = along - (across_x * x + across_y * y + across_z * z)
    return across_x + radial * x, across_y + radial * y, across_z + radial * z


@compiled
def add_pull(i: int, j: int, r: float, unit: Any, pull: Any, forces: Any, virial: Any) -> None:
    """Add the gradient in the vector from i to j, of length r, to forces (M, 3) and virial (xx, yy, zz, xy, xz, yz)."""
    x, y, z = pull
    forces[i, 0] += x
    forces[i, 1] += y
    forces[i, 2] += z
    forces[j, 0] -= x
    forces[j, 1] -= y
    forces[j, 2] -= z
    virial[0] -= r * unit[0] * x
    virial[1] -= r * unit[1] * y
    virial[2] -= r * unit[2] * z
    virial[3] -= r * unit[0] * y
    virial[4] -= r * unit[0] * z
    virial[5] -= r * unit[1] * z


@compiled
def pull_neighbors(scratch: Any, columns: int, padded: int, e: int, pulls: Any, channels: int, count: int) -> None:
    """Gradients of the neighbors from ``e`` on: in the vector to the first rows of weights, in h behind it.

    ``pulls`` (C, 9, padded) is the gradient in the densities. With ``G_lm = sum_ck h g B`` the gradient in the unit
    vector is ``sum_lm G_lm grad Y_lm``; it counts across the vector only.
    """
    width_row = HARMONIC * columns + e
    y0, y1, y2 = load(scratch, width_row), load(scratch, width_row + columns), load(scratch, width_row + 2 * columns)
    y3, y4 = load(scratch, width_row + 3 * columns), load(scratch, width_row + 4 * columns)
    y5, y6 = load(scratch, width_row + 5 * columns), load(scratch, width_row + 6 * columns)
    y7, y8 = load(scratch, width_row + 7 * columns), load(scratch, width_row + 8 * columns)
    along = q1 = q2 = q3 = q4 = q5 = q6 = q7 = q8 = fill(scratch, 0.0)
    for c in range(channels):
        h = load(scratch, (RECEIVED + c) * columns + e)
        on_h = fill(scratch, 0.0)
        place = (RECEIVED + channels) * columns + e
        for k in range(count):
            g = (c * HARMONICS) * padded + k
            b, slope = load(scratch, place), load(scratch, place + padded * columns)
            hb = h * b
            g1, g2, g3, g4 = pulls[g + padded], pulls[g + 2 * padded], pulls[g + 3 * padded], pulls[g + 4 * padded]
            g5, g6, g7, g8 = pulls[g + 5 * padded], pulls[g + 6 * padded], pulls[g + 7 * padded], pulls[g + 8 * padded]
            t = y0 * pulls[g] + y1 * g1 + y2 * g2 + y3 * g3 + y4 * g4 + y5 * g5 + y6 * g6 + y7 * g7 + y8 * g8
            along = along + t * (h * slope)
            on_h = on_h + t * b
            q1 = q1 + hb * g1
            q2 = q2 + hb * g2
            q3 = q3 + hb * g3
            q4 = q4 + hb * g4
            q5 = q5 + hb * g5
            q6 = q6 + hb * g6
            q7 = q7 + hb * g7
            q8 = q8 + hb * g8
            place += columns
        store(scratch, (RECEIVED + c) * columns + e, on_h)
    over = 1.0 / load(scratch, DISTANCE * columns + e)
    x, y, z = in_vector(over, (y1, y2, y3), along, (q1, q2, q3, q4, q5, q6, q7, q8))
    store(scratch, WEIGHT * columns + e, x)
    store(scratch, (WEIGHT + 1) * columns + e, y)
    store(scratch, (WEIGHT + 2) * columns + e, z)


@compiled
def pull(
    atoms: tuple[int, int],
    lists: Any,
    geometry: Any,
    sent: Any,
    basis: Any,
    gradient: Any,
    on_edges: Any,
    on_received: Any,
) -> None:
    """Gradients of ``sum g D`` in the vectors of directed edges and in what each edge received.

    Parameters
    ----------
    atoms, lists, geometry, sent, basis
        As for `densities`.
    gradient
        ``g``, (L, N, C, all functions).
    on_edges
        Written: gradient in the vector from center to neighbor, (E, 3), in the order of ``lists``.
    on_received
        Written: gradient in ``h_j`` through this edge alone, (E, C).
    """
    start = lists[0]
    channels = gradient.shape[2]
    _, count, offset = basis
    begin, until = atoms
    scratch, columns, padded = make_scratch(start[begin : until + 1], channels, count, sent)
    pulls = np.zeros(channels * HARMONICS * padded, sent.dtype)
    for i in range(begin, until):
        first, last = start[i], start[i + 1]
        end = prepare(scratch, columns, padded, first, last, lists, geometry, sent, basis)
        _take(pulls, padded, gradient, i, count, offset)
        for e in range(0, end, lanes_of(sent)):
            pull_neighbors(scratch, columns, padded, e, pulls, channels, count)
        for e in range(last - first):
            for a in range(3):
                on_edges[first + e, a] = scratch[(WEIGHT + a) * columns + e]
            for c in range(channels):
                on_received[first + e, c] = scratch[(RECEIVED + c) * columns + e]


@compiled
def _gradient_along(scratch: Any, columns: int, padded: int, e: int, pulls: Any, c: int, row: int, count: int) -> None:
    """Change of the gradient in h with the motion of the neighbors from ``e`` on, to the row of received numbers."""
    stretch = load(scratch, SOFTENING * columns + e)
    result = fill(scratch, 0.0)
    for k in range(count):
        g = c * HARMONICS * padded + k
        still, turned = fill(scratch, 0.0), fill(scratch, 0.0)
        place = HARMONIC * columns + e
        for lm in range(HARMONICS):
            still = still + load(scratch, place) * pulls[g + lm * padded]
            turned = turned + load(scratch, place + HARMONICS * columns) * pulls[g + lm * padded]
            place += columns
        place = (row + k) * columns + e
        result = result + still * stretch * load(scratch, place + padded * columns) + turned * load(scratch, place)
    store(scratch, (row - 1) * columns + e, result)


@compiled
def pull_along(
    atoms: tuple[int, int],
    lists: Any,
    geometry: Any,
    sent: Any,
    basis: Any,
    gradient: Any,
    motion: Any,
    on_received: Any,
) -> None:
    """Change of `pull`'s ``on_received`` when the vectors of the half edges change by ``motion``, (E/2, 3)."""
    start = lists[0]
    channels = gradient.shape[2]
    _, count, offset = basis
    begin, until = atoms
    scratch, columns, padded = make_scratch(start[begin : until + 1], channels + 1, count, sent)
    pulls = np.zeros(channels * HARMONICS * padded, sent.dtype)
    one = np.ones((sent.shape[0], 1), sent.dtype)  # received by all, so that weights are the turned harmonics alone
    row = RECEIVED + 1
    for i in range(begin, until):
        first, last = start[i], start[i + 1]
        end = prepare(scratch, columns, padded, first, last, lists, geometry, one, basis)
        set_motion(scratch, columns, first, last - first, lists[2], motion)
        set_turned_weights(scratch, columns, end, RECEIVED)
        _take(pulls, padded, gradient, i, count, offset)
        for c in range(channels):
            for e in range(0, end, lanes_of(sent)):
                _gradient_along(scratch, columns, padded, e, pulls, c, row, count)
            for e in range(last - first):
                on_received[first + e, c] = scratch[RECEIVED * columns + e]
