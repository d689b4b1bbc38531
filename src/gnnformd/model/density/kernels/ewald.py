"""Sums over wave vectors for one atom after another, with wave vectors side by side in the lanes.

A wave vector is ``x a + y b + z c`` with whole numbers and the reciprocal lattice a, b, c. Rows are pairs (x, y); along
a row z goes from -Z up, filled up to whole vectors. ``phases`` (6, W) holds cosines and sines of ``n angle`` of one
atom for each of the three directions.
"""

from __future__ import annotations

import math

import numpy as np

from gnnformd.model.density.kernels.simd import Vector, fill, lanes_of, load, store
from gnnformd.model.density.kernels.simd_functions import total
from gnnformd.model.density.kernels.structures import Doubles, Floats, Indices, Number, PointCharges, WaveVectors
from gnnformd.numba_jit import kernel

__all__ = ["add_derivatives", "add_structure_factors"]


@kernel
def _set_phases(point: Doubles, counts: Indices, phases: Floats) -> None:
    """``exp(i n angle)``: n from 0 in the first direction, from ``-counts`` in the others."""
    for axis in range(3):
        angle = 2.0 * math.pi * point[axis]
        step_c, step_s = math.cos(angle), math.sin(angle)
        low = 0 if axis == 0 else counts[axis]
        c, s = math.cos(low * angle), -math.sin(low * angle)
        for n in range(low + counts[axis] + 1):
            phases[2 * axis, n] = c
            phases[2 * axis + 1, n] = s
            c, s = c * step_c - s * step_s, c * step_s + s * step_c


@kernel
def _row_factor(q: Number, phases: Floats, x: int, y: int) -> tuple[Number, Number]:
    """``q exp(i (x + y) angles)``: the factor that all wave vectors of a row have in common."""
    c = phases[0, x] * phases[2, y] - phases[1, x] * phases[3, y]
    s = phases[0, x] * phases[3, y] + phases[1, x] * phases[2, y]
    return q * c, q * s


@kernel
def add_structure_factors(atoms: tuple[int, int], points: PointCharges, waves: WaveVectors, factors: Floats) -> None:
    """Add ``S(k) = sum_i q_i exp(i k.x_i)`` of the atoms from ``atoms[0]`` to ``atoms[1]``, four at a time.

    Parameters
    ----------
    points
        Fractional coordinates and charges.
    waves
        The wave vectors.
    factors
        Real and imaginary parts, (R, 2, Z') flat.
    """
    scaled, charges, counts, rows = points.positions, points.charges, waves.counts, waves.rows
    width = lanes_of(factors)
    length = len(waves.numbers)
    phases = np.zeros((4, 6, max(length, counts[0] + 1, 2 * counts[1] + 1)), factors.dtype)
    q = np.zeros(4, factors.dtype)
    for first in range(atoms[0], atoms[1], 4):
        for a in range(4):
            i = min(first + a, atoms[1] - 1)
            q[a] = charges[i] if first + a < atoms[1] else 0.0
            _set_phases(scaled[i], counts, phases[a])
        for r in range(rows.shape[0]):
            x, y = rows[r, 0], rows[r, 1]
            c0, s0 = _row_factor(q[0], phases[0], x, y)
            c1, s1 = _row_factor(q[1], phases[1], x, y)
            c2, s2 = _row_factor(q[2], phases[2], x, y)
            c3, s3 = _row_factor(q[3], phases[3], x, y)
            offset = 2 * r * length
            for k in range(0, length, width):
                real, imaginary = load(factors, offset + k), load(factors, offset + length + k)
                u, v = load(phases[0, 4], k), load(phases[0, 5], k)
                real, imaginary = real + u * c0 - v * s0, imaginary + u * s0 + v * c0
                u, v = load(phases[1, 4], k), load(phases[1, 5], k)
                real, imaginary = real + u * c1 - v * s1, imaginary + u * s1 + v * c1
                u, v = load(phases[2, 4], k), load(phases[2, 5], k)
                real, imaginary = real + u * c2 - v * s2, imaginary + u * s2 + v * c2
                u, v = load(phases[3, 4], k), load(phases[3, 5], k)
                real, imaginary = real + u * c3 - v * s3, imaginary + u * s3 + v * c3
                store(factors, offset + k, real)
                store(factors, offset + length + k, imaginary)


@kernel
def _rotated(real: Vector, imaginary: Vector, u: Vector, v: Vector, c: Number, s: Number) -> tuple[Vector, Vector]:
    """Real and imaginary part of ``w S`` times the conjugate of ``exp(i k.x)``."""
    x, y = u * c - v * s, u * s + v * c
    return real * x + imaginary * y, imaginary * x - real * y


@kernel
def add_derivatives(
    atoms: tuple[int, int], points: PointCharges, waves: WaveVectors, factors: Floats, derivatives: Doubles
) -> None:
    """Add the derivatives of ``1/2 sum_k w |S(k)|^2`` by ``2 pi`` times the fractional coordinates, and by the charges.

    Parameters
    ----------
    atoms, points, waves
        As for `add_structure_factors`.
    factors
        ``w S(k)``, in the same order.
    derivatives
        By the three coordinates, then by the charge, (N, 4).
    """
    scaled, charges, counts, rows = points.positions, points.charges, waves.counts, waves.rows
    numbers = waves.numbers
    width = lanes_of(factors)
    length = len(numbers)
    phases = np.zeros((2, 6, max(length, counts[0] + 1, 2 * counts[1] + 1)), factors.dtype)
    one = factors.dtype.type(1.0)
    for first in range(atoms[0], atoms[1], 2):
        last = min(first + 1, atoms[1] - 1)
        _set_phases(scaled[first], counts, phases[0])
        _set_phases(scaled[last], counts, phases[1])
        x0 = y0 = x1 = y1 = 0.0
        z0 = z1 = p0 = p1 = fill(factors, 0.0)
        for r in range(rows.shape[0]):
            x, y = rows[r, 0], rows[r, 1]
            c0, s0 = _row_factor(one, phases[0], x, y)
            c1, s1 = _row_factor(one, phases[1], x, y)
            offset = 2 * r * length
            row0 = row1 = fill(factors, 0.0)
            for k in range(0, length, width):
                real, imaginary, n = load(factors, offset + k), load(factors, offset + length + k), load(numbers, k)
                same, part = _rotated(real, imaginary, load(phases[0, 4], k), load(phases[0, 5], k), c0, s0)
                row0, z0, p0 = row0 + part, z0 + part * n, p0 + same
                same, part = _rotated(real, imaginary, load(phases[1, 4], k), load(phases[1, 5], k), c1, s1)
                row1, z1, p1 = row1 + part, z1 + part * n, p1 + same
            sum0, sum1 = total(row0), total(row1)
            x0, y0 = x0 + x * sum0, y0 + (y - counts[1]) * sum0
            x1, y1 = x1 + x * sum1, y1 + (y - counts[1]) * sum1
        _add_to_row(derivatives[first], charges[first], x0, y0, total(z0), total(p0))
        if last > first:
            _add_to_row(derivatives[last], charges[last], x1, y1, total(z1), total(p1))


@kernel
def _add_to_row(row: Doubles, charge: Number, x: float, y: float, z: float, potential: float) -> None:
    row[0] += charge * x
    row[1] += charge * y
    row[2] += charge * z
    row[3] += potential
