"""Network of one of several layers: from mixed densities of a block to what it gives the next, and the gradient back.

A layer gives mixed densities, scalars, messages and energies; see `gnnformd.model.density.layer` for the equations.
"""

from __future__ import annotations

from gnnformd.model.density.kernels.couplings import add_block_gradient, block_couplings
from gnnformd.model.density.kernels.invariants import invariants, invariants_vjp
from gnnformd.model.density.kernels.matrix import matmul, rows_for, silu_and_slope
from gnnformd.model.density.kernels.mixing import add_row, mixed_densities
from gnnformd.model.density.kernels.simd import borrowed, fill, lanes_of
from gnnformd.model.density.kernels.simd_functions import total
from gnnformd.model.density.kernels.structures import (
    INVARIANTS,
    Floats,
    LayerWeights,
    MixedDensities,
    NetworkWorkspace,
)
from gnnformd.numba_jit import kernel

__all__ = ["add", "layer_outputs", "layer_vjp"]


@kernel
def add(target: Floats, values: Floats) -> None:
    """Add numbers to numbers."""
    for k in range(len(target)):
        target[k] += values[k]


@kernel
def _first_activation(
    mixed: MixedDensities, s: int, count: int, weights: LayerWeights, workspace: NetworkWorkspace
) -> None:
    """Polynomial and invariants of so many atoms of a block, and the first activation and its derivative.

    The polynomial is added to the energies; the activation goes to the first of the rows of activations, its
    derivative to the second.
    """
    energies, activations, width = workspace.energies, workspace.activations, len(weights.second_bias)
    rows = rows_for(count)
    for a in range(count):
        energy = fill(mixed.scalars, 0.0)
        for f in range(0, mixed.features, lanes_of(mixed.scalars)):
            energy = energy + invariants(mixed, a, f, weights.polynomial)
        energies[a] += total(energy)
    if len(mixed.coupling_gradient) > 0:
        block_couplings(mixed, weights.polynomial, count, energies)
    matmul(mixed.invariants, rows, 3 * mixed.features, weights.first, width, activations[2])
    add_row(activations[2], rows, width, weights.first_bias[s])
    silu_and_slope(activations[2], rows * width, activations[0], activations[1])


@kernel
def layer_outputs(
    s: int,
    count: int,
    weights: LayerWeights,
    before: Floats,
    scalars: Floats,
    messages: Floats,
    workspace: NetworkWorkspace,
) -> None:
    """Scalars, messages and energies of a block of so many centers of species s.

    Parameters
    ----------
    before
        Scalars of the layer before, (ATOMS W,), of no numbers in the first.
    scalars, messages
        Written, (ATOMS W,) and (ATOMS C,).
    workspace
        With mixed densities; its energies are written.
    """
    weights, workspace = borrowed(weights), borrowed(workspace)
    activations, energies = workspace.activations, workspace.energies
    width, channels, rows = len(weights.second_bias), len(weights.message_bias), rows_for(count)
    energies[:] = 0.0
    _first_activation(mixed_densities(workspace), s, count, weights, workspace)
    matmul(activations[0], rows, width, weights.second, width, scalars)
    add_row(scalars, rows, width, weights.second_bias)
    if len(before) > 0:
        add(scalars[: rows * width], before)
    matmul(scalars, rows, width, weights.hidden, width, activations[2])
    add_row(activations[2], rows, width, weights.hidden_bias)
    silu_and_slope(activations[2], rows * width, activations[0], activations[1])
    for a in range(count):
        energy = 0.0
        for k in range(width):
            energy += weights.last[k] * activations[0, a * width + k]
        energies[a] += energy
    matmul(scalars, rows, width, weights.message, channels, messages)
    add_row(messages, rows, channels, weights.message_bias)


@kernel
def layer_vjp(
    s: int,
    count: int,
    on_energies: Floats,
    weights: LayerWeights,
    scalars: Floats,
    on_mixed: Floats,
    on_scalars: Floats,
    workspace: NetworkWorkspace,
) -> None:
    """Gradient in the mixed densities of a block of so many centers of species s.

    Parameters
    ----------
    on_energies
        Gradient in the energies of the block, (ATOMS,).
    scalars
        Of this layer, (ATOMS W,).
    on_mixed, on_scalars
        Gradient in mixed densities, (M ATOMS F,), and scalars through all later layers; that through this one is
        added.
    workspace
        With mixed densities, which are replaced by the gradient in them.
    """
    weights, workspace = borrowed(weights), borrowed(workspace)
    activations, width, rows = workspace.activations, len(weights.second_bias), rows_for(count)
    mixed = mixed_densities(workspace)
    _first_activation(mixed, s, count, weights, workspace)
    if on_energies.any():
        matmul(scalars, rows, width, weights.hidden, width, activations[2])
        add_row(activations[2], rows, width, weights.hidden_bias)
        silu_and_slope(activations[2], rows * width, activations[0], activations[3])
        for a in range(rows):
            for k in range(width):
                activations[3, a * width + k] *= on_energies[a] * weights.last[k]
        matmul(activations[3], rows, width, weights.hidden_transposed, width, activations[2])
        add(on_scalars, activations[2])
    matmul(on_scalars, rows, width, weights.second_transposed, width, activations[2])
    for k in range(rows * width):
        activations[2, k] *= activations[1, k]
    matmul(activations[2], rows, width, weights.first_transposed, 3 * mixed.features, mixed.invariants)
    for a in range(count):
        polynomial = weights.polynomial if on_energies[a] == 1.0 else on_energies[a] * weights.polynomial
        for f in range(0, mixed.features, lanes_of(mixed.scalars)):
            invariants_vjp(mixed, a, f, polynomial)
        if len(mixed.coupling_gradient) > 0:
            add_block_gradient(mixed, a, on_energies[a])
    own_mixed = workspace.rows[: len(workspace.rows) - INVARIANTS].ravel()
    add(on_mixed[: len(own_mixed)], own_mixed)
    own_mixed[:] = on_mixed[: len(own_mixed)]
