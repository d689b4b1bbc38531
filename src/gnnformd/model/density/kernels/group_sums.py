"""Densities of a center, and their gradient, where all neighbors of a group send the same.

What they send is part of the weights of the densities. Functions are in the scratch from row ``RECEIVED`` on, see
`gnnformd.model.density.kernels.neighbor_scratch`.
"""

from __future__ import annotations

from gnnformd.model.density.kernels.density_gradients import Vectors3, vector_gradient
from gnnformd.model.density.kernels.density_sums import accumulate_all
from gnnformd.model.density.kernels.higher_degrees import higher_vjp
from gnnformd.model.density.kernels.neighbor_scratch import (
    DISTANCE,
    HARMONIC,
    PAIR_SLOPE,
    RECEIVED,
    UNIT,
    WEIGHT,
    harmonics,
    radial_functions,
)
from gnnformd.model.density.kernels.simd import fill, lanes_of, load, read, repeat, store, transpose, write
from gnnformd.model.density.kernels.simd_functions import total
from gnnformd.model.density.kernels.structures import (
    ATOMS,
    HARMONIC_COUNTS,
    Floats,
    Forces,
    Layout,
    Neighborhood,
    Scratch,
)
from gnnformd.numba_jit import kernel

__all__ = ["group_densities", "group_functions", "groups_vjp"]


@kernel
def group_functions(hood: Neighborhood, layout: Layout) -> None:
    """Radial functions and harmonics of all neighbors; no harmonics where the highest degree is zero."""
    values, columns = hood.values, hood.columns
    width = lanes_of(values)
    for g in range(len(hood.begin)):
        for e in range(hood.begin[g], hood.end[g], width):
            radial_functions(values, columns, e, RECEIVED, layout.padded, layout.cutoff, layout.counts[g])
            if layout.degree > 0:
                harmonics(values, columns, e, HARMONIC_COUNTS[layout.degree])


@kernel
def group_densities(hood: Neighborhood, layout: Layout, transposed: Floats, out: Floats) -> None:
    """Densities of a center, added to its row of the block; functions are left in the scratch.

    ``out`` is (harmonics, ATOMS, inner) and ``padded`` more, ``transposed`` is memory (columns, padded).
    """
    group_functions(hood, layout)
    values, columns, padded, inner = hood.values, hood.columns, layout.padded, layout.inner
    scratch = Scratch(values, columns, padded)
    width, count = lanes_of(values), HARMONIC_COUNTS[layout.degree]
    for g in range(len(hood.begin)):
        first, last = hood.begin[g], hood.end[g]
        end = (last + width - 1) // width * width
        if layout.degree == 0:
            for k in range(layout.counts[g]):
                sum_of_row = fill(values, 0.0)
                for e in range(first, end, width):
                    sum_of_row = sum_of_row + load(values, (RECEIVED + k) * columns + e)
                out[hood.row * inner + layout.offsets[g] + k] = total(sum_of_row)
            continue
        target = hood.row * inner + layout.offsets[g]
        for k in range(0, layout.counts[g], width):  # behind the functions of the group are zeros
            for e in range(first, end, width):
                transpose(values, (RECEIVED + k) * columns + e, columns, transposed, e * padded + k, padded)
            accumulate_all(scratch, HARMONIC, first, last, transposed, k, out, target + k, ATOMS * inner, count)


@kernel
def _radial_vjp(
    values: Floats, columns: int, e: int, padded: int, functions: tuple[int, int], gradient: Floats
) -> Vectors3:
    """Gradient in the vectors to the neighbors from ``e`` on where all densities are of degree zero.

    ``functions`` is the range of the densities of the group.
    """
    slope = load(values, PAIR_SLOPE * columns + e)
    function = (RECEIVED + padded) * columns + e
    for k in range(functions[0], functions[1]):
        slope = slope + load(values, function) * repeat(gradient, k)
        function += columns
    unit = UNIT * columns + e
    x, y, z = load(values, unit), load(values, unit + columns), load(values, unit + 2 * columns)
    return slope * x, slope * y, slope * z


@kernel
def _group_vjp(
    values: Floats, columns: int, e: int, padded: int, functions: tuple[int, int], stride: int, gradient: Floats
) -> Vectors3:
    """Gradient in the vectors to the neighbors from ``e`` on, from that in the densities.

    ``functions`` is the range of the densities of the group in ``gradient``, ``stride`` the distance of two harmonics
    there. With ``G_lm = sum_k g B`` the gradient in the unit vector is ``sum_lm G_lm grad Y_lm``.
    """
    unit = UNIT * columns + e
    x, y, z = load(values, unit), load(values, unit + columns), load(values, unit + 2 * columns)
    harmonic = (HARMONIC + 4) * columns + e
    y4, y5, y6 = load(values, harmonic), load(values, harmonic + columns), load(values, harmonic + 2 * columns)
    y7, y8 = load(values, harmonic + 3 * columns), load(values, harmonic + 4 * columns)
    on_distance = load(values, PAIR_SLOPE * columns + e)
    q1 = q2 = q3 = q4 = q5 = q6 = q7 = q8 = fill(values, 0.0)
    function = RECEIVED * columns + e
    for k in range(functions[0], functions[1]):
        b, slope = load(values, function), load(values, function + padded * columns)
        g1, g2 = repeat(gradient, k + stride), repeat(gradient, k + 2 * stride)
        g3, g4 = repeat(gradient, k + 3 * stride), repeat(gradient, k + 4 * stride)
        g5, g6 = repeat(gradient, k + 5 * stride), repeat(gradient, k + 6 * stride)
        g7, g8 = repeat(gradient, k + 7 * stride), repeat(gradient, k + 8 * stride)
        on_distance = on_distance + slope * (
            repeat(gradient, k) + (x * g1 + y * g2 + z * g3) + (y4 * g4 + y5 * g5) + (y6 * g6 + y7 * g7 + y8 * g8)
        )
        q1 = q1 + b * g1
        q2 = q2 + b * g2
        q3 = q3 + b * g3
        q4 = q4 + b * g4
        q5 = q5 + b * g5
        q6 = q6 + b * g6
        q7 = q7 + b * g7
        q8 = q8 + b * g8
        function += columns
    inverse = 1.0 / load(values, DISTANCE * columns + e)
    return vector_gradient(inverse, (x, y, z), on_distance, (q1, q2, q3, q4, q5, q6, q7, q8))


@kernel
def groups_vjp(hood: Neighborhood, layout: Layout, gradient: Floats, sums: Forces) -> None:
    """Add the gradients of all neighbors of a center to the forces on both ends and to the virial.

    Parameters
    ----------
    hood
        With what `group_functions` has left.
    gradient
        In the densities of the block, (harmonics, ATOMS, inner).
    """
    values, columns, padded = hood.values, hood.columns, layout.padded
    atom, forces, virial = hood.atom, sums.forces, sums.virial
    width, stride = lanes_of(values), ATOMS * layout.inner
    xx = yy = zz = xy = xz = yz = fill(values, 0.0)
    sum_x, sum_y, sum_z = 0.0, 0.0, 0.0
    for g in range(len(hood.begin)):
        first, last = hood.begin[g], hood.end[g]
        begin = hood.row * layout.inner + layout.offsets[g]
        functions = begin, begin + layout.counts[g]
        for e in range(first, last, width):
            if layout.degree == 0:
                gx, gy, gz = _radial_vjp(values, columns, e, padded, functions, gradient)
            else:
                gx, gy, gz = _group_vjp(values, columns, e, padded, functions, stride, gradient)
            if layout.degree > 2:
                function = RECEIVED * columns + e
                more = higher_vjp(values, columns, e, function, padded, gradient, functions, stride, layout.degree)
                gx, gy, gz = gx + more[0], gy + more[1], gz + more[2]
            r = load(values, DISTANCE * columns + e)
            unit = UNIT * columns + e
            x, y = r * load(values, unit), r * load(values, unit + columns)
            z = r * load(values, unit + 2 * columns)
            xx, yy, zz = xx - x * gx, yy - y * gy, zz - z * gz
            xy, xz, yz = xy - x * gy, xz - x * gz, yz - y * gz
            target = WEIGHT * columns + e
            store(values, target, gx)
            store(values, target + columns, gy)
            store(values, target + 2 * columns, gz)
        for e in range(first, last):
            target = 3 * read(atom, e)
            fx, fy = read(values, WEIGHT * columns + e), read(values, (WEIGHT + 1) * columns + e)
            fz = read(values, (WEIGHT + 2) * columns + e)
            sum_x += fx
            sum_y += fy
            sum_z += fz
            write(forces, target, read(forces, target) - fx)
            write(forces, target + 1, read(forces, target + 1) - fy)
            write(forces, target + 2, read(forces, target + 2) - fz)
    i = hood.center
    forces[i, 0] += sum_x
    forces[i, 1] += sum_y
    forces[i, 2] += sum_z
    for row in ((0, xx), (1, yy), (2, zz), (3, xy), (4, xz), (5, yz)):
        virial[row[0]] += total(row[1])
