"""What happens between densities and energies of a block of atoms, and its gradient."""

from __future__ import annotations

from typing import Any

from gnnformd.model.kernels.matrix import matmul, silu_and_slope
from gnnformd.model.kernels.places import compiled

__all__ = ["ATOMS", "mix", "network", "unmix"]

ATOMS = 16  # of a block


@compiled
def _add_row(values: Any, rows: int, columns: int, row: Any) -> None:
    """Add a row to each row of a matrix."""
    for r in range(rows):
        for c in range(columns):
            values[r * columns + c] += row[c]


@compiled
def mix(dens: Any, inner: int, features: int, mixing: Any, s: int, scalar: Any, vectors: Any, tensors: Any) -> None:
    """Mixed densities of a block of centers of kind s."""
    constant, zero, one, two = mixing
    matmul(dens, ATOMS, inner, zero[s], features, scalar)
    _add_row(scalar, ATOMS, features, constant[s])
    matmul(dens[ATOMS * inner :], 3 * ATOMS, inner, one[s], 2 * features, vectors)
    matmul(dens[4 * ATOMS * inner :], 5 * ATOMS, inner, two[s], 2 * features, tensors)


@compiled
def unmix(dens: Any, inner: int, features: int, mixing: Any, s: int, scalar: Any, vectors: Any, tensors: Any) -> None:
    """Gradient in the densities from that in the mixed ones."""
    zero, one, two = mixing
    matmul(scalar, ATOMS, features, zero[s], inner, dens)
    matmul(vectors, 3 * ATOMS, 2 * features, one[s], inner, dens[ATOMS * inner :])
    matmul(tensors, 5 * ATOMS, 2 * features, two[s], inner, dens[4 * ATOMS * inner :])


@compiled
def network(invariants: Any, features: int, width: int, weights: Any, s: int, room: Any, energies: Any) -> None:
    """Energies of a block of centers of kind s from their invariants, which are replaced by the gradient in them.

    ``s = skip(x) + second(silu(first(x)))`` and ``E = linear(s) + last(silu(hidden(silu(s))))`` (see
    `gnnformd.model.density_layer`); the scale of the energies is part of ``linear`` and ``last``.
    """
    first_bias, both, both_back, second, second_back, second_bias, hidden, hidden_back, hidden_bias = weights[:9]
    linear, last = weights[9], weights[10]
    size = ATOMS * width
    wide, a, a_slope = room[: 2 * size], room[2 * size : 3 * size], room[3 * size : 4 * size]
    b, b_slope, c, c_slope, d = (
        room[4 * size : 5 * size],
        room[5 * size : 6 * size],
        room[6 * size : 7 * size],
        room[7 * size : 8 * size],
        room[8 * size : 9 * size],
    )
    matmul(invariants, ATOMS, 5 * features, both, 2 * width, wide)
    for r in range(ATOMS):
        for k in range(width):
            d[r * width + k] = wide[2 * r * width + k] + first_bias[s, k]
    silu_and_slope(d, size, a, a_slope)
    matmul(a, ATOMS, width, second, width, d)
    for r in range(ATOMS):
        for k in range(width):
            d[r * width + k] += second_bias[k] + wide[(2 * r + 1) * width + k]
    silu_and_slope(d, size, b, b_slope)
    matmul(b, ATOMS, width, hidden, width, a)
    _add_row(a, ATOMS, width, hidden_bias)
    silu_and_slope(a, size, c, c_slope)
    for r in range(ATOMS):
        energy = 0.0
        for k in range(width):
            energy += linear[k] * d[r * width + k] + last[k] * c[r * width + k]
            c[r * width + k] = last[k] * c_slope[r * width + k]
        energies[r] = energy
    matmul(c, ATOMS, width, hidden_back, width, d)
    for r in range(ATOMS):
        for k in range(width):
            d[r * width + k] = linear[k] + d[r * width + k] * b_slope[r * width + k]
    matmul(d, ATOMS, width, second_back, width, c)
    for r in range(ATOMS):
        for k in range(width):
            wide[2 * r * width + k] = c[r * width + k] * a_slope[r * width + k]
            wide[(2 * r + 1) * width + k] = d[r * width + k]
    matmul(wide, ATOMS, 2 * width, both_back, 5 * features, invariants)
