"""Energies, forces and virial of a one-layer density model in one pass over the atoms.

Atoms are taken in blocks whose densities, weights and neighbors stay in the second cache: densities of a block, the
network and its gradient, then the gradient of each neighbor. Neighbors of a center are sorted into groups (see
`neighbor_lists.sort_by_group`), each with its radial functions; what depends on the species of the center is part of
the weights.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gnnformd.model.density.kernels.angle_terms import angle_energies
from gnnformd.model.density.kernels.energy_network import block_energies, make_workspace
from gnnformd.model.density.kernels.group_sums import group_densities, groups_vjp
from gnnformd.model.density.kernels.neighbor_lists import columns_needed
from gnnformd.model.density.kernels.neighbor_scratch import RECEIVED
from gnnformd.model.density.kernels.pair_terms import find_neighbors, pair_energies, parameters_of
from gnnformd.model.density.kernels.simd import borrowed, borrowed_row, lanes_of
from gnnformd.model.density.kernels.structures import (
    ATOMS,
    HARMONIC_COUNTS,
    Doubles,
    EnergyTerms,
    Floats,
    Indices,
    Layer,
    Layout,
    Neighborhood,
    NeighborLists,
    NetworkWeights,
    NetworkWorkspace,
    Results,
)
from gnnformd.model.density.kernels.surroundings import block_grades
from gnnformd.numba_jit import kernel

__all__ = ["evaluate", "layout_of"]


class _Memory(NamedTuple):
    """Memory for a block: neighbors of each center, functions by neighbor, densities, and what the network needs."""

    values: Floats
    begins: Indices
    ends: Indices
    atoms: Indices
    transposed: Floats
    densities: Floats
    network: NetworkWorkspace


@kernel
def layout_of(layout: Layout, s: int) -> Layout:
    """Layout of the densities of centers of species s."""
    return Layout(
        borrowed_row(layout.counts, s),
        borrowed_row(layout.offsets, s),
        layout.padded,
        layout.inner,
        layout.cutoff,
        layout.degree,
        layout.channels,
        layout.functions,
    )


@kernel
def _neighborhood(
    values: Floats, begins: Indices, ends: Indices, atoms: Indices, center: int, row: int
) -> Neighborhood:
    """Memory for the neighbors of the center in a row of its block."""
    return Neighborhood(
        borrowed_row(values, row),
        atoms.shape[1],
        borrowed_row(begins, row),
        borrowed_row(ends, row),
        borrowed_row(atoms, row),
        center,
        row,
    )


@kernel
def evaluate(
    todo: tuple[int, int],
    positions: Doubles,
    lists: NeighborLists,
    terms: EnergyTerms,
    layer: Layer[NetworkWeights],
    results: Results,
) -> None:
    """Energies of centers, forces on all atoms, and the virial.

    Parameters
    ----------
    todo
        First block of centers and the one after the last; different blocks may be done by different threads at the
        same time, each with its ``results.sums`` and ``results.nearest``.
    positions
        Of centers and all their neighbors, angstrom, (M, 3).
    lists
        Candidates for neighbors, and the blocks.
    terms
        Energies without a network.
    layer
        Densities and network.
    results
        Written and added to.
    """
    layout, like = layer.layout, layer.mixing.scalars
    padded = layout.padded
    groups, columns = lists.bounds.shape[1] - 1, columns_needed(lists.bounds, lanes_of(like))
    memory = _Memory(
        np.empty((ATOMS, (RECEIVED + 2 * padded) * columns), like.dtype),
        np.zeros((ATOMS, groups), np.int64),
        np.zeros((ATOMS, groups), np.int64),
        np.zeros((ATOMS, columns), np.int64),
        np.empty(columns * padded, like.dtype),
        np.zeros(HARMONIC_COUNTS[layout.degree] * ATOMS * layout.inner + padded, like.dtype),
        make_workspace(
            layout.degree,
            layer.mixing.constant.shape[1],
            len(layer.network.last),
            layer.network.surroundings,
            like,
        ),
    )
    _evaluate(todo, positions, lists, terms, layer, results, memory)


@kernel
def _evaluate(
    todo: tuple[int, int],
    positions: Doubles,
    lists: NeighborLists,
    terms: EnergyTerms,
    layer: Layer[NetworkWeights],
    results: Results,
    memory: _Memory,
) -> None:
    """Do what `evaluate` does with memory for one block."""
    lists, terms, layer = borrowed(lists), borrowed(terms), borrowed(layer)
    results, memory = borrowed(results), borrowed(memory)
    blocks, layout, energies = lists.blocks, layer.layout, results.energies
    values, begins, ends, atoms = memory.values, memory.begins, memory.ends, memory.atoms
    densities, workspace = memory.densities, memory.network
    for block in range(todo[0], todo[1]):
        s, first = blocks.species[block], blocks.start[block]
        count = blocks.start[block + 1] - first
        pairs, own_layout = parameters_of(terms.pairs, s), layout_of(layout, s)
        table, angles = borrowed_row(terms.tables.table, s), borrowed_row(terms.angles, s)
        densities[:] = 0.0
        for a in range(count):
            i = blocks.order[first + a]
            hood = _neighborhood(values, begins, ends, atoms, i, a)
            energy = find_neighbors(hood, positions, lists, pairs, results.nearest)
            energies[i] = energy + pair_energies(hood, table, terms.tables.tables, pairs.step)
            group_densities(hood, own_layout, memory.transposed, densities)
        block_energies(densities, s, count, layer, workspace)
        if len(results.grades) > 0:
            network = layer.network
            block_grades(workspace.activations[0], s, count, len(network.last), network.surroundings, workspace)
            for a in range(count):
                results.grades[blocks.order[first + a]] = workspace.grades[a]
        for a in range(count):
            i = blocks.order[first + a]
            hood = _neighborhood(values, begins, ends, atoms, i, a)
            energies[i] += workspace.energies[a] + terms.species[s]
            energies[i] += angle_energies(hood, angles, results.sums)
            groups_vjp(hood, own_layout, densities, results.sums)
