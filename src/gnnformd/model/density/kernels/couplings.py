"""Couplings of three mixed densities (`gnnformd.model.density.couplings`) of one atom and one vector of features.

Mixed densities may lie in memory in two ways, which differ in where a row begins: at ``codes`` times ``unit``.
"""

from __future__ import annotations

import numpy as np

from gnnformd.model.density.couplings import COUPLINGS, coupling_terms
from gnnformd.model.density.kernels.simd import Vector, fill, lanes_of, load, store
from gnnformd.model.density.kernels.structures import ATOMS, MIXED_COUNTS, Floats, Indices
from gnnformd.numba_jit import kernel

__all__ = [
    "BLOCK_CODES",
    "COUPLING_COUNTS",
    "ROW_CODES",
    "SCRATCH_ROWS",
    "add_scratch",
    "coupling_values",
    "couplings",
    "couplings_second",
    "couplings_vjp",
]

COUPLING_COUNTS = (0, 0, 0, 2, 7)
"""Couplings of a layer with so high a degree."""

SCRATCH_ROWS = MIXED_COUNTS[-1]

_TERMS = [coupling_terms(name) for name in COUPLINGS]
_STARTS = np.cumsum([0, *(len(values) for _, values in _TERMS)])
_VALUES = np.concatenate([values.numpy() for _, values in _TERMS])

ROW_CODES = np.concatenate([rows.numpy() for rows, _ in _TERMS])
"""Rows of (M, N, F): ``unit`` is N F."""


def _code_of_block(row: int) -> int:
    """Where a row begins in the rows of a `NetworkWorkspace`, in units of F: two mixtures lie side by side."""
    first, components = next((f, m) for f, m in ((31, 9), (17, 7), (7, 5), (1, 3), (0, 1)) if row >= f)
    mixture, component = divmod(row - first, components)
    return (first + 2 * component) * ATOMS + mixture


_BLOCK_ROWS = np.array([_code_of_block(row) for row in range(SCRATCH_ROWS)])
BLOCK_CODES = _BLOCK_ROWS[ROW_CODES]
"""Rows of a `NetworkWorkspace`: ``unit`` is F, and atom ``a`` begins at 2 a F."""


@kernel
def _product(mixed: Floats, codes: Indices, unit: int, at: int, coupling: int) -> Vector:
    result = fill(mixed, 0.0)
    for t in range(_STARTS[coupling], _STARTS[coupling + 1]):
        x, y = load(mixed, codes[t, 0] * unit + at), load(mixed, codes[t, 1] * unit + at)
        result = result + _VALUES[t] * x * y * load(mixed, codes[t, 2] * unit + at)
    return result


@kernel
def couplings(
    mixed: Floats, codes: Indices, unit: int, at: int, count: int, weights: Floats, first: int, features: int
) -> Vector:
    """Sum of the first ``count`` couplings times their weights, at ``first``, ``first + features``, ..."""
    energy = fill(mixed, 0.0)
    for c in range(count):
        energy = energy + load(weights, first + c * features) * _product(mixed, codes, unit, at, c)
    return energy


@kernel
def coupling_values(
    mixed: Floats, unit: int, at: int, count: int, on_energy: Vector, out: Floats, first: int, features: int
) -> None:
    """Add ``on_energy`` times each coupling to ``out``, at ``first``, ``first + features``, ...; (M, N, F)."""
    for c in range(count):
        _add(out, first + c * features, on_energy * _product(mixed, ROW_CODES, unit, at, c))


@kernel
def _add(values: Floats, offset: int, more: Vector) -> None:
    store(values, offset, load(values, offset) + more)


@kernel
def couplings_vjp(
    mixed: Floats,
    codes: Indices,
    unit: int,
    at: int,
    count: int,
    weights: Floats,
    first: int,
    features: int,
    on_energy: Vector,
    out: Floats,
    out_unit: int,
    out_at: int,
) -> None:
    """Add the gradient of ``on_energy`` times `couplings` to the rows of ``out``, which lie as (M, N, F) do."""
    for c in range(count):
        weight = on_energy * load(weights, first + c * features)
        for t in range(_STARTS[c], _STARTS[c + 1]):
            x, y = load(mixed, codes[t, 0] * unit + at), load(mixed, codes[t, 1] * unit + at)
            z, factor = load(mixed, codes[t, 2] * unit + at), _VALUES[t] * weight
            _add(out, ROW_CODES[t, 0] * out_unit + out_at, factor * y * z)
            _add(out, ROW_CODES[t, 1] * out_unit + out_at, factor * x * z)
            _add(out, ROW_CODES[t, 2] * out_unit + out_at, factor * x * y)


@kernel
def add_scratch(scratch: Floats, mixed: Floats, at: int, features: int, count: int) -> None:
    """Add ``scratch``, one vector for each row, to rows 1 to ``count`` of a block."""
    for row in range(1, count):
        _add(mixed, _BLOCK_ROWS[row] * features + at, load(scratch, row * lanes_of(scratch)))


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
