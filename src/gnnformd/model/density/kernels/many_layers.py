"""Layers of a density model with several, one after the other: forwards to energies, backwards to forces and virial.

Blocks are those of `one_layer`. Of each layer the mixed densities and scalars of all blocks are
kept; densities, invariants and activations are computed again on the way back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnformd.model.density.kernels.angle_terms import bend
from gnnformd.model.density.kernels.atom_network import ATOMS, mix, unmix
from gnnformd.model.density.kernels.block_sums import densities_of_slots, functions_of_slots, pair_energies, pull_slots
from gnnformd.model.density.kernels.layer_network import MIXED, add, network, pull_network
from gnnformd.model.density.kernels.matrix import matmul
from gnnformd.model.density.kernels.messages import densities_of_messages, pull_messages
from gnnformd.model.density.kernels.neighbor_lists import columns_of_slots
from gnnformd.model.density.kernels.neighbor_scratch import HARMONICS, RECEIVED, compiled
from gnnformd.model.density.kernels.pair_terms import gather
from gnnformd.model.density.kernels.simd import lanes_of

__all__ = ["backward", "forward"]


@compiled
def _room(lists: Any, like: Any, layout: Any) -> Any:
    """Scratch for the neighbors of an atom, its number of columns, and what goes with it."""
    bounds, padded, channels = lists[0], layout[2], layout[6]
    slots, columns = bounds.shape[1] - 1, columns_of_slots(bounds, lanes_of(like))
    scratch = np.empty((RECEIVED + channels + 2 * padded) * columns, like.dtype)
    turned, sums = np.empty(columns * padded, like.dtype), np.empty(HARMONICS * padded, like.dtype)
    pulls = np.zeros(channels * HARMONICS * padded, like.dtype)
    return scratch, columns, np.zeros(2 * slots, np.int64), np.zeros(columns, np.int64), (turned, sums), pulls


@compiled
def _of_kind(layout: Any, s: int) -> Any:
    """Layout of the densities of centers of kind s."""
    counts, offsets, padded, inner, cutoff, degrees, channels, functions_of_all = layout
    return counts[s], offsets[s], padded, inner, cutoff, degrees, channels, functions_of_all


@compiled
def _one_layer(layout: Any) -> Any:
    """Take what there is of a layout in a first layer."""
    counts, offsets, padded, inner, cutoff, degrees, _, _ = layout
    return counts, offsets, padded, inner, cutoff, degrees


@compiled
def forward(
    blocks: Any,
    positions: Any,
    lists: Any,
    constants: Any,
    pairs: Any,
    sent: Any,
    layout: Any,
    there: Any,
    weights: Any,
    before: Any,
    after: Any,
) -> None:
    """One layer of some blocks: mixed densities, scalars, messages, energies.

    Parameters
    ----------
    blocks
        ``(order, start, kind, todo)``, see `gnnformd.model.density.kernels.one_layer.evaluate`.
    positions, lists, constants, pairs
        As there; the energies of pairs are not looked at.
    sent
        ``(source, numbers)``, see `messages.densities_of_messages`; in the first layer, which
        has no channels, what is sent is part of the weights.
    layout, there, weights
        See `packed_weights.packed_messages` (layout and mixing) and ``packed_layer``.
    before, after
        ``(mixed, scalars)`` of the layer before, (blocks, MIXED ATOMS F) and (blocks, ATOMS W), of no blocks in the
        first layer, and ``(mixed, scalars, sent, energies)`` of this one; the last two are (N, C) and (M,).
    """
    order, block_start, kinds, todo = blocks
    mixed, scalars, sends, energies = after
    like = there[1]
    inner, degrees, channels = layout[3], layout[5], layout[6]
    features, width, message = there[0].shape[1], len(weights.second_bias), len(weights.message_bias)
    scratch, columns, ends, partners, room_for_sums, _ = _room(lists, like, layout)
    dens = np.zeros(HARMONICS * ATOMS * inner + layout[2], like.dtype)
    rows = np.zeros((MIXED + 3, ATOMS * features), like.dtype)
    room, out = np.zeros((4, ATOMS * width), like.dtype), np.zeros(ATOMS * message, like.dtype)
    own, nearest, nothing = np.zeros(ATOMS), np.array([1.0, 0.0, 0.0]), room[0, :0]
    for block in range(todo[0], todo[1]):
        s, begin = kinds[block], block_start[block]
        count = block_start[block + 1] - begin
        slot_constants, own_layout = (constants[0][s], constants[1][s], constants[2][s]), _of_kind(layout, s)
        dens[:] = 0.0
        for a in range(count):
            i = order[begin + a]
            gather(scratch, columns, ends, partners, i, positions, lists, slot_constants, pairs, nearest)
            if channels == 0:
                turned, sums = room_for_sums
                densities_of_slots(scratch, columns, ends, turned, sums, a, dens, _one_layer(own_layout))
            else:
                densities_of_messages(scratch, columns, ends, partners, sent, room_for_sums, a, dens, own_layout)
        mix(dens, inner, features, degrees, there, s, rows[0], rows[1:7].ravel(), rows[7:17].ravel())
        if len(before[0]) > 0:
            add(rows[:MIXED].ravel(), before[0][block])
        mixed[block] = rows[:MIXED].ravel()
        given = before[1][block] if len(before[1]) > 0 else nothing
        network(rows, features, s, weights, given, scalars[block], room, own, out)
        for a in range(count):
            i = order[begin + a]
            energies[i] += own[a]
            sends[i] = out[a * message : (a + 1) * message]


@compiled
def _pull_pairs(
    scratch: Any,
    columns: int,
    ends: Any,
    partners: Any,
    i: int,
    s: int,
    potentials: Any,
    places: float,
    forces: Any,
    virial: Any,
) -> float:
    """Energy of center i of kind s but for its network and what `gather` knows; slopes of pairs are left to PAIR."""
    which, tables, angles, type_energies = potentials
    kinds = len(angles)
    energy = type_energies[s] + pair_energies(scratch, columns, ends, which[s], tables, places)
    return energy + bend(scratch, columns, ends, partners, i, kinds, kinds, angles[s], forces, virial)


@compiled
def _take_messages(order: Any, begin: int, count: int, on_sends: Any, weights: Any, received: Any, room: Any) -> None:
    """Gradient in the scalars of a block through what it sends, to ``room`` (ATOMS W)."""
    message = len(weights.message_bias)
    for a in range(count):
        received[a * message : (a + 1) * message] = on_sends[order[begin + a]]
    received[count * message :] = 0.0
    matmul(received, ATOMS, message, weights.message_back, len(weights.second_bias), room)


@compiled
def backward(
    blocks: Any,
    positions: Any,
    lists: Any,
    constants: Any,
    pairs: Any,
    potentials: Any,
    sent: Any,
    layout: Any,
    back: Any,
    weights: Any,
    now: Any,
    pulls: Any,
    results: Any,
) -> None:
    """Add what one layer of some blocks does to forces and virial, and to the gradient in what it was given.

    Parameters
    ----------
    blocks, positions, lists, sent, layout, weights
        As for `forward`, with ``(depth,)`` as the last of the blocks: the energies of centers of depth zero count.
    constants, pairs
        As for `forward`; in the first layer the energies of pairs count.
    potentials
        As for `gnnformd.model.density.kernels.one_layer.evaluate`.
    back
        Weights from mixed densities to densities.
    now
        ``(mixed, scalars)`` of this layer.
    pulls
        ``(on_mixed, on_scalars, on_sends)``: gradient in what this layer gives to the next, those of the first two in
        all other ways but through what it sends; see `gnnformd.model.density.kernels.layer_network.pull_network`.
    results
        ``(energies, forces, virial, nearest, on_sent)``, see `one_layer.evaluate`; the last is the
        gradient in ``numbers`` of what was sent to this layer.
    """
    order, block_start, kinds, todo, depth = blocks
    mixed, scalars = now
    on_mixed, on_scalars, on_sends = pulls
    energies, forces, virial, nearest, on_sent = results
    like = back[0]
    inner, degrees, channels = layout[3], layout[5], layout[6]
    features, width, message = len(weights.polynomial) // 9, len(weights.second_bias), len(weights.message_bias)
    scratch, columns, ends, partners, _, room_for_pulls = _room(lists, like, layout)
    dens = np.zeros(HARMONICS * ATOMS * inner + layout[2], like.dtype)
    rows = np.zeros((MIXED + 3, ATOMS * features), like.dtype)
    room, received = np.zeros((4, ATOMS * width), like.dtype), np.zeros(ATOMS * message, like.dtype)
    far = np.array([1.0, 0.0, 0.0])
    silent = (0.0, pairs[1], pairs[2], pairs[3], pairs[4])
    none = np.zeros_like(constants[0][0])
    for block in range(todo[0], todo[1]):
        s, begin, counted = kinds[block], block_start[block], depth[block] == 0
        count = block_start[block + 1] - begin
        own_layout = _of_kind(layout, s)
        if len(on_sends) > 0:
            _take_messages(order, begin, count, on_sends, weights, received, room[2])
            add(on_scalars[block], room[2])
        rows[:MIXED].ravel()[:] = mixed[block]
        through = on_mixed[block], on_scalars[block]
        pull_network(rows, features, s, counted, weights, scalars[block], through, room)
        unmix(dens, inner, features, degrees, back, s, rows[0], rows[1:7].ravel(), rows[7:17].ravel())
        paired = counted and channels == 0
        slot_constants = (constants[0][s] if paired else none, constants[1][s], constants[2][s])
        for a in range(count):
            i = order[begin + a]
            own_pairs, own_nearest = (pairs, nearest) if paired else (silent, far)
            shared = gather(
                scratch, columns, ends, partners, i, positions, lists, slot_constants, own_pairs, own_nearest
            )
            if channels > 0:
                found = forces, virial, on_sent
                pull_messages(scratch, columns, ends, partners, sent, room_for_pulls, i, a, dens, own_layout, found)
                continue
            if counted:
                places = 1.0 / pairs[3]
                energies[i] += shared
                energies[i] += _pull_pairs(scratch, columns, ends, partners, i, s, potentials, places, forces, virial)
            functions_of_slots(scratch, columns, ends, _one_layer(own_layout))
            pull_slots(scratch, columns, ends, partners, i, a, dens, _one_layer(own_layout), forces, virial)
