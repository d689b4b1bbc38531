"""Compiled loops over neighbors: densities, and their change when atoms move."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnformd.model.density.kernels.neighbor_scratch import (
    HARMONICS,
    RECEIVED,
    SOFTENING,
    WEIGHT,
    compiled,
    make_scratch,
    prepare,
    set_motion,
    set_turned_weights,
    set_weights,
    turn,
)
from gnnformd.model.density.kernels.simd import lanes_of, load, store

__all__ = ["add_up", "densities", "push"]


@compiled
def add_up(
    scratch: Any,
    columns: int,
    row: int,
    first: int,
    last: int,
    turned: Any,
    place: int,
    padded: int,
    sums: Any,
) -> None:
    """Add ``sum_e w_lm,e B_k,e`` over the neighbors from ``first`` to ``last``, for one vector of functions.

    Parameters
    ----------
    row
        First of nine rows of the scratch with ``w_lm``.
    turned, place
        Functions with one row of ``padded`` for each neighbor, the first at ``place``.
    sums
        (9, padded).
    """
    a0, a1, a2 = load(sums, 0), load(sums, padded), load(sums, 2 * padded)
    a3, a4, a5 = load(sums, 3 * padded), load(sums, 4 * padded), load(sums, 5 * padded)
    a6, a7, a8 = load(sums, 6 * padded), load(sums, 7 * padded), load(sums, 8 * padded)
    w = row * columns
    for e in range(first, last):
        b = load(turned, place + e * padded)
        a0 = a0 + b * scratch[w + e]
        a1 = a1 + b * scratch[w + columns + e]
        a2 = a2 + b * scratch[w + 2 * columns + e]
        a3 = a3 + b * scratch[w + 3 * columns + e]
        a4 = a4 + b * scratch[w + 4 * columns + e]
        a5 = a5 + b * scratch[w + 5 * columns + e]
        a6 = a6 + b * scratch[w + 6 * columns + e]
        a7 = a7 + b * scratch[w + 7 * columns + e]
        a8 = a8 + b * scratch[w + 8 * columns + e]
    store(sums, 0, a0)
    store(sums, padded, a1)
    store(sums, 2 * padded, a2)
    store(sums, 3 * padded, a3)
    store(sums, 4 * padded, a4)
    store(sums, 5 * padded, a5)
    store(sums, 6 * padded, a6)
    store(sums, 7 * padded, a7)
    store(sums, 8 * padded, a8)


@compiled
def densities(atoms: tuple[int, int], lists: Any, geometry: Any, sent: Any, basis: Any, out: Any) -> None:
    """``D_i,lm,ck = sum_j h_jc B_k(r_ij) Y_lm(u_ij)``.

    Parameters
    ----------
    atoms
        First atom and the one after the last; different atoms may be done by different threads at the same time.
    lists
        ``(start, neighbor, pair)``.
    geometry
        ``(vectors, distance, soft, softening)``.
    sent
        ``h``, (M, C).
    basis
        ``(cutoff, K, offset)``: these functions stand at ``offset .. offset + K`` on the last axis of ``out``.
    out
        Written, (L, N, C, all functions).
    """
    start = lists[0]
    degrees, _, channels, _ = out.shape
    _, count, offset = basis
    begin, until = atoms
    scratch, columns, padded = make_scratch(start[begin : until + 1], channels, count, sent)
    sums = np.empty(HARMONICS * padded, sent.dtype)
    turned = (RECEIVED + channels + 2 * padded) * columns
    for i in range(begin, until):
        first, last = start[i], start[i + 1]
        end = prepare(scratch, columns, padded, first, last, lists, geometry, sent, basis)
        turn(scratch, columns, padded, RECEIVED + channels, end, turned)
        for c in range(channels):
            set_weights(scratch, columns, 0, end, RECEIVED + c)
            sums[:] = 0.0
            for k in range(0, padded, lanes_of(sent)):
                add_up(scratch, columns, WEIGHT, 0, last - first, scratch, turned + k, padded, sums[k:])
            for lm in range(degrees):
                for k in range(count):
                    out[lm, i, c, offset + k] = sums[lm * padded + k]


@compiled
def push(atoms: tuple[int, int], lists: Any, geometry: Any, sent: Any, basis: Any, motion: Any, out: Any) -> None:
    """Change of the densities when the vectors of the half edges change by ``motion``, (E/2, 3).

    ``sum_j h_jc (B'_k dr Y_lm + B_k dY_lm)``; other parameters as for `densities`.
    """
    start = lists[0]
    degrees, _, channels, _ = out.shape
    _, count, offset = basis
    begin, until = atoms
    scratch, columns, padded = make_scratch(start[begin : until + 1], channels, count, sent)
    sums = np.empty(HARMONICS * padded, sent.dtype)
    row = RECEIVED + channels
    turned = (row + 2 * padded) * columns
    for i in range(begin, until):
        first, last = start[i], start[i + 1]
        end = prepare(scratch, columns, padded, first, last, lists, geometry, sent, basis)
        turn(scratch, columns, padded, row, end, turned)
        turn(scratch, columns, padded, row + padded, end, turned + columns * padded)
        set_motion(scratch, columns, first, last - first, lists[2], motion)
        for c in range(channels):
            sums[:] = 0.0
            set_turned_weights(scratch, columns, end, RECEIVED + c)
            for k in range(0, padded, lanes_of(sent)):
                add_up(scratch, columns, WEIGHT, 0, last - first, scratch, turned + k, padded, sums[k:])
            for e in range(last - first):
                scratch[(RECEIVED + c) * columns + e] *= scratch[SOFTENING * columns + e]
            set_weights(scratch, columns, 0, end, RECEIVED + c)
            for k in range(0, padded, lanes_of(sent)):
                add_up(
                    scratch, columns, WEIGHT, 0, last - first, scratch, turned + columns * padded + k, padded, sums[k:]
                )
            for lm in range(degrees):
                for k in range(count):
                    out[lm, i, c, offset + k] = sums[lm * padded + k]
