"""Products of mixed densities and their gradient, for one atom and one vector of features."""

from __future__ import annotations

from gnnformd.model.density.kernels.neighbor_scratch import ROOT3
from gnnformd.model.density.kernels.simd import Vector, load, store
from gnnformd.model.density.kernels.structures import ATOMS, Floats, MixedDensities
from gnnformd.numba_jit import kernel

__all__ = ["invariants", "invariants_vjp"]

HALF = 0.5 * ROOT3

Vectors3 = tuple[Vector, Vector, Vector]
Vectors5 = tuple[Vector, Vector, Vector, Vector, Vector]


@kernel
def _vectors(a: Vectors3, b: Vectors3) -> Vectors5:
    """Part of degree two of the product of two vectors (`gnnformd.model.density.harmonics.product_vectors`)."""
    xx, yy, zz = a[0] * b[0], a[1] * b[1], a[2] * b[2]
    return (
        HALF * (a[0] * b[1] + a[1] * b[0]),
        HALF * (a[1] * b[2] + a[2] * b[1]),
        HALF * (a[2] * b[0] + a[0] * b[2]),
        HALF * (xx - yy),
        zz - 0.5 * (xx + yy),
    )


@kernel
def _tensors(q: Vectors5, p: Vectors5) -> Vectors5:
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


@kernel
def _matrix_times(q: Vectors5, v: Vectors3) -> Vectors3:
    """Symmetric matrix of a tensor of degree two times a vector: gradient of ``sum_m (v w)_2m q_m`` in w."""
    xx, yy = HALF * q[3] - 0.5 * q[4], 0.0 - (HALF * q[3] + 0.5 * q[4])
    xy, yz, zx = HALF * q[0], HALF * q[1], HALF * q[2]
    return (
        xx * v[0] + xy * v[1] + zx * v[2],
        xy * v[0] + yy * v[1] + yz * v[2],
        zx * v[0] + yz * v[1] + q[4] * v[2],
    )


@kernel
def _dot3(a: Vectors3, b: Vectors3) -> Vector:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@kernel
def _dot5(a: Vectors5, b: Vectors5) -> Vector:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3] + a[4] * b[4]


@kernel
def _load3(mixed: Floats, offset: int, step: int) -> Vectors3:
    return load(mixed, offset), load(mixed, offset + step), load(mixed, offset + 2 * step)


@kernel
def _load5(mixed: Floats, offset: int, step: int) -> Vectors5:
    first = _load3(mixed, offset, step)
    return first[0], first[1], first[2], load(mixed, offset + 3 * step), load(mixed, offset + 4 * step)


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

    ``weights`` are those of the polynomial, in the order of `gnnformd.model.density.layer.PRODUCTS`, (13, F).
    """
    features = mixed.features
    offset, step = 2 * a * features + f, 2 * ATOMS * features
    v, w = _load3(mixed.vectors, offset, step), _load3(mixed.vectors, offset + features, step)
    q, p = _load5(mixed.tensors, offset, step), _load5(mixed.tensors, offset + features, step)
    s, vw, qp = load(mixed.scalars, a * features + f), _dot3(v, w), _dot5(q, p)
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
    return low + c7 * _dot5(_vectors(v, w), q) + c8 * _dot5(_tensors(q, p), p)


@kernel
def invariants_vjp(mixed: MixedDensities, a: int, f: int, weights: Floats) -> None:
    """Replace the mixed densities by the gradient in them of the polynomial and of the perceptron.

    The last invariant is symmetric in its three tensors, so its gradient in q is the product of p with itself.

    Parameters
    ----------
    mixed
        With the gradient of the perceptron in its invariants.
    weights
        Of the polynomial, (13, F).
    """
    features = mixed.features
    offset, step = 2 * a * features + f, 2 * ATOMS * features
    v, w = _load3(mixed.vectors, offset, step), _load3(mixed.vectors, offset + features, step)
    q, p = _load5(mixed.tensors, offset, step), _load5(mixed.tensors, offset + features, step)
    s = load(mixed.scalars, a * features + f)
    source = 3 * a * features + f
    c3, c4, c5 = load(weights, 3 * features + f), load(weights, 4 * features + f), load(weights, 5 * features + f)
    c6, g3, g4 = load(weights, 6 * features + f), load(weights, 7 * features + f), load(weights, 8 * features + f)
    g0 = (
        load(mixed.invariants, source)
        + load(weights, f)
        + s * (2.0 * c3 + 3.0 * s * c4)
        + c5 * _dot3(v, w)
        + c6 * _dot5(q, p)
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
    on_v, on_w, on_q = _matrix_times(q, w), _matrix_times(q, v), _vectors(v, w)
    again, twice = _tensors(p, p), _tensors(q, p)
    for m in range(3):
        store(mixed.vectors, offset + m * step, g1 * w[m] + g3 * on_v[m])
        store(mixed.vectors, offset + features + m * step, g1 * v[m] + g3 * on_w[m])
    for m in range(5):
        store(mixed.tensors, offset + m * step, g2 * p[m] + g3 * on_q[m] + g4 * again[m])
        store(mixed.tensors, offset + features + m * step, g2 * q[m] + 2.0 * g4 * twice[m])
