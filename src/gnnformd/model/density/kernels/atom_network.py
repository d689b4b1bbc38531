"""What happens between densities and energies of a block of atoms, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnformd.model.density.kernels.invariants import add_products, products
from gnnformd.model.density.kernels.matrix import matmul, silu_and_slope
from gnnformd.model.density.kernels.neighbor_scratch import HARMONICS, compiled
from gnnformd.model.density.kernels.simd import fill, lanes_of
from gnnformd.model.density.kernels.simd_functions import total

__all__ = ["ATOMS", "add_row", "energies_of_block", "mix", "network_alone", "unmix"]

ATOMS = 16  # of a block


@compiled
def add_row(values: Any, rows: int, columns: int, row: Any) -> None:
    """Add a row to each row of a matrix."""
    for r in range(rows):
        for c in range(columns):
            values[r * columns + c] += row[c]


@compiled
def mix(
    dens: Any, inner: int, features: int, degrees: int, mixing: Any, s: int, scalar: Any, vectors: Any, tensors: Any
) -> None:
    """Mixed densities of a block of centers of kind s."""
    constant, zero, one, two = mixing
    matmul(dens, ATOMS, inner, zero[s], features, scalar)
    add_row(scalar, ATOMS, features, constant[s])
    if degrees > 0:
        matmul(dens[ATOMS * inner :], 3 * ATOMS, inner, one[s], 2 * features, vectors)
        matmul(dens[4 * ATOMS * inner :], 5 * ATOMS, inner, two[s], 2 * features, tensors)


@compiled
def unmix(
    dens: Any, inner: int, features: int, degrees: int, mixing: Any, s: int, scalar: Any, vectors: Any, tensors: Any
) -> None:
    """Gradient in the densities from that in the mixed ones."""
    zero, one, two = mixing
    matmul(scalar, ATOMS, features, zero[s], inner, dens)
    if degrees > 0:
        matmul(vectors, 3 * ATOMS, 2 * features, one[s], inner, dens[ATOMS * inner :])
        matmul(tensors, 5 * ATOMS, 2 * features, two[s], inner, dens[4 * ATOMS * inner :])


@compiled
def _network(invariants: Any, features: int, width: int, weights: Any, s: int, room: Any, energies: Any) -> None:
    """Add the perceptron of a block of centers of kind s to their energies; replace its inputs by the gradient in them.

    ``E = last(silu(hidden(silu(first(x)))))`` with the linear map between the two perceptrons of
    `gnnformd.model.density.layer` worked into ``hidden``, and the scale of the energies into ``last``.

    Parameters
    ----------
    invariants
        Those that the perceptron is given, (ATOMS, 3 F).
    """
    first_bias, first, first_back, hidden, hidden_back, hidden_bias, last = weights[1:8]
    size = ATOMS * width
    a, a_slope, c, d = room[:size], room[size : 2 * size], room[2 * size : 3 * size], room[3 * size : 4 * size]
    matmul(invariants, ATOMS, 3 * features, first, width, d)
    add_row(d, ATOMS, width, first_bias[s])
    silu_and_slope(d, size, a, a_slope)
    matmul(a, ATOMS, width, hidden, width, d)
    add_row(d, ATOMS, width, hidden_bias)
    silu_and_slope(d, size, a, c)
    for r in range(ATOMS):
        energy = 0.0
        for k in range(width):
            energy += last[k] * a[r * width + k]
            c[r * width + k] *= last[k]
        energies[r] += energy
    matmul(c, ATOMS, width, hidden_back, width, d)
    for k in range(size):
        d[k] *= a_slope[k]
    matmul(d, ATOMS, width, first_back, 3 * features, invariants)


@compiled
def energies_of_block(
    dens: Any, inner: int, degrees: int, kind: int, mixing: Any, weights: Any, rows: Any, room: Any, own: Any
) -> None:
    """Energies of the atoms of a block from their densities, and in the place of these the derivatives.

    ``rows`` is room for mixtures and invariants, (20, ATOMS * features), ``room`` for the perceptron.
    """
    there, back = mixing
    features, polynomial = there[0].shape[1], weights[0]
    scalar, vectors, tensors, invariants = rows[0], rows[1:7].ravel(), rows[7:17].ravel(), rows[17:].ravel()
    mix(dens, inner, features, degrees, there, kind, scalar, vectors, tensors)
    for a in range(ATOMS):
        energy = fill(dens, 0.0)
        for f in range(0, features, lanes_of(dens)):
            energy = energy + products(scalar, vectors, tensors, ATOMS, features, a, f, polynomial, invariants)
        own[a] = total(energy)
    _network(invariants, features, len(weights[7]), weights, kind, room, own)
    for a in range(ATOMS):
        for f in range(0, features, lanes_of(dens)):
            add_products(scalar, vectors, tensors, ATOMS, features, a, f, polynomial, invariants)
    unmix(dens, inner, features, degrees, back, kind, scalar, vectors, tensors)


@compiled
def network_alone(kinds: Any, todo: Any, layout: Any, mixing: Any, weights: Any) -> float:
    """Do `energies_of_block` for some blocks, for its time to be taken.

    Parameters
    ----------
    kinds, todo
        Kind of the atoms of each block, and the range of blocks.
    layout, mixing, weights
        As for `gnnformd.model.density.kernels.one_layer.evaluate`.

    Returns
    -------
    float
        Sum of the energies, which are those of atoms without neighbors.
    """
    like, inner = mixing[0][1], layout[3]
    dens = np.zeros(HARMONICS * ATOMS * inner, like.dtype)
    rows = np.zeros((20, ATOMS * mixing[0][0].shape[1]), like.dtype)
    room, own = np.zeros(4 * ATOMS * len(weights[7]), like.dtype), np.zeros(ATOMS)
    energy = 0.0
    for block in range(todo[0], todo[1]):
        dens[:] = 0.0
        energies_of_block(dens, inner, layout[5], kinds[block], mixing, weights, rows, room, own)
        energy += own.sum()
    return energy
