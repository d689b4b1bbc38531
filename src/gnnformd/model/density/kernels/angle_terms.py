"""Potentials of the angles between the bonds of an atom."""

from __future__ import annotations

from gnnformd.model.density.kernels.density_gradients import add_pair_gradient
from gnnformd.model.density.kernels.neighbor_scratch import DISTANCE, UNIT
from gnnformd.model.density.kernels.structures import Doubles, Forces, Neighborhood, Number
from gnnformd.numba_jit import kernel

__all__ = ["angle_energies"]

Direction = tuple[Number, Number, Number]


@kernel
def angle_energies(hood: Neighborhood, coefficients: Doubles, sums: Forces) -> float:
    """Energy of all angles at a center, ``sum_n c_n cos^n``; its gradient is added to forces and virial.

    Parameters
    ----------
    hood
        Neighbors of the center; groups S to 2 S are those of bonded neighbors.
    coefficients
        For each two species of ends and each power, kcal/mol, (S, S, POWERS).
    """
    species = len(coefficients)
    energy = 0.0
    for s in range(species):
        for a in range(hood.begin[species + s], hood.end[species + s]):
            for t in range(s, species):
                begin = a + 1 if s == t else hood.begin[species + t]
                for b in range(begin, hood.end[species + t]):
                    energy += _one_angle(hood, a, b, coefficients[s, t], sums)
    return energy


@kernel
def _one_angle(hood: Neighborhood, a: int, b: int, coefficients: Doubles, sums: Forces) -> float:
    """Energy of the angle between the neighbors in columns a and b."""
    values, columns = hood.values, hood.columns
    unit = UNIT * columns
    u = (values[unit + a], values[unit + columns + a], values[unit + 2 * columns + a])
    v = (values[unit + b], values[unit + columns + b], values[unit + 2 * columns + b])
    cosine = float(u[0]) * v[0] + float(u[1]) * v[1] + float(u[2]) * v[2]
    energy, slope, power = 0.0, 0.0, 1.0
    for n in range(len(coefficients)):
        slope += (n + 1) * coefficients[n] * power
        power *= cosine
        energy += coefficients[n] * power
    _add_end(u, v, cosine, slope, values[DISTANCE * columns + a], (hood.center, hood.atom[a]), sums)
    _add_end(v, u, cosine, slope, values[DISTANCE * columns + b], (hood.center, hood.atom[b]), sums)
    return energy


@kernel
def _add_end(
    this: Direction, other: Direction, cosine: Number, slope: Number, r: Number, pair: tuple[int, int], sums: Forces
) -> None:
    """Add the gradient ``slope (other - cosine this)/r`` in the vector to the end of one bond, of length r."""
    scale = slope / r
    x, y = scale * (other[0] - cosine * this[0]), scale * (other[1] - cosine * this[1])
    z = scale * (other[2] - cosine * this[2])
    add_pair_gradient(pair[0], pair[1], r, this, (x, y, z), sums)
