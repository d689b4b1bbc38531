"""Energies, forces and virial of a one-layer density model in one pass over the atoms.

Atoms are taken in blocks whose densities, weights and neighbors stay in the second cache: densities of a block, the
network and its gradient, then the gradient of each neighbor. Neighbors of a center are sorted into slots (see
`gnnformd.model.compiled.Slots`), which have radial functions of their own; what depends on the kind of center is part
of the weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnformd.model.kernels.angles import bend
from gnnformd.model.kernels.close_pairs import gather
from gnnformd.model.kernels.forward import add_up
from gnnformd.model.kernels.network import ATOMS, energies_of_block
from gnnformd.model.kernels.places import (
    DISTANCE,
    HARMONIC,
    HARMONICS,
    PAIR,
    RECEIVED,
    ROOT3,
    SOFT,
    SOFTENING,
    UNIT,
    WEIGHT,
    compiled,
    functions,
    harmonics,
)
from gnnformd.model.kernels.simd import fill, lanes_of, load, store, transpose
from gnnformd.model.kernels.simd_functions import piecewise, total

__all__ = ["evaluate"]


@compiled
def _pair_energies(scratch: Any, columns: int, ends: Any, which: Any, tables: Any, places: float) -> float:
    """Sum of the pair potentials of all neighbors; their slopes are added to PAIR. A table has ``places`` to 1 A."""
    width = lanes_of(scratch)
    slots = len(ends) // 2
    energy = 0.0
    for s in range(slots):
        first, last = ends[s], ends[slots + s]
        if which[s] == 0 or last == first:
            continue
        table = tables[which[s]]
        sum_of_slot = fill(scratch, 0.0)
        for e in range(first, last, width):
            value, slope = piecewise(table, load(scratch, SOFT * columns + e) * places)
            change = slope * places * load(scratch, SOFTENING * columns + e)
            store(scratch, PAIR * columns + e, load(scratch, PAIR * columns + e) + change)
            sum_of_slot = sum_of_slot + value
        energy += total(sum_of_slot)
    return energy


@compiled
def _densities(scratch: Any, columns: int, ends: Any, turned: Any, sums: Any, a: int, out: Any, layout: Any) -> None:
    """Radial functions and harmonics of all neighbors, and the densities (9, ATOMS, inner) of atom a of the block."""
    counts, offsets, padded, inner, cutoff, degrees = layout
    width = lanes_of(scratch)
    slots = len(ends) // 2
    for s in range(slots):
        first, last = ends[s], ends[slots + s]
        end = (last + width - 1) // width * width
        for e in range(first, end, width):
            functions(scratch, columns, RECEIVED, padded, e, cutoff, counts[s])
        if degrees == 0:
            for k in range(counts[s]):
                sum_of_row = fill(scratch, 0.0)
                for e in range(first, end, width):
                    sum_of_row = sum_of_row + load(scratch, (RECEIVED + k) * columns + e)
                out[a * inner + offsets[s] + k] = total(sum_of_row)
            continue
        for e in range(first, end, width):
            harmonics(scratch, columns, e)
        sums[:] = 0.0
        for k in range(0, padded, width):
            for e in range(first, end, width):
                transpose(scratch, (RECEIVED + k) * columns + e, columns, turned, e * padded + k, padded)
            add_up(scratch, columns, HARMONIC, first, last, turned, k, padded, sums[k:])
        for lm in range(HARMONICS):
            for k in range(counts[s]):
                out[(lm * ATOMS + a) * inner + offsets[s] + k] = sums[lm * padded + k]


@compiled
def _radial_gradient(scratch: Any, columns: int, padded: int, e: int, count: int, g: int, pulls: Any) -> Any:
    """Gradient in the vectors to the neighbors from ``e`` on where all densities are of degree zero."""
    radial = load(scratch, PAIR * columns + e)
    place = (RECEIVED + padded) * columns + e
    for k in range(g, g + count):
        radial = radial + load(scratch, place) * pulls[k]
        place += columns
    place = UNIT * columns + e
    x, y, z = load(scratch, place), load(scratch, place + columns), load(scratch, place + 2 * columns)
    return radial * x, radial * y, radial * z


@compiled
def _slot_gradient(scratch: Any, columns: int, padded: int, e: int, count: int, g: int, step: int, pulls: Any) -> Any:
    """Gradient in the vectors to the neighbors from ``e`` on, from that in the densities, ``pulls`` (9, atoms, inner).

    With ``G_lm = sum_k g B`` the gradient in the unit vector is ``sum_lm G_lm grad Y_lm``; it counts across the vector.
    """
    place = UNIT * columns + e
    x, y, z = load(scratch, place), load(scratch, place + columns), load(scratch, place + 2 * columns)
    place = (HARMONIC + 4) * columns + e
    y4, y5, y6 = load(scratch, place), load(scratch, place + columns), load(scratch, place + 2 * columns)
    y7, y8 = load(scratch, place + 3 * columns), load(scratch, place + 4 * columns)
    along = load(scratch, PAIR * columns + e)
    q1 = q2 = q3 = q4 = q5 = q6 = q7 = q8 = fill(scratch, 0.0)
    place = RECEIVED * columns + e
    for k in range(g, g + count):
        b, slope = load(scratch, place), load(scratch, place + padded * columns)
        g1, g2, g3, g4 = pulls[k + step], pulls[k + 2 * step], pulls[k + 3 * step], pulls[k + 4 * step]
        g5, g6, g7, g8 = pulls[k + 5 * step], pulls[k + 6 * step], pulls[k + 7 * step], pulls[k + 8 * step]
        along = along + slope * (
            pulls[k] + (x * g1 + y * g2 + z * g3) + (y4 * g4 + y5 * g5) + (y6 * g6 + y7 * g7 + y8 * g8)
        )
        q1 = q1 + b * g1
        q2 = q2 + b * g2
        q3 = q3 + b * g3
        q4 = q4 + b * g4
        q5 = q5 + b * g5
        q6 = q6 + b * g6
        q7 = q7 + b * g7
        q8 = q8 + b * g8
        place += columns
    over = 1.0 / load(scratch, DISTANCE * columns + e)
    across_x = over * (q1 + ROOT3 * (y * q4 + z * q6 + x * q7))
    across_y = over * (q2 + ROOT3 * (x * q4 + z * q5 - y * q7))
    across_z = over * (q3 + ROOT3 * (y * q5 + x * q6) + 3.0 * z * q8)
    radial = along - (across_x * x + across_y * y + across_z * z)
    return across_x + radial * x, across_y + radial * y, across_z + radial * z


@compiled
def _pull(
    scratch: Any,
    columns: int,
    ends: Any,
    partners: Any,
    i: int,
    a: int,
    pulls: Any,
    layout: Any,
    forces: Any,
    virial: Any,
) -> None:
    """Add the gradients of all neighbors of atom i to the forces on both ends and to the virial."""
    counts, offsets, padded, inner, _, degrees = layout
    width = lanes_of(scratch)
    slots = len(ends) // 2
    xx = yy = zz = xy = xz = yz = fill(scratch, 0.0)
    own_x, own_y, own_z = 0.0, 0.0, 0.0
    for s in range(slots):
        first, last = ends[s], ends[slots + s]
        for e in range(first, last, width):
            g = a * inner + offsets[s]
            if degrees == 0:
                gx, gy, gz = _radial_gradient(scratch, columns, padded, e, counts[s], g, pulls)
            else:
                gx, gy, gz = _slot_gradient(scratch, columns, padded, e, counts[s], g, ATOMS * inner, pulls)
            r = load(scratch, DISTANCE * columns + e)
            place = UNIT * columns + e
            x, y, z = (
                r * load(scratch, place),
                r * load(scratch, place + columns),
                r * load(scratch, place + 2 * columns),
            )
            xx, yy, zz = xx - x * gx, yy - y * gy, zz - z * gz
            xy, xz, yz = xy - x * gy, xz - x * gz, yz - y * gz
            place = WEIGHT * columns + e
            store(scratch, place, gx)
            store(scratch, place + columns, gy)
            store(scratch, place + 2 * columns, gz)
        for e in range(first, last):
            j = partners[e]
            gx, gy, gz = (
                scratch[WEIGHT * columns + e],
                scratch[(WEIGHT + 1) * columns + e],
                scratch[(WEIGHT + 2) * columns + e],
            )
            own_x += gx
            own_y += gy
            own_z += gz
            forces[j, 0] -= gx
            forces[j, 1] -= gy
            forces[j, 2] -= gz
    forces[i, 0] += own_x
    forces[i, 1] += own_y
    forces[i, 2] += own_z
    for row in ((0, xx), (1, yy), (2, zz), (3, xy), (4, xz), (5, yz)):
        virial[row[0]] += total(row[1])


@compiled
def evaluate(
    blocks: Any,
    positions: Any,
    lists: Any,
    constants: Any,
    pairs: Any,
    potentials: Any,
    layout: Any,
    mixing: Any,
    weights: Any,
    results: Any,
) -> None:
    """Energies of centers, forces on all atoms, and the virial.

    Parameters
    ----------
    blocks
        ``(order, start, kind)``: centers ``order[start[b] : start[b + 1]]``, at most `ATOMS`, are of kind ``kind[b]``;
        the last entry is the range of blocks to do, ``(first, last)``.
    positions
        Of centers and all their neighbors, angstrom, (M, 3), float64.
    lists
        ``(bounds, neighbor)``: slot s of center i has neighbors ``neighbor[bounds[i, s] : bounds[i, s + 1]]``; those
        beyond the cutoff are passed over.
    constants
        ``(charge, weight, contact)`` of the slots of each kind of center, (kinds, slots).
    pairs
        ``(strength, cutoff, switch, step, table)`` of the pair energies.
    potentials
        ``(which, tables)`` of the pair potentials, see `gnnformd.model.compiled_weights.pair_tables`.
    layout
        ``(counts, offsets, padded, inner, cutoff, degrees)``: radial functions of each slot, where they stand among
        ``inner``, and the highest degree of the harmonics.
    mixing
        Weights from densities to mixed densities, and the transposed ones.
    weights
        Of the network.
    results
        ``(energies, forces, virial, nearest)``: the first is written, to the next two is added, the last is what
        `gnnformd.model.kernels.close_pairs.gather` finds; (M,), (M, 3), (6,), (3,) float64.
    """
    order, block_start, kinds, todo = blocks
    energies, forces, virial, nearest = results
    there, _ = mixing
    which, tables = potentials
    _, _, padded, inner, _, degrees = layout
    like = there[1]
    width = lanes_of(like)
    features = there[0].shape[1]
    angles = weights[9]
    atom_kinds = len(angles)
    bounds = lists[0]
    slots = bounds.shape[1] - 1
    most = 1
    for i in range(bounds.shape[0]):
        most = max(most, bounds[i, slots] - bounds[i, 0])
    columns = (most + width - 1) // width * width + slots * width
    rows = RECEIVED + 2 * padded
    scratch = np.empty((ATOMS, rows * columns), like.dtype)
    turned = np.empty(columns * padded, like.dtype)
    sums = np.empty(HARMONICS * padded, like.dtype)
    ends = np.zeros((ATOMS, 2 * slots), np.int64)
    partners = np.zeros((ATOMS, columns), np.int64)
    dens = np.zeros(HARMONICS * ATOMS * inner, like.dtype)
    rows_of_features = np.zeros((20, ATOMS * features), like.dtype)
    room = np.zeros(4 * ATOMS * len(weights[7]), like.dtype)
    own = np.zeros(ATOMS)
    for block in range(todo[0], todo[1]):
        s = kinds[block]
        begin = block_start[block]
        count = block_start[block + 1] - begin
        slot_constants = (constants[0][s], constants[1][s], constants[2][s])
        own_layout = (layout[0][s], layout[1][s], padded, inner, layout[4], degrees)
        dens[:] = 0.0
        for a in range(count):
            i = order[begin + a]
            energies[i] = gather(
                scratch[a], columns, ends[a], partners[a], i, positions, lists, slot_constants, pairs, nearest
            )
            energies[i] += _pair_energies(scratch[a], columns, ends[a], which[s], tables, 1.0 / pairs[3])
            _densities(scratch[a], columns, ends[a], turned, sums, a, dens, own_layout)
        energies_of_block(dens, inner, degrees, s, mixing, weights, rows_of_features, room, own)
        for a in range(count):
            i = order[begin + a]
            energies[i] += own[a] + weights[8][s]
            energies[i] += bend(
                scratch[a], columns, ends[a], partners[a], i, atom_kinds, atom_kinds, angles[s], forces, virial
            )
            _pull(scratch[a], columns, ends[a], partners[a], i, a, dens, own_layout, forces, virial)
