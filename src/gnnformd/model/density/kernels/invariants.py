"""Products of mixed densities and their gradient, for one atom and one vector of features."""

from __future__ import annotations

from gnnformd.model.density.kernels.simd import Vector, load, store
from gnnformd.model.density.kernels.structures import ATOMS, Floats, MixedDensities
from gnnformd.model.density.kernels.tensor_products import (
    dot3,
    dot5,
    load3,
    load5,
    matrix_times,
    product_tensors,
    product_vectors,
)
from gnnformd.numba_jit import kernel

__all__ = ["invariants", "invariants_vjp"]


@kernel
def _dot(mixed: Floats, components: int, offset: int, features: int, step: int) -> Vector:
    """Product of the two mixtures of a degree, summed over components."""
    result = load(mixed, offset) * load(mixed, offset + features)
    for m in range(1, components):
        result = result + load(mixed, offset + m * step) * load(mixed, offset + m * step + features)
    return result


@kernel
def _exchange(mixed: Floats, components: int, offset: int, features: int, step: int, factor: Vector) -> None:
    """Replace the two mixtures of a degree by the gradient of ``factor`` times their product."""
    for m in range(components):
        here = offset + m * step
        one, other = load(mixed, here), load(mixed, here + features)
        store(mixed, here, factor * other)
        store(mixed, here + features, factor * one)


@kernel
def invariants(mixed: MixedDensities, a: int, f: int, weights: Floats) -> Vector:
    """Polynomial of atom ``a`` and the features from ``f`` on; invariants that the perceptron is given are written.

    ``weights`` are those of the polynomial, in the order of `gnnformd.model.density.layer.PRODUCTS`; those of the
    couplings, behind them, are left to `gnnformd.model.density.kernels.couplings`.
    """
    features = mixed.features
    offset, step = 2 * a * features + f, 2 * ATOMS * features
    v, w = load3(mixed.vectors, offset, step), load3(mixed.vectors, offset + features, step)
    q, p = load5(mixed.tensors, offset, step), load5(mixed.tensors, offset + features, step)
    s, vw, qp = load(mixed.scalars, a * features + f), dot3(v, w), dot5(q, p)
    target = 3 * a * features + f
    store(mixed.invariants, target, s)
    store(mixed.invariants, target + features, vw)
    store(mixed.invariants, target + 2 * features, qp)
    c0, c1, c2 = load(weights, f), load(weights, features + f), load(weights, 2 * features + f)
    c3, c4, c5 = load(weights, 3 * features + f), load(weights, 4 * features + f), load(weights, 5 * features + f)
    c6, c7, c8 = load(weights, 6 * features + f), load(weights, 7 * features + f), load(weights, 8 * features + f)
    low = s * (c0 + s * (c3 + s * c4)) + vw * (c1 + s * c5) + qp * (c2 + s * c6)
    if len(mixed.thirds) > 0:
        c9, c10 = load(weights, 9 * features + f), load(weights, 10 * features + f)
        low = low + _dot(mixed.thirds, 7, offset, features, step) * (c9 + s * c10)
    if len(mixed.fourths) > 0:
        c11, c12 = load(weights, 11 * features + f), load(weights, 12 * features + f)
        low = low + _dot(mixed.fourths, 9, offset, features, step) * (c11 + s * c12)
    return low + c7 * dot5(product_vectors(v, w), q) + c8 * dot5(product_tensors(q, p), p)


@kernel
def invariants_vjp(mixed: MixedDensities, a: int, f: int, weights: Floats) -> None:
    """Replace the mixed densities by the gradient in them of the polynomial and of the perceptron.

    The last invariant is symmetric in its three tensors, so its gradient in q is the product of p with itself.

    Parameters
    ----------
    mixed
        With the gradient of the perceptron in its invariants.
    weights
        Of the polynomial, (13, F) and more.
    """
    features = mixed.features
    offset, step = 2 * a * features + f, 2 * ATOMS * features
    v, w = load3(mixed.vectors, offset, step), load3(mixed.vectors, offset + features, step)
    q, p = load5(mixed.tensors, offset, step), load5(mixed.tensors, offset + features, step)
    s = load(mixed.scalars, a * features + f)
    source = 3 * a * features + f
    c3, c4, c5 = load(weights, 3 * features + f), load(weights, 4 * features + f), load(weights, 5 * features + f)
    c6, g3, g4 = load(weights, 6 * features + f), load(weights, 7 * features + f), load(weights, 8 * features + f)
    g0 = (
        load(mixed.invariants, source)
        + load(weights, f)
        + s * (2.0 * c3 + 3.0 * s * c4)
        + c5 * dot3(v, w)
        + c6 * dot5(q, p)
    )
    g1 = load(mixed.invariants, source + features) + load(weights, features + f) + s * c5
    g2 = load(mixed.invariants, source + 2 * features) + load(weights, 2 * features + f) + s * c6
    if len(mixed.thirds) > 0:
        c10 = load(weights, 10 * features + f)
        g0 = g0 + c10 * _dot(mixed.thirds, 7, offset, features, step)
        _exchange(mixed.thirds, 7, offset, features, step, load(weights, 9 * features + f) + s * c10)
    if len(mixed.fourths) > 0:
        c12 = load(weights, 12 * features + f)
        g0 = g0 + c12 * _dot(mixed.fourths, 9, offset, features, step)
        _exchange(mixed.fourths, 9, offset, features, step, load(weights, 11 * features + f) + s * c12)
    store(mixed.scalars, a * features + f, g0)
    on_v, on_w, on_q = matrix_times(q, w), matrix_times(q, v), product_vectors(v, w)
    again, twice = product_tensors(p, p), product_tensors(q, p)
    for m in range(3):
        store(mixed.vectors, offset + m * step, g1 * w[m] + g3 * on_v[m])
        store(mixed.vectors, offset + features + m * step, g1 * v[m] + g3 * on_w[m])
    for m in range(5):
        store(mixed.tensors, offset + m * step, g2 * p[m] + g3 * on_q[m] + g4 * again[m])
        store(mixed.tensors, offset + features + m * step, g2 * q[m] + 2.0 * g4 * twice[m])
