"""From the densities of a block of centers to mixed densities, and the gradient back."""

from __future__ import annotations

from gnnformd.model.density.kernels.matrix import matmul
from gnnformd.model.density.kernels.structures import (
    ATOMS,
    INVARIANTS,
    Floats,
    Layout,
    MixedDensities,
    MixingWeights,
    NetworkWorkspace,
)
from gnnformd.numba_jit import kernel

__all__ = ["add_row", "mix", "mix_vjp", "mixed_densities"]


@kernel
def mixed_densities(workspace: NetworkWorkspace) -> MixedDensities:
    """Look at the rows of a workspace as mixed densities and invariants."""
    rows = workspace.rows
    features, last = rows.shape[1] // ATOMS, rows.shape[0] - INVARIANTS
    vectors, tensors, thirds, fourths = rows[1:7], rows[7:17], rows[17 : min(31, last)], rows[31:last]
    return MixedDensities(
        rows[0],
        vectors.ravel(),
        tensors.ravel(),
        thirds.ravel(),
        fourths.ravel(),
        rows[last:].ravel(),
        features,
        rows.ravel(),
        workspace.coupling_gradient,
    )


@kernel
def add_row(values: Floats, rows: int, columns: int, row: Floats) -> None:
    """Add a row to each row of a matrix."""
    for r in range(rows):
        for c in range(columns):
            values[r * columns + c] += row[c]


@kernel
def mix(densities: Floats, layout: Layout, weights: MixingWeights, s: int, mixed: MixedDensities) -> None:
    """Mixed densities from the densities (harmonics, ATOMS, inner) of a block of centers of species s."""
    inner, features = layout.inner, mixed.features
    matmul(densities, ATOMS, inner, weights.scalars[s], features, mixed.scalars)
    add_row(mixed.scalars, ATOMS, features, weights.constant[s])
    if layout.degree > 0:
        matmul(densities[ATOMS * inner :], 3 * ATOMS, inner, weights.vectors[s], 2 * features, mixed.vectors)
        matmul(densities[4 * ATOMS * inner :], 5 * ATOMS, inner, weights.tensors[s], 2 * features, mixed.tensors)
    if layout.degree > 2:
        matmul(densities[9 * ATOMS * inner :], 7 * ATOMS, inner, weights.thirds[s], 2 * features, mixed.thirds)
    if layout.degree > 3:
        matmul(densities[16 * ATOMS * inner :], 9 * ATOMS, inner, weights.fourths[s], 2 * features, mixed.fourths)


@kernel
def mix_vjp(gradient: Floats, layout: Layout, weights: MixingWeights, s: int, mixed: MixedDensities) -> None:
    """Gradient in the densities, (harmonics, ATOMS, inner), from that in the mixed densities, which ``mixed`` holds."""
    inner, features = layout.inner, mixed.features
    matmul(mixed.scalars, ATOMS, features, weights.scalars_transposed[s], inner, gradient)
    if layout.degree > 0:
        vectors, tensors = gradient[ATOMS * inner :], gradient[4 * ATOMS * inner :]
        matmul(mixed.vectors, 3 * ATOMS, 2 * features, weights.vectors_transposed[s], inner, vectors)
        matmul(mixed.tensors, 5 * ATOMS, 2 * features, weights.tensors_transposed[s], inner, tensors)
    if layout.degree > 2:
        thirds = gradient[9 * ATOMS * inner :]
        matmul(mixed.thirds, 7 * ATOMS, 2 * features, weights.thirds_transposed[s], inner, thirds)
    if layout.degree > 3:
        fourths = gradient[16 * ATOMS * inner :]
        matmul(mixed.fourths, 9 * ATOMS, 2 * features, weights.fourths_transposed[s], inner, fourths)
