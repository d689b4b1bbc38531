"""Least squares: the functions that many liquids share, from the forces on their atoms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from gnnformd.force_field import ForceField
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.bond_angles import bond_pairs
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.radial import radial_functions, radial_values
from gnnformd.model.density.scaled_pairs import ending
from gnnformd.model.fluids.functions import FluidFunctions
from gnnformd.model.fluids.specialize import (
    PairParameters,
    cutoff_of,
    end_of,
    parameters_of,
    second_neighbors,
    specialize,
)

__all__ = ["ANGLE", "BOND", "PAIR", "REACH", "cutoff_for", "fit_fluids", "force_columns", "unfitted"]

Forces: TypeAlias = Callable[[Tensor, Tensor], Tensor]

PAIR, BOND, ANGLE = 38, 4, 3
"""Numbers of functions: of r/sigma, powers of the strain of a bond, powers of the bend of an angle from 2 on."""
REACH = 3.0
"""In units of sigma; Lennard-Jones forces are smaller than 0.02 epsilon/sigma from there on."""
PENALTY = 1e-6
"""Of a coefficient, in units of the root mean square of its column: forces say nothing about closer than ever seen."""


def unfitted() -> FluidFunctions:
    """Functions that are zero, so that a model made from them has the Coulomb energy alone."""
    closest = dict.fromkeys(("pair", "bare_pair", "bond", "second"), 0.01)
    return FluidFunctions(REACH, (0.0,) * PAIR, (0.0,) * BOND, (0.0,) * ANGLE, closest, {}, 0, 0)


def cutoff_for(field: ForceField) -> float:
    """Cutoff of the graphs of a liquid, angstrom."""
    return cutoff_of(field, REACH)


def fit_fluids(frames: Iterable[tuple[int, AtomicGraph, ForceField]]) -> FluidFunctions:
    """Fit the functions to what the Coulomb energy leaves of the forces.

    Every frame counts the same, whatever the size of its forces: they are divided by their root mean square.

    Parameters
    ----------
    frames
        Number of the liquid, the graph of one frame in float64 with its forces, and the force field. The graph has the
        cutoff `cutoff_for`.
    """
    triangle = torch.zeros(0, 0, dtype=torch.float64)
    closest: dict[str, float] = dict.fromkeys(("pair", "bare_pair", "bond", "second"), np.inf)
    ranges: dict[str, tuple[float, float]] = {}
    liquids: dict[int, DensityModel] = {}
    count = 0
    for number, graph, field in frames:
        assert graph.forces is not None
        if number not in liquids:
            liquids[number] = specialize(unfitted(), field, f"liquid {number}")
            for name, values in parameters_of(field).items():
                low, high = ranges.get(name, (np.inf, -np.inf))
                ranges[name] = min(low, *values), max(high, *values)
        known = liquids[number](graph).forces
        columns = force_columns(graph, field, closest)
        rows = torch.cat([columns, (graph.forces - known).flatten()[:, None]], dim=1)
        rows = rows / graph.forces.square().mean().sqrt()
        triangle = torch.linalg.qr(torch.cat([triangle, rows]) if len(triangle) else rows, mode="r").R
        count += 1
    matrix, wanted = triangle[:, :-1], triangle[:, -1]
    sizes = matrix.norm(dim=0)
    penalty = torch.diag(PENALTY * sizes.where(sizes > 0, 1.0))
    found = torch.linalg.lstsq(
        torch.cat([matrix, penalty]), torch.cat([wanted, torch.zeros(len(sizes), dtype=wanted.dtype)])
    ).solution
    pair, bond, angle = (tuple(part.tolist()) for part in torch.split(found, [PAIR, BOND, ANGLE]))
    return FluidFunctions(REACH, pair, bond, angle, _finite(closest), ranges, len(liquids), count)


def _finite(closest: dict[str, float]) -> dict[str, float]:
    """Closest approaches; half the unit of length where there were no such pairs."""
    return {name: float(value) if np.isfinite(value) else 0.5 for name, value in closest.items()}


def force_columns(graph: AtomicGraph, field: ForceField, closest: dict[str, float]) -> Tensor:
    """Compute the forces of each function, (3 N, PAIR + BOND + ANGLE), and note how close atoms are.

    Parameters
    ----------
    graph
        Of one frame, float64, with a cutoff of at least `cutoff_for`.
    field
        Of the liquid.
    closest
        Closest approaches so far, as `FluidFunctions.closest`; updated.
    """
    parameters = PairParameters(field, "liquid")
    center, neighbor, _, bond_kind = graph.half_edges
    vectors = graph.half_edge_vectors()
    distance = vectors.norm(dim=1)
    unit = vectors / distance[:, None]
    one, other = graph.type_index[center], graph.type_index[neighbor]
    epsilon, sigma, scale, stiffness, length = (
        torch.from_numpy(table)[one, other]
        for table in (parameters.epsilon, parameters.sigma, parameters.scale, parameters.stiffness, parameters.length)
    )
    weight = torch.tensor((1.0, *field.special_lj), dtype=torch.float64)[bond_kind]
    bonded, apart = bond_kind == 1, (bond_kind == 0) | (bond_kind == 3)
    rest = torch.full((len(field.types),) * 2, torch.nan, dtype=torch.float64)
    for a, c, at_rest in second_neighbors(field, parameters):
        rest[a, c] = rest[c, a] = at_rest
    for name, chosen, in_units in (
        ("pair", apart & (epsilon > 0), distance / sigma),
        ("bare_pair", apart & (epsilon == 0), distance / scale),
        ("bond", bonded, distance / length),
        ("second", bond_kind == 2, distance / rest[one, other]),
    ):
        closest[name] = min(closest[name], float(in_units[chosen].amin()) if chosen.any() else np.inf)
    atoms = graph.atom_count

    def forces(edges: Tensor, slopes: Tensor) -> Tensor:
        """Sum slopes of the energies of half edges by their vectors, (K, E', 3), to forces on the atoms, (K, N, 3)."""
        sums = slopes.new_zeros(len(slopes), atoms, 3)
        sums.index_add_(1, center[edges], slopes)
        return sums.index_add_(1, neighbor[edges], -slopes)

    near = (weight * epsilon > 0) & (distance < (REACH * sigma).clamp(max=cutoff_for(field)))
    near = torch.nonzero(near).squeeze(1)
    values, slopes = radial_functions(distance[near] / sigma[near], 1 / sigma[near], REACH, PAIR)
    end = end_of(field, REACH)
    if end is not None:
        share, change = ending(distance[near], end)
        at_end = radial_values(end / torch.from_numpy(parameters.sigma).flatten(), REACH, PAIR)
        at_end = at_end[:, (one * len(field.types) + other)[near]]
        slopes = slopes * share + (values - at_end) * change
    slopes = slopes * (weight * epsilon)[near]
    columns = [forces(near, slopes[:, :, None] * unit[near])]
    edges = torch.nonzero(bonded).squeeze(1)
    strain = distance[edges] / length[edges] - 1
    stretch = torch.stack([n * strain ** (n - 1) for n in range(1, BOND + 1)]) * (stiffness * length)[edges]
    columns.append(forces(edges, stretch[:, :, None] * unit[edges]))
    columns.append(_angle_columns(graph, field, vectors, forces))
    return torch.cat(columns).flatten(1).T


def _angle_columns(graph: AtomicGraph, field: ForceField, vectors: Tensor, forces: Forces) -> Tensor:
    """Compute the forces of the powers of the bend of angles, (ANGLE, N, 3)."""
    tables = torch.zeros(2, *[len(field.types)] * 3, dtype=torch.float64)
    for angle in field.angles:
        a, m, c = (number - 1 for number in angle.types)
        tables[:, a, m, c] = tables[:, c, m, a] = torch.tensor([angle.stiffness, np.radians(angle.angle)])
    (middle, one, other), bonds = bond_pairs(graph)
    kinds = graph.type_index
    stiffness, rest = tables[:, kinds[one], kinds[middle], kinds[other]]
    lengths = [vectors[edges].norm(dim=1) for edges, _ in bonds]
    arms = [vectors[edges] * (sign / r)[:, None] for (edges, sign), r in zip(bonds, lengths, strict=True)]
    cosine = (arms[0] * arms[1]).sum(1).clamp(-1.0, 1.0)
    bend = torch.arccos(cosine) - rest
    sine = (1 - cosine**2).sqrt().clamp(min=1e-9)
    # by the cosine: the first power of the bend is left out, so that linear molecules have none either
    slopes = torch.stack([n * bend ** (n - 1) for n in range(2, ANGLE + 2)]) * (-stiffness / sine)
    total = vectors.new_zeros(ANGLE, graph.atom_count, 3)
    for (edges, sign), r, own, far in zip(bonds, lengths, arms, reversed(arms), strict=True):
        turned = (far - cosine[:, None] * own) * (sign / r)[:, None]
        total = total + forces(edges, slopes[:, :, None] * turned)
    return total
