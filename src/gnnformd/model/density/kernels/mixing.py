"""From the densities of a block of centers to mixed densities, and the gradient back."""

from __future__ import annotations

from gnnformd.model.density.kernels.matrix import matmul, rows_for
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
def _map_components(x: Floats, components: int, rows: int, inner: int, w: Floats, columns: int, out: Floats) -> None:
    """Map the first rows of each component: (components, ATOMS, inner) to (components, ATOMS, columns)."""
    if rows == ATOMS:
        matmul(x, components * ATOMS, inner, w, columns, out)
        return
    for m in range(components):
        matmul(x[m * ATOMS * inner :], rows, inner, w, columns, out[m * ATOMS * columns :])


@kernel
def mix(densities: Floats, layout: Layout, weights: MixingWeights, s: int, count: int, mixed: MixedDensities) -> None:
    """Mixed densities from the densities (harmonics, ATOMS, inner) of a block of so many centers of species s."""
    inner, features, rows = layout.inner, mixed.features, rows_for(count)
    matmul(densities, rows, inner, weights.scalars[s], features, mixed.scalars)
    add_row(mixed.scalars, rows, features, weights.constant[s])
    if layout.degree > 0:
        vectors, tensors = densities[ATOMS * inner :], densities[4 * ATOMS * inner :]
        _map_components(vectors, 3, rows, inner, weights.vectors[s], 2 * features, mixed.vectors)
        _map_components(tensors, 5, rows, inner, weights.tensors[s], 2 * features, mixed.tensors)
    if layout.degree > 2:
        thirds = densities[9 * ATOMS * inner :]
        _map_components(thirds, 7, rows, inner, weights.thirds[s], 2 * features, mixed.thirds)
    if layout.degree > 3:
        fourths = densities[16 * ATOMS * inner :]
        _map_components(fourths, 9, rows, inner, weights.fourths[s], 2 * features, mixed.fourths)


@kernel
def mix_vjp(
    gradient: Floats, layout: Layout, weights: MixingWeights, s: int, count: int, mixed: MixedDensities
) -> None:
    """Gradient in the densities, (harmonics, ATOMS, inner), from that in the mixed densities, which ``mixed`` holds."""
    inner, features, rows = layout.inner, mixed.features, rows_for(count)
    matmul(mixed.scalars, rows, features, weights.scalars_transposed[s], inner, gradient)
    if layout.degree > 0:
        vectors, tensors = gradient[ATOMS * inner :], gradient[4 * ATOMS * inner :]
        _map_components(mixed.vectors, 3, rows, 2 * features, weights.vectors_transposed[s], inner, vectors)
        _map_components(mixed.tensors, 5, rows, 2 * features, weights.tensors_transposed[s], inner, tensors)
    if layout.degree > 2:
        thirds = gradient[9 * ATOMS * inner :]
        _map_components(mixed.thirds, 7, rows, 2 * features, weights.thirds_transposed[s], inner, thirds)
    if layout.degree > 3:
        fourths = gradient[16 * ATOMS * inner :]
        _map_components(mixed.fourths, 9, rows, 2 * features, weights.fourths_transposed[s], inner, fourths)
