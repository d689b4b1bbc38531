"""Compiled loops over neighbors: the places of the neighbors of an atom, and what depends on them alone.

Work goes atom by atom. What depends on distance and direction of a pair is computed for 16 neighbors at once (8 in
float64) and kept in a few kilobytes that stay in the fastest cache; nothing of the size of edges times functions is
ever written to memory. Sums over neighbors have the radial functions side by side in a vector, gradients have the
neighbors side by side.

Numbers have one type, float32 or float64. ``start`` (N + 1,), ``neighbor`` and ``pair`` (E,) are the edges ordered by
center: those of atom ``i`` stand from ``start[i]`` to ``start[i + 1]``. ``pair`` is twice the number of the half edge,
plus one for the second of its two directions. ``vectors`` (E/2, 3), ``distance``, ``soft`` and ``softening`` (E/2,)
belong to half edges.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
import numpy as np

from gnnformd.model.density.kernels.simd import fill, lanes_of, load, store, transpose

__all__ = [
    "DISTANCE",
    "HARMONIC",
    "HARMONICS",
    "PAIR",
    "RECEIVED",
    "ROOT3",
    "SOFT",
    "SOFTENING",
    "UNIT",
    "WEIGHT",
    "compiled",
    "functions",
    "harmonics",
    "make_scratch",
    "prepare",
    "set_motion",
    "set_turned_weights",
    "set_weights",
    "turn",
]

HARMONICS = 9
ROOT3 = 3.0**0.5

# Rows of the scratch of an atom, one number for each neighbor. The received numbers follow, then the radial functions,
# their derivatives, and behind all rows the functions and derivatives turned to one row for each neighbor.
DISTANCE, SOFT, SOFTENING, UNIT = 0, 1, 2, 3
HARMONIC = 6
WEIGHT = HARMONIC + HARMONICS
RECEIVED = WEIGHT + HARMONICS
PAIR = WEIGHT + 3  # slope of the energy of the pair, where weights are done with


def compiled(function: Callable[..., Any]) -> Any:
    """Compile with numba; the machine code is kept on disk where there is a place for it.

    By itself numba looks whether the file of the function has changed, not whether those have that it calls.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy"}
    try:
        made = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no folder it may write to
        return numba.njit(**options)(function)
    kept = getattr(getattr(made, "_cache", None), "_cache_file", None)
    if kept is not None and hasattr(kept, "_source_stamp"):
        kept._source_stamp = (kept._source_stamp, _newest())
    return made


@lru_cache
def _newest() -> int:
    """When the last of the files with compiled loops was changed."""
    return max(path.stat().st_mtime_ns for path in Path(__file__).parent.glob("*.py"))


@compiled
def make_scratch(start: Any, channels: int, count: int, like: Any) -> Any:
    """Room for the atom with most neighbors, its number of columns, and the number of functions in whole vectors."""
    width = lanes_of(like)
    most = 1
    for i in range(len(start) - 1):
        most = max(most, start[i + 1] - start[i])
    columns = (most + width - 1) // width * width
    padded = (count + width - 1) // width * width
    rows = RECEIVED + channels + 2 * padded
    return np.empty(rows * columns + 2 * columns * padded, like.dtype), columns, padded


@compiled
def harmonics(scratch: Any, columns: int, e: int) -> None:
    """Harmonics of the unit vectors of the neighbors from ``e`` on (see `gnnformd.model.density.harmonics`)."""
    place = UNIT * columns + e
    x, y, z = load(scratch, place), load(scratch, place + columns), load(scratch, place + 2 * columns)
    row = HARMONIC * columns + e
    store(scratch, row, fill(scratch, 1.0))
    store(scratch, row + columns, x)
    store(scratch, row + 2 * columns, y)
    store(scratch, row + 3 * columns, z)
    store(scratch, row + 4 * columns, ROOT3 * x * y)
    store(scratch, row + 5 * columns, ROOT3 * y * z)
    store(scratch, row + 6 * columns, ROOT3 * z * x)
    store(scratch, row + 7 * columns, (0.5 * ROOT3) * (x * x - y * y))
    store(scratch, row + 8 * columns, 1.5 * z * z - 0.5)


@compiled
def functions(scratch: Any, columns: int, row: int, padded: int, e: int, cutoff: float, count: int) -> None:
    """Radial functions and derivatives of the neighbors from ``e`` on (see `gnnformd.model.density.radial`).

    The waves follow from the first by turning ``(sin, cos)`` further. Sine and cosine of the first are power series
    about a quarter turn; what they leave out is below 3e-16.
    """
    soft, softening = load(scratch, SOFT * columns + e), load(scratch, SOFTENING * columns + e)
    x = soft * (1.0 / cutoff)
    angle = x * math.pi - 0.5 * math.pi
    square = angle * angle
    sine, cosine = fill(scratch, 0.0), fill(scratch, 0.0)
    for k in range(20, -1, -2):  # 1 - a^2/(1 2) (1 - a^2/(3 4) (...)) is cos a, and so on for sin a / a
        sine = 1.0 - square * sine * (1.0 / ((k + 1.0) * (k + 2.0)))
        cosine = 1.0 - square * cosine * (1.0 / ((k + 2.0) * (k + 3.0)))
    cosine = 0.0 - angle * cosine  # cos(a + pi/2) = -sin a
    x2 = x * x
    x5 = x2 * x2 * x
    envelope = 1.0 - x5 * x * (28.0 - x * (48.0 - 21.0 * x))
    falling = x5 * (1.0 - x) * (1.0 - x) * (-168.0 / cutoff)
    over = math.sqrt(2.0 / cutoff) / soft
    value = over * envelope
    along = value * softening * (math.pi / cutoff)
    change = over * (falling - envelope / soft) * softening
    place = row * columns + e
    s, c = sine, cosine
    for k in range(count):
        store(scratch, place, s * value)
        store(scratch, place + padded * columns, c * along * (k + 1.0) + s * change)
        s, c = s * cosine + c * sine, c * cosine - s * sine
        place += columns
    for _ in range(padded - count):
        store(scratch, place, fill(scratch, 0.0))
        store(scratch, place + padded * columns, fill(scratch, 0.0))
        place += columns


@compiled
def prepare(
    scratch: Any, columns: int, padded: int, first: int, last: int, lists: Any, geometry: Any, sent: Any, basis: Any
) -> int:
    """Fill the scratch for the edges from ``first`` to ``last``; give their number in whole vectors.

    Places that fill up stand at the cutoff, where every function is zero.
    """
    _, neighbor, pair = lists
    vectors, distance, soft, softening = geometry
    cutoff, count, _ = basis
    width = lanes_of(scratch)
    channels = sent.shape[1]
    edges = last - first
    end = (edges + width - 1) // width * width
    for e in range(edges):
        which = pair[first + e]
        half = which >> 1
        r = distance[half]
        over = (1 - 2 * (which & 1)) / r
        scratch[DISTANCE * columns + e] = r
        scratch[SOFT * columns + e] = min(soft[half], cutoff)
        scratch[SOFTENING * columns + e] = softening[half]
        for a in range(3):
            scratch[(UNIT + a) * columns + e] = vectors[half, a] * over
        j = neighbor[first + e]
        for c in range(channels):
            scratch[(RECEIVED + c) * columns + e] = sent[j, c]
    for e in range(edges, end):
        scratch[DISTANCE * columns + e] = cutoff
        scratch[SOFT * columns + e] = cutoff
        for row in range(SOFTENING, HARMONIC):
            scratch[row * columns + e] = 0.0
        for c in range(channels):
            scratch[(RECEIVED + c) * columns + e] = 0.0
    for e in range(0, end, width):
        harmonics(scratch, columns, e)
        functions(scratch, columns, RECEIVED + channels, padded, e, cutoff, count)
    return end


@compiled
def turn(scratch: Any, columns: int, padded: int, row: int, end: int, place: int) -> None:
    """Copy functions, in rows from ``row`` on, to rows of one neighbor each, from ``place`` on."""
    width = lanes_of(scratch)
    for k in range(0, padded, width):
        for e in range(0, end, width):
            transpose(scratch, (row + k) * columns + e, columns, scratch, place + e * padded + k, padded)


@compiled
def set_weights(scratch: Any, columns: int, begin: int, end: int, received: int) -> None:
    """Harmonics times a received number, into the rows of weights, of the neighbors from ``begin`` to ``end``."""
    width = lanes_of(scratch)
    for e in range(begin, end, width):
        h = load(scratch, received * columns + e)
        for lm in range(HARMONICS):
            place = (HARMONIC + lm) * columns + e
            store(scratch, place + HARMONICS * columns, load(scratch, place) * h)


@compiled
def set_motion(scratch: Any, columns: int, first: int, edges: int, pair: Any, motion: Any) -> None:
    """Replace the places of the neighbors by how they move: softening by the change of distance, units by turns."""
    for e in range(edges):
        which = pair[first + e]
        half = which >> 1
        sign = 1 - 2 * (which & 1)
        dx, dy, dz = sign * motion[half, 0], sign * motion[half, 1], sign * motion[half, 2]
        place = UNIT * columns + e
        x, y, z = scratch[place], scratch[place + columns], scratch[place + 2 * columns]
        stretch = dx * x + dy * y + dz * z
        over = 1 / scratch[DISTANCE * columns + e]
        scratch[SOFTENING * columns + e] = stretch
        scratch[place] = (dx - stretch * x) * over
        scratch[place + columns] = (dy - stretch * y) * over
        scratch[place + 2 * columns] = (dz - stretch * z) * over


@compiled
def set_turned_weights(scratch: Any, columns: int, end: int, received: int) -> None:
    """Change of the harmonics with the turn of the neighbors, times a received number, into the rows of weights."""
    for e in range(0, end, lanes_of(scratch)):
        h = load(scratch, received * columns + e)
        place = UNIT * columns + e
        dx, dy, dz = (
            load(scratch, place) * h,
            load(scratch, place + columns) * h,
            load(scratch, place + 2 * columns) * h,
        )
        row = (HARMONIC + 1) * columns + e
        x, y, z = load(scratch, row), load(scratch, row + columns), load(scratch, row + 2 * columns)
        place = WEIGHT * columns + e
        store(scratch, place, fill(scratch, 0.0))
        store(scratch, place + columns, dx)
        store(scratch, place + 2 * columns, dy)
        store(scratch, place + 3 * columns, dz)
        store(scratch, place + 4 * columns, ROOT3 * (x * dy + y * dx))
        store(scratch, place + 5 * columns, ROOT3 * (y * dz + z * dy))
        store(scratch, place + 6 * columns, ROOT3 * (z * dx + x * dz))
        store(scratch, place + 7 * columns, ROOT3 * (x * dx - y * dy))
        store(scratch, place + 8 * columns, 3.0 * z * dz)
