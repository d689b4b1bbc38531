"""Energies, forces and virial of a one-layer density model in one pass over the atoms.

Atoms are taken in blocks whose densities, weights and neighbors stay in the second cache: densities of a block, the
network and its gradient, then the gradient of each neighbor. Neighbors of a center are sorted into slots (see
`neighbor_lists.sort_into_slots`), which have radial functions of their own; what depends on the kind of
center is part of the weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnformd.model.density.kernels.angle_terms import bend
from gnnformd.model.density.kernels.atom_network import ATOMS, energies_of_block
from gnnformd.model.density.kernels.block_sums import densities_of_slots, pair_energies, pull_slots
from gnnformd.model.density.kernels.neighbor_lists import columns_of_slots
from gnnformd.model.density.kernels.neighbor_scratch import HARMONICS, RECEIVED, compiled
from gnnformd.model.density.kernels.pair_terms import gather
from gnnformd.model.density.kernels.simd import lanes_of

__all__ = ["evaluate"]


@compiled
def evaluate(
    blocks: Any,
    positions: Any,
    lists: Any,
    constants: Any,
    pairs: Any,
    potentials: Any,
    layout: Any,
    mixing: Any,
    weights: Any,
    results: Any,
) -> None:
    """Energies of centers, forces on all atoms, and the virial.

    Parameters
    ----------
    blocks
        ``(order, start, kind)``: centers ``order[start[b] : start[b + 1]]``, at most `ATOMS`, are of kind ``kind[b]``;
        the last entry is the range of blocks to do, ``(first, last)``.
    positions
        Of centers and all their neighbors, angstrom, (M, 3), float64.
    lists
        ``(bounds, neighbor)``: slot s of center i has neighbors ``neighbor[bounds[i, s] : bounds[i, s + 1]]``; those
        beyond the cutoff are passed over.
    constants
        ``(charge, weight, contact)`` of the slots of each kind of center, (kinds, slots).
    pairs
        ``(strength, cutoff, switch, step, table)`` of the pair energies.
    potentials
        ``(which, tables)`` of the pair potentials, see `pair_tables.pair_tables`, then what
        `gnnformd.model.density.numba_engine.packed_weights.energies_of_kinds` gives.
    layout
        ``(counts, offsets, padded, inner, cutoff, degrees)``: radial functions of each slot, where they stand among
        ``inner``, and the highest degree of the harmonics.
    mixing
        Weights from densities to mixed densities, and the transposed ones.
    weights
        Of the network.
    results
        ``(energies, forces, virial, nearest)``: the first is written, to the next two is added, the last is what
        `gnnformd.model.density.kernels.pair_terms.gather` finds; (M,), (M, 3), (6,), (3,) float64.
    """
    order, block_start, kinds, todo = blocks
    energies, forces, virial, nearest = results
    there, _ = mixing
    which, tables, angles, type_energies = potentials
    _, _, padded, inner, _, degrees = layout
    like = there[1]
    features = there[0].shape[1]
    atom_kinds = len(angles)
    bounds = lists[0]
    slots = bounds.shape[1] - 1
    columns = columns_of_slots(bounds, lanes_of(like))
    rows = RECEIVED + 2 * padded
    scratch = np.empty((ATOMS, rows * columns), like.dtype)
    turned = np.empty(columns * padded, like.dtype)
    sums = np.empty(HARMONICS * padded, like.dtype)
    ends = np.zeros((ATOMS, 2 * slots), np.int64)
    partners = np.zeros((ATOMS, columns), np.int64)
    dens = np.zeros(HARMONICS * ATOMS * inner, like.dtype)
    rows_of_features = np.zeros((20, ATOMS * features), like.dtype)
    room = np.zeros(4 * ATOMS * len(weights[7]), like.dtype)
    own = np.zeros(ATOMS)
    for block in range(todo[0], todo[1]):
        s = kinds[block]
        begin = block_start[block]
        count = block_start[block + 1] - begin
        slot_constants = (constants[0][s], constants[1][s], constants[2][s])
        own_layout = (layout[0][s], layout[1][s], padded, inner, layout[4], degrees)
        dens[:] = 0.0
        for a in range(count):
            i = order[begin + a]
            energies[i] = gather(
                scratch[a], columns, ends[a], partners[a], i, positions, lists, slot_constants, pairs, nearest
            )
            energies[i] += pair_energies(scratch[a], columns, ends[a], which[s], tables, 1.0 / pairs[3])
            densities_of_slots(scratch[a], columns, ends[a], turned, sums, a, dens, own_layout)
        energies_of_block(dens, inner, degrees, s, mixing, weights, rows_of_features, room, own)
        for a in range(count):
            i = order[begin + a]
            energies[i] += own[a] + type_energies[s]
            energies[i] += bend(
                scratch[a], columns, ends[a], partners[a], i, atom_kinds, atom_kinds, angles[s], forces, virial
            )
            pull_slots(scratch[a], columns, ends[a], partners[a], i, a, dens, own_layout, forces, virial)
