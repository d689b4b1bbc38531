"""Spherical harmonics of degrees 3 and 4 and their derivatives, as in `gnnformd.model.density.harmonics`."""

from __future__ import annotations

from gnnformd.model.density.kernels.simd import Vector, store
from gnnformd.model.density.kernels.structures import Floats
from gnnformd.numba_jit import kernel

__all__ = ["cubic", "cubic_along", "cubic_pull", "quartic", "quartic_along", "quartic_pull", "store_row"]

R5, R15, R35 = 5.0**0.5, 15.0**0.5, 35.0**0.5
R38, R58, R358 = 0.375**0.5, 0.625**0.5, 4.375**0.5

Vectors3 = tuple[Vector, Vector, Vector]
Vectors7 = tuple[Vector, Vector, Vector, Vector, Vector, Vector, Vector]
Vectors9 = tuple[Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector]


@kernel
def store_row(values: Floats, row: int, columns: int, parts: Vectors7 | Vectors9) -> None:
    """Store one vector in each of some rows."""
    for m in range(len(parts)):
        store(values, row + m * columns, parts[m])


@kernel
def cubic(x: Vector, y: Vector, z: Vector) -> Vectors7:
    """Degree 3 of a unit vector."""
    xx, yy, zz = x * x, y * y, z * z
    five = R38 * (5.0 * zz - 1.0)
    return (
        R58 * y * (3.0 * xx - yy),
        R15 * x * y * z,
        y * five,
        z * (2.5 * zz - 1.5),
        x * five,
        (0.5 * R15) * z * (xx - yy),
        R58 * x * (xx - 3.0 * yy),
    )


@kernel
def quartic(x: Vector, y: Vector, z: Vector) -> Vectors9:
    """Degree 4 of a unit vector."""
    xx, yy, zz = x * x, y * y, z * z
    seven, three = R5 * (7.0 * zz - 1.0), R58 * (7.0 * zz - 3.0)
    return (
        (0.5 * R35) * x * y * (xx - yy),
        R358 * y * z * (3.0 * xx - yy),
        0.5 * x * y * seven,
        y * z * three,
        zz * (4.375 * zz - 3.75) + 0.375,
        x * z * three,
        0.25 * (xx - yy) * seven,
        R358 * x * z * (xx - 3.0 * yy),
        (0.125 * R35) * (xx * (xx - 3.0 * yy) - yy * (3.0 * xx - yy)),
    )


@kernel
def cubic_along(unit: Vectors3, change: Vectors3) -> Vectors7:
    """Change of degree 3 with the unit vector."""
    x, y, z = unit
    dx, dy, dz = change
    xx, yy, zz = x * x, y * y, z * z
    five, wide, cross = R38 * (5.0 * zz - 1.0), xx - yy, 2.0 * x * y
    return (
        (3.0 * R58) * (cross * dx + wide * dy),
        R15 * (y * z * dx + x * z * dy + x * y * dz),
        five * dy + (10.0 * R38) * y * z * dz,
        (7.5 * zz - 1.5) * dz,
        five * dx + (10.0 * R38) * x * z * dz,
        R15 * (z * (x * dx - y * dy) + 0.5 * wide * dz),
        (3.0 * R58) * (wide * dx - cross * dy),
    )


@kernel
def quartic_along(unit: Vectors3, change: Vectors3) -> Vectors9:
    """Change of degree 4 with the unit vector."""
    x, y, z = unit
    dx, dy, dz = change
    xx, yy, zz = x * x, y * y, z * z
    seven, three = (0.5 * R5) * (7.0 * zz - 1.0), R58 * (7.0 * zz - 3.0)
    steep, wide, cross = R58 * (21.0 * zz - 3.0), xx - yy, 2.0 * x * y
    odd_y, odd_x = y * (3.0 * xx - yy), x * (xx - 3.0 * yy)
    return (
        (0.5 * R35) * (odd_y * dx + odd_x * dy),
        (3.0 * R358) * z * (cross * dx + wide * dy) + R358 * odd_y * dz,
        seven * (y * dx + x * dy) + (7.0 * R5) * x * y * z * dz,
        three * z * dy + steep * y * dz,
        z * (17.5 * zz - 7.5) * dz,
        three * z * dx + steep * x * dz,
        seven * (x * dx - y * dy) + (3.5 * R5) * z * wide * dz,
        (3.0 * R358) * z * (wide * dx - cross * dy) + R358 * odd_x * dz,
        (0.5 * R35) * (odd_x * dx - odd_y * dy),
    )


@kernel
def cubic_pull(x: Vector, y: Vector, z: Vector, g: Vectors7) -> Vectors3:
    """Gradient in the unit vector from that in degree 3."""
    five, wide, cross = R38 * (5.0 * z * z - 1.0), x * x - y * y, 2.0 * x * y
    return (
        (3.0 * R58) * (cross * g[0] + wide * g[6]) + R15 * z * (y * g[1] + x * g[5]) + five * g[4],
        (3.0 * R58) * (wide * g[0] - cross * g[6]) + R15 * z * (x * g[1] - y * g[5]) + five * g[2],
        R15 * (x * y * g[1] + 0.5 * wide * g[5])
        + (10.0 * R38) * z * (y * g[2] + x * g[4])
        + (7.5 * z * z - 1.5) * g[3],
    )


@kernel
def quartic_pull(x: Vector, y: Vector, z: Vector, g: Vectors9) -> Vectors3:
    """Gradient in the unit vector from that in degree 4."""
    xx, yy, zz = x * x, y * y, z * z
    seven, three = (0.5 * R5) * (7.0 * zz - 1.0), R58 * z * (7.0 * zz - 3.0)
    steep, wide, cross = R58 * (21.0 * zz - 3.0), (3.0 * R358) * z * (xx - yy), (6.0 * R358) * x * y * z
    odd_y, odd_x = y * (3.0 * xx - yy), x * (xx - 3.0 * yy)
    return (
        (0.5 * R35) * (odd_y * g[0] + odd_x * g[8])
        + (cross * g[1] + wide * g[7])
        + seven * (y * g[2] + x * g[6])
        + three * g[5],
        (0.5 * R35) * (odd_x * g[0] - odd_y * g[8])
        + (wide * g[1] - cross * g[7])
        + seven * (x * g[2] - y * g[6])
        + three * g[3],
        R358 * (odd_y * g[1] + odd_x * g[7])
        + (7.0 * R5) * z * (x * y * g[2] + 0.5 * (xx - yy) * g[6])
        + steep * (y * g[3] + x * g[5])
        + z * (17.5 * zz - 7.5) * g[4],
    )
