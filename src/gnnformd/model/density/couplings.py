"""Invariants of three tensors of different degrees: which ones there are, and their coefficients."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from gnnformd.model.density.harmonics import harmonics

__all__ = ["COUPLINGS", "coupling_tensor", "coupling_terms", "couplings_up_to"]

COUPLINGS = ("vqa", "qaa", "qpc", "vac", "qcc", "aac", "ccc")
"""Couplings of mixed densities by their names in `gnnformd.model.density.layer.PRODUCTS`; degree 3 first, then 4."""

DEGREES = {"v": 1, "q": 2, "p": 2, "a": 3, "c": 4}
FIRST_ROWS = {"v": 1, "q": 7, "p": 12, "a": 17, "c": 31}
"""Where the components of a mixture begin among all mixed densities, (M, N, F)."""

POLES, MERIDIANS = 8, 16  # of a quadrature that is exact for products of three harmonics of degree 4
ZERO = 1e-12  # coefficients below it are rounding


def couplings_up_to(l_max: int) -> tuple[str, ...]:
    """Names of the couplings of densities up to a degree; there are none below degree 3."""
    return tuple(name for name in COUPLINGS if max(DEGREES[part] for part in name) <= l_max)


@lru_cache
def coupling_tensor(name: str) -> Tensor:
    """Coefficients ``G_xyz`` of the invariant ``sum_xyz G_xyz A_x B_y C_z``, (2a + 1, 2b + 1, 2c + 1) float64.

    They are the integrals of products of three harmonics over the sphere (Gaunt coefficients), scaled to
    ``sum_xyz G_xyz^2 = 1``.
    """
    heights, weights = np.polynomial.legendre.leggauss(POLES)
    angles = 2 * np.pi * np.arange(MERIDIANS) / MERIDIANS
    z, angle = (torch.from_numpy(grid.ravel()) for grid in np.meshgrid(heights, angles, indexing="ij"))
    across = (1 - z * z).sqrt()
    values = harmonics(torch.stack([across * angle.cos(), across * angle.sin(), z]), max(DEGREES.values()))
    weight = torch.from_numpy(np.repeat(weights, MERIDIANS))
    parts = (values[DEGREES[part] ** 2 : (DEGREES[part] + 1) ** 2] for part in name)
    integrals = torch.einsum("xn,yn,zn,n->xyz", *parts, weight)
    scaled = integrals / integrals.square().sum().sqrt()
    return scaled.where(scaled.abs() > ZERO, 0.0)


def coupling_terms(name: str) -> tuple[Tensor, Tensor]:
    """Terms that are not zero: rows of their factors among all mixed densities, (T, 3), and coefficients, (T,)."""
    tensor = coupling_tensor(name)
    rows = torch.nonzero(tensor) + torch.tensor([FIRST_ROWS[part] for part in name])
    return rows, tensor[tensor != 0]
