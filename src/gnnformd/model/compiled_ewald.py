"""CompiledEwald: the long-range part of the Coulomb energy of one system, by compiled loops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.model.density_ewald import TAPER
from gnnformd.model.kernels.simd import BYTES
from gnnformd.model.kernels.waves import add_factors, add_slopes
from gnnformd.model.threads import in_parts
from gnnformd.units import COULOMB

__all__ = ["CompiledEwald", "constant_energies"]

Array = NDArray[Any]


@dataclass(frozen=True)
class _Waves:
    """Wave vectors of a box: see `gnnformd.model.kernels.waves`.

    Attributes
    ----------
    cell
        angstrom, (3, 3).
    counts
        Largest whole number along each direction.
    rows
        (R, 2).
    numbers
        (Z',).
    kernel
        ``4 pi C/V exp(-k^2/4 a^2)/k^2`` for both of k and -k, tapered, kcal/mol/e^2, (R, Z').
    slopes
        Its derivative by k^2, (R, Z').
    vectors
        k, 1/angstrom, (R, Z', 3).
    """

    cell: Array
    counts: Array
    rows: Array
    numbers: Array
    kernel: Array
    slopes: Array
    vectors: Array


class CompiledEwald:
    """`gnnformd.model.density_ewald.periodic_energy` with its forces and virial.

    Parameters
    ----------
    charges
        e, (N,); their type is the one computed in.
    splitting, reach
        As there.
    """

    def __init__(self, charges: Array, splitting: float, reach: float) -> None:
        self._charges, self._splitting, self._reach = charges, splitting, reach
        self._waves: _Waves | None = None

    def evaluate(self, scaled: Array, cell: Array) -> tuple[float, Array, Array]:
        """Energy, forces (N, 3) and virial (3, 3) at fractional coordinates (N, 3) in a box (3, 3)."""
        if self._waves is None or not np.array_equal(self._waves.cell, cell):
            self._waves = self._waves_of(cell)
        waves, dtype = self._waves, self._charges.dtype
        shape = (len(waves.rows), 2, len(waves.numbers))
        common = (scaled, self._charges, waves.counts, waves.rows)

        def factors_of(_: int, atoms: tuple[int, int]) -> Array:
            factors = np.zeros(shape, dtype)
            add_factors(atoms, *common, factors.reshape(-1))
            return factors

        slopes = np.zeros((len(scaled), 3))
        factors = np.sum(in_parts(factors_of, len(scaled)), axis=0)
        weighted = (factors * waves.kernel[:, None].astype(dtype)).reshape(-1)
        in_parts(lambda _, atoms: add_slopes(atoms, *common, weighted, waves.numbers, slopes), len(scaled))
        volume = abs(np.linalg.det(cell))
        square = (factors.astype(np.float64) ** 2).sum(axis=1)  # (R, Z')
        smooth = 0.5 * float((waves.kernel * square).sum())
        own, background = constant_energies(self._charges, self._splitting, volume)
        pulls = (waves.slopes * square)[:, :, None] * waves.vectors  # (R, Z', 3)
        virial = np.eye(3) * (smooth - background) + np.einsum("rza,rzb->ab", pulls, waves.vectors)
        forces = -2 * np.pi * slopes @ np.linalg.inv(cell).T
        return smooth - own - background, forces, virial

    def _waves_of(self, cell: Array) -> _Waves:
        reciprocal = 2 * np.pi * np.linalg.inv(cell).T  # rows are the reciprocal vectors
        counts = (self._reach / (2 * np.pi) * np.linalg.norm(cell, axis=1)).astype(np.int64)
        lanes = BYTES // self._charges.dtype.itemsize
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
        taper = t**3 * (10 + t * (6 * t - 15))
        falling = -30 * t**2 * (1 - t) ** 2 / ((1 - TAPER) * self._reach) / (2 * k)  # d taper / d k^2
        twice = np.where(x == 0, 1.0, 2.0)[:, None]
        bare = 4 * np.pi * COULOMB / abs(np.linalg.det(cell)) * twice * np.exp(-slope * square) / square
        kernel = np.where(inside, bare * taper, 0.0)
        slopes = np.where(inside, bare * (falling - taper * (slope + 1 / square)), 0.0)
        rows = np.ascontiguousarray(np.stack([x, y], axis=1))
        dtype = self._charges.dtype
        return _Waves(cell.copy(), counts, rows, numbers.astype(dtype), kernel, slopes, vectors)


def constant_energies(charges: Array, splitting: float, volume: float) -> tuple[float, float]:
    """Energy of each smeared charge with itself, and of the background that neutralizes a net charge, kcal/mol."""
    q = charges.astype(np.float64)
    own = COULOMB * splitting / np.sqrt(np.pi) * float((q**2).sum())
    return own, COULOMB * np.pi / (2 * splitting**2) * float(q.sum()) ** 2 / volume
