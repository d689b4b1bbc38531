"""Coulomb energy of a graph: the part of close pairs, and the smooth rest of all of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnformd.errors import InputError
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.ewald import cluster_energy, mesh_energy, periodic_energy
from gnnformd.model.density.radial import smoothstep
from gnnformd.units import COULOMB

__all__ = ["Electrostatics", "weights_of"]

ACCURACY = 3.0  # erfc(3.0) = 2.2e-5; the network learns what is left out within its cutoff
WAVES = 3.8  # exp(-3.8^2) = 5e-7
MESH_FROM = 3000  # atoms; fewer are faster summed over wave vectors
FLOAT32_MESH = 10  # in float32 a mesh of compiled loops serves systems so many times smaller; float64 stays exact
SWITCH = 0.85  # share of the cutoff from which the pair part fades out


class Electrostatics(nn.Module):
    """Coulomb energy by Ewald's method, with its pair part inside the cutoff of the graph.

    ``E = sum_edges C q_i q_j (w/s - erf(a r)/r) g(r) + E_long``: every pair has ``erf(a r)/r`` in the long-range part
    (`gnnformd.model.density.ewald`); pairs within the cutoff get what is missing to ``w/r``, where ``w`` is 1, or
    the weight of ``special_coul`` for 1-2, 1-3 and 1-4 neighbors. ``s`` is the distance, or the softened distance (see
    `gnnformd.model.density.radial.softened`) where atoms are closer than they ever are in the data. ``g`` takes the
    last traces smoothly to zero at the cutoff.

    Parameters
    ----------
    cutoff
        angstrom.
    accuracy
        Splitting ``a`` times cutoff: what is left out at the cutoff is ``erfc(accuracy)`` of the pair's energy. Wave
        vectors end where ``exp(-k^2/4 a^2)`` is 5e-7, or ``exp(-accuracy^2)`` if that is less. A smaller splitting
        needs fewer of them: at 3.0 LAMMPS's mesh for water has 25 points where at 3.4 it has 30.
    mesh_from
        Number of atoms in a box from which the long-range part is computed on a mesh; a tenth of it in the compiled
        loops in float32.
    """

    def __init__(self, cutoff: float, accuracy: float = ACCURACY, mesh_from: int = MESH_FROM) -> None:
        super().__init__()
        self.mesh_from = mesh_from
        self.cutoff = cutoff
        self.splitting = accuracy / cutoff
        self.reach = 2 * max(accuracy, WAVES) * self.splitting

    def compiled_mesh_from(self, dtype: torch.dtype) -> float:
        """Return the number of atoms from which compiled loops, or any engine, use a mesh for numbers of this type."""
        return self.mesh_from / (FLOAT32_MESH if dtype == torch.float32 else 1)

    def pair_energies(
        self, distance: Tensor, soft: Tensor, charge_product: Tensor, bond_kind: Tensor, special_coul: Tensor
    ) -> Tensor:
        """Energy of each half edge, kcal/mol, (E/2,).

        Parameters
        ----------
        distance, soft
            Plain and softened, angstrom, (E/2,).
        charge_product
            ``q_i q_j``, (E/2,).
        bond_kind
            (E/2,).
        special_coul
            Weights of the graph of each edge, (E/2, 3).
        """
        return self.weighted_energies(distance, soft, charge_product, weights_of(bond_kind, special_coul))

    def weighted_energies(self, distance: Tensor, soft: Tensor, charge_product: Tensor, weight: Tensor) -> Tensor:
        """Do the same for weights of each pair (see `weights_of`), all of any one shape."""
        t = ((1 - distance / self.cutoff) / (1 - SWITCH)).clamp(0.0, 1.0)
        missing = weight / soft - torch.erf(self.splitting * distance) / distance
        return COULOMB * charge_product * missing * smoothstep(t)

    def long_range_energies(self, scaled: Tensor, cells: Tensor, charges: Tensor, graph: AtomicGraph) -> Tensor:
        """Energy of the smeared charges of each graph, kcal/mol, (B,).

        Parameters
        ----------
        scaled
            Fractional coordinates, (N, 3).
        cells
            angstrom, (B, 3, 3).
        charges
            e, (N,).
        graph
            Tells which atoms belong to which graph and which directions are periodic.

        Raises
        ------
        InputError
            A box is periodic in some directions and not in others.
        """
        sizes = graph.atoms_per_graph.tolist()
        energies = []
        parts = zip(
            torch.split(scaled, sizes), torch.split(charges, sizes), cells, graph.periodic.tolist(), strict=True
        )
        for own_scaled, own, cell, periodic in parts:
            if all(periodic) and len(own) >= self.mesh_from:
                energies.append(mesh_energy(own_scaled, own, cell, self.splitting))
            elif all(periodic):
                energies.append(periodic_energy(own_scaled, own, cell, self.splitting, self.reach))
            elif not any(periodic):
                energies.append(cluster_energy(own_scaled @ cell, own, self.splitting))
            else:
                raise InputError(
                    "the box is periodic in some directions only, and the Coulomb energy of such a slab is not "
                    "built in; make all directions periodic or none, or choose a model with electrostatics none."
                )
        return torch.stack(energies)


def weights_of(bond_kind: Tensor, special_coul: Tensor) -> Tensor:
    """How much of the Coulomb energy of each half edge counts: 1, or the weight of its kind of bond, (E/2,).

    Parameters
    ----------
    bond_kind
        (E/2,).
    special_coul
        Weights of the graph of each edge, (E/2, 3).
    """
    weights = torch.cat([torch.ones_like(special_coul[:, :1]), special_coul], dim=1)
    return weights.gather(1, bond_kind[:, None]).squeeze(1)
