"""Atomic densities, and their derivative along a displacement of the atoms."""

from __future__ import annotations

import numpy as np

from gnnformd.model.density.kernels.neighbor_scratch import (
    RECEIVED,
    SOFT_SLOPE,
    WEIGHT,
    make_scratch,
    prepare,
    set_displacements,
    set_weight_derivatives,
    set_weights,
    transpose_rows,
)
from gnnformd.model.density.kernels.simd import lanes_of, load, repeat, store
from gnnformd.model.density.kernels.structures import HARMONIC_COUNTS, Floats, PairGeometry, Scratch, Shell
from gnnformd.numba_jit import kernel

__all__ = ["accumulate_all", "densities", "densities_jvp"]


@kernel
def _accumulate(
    scratch: Scratch,
    row: int,
    first: int,
    last: int,
    transposed: Floats,
    offset: int,
    sums: Floats,
    target: int,
    step: int,
) -> None:
    """Do what `accumulate_all` does for nine rows."""
    values, columns, padded, t = scratch.values, scratch.columns, scratch.padded, target
    a0, a1, a2 = load(sums, t), load(sums, t + step), load(sums, t + 2 * step)
    a3, a4, a5 = load(sums, t + 3 * step), load(sums, t + 4 * step), load(sums, t + 5 * step)
    a6, a7, a8 = load(sums, t + 6 * step), load(sums, t + 7 * step), load(sums, t + 8 * step)
    w = row * columns
    for e in range(first, last):
        b = load(transposed, offset + e * padded)
        a0 = a0 + b * repeat(values, w + e)
        a1 = a1 + b * repeat(values, w + columns + e)
        a2 = a2 + b * repeat(values, w + 2 * columns + e)
        a3 = a3 + b * repeat(values, w + 3 * columns + e)
        a4 = a4 + b * repeat(values, w + 4 * columns + e)
        a5 = a5 + b * repeat(values, w + 5 * columns + e)
        a6 = a6 + b * repeat(values, w + 6 * columns + e)
        a7 = a7 + b * repeat(values, w + 7 * columns + e)
        a8 = a8 + b * repeat(values, w + 8 * columns + e)
    store(sums, t, a0)
    store(sums, t + step, a1)
    store(sums, t + 2 * step, a2)
    store(sums, t + 3 * step, a3)
    store(sums, t + 4 * step, a4)
    store(sums, t + 5 * step, a5)
    store(sums, t + 6 * step, a6)
    store(sums, t + 7 * step, a7)
    store(sums, t + 8 * step, a8)


@kernel
def _accumulate_seven(
    scratch: Scratch,
    row: int,
    first: int,
    last: int,
    transposed: Floats,
    offset: int,
    sums: Floats,
    target: int,
    step: int,
) -> None:
    """Do the same as `_accumulate` for seven rows."""
    values, columns, padded, t = scratch.values, scratch.columns, scratch.padded, target
    a0, a1, a2 = load(sums, t), load(sums, t + step), load(sums, t + 2 * step)
    a3, a4, a5 = load(sums, t + 3 * step), load(sums, t + 4 * step), load(sums, t + 5 * step)
    a6 = load(sums, t + 6 * step)
    w = row * columns
    for e in range(first, last):
        b = load(transposed, offset + e * padded)
        a0 = a0 + b * repeat(values, w + e)
        a1 = a1 + b * repeat(values, w + columns + e)
        a2 = a2 + b * repeat(values, w + 2 * columns + e)
        a3 = a3 + b * repeat(values, w + 3 * columns + e)
        a4 = a4 + b * repeat(values, w + 4 * columns + e)
        a5 = a5 + b * repeat(values, w + 5 * columns + e)
        a6 = a6 + b * repeat(values, w + 6 * columns + e)
    store(sums, t, a0)
    store(sums, t + step, a1)
    store(sums, t + 2 * step, a2)
    store(sums, t + 3 * step, a3)
    store(sums, t + 4 * step, a4)
    store(sums, t + 5 * step, a5)
    store(sums, t + 6 * step, a6)


@kernel
def accumulate_all(
    scratch: Scratch,
    row: int,
    first: int,
    last: int,
    transposed: Floats,
    offset: int,
    sums: Floats,
    target: int,
    step: int,
    count: int,
) -> None:
    """Add ``sum_e w_lm,e B_k,e`` over the neighbors from ``first`` to ``last``, for one vector of functions.

    Parameters
    ----------
    row
        First of the rows of the scratch with ``w_lm``.
    transposed, offset
        Functions with one row of ``padded`` for each neighbor, the first at ``offset``.
    sums, target, step
        What is added to, where the vector of the first harmonic begins in it, and how far the next ones are.
    count
        Number of harmonics: 9, 16 or 25.
    """
    _accumulate(scratch, row, first, last, transposed, offset, sums, target, step)
    if count > 9:
        _accumulate_seven(scratch, row + 9, first, last, transposed, offset, sums, target + 9 * step, step)
    if count > 16:
        _accumulate(scratch, row + 16, first, last, transposed, offset, sums, target + 16 * step, step)


@kernel
def densities(atoms: tuple[int, int], shell: Shell, geometry: PairGeometry, sent: Floats, out: Floats) -> None:
    """``D_i,lm,ck = sum_j h_jc B_k(r_ij) Y_lm(u_ij)``.

    Parameters
    ----------
    atoms
        First atom and the one after the last; different atoms may be done by different threads at the same time.
    shell, geometry
        The edges.
    sent
        ``h``, (M, C).
    out
        Written, (L, N, C, all functions).
    """
    degrees, _, channels, _ = out.shape
    begin, until = atoms
    scratch = make_scratch(shell.start[begin : until + 1], channels, shell.functions, sent)
    values, columns, padded = scratch.values, scratch.columns, scratch.padded
    count = max(degrees, HARMONIC_COUNTS[0])
    sums = np.empty(count * padded, sent.dtype)
    transposed = (RECEIVED + channels + 2 * padded) * columns
    for i in range(begin, until):
        first, last = shell.start[i], shell.start[i + 1]
        end = prepare(scratch, first, last, shell, geometry, sent, count)
        transpose_rows(scratch, RECEIVED + channels, end, transposed)
        for c in range(channels):
            set_weights(values, columns, 0, end, RECEIVED + c, count)
            sums[:] = 0.0
            for k in range(0, padded, lanes_of(sent)):
                accumulate_all(scratch, WEIGHT, 0, last - first, values, transposed + k, sums, k, padded, count)
            for lm in range(degrees):
                for k in range(shell.functions):
                    out[lm, i, c, shell.offset + k] = sums[lm * padded + k]


@kernel
def densities_jvp(
    atoms: tuple[int, int], shell: Shell, geometry: PairGeometry, sent: Floats, displacements: Floats, out: Floats
) -> None:
    """Differentiate the densities along a change of the vectors of the half edges, ``displacements``, (E/2, 3).

    ``sum_j h_jc (B'_k dr Y_lm + B_k dY_lm)``; other parameters as for `densities`.
    """
    degrees, _, channels, _ = out.shape
    begin, until = atoms
    scratch = make_scratch(shell.start[begin : until + 1], channels, shell.functions, sent)
    values, columns, padded = scratch.values, scratch.columns, scratch.padded
    count = max(degrees, HARMONIC_COUNTS[0])
    sums = np.empty(count * padded, sent.dtype)
    row = RECEIVED + channels
    functions = (row + 2 * padded) * columns
    slopes = functions + columns * padded
    for i in range(begin, until):
        first, last = shell.start[i], shell.start[i + 1]
        end = prepare(scratch, first, last, shell, geometry, sent, count)
        transpose_rows(scratch, row, end, functions)
        transpose_rows(scratch, row + padded, end, slopes)
        set_displacements(scratch, first, last - first, shell.pair, displacements)
        for c in range(channels):
            sums[:] = 0.0
            set_weight_derivatives(values, columns, end, RECEIVED + c, count)
            for k in range(0, padded, lanes_of(sent)):
                accumulate_all(scratch, WEIGHT, 0, last - first, values, functions + k, sums, k, padded, count)
            for e in range(last - first):
                values[(RECEIVED + c) * columns + e] *= values[SOFT_SLOPE * columns + e]
            set_weights(values, columns, 0, end, RECEIVED + c, count)
            for k in range(0, padded, lanes_of(sent)):
                accumulate_all(scratch, WEIGHT, 0, last - first, values, slopes + k, sums, k, padded, count)
            for lm in range(degrees):
                for k in range(shell.functions):
                    out[lm, i, c, shell.offset + k] = sums[lm * padded + k]
