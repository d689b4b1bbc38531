"""Coulomb energies of pairs whose charges change from one evaluation to the next, in float64.

Energies are quadratic in the charges, ``1/2 sum_i q_i phi_i``, so that the potentials ``phi_i`` determine them.
"""

from __future__ import annotations

import math

from gnnformd.model.density.kernels.smoothing import smoothstep, smoothstep_slope, softened
from gnnformd.model.density.kernels.structures import (
    CoulombParameters,
    CoulombResults,
    Forces,
    Indices,
    NeighborLists,
    PointCharges,
)
from gnnformd.numba_jit import kernel

__all__ = ["close_charges", "smeared_charges"]


@kernel
def _smooth(r: float, splitting: float) -> tuple[float, float]:
    """``erf(a r)/r`` and its slope."""
    smooth = math.erf(splitting * r) / r
    gauss = 2.0 * splitting / math.sqrt(math.pi) * math.exp(-splitting * splitting * r * r)
    return smooth, (gauss - smooth) / r


@kernel
def close_charges(
    centers: tuple[int, int],
    species: Indices,
    points: PointCharges,
    lists: NeighborLists,
    parameters: CoulombParameters,
    results: CoulombResults,
) -> None:
    """Add the part of close pairs to the Coulomb energy (see `gnnformd.model.density.electrostatics.Electrostatics`).

    Parameters
    ----------
    centers
        First center and the one after the last.
    species
        Of the centers, (N,).
    points
        Centers first, then their images, (M, 3) and (M,).
    lists, parameters
        Candidates, and what the energies depend on.
    results
        Of the centers, added to.
    """
    positions, charges = points.positions, points.charges
    constant, cutoff, switch, splitting = (
        parameters.constant,
        parameters.cutoff,
        parameters.switch,
        parameters.splitting,
    )
    for i in range(centers[0], centers[1]):
        for g in range(lists.bounds.shape[1] - 1):
            weight, contact = parameters.weight[species[i], g], parameters.contact[species[i], g]
            for e in range(lists.bounds[i, g], lists.bounds[i, g + 1]):
                j = lists.neighbor[e]
                x, y = positions[j, 0] - positions[i, 0], positions[j, 1] - positions[i, 1]
                z = positions[j, 2] - positions[i, 2]
                r = math.sqrt(x * x + y * y + z * z)
                if r >= cutoff:
                    continue
                soft, soft_slope = (r, 1.0) if r >= contact else softened(r, contact)
                smooth, smooth_slope = _smooth(r, splitting)
                t = min((1.0 - r / cutoff) / (1.0 - switch), 1.0)
                fade = smoothstep(t)
                missing = constant * charges[j] * (weight / soft - smooth)
                slope = constant * charges[j] * fade * (-weight * soft_slope / (soft * soft) - smooth_slope)
                slope -= missing * smoothstep_slope(t) / (cutoff * (1.0 - switch))
                results.potentials[i] += missing * fade
                _add_to_center(i, (x, y, z), charges[i] * slope / r, results.sums)


@kernel
def smeared_charges(
    atoms: tuple[int, int], points: PointCharges, constant: float, splitting: float, results: CoulombResults
) -> None:
    """Add ``C q_i q_j erf(a r)/r`` of the pairs of ``atoms[0] .. atoms[1]`` with all others, without images.

    Parameters
    ----------
    points
        angstrom and e, (N, 3) and (N,).
    constant, splitting
        C, kcal/mol angstrom/e^2, and a, 1/angstrom.
    results
        Added to.
    """
    positions, charges = points.positions, points.charges
    for i in range(atoms[0], atoms[1]):
        for j in range(len(positions)):
            if i == j:
                continue
            x, y = positions[j, 0] - positions[i, 0], positions[j, 1] - positions[i, 1]
            z = positions[j, 2] - positions[i, 2]
            r = math.sqrt(max(x * x + y * y + z * z, 1e-12))
            smooth, smooth_slope = _smooth(r, splitting)
            results.potentials[i] += constant * charges[j] * smooth
            _add_to_center(i, (x, y, z), constant * charges[i] * charges[j] * smooth_slope / r, results.sums)


@kernel
def _add_to_center(i: int, vector: tuple[float, float, float], slope: float, sums: Forces) -> None:
    """Add the force of a pair on its center and half of its virial; ``slope`` is that of its energy over r."""
    forces, virial = sums.forces, sums.virial
    x, y, z = vector
    forces[i, 0] += slope * x
    forces[i, 1] += slope * y
    forces[i, 2] += slope * z
    virial[0] -= 0.5 * slope * x * x
    virial[1] -= 0.5 * slope * y * y
    virial[2] -= 0.5 * slope * z * z
    virial[3] -= 0.5 * slope * x * y
    virial[4] -= 0.5 * slope * x * z
    virial[5] -= 0.5 * slope * y * z
