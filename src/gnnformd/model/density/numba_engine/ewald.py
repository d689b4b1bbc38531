"""The long-range part of the Coulomb energy of one system by compiled loops, as a sum over waves or over pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.model.density.ewald import TAPER
from gnnformd.model.density.kernels.coulomb_pairs import smeared_charges
from gnnformd.model.density.kernels.ewald import add_derivatives, add_structure_factors
from gnnformd.model.density.kernels.simd import BYTES
from gnnformd.model.density.kernels.structures import (
    CoulombResults,
    Forces,
    PointCharges,
    WaveVectors,
)
from gnnformd.model.density.numba_engine.results import LongRangeCoulomb, PartOfSystem, symmetric
from gnnformd.model.density.radial import smoothstep, smoothstep_slope
from gnnformd.model.threads import in_parts
from gnnformd.units import COULOMB

__all__ = ["ClusterSum", "EwaldSum", "constant_energies"]

Array = NDArray[Any]


@dataclass(frozen=True)
class _Waves:
    """Wave vectors of a box, see `gnnformd.model.density.kernels.ewald`, and their weights.

    Attributes
    ----------
    cell
        angstrom, (3, 3).
    numbers
        The whole numbers.
    kernel
        ``4 pi C/V exp(-k^2/4 a^2)/k^2`` for both of k and -k, tapered, kcal/mol/e^2, (R, Z').
    slopes
        Its derivative by k^2, (R, Z').
    vectors
        k, 1/angstrom, (R, Z', 3).
    """

    cell: Array
    numbers: WaveVectors
    kernel: Array
    slopes: Array
    vectors: Array


class EwaldSum:
    """`gnnformd.model.density.ewald.periodic_energy` with its derivatives.

    Parameters
    ----------
    dtype
        Type of the numbers computed with.
    splitting, reach
        As there.
    """

    def __init__(self, dtype: np.dtype[Any], splitting: float, reach: float) -> None:
        self._dtype, self._splitting, self._reach = dtype, splitting, reach
        self._waves: _Waves | None = None

    def evaluate(
        self, charges: Array, scaled: Array, cell: Array, part: PartOfSystem | None = None
    ) -> LongRangeCoulomb:
        """Evaluate charges, e, (N,), at fractional coordinates (N, 3) in a box, angstrom, (3, 3); by default all."""
        part = PartOfSystem.whole(charges) if part is None else part
        if self._waves is None or not np.array_equal(self._waves.cell, cell):
            self._waves = self._waves_of(cell)
        waves, dtype = self._waves, self._dtype
        numbers, points = waves.numbers, PointCharges(scaled, charges.astype(dtype))
        shape = (len(numbers.rows), 2, len(numbers.numbers))

        def factors_of(_: int, atoms: tuple[int, int]) -> Array:
            factors = np.zeros(shape, dtype)
            add_structure_factors(atoms, points, numbers, factors.reshape(-1))
            return factors

        derivatives = np.zeros((len(scaled), 4))
        factors = part.total(np.sum(in_parts(factors_of, len(scaled)), axis=0))
        weighted = (factors * waves.kernel[:, None].astype(dtype)).reshape(-1)
        in_parts(lambda _, atoms: add_derivatives(atoms, points, numbers, weighted, derivatives), len(scaled))
        volume = abs(np.linalg.det(cell))
        square = (factors.astype(np.float64) ** 2).sum(axis=1)  # (R, Z')
        smooth = 0.5 * float((waves.kernel * square).sum())
        own, background, potentials = constant_energies(charges, part.charge, self._splitting, volume)
        terms = (waves.slopes * square)[:, :, None] * waves.vectors  # (R, Z', 3)
        virial = np.eye(3) * (smooth - background) + np.einsum("rza,rzb->ab", terms, waves.vectors)  # of all
        forces = -2 * np.pi * derivatives[:, :3] @ np.linalg.inv(cell).T
        energy = part.share * (smooth - background) - own
        return LongRangeCoulomb(energy, forces, part.share * virial, derivatives[:, 3] - potentials)

    def _waves_of(self, cell: Array) -> _Waves:
        reciprocal = 2 * np.pi * np.linalg.inv(cell).T  # rows are the reciprocal vectors
        counts = (self._reach / (2 * np.pi) * np.linalg.norm(cell, axis=1)).astype(np.int64)
        lanes = BYTES // self._dtype.itemsize
        length = -(-(2 * counts[2] + 1) // lanes) * lanes
        numbers = np.arange(length) - counts[2]
        x, y = (
            n.reshape(-1) for n in np.meshgrid(np.arange(counts[0] + 1), np.arange(2 * counts[1] + 1), indexing="ij")
        )
        flat = x[:, None] * reciprocal[0] + (y - counts[1])[:, None] * reciprocal[1]  # (R, 3)
        vectors = flat[:, None] + numbers[:, None] * reciprocal[2]  # (R, Z', 3)
        square = (vectors**2).sum(axis=2)
        inside = (square > 1e-12) & (square < self._reach**2) & (numbers <= counts[2])
        near = inside.any(axis=1)
        x, y, vectors, square, inside = x[near], y[near], vectors[near], square[near], inside[near]
        square = np.where(inside, square, 1.0)
        k, slope = np.sqrt(square), 1 / (4 * self._splitting**2)
        t = np.clip((1 - k / self._reach) / (1 - TAPER), 0.0, 1.0)
        taper = smoothstep(t)
        taper_slope = -smoothstep_slope(t) / ((1 - TAPER) * self._reach) / (2 * k)  # d taper / d k^2
        twice = np.where(x == 0, 1.0, 2.0)[:, None]
        bare = 4 * np.pi * COULOMB / abs(np.linalg.det(cell)) * twice * np.exp(-slope * square) / square
        kernel = np.where(inside, bare * taper, 0.0)
        slopes = np.where(inside, bare * (taper_slope - taper * (slope + 1 / square)), 0.0)
        rows = np.ascontiguousarray(np.stack([x, y], axis=1))
        return _Waves(cell.copy(), WaveVectors(counts, rows, numbers.astype(self._dtype)), kernel, slopes, vectors)


class ClusterSum:
    """`gnnformd.model.density.ewald.cluster_energy` with its derivatives, in float64.

    Parameters
    ----------
    splitting
        As there.
    """

    def __init__(self, splitting: float) -> None:
        self._splitting = splitting

    def evaluate(self, charges: Array, scaled: Array, cell: Array) -> LongRangeCoulomb:
        """Evaluate charges, e, (N,), at ``scaled @ cell``, angstrom, (N, 3) and (3, 3)."""
        positions, q = scaled @ cell, charges.astype(np.float64)
        potentials, forces = np.zeros(len(q)), np.zeros((len(q), 3))

        def work(_: int, atoms: tuple[int, int]) -> Array:
            results = CoulombResults(potentials, Forces(forces, np.zeros(6)))
            smeared_charges(atoms, PointCharges(positions, q), COULOMB, self._splitting, results)
            return results.sums.virial

        virial = symmetric(np.sum(in_parts(work, len(q)), axis=0))
        return LongRangeCoulomb(0.5 * float(q @ potentials), forces, virial, potentials)


def constant_energies(charges: Array, net: float, splitting: float, volume: float) -> tuple[float, float, Array]:
    """Energy of each smeared charge with itself, and of the background that neutralizes the net charge, kcal/mol.

    The last is the derivative of both by the charges, kcal/mol/e, (N,).

    Parameters
    ----------
    charges
        e, (N,).
    net
        Charge of the whole system, e.
    splitting
        ``a``, 1/angstrom.
    volume
        Of the box, angstrom^3.
    """
    q = charges.astype(np.float64)
    own, background = COULOMB * splitting / np.sqrt(np.pi), COULOMB * np.pi / (2 * splitting**2) / volume
    return own * float((q**2).sum()), background * net**2, 2 * (own * q + background * net)
