"""Layers of a density model with several, one after the other: forwards to energies, backwards to forces and virial.

Of each layer the mixed densities and scalars of all blocks are kept; densities, invariants and activations are computed
again on the way back.
"""

from __future__ import annotations

import numpy as np

from gnnformd.model.density.kernels.angle_terms import angle_energies
from gnnformd.model.density.kernels.energy_network import make_workspace
from gnnformd.model.density.kernels.group_sums import group_densities, group_functions, groups_vjp
from gnnformd.model.density.kernels.layer_network import add, layer_outputs, layer_vjp
from gnnformd.model.density.kernels.matrix import matmul, rows_for
from gnnformd.model.density.kernels.messages import message_densities, messages_vjp
from gnnformd.model.density.kernels.mixing import mix, mix_vjp, mixed_densities
from gnnformd.model.density.kernels.neighbor_lists import columns_needed
from gnnformd.model.density.kernels.neighbor_scratch import RECEIVED
from gnnformd.model.density.kernels.one_layer import layout_of
from gnnformd.model.density.kernels.pair_terms import find_neighbors, pair_energies, parameters_of
from gnnformd.model.density.kernels.simd import borrowed, lanes_of
from gnnformd.model.density.kernels.structures import (
    ATOMS,
    HARMONIC_COUNTS,
    INVARIANTS,
    Doubles,
    EnergyTerms,
    Floats,
    Forces,
    Indices,
    Layer,
    LayerGradients,
    LayerInputs,
    LayerOutputs,
    LayerResults,
    LayerWeights,
    Layout,
    Neighborhood,
    NeighborLists,
    PairParameters,
    SumWorkspace,
)
from gnnformd.model.density.kernels.surroundings import block_grades
from gnnformd.numba_jit import kernel

__all__ = ["layer_backward", "layer_forward"]


@kernel
def _make_neighborhood(lists: NeighborLists, layout: Layout, like: Floats) -> Neighborhood:
    """Memory for the neighbors of any center."""
    groups, columns = lists.bounds.shape[1] - 1, columns_needed(lists.bounds, lanes_of(like))
    values = np.empty((RECEIVED + layout.channels + 2 * layout.padded) * columns, like.dtype)
    begin, end = np.zeros(groups, np.int64), np.zeros(groups, np.int64)
    return Neighborhood(values, columns, begin, end, np.zeros(columns, np.int64), 0, 0)


@kernel
def _around(hood: Neighborhood, i: int, a: int) -> Neighborhood:
    """Use the same memory for the neighbors of center i, in row a of its block; ``hood`` has to outlive the result."""
    hood = borrowed(hood)
    return Neighborhood(hood.values, hood.columns, hood.begin, hood.end, hood.atom, i, a)


@kernel
def _make_sums(columns: int, layout: Layout, like: Floats) -> SumWorkspace:
    padded, size = layout.padded, HARMONIC_COUNTS[layout.degree] * layout.padded
    transposed, sums = np.empty(columns * padded, like.dtype), np.empty(size, like.dtype)
    return SumWorkspace(transposed, sums, np.zeros(layout.channels * size, like.dtype))


@kernel
def _without_energies(pairs: PairParameters) -> PairParameters:
    """Pairs that have a contact distance but neither Coulomb energy nor repulsion."""
    charge = np.zeros_like(pairs.charge)
    return PairParameters(
        charge, pairs.weight, pairs.contact, 0.0, pairs.cutoff, pairs.switch, pairs.step, pairs.smooth
    )


@kernel
def layer_forward(
    todo: tuple[int, int],
    positions: Doubles,
    lists: NeighborLists,
    pairs: PairParameters,
    layer: Layer[LayerWeights],
    inputs: LayerInputs,
    outputs: LayerOutputs,
) -> None:
    """One layer of the blocks from ``todo[0]`` to ``todo[1]``: mixed densities, scalars, messages, energies.

    Parameters
    ----------
    todo, positions, lists, layer
        As for `gnnformd.model.density.kernels.one_layer.evaluate`.
    pairs
        Contact distances are needed; energies are not computed here.
    inputs, outputs
        Different blocks write different parts of the outputs.
    """
    lists, layer, inputs, outputs = borrowed(lists), borrowed(layer), borrowed(inputs), borrowed(outputs)
    blocks, layout, weights = lists.blocks, layer.layout, layer.network
    like, channels = layer.mixing.scalars, len(weights.message_bias)
    hood = _make_neighborhood(lists, layout, like)
    sums = _make_sums(hood.columns, layout, like)
    densities = np.zeros(HARMONIC_COUNTS[layout.degree] * ATOMS * layout.inner + layout.padded, like.dtype)
    features, width = layer.mixing.constant.shape[1], len(weights.second_bias)
    workspace = make_workspace(layout.degree, features, width, weights.surroundings, like)
    mixed = mixed_densities(workspace)
    own_mixed = workspace.rows[: len(workspace.rows) - INVARIANTS].ravel()
    messages, nearest, nothing = np.zeros(ATOMS * channels, like.dtype), np.array([1.0, 0.0, 0.0]), densities[:0]
    silent = _without_energies(pairs)
    for block in range(todo[0], todo[1]):
        s, first = blocks.species[block], blocks.start[block]
        count = blocks.start[block + 1] - first
        own_pairs, own_layout = parameters_of(silent, s), layout_of(layout, s)
        densities[:] = 0.0
        for a in range(count):
            own = _around(hood, blocks.order[first + a], a)
            find_neighbors(own, positions, lists, own_pairs, nearest)
            if layout.channels == 0:
                group_densities(own, own_layout, sums.transposed, densities)
            else:
                message_densities(own, own_layout, inputs.sent, sums, densities)
        mix(densities, layout, layer.mixing, s, count, mixed)
        if len(inputs.mixed) > 0:
            add(own_mixed, inputs.mixed[block])
        outputs.mixed[block, : len(own_mixed)] = own_mixed
        before = inputs.scalars[block] if len(inputs.scalars) > 0 else nothing
        layer_outputs(s, count, weights, before, outputs.scalars[block], messages, workspace)
        if len(outputs.grades) > 0:
            block_grades(workspace.activations[0], s, count, width, weights.surroundings, workspace)
            for a in range(count):
                outputs.grades[blocks.order[first + a]] = workspace.grades[a]
        for a in range(count):
            i = blocks.order[first + a]
            outputs.energies[i] += workspace.energies[a]
            outputs.sent[i] = messages[a * channels : (a + 1) * channels]


@kernel
def _center_energy(hood: Neighborhood, s: int, terms: EnergyTerms, sums: Forces) -> float:
    """Energy of a center, network and `find_neighbors` left out; slopes of pairs are added to PAIR_SLOPE."""
    energy = terms.species[s] + pair_energies(hood, terms.tables.table[s], terms.tables.tables, terms.pairs.step)
    return energy + angle_energies(hood, terms.angles[s], sums)


@kernel
def _scalars_from_messages(
    centers: Indices, on_sent: Floats, weights: LayerWeights, messages: Floats, out: Floats
) -> None:
    """Gradient in the scalars of a block (ATOMS W) through what it sends; ``messages`` (ATOMS C) is written over."""
    channels, count = len(weights.message_bias), len(centers)
    for a in range(count):
        messages[a * channels : (a + 1) * channels] = on_sent[centers[a]]
    messages[count * channels :] = 0.0
    matmul(messages, rows_for(count), channels, weights.message_transposed, len(weights.second_bias), out)


@kernel
def layer_backward(
    todo: tuple[int, int],
    positions: Doubles,
    lists: NeighborLists,
    terms: EnergyTerms,
    layer: Layer[LayerWeights],
    gradients: LayerGradients,
    results: LayerResults,
) -> None:
    """Add what one layer of some blocks gives to forces and virial, and to the gradient in what it was given.

    Parameters
    ----------
    todo, positions, lists, layer
        As for `layer_forward`. Energies of centers of depth zero count.
    terms
        Energies without a network; they are added in the first layer.
    gradients
        What the layer gave, and the gradient in it.
    results
        Added to.
    """
    lists, terms, layer = borrowed(lists), borrowed(terms), borrowed(layer)
    gradients, results = borrowed(gradients), borrowed(results)
    blocks, layout, weights = lists.blocks, layer.layout, layer.network
    like, channels = layer.mixing.scalars, layout.channels
    hood = _make_neighborhood(lists, layout, like)
    sums = _make_sums(hood.columns, layout, like)
    densities = np.zeros(HARMONIC_COUNTS[layout.degree] * ATOMS * layout.inner + layout.padded, like.dtype)
    features, width = layer.mixing.constant.shape[1], len(weights.second_bias)
    workspace = make_workspace(layout.degree, features, width, weights.surroundings, like)
    mixed = mixed_densities(workspace)
    own_mixed = workspace.rows[: len(workspace.rows) - INVARIANTS].ravel()
    messages = np.zeros(ATOMS * len(weights.message_bias), like.dtype)
    on_energies = np.zeros(ATOMS, like.dtype)
    ignored = np.array([1.0, 0.0, 0.0])
    silent = _without_energies(terms.pairs)
    for block in range(todo[0], todo[1]):
        s, first, counted = blocks.species[block], blocks.start[block], blocks.depth[block] == 0
        centers = blocks.order[first : blocks.start[block + 1]]
        own_layout, on_scalars = layout_of(layout, s), gradients.on_scalars[block]
        if len(gradients.on_sent) > 0:
            _scalars_from_messages(centers, gradients.on_sent, weights, messages, workspace.activations[2])
            add(on_scalars, workspace.activations[2])
        own_mixed[:] = gradients.mixed[block, : len(own_mixed)]
        on_energies[len(centers) :] = 0.0
        for a in range(len(centers)):
            on_energies[a] = gradients.on_energies[centers[a]]
        layer_vjp(
            s,
            len(centers),
            on_energies,
            weights,
            gradients.scalars[block],
            gradients.on_mixed[block],
            on_scalars,
            workspace,
        )
        mix_vjp(densities, layout, layer.mixing, s, len(centers), mixed)
        with_pairs = counted and channels == 0
        pairs = parameters_of(terms.pairs, s) if with_pairs else parameters_of(silent, s)
        nearest = results.nearest if with_pairs else ignored
        for a in range(len(centers)):
            i = centers[a]
            own = _around(hood, i, a)
            energy = find_neighbors(own, positions, lists, pairs, nearest)
            if channels > 0:
                messages_vjp(own, own_layout, gradients.received, densities, sums, results)
                continue
            if counted:
                results.energies[i] += energy + _center_energy(own, s, terms, results.sums)
            group_functions(own, own_layout)
            groups_vjp(own, own_layout, densities, results.sums)
