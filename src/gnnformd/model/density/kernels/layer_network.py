"""What happens between mixed densities and what a layer gives to the next, for a block of atoms, and its gradient.

A layer gives mixed densities, scalars, messages and energies; see `gnnformd.model.density.layer` for the equations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gnnformd.model.density.kernels.atom_network import ATOMS, add_row
from gnnformd.model.density.kernels.invariants import add_products, products
from gnnformd.model.density.kernels.matrix import matmul, silu_and_slope
from gnnformd.model.density.kernels.neighbor_scratch import compiled
from gnnformd.model.density.kernels.simd import fill, lanes_of
from gnnformd.model.density.kernels.simd_functions import total

__all__ = ["MIXED", "LayerWeights", "add", "network", "pull_network"]

MIXED = 17
"""Mixed densities of an atom and a feature: one of degree zero, two of each component of other degrees."""


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
def add(target: Any, values: Any) -> None:
    """Add numbers to numbers."""
    for k in range(len(target)):
        target[k] += values[k]


@compiled
def network(
    rows: Any, features: int, s: int, weights: Any, before: Any, scalars: Any, room: Any, energies: Any, out: Any
) -> None:
    """Scalars (ATOMS W), messages ``out`` (ATOMS C) and energies (ATOMS,) of a block of centers of kind s.

    Parameters
    ----------
    rows, room
        As for `_perceive`.
    before
        Scalars of the layer before, of no numbers in the first.
    """
    width, message = len(weights.second_bias), len(weights.message_bias)
    energies[:] = 0.0
    _perceive(rows, features, width, s, weights, energies, room)
    matmul(room[0], ATOMS, width, weights.second, width, scalars)
    add_row(scalars, ATOMS, width, weights.second_bias)
    if len(before) > 0:
        add(scalars, before)
    matmul(scalars, ATOMS, width, weights.hidden, width, room[2])
    add_row(room[2], ATOMS, width, weights.hidden_bias)
    silu_and_slope(room[2], ATOMS * width, room[0], room[1])
    for a in range(ATOMS):
        energy = 0.0
        for k in range(width):
            energy += weights.last[k] * room[0, a * width + k]
        energies[a] += energy
    matmul(scalars, ATOMS, width, weights.message, message, out)
    add_row(out, ATOMS, message, weights.message_bias)


@compiled
def pull_network(
    rows: Any, features: int, s: int, counted: bool, weights: Any, scalars: Any, pulls: Any, room: Any
) -> None:
    """Gradient in the mixed densities of a block of centers of kind s, to the first rows of ``rows`` and to ``pulls``.

    Parameters
    ----------
    rows, room
        As for `_perceive`.
    counted
        Whether the energies of the block matter.
    scalars
        Of this layer, (ATOMS W,).
    pulls
        ``(on_mixed, on_scalars)``: gradient in mixed densities and scalars through all later layers; gets that through
        this one, too.
    """
    on_mixed, on_scalars = pulls
    width = len(weights.second_bias)
    own = np.zeros(ATOMS)
    _perceive(rows, features, width, s, weights, own, room)
    if counted:
        matmul(scalars, ATOMS, width, weights.hidden, width, room[2])
        add_row(room[2], ATOMS, width, weights.hidden_bias)
        silu_and_slope(room[2], ATOMS * width, room[0], room[3])
        for a in range(ATOMS):
            for k in range(width):
                room[3, a * width + k] *= weights.last[k]
        matmul(room[3], ATOMS, width, weights.hidden_back, width, room[2])
        add(on_scalars, room[2])
    matmul(on_scalars, ATOMS, width, weights.second_back, width, room[2])
    for k in range(ATOMS * width):
        room[2, k] *= room[1, k]
    invariants = rows[MIXED:].ravel()
    matmul(room[2], ATOMS, width, weights.first_back, 3 * features, invariants)
    polynomial = weights.polynomial if counted else np.zeros_like(weights.polynomial)
    scalar, vectors, tensors = rows[0], rows[1:7].ravel(), rows[7:17].ravel()
    for a in range(ATOMS):
        for f in range(0, features, lanes_of(rows)):
            add_products(scalar, vectors, tensors, ATOMS, features, a, f, polynomial, invariants)
    add(on_mixed, rows[:MIXED].ravel())
    rows[:MIXED].ravel()[:] = on_mixed
