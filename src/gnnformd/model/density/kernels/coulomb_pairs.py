"""Coulomb energies of pairs whose charges change from one evaluation to the next, in float64.

Energies are quadratic in the charges, ``1/2 sum_i q_i phi_i``, so that potentials ``phi_i`` say everything about them.
"""

from __future__ import annotations

import math
from typing import Any

from gnnformd.model.density.kernels.neighbor_scratch import compiled
from gnnformd.model.density.kernels.pair_terms import softened

__all__ = ["close_charges", "smeared_charges"]


@compiled
def _smooth(r: float, splitting: float) -> tuple[float, float]:
    """``erf(a r)/r`` and its slope."""
    smooth = math.erf(splitting * r) / r
    gauss = 2.0 * splitting / math.sqrt(math.pi) * math.exp(-splitting * splitting * r * r)
    return smooth, (gauss - smooth) / r


@compiled
def close_charges(
    atoms: Any, kinds: Any, positions: Any, charges: Any, lists: Any, constants: Any, pairs: Any, found: Any
) -> None:
    """Add what close pairs have of the Coulomb energy (see `gnnformd.model.density.electrostatics.Electrostatics`).

    Parameters
    ----------
    atoms
        Centers from ``atoms[0]`` to ``atoms[1]``.
    kinds
        Of the centers, (N,).
    positions, charges
        Centers first, then their images, angstrom and e, (M, 3) and (M,).
    lists
        See `gnnformd.model.density.kernels.neighbor_lists.sort_into_slots`.
    constants
        How much of the energy counts, and contact distances, angstrom, of each kind of center and slot, (kinds, slots).
    pairs
        ``(C, cutoff, switch, splitting)``.
    found
        Gets potentials of the centers, kcal/mol/e, (N,), forces on them, (N, 3), and the virial
        (xx, yy, zz, xy, xz, yz).
    """
    bounds, neighbor = lists
    weights, contacts = constants
    coulomb, cutoff, switch, splitting = pairs
    potentials, forces, virial = found
    for i in range(atoms[0], atoms[1]):
        for s in range(bounds.shape[1] - 1):
            weight, contact = weights[kinds[i], s], contacts[kinds[i], s]
            for e in range(bounds[i, s], bounds[i, s + 1]):
                j = neighbor[e]
                x, y = positions[j, 0] - positions[i, 0], positions[j, 1] - positions[i, 1]
                z = positions[j, 2] - positions[i, 2]
                r = math.sqrt(x * x + y * y + z * z)
                if r >= cutoff:
                    continue
                soft, softening = (r, 1.0) if r >= contact else softened(r, contact)
                smooth, falling = _smooth(r, splitting)
                t = min((1.0 - r / cutoff) / (1.0 - switch), 1.0)
                fade = t * t * t * (10.0 + t * (6.0 * t - 15.0))
                missing = coulomb * charges[j] * (weight / soft - smooth)
                change = coulomb * charges[j] * fade * (-weight * softening / (soft * soft) - falling)
                change -= missing * 30.0 * (t * (1.0 - t)) ** 2 / (cutoff * (1.0 - switch))
                potentials[i] += missing * fade
                _pull(i, x, y, z, charges[i] * change / r, forces, virial)


@compiled
def smeared_charges(atoms: Any, positions: Any, charges: Any, pairs: Any, found: Any) -> None:
    """Add what pairs of ``atoms[0] .. atoms[1]`` with all others have without images, ``C q_i q_j erf(a r)/r``.

    Parameters
    ----------
    positions, charges
        angstrom and e, (N, 3) and (N,).
    pairs
        ``(C, a)``.
    found
        As for `close_charges`.
    """
    coulomb, splitting = pairs
    potentials, forces, virial = found
    for i in range(atoms[0], atoms[1]):
        for j in range(len(positions)):
            if i == j:
                continue
            x, y = positions[j, 0] - positions[i, 0], positions[j, 1] - positions[i, 1]
            z = positions[j, 2] - positions[i, 2]
            r = math.sqrt(max(x * x + y * y + z * z, 1e-12))
            smooth, falling = _smooth(r, splitting)
            potentials[i] += coulomb * charges[j] * smooth
            _pull(i, x, y, z, coulomb * charges[i] * charges[j] * falling / r, forces, virial)


@compiled
def _pull(i: int, x: float, y: float, z: float, pull: float, forces: Any, virial: Any) -> None:
    """Add the force of a pair on its center and half of its virial; ``pull`` is the slope of its energy over r."""
    forces[i, 0] += pull * x
    forces[i, 1] += pull * y
    forces[i, 2] += pull * z
    virial[0] -= 0.5 * pull * x * x
    virial[1] -= 0.5 * pull * y * y
    virial[2] -= 0.5 * pull * z * z
    virial[3] -= 0.5 * pull * x * y
    virial[4] -= 0.5 * pull * x * z
    virial[5] -= 0.5 * pull * y * z
