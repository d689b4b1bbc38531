"""The density model in plain equations: what to read first, and what every engine is tested against.

Nothing here is written for speed, and no derivative is written by hand. The equations are explained in
``docs/density.md``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.harmonics import harmonics
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.radial import radial_values, softened
from gnnformd.model.density.terms import PairKinds
from gnnformd.model.interface import Prediction

__all__ = ["reference_energies", "reference_prediction"]


def reference_energies(model: DensityModel, graph: AtomicGraph, positions: Tensor, cells: Tensor) -> Tensor:
    """``E = E_network + sum_pairs V(s) + E_angles + E_repulsion + E_Coulomb`` of each graph, kcal/mol, (B,).

    Parameters
    ----------
    model
        In evaluation mode.
    graph
        Whole systems; where its atoms are is not used.
    positions, cells
        angstrom, (N, 3) and (B, 3, 3); the energies can be differentiated by them.
    """
    i, j, shift, bond_kind = graph.half_edges
    r_ij = positions[j] - positions[i] + torch.einsum("ea,eab->eb", shift, cells[graph.graph_of_half_edge])  # (E/2, 3)
    r = r_ij.norm(dim=1)
    contact = model.contacts.of_edges(graph)  # closest approach in the data, nearly
    s = softened(r, contact)[0]  # r, but constant where atoms are closer than ever in the data
    x = model.network.inputs(graph)  # what describes each atom, (N, P)

    # Network: energies of atoms from their densities D_i,lm,ck = sum_j h_jc B_k(s_ij) Y_lm(u_ij)
    center, neighbor = graph.center_index, graph.neighbor_index  # both directions
    directions = torch.cat([r_ij, -r_ij]) / r.repeat(2)[:, None]
    Y = harmonics(directions.T, model.network.l_max)  # (L, E)
    B = _radial(model, s, bond_kind).repeat(2, 1)  # (E, K)

    def densities(h: Tensor, _: int) -> Tensor:
        terms = torch.einsum("le,ec,ek->elck", Y, h[neighbor], B)
        D = terms.new_zeros(graph.atom_count, *terms.shape[1:]).index_add(0, center, terms)
        return D.transpose(0, 1).flatten(2)  # (L, N, C K)

    energy, scalars, _ = model.network.atom_energies(x, densities)  # (N,), (N, W): the layers of `layer.DensityLayer`
    energy = model.network.energy_scale * energy
    start, depth = model.network.floor.of_types(graph.type_index)  # far below the energies of atoms in the data
    below = (start - energy).clamp(min=0.0)
    energy = energy + below - depth * torch.tanh(below / depth)
    total = graph.sum_per_graph(energy + model.network.type_energies[graph.type_index])

    # Pair terms, angles, and the repulsion of atoms closer than ever in the data
    pairs = model.contacts.pair_energies(r, contact)
    for term in model.each_pair_term():
        pairs = pairs + term.energies(s, PairKinds.of(graph, x))
    total = total + graph.sum_pairs_per_graph(pairs) + model.angles.energies(graph, x, r_ij)

    # Coulomb energy: close pairs get what the smooth long-range part leaves out
    if model.electrostatics is not None:
        q = model.network.charges_of(scalars, graph)
        special = graph.special_coul[graph.graph_of_half_edge]
        close = model.electrostatics.pair_energies(r, s, q[i] * q[j], bond_kind, special)
        scaled = torch.einsum("na,nab->nb", positions, torch.linalg.inv(cells)[graph.graph_index])
        total = total + graph.sum_pairs_per_graph(close)
        total = total + model.electrostatics.long_range_energies(scaled, cells, q, graph)
    return total


def _radial(model: DensityModel, s: Tensor, bond_kind: Tensor) -> Tensor:
    """Functions of the distance, (E/2, K): those of a pair's kind of bond, zeros for the others."""
    counts = model.settings.function_counts
    kind = bond_kind.where(bond_kind < len(counts), 0)
    blocks = [(kind == number) * radial_values(s, model.cutoff, count) for number, count in enumerate(counts)]
    return torch.cat(blocks).T


def reference_prediction(model: DensityModel, graph: AtomicGraph) -> Prediction:
    """Energies, forces ``-dE/dx`` and virials ``-dE/d(strain)`` by automatic differentiation."""
    positions = graph.positions.detach().requires_grad_()
    strain = torch.zeros_like(graph.cells).requires_grad_()  # (B, 3, 3)
    deformed = torch.eye(3).to(strain) + strain
    empty = ~graph.periodic.any(1)[:, None, None]
    cells = torch.where(empty, torch.eye(3).to(graph.cells), graph.cells)
    moved = torch.einsum("na,nab->nb", positions, deformed[graph.graph_index])
    energies = reference_energies(model, graph, moved, cells @ deformed)
    gradient, by_strain = torch.autograd.grad(energies.sum(), (positions, strain))
    return Prediction(-gradient, energies.detach(), -by_strain)
