"""Gradients of functions of the densities in positions and received numbers, and their derivative along a displacement.

A vector-Jacobian product (``vjp``) takes the gradient in the densities back to vectors and received numbers; a
Jacobian-vector product (``jvp``) takes a displacement forward.
"""

from __future__ import annotations

import numpy as np

from gnnformd.model.density.kernels.higher_degrees import higher_vjp
from gnnformd.model.density.kernels.neighbor_scratch import (
    DISTANCE,
    HARMONIC,
    RECEIVED,
    ROOT3,
    SOFT_SLOPE,
    WEIGHT,
    make_scratch,
    prepare,
    set_displacements,
    set_weight_derivatives,
)
from gnnformd.model.density.kernels.simd import Vector, fill, lanes_of, load, repeat, store
from gnnformd.model.density.kernels.structures import (
    HARMONIC_COUNTS,
    HARMONICS,
    EdgeGradients,
    Floats,
    Forces,
    Number,
    PairGeometry,
    Scratch,
    Shell,
)
from gnnformd.numba_jit import kernel

__all__ = ["add_pair_gradient", "densities_vjp", "neighbors_vjp", "received_jvp", "vector_gradient"]

Vectors3 = tuple[Vector, Vector, Vector]
Vectors8 = tuple[Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector]


@kernel
def _copy_gradient(target: Floats, padded: int, gradient: Floats, i: int, shell: Shell, count: int) -> None:
    """Copy the gradient in the densities of an atom to (C, count, padded); degrees that it does not have stay zero."""
    degrees, _, channels, _ = gradient.shape
    for c in range(channels):
        for lm in range(degrees):
            for k in range(shell.functions):
                target[(c * count + lm) * padded + k] = gradient[lm, i, c, shell.offset + k]


@kernel
def vector_gradient(inverse: Vector, unit: Vectors3, slope: Vector, on_harmonics: Vectors8) -> Vectors3:
    """Gradient in a vector from that in its length, ``slope``, and those in its harmonics, ``G_1`` to ``G_8``.

    The gradient in the unit vector is ``sum_lm G_lm grad Y_lm``; only its part perpendicular to the vector counts, and
    ``inverse`` is one over the length of the vector.
    """
    x, y, z = unit
    g1, g2, g3, g4, g5, g6, g7, g8 = on_harmonics
    across_x = inverse * (g1 + ROOT3 * (y * g4 + z * g6 + x * g7))
    across_y = inverse * (g2 + ROOT3 * (x * g4 + z * g5 - y * g7))
    across_z = inverse * (g3 + ROOT3 * (y * g5 + x * g6) + 3.0 * z * g8)
    radial = slope - (across_x * x + across_y * y + across_z * z)
    return across_x + radial * x, across_y + radial * y, across_z + radial * z


@kernel
def add_pair_gradient(
    i: int,
    j: int,
    r: Number,
    unit: tuple[Number, Number, Number],
    gradient: tuple[Number, Number, Number],
    sums: Forces,
) -> None:
    """Add the gradient in the vector from i to j, of length r, to the forces on both atoms and to the virial."""
    forces, virial = sums.forces, sums.virial
    x, y, z = gradient
    forces[i, 0] += x
    forces[i, 1] += y
    forces[i, 2] += z
    forces[j, 0] -= x
    forces[j, 1] -= y
    forces[j, 2] -= z
    virial[0] -= r * unit[0] * x
    virial[1] -= r * unit[1] * y
    virial[2] -= r * unit[2] * z
    virial[3] -= r * unit[0] * y
    virial[4] -= r * unit[0] * z
    virial[5] -= r * unit[1] * z


@kernel
def neighbors_vjp(
    values: Floats, columns: int, e: int, padded: int, gradient: Floats, channels: int, functions: int, degree: int
) -> None:
    """Gradients of the neighbors from ``e`` on: in the vectors, to three rows of weights, and in received numbers.

    The latter replace the received numbers. ``gradient`` (C, harmonics, padded) is that in the densities. With
    ``G_lm = sum_ck h g B`` the gradient in the unit vector is ``sum_lm G_lm grad Y_lm``.
    """
    row = HARMONIC * columns + e
    y0, y1, y2 = load(values, row), load(values, row + columns), load(values, row + 2 * columns)
    y3, y4 = load(values, row + 3 * columns), load(values, row + 4 * columns)
    y5, y6 = load(values, row + 5 * columns), load(values, row + 6 * columns)
    y7, y8 = load(values, row + 7 * columns), load(values, row + 8 * columns)
    harmonics = HARMONIC_COUNTS[degree]
    more_x = more_y = more_z = fill(values, 0.0)
    on_distance = q1 = q2 = q3 = q4 = q5 = q6 = q7 = q8 = fill(values, 0.0)
    for c in range(channels):
        h = load(values, (RECEIVED + c) * columns + e)
        on_h = fill(values, 0.0)
        function = (RECEIVED + channels) * columns + e
        if degree > 2:
            begin = c * harmonics * padded
            more = higher_vjp(
                values, columns, e, function, padded, gradient, (begin, begin + functions), padded, degree
            )
            more_x, more_y, more_z = more_x + h * more[0], more_y + h * more[1], more_z + h * more[2]
            on_h = more[3]
        for k in range(functions):
            g = (c * harmonics) * padded + k
            b, slope = load(values, function), load(values, function + padded * columns)
            hb = h * b
            g1, g2 = repeat(gradient, g + padded), repeat(gradient, g + 2 * padded)
            g3, g4 = repeat(gradient, g + 3 * padded), repeat(gradient, g + 4 * padded)
            g5, g6 = repeat(gradient, g + 5 * padded), repeat(gradient, g + 6 * padded)
            g7, g8 = repeat(gradient, g + 7 * padded), repeat(gradient, g + 8 * padded)
            t = y0 * repeat(gradient, g) + y1 * g1 + y2 * g2 + y3 * g3 + y4 * g4 + y5 * g5 + y6 * g6 + y7 * g7 + y8 * g8
            on_distance = on_distance + t * (h * slope)
            on_h = on_h + t * b
            q1 = q1 + hb * g1
            q2 = q2 + hb * g2
            q3 = q3 + hb * g3
            q4 = q4 + hb * g4
            q5 = q5 + hb * g5
            q6 = q6 + hb * g6
            q7 = q7 + hb * g7
            q8 = q8 + hb * g8
            function += columns
        store(values, (RECEIVED + c) * columns + e, on_h)
    inverse = 1.0 / load(values, DISTANCE * columns + e)
    x, y, z = vector_gradient(inverse, (y1, y2, y3), on_distance, (q1, q2, q3, q4, q5, q6, q7, q8))
    store(values, WEIGHT * columns + e, x + more_x)
    store(values, (WEIGHT + 1) * columns + e, y + more_y)
    store(values, (WEIGHT + 2) * columns + e, z + more_z)


@kernel
def _degree_of(gradient: Floats) -> int:
    """Highest degree of a gradient in densities, (L, N, C, K)."""
    degree = 0
    while (degree + 1) * (degree + 1) < gradient.shape[0]:
        degree += 1
    return degree


@kernel
def densities_vjp(
    atoms: tuple[int, int], shell: Shell, geometry: PairGeometry, sent: Floats, gradient: Floats, out: EdgeGradients
) -> None:
    """Gradients of ``sum g D`` in the vectors of directed edges and in what each edge received.

    Parameters
    ----------
    atoms, shell, geometry, sent
        As for `density_sums.densities`.
    gradient
        ``g``, (L, N, C, all functions).
    out
        Written: gradients through each edge alone.
    """
    channels, harmonics, degree = gradient.shape[2], max(gradient.shape[0], HARMONIC_COUNTS[0]), _degree_of(gradient)
    begin, until = atoms
    scratch = make_scratch(shell.start[begin : until + 1], channels, shell.functions, sent)
    values, columns, padded = scratch.values, scratch.columns, scratch.padded
    of_atom = np.zeros(channels * harmonics * padded, sent.dtype)
    for i in range(begin, until):
        first, last = shell.start[i], shell.start[i + 1]
        end = prepare(scratch, first, last, shell, geometry, sent, harmonics)
        _copy_gradient(of_atom, padded, gradient, i, shell, harmonics)
        for e in range(0, end, lanes_of(sent)):
            neighbors_vjp(values, columns, e, padded, of_atom, channels, shell.functions, degree)
        for e in range(last - first):
            for axis in range(3):
                out.vectors[first + e, axis] = values[(WEIGHT + axis) * columns + e]
            for c in range(channels):
                out.received[first + e, c] = values[(RECEIVED + c) * columns + e]


@kernel
def _neighbors_jvp(
    scratch: Scratch, e: int, gradient: Floats, c: int, row: int, functions: int, harmonics: int
) -> None:
    """Change of the gradient in h with the displacements of the neighbors from ``e`` on, to the row before ``row``."""
    values, columns, padded = scratch.values, scratch.columns, scratch.padded
    stretch = load(values, SOFT_SLOPE * columns + e)
    result = fill(values, 0.0)
    for k in range(functions):
        g = c * harmonics * padded + k
        angular, change = fill(values, 0.0), fill(values, 0.0)
        harmonic = HARMONIC * columns + e
        for lm in range(harmonics):
            angular = angular + load(values, harmonic) * repeat(gradient, g + lm * padded)
            change = change + load(values, harmonic + HARMONICS * columns) * repeat(gradient, g + lm * padded)
            harmonic += columns
        function = (row + k) * columns + e
        result = result + angular * stretch * load(values, function + padded * columns)
        result = result + change * load(values, function)
    store(values, (row - 1) * columns + e, result)


@kernel
def received_jvp(
    atoms: tuple[int, int],
    shell: Shell,
    geometry: PairGeometry,
    sent: Floats,
    gradient: Floats,
    displacements: Floats,
    out: Floats,
) -> None:
    """Differentiate the gradient in received numbers, of `densities_vjp`, along a change of the vectors of half edges.

    Parameters
    ----------
    atoms, shell, geometry, sent, gradient
        As for `densities_vjp`.
    displacements
        Change of the vectors, (E/2, 3).
    out
        Written, (E, C).
    """
    channels, harmonics = gradient.shape[2], max(gradient.shape[0], HARMONIC_COUNTS[0])
    begin, until = atoms
    scratch = make_scratch(shell.start[begin : until + 1], channels + 1, shell.functions, sent)
    values, columns, padded = scratch.values, scratch.columns, scratch.padded
    of_atom = np.zeros(channels * harmonics * padded, sent.dtype)
    one = np.ones((sent.shape[0], 1), sent.dtype)  # received by all, so that weights are changes of harmonics alone
    row = RECEIVED + 1
    for i in range(begin, until):
        first, last = shell.start[i], shell.start[i + 1]
        end = prepare(scratch, first, last, shell, geometry, one, harmonics)
        set_displacements(scratch, first, last - first, shell.pair, displacements)
        set_weight_derivatives(values, columns, end, RECEIVED, harmonics)
        _copy_gradient(of_atom, padded, gradient, i, shell, harmonics)
        for c in range(channels):
            for e in range(0, end, lanes_of(sent)):
                _neighbors_jvp(scratch, e, of_atom, c, row, shell.functions, harmonics)
            for e in range(last - first):
                out[first + e, c] = values[RECEIVED * columns + e]
