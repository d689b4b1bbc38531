"""Network of a model with one layer: from the densities of a block of centers to energies, and the gradient back.

The linear map between the two perceptrons of `gnnformd.model.density.layer` is part of the weights ``hidden``.
"""

from __future__ import annotations

import numpy as np

from gnnformd.model.density.kernels.couplings import add_block_gradient, block_couplings
from gnnformd.model.density.kernels.invariants import invariants, invariants_vjp
from gnnformd.model.density.kernels.matrix import matmul, rows_for, silu_and_slope
from gnnformd.model.density.kernels.mixing import add_row, mix, mix_vjp, mixed_densities
from gnnformd.model.density.kernels.simd import borrowed, fill, lanes_of
from gnnformd.model.density.kernels.simd_functions import total
from gnnformd.model.density.kernels.structures import (
    ATOMS,
    HARMONIC_COUNTS,
    INVARIANTS,
    MIXED_COUNTS,
    Doubles,
    Floats,
    Indices,
    Layer,
    MixedDensities,
    NetworkWeights,
    NetworkWorkspace,
    SurroundingsWeights,
)
from gnnformd.numba_jit import kernel

__all__ = ["block_energies", "make_workspace", "network_alone", "saturate"]


@kernel
def make_workspace(
    degree: int, features: int, width: int, surroundings: SurroundingsWeights, like: Floats
) -> NetworkWorkspace:
    """Memory for the network of a block with so high a degree, F features and perceptrons of width W."""
    rows = np.zeros((MIXED_COUNTS[degree] + INVARIANTS, ATOMS * features), like.dtype)
    gradient = np.zeros(MIXED_COUNTS[degree] * ATOMS * features if degree > 2 else 0, like.dtype)
    activations = np.zeros((4, ATOMS * width), like.dtype)
    coordinates = np.zeros(ATOMS * surroundings.offset.shape[1], like.dtype)
    products = np.zeros(ATOMS * surroundings.half_squares.shape[1], like.dtype)
    return NetworkWorkspace(rows, activations, np.zeros(ATOMS), gradient, np.zeros(ATOMS), coordinates, products)


@kernel
def block_energies(
    densities: Floats, s: int, count: int, layer: Layer[NetworkWeights], workspace: NetworkWorkspace
) -> None:
    """Energies of a block of so many centers of species s, to the workspace; densities are replaced by the gradient."""
    layer, workspace = borrowed(layer), borrowed(workspace)
    polynomial, energies, floor = layer.network.polynomial, workspace.energies, layer.network.floor[s]
    mixed = mixed_densities(workspace)
    mix(densities, layer.layout, layer.mixing, s, count, mixed)
    for a in range(count):
        energy = fill(densities, 0.0)
        for f in range(0, mixed.features, lanes_of(densities)):
            energy = energy + invariants(mixed, a, f, polynomial)
        energies[a] = total(energy)
    if len(mixed.coupling_gradient) > 0:
        block_couplings(mixed, polynomial, count, energies)
    _perceptron(mixed, s, rows_for(count), layer.network, workspace.activations, energies)
    for a in range(count):
        for f in range(0, mixed.features, lanes_of(densities)):
            invariants_vjp(mixed, a, f, polynomial)
        if len(mixed.coupling_gradient) > 0:
            add_block_gradient(mixed, a, 1.0)
        energies[a], slope = saturate(energies[a], floor)
        if slope < 1.0:
            _scale(mixed, a, slope)
    mix_vjp(densities, layer.layout, layer.mixing, s, count, mixed)


@kernel
def saturate(energy: float, floor: Doubles) -> tuple[float, float]:
    """Energy of an atom with a floor (start and depth), and its derivative by the energy without."""
    below = floor[0] - energy
    if below <= 0.0:
        return energy, 1.0
    t = np.tanh(below / floor[1])
    return floor[0] - floor[1] * t, 1.0 - t * t


@kernel
def _scale(mixed: MixedDensities, a: int, factor: float) -> None:
    """Multiply the mixed densities of an atom."""
    features = mixed.features
    for f in range(features):
        mixed.scalars[a * features + f] *= factor
    for f in range(2 * features):
        for m in range(3):
            mixed.vectors[2 * (m * ATOMS + a) * features + f] *= factor
        for m in range(5):
            mixed.tensors[2 * (m * ATOMS + a) * features + f] *= factor
        for m in range(len(mixed.thirds) // (2 * ATOMS * features)):
            mixed.thirds[2 * (m * ATOMS + a) * features + f] *= factor
        for m in range(len(mixed.fourths) // (2 * ATOMS * features)):
            mixed.fourths[2 * (m * ATOMS + a) * features + f] *= factor


@kernel
def _perceptron(
    mixed: MixedDensities, s: int, rows: int, weights: NetworkWeights, activations: Floats, energies: Floats
) -> None:
    """Add the perceptron ``last(silu(hidden(silu(first(x)))))`` to the energies; invariants become the gradient."""
    inputs, inner, width = mixed.invariants, 3 * mixed.features, len(weights.last)
    a, a_slope, c, d = activations[0], activations[1], activations[2], activations[3]
    matmul(inputs, rows, inner, weights.first, width, d)
    add_row(d, rows, width, weights.first_bias[s])
    silu_and_slope(d, rows * width, a, a_slope)
    matmul(a, rows, width, weights.hidden, width, d)
    add_row(d, rows, width, weights.hidden_bias)
    silu_and_slope(d, rows * width, a, c)
    for r in range(rows):
        energy = 0.0
        for k in range(width):
            energy += weights.last[k] * a[r * width + k]
            c[r * width + k] *= weights.last[k]
        energies[r] += energy
    matmul(c, rows, width, weights.hidden_transposed, width, d)
    for k in range(rows * width):
        d[k] *= a_slope[k]
    matmul(d, rows, width, weights.first_transposed, inner, inputs)


@kernel
def network_alone(todo: tuple[int, int], species: Indices, layer: Layer[NetworkWeights]) -> float:
    """Do `block_energies` for the full blocks from ``todo[0]`` to ``todo[1]``, so that its time can be taken.

    Parameters
    ----------
    species
        Of the centers of each block, (B,).

    Returns
    -------
    float
        Sum of the energies, which are those of atoms without neighbors.
    """
    like, inner = layer.mixing.scalars, layer.layout.inner
    degree = layer.layout.degree
    densities = np.zeros(HARMONIC_COUNTS[degree] * ATOMS * inner, like.dtype)
    network = layer.network
    workspace = make_workspace(degree, layer.mixing.constant.shape[1], len(network.last), network.surroundings, like)
    energy = 0.0
    for block in range(todo[0], todo[1]):
        densities[:] = 0.0
        block_energies(densities, species[block], ATOMS, layer, workspace)
        energy += workspace.energies.sum()
    return energy
