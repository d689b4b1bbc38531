"""Compiled loops over neighbors: those within the cutoff, and the energies of pairs that have no parameters."""

from __future__ import annotations

from typing import Any

from gnnformd.model.density.kernels.neighbor_scratch import DISTANCE, PAIR, SOFT, SOFTENING, UNIT, compiled
from gnnformd.model.density.kernels.simd import fill, lanes_of, load, store
from gnnformd.model.density.kernels.simd_functions import piecewise, root, smaller, total

__all__ = ["gather", "softened"]

INNER = 0.8  # as in gnnformd.model.density.radial


@compiled
def softened(r: float, contact: float) -> tuple[float, float]:
    """See `gnnformd.model.density.radial.softened`; here for r below the contact distance."""
    t = max((r / contact - INNER) / (1.0 - INNER), 0.0)
    slope = t * t * t * (10.0 + t * (6.0 * t - 15.0))
    climbed = t**4 * (2.5 + t * (t - 3.0))
    return contact * (INNER + 0.5 * (1.0 - INNER) + (1.0 - INNER) * climbed), slope


@compiled
def _in_contact(r: float, charge: float, weight: float, contact: float, strength: float) -> Any:
    """Say what a pair has beside its Coulomb energy when it is closer than ever in the data.

    Returns the softened distance and its slope, and the change of the pair's energy and of its slope.
    """
    soft, softening = softened(r, contact)
    x = r / contact
    inside = 1.0 - x
    energy = strength * inside**3 / (x * x) + charge * weight * (1.0 / soft - 1.0 / r)
    slope = -strength * inside * inside * (3.0 / (x * x) + 2.0 * inside / (x * x * x)) / contact
    slope -= charge * weight * (softening / (soft * soft) - 1.0 / (r * r))
    return soft, softening, energy, slope


@compiled
def _within(
    scratch: Any,
    columns: int,
    e: int,
    neighbor: Any,
    begin: int,
    end: int,
    x: Any,
    positions: Any,
    cutoff: float,
    partners: Any,
) -> tuple[int, float]:
    """Collect the neighbors within the cutoff from column ``e`` on: vectors and squares of distances.

    Returns the column after the last, and the smallest square. What is beyond the cutoff is written over, so that
    nothing depends on a guess of the processor.
    """
    limit = cutoff * cutoff
    closest = limit
    place = UNIT * columns
    for k in range(begin, end):
        j = neighbor[k]
        dx, dy, dz = positions[j, 0] - x[0], positions[j, 1] - x[1], positions[j, 2] - x[2]
        square = dx * dx + dy * dy + dz * dz
        scratch[place + e] = dx
        scratch[place + columns + e] = dy
        scratch[place + 2 * columns + e] = dz
        scratch[DISTANCE * columns + e] = square
        partners[e] = j
        closest = min(closest, square)
        e += square < limit
    return e, closest


@compiled
def gather(
    scratch: Any,
    columns: int,
    ends: Any,
    partners: Any,
    i: int,
    positions: Any,
    lists: Any,
    constants: Any,
    pairs: Any,
    nearest: Any,
) -> float:
    """Fill the scratch with the neighbors of atom i within the cutoff, slot by slot; give its share of pair energies.

    ``ends[s]`` becomes the first column of slot s, ``ends[S + s]`` the one after its last neighbor. ``nearest`` is
    lowered to (distance over contact distance, i, j) if a pair is closer than what it holds.
    """
    bounds, neighbor = lists
    charges, weights, contacts = constants
    strength, cutoff = pairs[0], pairs[1]
    width = lanes_of(scratch)
    slots = len(ends) // 2
    x = (positions[i, 0], positions[i, 1], positions[i, 2])
    e = 0
    shared = 0.0
    for s in range(slots):
        first = e
        e, closest = _within(
            scratch, columns, e, neighbor, bounds[i, s], bounds[i, s + 1], x, positions, cutoff, partners
        )
        ends[s], ends[slots + s] = first, e
        last = e
        e = (last + width - 1) // width * width
        for place in range(last, e):
            scratch[DISTANCE * columns + place] = cutoff * cutoff
            for row in range(UNIT, UNIT + 3):
                scratch[row * columns + place] = 0.0
        for place in range(first, e, width):
            shared += _measure(scratch, columns, place, 0.5 * charges[s], weights[s], pairs)
        if closest < contacts[s] * contacts[s]:
            for place in range(first, last):
                r = scratch[DISTANCE * columns + place]
                if r < contacts[s]:
                    if r / contacts[s] < nearest[0]:
                        nearest[0], nearest[1], nearest[2] = r / contacts[s], i, partners[place]
                    found = _in_contact(r, charges[s], weights[s], contacts[s], strength)
                    scratch[SOFT * columns + place], scratch[SOFTENING * columns + place] = found[0], found[1]
                    scratch[PAIR * columns + place] += 0.5 * found[3]
                    shared += 0.5 * found[2]
    return shared


@compiled
def _measure(scratch: Any, columns: int, e: int, charge: float, weight: float, pairs: Any) -> float:
    """Distances and unit vectors of the neighbors from ``e`` on, and their Coulomb energy: sum, and slopes to PAIR."""
    _, cutoff, switch, step, table = pairs
    r = root(load(scratch, DISTANCE * columns + e))
    over = 1.0 / r
    place = UNIT * columns + e
    store(scratch, DISTANCE * columns + e, r)
    store(scratch, SOFT * columns + e, r)
    store(scratch, SOFTENING * columns + e, fill(scratch, 1.0))
    store(scratch, place, load(scratch, place) * over)
    store(scratch, place + columns, load(scratch, place + columns) * over)
    store(scratch, place + 2 * columns, load(scratch, place + 2 * columns) * over)
    if charge == 0.0:
        store(scratch, PAIR * columns + e, fill(scratch, 0.0))
        return 0.0
    smooth, falling = piecewise(table, r * (1.0 / step))  # erf(a r)/r
    x = smaller((1.0 - r * (1.0 / cutoff)) * (1.0 / (1.0 - switch)), 1.0)
    fade = x * x * x * (10.0 + x * (6.0 * x - 15.0))
    turn = x * (1.0 - x)
    missing = weight * over - smooth
    change = fade * (0.0 - weight * over * over - falling * (1.0 / step))
    change = change - missing * (turn * turn) * (30.0 / (cutoff * (1.0 - switch)))
    store(scratch, PAIR * columns + e, charge * change)
    return charge * total(missing * fade)
