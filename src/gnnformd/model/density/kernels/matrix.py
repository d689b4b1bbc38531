"""Matrix products and activations of a few atoms at a time, out of and into the fastest caches."""

from __future__ import annotations

from gnnformd.model.density.kernels.simd import fill, lanes_of, load, store
from gnnformd.model.density.kernels.simd_functions import exponential
from gnnformd.model.density.kernels.structures import Floats
from gnnformd.numba_jit import kernel

__all__ = ["ROWS", "matmul", "silu_and_slope"]

ROWS = 8
"""Rows that `matmul` takes at once; the number of rows is a multiple of it."""


@kernel
def matmul(x: Floats, rows: int, inner: int, w: Floats, columns: int, out: Floats) -> None:
    """``out = x w`` for contiguous (rows, inner) and (inner, columns); rows of eight, columns in whole vectors.

    Sixteen vectors of sums stay in registers: eight rows times two vectors of columns.
    """
    width = lanes_of(x)
    for r in range(0, rows, ROWS):
        for c in range(0, columns - width, 2 * width):
            _tile(x, r, inner, w, c, columns, out)
        if columns // width % 2:
            _narrow_tile(x, r, inner, w, columns - width, columns, out)


@kernel
def _tile(x: Floats, r: int, inner: int, w: Floats, c: int, columns: int, out: Floats) -> None:
    """Eight rows from r on, two vectors of columns from c on."""
    p, target = r * inner, r * columns + c
    width = lanes_of(x)
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = fill(x, 0.0)
    b0 = b1 = b2 = b3 = b4 = b5 = b6 = b7 = fill(x, 0.0)
    for k in range(inner):
        u, v = load(w, c + k * columns), load(w, c + k * columns + width)
        x0, x1, x2, x3 = x[p + k], x[p + inner + k], x[p + 2 * inner + k], x[p + 3 * inner + k]
        x4, x5, x6, x7 = x[p + 4 * inner + k], x[p + 5 * inner + k], x[p + 6 * inner + k], x[p + 7 * inner + k]
        a0, b0 = a0 + u * x0, b0 + v * x0
        a1, b1 = a1 + u * x1, b1 + v * x1
        a2, b2 = a2 + u * x2, b2 + v * x2
        a3, b3 = a3 + u * x3, b3 + v * x3
        a4, b4 = a4 + u * x4, b4 + v * x4
        a5, b5 = a5 + u * x5, b5 + v * x5
        a6, b6 = a6 + u * x6, b6 + v * x6
        a7, b7 = a7 + u * x7, b7 + v * x7
    for row in ((0, a0, b0), (1, a1, b1), (2, a2, b2), (3, a3, b3), (4, a4, b4), (5, a5, b5), (6, a6, b6), (7, a7, b7)):
        store(out, target + row[0] * columns, row[1])
        store(out, target + row[0] * columns + width, row[2])


@kernel
def _narrow_tile(x: Floats, r: int, inner: int, w: Floats, c: int, columns: int, out: Floats) -> None:
    """Eight rows from r on, one vector of columns from c on."""
    p, target = r * inner, r * columns + c
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = fill(x, 0.0)
    for k in range(inner):
        u = load(w, c + k * columns)
        a0 = a0 + u * x[p + k]
        a1 = a1 + u * x[p + inner + k]
        a2 = a2 + u * x[p + 2 * inner + k]
        a3 = a3 + u * x[p + 3 * inner + k]
        a4 = a4 + u * x[p + 4 * inner + k]
        a5 = a5 + u * x[p + 5 * inner + k]
        a6 = a6 + u * x[p + 6 * inner + k]
        a7 = a7 + u * x[p + 7 * inner + k]
    for row in ((0, a0), (1, a1), (2, a2), (3, a3), (4, a4), (5, a5), (6, a6), (7, a7)):
        store(out, target + row[0] * columns, row[1])


@kernel
def silu_and_slope(values: Floats, count: int, results: Floats, slopes: Floats) -> None:
    """``x s`` and its derivative ``s (1 + x (1 - s))`` with ``s = 1 / (1 + exp(-x))``."""
    for k in range(0, count, lanes_of(values)):
        x = load(values, k)
        s = 1.0 / (1.0 + exponential(0.0 - x))
        store(results, k, x * s)
        store(slopes, k, s * (1.0 + x * (1.0 - s)))
