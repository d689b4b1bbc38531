"""CompiledMesh: the long-range part of the Coulomb energy of a large system on a mesh, by compiled loops."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray

from gnnformd.model.compiled_ewald import constant_energies
from gnnformd.model.kernels.splines import ORDER, gather_slopes, spline, spread
from gnnformd.units import COULOMB

__all__ = ["CompiledMesh"]

Array = NDArray[Any]
SPACING = 0.42  # of the mesh, times the splitting


@dataclass(frozen=True)
class _Kernel:
    """What depends on the box alone.

    Attributes
    ----------
    cell
        angstrom, (3, 3).
    kernel
        ``4 pi C/V exp(-k^2/4 a^2)/k^2 |b|^2``, kcal/mol/e^2, (X, Y, Z/2 + 1).
    virial
        Its derivative by k^2 times ``k_a k_b``, for xx, yy, zz, xy, xz, yz, (6, X, Y, Z/2 + 1).
    twice
        How often each wave vector counts, (Z/2 + 1,).
    """

    cell: Array
    kernel: Array
    virial: Array
    twice: Array


class CompiledMesh:
    """`gnnformd.model.density_ewald.periodic_energy` by smooth particle-mesh Ewald, with its forces and virial.

    Forces and virial are exact derivatives of the energy on the mesh; in water forces differ from Ewald's sum by 0.002
    kcal/mol/angstrom (mean over atoms of |dFx| + |dFy| + |dFz|). The mesh stays the same until an edge of the box has
    changed by a twentieth, so that nothing jumps in between. Source: Essmann et al., J. Chem. Phys. 103, 8577 (1995).

    Parameters
    ----------
    charges
        e, (N,); their type is the one computed in.
    splitting
        ``a``, 1/angstrom.
    """

    def __init__(self, charges: Array, splitting: float) -> None:
        self._charges, self._splitting = charges, splitting
        self._edges = np.zeros(3)
        self._sizes = (0, 0, 0)
        self._kernel: _Kernel | None = None

    def evaluate(self, scaled: Array, cell: Array) -> tuple[float, Array, Array]:
        """Energy, forces (N, 3) and virial (3, 3) at fractional coordinates (N, 3) in [0, 1) in a box (3, 3)."""
        if self._kernel is None or not np.array_equal(self._kernel.cell, cell):
            self._kernel = self._kernel_of(cell)
        kernel, dtype = self._kernel, self._charges.dtype
        threads = max(1, torch.get_num_threads())
        mesh = np.zeros(self._sizes, dtype)
        spread(scaled, self._charges, mesh)
        waves = scipy.fft.rfftn(mesh, workers=threads)  # (X, Y, Z/2 + 1)
        square = kernel.twice * (waves.real**2 + waves.imag**2)
        potential = scipy.fft.irfftn(waves * kernel.kernel, s=self._sizes, norm="forward", workers=threads)
        slopes = np.zeros((len(scaled), 3))
        ends = np.linspace(0, len(scaled), threads + 1).astype(np.int64)
        with ThreadPoolExecutor(threads) as pool:
            parts = zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
            list(pool.map(lambda atoms: gather_slopes(atoms, scaled, self._charges, potential, slopes), parts))
        smooth = 0.5 * float(np.einsum("xyz,xyz->", kernel.kernel, square, dtype=np.float64))
        own, background = constant_energies(self._charges, self._splitting, abs(np.linalg.det(cell)))
        xx, yy, zz, xy, xz, yz = np.einsum("axyz,xyz->a", kernel.virial, square, dtype=np.float64)
        virial = np.eye(3) * (smooth - background) + np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        return smooth - own - background, -slopes @ np.linalg.inv(cell).T, virial

    def _kernel_of(self, cell: Array) -> _Kernel:
        edges = np.linalg.norm(cell, axis=1)
        if (np.abs(edges - self._edges) > 0.05 * edges).any():
            wanted = np.maximum(np.ceil(edges * self._splitting / SPACING), ORDER + 1).astype(int)
            self._edges = edges
            nx, ny, nz = (int(scipy.fft.next_fast_len(int(n) + int(n) % 2, real=True)) for n in wanted)
            self._sizes = (nx, ny, nz)
        reciprocal = 2 * np.pi * np.linalg.inv(cell).T
        x, y = (np.fft.fftfreq(n, 1 / n) for n in self._sizes[:2])
        z = np.fft.rfftfreq(self._sizes[2], 1 / self._sizes[2])
        k = (
            x[:, None, None, None] * reciprocal[0] + y[:, None, None] * reciprocal[1] + z[:, None] * reciprocal[2]
        )  # (X, Y, Z/2 + 1, 3)
        square = (k**2).sum(axis=3)
        square[0, 0, 0] = 1.0
        shape = [_of_spline(numbers, n) for numbers, n in zip((x, y, z), self._sizes, strict=True)]
        slope = 1 / (4 * self._splitting**2)
        kernel = 4 * np.pi * COULOMB / abs(np.linalg.det(cell)) * np.exp(-slope * square) / square
        kernel *= shape[0][:, None, None] * shape[1][:, None] * shape[2]
        kernel[0, 0, 0] = 0.0
        falling = kernel * (slope + 1 / square)
        virial = np.stack(
            [-falling * k[..., a] * k[..., b] for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
        )
        twice = np.full(len(z), 2.0)
        twice[0] = 1.0
        if self._sizes[2] % 2 == 0:
            twice[-1] = 1.0
        dtype = self._charges.dtype
        return _Kernel(cell.copy(), kernel.astype(dtype), virial.astype(dtype), twice.astype(dtype))


def _of_spline(numbers: Array, size: int) -> Array:
    """``|b|^2``: what a spline takes off from a wave of each number."""
    weights, slopes = np.zeros(ORDER), np.zeros(ORDER)
    spline(0.0, weights, slopes)
    waves = np.exp(2j * np.pi * numbers[:, None] * np.arange(ORDER) / size) @ weights
    result: Array = 1 / np.abs(waves) ** 2
    return result
