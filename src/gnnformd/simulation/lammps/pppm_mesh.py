"""The mesh of LAMMPS's PPPM, chosen beforehand.

LAMMPS looks for it whenever it starts a run or writes a file: it estimates the errors of finer and finer meshes, each a
sum over all of its points, which takes half a minute for 40 000 atoms. The error depends on the spacing of a mesh, not
on its size, so that a small one says the same in a moment.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gnnformd.units import COULOMB

__all__ = ["mesh_error", "mesh_for"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

POINTS = 20  # of the small mesh in each direction, at most
IMAGES = 2  # of each wave on the mesh, to each side
WIDEST, FINER, FINEST = 4.0, 0.95, 100  # LAMMPS's first spacing times the splitting, the next one, the last one
FACTORS = (2, 3, 5)  # of its Fourier transforms


def mesh_for(
    edges: Float, squares: float, atoms: float, splitting: float, order: int, accuracy: float
) -> tuple[int, int, int]:
    """Give the mesh that LAMMPS would choose for forces that are derivatives of the mesh's energy (``diff ad``).

    Parameters
    ----------
    edges
        Of an orthogonal box, angstrom, (3,).
    squares
        Sum of the squared charges of all atoms, e^2.
    atoms
        Their number.
    splitting
        1/angstrom.
    order
        Nodes that a charge is spread over in each direction.
    accuracy
        Root mean square error of a component of the forces, kcal/mol/angstrom.
    """
    low, high = 0, FINEST  # the first of LAMMPS's spacings that is good enough
    while low < high:
        middle = (low + high) // 2
        error = mesh_error(edges, _sizes(edges, splitting, middle), squares, atoms, splitting, order)
        low, high = (low, middle) if error <= accuracy else (middle + 1, high)
    nx, ny, nz = (_whole(size) for size in _sizes(edges, splitting, low).tolist())
    return nx, ny, nz


def mesh_error(edges: Float, sizes: Int, squares: float, atoms: float, splitting: float, order: int) -> float:
    """Estimate the root mean square error of the forces on a mesh, kcal/mol/angstrom.

    ``C Q sqrt(q/N) / V`` with Q the sum of squared charges. With the waves ``k_m`` that look like k on the mesh, their
    forces ``4 pi k_m exp(-k_m^2/4a^2)/k_m^2`` and what a spline of the given order leaves of them, ``U_m``,

    ``q = sum_k (sum_m (4 pi)^2 exp(-k_m^2/2a^2)/k_m^2
    - (sum_m 4 pi exp(-k_m^2/4a^2) U_m^2)^2 / (sum_m U_m^2 sum_m k_m^2 U_m^2))``.

    Source: Hockney and Eastwood, Computer Simulation Using Particles, ch. 8; Stern and Calkins, J. Chem. Phys. 128,
    214106 (2008).

    Parameters
    ----------
    sizes
        Points of the mesh, (3,); for the others see `mesh_for`.
    """
    points = np.minimum(sizes, POINTS)
    small = edges * points / sizes  # a box of as many points, with the same spacing
    images = np.arange(-IMAGES, IMAGES + 1)
    numbers = [np.fft.fftfreq(n, 1 / n)[:, None] + n * images for n in points.tolist()]  # (P, M) each
    waves = [2 * np.pi / edge * number for edge, number in zip(small, numbers, strict=True)]  # 1/angstrom
    gauss = [np.exp(-((k / (2 * splitting)) ** 2)) for k in waves]
    left = [np.sinc(number / n) ** (2 * order) for number, n in zip(numbers, points, strict=True)]
    all_left = _product([u.sum(1) for u in left])
    forces = 4 * np.pi * _product([(s * u).sum(1) for s, u in zip(gauss, left, strict=True)])
    squared = sum(
        _product([(u * k**2 if axis == a else u).sum(1) for a, (k, u) in enumerate(zip(waves, left, strict=True))])
        for axis in range(3)
    )
    x, y, z = (k.reshape(-1) ** 2 for k in waves)
    square = x[:, None, None] + y[:, None] + z  # of all images along x, y and z
    square[square == 0] = np.inf
    whole = (4 * np.pi) ** 2 * (_product([s.reshape(-1) ** 2 for s in gauss]) / square)
    nx, ny, nz = points.tolist()
    by_wave = whole.reshape(nx, len(images), ny, len(images), nz, len(images)).sum((1, 3, 5))
    found = by_wave - forces**2 / (all_left * squared)
    found[0, 0, 0] = 0.0
    volume = np.prod(edges)
    return float(COULOMB * squares * math.sqrt(max(found.sum(), 0.0) * (volume / np.prod(small)) / atoms) / volume)


def _product(factors: list[Float]) -> Float:
    x, y, z = factors
    product: Float = x[:, None, None] * y[:, None] * z
    return product


def _sizes(edges: Float, splitting: float, step: int) -> Int:
    return np.maximum((edges * splitting / (WIDEST * FINER**step)).astype(np.int64), 1)


def _whole(size: int) -> int:
    """Give the next number that Fourier transforms take."""
    rest = size
    for factor in FACTORS:
        while rest % factor == 0:
            rest //= factor
    return size if rest == 1 else _whole(size + 1)
