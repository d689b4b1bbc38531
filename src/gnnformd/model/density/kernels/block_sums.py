"""Sums over the neighbors of an atom, sorted into slots, and their gradient, where all of a slot send the same.

Functions stand in the scratch from row ``RECEIVED`` on, see `gnnformd.model.density.kernels.neighbor_scratch`.
"""

from __future__ import annotations

from typing import Any

from gnnformd.model.density.kernels.atom_network import ATOMS
from gnnformd.model.density.kernels.density_gradients import in_vector
from gnnformd.model.density.kernels.density_sums import add_up
from gnnformd.model.density.kernels.neighbor_scratch import (
    DISTANCE,
    HARMONIC,
    HARMONICS,
    PAIR,
    RECEIVED,
    SOFT,
    SOFTENING,
    UNIT,
    WEIGHT,
    compiled,
    functions,
    harmonics,
)
from gnnformd.model.density.kernels.simd import fill, lanes_of, load, store, transpose
from gnnformd.model.density.kernels.simd_functions import piecewise, total

__all__ = ["densities_of_slots", "functions_of_slots", "pair_energies", "pull_slots"]


@compiled
def pair_energies(scratch: Any, columns: int, ends: Any, which: Any, tables: Any, places: float) -> float:
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
def functions_of_slots(scratch: Any, columns: int, ends: Any, layout: Any) -> None:
    """Radial functions and harmonics of all neighbors; no harmonics where the highest degree is zero."""
    counts, _, padded, _, cutoff, degrees = layout
    width = lanes_of(scratch)
    slots = len(ends) // 2
    for s in range(slots):
        for e in range(ends[s], ends[slots + s], width):
            functions(scratch, columns, RECEIVED, padded, e, cutoff, counts[s])
            if degrees > 0:
                harmonics(scratch, columns, e)


@compiled
def densities_of_slots(
    scratch: Any, columns: int, ends: Any, turned: Any, sums: Any, a: int, out: Any, layout: Any
) -> None:
    """Densities (9, ATOMS, inner) of atom a of the block; what `functions_of_slots` says is left in the scratch."""
    counts, offsets, padded, inner, _, degrees = layout
    functions_of_slots(scratch, columns, ends, layout)
    width = lanes_of(scratch)
    slots = len(ends) // 2
    for s in range(slots):
        first, last = ends[s], ends[slots + s]
        end = (last + width - 1) // width * width
        if degrees == 0:
            for k in range(counts[s]):
                sum_of_row = fill(scratch, 0.0)
                for e in range(first, end, width):
                    sum_of_row = sum_of_row + load(scratch, (RECEIVED + k) * columns + e)
                out[a * inner + offsets[s] + k] = total(sum_of_row)
            continue
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
    return in_vector(over, (x, y, z), along, (q1, q2, q3, q4, q5, q6, q7, q8))


@compiled
def pull_slots(
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
