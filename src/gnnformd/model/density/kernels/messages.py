"""Sums over the neighbors of an atom, sorted into slots, and their gradient, where each sends numbers of its own.

In the scratch the received numbers stand in rows from ``RECEIVED`` on, the functions in those behind them.
"""

from __future__ import annotations

from typing import Any

from gnnformd.model.density.kernels.atom_network import ATOMS
from gnnformd.model.density.kernels.density_gradients import add_pull, pull_neighbors
from gnnformd.model.density.kernels.density_sums import add_up
from gnnformd.model.density.kernels.neighbor_scratch import (
    DISTANCE,
    HARMONICS,
    RECEIVED,
    UNIT,
    WEIGHT,
    compiled,
    functions,
    harmonics,
    set_weights,
)
from gnnformd.model.density.kernels.simd import lanes_of, load, store, transpose

__all__ = ["densities_of_messages", "pull_messages"]


@compiled
def _receive(
    scratch: Any, columns: int, first: int, last: int, partners: Any, sent: Any, channels: int, padded: int, layout: Any
) -> int:
    """Numbers received from the neighbors from ``first`` to ``last``, their functions and harmonics.

    Returns the end of the last whole vector; places that fill it up receive zeros.
    """
    count, cutoff = layout
    source, numbers = sent
    width = lanes_of(scratch)
    end = first + (last - first + width - 1) // width * width
    for e in range(first, last):
        j = source[partners[e]]
        for c in range(channels):
            scratch[(RECEIVED + c) * columns + e] = numbers[j, c]
    for c in range(channels):
        for e in range(last, end):
            scratch[(RECEIVED + c) * columns + e] = 0.0
    for e in range(first, end, width):
        functions(scratch, columns, RECEIVED + channels, padded, e, cutoff, count)
        harmonics(scratch, columns, e)
    return end


@compiled
def densities_of_messages(
    scratch: Any, columns: int, ends: Any, partners: Any, sent: Any, room: Any, a: int, out: Any, layout: Any
) -> None:
    """Add the densities of atom a of the block, ``sum_j h_jc B_k Y_lm``, to ``out`` (9, ATOMS, inner) and padded more.

    Parameters
    ----------
    scratch, columns, ends, partners
        Neighbors, as `gnnformd.model.density.kernels.pair_terms.gather` leaves them.
    sent
        ``(source, numbers)``: neighbor j sends the first numbers of row ``source[j]``.
    room
        ``(turned, sums)``, for functions, with one row for each neighbor, and sums (9, padded).
    layout
        ``(counts, offsets, padded, inner, cutoff, degrees, channels, all)``: a slot has ``counts`` functions, the first
        is number ``offsets`` of ``all``; function k of channel c stands at ``c all + k``.
    """
    counts, offsets, padded, inner, cutoff, degrees, channels, functions_of_all = layout
    turned, sums = room
    width = lanes_of(scratch)
    slots = len(ends) // 2
    row = RECEIVED + channels
    for s in range(slots):
        first, last = ends[s], ends[slots + s]
        if first == last:
            continue
        end = _receive(scratch, columns, first, last, partners, sent, channels, padded, (counts[s], cutoff))
        for k in range(0, padded, width):
            for e in range(first, end, width):
                transpose(scratch, (row + k) * columns + e, columns, turned, e * padded + k, padded)
        for c in range(channels):
            set_weights(scratch, columns, first, end, RECEIVED + c)
            sums[:] = 0.0
            for k in range(0, padded, width):
                add_up(scratch, columns, WEIGHT, first, last, turned, k, padded, sums[k:])
            place = a * inner + c * functions_of_all + offsets[s]
            for lm in range((degrees + 1) * (degrees + 1)):
                for k in range(0, padded, width):  # behind the functions of the slot are zeros
                    there = lm * ATOMS * inner + place + k
                    store(out, there, load(out, there) + load(sums, lm * padded + k))


@compiled
def _take(
    pulls: Any, padded: int, dens: Any, place: int, inner: int, degrees: int, channels: int, functions_of_all: int
) -> None:
    """Copy the gradient in the densities of an atom and a slot to ``pulls`` (C, 9, padded), and what stands behind."""
    for c in range(channels):
        for lm in range((degrees + 1) * (degrees + 1)):
            source = lm * ATOMS * inner + place + c * functions_of_all
            for k in range(0, padded, lanes_of(pulls)):
                store(pulls, (c * HARMONICS + lm) * padded + k, load(dens, source + k))


@compiled
def pull_messages(
    scratch: Any,
    columns: int,
    ends: Any,
    partners: Any,
    sent: Any,
    pulls: Any,
    i: int,
    a: int,
    dens: Any,
    layout: Any,
    results: Any,
) -> None:
    """Add the gradients of all neighbors of atom i: to forces, virial, and in what they sent.

    Parameters
    ----------
    scratch, columns, ends, partners, sent, layout
        As for `densities_of_messages`.
    pulls
        Room, (C, 9, padded), zero where the model has no degrees.
    dens
        Gradient in the densities of the block, (9, ATOMS, inner) and padded more.
    results
        ``(forces, virial, on_sent)``, (M, 3), (6,) in the order xx, yy, zz, xy, xz, yz, and as ``numbers``.
    """
    counts, offsets, padded, inner, cutoff, degrees, channels, functions_of_all = layout
    forces, virial, on_sent = results
    source = sent[0]
    slots = len(ends) // 2
    for s in range(slots):
        first, last = ends[s], ends[slots + s]
        if first == last:
            continue
        end = _receive(scratch, columns, first, last, partners, sent, channels, padded, (counts[s], cutoff))
        _take(pulls, padded, dens, a * inner + offsets[s], inner, degrees, channels, functions_of_all)
        for e in range(first, end, lanes_of(scratch)):
            pull_neighbors(scratch, columns, padded, e, pulls, channels, counts[s])
        for e in range(first, last):
            j, g, u = partners[e], WEIGHT * columns + e, UNIT * columns + e
            pull = float(scratch[g]), float(scratch[g + columns]), float(scratch[g + 2 * columns])
            unit = scratch[u], scratch[u + columns], scratch[u + 2 * columns]
            add_pull(i, j, float(scratch[DISTANCE * columns + e]), unit, pull, forces, virial)
            for c in range(channels):
                on_sent[source[j], c] += scratch[(RECEIVED + c) * columns + e]
