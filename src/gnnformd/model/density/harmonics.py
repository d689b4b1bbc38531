"""Real spherical harmonics up to degree four, as polynomials of a unit vector, and their derivatives."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["harmonics", "harmonics_along", "harmonics_pull", "product_tensors", "product_vectors"]

ROOT3 = 3.0**0.5
R5, R15, R35 = 5.0**0.5, 15.0**0.5, 35.0**0.5
R38, R58, R358 = 0.375**0.5, 0.625**0.5, 4.375**0.5


def harmonics(unit: Tensor, l_max: int) -> Tensor:
    """``Y_lm(u)`` for all ``l <= l_max``, with ``sum_m Y_lm^2 = 1`` for each degree.

    Degree 0: 1. Degree 1: x, y, z. Degree 2: ``sqrt3 (xy, yz, zx)``, ``sqrt3/2 (x^2 - y^2)``, ``(3 z^2 - 1)/2``.
    Degrees 3 and 4: `_cubic` and `_quartic`.

    Parameters
    ----------
    unit
        Unit vectors, (3, ...).
    l_max
        0 to 4.

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
    if l_max >= 3:
        parts += _cubic(x, y, z)
    if l_max >= 4:
        parts += _quartic(x, y, z)
    return torch.stack(parts, dim=0)


def _cubic(x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
    """Degree 3 of a unit vector, m = -3 to 3."""
    xx, yy, zz = x * x, y * y, z * z
    return [
        R58 * y * (3.0 * xx - yy),
        R15 * x * y * z,
        R38 * y * (5.0 * zz - 1.0),
        z * (2.5 * zz - 1.5),
        R38 * x * (5.0 * zz - 1.0),
        0.5 * R15 * z * (xx - yy),
        R58 * x * (xx - 3.0 * yy),
    ]


def _quartic(x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
    """Degree 4 of a unit vector, m = -4 to 4."""
    xx, yy, zz = x * x, y * y, z * z
    return [
        0.5 * R35 * x * y * (xx - yy),
        R358 * y * z * (3.0 * xx - yy),
        0.5 * R5 * x * y * (7.0 * zz - 1.0),
        R58 * y * z * (7.0 * zz - 3.0),
        zz * (4.375 * zz - 3.75) + 0.375,
        R58 * x * z * (7.0 * zz - 3.0),
        0.25 * R5 * (xx - yy) * (7.0 * zz - 1.0),
        R358 * x * z * (xx - 3.0 * yy),
        0.125 * R35 * (xx * (xx - 3.0 * yy) - yy * (3.0 * xx - yy)),
    ]


def _cubic_slopes(x: Tensor, y: Tensor, z: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Differentiate `_cubic` by x, y and z."""
    xx, yy, zz, o = x * x, y * y, z * z, torch.zeros_like(x)
    five = 5.0 * zz - 1.0
    return [
        (6.0 * R58 * x * y, 3.0 * R58 * (xx - yy), o),
        (R15 * y * z, R15 * x * z, R15 * x * y),
        (o, R38 * five, 10.0 * R38 * y * z),
        (o, o, 7.5 * zz - 1.5),
        (R38 * five, o, 10.0 * R38 * x * z),
        (R15 * x * z, -R15 * y * z, 0.5 * R15 * (xx - yy)),
        (3.0 * R58 * (xx - yy), -6.0 * R58 * x * y, o),
    ]


def _quartic_slopes(x: Tensor, y: Tensor, z: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Differentiate `_quartic` by x, y and z."""
    xx, yy, zz, o = x * x, y * y, z * z, torch.zeros_like(x)
    seven, three = 7.0 * zz - 1.0, 7.0 * zz - 3.0
    steep = 21.0 * zz - 3.0
    return [
        (0.5 * R35 * y * (3.0 * xx - yy), 0.5 * R35 * x * (xx - 3.0 * yy), o),
        (6.0 * R358 * x * y * z, 3.0 * R358 * z * (xx - yy), R358 * y * (3.0 * xx - yy)),
        (0.5 * R5 * y * seven, 0.5 * R5 * x * seven, 7.0 * R5 * x * y * z),
        (o, R58 * z * three, R58 * y * steep),
        (o, o, z * (17.5 * zz - 7.5)),
        (R58 * z * three, o, R58 * x * steep),
        (0.5 * R5 * x * seven, -0.5 * R5 * y * seven, 3.5 * R5 * z * (xx - yy)),
        (3.0 * R358 * z * (xx - yy), -6.0 * R358 * x * y * z, R358 * x * (xx - 3.0 * yy)),
        (0.5 * R35 * x * (xx - 3.0 * yy), -0.5 * R35 * y * (3.0 * xx - yy), o),
    ]


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
    if l_max >= 3:
        slopes = _cubic_slopes(x, y, z) + (_quartic_slopes(x, y, z) if l_max >= 4 else [])
        parts += [a * dx + b * dy + c * dz for a, b, c in slopes]
    return torch.stack(parts, dim=0)


def harmonics_pull(unit: Tensor, gradient: Tensor, l_max: int) -> Tensor:
    """Gradient in the unit vectors (3, ...) of what has ``gradient`` (L, ...) in the harmonics."""
    if l_max == 0:
        return torch.zeros_like(unit)
    if l_max == 1:
        return gradient[1:4]
    x, y, z = unit.unbind(0)
    _, gx, gy, gz, xy, yz, zx, xx, zz = gradient[:9].unbind(0)
    pulled = torch.stack(
        [
            gx + ROOT3 * (y * xy + z * zx + x * xx),
            gy + ROOT3 * (x * xy + z * yz - y * xx),
            gz + ROOT3 * (y * yz + x * zx) + 3.0 * z * zz,
        ],
        dim=0,
    )
    if l_max >= 3:
        slopes = _cubic_slopes(x, y, z) + (_quartic_slopes(x, y, z) if l_max >= 4 else [])
        for factor, along in zip(gradient[9:], slopes, strict=True):
            pulled = pulled + torch.stack([factor * slope for slope in along])
    return pulled


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
