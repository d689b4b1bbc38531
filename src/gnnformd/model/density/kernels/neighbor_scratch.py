"""What depends on the distance and direction of the neighbors of one atom, kept in the fastest cache.

Work goes atom by atom. What depends on distance and direction of a pair is computed for a vector of neighbors at once
and kept in a few kilobytes; nothing of the size of edges times functions is ever written to memory. Sums over
neighbors have the radial functions side by side in a vector, gradients have the neighbors side by side.

``values`` is the scratch of `Scratch` or `Neighborhood`: rows of ``columns`` numbers, one for each neighbor. The
received numbers begin in row ``RECEIVED``; behind them are the ``padded`` radial functions, then their derivatives.
"""

from __future__ import annotations

import math

import numpy as np

from gnnformd.model.density.kernels.harmonic_polynomials import (
    cubic,
    cubic_along,
    quartic,
    quartic_along,
    store_row,
)
from gnnformd.model.density.kernels.simd import BYTES, fill, lanes_of, load, store, transpose
from gnnformd.model.density.kernels.structures import HARMONICS, Floats, Indices, Number, PairGeometry, Scratch, Shell
from gnnformd.numba_jit import kernel

__all__ = [
    "DISTANCE",
    "HARMONIC",
    "PAIR_SLOPE",
    "RECEIVED",
    "ROOT3",
    "SOFT",
    "SOFT_SLOPE",
    "UNIT",
    "WEIGHT",
    "harmonics",
    "make_scratch",
    "prepare",
    "radial_functions",
    "set_displacements",
    "set_weight_derivatives",
    "set_weights",
    "transpose_rows",
]

ROOT3 = 3.0**0.5

# Rows of the scratch. A weight is a harmonic times a received number.
DISTANCE, SOFT, SOFT_SLOPE, UNIT = 0, 1, 2, 3
HARMONIC = 6
WEIGHT = HARMONIC + HARMONICS
RECEIVED = WEIGHT + HARMONICS
PAIR_SLOPE = WEIGHT + 3  # derivative of the energy of the pair; in a row of weights, which is free by then


@kernel
def make_scratch(start: Indices, channels: int, count: int, like: Floats) -> Scratch:
    """Memory for the atom with most neighbors, and behind its rows for transposed functions and derivatives."""
    width = lanes_of(like)
    most = 1
    for i in range(len(start) - 1):
        most = max(most, start[i + 1] - start[i])
    columns = (most + width - 1) // width * width
    padded = (count + width - 1) // width * width
    rows = RECEIVED + channels + 2 * padded
    return Scratch(np.empty(rows * columns + 2 * columns * padded, like.dtype), columns, padded)


@kernel
def harmonics(values: Floats, columns: int, e: int, count: int) -> None:
    """Harmonics of the unit vectors of neighbors from ``e`` on, 9, 16 or 25 (`gnnformd.model.density.harmonics`)."""
    unit = UNIT * columns + e
    x, y, z = load(values, unit), load(values, unit + columns), load(values, unit + 2 * columns)
    row = HARMONIC * columns + e
    store(values, row, fill(values, 1.0))
    store(values, row + columns, x)
    store(values, row + 2 * columns, y)
    store(values, row + 3 * columns, z)
    store(values, row + 4 * columns, ROOT3 * x * y)
    store(values, row + 5 * columns, ROOT3 * y * z)
    store(values, row + 6 * columns, ROOT3 * z * x)
    store(values, row + 7 * columns, (0.5 * ROOT3) * (x * x - y * y))
    store(values, row + 8 * columns, 1.5 * z * z - 0.5)
    if count > 9:
        store_row(values, row + 9 * columns, columns, cubic(x, y, z))
    if count > 16:
        store_row(values, row + 16 * columns, columns, quartic(x, y, z))


@kernel
def radial_functions(values: Floats, columns: int, e: int, row: int, padded: int, cutoff: Number, count: int) -> None:
    """Radial functions and derivatives of the neighbors from ``e`` on, to the rows from ``row`` on.

    See `gnnformd.model.density.radial`. The waves follow from the first by the addition theorem. Sine and cosine of
    the first are power series about a quarter of a period; what they leave out is below 3e-16, in float32 below 1e-8.
    """
    soft, soft_slope = load(values, SOFT * columns + e), load(values, SOFT_SLOPE * columns + e)
    x = soft * (1.0 / cutoff)
    angle = x * math.pi - 0.5 * math.pi
    square = angle * angle
    sine, cosine = fill(values, 0.0), fill(values, 0.0)
    last = 20 if lanes_of(values) * 8 == BYTES else 10
    for k in range(last, -1, -2):  # 1 - a^2/(1 2) (1 - a^2/(3 4) (...)) is cos a, and so on for sin a / a
        sine = 1.0 - square * sine * (1.0 / ((k + 1.0) * (k + 2.0)))
        cosine = 1.0 - square * cosine * (1.0 / ((k + 2.0) * (k + 3.0)))
    cosine = 0.0 - angle * cosine  # cos(a + pi/2) = -sin a
    x2 = x * x
    x5 = x2 * x2 * x
    envelope = 1.0 - x5 * x * (28.0 - x * (48.0 - 21.0 * x))
    envelope_slope = x5 * (1.0 - x) * (1.0 - x) * (-168.0 / cutoff)
    inverse = math.sqrt(2.0 / cutoff) / soft
    value = inverse * envelope
    from_wave = value * soft_slope * (math.pi / cutoff)
    from_factor = inverse * (envelope_slope - envelope / soft) * soft_slope
    target = row * columns + e
    s, c, wave = sine, cosine, from_wave
    for _ in range(count):
        store(values, target, s * value)
        store(values, target + padded * columns, c * wave + s * from_factor)
        wave = wave + from_wave
        s, c = s * cosine + c * sine, c * cosine - s * sine
        target += columns
    for _ in range(padded - count):
        store(values, target, fill(values, 0.0))
        store(values, target + padded * columns, fill(values, 0.0))
        target += columns


@kernel
def prepare(
    scratch: Scratch, first: int, last: int, shell: Shell, geometry: PairGeometry, sent: Floats, count: int
) -> int:
    """Fill the scratch for the edges from ``first`` to ``last``, with ``count`` harmonics.

    Returns the number of edges in whole vectors.

    Columns that fill the last vector are at the cutoff, where every function is zero.
    """
    values, columns, cutoff = scratch.values, scratch.columns, geometry.cutoff
    width = lanes_of(values)
    channels = sent.shape[1]
    edges = last - first
    end = (edges + width - 1) // width * width
    for e in range(edges):
        directed = shell.pair[first + e]
        half = directed >> 1
        r = geometry.distance[half]
        inverse = (1 - 2 * (directed & 1)) / r
        values[DISTANCE * columns + e] = r
        values[SOFT * columns + e] = min(geometry.soft[half], cutoff)
        values[SOFT_SLOPE * columns + e] = geometry.soft_slope[half]
        for axis in range(3):
            values[(UNIT + axis) * columns + e] = geometry.vectors[half, axis] * inverse
        j = shell.neighbor[first + e]
        for c in range(channels):
            values[(RECEIVED + c) * columns + e] = sent[j, c]
    for e in range(edges, end):
        values[DISTANCE * columns + e] = cutoff
        values[SOFT * columns + e] = cutoff
        for row in range(SOFT_SLOPE, HARMONIC):
            values[row * columns + e] = 0.0
        for c in range(channels):
            values[(RECEIVED + c) * columns + e] = 0.0
    for e in range(0, end, width):
        harmonics(values, columns, e, count)
        radial_functions(values, columns, e, RECEIVED + channels, scratch.padded, cutoff, shell.functions)
    return end


@kernel
def transpose_rows(scratch: Scratch, row: int, end: int, target: int) -> None:
    """Copy functions, in rows from ``row`` on, to rows of one neighbor each, from ``target`` on."""
    values, columns, padded = scratch.values, scratch.columns, scratch.padded
    width = lanes_of(values)
    for k in range(0, padded, width):
        for e in range(0, end, width):
            transpose(values, (row + k) * columns + e, columns, values, target + e * padded + k, padded)


@kernel
def set_weights(values: Floats, columns: int, begin: int, end: int, received: int, count: int) -> None:
    """Weights of the neighbors from ``begin`` to ``end``: ``count`` harmonics times the number received in a row."""
    width = lanes_of(values)
    for e in range(begin, end, width):
        h = load(values, received * columns + e)
        for lm in range(count):
            row = (HARMONIC + lm) * columns + e
            store(values, row + HARMONICS * columns, load(values, row) * h)


@kernel
def set_displacements(scratch: Scratch, first: int, edges: int, pair: Indices, displacements: Floats) -> None:
    """Replace softened slope and unit vector of the neighbors by the changes of distance and unit vector.

    ``displacements``, (E/2, 3), are changes of the vectors of the half edges.
    """
    values, columns = scratch.values, scratch.columns
    for e in range(edges):
        directed = pair[first + e]
        half = directed >> 1
        sign = 1 - 2 * (directed & 1)
        dx, dy, dz = sign * displacements[half, 0], sign * displacements[half, 1], sign * displacements[half, 2]
        unit = UNIT * columns + e
        x, y, z = values[unit], values[unit + columns], values[unit + 2 * columns]
        stretch = dx * x + dy * y + dz * z
        inverse = 1 / values[DISTANCE * columns + e]
        values[SOFT_SLOPE * columns + e] = stretch
        values[unit] = (dx - stretch * x) * inverse
        values[unit + columns] = (dy - stretch * y) * inverse
        values[unit + 2 * columns] = (dz - stretch * z) * inverse


@kernel
def set_weight_derivatives(values: Floats, columns: int, end: int, received: int, count: int) -> None:
    """Write to the ``count`` rows of weights how these change with the unit vectors (see `set_displacements`)."""
    for e in range(0, end, lanes_of(values)):
        h = load(values, received * columns + e)
        unit = UNIT * columns + e
        dx, dy, dz = load(values, unit) * h, load(values, unit + columns) * h, load(values, unit + 2 * columns) * h
        row = (HARMONIC + 1) * columns + e
        x, y, z = load(values, row), load(values, row + columns), load(values, row + 2 * columns)
        target = WEIGHT * columns + e
        store(values, target, fill(values, 0.0))
        store(values, target + columns, dx)
        store(values, target + 2 * columns, dy)
        store(values, target + 3 * columns, dz)
        store(values, target + 4 * columns, ROOT3 * (x * dy + y * dx))
        store(values, target + 5 * columns, ROOT3 * (y * dz + z * dy))
        store(values, target + 6 * columns, ROOT3 * (z * dx + x * dz))
        store(values, target + 7 * columns, ROOT3 * (x * dx - y * dy))
        store(values, target + 8 * columns, 3.0 * z * dz)
        if count > 9:
            store_row(values, target + 9 * columns, columns, cubic_along((x, y, z), (dx, dy, dz)))
        if count > 16:
            store_row(values, target + 16 * columns, columns, quartic_along((x, y, z), (dx, dy, dz)))
