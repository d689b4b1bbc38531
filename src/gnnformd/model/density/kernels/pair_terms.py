"""Neighbors of a center within the cutoff, and the energies of pairs that no network gives."""

from __future__ import annotations

from gnnformd.model.density.kernels.neighbor_scratch import DISTANCE, PAIR_SLOPE, SOFT, SOFT_SLOPE, UNIT
from gnnformd.model.density.kernels.simd import borrowed_row, fill, lanes_of, load, read, store, write
from gnnformd.model.density.kernels.simd_functions import piecewise, root, smaller, total
from gnnformd.model.density.kernels.smoothing import smoothstep, smoothstep_slope, softened
from gnnformd.model.density.kernels.structures import (
    Doubles,
    Floats,
    Indices,
    Neighborhood,
    NeighborLists,
    PairParameters,
)
from gnnformd.numba_jit import kernel

__all__ = ["find_neighbors", "pair_energies", "parameters_of"]


@kernel
def parameters_of(pairs: PairParameters, s: int) -> PairParameters:
    """Parameters of the pairs of a center of species s."""
    charge, weight, contact = (
        borrowed_row(pairs.charge, s),
        borrowed_row(pairs.weight, s),
        borrowed_row(pairs.contact, s),
    )
    return PairParameters(charge, weight, contact, pairs.strength, pairs.cutoff, pairs.switch, pairs.step, pairs.smooth)


@kernel
def find_neighbors(
    hood: Neighborhood, positions: Doubles, lists: NeighborLists, pairs: PairParameters, nearest: Doubles
) -> float:
    """Fill a neighborhood with the neighbors within the cutoff; give the center's half of Coulomb and contact energies.

    Parameters
    ----------
    hood
        Its center is given; all else is written. The derivative of half the energy of each pair goes to `PAIR_SLOPE`.
    positions
        Of all atoms, angstrom, (M, 3).
    lists
        Candidates.
    pairs
        Of one species of center, see `parameters_of`.
    nearest
        Lowered to (distance over contact distance, i, j) if a pair is closer than what it holds.
    """
    values, columns, i = hood.values, hood.columns, hood.center
    width = lanes_of(values)
    e = 0
    energy = 0.0
    for g in range(len(hood.begin)):
        first = e
        last, closest = _within(
            hood, first, (lists.bounds[i, g], lists.bounds[i, g + 1]), lists.neighbor, positions, pairs.cutoff
        )
        hood.begin[g], hood.end[g] = first, last
        e = (last + width - 1) // width * width
        for column in range(last, e):
            values[DISTANCE * columns + column] = pairs.cutoff * pairs.cutoff
            for row in range(UNIT, UNIT + 3):
                values[row * columns + column] = 0.0
        for column in range(first, e, width):
            energy += _coulomb(values, columns, column, 0.5 * pairs.charge[g], pairs.weight[g], pairs)
        contact = pairs.contact[g]
        if closest < contact * contact:
            for column in range(first, last):
                r = values[DISTANCE * columns + column]
                if r < contact:
                    if r / contact < nearest[0]:
                        nearest[0], nearest[1], nearest[2] = r / contact, i, hood.atom[column]
                    soft, soft_slope, change, slope = _in_contact(
                        float(r), pairs.charge[g], pairs.weight[g], contact, pairs.strength
                    )
                    values[SOFT * columns + column], values[SOFT_SLOPE * columns + column] = soft, soft_slope
                    values[PAIR_SLOPE * columns + column] += 0.5 * slope
                    energy += 0.5 * change
    return energy


@kernel
def _within(
    hood: Neighborhood,
    e: int,
    candidates: tuple[int, int],
    neighbor: Indices,
    positions: Doubles,
    cutoff: float,
) -> tuple[int, float]:
    """Collect the neighbors within the cutoff from column ``e`` on: vectors and squares of distances.

    Returns the column after the last, and the smallest square. What is beyond the cutoff is written over, so that
    nothing depends on a branch that the processor would have to predict.
    """
    values, columns, atom = hood.values, hood.columns, hood.atom
    at = 3 * hood.center
    x, y, z = read(positions, at), read(positions, at + 1), read(positions, at + 2)
    limit = cutoff * cutoff
    closest = limit
    unit = UNIT * columns
    for k in range(candidates[0], candidates[1]):
        j = read(neighbor, k)
        at = 3 * j
        dx, dy, dz = read(positions, at) - x, read(positions, at + 1) - y, read(positions, at + 2) - z
        square = dx * dx + dy * dy + dz * dz
        write(values, unit + e, dx)
        write(values, unit + columns + e, dy)
        write(values, unit + 2 * columns + e, dz)
        write(values, DISTANCE * columns + e, square)
        write(atom, e, j)
        closest = min(closest, square)
        e += square < limit
    return e, closest


@kernel
def _coulomb(values: Floats, columns: int, e: int, charge: float, weight: float, pairs: PairParameters) -> float:
    """Distances and unit vectors of the neighbors from ``e`` on, and their Coulomb energy; slopes go to PAIR_SLOPE."""
    cutoff, switch, step = pairs.cutoff, pairs.switch, pairs.step
    r = root(load(values, DISTANCE * columns + e))
    inverse = 1.0 / r
    unit = UNIT * columns + e
    store(values, DISTANCE * columns + e, r)
    store(values, SOFT * columns + e, r)
    store(values, SOFT_SLOPE * columns + e, fill(values, 1.0))
    store(values, unit, load(values, unit) * inverse)
    store(values, unit + columns, load(values, unit + columns) * inverse)
    store(values, unit + 2 * columns, load(values, unit + 2 * columns) * inverse)
    if charge == 0.0:
        store(values, PAIR_SLOPE * columns + e, fill(values, 0.0))
        return 0.0
    smooth, smooth_slope = piecewise(pairs.smooth, r * (1.0 / step))  # erf(a r)/r
    t = smaller((1.0 - r * (1.0 / cutoff)) * (1.0 / (1.0 - switch)), 1.0)
    fade = smoothstep(t)
    missing = weight * inverse - smooth
    slope = fade * (0.0 - weight * inverse * inverse - smooth_slope * (1.0 / step))
    slope = slope - missing * smoothstep_slope(t) * (1.0 / (cutoff * (1.0 - switch)))
    store(values, PAIR_SLOPE * columns + e, charge * slope)
    return charge * total(missing * fade)


@kernel
def _in_contact(
    r: float, charge: float, weight: float, contact: float, strength: float
) -> tuple[float, float, float, float]:
    """Correct the energy of a pair that is closer than its contact distance.

    Returns the softened distance and its derivative, and the change of the pair's energy and of its slope.
    """
    soft, soft_slope = softened(r, contact)
    x = r / contact
    inside = 1.0 - x
    energy = strength * inside**3 / (x * x) + charge * weight * (1.0 / soft - 1.0 / r)
    slope = -strength * inside * inside * (3.0 / (x * x) + 2.0 * inside / (x * x * x)) / contact
    slope -= charge * weight * (soft_slope / (soft * soft) - 1.0 / (r * r))
    return soft, soft_slope, energy, slope


@kernel
def pair_energies(hood: Neighborhood, index: Indices, tables: Floats, step: float) -> float:
    """Sum of the fitted pair potentials of a center; their derivatives are added to PAIR_SLOPE.

    Parameters
    ----------
    index
        Table of each group, (G,).
    tables, step
        See `PairTables` and `PairParameters`.
    """
    values, columns = hood.values, hood.columns
    width = lanes_of(values)
    per_angstrom = 1.0 / step
    energy = 0.0
    for g in range(len(hood.begin)):
        first, last = hood.begin[g], hood.end[g]
        if index[g] == 0 or last == first:
            continue
        table = tables[index[g]]
        sum_of_group = fill(values, 0.0)
        for e in range(first, last, width):
            value, slope = piecewise(table, load(values, SOFT * columns + e) * per_angstrom)
            change = slope * per_angstrom * load(values, SOFT_SLOPE * columns + e)
            store(values, PAIR_SLOPE * columns + e, load(values, PAIR_SLOPE * columns + e) + change)
            sum_of_group = sum_of_group + value
        energy += total(sum_of_group)
    return energy
