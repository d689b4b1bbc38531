"""Products of mixed densities and their gradient, for one atom and one vector of features."""

from __future__ import annotations

from typing import Any

from gnnformd.model.density.kernels.neighbor_scratch import ROOT3, compiled
from gnnformd.model.density.kernels.simd import load, store

__all__ = ["add_products", "products"]

HALF = 0.5 * ROOT3


@compiled
def _vectors(a: Any, b: Any) -> Any:
    """Part of degree two of the product of two vectors (`gnnformd.model.density.harmonics.product_vectors`)."""
    xx, yy, zz = a[0] * b[0], a[1] * b[1], a[2] * b[2]
    return (
        HALF * (a[0] * b[1] + a[1] * b[0]),
        HALF * (a[1] * b[2] + a[2] * b[1]),
        HALF * (a[2] * b[0] + a[0] * b[2]),
        HALF * (xx - yy),
        zz - 0.5 * (xx + yy),
    )


@compiled
def _tensors(q: Any, p: Any) -> Any:
    """Part of degree two of the product of two tensors (`gnnformd.model.density.harmonics.product_tensors`)."""
    a, b, c, d, e = q
    f, g, h, i, j = p
    return (
        HALF * (b * h + c * g) - (a * j + e * f),
        HALF * (a * h + c * f) - HALF * (b * i + d * g) + 0.5 * (b * j + e * g),
        HALF * (a * g + b * f) + HALF * (c * i + d * h) + 0.5 * (c * j + e * h),
        HALF * (c * h - b * g) - (d * j + e * i),
        0.5 * (b * g + c * h) - (a * f + d * i) + e * j,
    )


@compiled
def _matrix_times(q: Any, v: Any) -> Any:
    """Symmetric matrix of a tensor of degree two times a vector: gradient of ``sum_m (v w)_2m q_m`` in w."""
    xx, yy = HALF * q[3] - 0.5 * q[4], 0.0 - (HALF * q[3] + 0.5 * q[4])
    xy, yz, zx = HALF * q[0], HALF * q[1], HALF * q[2]
    return (
        xx * v[0] + xy * v[1] + zx * v[2],
        xy * v[0] + yy * v[1] + yz * v[2],
        zx * v[0] + yz * v[1] + q[4] * v[2],
    )


@compiled
def _dot3(a: Any, b: Any) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@compiled
def _dot5(a: Any, b: Any) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3] + a[4] * b[4]


@compiled
def _load3(mixed: Any, place: int, step: int) -> Any:
    return load(mixed, place), load(mixed, place + step), load(mixed, place + 2 * step)


@compiled
def _load5(mixed: Any, place: int, step: int) -> Any:
    first = _load3(mixed, place, step)
    return first[0], first[1], first[2], load(mixed, place + 3 * step), load(mixed, place + 4 * step)


@compiled
def products(
    scalar: Any, vectors: Any, tensors: Any, atoms: int, features: int, a: int, f: int, weights: Any, out: Any
) -> Any:
    """Polynomial of atom ``a`` and the features from ``f`` on, and the invariants that the perceptron is given.

    Parameters
    ----------
    scalar, vectors, tensors
        Mixed densities of degree 0 (atoms, F), 1 (3, atoms, 2 F) and 2 (5, atoms, 2 F); two mixtures side by side.
    weights
        Of the polynomial, in the order of `gnnformd.model.density.layer.PRODUCTS`, (9, F).
    out
        (atoms, 3 F).
    """
    place, step = 2 * a * features + f, 2 * atoms * features
    v, w = _load3(vectors, place, step), _load3(vectors, place + features, step)
    q, p = _load5(tensors, place, step), _load5(tensors, place + features, step)
    s, vw, qp = load(scalar, a * features + f), _dot3(v, w), _dot5(q, p)
    target = 3 * a * features + f
    store(out, target, s)
    store(out, target + features, vw)
    store(out, target + 2 * features, qp)
    c0, c1, c2 = load(weights, f), load(weights, features + f), load(weights, 2 * features + f)
    c3, c4, c5 = load(weights, 3 * features + f), load(weights, 4 * features + f), load(weights, 5 * features + f)
    c6, c7, c8 = load(weights, 6 * features + f), load(weights, 7 * features + f), load(weights, 8 * features + f)
    low = s * (c0 + s * (c3 + s * c4)) + vw * (c1 + s * c5) + qp * (c2 + s * c6)
    return low + c7 * _dot5(_vectors(v, w), q) + c8 * _dot5(_tensors(q, p), p)


@compiled
def add_products(
    scalar: Any, vectors: Any, tensors: Any, atoms: int, features: int, a: int, f: int, weights: Any, gradient: Any
) -> None:
    """Replace the mixed densities by the gradient in them of the polynomial and of the perceptron.

    The last invariant is symmetric in its three tensors, so its gradient in q is the product of p with itself.

    Parameters
    ----------
    weights
        Of the polynomial, (9, F).
    gradient
        Of the perceptron in the invariants that it is given, (atoms, 3 F).
    """
    place, step = 2 * a * features + f, 2 * atoms * features
    v, w = _load3(vectors, place, step), _load3(vectors, place + features, step)
    q, p = _load5(tensors, place, step), _load5(tensors, place + features, step)
    s = load(scalar, a * features + f)
    source = 3 * a * features + f
    c3, c4, c5 = load(weights, 3 * features + f), load(weights, 4 * features + f), load(weights, 5 * features + f)
    c6, g3, g4 = load(weights, 6 * features + f), load(weights, 7 * features + f), load(weights, 8 * features + f)
    g0 = load(gradient, source) + load(weights, f) + s * (2.0 * c3 + 3.0 * s * c4) + c5 * _dot3(v, w) + c6 * _dot5(q, p)
    g1 = load(gradient, source + features) + load(weights, features + f) + s * c5
    g2 = load(gradient, source + 2 * features) + load(weights, 2 * features + f) + s * c6
    store(scalar, a * features + f, g0)
    on_v, on_w, on_q = _matrix_times(q, w), _matrix_times(q, v), _vectors(v, w)
    again, twice = _tensors(p, p), _tensors(q, p)
    for m in range(3):
        store(vectors, place + m * step, g1 * w[m] + g3 * on_v[m])
        store(vectors, place + features + m * step, g1 * v[m] + g3 * on_w[m])
    for m in range(5):
        store(tensors, place + m * step, g2 * p[m] + g3 * on_q[m] + g4 * again[m])
        store(tensors, place + features + m * step, g2 * q[m] + 2.0 * g4 * twice[m])
