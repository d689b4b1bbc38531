"""AtomicGraph: atoms as nodes, pairs closer than a cutoff as edges; one graph and a batch are the same type."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["AtomicGraph", "HalfEdges"]


class HalfEdges(NamedTuple):
    """Each pair of neighbors once.

    Attributes
    ----------
    center, neighbor
        Its atoms, (E/2,) int64.
    shift
        Integer lattice translation added to the neighbor, (E/2, 3).
    bond_kind
        0 to 3, see `AtomicGraph`, (E/2,) int64.
    """

    center: Tensor
    neighbor: Tensor
    shift: Tensor
    bond_kind: Tensor


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
        Targets, kcal/mol/angstrom, (N, 3), or None. Where some graphs of a batch have a target and others have not,
        those of the others are NaN.
    energies
        Targets, kcal/mol, (B,) float64, whatever the type of the other fields, or None: energies of electrons are so
        large that float32 would round away what varies.
    virials
        Targets, kcal/mol, (B, 3, 3), or None.
    weights
        How much forces, energies and virials of each graph count in a training, (B, 3); None if all count alike.
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
    weights: Tensor | None = None
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

    @property
    def known_targets(self) -> Tensor:
        """Whether each graph has forces, an energy and a virial, (3, B) bool."""
        none = torch.zeros(self.graph_count, dtype=torch.bool, device=self.positions.device)
        forces = none if self.forces is None else ~self.sum_per_graph(self.forces.sum(1)).isnan()
        energies = none if self.energies is None else ~self.energies.isnan()
        virials = none if self.virials is None else ~self.virials.flatten(1).sum(1).isnan()
        return torch.stack([forces, energies, virials])

    @property
    def half_edges(self) -> HalfEdges:
        """The first half of the edges: each pair once."""
        half = self.edge_count // 2
        return HalfEdges(
            self.center_index[:half], self.neighbor_index[:half], self.cell_shift[:half], self.bond_kind[:half]
        )

    @property
    def graph_of_half_edge(self) -> Tensor:
        """Graph of each pair, (E/2,)."""
        return self.graph_index.index_select(0, self.half_edges.center)

    @property
    def physical_kinds(self) -> Tensor:
        """Type, charge, epsilon and sigma of each atom, (N, 4) float64; atoms of one row are of one kind."""
        columns = self.type_index, self.charges, self.epsilons, self.sigmas
        return torch.stack([column.double() for column in columns], dim=1)

    @property
    def atoms_per_graph(self) -> Tensor:
        """Number of atoms of each graph, (B,) int64."""
        return torch.bincount(self.graph_index, minlength=self.graph_count)

    def half_edge_vectors(self) -> Tensor:
        """``r_ij = x_j - x_i + shift`` of each pair, angstrom, (E/2, 3); differentiable in positions and cells."""
        center, neighbor, shift, _ = self.half_edges
        # index_select, not brackets: half the time for short rows
        cell = self.cells.index_select(0, self.graph_of_half_edge)  # (E/2, 3, 3)
        moved = torch.einsum("ea,eab->eb", shift, cell)  # (E/2, 3)
        return self.positions.index_select(0, neighbor) - self.positions.index_select(0, center) + moved

    def edge_vectors(self) -> Tensor:
        """``r_ij = x_j - x_i + shift``, angstrom, (E, 3); differentiable in positions and cells.

        Only the first half is computed from positions; the second is its negative.
        """
        vectors = self.half_edge_vectors()
        return torch.cat([vectors, -vectors])

    def sum_over_neighbors(self, values: Tensor) -> Tensor:
        """``sum_j v_ij`` of every center i: values of the edges, (E, ...), to (N, ...)."""
        sums = values.new_zeros(self.atom_count, *values.shape[1:])
        return sums.index_add(0, self.center_index, values)

    def sum_pair_forces(self, values: Tensor) -> Tensor:
        """Sum what each pair does to its center and, with the opposite sign, to its neighbor: (E/2, 3) to (N, 3)."""
        center, neighbor, _, _ = self.half_edges
        sums = values.new_zeros(self.atom_count, *values.shape[1:])
        return sums.index_add(0, center, values).index_add(0, neighbor, -values)

    def sum_per_graph(self, values: Tensor) -> Tensor:
        """Sum over the atoms of each graph: (N, ...) to (B, ...)."""
        return values.new_zeros(self.graph_count, *values.shape[1:]).index_add(0, self.graph_index, values)

    def sum_pairs_per_graph(self, values: Tensor) -> Tensor:
        """Sum over the pairs of each graph: (E/2, ...) to (B, ...)."""
        return values.new_zeros(self.graph_count, *values.shape[1:]).index_add(0, self.graph_of_half_edge, values)

    def with_half_edges(self, edges: HalfEdges) -> AtomicGraph:
        """Copy with other pairs."""
        center, neighbor, shift, kind = edges
        return replace(
            self,
            center_index=torch.cat([center, neighbor]),
            neighbor_index=torch.cat([neighbor, center]),
            cell_shift=torch.cat([shift, -shift]),
            bond_kind=kind.repeat(2),
        )

    def with_exact_positions(self, device: torch.device, dtype: torch.dtype) -> AtomicGraph:
        """Copy to a device and floating-point type, but for positions and cells, which are float64.

        Differences of positions lose no digits then, wherever the atoms are.
        """
        exact = {k: getattr(self, k).to(device, torch.float64) for k in ("positions", "cells", "cell_shift")}
        return replace(self.to(device, dtype), **exact)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> AtomicGraph:
        """Copy to a device and floating-point type; integer fields and energies keep theirs."""

        def move(name: str, value: Tensor) -> Tensor:
            kept = name == "energies" or not value.is_floating_point()
            return value.to(device=device, dtype=None if kept else dtype)

        return replace(self, **{k: move(k, v) for k, v in vars(self).items() if isinstance(v, Tensor)})
