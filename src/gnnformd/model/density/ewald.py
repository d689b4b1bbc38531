"""The long-range part of the Coulomb energy: of charges smeared to Gaussians, in a periodic box or in empty space."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gnnformd.model.density.radial import smoothstep
from gnnformd.units import COULOMB

__all__ = ["cluster_energy", "mesh_energy", "periodic_energy"]

TAPER = 0.9  # share of the largest wave vector from which its terms fade out


def periodic_energy(scaled: Tensor, charges: Tensor, cell: Tensor, splitting: float, reach: float) -> Tensor:
    """Energy of smeared charges and all their periodic images, less that of each charge with itself.

    ``E = 2 pi C/V sum_k exp(-k^2/4 a^2)/k^2 |S(k)|^2 - C a/sqrt(pi) sum_i q_i^2 - pi C/(2 V a^2) (sum_i q_i)^2`` with
    ``S(k) = sum_i q_i exp(i k.x_i)``; the last term is the uniform background that neutralizes a net charge. Wave
    vectors are products of three phases, so that all structure factors are one matrix product. Terms fade out below
    ``reach``, so that nothing jumps when the box changes. Source: Frenkel and Smit, Understanding Molecular Simulation,
    ch. 12.

    Parameters
    ----------
    scaled
        Fractional coordinates, (n, 3).
    charges
        e, (n,).
    cell
        Rows are the lattice vectors, angstrom, (3, 3).
    splitting
        ``a``, 1/angstrom.
    reach
        Length of the largest wave vector, 1/angstrom.

    Returns
    -------
    Tensor
        kcal/mol, differentiable in all tensors.
    """
    volume = torch.linalg.det(cell).abs()
    lengths = cell.detach().norm(dim=1)
    counts = [int(n) for n in (reach / (2 * math.pi) * lengths).tolist()]
    ranges = [torch.arange(0 if axis == 0 else -n, n + 1, device=cell.device) for axis, n in enumerate(counts)]
    kernel = _kernel(cell, ranges, splitting, reach)  # (X Y, Z)
    angle = 2 * math.pi * scaled
    x, y, z = (_phases(angle[:, axis], numbers) for axis, numbers in enumerate(ranges))
    plane = ((charges[:, None] * x)[:, :, None] * y[:, None, :]).flatten(1)  # (n, X Y)
    factors = plane.transpose(0, 1) @ z  # (X Y, Z)
    energy = 2 * math.pi / volume * (kernel * (factors.real.square() + factors.imag.square())).sum()
    own = splitting / math.sqrt(math.pi) * charges.square().sum()
    background = math.pi / (2 * splitting**2) * charges.sum().square() / volume
    total: Tensor = COULOMB * (energy - own - background)
    return total


def _phases(angle: Tensor, numbers: Tensor) -> Tensor:
    """``exp(i n angle)``, (n, X)."""
    phase = angle[:, None] * numbers
    return torch.complex(torch.cos(phase), torch.sin(phase))


def _kernel(cell: Tensor, ranges: list[Tensor], splitting: float, reach: float) -> Tensor:
    """``exp(-k^2/4 a^2)/k^2`` on the half space of wave vectors, twice for those whose opposite is left out."""
    x, y, z = (numbers.to(cell.dtype) for numbers in ranges)
    reciprocal = 2 * math.pi * torch.linalg.inv(cell).transpose(0, 1)  # rows are the reciprocal vectors
    k = (
        x[:, None, None, None] * reciprocal[0]
        + y[None, :, None, None] * reciprocal[1]
        + z[None, None, :, None] * reciprocal[2]
    )
    square = k.square().sum(3).flatten(0, 1)  # (X Y, Z)
    origin = square == 0
    square = torch.where(origin, torch.ones_like(square), square)
    t = ((1 - square.sqrt() / reach) / (1 - TAPER)).clamp(0.0, 1.0)
    twice = torch.where(x == 0, 1.0, 2.0).to(cell.dtype).repeat_interleave(len(y))[:, None]
    kernel = twice * smoothstep(t) * torch.exp(-square / (4 * splitting**2)) / square
    return torch.where(origin, torch.zeros_like(kernel), kernel)


def mesh_energy(scaled: Tensor, charges: Tensor, cell: Tensor, splitting: float) -> Tensor:
    """`periodic_energy` on a mesh (PME of torch-pme), for many atoms: the cost is N log N instead of N^2.

    With seven nodes and a spacing of ``0.35/a`` the long-range forces in water differ from Ewald's sum by 2e-6 of the
    size of all forces.
    """
    from torchpme import CoulombPotential, PMECalculator

    potential = CoulombPotential(smearing=1 / (math.sqrt(2) * splitting))
    mesh = PMECalculator(potential, mesh_spacing=0.35 / splitting, interpolation_nodes=7).to(scaled)
    no_pairs = torch.zeros(0, 2, dtype=torch.int64, device=scaled.device)
    column = charges[:, None]
    potentials = mesh(column, cell, scaled @ cell, no_pairs, scaled.new_zeros(0))  # (n, 1)
    energy: Tensor = COULOMB * (column * potentials).sum()
    return energy


def cluster_energy(positions: Tensor, charges: Tensor, splitting: float) -> Tensor:
    """Energy of smeared charges without images, ``C sum_{i<j} q_i q_j erf(a r_ij)/r_ij``, kcal/mol.

    Parameters
    ----------
    positions
        angstrom, (n, 3).
    charges
        e, (n,).
    splitting
        ``a``, 1/angstrom.
    """
    first, second = torch.triu_indices(len(positions), len(positions), 1, device=positions.device)
    distance = (positions[second] - positions[first]).square().sum(1).clamp(min=1e-12).sqrt()
    return COULOMB * (charges[first] * charges[second] * torch.erf(splitting * distance) / distance).sum()
