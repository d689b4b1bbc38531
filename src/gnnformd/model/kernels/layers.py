"""Layers of a density model with several, one after the other: forwards to energies, backwards to forces and virial.

Blocks are those of `gnnformd.model.kernels.fused`. Of each layer the mixed densities and scalars of all blocks are
kept; densities, invariants and activations are computed again on the way back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gnnformd.model.kernels.angles import bend
from gnnformd.model.kernels.close_pairs import gather
from gnnformd.model.kernels.invariants import add_products, products
from gnnformd.model.kernels.matrix import matmul, silu_and_slope
from gnnformd.model.kernels.messages import densities_of_messages, pull_messages
from gnnformd.model.kernels.network import ATOMS, add_row, mix, unmix
from gnnformd.model.kernels.places import HARMONICS, RECEIVED, compiled
from gnnformd.model.kernels.simd import fill, lanes_of
from gnnformd.model.kernels.simd_functions import total
from gnnformd.model.kernels.slots import densities_of_slots, functions_of_slots, pair_energies, pull_slots

__all__ = ["MIXED", "LayerWeights", "backward", "forward"]

MIXED = 17
"""Mixed densities of an atom and a feature: one of degree zero, two of each other degree."""


class LayerWeights(NamedTuple):
    """Weights of a layer behind its mixed densities; maps (inputs, outputs), flat, there and back.

    Attributes
    ----------
    polynomial
        Of the invariants, kcal/mol, (9 F,).
    first_bias, first, first_back
        From invariants to the first activation, (kinds, W) and (3 F, W).
    second, second_back, second_bias
        From there to scalars, (W, W) and (W,).
    hidden, hidden_back, hidden_bias
        From scalars to the second activation, (W, W) and (W,).
    last
        From there to the energy, kcal/mol, (W,).
    message, message_back, message_bias
        From scalars to what is sent to the next layer, (W, C) and (C,).
    """

    polynomial: Any
    first_bias: Any
    first: Any
    first_back: Any
    second: Any
    second_back: Any
    second_bias: Any
    hidden: Any
    hidden_back: Any
    hidden_bias: Any
    last: Any
    message: Any
    message_back: Any
    message_bias: Any


@compiled
def _room(lists: Any, like: Any, layout: Any) -> Any:
    """Scratch for the neighbors of an atom, its number of columns, and what goes with it."""
    bounds, padded, channels = lists[0], layout[2], layout[6]
    slots = bounds.shape[1] - 1
    width = lanes_of(like)
    most = 1
    for i in range(bounds.shape[0]):
        most = max(most, bounds[i, slots] - bounds[i, 0])
    columns = (most + width - 1) // width * width + slots * width
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
def _perceive(rows: Any, features: int, width: int, s: int, weights: Any, energies: Any, room: Any) -> None:
    """Polynomial and invariants of a block from its mixed densities, and the first activation.

    ``rows`` (20, ATOMS F) holds the mixed densities and gets the invariants behind them; ``room`` (4, ATOMS W) gets the
    activations in its first row and their slopes in the second. The polynomial is added to the energies.
    """
    scalar, vectors, tensors, invariants = rows[0], rows[1:7].ravel(), rows[7:17].ravel(), rows[17:].ravel()
    for a in range(ATOMS):
        energy = fill(rows, 0.0)
        for f in range(0, features, lanes_of(rows)):
            energy = energy + products(scalar, vectors, tensors, ATOMS, features, a, f, weights.polynomial, invariants)
        energies[a] += total(energy)
    matmul(invariants, ATOMS, 3 * features, weights.first, width, room[2])
    add_row(room[2], ATOMS, width, weights.first_bias[s])
    silu_and_slope(room[2], ATOMS * width, room[0], room[1])


@compiled
def _add(target: Any, values: Any) -> None:
    for k in range(len(target)):
        target[k] += values[k]


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
        ``(order, start, kind, todo)``, see `gnnformd.model.kernels.fused.evaluate`.
    positions, lists, constants, pairs
        As there; the energies of pairs are not looked at.
    sent
        ``(source, numbers)``, see `gnnformd.model.kernels.messages.densities_of_messages`; in the first layer, which
        has no channels, what is sent is part of the weights.
    layout, there, weights
        See `gnnformd.model.compiled_weights.packed_layer`.
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
    own, nearest = np.zeros(ATOMS), np.array([1.0, 0.0, 0.0])
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
            _add(rows[:MIXED].ravel(), before[0][block])
        mixed[block] = rows[:MIXED].ravel()
        own[:] = 0.0
        _perceive(rows, features, width, s, weights, own, room)
        now = scalars[block]
        matmul(room[0], ATOMS, width, weights.second, width, now)
        add_row(now, ATOMS, width, weights.second_bias)
        if len(before[1]) > 0:
            _add(now, before[1][block])
        matmul(now, ATOMS, width, weights.hidden, width, room[2])
        add_row(room[2], ATOMS, width, weights.hidden_bias)
        silu_and_slope(room[2], ATOMS * width, room[0], room[1])
        matmul(now, ATOMS, width, weights.message, message, out)
        for a in range(count):
            i = order[begin + a]
            energy = own[a]
            for k in range(width):
                energy += weights.last[k] * room[0, a * width + k]
            energies[i] += energy
            for c in range(message):
                sends[i, c] = out[a * message + c] + weights.message_bias[c]


@compiled
def _pull_network(
    rows: Any, block: int, s: int, counted: bool, features: int, weights: Any, scalars: Any, pulls: Any, room: Any
) -> None:
    """Gradient in the mixed densities of a block, to the first rows of ``rows`` and to ``pulls``.

    ``pulls`` holds the gradient in what this layer gives to the next, ``(on_mixed, on_scalars)``, and gets that in what
    it was given, which is the same plus what passes through here. Energies of blocks that are not ``counted`` do not
    matter.
    """
    on_mixed, on_scalars = pulls
    width = len(weights.second_bias)
    own = np.zeros(ATOMS)
    _perceive(rows, features, width, s, weights, own, room)
    if counted:
        matmul(scalars[block], ATOMS, width, weights.hidden, width, room[2])
        add_row(room[2], ATOMS, width, weights.hidden_bias)
        silu_and_slope(room[2], ATOMS * width, room[0], room[3])
        for a in range(ATOMS):
            for k in range(width):
                room[3, a * width + k] *= weights.last[k]
        matmul(room[3], ATOMS, width, weights.hidden_back, width, room[2])
        _add(on_scalars[block], room[2])
    matmul(on_scalars[block], ATOMS, width, weights.second_back, width, room[2])
    for k in range(ATOMS * width):
        room[2, k] *= room[1, k]
    invariants = rows[MIXED:].ravel()
    matmul(room[2], ATOMS, width, weights.first_back, 3 * features, invariants)
    polynomial = weights.polynomial if counted else np.zeros_like(weights.polynomial)
    scalar, vectors, tensors = rows[0], rows[1:7].ravel(), rows[7:17].ravel()
    for a in range(ATOMS):
        for f in range(0, features, lanes_of(rows)):
            add_products(scalar, vectors, tensors, ATOMS, features, a, f, polynomial, invariants)
    _add(on_mixed[block], rows[:MIXED].ravel())
    rows[:MIXED].ravel()[:] = on_mixed[block]


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
        As for `gnnformd.model.kernels.fused.evaluate`.
    back
        Weights from mixed densities to densities.
    now
        ``(mixed, scalars)`` of this layer.
    pulls
        ``(on_mixed, on_scalars, on_sends)``: gradient in what this layer gives to the next, those of the first two in
        all other ways but through what it sends; see `_pull_network`.
    results
        ``(energies, forces, virial, nearest, on_sent)``, see `gnnformd.model.kernels.fused.evaluate`; the last is the
        gradient in ``numbers`` of what was sent to this layer.
    """
    order, block_start, kinds, todo, depth = blocks
    mixed, scalars = now
    on_mixed, on_scalars, on_sends = pulls
    energies, forces, virial, nearest, on_sent = results
    angles, type_energies = potentials[2], potentials[3]
    like = back[0]
    inner, degrees, channels = layout[3], layout[5], layout[6]
    features, width, message = len(weights.polynomial) // 9, len(weights.second_bias), len(weights.message_bias)
    scratch, columns, ends, partners, _, room_for_pulls = _room(lists, like, layout)
    dens = np.zeros(HARMONICS * ATOMS * inner + layout[2], like.dtype)
    rows = np.zeros((MIXED + 3, ATOMS * features), like.dtype)
    room, received = np.zeros((4, ATOMS * width), like.dtype), np.zeros(ATOMS * message, like.dtype)
    far = np.array([1.0, 0.0, 0.0])
    atom_kinds = len(angles)
    silent = (0.0, pairs[1], pairs[2], pairs[3], pairs[4])
    none = np.zeros_like(constants[0][0])
    for block in range(todo[0], todo[1]):
        s, begin, counted = kinds[block], block_start[block], depth[block] == 0
        count = block_start[block + 1] - begin
        own_layout = _of_kind(layout, s)
        if len(on_sends) > 0:
            for a in range(count):
                i = order[begin + a]
                for c in range(message):
                    received[a * message + c] = on_sends[i, c]
            received[count * message :] = 0.0
            matmul(received, ATOMS, message, weights.message_back, width, room[2])
            _add(on_scalars[block], room[2])
        rows[:MIXED].ravel()[:] = mixed[block]
        _pull_network(rows, block, s, counted, features, weights, scalars, (on_mixed, on_scalars), room)
        unmix(dens, inner, features, degrees, back, s, rows[0], rows[1:7].ravel(), rows[7:17].ravel())
        paired = counted and channels == 0
        slot_constants = (constants[0][s] if paired else none, constants[1][s], constants[2][s])
        for a in range(count):
            i = order[begin + a]
            shared = gather(
                scratch,
                columns,
                ends,
                partners,
                i,
                positions,
                lists,
                slot_constants,
                pairs if paired else silent,
                nearest if paired else far,
            )
            if channels > 0:
                pull_messages(
                    scratch,
                    columns,
                    ends,
                    partners,
                    sent,
                    room_for_pulls,
                    i,
                    a,
                    dens,
                    own_layout,
                    (forces, virial, on_sent),
                )
                continue
            if counted:
                energies[i] += shared + type_energies[s]
                energies[i] += pair_energies(scratch, columns, ends, potentials[0][s], potentials[1], 1.0 / pairs[3])
                energies[i] += bend(
                    scratch, columns, ends, partners, i, atom_kinds, atom_kinds, angles[s], forces, virial
                )
            one_layer = _one_layer(own_layout)
            functions_of_slots(scratch, columns, ends, one_layer)
            pull_slots(scratch, columns, ends, partners, i, a, dens, one_layer, forces, virial)
