"""Potentials of the angles between the bonds of an atom."""

from __future__ import annotations

from typing import Any

from gnnformd.model.density.kernels.density_gradients import add_pull
from gnnformd.model.density.kernels.neighbor_scratch import DISTANCE, UNIT, compiled

__all__ = ["bend"]


@compiled
def bend(
    scratch: Any,
    columns: int,
    ends: Any,
    partners: Any,
    i: int,
    first: int,
    kinds: int,
    coefficients: Any,
    forces: Any,
    virial: Any,
) -> float:
    """Energy of all angles at atom i, ``sum_n c_n cos^n``; its gradient is added to forces and virial.

    Parameters
    ----------
    scratch, columns, ends, partners
        Neighbors of the atom, as `gnnformd.model.density.kernels.pair_terms.gather` leaves them.
    first
        Slot of bonded neighbors of the first kind of atom; those of the others follow.
    coefficients
        For each two kinds of ends and each power, kcal/mol, (kinds, kinds, POWERS).
    forces, virial
        (M, 3), and (6,) in the order xx, yy, zz, xy, xz, yz.
    """
    slots = len(ends) // 2
    energy = 0.0
    for s in range(kinds):
        for a in range(ends[first + s], ends[slots + first + s]):
            for t in range(s, kinds):
                begin = a + 1 if s == t else ends[first + t]
                for b in range(begin, ends[slots + first + t]):
                    energy += _bend_one(scratch, columns, a, b, partners, i, coefficients[s, t], forces, virial)
    return energy


@compiled
def _bend_one(
    scratch: Any, columns: int, a: int, b: int, partners: Any, i: int, c: Any, forces: Any, virial: Any
) -> float:
    place = UNIT * columns
    u = (scratch[place + a], scratch[place + columns + a], scratch[place + 2 * columns + a])
    v = (scratch[place + b], scratch[place + columns + b], scratch[place + 2 * columns + b])
    cosine = float(u[0]) * v[0] + float(u[1]) * v[1] + float(u[2]) * v[2]
    energy, slope, power = 0.0, 0.0, 1.0
    for n in range(len(c)):
        slope += (n + 1) * c[n] * power
        power *= cosine
        energy += c[n] * power
    _pull_end(u, v, cosine, slope, scratch[DISTANCE * columns + a], i, partners[a], forces, virial)
    _pull_end(v, u, cosine, slope, scratch[DISTANCE * columns + b], i, partners[b], forces, virial)
    return energy


@compiled
def _pull_end(
    own: Any, far: Any, cosine: float, slope: float, r: float, i: int, j: int, forces: Any, virial: Any
) -> None:
    """Gradient ``slope (far - cosine own)/r`` in the vector to the end j."""
    over = slope / r
    x, y, z = over * (far[0] - cosine * own[0]), over * (far[1] - cosine * own[1]), over * (far[2] - cosine * own[2])
    add_pull(i, j, r, own, (x, y, z), forces, virial)
