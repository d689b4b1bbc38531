"""What densities of degrees 3 and 4 add to gradients in the vectors to neighbors."""

from __future__ import annotations

from gnnformd.model.density.kernels.harmonic_polynomials import cubic_pull, quartic_pull
from gnnformd.model.density.kernels.neighbor_scratch import DISTANCE, HARMONIC
from gnnformd.model.density.kernels.simd import Vector, fill, load, repeat
from gnnformd.model.density.kernels.structures import Floats
from gnnformd.numba_jit import kernel

__all__ = ["higher_vjp"]

Vectors4 = tuple[Vector, Vector, Vector, Vector]
Vectors5 = tuple[Vector, Vector, Vector, Vector, Vector]


@kernel
def higher_vjp(
    values: Floats,
    columns: int,
    e: int,
    function: int,
    padded: int,
    gradient: Floats,
    functions: tuple[int, int],
    stride: int,
    degree: int,
) -> Vectors4:
    """Gradient in the vectors to the neighbors from ``e`` on that send 1, and in what they send.

    Parameters
    ----------
    function
        Where the first radial function of these neighbors stands in ``values``; derivatives are ``padded`` rows behind.
    gradient, functions, stride
        Gradient in the densities, the range of the functions in it, and the distance of two harmonics.
    degree
        Highest degree, 3 or 4.
    """
    row = (HARMONIC + 1) * columns + e
    x, y, z = load(values, row), load(values, row + columns), load(values, row + 2 * columns)
    part = _cubic_vjp(values, columns, e, function, padded, gradient, functions, stride)
    across_x, across_y, across_z, on_distance, on_sent = part
    if degree > 3:
        part = _quartic_vjp(values, columns, e, function, padded, gradient, functions, stride)
        across_x, across_y, across_z = across_x + part[0], across_y + part[1], across_z + part[2]
        on_distance, on_sent = on_distance + part[3], on_sent + part[4]
    inverse = 1.0 / load(values, DISTANCE * columns + e)
    across_x, across_y, across_z = inverse * across_x, inverse * across_y, inverse * across_z
    radial = on_distance - (across_x * x + across_y * y + across_z * z)
    return across_x + radial * x, across_y + radial * y, across_z + radial * z, on_sent


@kernel
def _cubic_vjp(
    values: Floats,
    columns: int,
    e: int,
    function: int,
    padded: int,
    gradient: Floats,
    functions: tuple[int, int],
    stride: int,
) -> Vectors5:
    """Gradients of degree 3 in the unit vector, the distance and what is sent."""
    row = (HARMONIC + 9) * columns + e
    y0, y1, y2 = load(values, row), load(values, row + columns), load(values, row + 2 * columns)
    y3, y4, y5 = load(values, row + 3 * columns), load(values, row + 4 * columns), load(values, row + 5 * columns)
    y6 = load(values, row + 6 * columns)
    on_distance = on_sent = q0 = q1 = q2 = q3 = q4 = q5 = q6 = fill(values, 0.0)
    for k in range(functions[0], functions[1]):
        b, slope = load(values, function), load(values, function + padded * columns)
        g = k + 9 * stride
        g0, g1, g2, g3 = (
            repeat(gradient, g),
            repeat(gradient, g + stride),
            repeat(gradient, g + 2 * stride),
            repeat(gradient, g + 3 * stride),
        )
        g4, g5, g6 = (
            repeat(gradient, g + 4 * stride),
            repeat(gradient, g + 5 * stride),
            repeat(gradient, g + 6 * stride),
        )
        t = (y0 * g0 + y1 * g1) + (y2 * g2 + y3 * g3) + (y4 * g4 + y5 * g5 + y6 * g6)
        on_distance = on_distance + t * slope
        on_sent = on_sent + t * b
        q0 = q0 + b * g0
        q1 = q1 + b * g1
        q2 = q2 + b * g2
        q3 = q3 + b * g3
        q4 = q4 + b * g4
        q5 = q5 + b * g5
        q6 = q6 + b * g6
        function += columns
    unit = (HARMONIC + 1) * columns + e
    x, y, z = load(values, unit), load(values, unit + columns), load(values, unit + 2 * columns)
    pulled = cubic_pull(x, y, z, (q0, q1, q2, q3, q4, q5, q6))
    return pulled[0], pulled[1], pulled[2], on_distance, on_sent


@kernel
def _quartic_vjp(
    values: Floats,
    columns: int,
    e: int,
    function: int,
    padded: int,
    gradient: Floats,
    functions: tuple[int, int],
    stride: int,
) -> Vectors5:
    """Gradients of degree 4 in the unit vector, the distance and what is sent."""
    row = (HARMONIC + 16) * columns + e
    y0, y1, y2 = load(values, row), load(values, row + columns), load(values, row + 2 * columns)
    y3, y4, y5 = load(values, row + 3 * columns), load(values, row + 4 * columns), load(values, row + 5 * columns)
    y6, y7, y8 = load(values, row + 6 * columns), load(values, row + 7 * columns), load(values, row + 8 * columns)
    on_distance = on_sent = q0 = q1 = q2 = q3 = q4 = q5 = q6 = q7 = q8 = fill(values, 0.0)
    for k in range(functions[0], functions[1]):
        b, slope = load(values, function), load(values, function + padded * columns)
        g = k + 16 * stride
        g0, g1, g2, g3 = (
            repeat(gradient, g),
            repeat(gradient, g + stride),
            repeat(gradient, g + 2 * stride),
            repeat(gradient, g + 3 * stride),
        )
        g4, g5, g6 = (
            repeat(gradient, g + 4 * stride),
            repeat(gradient, g + 5 * stride),
            repeat(gradient, g + 6 * stride),
        )
        g7, g8 = repeat(gradient, g + 7 * stride), repeat(gradient, g + 8 * stride)
        t = (y0 * g0 + y1 * g1) + (y2 * g2 + y3 * g3) + (y4 * g4 + y5 * g5) + (y6 * g6 + y7 * g7 + y8 * g8)
        on_distance = on_distance + t * slope
        on_sent = on_sent + t * b
        q0 = q0 + b * g0
        q1 = q1 + b * g1
        q2 = q2 + b * g2
        q3 = q3 + b * g3
        q4 = q4 + b * g4
        q5 = q5 + b * g5
        q6 = q6 + b * g6
        q7 = q7 + b * g7
        q8 = q8 + b * g8
        function += columns
    unit = (HARMONIC + 1) * columns + e
    x, y, z = load(values, unit), load(values, unit + columns), load(values, unit + 2 * columns)
    pulled = quartic_pull(x, y, z, (q0, q1, q2, q3, q4, q5, q6, q7, q8))
    return pulled[0], pulled[1], pulled[2], on_distance, on_sent
