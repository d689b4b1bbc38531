"""A classical force field fitted by least squares: what the network of a density model starts from and corrects."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.node_inputs import VAGUE
from gnnformd.model.density.radial import radial_functions
from gnnformd.model.settings import DensitySettings

__all__ = ["POWERS", "ClassicalPart", "bond_pairs"]

SECOND_NEIGHBORS = 2  # kind of bond without pair potentials, since those of the angles say nearly the same
UNLIKELY = 0.1  # how readily potentials are said to depend on charge, sigma alone, or nothing

POWERS = 4
"""Highest power of the cosine of an angle."""

SMALLEST = 1e-7  # singular values below this share of the largest one are left out


class ClassicalPart(nn.Module):
    """Pair potentials and angle potentials, linear in their coefficients and not trained.

    ``E = sum_i sum_j sum_k (x_i M_k x_j) B_k(r_ij) + sum_angles sum_n (x_i A_n (x_j + x_k)) cos^n(angle)``. The
    functions B are those of the densities (`gnnformd.model.density.radial`), with functions of their own for each kind
    of bond; the first sum runs over all directed edges, angles are those between two bonds of an atom i to j and k; x
    are the numbers that describe an atom (`gnnformd.model.density.node_inputs`).

    Parameters
    ----------
    settings
        Say which functions there are.
    inputs
        Numbers that describe an atom, P.

    Attributes
    ----------
    pairs
        ``M``, kcal/mol, (K, P, P), K over all functions.
    angles
        ``A``, kcal/mol, (POWERS, P, P).
    """

    pairs: Tensor
    angles: Tensor

    def __init__(self, settings: DensitySettings, inputs: int) -> None:
        super().__init__()
        self.cutoff, self.physical = settings.cutoff, settings.node_features == "physical"
        self.counts = [settings.radial_functions] + [settings.bonded_functions] * settings.bond_kinds
        self.register_buffer("pairs", torch.zeros(sum(self.counts), inputs, inputs))
        self.register_buffer("angles", torch.zeros(POWERS, inputs, inputs))

    def pair_energies(
        self, graph: AtomicGraph, inputs: Tensor, distances: Tensor, soft: Tensor, softening: Tensor
    ) -> Tensor:
        """Energy of each half edge, kcal/mol, (E/2,), which can be differentiated once by the distances.

        Parameters
        ----------
        graph
            Tells who is whose neighbor.
        inputs
            ``x``, (N, P).
        distances, soft, softening
            Distances, softened ones, and the derivatives of these, angstrom, (E/2,).
        """
        half = graph.edge_count // 2
        kinds, of_atom = torch.unique(inputs, dim=0, return_inverse=True)
        coefficients = torch.einsum("ap,kpq,bq->abk", kinds, self.pairs, kinds)
        coefficients = coefficients + coefficients.transpose(0, 1)  # (kinds, kinds, K)
        one, other = of_atom[graph.center_index[:half]], of_atom[graph.neighbor_index[:half]]
        energies, slopes = torch.zeros_like(soft), torch.zeros_like(soft)
        first = 0
        for edges, count in self._shells(graph):
            values, changes = radial_functions(soft[edges], softening[edges], self.cutoff, count)  # (K, E')
            factors = coefficients[:, :, first : first + count][one[edges], other[edges]].T  # (K, E')
            energies[edges] = (factors * values).sum(0)
            slopes[edges] = (factors * changes).sum(0)
            first += count
        return energies + slopes * (distances - distances.detach())

    def angle_energies(self, graph: AtomicGraph, inputs: Tensor, vectors: Tensor) -> Tensor:
        """Energy of each graph, kcal/mol, (B,); of a domain, of the angles whose middle it owns.

        Parameters
        ----------
        graph
            Tells who is bonded.
        inputs
            ``x``, (N, P).
        vectors
            Of the half edges, angstrom, (E/2, 3); the energies can be differentiated by them.
        """
        middle, ends, cosines = _angles(graph, vectors)
        outer = inputs[ends[0]] + inputs[ends[1]]
        coefficients = torch.einsum("ap,npq,aq->na", inputs[middle], self.angles, outer)
        energies = sum((c * cosines**n for n, c in enumerate(coefficients, start=1)), torch.zeros_like(cosines))
        if graph.owned is not None:
            energies = energies * graph.owned[middle]
        return energies.new_zeros(graph.graph_count).index_add(0, graph.graph_index[middle], energies)

    @torch.no_grad()
    def add(
        self,
        graph: AtomicGraph,
        inputs: Tensor,
        soft: Tensor,
        softening: Tensor,
        forces: Tensor,
        virials: Tensor | None,
    ) -> None:
        """Fit pair and angle potentials to forces (and virials) that are missing, and add them.

        They are fitted for each kind of bond and each two (three) kinds of atoms that there are; then ``M`` and ``A``
        are the smallest that give them, where charges and the number 1 count as large: what can be said by epsilon and
        sigma is said by them.

        Parameters
        ----------
        graph, inputs, soft, softening
            As above.
        forces
            kcal/mol/angstrom, (N, 3).
        virials
            kcal/mol, (B, 3, 3), or None.
        """
        kinds, of_atom = torch.unique(inputs.double(), dim=0, return_inverse=True)
        half = graph.edge_count // 2
        vectors = graph.edge_vectors()[:half].double()
        virials = None if virials is None else virials.double()
        fit = _Fit(graph, vectors, (soft.double(), softening.double(), self.cutoff), forces.double(), virials)
        products, sizes, first = [], [], 0
        for kind, (edges, count) in enumerate(self._shells(graph)):
            if kind == SECOND_NEIGHBORS:
                edges = edges[:0]
            one, other = of_atom[graph.center_index[edges]], of_atom[graph.neighbor_index[edges]]
            key = torch.minimum(one, other) * len(kinds) + torch.maximum(one, other)
            for which in torch.unique(key).tolist():
                fit.pairs.append((edges[key == which], count))
                a, b = kinds[which // len(kinds)], kinds[which % len(kinds)]
                products.append(torch.outer(a, b) + torch.outer(b, a))
                sizes.append((first, count))
            first += count
        middle, ends, _ = _angles(graph, vectors)
        low, high = of_atom[ends].min(0).values, of_atom[ends].max(0).values
        key = (of_atom[middle] * len(kinds) + low) * len(kinds) + high
        triples = []
        for which in torch.unique(key).tolist():
            fit.angles.append(torch.nonzero(key == which).squeeze(1))
            center, ends_of = which // len(kinds) ** 2, (which // len(kinds) % len(kinds), which % len(kinds))
            triples.append(torch.outer(kinds[center], kinds[ends_of[0]] + kinds[ends_of[1]]))
        solution = torch.split(fit.solve(), [count for _, count in sizes] + [POWERS] * len(triples))
        weight = torch.ones_like(kinds[0])
        if self.physical:
            weight[list(VAGUE)] = UNLIKELY
        for shell in sorted(set(sizes)):
            members = [k for k, size in enumerate(sizes) if size == shell]
            found = _smallest(
                torch.stack([products[k] for k in members]), torch.stack([solution[k] for k in members]), weight
            )
            self.pairs[shell[0] : shell[0] + shell[1]] += found.to(self.pairs)
        if triples:
            found = _smallest(torch.stack(triples), torch.stack(solution[len(sizes) :]), weight)
            self.angles.add_(found.to(self.angles))

    def _shells(self, graph: AtomicGraph) -> Iterator[tuple[Tensor, int]]:
        """Half edges of each kind of bond that has functions of its own, and how many."""
        kind = graph.bond_kind[: graph.edge_count // 2]
        kind = kind.where(kind < len(self.counts), 0)
        for number, count in enumerate(self.counts):
            yield torch.nonzero(kind == number).squeeze(1), count


def _angles(graph: AtomicGraph, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All angles between two bonds of an atom: middle atoms (A,), ends (2, A) and cosines (A,)."""
    ends, sides = bond_pairs(graph)
    arms = [vectors[edges] * sign[:, None] for edges, sign in sides]
    cosines = (arms[0] * arms[1]).sum(1) / (arms[0].norm(dim=1) * arms[1].norm(dim=1))
    return ends[0], ends[1:], cosines


def bond_pairs(graph: AtomicGraph) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Middle and ends of all angles, (3, A), and the half edges of both bonds, with -1 where they point inwards."""
    half = graph.edge_count // 2
    bonds = torch.nonzero(graph.bond_kind[:half] == 1).squeeze(1)
    one, other = graph.center_index[bonds], graph.neighbor_index[bonds]
    middle, order = torch.sort(torch.cat([one, other]), stable=True)
    end, edge = torch.cat([other, one])[order], bonds.repeat(2)[order]
    sign = torch.where(order < len(bonds), 1.0, -1.0).to(graph.positions.dtype)
    first, second = [], []
    step = 1
    while True:  # the bonds of an atom stand side by side: take those that are one apart, two apart, ...
        found = torch.nonzero(middle[:-step] == middle[step:]).squeeze(1) if step < len(middle) else middle[:0]
        if len(found) == 0:
            break
        first.append(found)
        second.append(found + step)
        step += 1
    a, b = (torch.cat([middle[:0], *found]) for found in (first, second))
    return torch.stack([middle[a], end[a], end[b]]), [(edge[a], sign[a]), (edge[b], sign[b])]


class _Fit:
    """Least squares, frame by frame: forces (and virials) of each function are columns, those wanted the last one.

    A virial counts as much as the forces on all atoms of its frame together.

    Attributes
    ----------
    pairs
        Half edges that have pair potentials in common, and how many functions.
    angles
        Numbers of angles that have potentials in common.
    """

    def __init__(
        self,
        graph: AtomicGraph,
        vectors: Tensor,
        distances: tuple[Tensor, Tensor, float],
        forces: Tensor,
        virials: Tensor | None,
    ) -> None:
        self.graph, self.vectors, self.forces, self.virials = graph, vectors, forces, virials
        self.soft, self.softening, self.cutoff = distances
        self.unit = nn.functional.normalize(vectors)
        self.sizes = torch.bincount(graph.graph_index, minlength=graph.graph_count).tolist()
        self.pairs: list[tuple[Tensor, int]] = []
        self.angles: list[Tensor] = []
        self.ends, self.sides = bond_pairs(graph)

    def solve(self) -> Tensor:
        """Coefficients of all functions: those of pairs, then those of angles."""
        triangle = self.vectors.new_zeros(0, 0)
        begin = 0
        for frame, atoms in enumerate(self.sizes):
            rows = self._rows(frame, begin, atoms)
            triangle = torch.linalg.qr(torch.cat([triangle, rows]) if len(triangle) else rows, mode="r").R
            begin += atoms
        left, values, right = torch.linalg.svd(triangle[:, :-1], full_matrices=False)
        inverse = torch.where(values > SMALLEST * values[:1], 1 / values, 0.0)
        solution: Tensor = right.T @ (inverse * (left.T @ triangle[:, -1]))
        return solution

    def _rows(self, frame: int, begin: int, atoms: int) -> Tensor:
        center, neighbor = (k - begin for k in (self.graph.center_index, self.graph.neighbor_index))
        columns = []

        def add(sums: Tensor, edges: Tensor, pulls: Tensor) -> None:
            """Add gradients (K, E', 3) in the vectors of half edges to forces (K, atoms, 3) and virials (K, 3, 3)."""
            forces = sums[:, : 3 * atoms].view(len(sums), atoms, 3)
            forces.index_add_(1, center[edges], pulls)
            forces.index_add_(1, neighbor[edges], -pulls)
            sums[:, 3 * atoms :] -= torch.einsum("ea,keb->kab", self.vectors[edges], pulls).flatten(1)

        frame_of_edge = self.graph.graph_index[self.graph.center_index]
        for edges, count in self.pairs:
            mine = edges[frame_of_edge[edges] == frame]
            slopes = radial_functions(self.soft[mine], self.softening[mine], self.cutoff, count)[1]  # (K, E')
            sums = slopes.new_zeros(count, 3 * atoms + 9)
            add(sums, mine, slopes[:, :, None] * self.unit[mine])
            columns.append(sums)
        for which in self.angles:
            mine = which[self.graph.graph_index[self.ends[0, which]] == frame]
            sides = [(edges[mine], sign[mine].double()) for edges, sign in self.sides]
            arms = [self.unit[edges] * sign[:, None] for edges, sign in sides]
            cosine = (arms[0] * arms[1]).sum(1)  # (A,)
            powers = torch.stack([n * cosine ** (n - 1) for n in range(1, POWERS + 1)])  # (POWERS, A)
            sums = cosine.new_zeros(POWERS, 3 * atoms + 9)
            for (edges, sign), own, far in zip(sides, arms, reversed(arms), strict=True):
                turn = (far - cosine[:, None] * own) * (sign / self.vectors[edges].norm(dim=1))[:, None]
                add(sums, edges, powers[:, :, None] * turn)
            columns.append(sums)
        wanted = [self.forces[begin : begin + atoms].flatten()]
        wanted.append(torch.zeros(9).to(wanted[0]) if self.virials is None else self.virials[frame].flatten())
        columns.append(torch.cat(wanted)[None])
        rows = torch.cat(columns).T  # (3 N + 9, functions + 1)
        if self.virials is None:
            return rows[: 3 * atoms]
        rows[3 * atoms :] *= atoms**-0.5
        return rows


def _smallest(products: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Smallest matrices (K, P, P) whose sums with ``products`` (pairs, P, P) are ``wanted`` (pairs, K)."""
    size = products.shape[1]
    weights = torch.outer(weight, weight).flatten()
    found = torch.linalg.pinv(products.flatten(1) * weights, rtol=1e-6) @ wanted  # (P P, K)
    matrices: Tensor = (weights[:, None] * found).T.reshape(-1, size, size)
    return matrices
