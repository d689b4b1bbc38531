"""Products of vectors and of tensors of degree two, for one atom and one vector of features."""

from __future__ import annotations

from gnnformd.model.density.kernels.neighbor_scratch import ROOT3
from gnnformd.model.density.kernels.simd import Vector, load, store
from gnnformd.model.density.kernels.structures import Floats
from gnnformd.numba_jit import kernel

__all__ = [
    "Vectors3",
    "Vectors5",
    "add3",
    "add5",
    "add_to",
    "dot3",
    "dot5",
    "load3",
    "load5",
    "matrix_times",
    "product_tensors",
    "product_vectors",
    "scale3",
    "scale5",
    "store3",
    "store5",
]

HALF = 0.5 * ROOT3

Vectors3 = tuple[Vector, Vector, Vector]
Vectors5 = tuple[Vector, Vector, Vector, Vector, Vector]


@kernel
def product_vectors(a: Vectors3, b: Vectors3) -> Vectors5:
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
def product_tensors(q: Vectors5, p: Vectors5) -> Vectors5:
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
def matrix_times(q: Vectors5, v: Vectors3) -> Vectors3:
    """Symmetric matrix of a tensor of degree two times a vector: gradient of ``sum_m (v w)_2m q_m`` in w."""
    xx, yy = HALF * q[3] - 0.5 * q[4], 0.0 - (HALF * q[3] + 0.5 * q[4])
    xy, yz, zx = HALF * q[0], HALF * q[1], HALF * q[2]
    return (
        xx * v[0] + xy * v[1] + zx * v[2],
        xy * v[0] + yy * v[1] + yz * v[2],
        zx * v[0] + yz * v[1] + q[4] * v[2],
    )


@kernel
def dot3(a: Vectors3, b: Vectors3) -> Vector:
    """Scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@kernel
def dot5(a: Vectors5, b: Vectors5) -> Vector:
    """Scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3] + a[4] * b[4]


@kernel
def add3(a: Vectors3, b: Vectors3) -> Vectors3:
    """Sum."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@kernel
def add5(a: Vectors5, b: Vectors5) -> Vectors5:
    """Sum."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4]


@kernel
def add_to(values: Floats, offset: int, more: Vector) -> None:
    """Add to the numbers from ``offset`` on."""
    store(values, offset, load(values, offset) + more)


@kernel
def scale3(factor: Vector, a: Vectors3) -> Vectors3:
    """Product with a number."""
    return factor * a[0], factor * a[1], factor * a[2]


@kernel
def scale5(factor: Vector, a: Vectors5) -> Vectors5:
    """Product with a number."""
    return factor * a[0], factor * a[1], factor * a[2], factor * a[3], factor * a[4]


@kernel
def load3(values: Floats, offset: int, step: int) -> Vectors3:
    """Components that are ``step`` numbers apart."""
    return load(values, offset), load(values, offset + step), load(values, offset + 2 * step)


@kernel
def load5(values: Floats, offset: int, step: int) -> Vectors5:
    """Components that are ``step`` numbers apart."""
    first = load3(values, offset, step)
    return first[0], first[1], first[2], load(values, offset + 3 * step), load(values, offset + 4 * step)


@kernel
def store3(values: Floats, offset: int, step: int, a: Vectors3) -> None:
    """Write components ``step`` numbers apart."""
    for m in range(3):
        store(values, offset + m * step, a[m])


@kernel
def store5(values: Floats, offset: int, step: int, a: Vectors5) -> None:
    """Write components ``step`` numbers apart."""
    for m in range(5):
        store(values, offset + m * step, a[m])
