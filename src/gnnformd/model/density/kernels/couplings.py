"""Couplings of three mixed densities (`gnnformd.model.density.couplings`), for trainings and for engines.

In trainings mixed densities are (M, N, F): a row begins at its number times ``unit``, which is N F. In engines they are
those of a block (`MixedDensities`).
"""

from __future__ import annotations

import numpy as np

from gnnformd.model.density.couplings import COUPLINGS, coupling_terms, couplings_up_to
from gnnformd.model.density.kernels.simd import Vector, fill, lanes_of, load
from gnnformd.model.density.kernels.simd_functions import total
from gnnformd.model.density.kernels.structures import ATOMS, MIXED_COUNTS, Doubles, Floats, MixedDensities
from gnnformd.model.density.kernels.tensor_products import add_to
from gnnformd.model.density.layer import PRODUCTS
from gnnformd.numba_jit import kernel

__all__ = [
    "COUPLING_COUNTS",
    "add_block_gradient",
    "block_couplings",
    "couplings",
    "couplings_second",
    "couplings_vjp",
]

COUPLING_COUNTS = tuple(len(couplings_up_to(degree)) for degree in range(5))
"""Couplings of a layer with so high a degree."""

PRODUCT_COUNT = len(PRODUCTS)
"""Products whose weights stand before those of the couplings in an engine."""

_TERMS = [coupling_terms(name) for name in COUPLINGS]
_STARTS = np.cumsum([0, *(len(values) for _, values in _TERMS)])
_VALUES = np.concatenate([values.numpy() for _, values in _TERMS])

_ROWS = np.concatenate([rows.numpy() for rows, _ in _TERMS])
"""Rows of the three factors of each term among (M, N, F)."""


def _block_offset(row: int) -> int:
    """Where a row begins in the rows of a `NetworkWorkspace`, in units of F: two mixtures lie side by side."""
    first, components = next((f, m) for f, m in ((31, 9), (17, 7), (7, 5), (1, 3), (0, 1)) if row >= f)
    mixture, component = divmod(row - first, components)
    return (first + 2 * component) * ATOMS + mixture


_OFFSETS = np.array([_block_offset(row) for row in range(MIXED_COUNTS[-1])])
_BLOCK_OFFSETS = _OFFSETS[_ROWS]
"""Where these rows begin in a block, in units of F; atom ``a`` begins 2 a F behind."""


@kernel
def couplings(mixed: Floats, unit: int, at: int, count: int, weights: Floats, first: int, features: int) -> Vector:
    """Sum of the first ``count`` couplings times their weights, at ``first``, ``first + features``, ..."""
    energy = fill(mixed, 0.0)
    for c in range(count):
        product = fill(mixed, 0.0)
        for t in range(_STARTS[c], _STARTS[c + 1]):
            x, y = load(mixed, _ROWS[t, 0] * unit + at), load(mixed, _ROWS[t, 1] * unit + at)
            product = product + _VALUES[t] * x * y * load(mixed, _ROWS[t, 2] * unit + at)
        energy = energy + load(weights, first + c * features) * product
    return energy


@kernel
def couplings_vjp(
    mixed: Floats,
    unit: int,
    at: int,
    count: int,
    weights: Floats,
    first: int,
    features: int,
    on_energy: Vector,
    out: Floats,
    out_weights: Floats,
) -> None:
    """Add the gradients of ``on_energy`` times `couplings` in the mixed densities, (M, N, F) too, and the weights."""
    for c in range(count):
        weight, product = on_energy * load(weights, first + c * features), fill(mixed, 0.0)
        for t in range(_STARTS[c], _STARTS[c + 1]):
            i, j, k = _ROWS[t, 0] * unit + at, _ROWS[t, 1] * unit + at, _ROWS[t, 2] * unit + at
            x, y, z, factor = load(mixed, i), load(mixed, j), load(mixed, k), _VALUES[t] * weight
            add_to(out, i, factor * y * z)
            add_to(out, j, factor * x * z)
            add_to(out, k, factor * x * y)
            product = product + _VALUES[t] * x * y * z
        add_to(out_weights, first + c * features, on_energy * product)


@kernel
def block_couplings(mixed: MixedDensities, weights: Floats, count: int, energies: Doubles) -> None:
    """Add the couplings of so many atoms of a block to their energies; their gradients go to ``coupling_gradient``.

    Each term is done for all of these atoms, one after the other. The energy is a third of the gradient times the
    mixed densities, since it is of degree three in them.
    """
    rows, gradient, features = mixed.rows, mixed.coupling_gradient, mixed.features
    gradient[:] = 0.0
    for c in range(_block_count(mixed)):
        for t in range(_STARTS[c], _STARTS[c + 1]):
            i, j, k = _BLOCK_OFFSETS[t, 0] * features, _BLOCK_OFFSETS[t, 1] * features, _BLOCK_OFFSETS[t, 2] * features
            value = _VALUES[t]
            for f in range(0, features, lanes_of(rows)):
                weight = value * load(weights, (PRODUCT_COUNT + c) * features + f)
                for a in range(count):
                    at = 2 * a * features + f
                    x, y, z = load(rows, i + at), load(rows, j + at), load(rows, k + at)
                    add_to(gradient, i + at, weight * y * z)
                    add_to(gradient, j + at, weight * x * z)
                    add_to(gradient, k + at, weight * x * y)
    for a in range(count):
        energy = fill(rows, 0.0)
        for line in range(1, len(gradient) // (ATOMS * features), 2):
            first = (line * ATOMS + 2 * a) * features
            for f in range(first, first + 2 * features, lanes_of(rows)):
                energy = energy + load(rows, f) * load(gradient, f)
        energies[a] += total(energy) / 3.0


@kernel
def _block_count(mixed: MixedDensities) -> int:
    return COUPLING_COUNTS[4 if len(mixed.fourths) > 0 else 3]


@kernel
def add_block_gradient(mixed: MixedDensities, a: int, on_energy: float) -> None:
    """Add ``on_energy`` times the gradient that `block_couplings` left to what stands in the rows of atom ``a``."""
    rows, gradient, features = mixed.rows, mixed.coupling_gradient, mixed.features
    for line in range(1, len(gradient) // (ATOMS * features), 2):
        first = (line * ATOMS + 2 * a) * features
        for f in range(first, first + 2 * features, lanes_of(rows)):
            add_to(rows, f, on_energy * load(gradient, f))


@kernel
def couplings_second(
    mixed: Floats,
    change: Floats,
    unit: int,
    at: int,
    count: int,
    weights: Floats,
    first: int,
    features: int,
    on_energy: Vector,
    out: Floats,
    out_weights: Floats,
) -> Vector:
    """Differentiate what `couplings_vjp` adds along a change of the mixed densities; add that to ``out``.

    Arrays are (M, N, F). Adds ``on_energy`` times the change of each coupling to the weights' gradient; returns the
    change of `couplings`.
    """
    energy = fill(mixed, 0.0)
    for c in range(count):
        weight = load(weights, first + c * features)
        along = fill(mixed, 0.0)
        for t in range(_STARTS[c], _STARTS[c + 1]):
            i, j, k = _ROWS[t, 0] * unit + at, _ROWS[t, 1] * unit + at, _ROWS[t, 2] * unit + at
            x, y, z = load(mixed, i), load(mixed, j), load(mixed, k)
            dx, dy, dz = load(change, i), load(change, j), load(change, k)
            yz, xz, xy = dy * z + y * dz, dx * z + x * dz, dx * y + x * dy
            along = along + _VALUES[t] * (dx * y * z + x * yz)
            factor = _VALUES[t] * weight * on_energy
            add_to(out, i, factor * yz)
            add_to(out, j, factor * xz)
            add_to(out, k, factor * xy)
        add_to(out_weights, first + c * features, on_energy * along)
        energy = energy + weight * along
    return energy
