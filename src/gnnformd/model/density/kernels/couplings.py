"""Couplings of three mixed densities (`gnnformd.model.density.couplings`), for trainings and for engines.

In trainings mixed densities are (M, N, F): a row begins at its number times ``unit``, which is N F. In engines they are
those of a block (`MixedDensities`).
"""

from __future__ import annotations

import numpy as np

from gnnformd.model.density.couplings import COUPLINGS, coupling_terms
from gnnformd.model.density.kernels.simd import Vector, fill, lanes_of, load, store
from gnnformd.model.density.kernels.simd_functions import total
from gnnformd.model.density.kernels.structures import ATOMS, MIXED_COUNTS, Doubles, Floats, MixedDensities
from gnnformd.numba_jit import kernel

__all__ = [
    "COUPLING_COUNTS",
    "add_block_gradient",
    "block_couplings",
    "coupling_values",
    "couplings",
    "couplings_second",
    "couplings_vjp",
]

COUPLING_COUNTS = (0, 0, 0, 2, 7)
"""Couplings of a layer with so high a degree."""

BEFORE = 13
"""Products before the couplings among the packed weights of an engine."""

_TERMS = [coupling_terms(name) for name in COUPLINGS]
_STARTS = np.cumsum([0, *(len(values) for _, values in _TERMS)])
_VALUES = np.concatenate([values.numpy() for _, values in _TERMS])

ROW_CODES = np.concatenate([rows.numpy() for rows, _ in _TERMS])
"""Rows of the three factors of each term among (M, N, F)."""


def _code_of_block(row: int) -> int:
    """Where a row begins in the rows of a `NetworkWorkspace`, in units of F: two mixtures lie side by side."""
    first, components = next((f, m) for f, m in ((31, 9), (17, 7), (7, 5), (1, 3), (0, 1)) if row >= f)
    mixture, component = divmod(row - first, components)
    return (first + 2 * component) * ATOMS + mixture


_BLOCK_ROWS = np.array([_code_of_block(row) for row in range(MIXED_COUNTS[-1])])
BLOCK_CODES = _BLOCK_ROWS[ROW_CODES]
"""Where these rows begin in a block, in units of F; atom ``a`` begins 2 a F behind."""


@kernel
def _product(mixed: Floats, unit: int, at: int, coupling: int) -> Vector:
    result = fill(mixed, 0.0)
    for t in range(_STARTS[coupling], _STARTS[coupling + 1]):
        x, y = load(mixed, ROW_CODES[t, 0] * unit + at), load(mixed, ROW_CODES[t, 1] * unit + at)
        result = result + _VALUES[t] * x * y * load(mixed, ROW_CODES[t, 2] * unit + at)
    return result


@kernel
def couplings(mixed: Floats, unit: int, at: int, count: int, weights: Floats, first: int, features: int) -> Vector:
    """Sum of the first ``count`` couplings times their weights, at ``first``, ``first + features``, ..."""
    energy = fill(mixed, 0.0)
    for c in range(count):
        energy = energy + load(weights, first + c * features) * _product(mixed, unit, at, c)
    return energy


@kernel
def coupling_values(
    mixed: Floats, unit: int, at: int, count: int, on_energy: Vector, out: Floats, first: int, features: int
) -> None:
    """Add ``on_energy`` times each coupling to ``out``, at ``first``, ``first + features``, ...; (M, N, F)."""
    for c in range(count):
        _add(out, first + c * features, on_energy * _product(mixed, unit, at, c))


@kernel
def _add(values: Floats, offset: int, more: Vector) -> None:
    store(values, offset, load(values, offset) + more)


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
) -> None:
    """Add the gradient of ``on_energy`` times `couplings` to ``out``, (M, N, F) too."""
    for c in range(count):
        weight = on_energy * load(weights, first + c * features)
        for t in range(_STARTS[c], _STARTS[c + 1]):
            x, y = load(mixed, ROW_CODES[t, 0] * unit + at), load(mixed, ROW_CODES[t, 1] * unit + at)
            z, factor = load(mixed, ROW_CODES[t, 2] * unit + at), _VALUES[t] * weight
            _add(out, ROW_CODES[t, 0] * unit + at, factor * y * z)
            _add(out, ROW_CODES[t, 1] * unit + at, factor * x * z)
            _add(out, ROW_CODES[t, 2] * unit + at, factor * x * y)


@kernel
def block_couplings(mixed: MixedDensities, weights: Floats, energies: Doubles) -> None:
    """Add the couplings of the atoms of a block to their energies; their gradients go to ``mixed.scratch``.

    Each term is done for all atoms of the block, one after the other. The energy is a third of the gradient times the
    mixed densities, since it is of degree three in them.
    """
    rows, scratch, features = mixed.rows, mixed.scratch, mixed.features
    scratch[:] = 0.0
    for c in range(_block_count(mixed)):
        for t in range(_STARTS[c], _STARTS[c + 1]):
            i, j, k = BLOCK_CODES[t, 0] * features, BLOCK_CODES[t, 1] * features, BLOCK_CODES[t, 2] * features
            value = _VALUES[t]
            for f in range(0, features, lanes_of(rows)):
                weight = value * load(weights, (BEFORE + c) * features + f)
                for a in range(ATOMS):
                    at = 2 * a * features + f
                    x, y, z = load(rows, i + at), load(rows, j + at), load(rows, k + at)
                    _add(scratch, i + at, weight * y * z)
                    _add(scratch, j + at, weight * x * z)
                    _add(scratch, k + at, weight * x * y)
    for a in range(ATOMS):
        energy = fill(rows, 0.0)
        for line in range(1, len(scratch) // (ATOMS * features), 2):
            first = (line * ATOMS + 2 * a) * features
            for f in range(first, first + 2 * features, lanes_of(rows)):
                energy = energy + load(rows, f) * load(scratch, f)
        energies[a] += total(energy) / 3.0


@kernel
def _block_count(mixed: MixedDensities) -> int:
    return COUPLING_COUNTS[4 if len(mixed.fourths) > 0 else 3]


@kernel
def add_block_gradient(mixed: MixedDensities, a: int, on_energy: float) -> None:
    """Add ``on_energy`` times the gradient that `block_couplings` left to what stands in the rows of atom ``a``."""
    rows, scratch, features = mixed.rows, mixed.scratch, mixed.features
    for line in range(1, len(scratch) // (ATOMS * features), 2):
        first = (line * ATOMS + 2 * a) * features
        for f in range(first, first + 2 * features, lanes_of(rows)):
            _add(rows, f, on_energy * load(scratch, f))


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
            i, j, k = ROW_CODES[t, 0] * unit + at, ROW_CODES[t, 1] * unit + at, ROW_CODES[t, 2] * unit + at
            x, y, z = load(mixed, i), load(mixed, j), load(mixed, k)
            dx, dy, dz = load(change, i), load(change, j), load(change, k)
            yz, xz, xy = dy * z + y * dz, dx * z + x * dz, dx * y + x * dy
            along = along + _VALUES[t] * (dx * y * z + x * yz)
            factor = _VALUES[t] * weight * on_energy
            _add(out, i, factor * yz)
            _add(out, j, factor * xz)
            _add(out, k, factor * xy)
        _add(out_weights, first + c * features, on_energy * along)
        energy = energy + weight * along
    return energy
