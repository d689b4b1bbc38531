"""AtomicGraph: atoms as nodes, pairs closer than a cutoff as edges; one graph and a batch are the same type."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["AtomicGraph"]


@dataclass(frozen=True)
class AtomicGraph:
    """Atoms and their neighbors.

    Edges are directed and come in mirrored halves: edge ``e + E/2`` is edge ``e`` with center and neighbor
    exchanged, so that whatever is the same for both directions is computed once. The vector of an edge is
    ``r_ij = x_j - x_i + cell_shift @ cell``, from center ``i`` to neighbor ``j``.

    Attributes
    ----------
    positions
        angstrom, (N, 3).
    cells
        Rows are the lattice vectors, angstrom, (B, 3, 3).
    periodic
        Whether each direction is periodic, (B, 3) bool.
    special_coul
        Weights of the Coulomb energy between 1-2, 1-3 and 1-4 neighbors (LAMMPS ``special_bonds``), (B, 3).
    type_index
        Type of each atom, numbered from 0 (LAMMPS's type less one), (N,) int64.
    charges, epsilons, sigmas
        e, kcal/mol, angstrom, (N,); zeros where no force field is known.
    center_index, neighbor_index
        Atoms of each edge, (E,) int64.
    cell_shift
        Integer lattice translation added to the neighbor, (E, 3), in the dtype of the positions.
    bond_kind
        0 not in one molecule (or farther than three bonds), 1 bonded (1-2), 2 second neighbors (1-3),
        3 third neighbors (1-4), (E,) int64.
    graph_index
        Graph of each atom, (N,) int64, ascending.
    forces
        Targets, kcal/mol/angstrom, (N, 3), or None.
    energies
        Targets, kcal/mol, (B,), or None.
    virials
        Targets, kcal/mol, (B, 3, 3), or None.
    owned
        None, or which atoms this graph speaks for, (N,) bool: the graph is then a domain, a part of a larger system
        together with the atoms around it. Energies of atoms that are not owned count zero, those of pairs by half for
        each owned end, and what reaches beyond the cutoff is left to whoever cut the system.
    """

    positions: Tensor
    cells: Tensor
    periodic: Tensor
    special_coul: Tensor
    type_index: Tensor
    charges: Tensor
    epsilons: Tensor
    sigmas: Tensor
    center_index: Tensor
    neighbor_index: Tensor
    cell_shift: Tensor
    bond_kind: Tensor
    graph_index: Tensor
    forces: Tensor | None = None
    energies: Tensor | None = None
    virials: Tensor | None = None
    owned: Tensor | None = None

    @property
    def atom_count(self) -> int:
        """N."""
        return self.positions.shape[0]

    @property
    def edge_count(self) -> int:
        """E."""
        return self.center_index.shape[0]

    @property
    def graph_count(self) -> int:
        """B."""
        return self.cells.shape[0]

    def edge_vectors(self) -> Tensor:
        """``r_ij = x_j - x_i + shift``, angstrom, (E, 3); differentiable in positions and cells.

        Only the first half is computed from positions; the second is its negative.
        """
        half = self.edge_count // 2
        i, j = self.center_index[:half], self.neighbor_index[:half]
        # index_select, not brackets: half the time for short rows
        cell = self.cells.index_select(0, self.graph_index.index_select(0, i))  # (E/2, 3, 3)
        shift = torch.einsum("ea,eab->eb", self.cell_shift[:half], cell)  # (E/2, 3)
        vectors = self.positions.index_select(0, j) - self.positions.index_select(0, i) + shift
        return torch.cat([vectors, -vectors])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> AtomicGraph:
        """Copy to a device and floating-point type; integer fields keep theirs."""

        def move(value: Tensor) -> Tensor:
            return value.to(device=device, dtype=dtype if value.is_floating_point() else None)

        return replace(self, **{k: move(v) for k, v in vars(self).items() if isinstance(v, Tensor)})
