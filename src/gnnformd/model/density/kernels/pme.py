"""Charges spread on a mesh by B-splines, waves on it multiplied by a kernel, and its value and gradient at the charges.

The mesh (X, Y, Z + PAD) has room behind its last point for the nodes of charges near it, so that the nodes of a charge
along z are one vector; what stands there belongs to the first points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from gnnformd.model.density.kernels.simd import BYTES, fill, lanes_of, load, store
from gnnformd.model.density.kernels.simd_functions import total
from gnnformd.model.density.kernels.structures import Doubles, Floats, Indices, MeshKernel, Number, PointCharges
from gnnformd.numba_jit import kernel

__all__ = ["ORDER", "PAD", "add_up_meshes", "apply_kernel", "interpolate", "repeat_ends", "spline_table", "spread"]

Sizes = tuple[int, int, int]

ORDER = 8
"""Nodes that a charge is spread over along each direction."""

PAD = 16
"""Numbers in the widest vector."""


def spline_table(dtype: DTypeLike) -> Floats:
    """Cardinal B-spline at the nodes of a charge, as polynomials of its distance from the first one.

    ``M(x + ORDER - 1 - n)`` at nodes n = 0 .. ORDER - 1 for 0 <= x < 1 is ``sum_k c_kn x^k``. With M_2 from 0 to 1 and
    back, ``M_p(u) = (u M_{p-1}(u) + (p - u) M_{p-1}(u - 1)) / (p - 1)``. Source: Essmann et al., J. Chem. Phys. 103,
    8577 (1995).

    Returns
    -------
    Floats
        c of the spline and of its derivative, (2, ORDER, W): whole vectors for each power, zero beyond the nodes.
    """
    nodes = np.zeros((ORDER, ORDER))  # (n, k)
    nodes[0, :2], nodes[1, :2] = (1, -1), (0, 1)
    for p in range(3, ORDER + 1):
        times_x = np.roll(nodes, 1, axis=1)
        below, below_x = (np.concatenate([np.zeros((1, ORDER)), values[:-1]]) for values in (nodes, times_x))
        n = np.arange(ORDER)[:, None]
        nodes = (below_x + (p - 1 - n) * below + (n + 1) * nodes - times_x) / (p - 1)
    table = np.zeros((2, ORDER, max(ORDER, BYTES // np.dtype(dtype).itemsize)), dtype)
    table[0, :, :ORDER] = nodes.T
    table[1, :-1, :ORDER] = (nodes * np.arange(ORDER)).T[1:]
    return table


@kernel
def _width(table: Floats) -> int:
    """Length W of the rows of a table of splines: one vector, or as many as the nodes need."""
    return max(ORDER, lanes_of(table))


@kernel
def _polynomials(table: Floats, row: int, x: Number, out: Floats, target: int) -> None:
    """Polynomials of ``table[row]`` (flat) at x, written from ``target`` on."""
    width = _width(table)
    end = (row + 1) * ORDER * width
    for n in range(0, width, lanes_of(table)):
        value = load(table, end - width + n)
        for k in range(2, ORDER + 1):
            value = value * x + load(table, end - k * width + n)
        store(out, target + n, value)


@kernel
def _set_splines(point: Doubles, shape: Sizes, table: Floats, scratch: Floats, nodes: Indices) -> None:
    """Nodes of a charge (3, ORDER), weights (first three rows of ``scratch``) and their derivatives (next three)."""
    width = _width(table)
    for axis in range(3):
        u = point[axis] * shape[axis]
        low = min(int(u), shape[axis] - 1)  # a coordinate just below one may be rounded up
        x = table.dtype.type(u - low)
        _polynomials(table, 0, x, scratch, axis * width)
        _polynomials(table, 1, x, scratch, (3 + axis) * width)
        nodes[axis, 0] = low
        for n in range(1, ORDER):
            nodes[axis, n] = nodes[axis, n - 1] + 1 if nodes[axis, n - 1] + 1 < shape[axis] else 0


@kernel
def spread(atoms: tuple[int, int], points: PointCharges, table: Floats, shape: Sizes, mesh: Floats) -> None:
    """Make a mesh (flat) of charges ``atoms[0] .. atoms[1]`` at fractional coordinates (N, 3) in [0, 1)."""
    scaled, charges = points.positions, points.charges
    width, length = _width(table), shape[2] + PAD
    scratch, nodes = np.zeros(6 * width, table.dtype), np.zeros((3, ORDER), np.int64)
    mesh[:] = 0.0
    for i in range(atoms[0], atoms[1]):
        _set_splines(scaled[i], shape, table, scratch, nodes)
        for part in range(0, width, lanes_of(table)):
            along = load(scratch, 2 * width + part)
            for a in range(ORDER):
                w = charges[i] * scratch[a]
                plane = nodes[0, a] * shape[1]
                for b in range(ORDER):
                    offset = (plane + nodes[1, b]) * length + nodes[2, 0] + part
                    store(mesh, offset, load(mesh, offset) + along * (w * scratch[width + b]))


@kernel
def add_up_meshes(planes: tuple[int, int], meshes: Floats, shape: Sizes, out: Floats) -> None:
    """Add up meshes, and what stands behind the last points (along z) to the first ones.

    Planes ``planes[0] .. planes[1]`` of (meshes, X, Y, Z + PAD) to ``out`` (X, Y, Z).
    """
    for i in range(planes[0], planes[1]):
        for j in range(shape[1]):
            row = meshes[0, i, j]
            for part in range(1, len(meshes)):
                other = meshes[part, i, j]
                for n in range(shape[2] + PAD):
                    row[n] += other[n]
            for n in range(ORDER - 1):
                row[n] += row[shape[2] + n]
            for n in range(shape[2]):
                out[i, j, n] = row[n]


@kernel
def repeat_ends(planes: tuple[int, int], values: Floats, shape: Sizes, mesh: Floats) -> None:
    """Copy planes ``planes[0] .. planes[1]`` of (X, Y, Z) to (X, Y, Z + PAD): after the last points come the first."""
    for i in range(planes[0], planes[1]):
        for j in range(shape[1]):
            row = mesh[i, j]
            for n in range(shape[2]):
                row[n] = values[i, j, n]
            for n in range(PAD):
                row[shape[2] + n] = row[n]


@kernel
def interpolate(
    atoms: tuple[int, int], points: PointCharges, table: Floats, shape: Sizes, mesh: Floats, out: Doubles
) -> None:
    """``q_i`` times the slopes of the interpolated mesh (flat) along fractional coordinates, then its value, (N, 4)."""
    scaled, charges = points.positions, points.charges
    width, length = _width(table), shape[2] + PAD
    scratch, nodes = np.zeros(6 * width, table.dtype), np.zeros((3, ORDER), np.int64)
    for i in range(atoms[0], atoms[1]):
        _set_splines(scaled[i], shape, table, scratch, nodes)
        for column in range(4):
            out[i, column] = 0.0
        for part in range(0, width, lanes_of(table)):
            x = y = z = fill(table, table.dtype.type(0.0))
            for a in range(ORDER):
                weight, slope = scratch[a], scratch[3 * width + a]
                plane = nodes[0, a] * shape[1]
                for b in range(ORDER):
                    values = load(mesh, (plane + nodes[1, b]) * length + nodes[2, 0] + part)
                    x = x + values * (slope * scratch[width + b])
                    y = y + values * (weight * scratch[4 * width + b])
                    z = z + values * (weight * scratch[width + b])
            along = load(scratch, 2 * width + part)
            out[i, 0] += charges[i] * shape[0] * total(x * along)
            out[i, 1] += charges[i] * shape[1] * total(y * along)
            out[i, 2] += charges[i] * shape[2] * total(z * load(scratch, 5 * width + part))
            out[i, 3] += total(z * along)


@kernel
def apply_kernel(planes: tuple[int, int], waves: Floats, mesh: MeshKernel) -> Doubles:
    """Multiply waves by the kernel and add up the energy and its virial in planes ``planes[0] .. planes[1]``.

    Parameters
    ----------
    waves
        Real and imaginary parts, (X, Y, Z/2 + 1, 2).
    mesh
        The kernel.

    Returns
    -------
    Doubles
        Energy and ``-dE/dk^2 k_a k_b`` (xx, yy, zz, xy, xz, yz), (7,).
    """
    numbers, reciprocal, slope = mesh.numbers, mesh.reciprocal, mesh.slope
    last = waves.shape[2] - 1
    energy = xx = yy = zz = xy = xz = yz = 0.0
    for i in range(planes[0], planes[1]):
        for j in range(waves.shape[1]):
            x0 = numbers[0][i] * reciprocal[0, 0] + numbers[1][j] * reciprocal[1, 0]
            y0 = numbers[0][i] * reciprocal[0, 1] + numbers[1][j] * reciprocal[1, 1]
            z0 = numbers[0][i] * reciprocal[0, 2] + numbers[1][j] * reciprocal[1, 2]
            for n in range(waves.shape[2]):
                x = x0 + numbers[2][n] * reciprocal[2, 0]
                y = y0 + numbers[2][n] * reciprocal[2, 1]
                z = z0 + numbers[2][n] * reciprocal[2, 2]
                real, imaginary = waves[i, j, n, 0], waves[i, j, n, 1]
                g = mesh.values[i, j, n]
                waves[i, j, n, 0], waves[i, j, n, 1] = g * real, g * imaginary
                half = 0.5 if n == 0 or (mesh.even and n == last) else 1.0  # the others count for their opposites, too
                e = half * g * (real * real + imaginary * imaginary)
                square = x * x + y * y + z * z
                falling = e * (slope + 1.0 / max(square, 1e-30)) if g != 0.0 else 0.0
                energy += e
                xx += falling * x * x
                yy += falling * y * y
                zz += falling * z * z
                xy += falling * x * y
                xz += falling * x * z
                yz += falling * y * z
    return np.array([energy, xx, yy, zz, xy, xz, yz])
