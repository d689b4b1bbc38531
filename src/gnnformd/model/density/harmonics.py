"""Real spherical harmonics up to degree two, as polynomials of a unit vector, and their derivatives."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["harmonics", "harmonics_along", "harmonics_pull", "product_tensors", "product_vectors"]

ROOT3 = 3.0**0.5


def harmonics(unit: Tensor, l_max: int) -> Tensor:
    """``Y_lm(u)`` for all ``l <= l_max``, with ``sum_m Y_lm^2 = 1`` for each degree.

    Degree 0: 1. Degree 1: x, y, z. Degree 2: ``sqrt3 (xy, yz, zx)``, ``sqrt3/2 (x^2 - y^2)``, ``(3 z^2 - 1)/2``.

    Parameters
    ----------
    unit
        Unit vectors, (3, ...).
    l_max
        0, 1 or 2.

    Returns
    -------
    Tensor
        (L, ...) with L = (l_max + 1)^2.
    """
    x, y, z = unit.unbind(0)
    parts = [torch.ones_like(x)]
    if l_max >= 1:
        parts += [x, y, z]
    if l_max >= 2:
        parts += [
            ROOT3 * x * y,
            ROOT3 * y * z,
            ROOT3 * z * x,
            0.5 * ROOT3 * (x * x - y * y),
            1.5 * z * z - 0.5,
        ]
    return torch.stack(parts, dim=0)


def harmonics_along(unit: Tensor, change: Tensor, l_max: int) -> Tensor:
    """Change of the harmonics when the unit vectors change by ``change``, both (3, ...)."""
    x, y, z = unit.unbind(0)
    dx, dy, dz = change.unbind(0)
    parts = [torch.zeros_like(x)]
    if l_max >= 1:
        parts += [dx, dy, dz]
    if l_max >= 2:
        parts += [
            ROOT3 * (x * dy + y * dx),
            ROOT3 * (y * dz + z * dy),
            ROOT3 * (z * dx + x * dz),
            ROOT3 * (x * dx - y * dy),
            3.0 * z * dz,
        ]
    return torch.stack(parts, dim=0)


def harmonics_pull(unit: Tensor, gradient: Tensor, l_max: int) -> Tensor:
    """Gradient in the unit vectors (3, ...) of what has ``gradient`` (L, ...) in the harmonics."""
    if l_max == 0:
        return torch.zeros_like(unit)
    if l_max == 1:
        return gradient[1:4]
    x, y, z = unit.unbind(0)
    _, gx, gy, gz, xy, yz, zx, xx, zz = gradient.unbind(0)
    return torch.stack(
        [
            gx + ROOT3 * (y * xy + z * zx + x * xx),
            gy + ROOT3 * (x * xy + z * yz - y * xx),
            gz + ROOT3 * (y * yz + x * zx) + 3.0 * z * zz,
        ],
        dim=0,
    )


def product_vectors(a: Tensor, b: Tensor) -> Tensor:
    """Part of degree two of the product of two vectors: (3, ...) twice to (5, ...).

    For unit vectors ``a = b = u`` the result is the harmonics of degree two of ``u``.
    """
    ax, ay, az = a.unbind(0)
    bx, by, bz = b.unbind(0)
    xx, yy, zz = ax * bx, ay * by, az * bz
    half = 0.5 * ROOT3
    return torch.stack(
        [
            half * (ax * by + ay * bx),
            half * (ay * bz + az * by),
            half * (az * bx + ax * bz),
            half * (xx - yy),
            zz - 0.5 * (xx + yy),
        ],
        dim=0,
    )


def product_tensors(q: Tensor, p: Tensor) -> Tensor:
    """Part of degree two of the product of two tensors of degree two: (5, ...) twice to (5, ...).

    With ``Q`` the symmetric traceless matrix whose ``u^T Q u`` is ``sum_m q_m Y_2m(u)``: the components of
    ``Q P + P Q`` without its trace, up to a factor.
    """
    a, b, c, d, e = q.unbind(0)
    f, g, h, i, j = p.unbind(0)
    half = 0.5 * ROOT3
    return torch.stack(
        [
            half * (b * h + c * g) - (a * j + e * f),
            half * (a * h + c * f) - half * (b * i + d * g) + 0.5 * (b * j + e * g),
            half * (a * g + b * f) + half * (c * i + d * h) + 0.5 * (c * j + e * h),
            0.5 * ROOT3 * (c * h - b * g) - (d * j + e * i),
            0.5 * (b * g + c * h) - (a * f + d * i) + e * j,
        ],
        dim=0,
    )
