"""ParticleMeshEwald: the long-range part of the Coulomb energy of a large system on a mesh, by compiled loops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray

from gnnformd.model.density.kernels.pme import (
    ORDER,
    PAD,
    add_up_meshes,
    apply_kernel,
    interpolate,
    repeat_ends,
    spline_table,
    spread,
)
from gnnformd.model.density.kernels.structures import MeshKernel, PointCharges
from gnnformd.model.density.numba_engine.ewald import constant_energies
from gnnformd.model.density.numba_engine.results import LongRangeCoulomb, PartOfSystem, symmetric
from gnnformd.model.threads import in_parts, part_count
from gnnformd.units import COULOMB

__all__ = ["ParticleMeshEwald"]

Array = NDArray[Any]
SPACING = 0.335  # of the mesh, times the splitting
MESHES = 4  # at most so many threads spread charges, each on another mesh; all meshes are added up


@dataclass(frozen=True)
class _Kernel:
    """What depends on the box alone.

    Attributes
    ----------
    cell
        angstrom, (3, 3).
    mesh
        With values ``4 pi C/V exp(-k^2/4 a^2)/k^2 |b|^2``, kcal/mol/e^2.
    """

    cell: Array
    mesh: MeshKernel


class ParticleMeshEwald:
    """`gnnformd.model.density.ewald.periodic_energy` by smooth particle-mesh Ewald, with its derivatives.

    Forces, virial and potentials are exact derivatives of the energy on the mesh; in water forces differ from Ewald's
    sum by 2e-6 of the size of all forces. The mesh stays the same until an edge of the box has changed by a twentieth,
    so that nothing jumps in between. One evaluation at a time. Source: Essmann et al., J. Chem. Phys. 103, 8577 (1995).

    Parameters
    ----------
    dtype
        Type of the numbers computed with.
    splitting
        ``a``, 1/angstrom.
    """

    def __init__(self, dtype: np.dtype[Any], splitting: float) -> None:
        self._dtype, self._splitting = dtype, splitting
        self._table = spline_table(dtype)
        self._edges = np.zeros(3)
        self._sizes = (0, 0, 0)
        self._meshes, self._sum = np.empty((0, 0, 0, 0), dtype), np.empty((0, 0, 0), dtype)
        self._kernel: _Kernel | None = None

    def evaluate(
        self, charges: Array, scaled: Array, cell: Array, part: PartOfSystem | None = None
    ) -> LongRangeCoulomb:
        """Evaluate charges, e, (N,), at fractional coordinates (N, 3) in [0, 1) in a box, angstrom, (3, 3).

        Without ``part`` these are all charges of the system.
        """
        part = PartOfSystem.whole(charges) if part is None else part
        if self._kernel is None or not np.array_equal(self._kernel.cell, cell):
            self._kernel = self._kernel_of(cell)
        kernel, sizes, dtype = self._kernel, self._sizes, self._dtype
        threads = max(1, torch.get_num_threads())
        meshes, mesh = self._memory(part_count(len(scaled), most=MESHES))
        points, table = PointCharges(scaled, charges.astype(dtype)), self._table.ravel()
        in_parts(
            lambda part, atoms: spread(atoms, points, table, sizes, meshes[part].ravel()), len(scaled), most=MESHES
        )
        in_parts(lambda _, planes: add_up_meshes(planes, meshes, sizes, mesh), sizes[0])
        waves = scipy.fft.rfftn(part.total(mesh), workers=threads)  # (X, Y, Z/2 + 1)
        parts = waves.view(dtype).reshape(*waves.shape, 2)
        sums = in_parts(lambda _, planes: apply_kernel(planes, parts, kernel.mesh), sizes[0])
        potential = scipy.fft.irfftn(waves, s=sizes, norm="forward", workers=threads, overwrite_x=True)
        in_parts(lambda _, planes: repeat_ends(planes, potential, sizes, meshes[0]), sizes[0])
        derivatives = np.zeros((len(scaled), 4))
        in_parts(lambda _, atoms: interpolate(atoms, points, table, sizes, meshes[0].ravel(), derivatives), len(scaled))
        volume = abs(np.linalg.det(cell))
        own, background, potentials = constant_energies(charges, part.charge, self._splitting, volume)
        smooth, xx, yy, zz, xy, xz, yz = np.sum(sums, axis=0).tolist()
        virial = np.eye(3) * (smooth - background) - 2 * symmetric(np.array([xx, yy, zz, xy, xz, yz]))
        forces = -derivatives[:, :3] @ np.linalg.inv(cell).T
        energy = part.share * (smooth - background) - own
        return LongRangeCoulomb(energy, forces, part.share * virial, derivatives[:, 3] - potentials)

    def _memory(self, count: int) -> tuple[Array, Array]:
        """Meshes (count, X, Y, Z + PAD) and their sum (X, Y, Z), in the same memory each time."""
        nx, ny, nz = self._sizes
        if self._meshes.shape != (count, nx, ny, nz + PAD):
            self._meshes = np.empty((count, nx, ny, nz + PAD), self._dtype)
            self._sum = np.empty((nx, ny, nz), self._dtype)
        return self._meshes, self._sum

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
        slope = 1 / (4 * self._splitting**2)
        k = (
            x[:, None, None, None] * reciprocal[0] + y[:, None, None] * reciprocal[1] + z[:, None] * reciprocal[2]
        )  # (X, Y, Z/2 + 1, 3)
        square = (k**2).sum(axis=3)
        square[0, 0, 0] = 1.0
        shape = [_of_spline(numbers, n) for numbers, n in zip((x, y, z), self._sizes, strict=True)]
        values = 4 * np.pi * COULOMB / abs(np.linalg.det(cell)) * np.exp(-slope * square) / square
        values *= shape[0][:, None, None] * shape[1][:, None] * shape[2]
        values[0, 0, 0] = 0.0
        even = self._sizes[2] % 2 == 0
        mesh = MeshKernel(values.astype(self._dtype), (x, y, z), reciprocal, slope, even)
        return _Kernel(cell.copy(), mesh)


def _of_spline(numbers: Array, size: int) -> Array:
    """``|b|^2``: one over the factor by which splines weaken a wave of each number."""
    weights = spline_table(np.float64)[0, 0, :ORDER]
    waves = np.exp(2j * np.pi * numbers[:, None] * np.arange(ORDER) / size) @ weights
    result: Array = 1 / np.abs(waves) ** 2
    return result
