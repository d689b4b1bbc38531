"""What happens to a block of edges between its matrix products, forward and backward.

A block is `PAIRS` pairs: their edges one way, then the same pairs the other way, so twice as many rows, whose values
never leave the fastest caches. Between two matrix products lies a PReLU with dropout; what it was given is kept for the
way back as bfloat16, with a mark where it was dropped. Forward products are split (16 bits of each number), those on
the way back are of bfloat16 numbers.
"""

from __future__ import annotations

import numba
import numpy as np

from gnnformd.model.gamd.prelu_dropout import hashed
from gnnformd.model.gamd.tiles.products import bits, floats, product, split_product, transpose

__all__ = [
    "COLUMN",
    "PAIRS",
    "ROWS",
    "compiled",
    "compiled_parallel",
    "finish",
    "gate",
    "large_bits",
    "layers",
    "layers_back",
    "map_back",
    "rounded_bits",
    "share_of",
    "small_bits",
    "split",
]

PAIRS = 128
"""Pairs of a block."""

ROWS = 2 * PAIRS
"""Edges of a block."""

COLUMN = PAIRS + 16
"""Numbers from row to row of a transposed block, so that its rows do not share lines of the cache."""

_DROPPED = 0x7FC0  # a bfloat16 that is no number

# Sums may be taken in any order and multiplications fused, which lets the loops run over whole vectors.
compiled = numba.njit(cache=True, fastmath={"contract", "nsz", "reassoc"})
compiled_parallel = numba.njit(cache=True, parallel=True)


@numba.njit(inline="always")
def rounded_bits(x):  # type: ignore[no-untyped-def]
    """Nearest bfloat16 number, as the lower half of a uint32."""
    u = bits(x)
    return (u + np.uint32(0x7FFF) + ((u >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)


@numba.njit(inline="always")
def large_bits(x):  # type: ignore[no-untyped-def]
    """Upper half of the bits."""
    return bits(x) >> np.uint32(16)


@numba.njit(inline="always")
def small_bits(x):  # type: ignore[no-untyped-def]
    """Upper half of the bits of the rest, rounded."""
    return rounded_bits(x - floats(bits(x) & np.uint32(0xFFFF0000)))


@numba.njit(inline="always")
def _prelu(x, slope):  # type: ignore[no-untyped-def]
    return max(x, np.float32(0)) + slope * min(x, np.float32(0))


@compiled
def split(values, large, small):  # type: ignore[no-untyped-def]
    """Large and small parts of a block."""
    for r in range(values.shape[0]):
        for k in range(values.shape[1]):
            large[r, k] = np.uint16(large_bits(values[r, k]))
            small[r, k] = np.uint16(small_bits(values[r, k]))


@compiled
def _activate(values, large, small, marks, slope, threshold, scale, seed):  # type: ignore[no-untyped-def]
    """PReLU and dropout of a block, split for the next product; one hash decides for both ways of a pair."""
    width = values.shape[1]
    for r in range(PAIRS):
        for k in range(width):
            h = hashed(r * width + k, seed)
            x = values[r, k]
            kept = (h & np.uint32(0xFFFF)) >= threshold
            y = scale * _prelu(x, slope) if kept else np.float32(0)
            large[r, k] = np.uint16(large_bits(y))
            small[r, k] = np.uint16(small_bits(y))
            marks[r, k] = np.uint16(rounded_bits(x) if kept else np.uint32(_DROPPED))
            x = values[PAIRS + r, k]
            kept = (h >> np.uint32(16)) >= threshold
            y = scale * _prelu(x, slope) if kept else np.float32(0)
            large[PAIRS + r, k] = np.uint16(large_bits(y))
            small[PAIRS + r, k] = np.uint16(small_bits(y))
            marks[PAIRS + r, k] = np.uint16(rounded_bits(x) if kept else np.uint32(_DROPPED))


@compiled
def finish(value, mark, target, slope):  # type: ignore[no-untyped-def]
    """Add the PReLU of a row to a target."""
    for k in range(len(value)):
        mark[k] = np.uint16(rounded_bits(value[k]))
        target[k] += _prelu(value[k], slope)


@compiled
def layers(x, large, small, marks, weights, numbers, seed):  # type: ignore[no-untyped-def]
    """From the first values of a perceptron to its last, before their PReLU; all in ``x``, (2P, F)."""
    slopes, threshold, scale = numbers
    width = x.shape[1]
    for layer in range(2):
        layer_seed = np.uint32(hashed(layer, seed))
        _activate(x, large, small, marks[layer], slopes[layer], threshold, scale, layer_seed)
        split_product(
            large.ctypes.data,
            small.ctypes.data,
            weights[2 * layer].ctypes.data,
            weights[2 * layer + 1].ctypes.data,
            x.ctypes.data,
            ROWS,
            width,
            width,
            0,
        )


@compiled
def transpose_values(marks, both, transposed, slope, scale):  # type: ignore[no-untyped-def]
    """Values after PReLU and dropout from their marks, as the rows of a left factor: both ways of a pair together."""
    for r in range(PAIRS):
        for k in range(marks.shape[1]):
            m, n = np.uint32(marks[r, k]), np.uint32(marks[PAIRS + r, k])
            y = np.float32(0) if m == _DROPPED else scale * _prelu(floats(m << np.uint32(16)), slope)
            z = np.float32(0) if n == _DROPPED else scale * _prelu(floats(n << np.uint32(16)), slope)
            both[r, k] = rounded_bits(y) | (rounded_bits(z) << np.uint32(16))
    transpose(both.ctypes.data, transposed.ctypes.data, PAIRS, marks.shape[1], 4 * COLUMN)


@compiled
def gate(one, other, mark, mark_other, flat, flat_other, pair, slope, scale):  # type: ignore[no-untyped-def]
    """Gradients of a pair's rows through PReLU and dropout, as bfloat16; returns the gradient of the slope."""
    total = np.float32(0)
    for k in range(len(one)):
        m, n = np.uint32(mark[k]), np.uint32(mark_other[k])
        x, y = floats(m << np.uint32(16)), floats(n << np.uint32(16))
        g = np.float32(0) if m == _DROPPED else scale * one[k]
        h = np.float32(0) if n == _DROPPED else scale * other[k]
        total += (g * x if x < 0 else np.float32(0)) + (h * y if y < 0 else np.float32(0))
        a = rounded_bits(g if x > 0 else slope * g)
        b = rounded_bits(h if y > 0 else slope * h)
        flat[k] = np.uint16(a)
        flat_other[k] = np.uint16(b)
        pair[k] = a | (b << np.uint32(16))
    return total


@compiled
def map_back(flat, weight, target):  # type: ignore[no-untyped-def]
    """Gradients before a linear map from those after it."""
    rows, width = target.shape
    left, right = flat.ctypes.data, weight.ctypes.data
    product(left, 2 * width, right, 4 * width, target.ctypes.data, rows, width, width, 0)


@compiled
def layers_back(g, flat, pair, marks, weights, numbers, both, transposed, weight_gradients, slope_gradients):  # type: ignore[no-untyped-def]
    """From gated gradients of the last values of a perceptron (``flat``, ``pair``) to those of its first values."""
    slopes, _, scale = numbers
    width = g.shape[1]
    for step in range(2):
        layer = 1 - step
        transpose_values(marks[layer], both, transposed, slopes[layer], scale)
        product(
            transposed.ctypes.data,
            4 * COLUMN,
            pair.ctypes.data,
            pair.strides[0],
            weight_gradients[layer].ctypes.data,
            width,
            ROWS,
            width,
            1,
        )
        map_back(flat, weights[layer], g)
        total = np.float32(0)
        for r in range(PAIRS):
            total += gate(
                g[r],
                g[PAIRS + r],
                marks[layer, r],
                marks[layer, PAIRS + r],
                flat[r],
                flat[PAIRS + r],
                pair[r],
                slopes[layer],
                scale,
            )
        slope_gradients[layer] += total


@numba.njit(inline="always")
def share_of(lane, lanes, blocks):  # type: ignore[no-untyped-def]
    """First block of a thread and the one after its last."""
    return lane * blocks // lanes, (lane + 1) * blocks // lanes
