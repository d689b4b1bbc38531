"""The classical start: pair and angle potentials fitted by least squares, which the network then corrects."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.bond_angles import POWERS, AnglePotentials, bond_angles, bond_pairs
from gnnformd.model.density.node_inputs import WITHOUT_PAIR_ENERGY
from gnnformd.model.density.pair_potentials import PairPotentials
from gnnformd.model.density.radial import radial_functions

__all__ = ["fit_classical"]

SECOND_NEIGHBORS = 2  # kind of bond without pair potentials, since those of the angles describe nearly the same
PRIOR_WEIGHT = 0.1  # of inputs in which no pair energy is known to be linear, against 1 for the others

STRENGTHS = tuple(10.0**k for k in range(-16, 3))  # of the prior, tried in turn
TOLERANCE = 0.1  # a stronger prior may cost this share of the error in forces kept back
KEPT_BACK = 4  # one frame (or atom) in so many is kept back to choose the strength
TINY = 1e-300  # instead of zero singular values squared
MOST_FUNCTIONS, MOST_OF_TYPES = 4000, 1500  # more take long; types alone are quantum data, which need no potentials


@torch.no_grad()
def fit_classical(
    pairs: PairPotentials,
    angles: AnglePotentials,
    graph: AtomicGraph,
    inputs: Tensor,
    softened: tuple[Tensor, Tensor],
    forces: Tensor,
    virials: Tensor | None,
    *,
    worth: float = 1.0,
) -> None:
    """Fit pair and angle potentials to forces (and virials) that are missing, and add them.

    They are fitted for each kind of bond and each two (three) kinds of atoms that there are, as smooth as forces kept
    back ask for (see `_Fit.solve`); then ``M`` and ``A`` are the smallest that give them, where charges and the number
    1 count as large: what epsilon and sigma can describe is described by them. There are none where they would have
    more than `MOST_FUNCTIONS` numbers, without a force field `MOST_OF_TYPES` (15 types without bonds).

    Parameters
    ----------
    pairs, angles
        Changed in place.
    graph
        Frames of the data.
    inputs
        Numbers that describe the atoms, (N, P).
    softened
        Softened distances of the half edges, angstrom, and their derivatives by the distances, (E/2,) each.
    forces
        kcal/mol/angstrom, (N, 3).
    virials
        kcal/mol, (B, 3, 3), or None.
    worth
        There are potentials only if they leave less than this share of forces kept back.
    """
    kinds, of_atom = torch.unique(inputs.double(), dim=0, return_inverse=True)
    center, neighbor, _, bond_kind = graph.half_edges
    vectors = graph.half_edge_vectors().double()
    virials = None if virials is None else virials.double()
    soft, slope = softened
    fit = _Fit(graph, vectors, (soft.double(), slope.double(), pairs.cutoff), forces.double(), virials)
    met, sizes, first = [], [], 0
    for kind, (edges, count) in enumerate(pairs.by_bond_kind(bond_kind)):
        if kind == SECOND_NEIGHBORS:
            edges = edges[:0]
        one, other = of_atom[center[edges]], of_atom[neighbor[edges]]
        key = torch.minimum(one, other) * len(kinds) + torch.maximum(one, other)
        for which in torch.unique(key).tolist():
            fit.pairs.append((edges[key == which], count))
            met.append((which // len(kinds), which % len(kinds)))
            sizes.append((first, count))
        first += count
    middle, ends, _ = bond_angles(graph, vectors)
    low, high = of_atom[ends].min(0).values, of_atom[ends].max(0).values
    key = (of_atom[middle] * len(kinds) + low) * len(kinds) + high
    bends = torch.unique(key).tolist()
    counts = [count for _, count in sizes] + [POWERS] * len(bends)
    if not 0 < sum(counts) <= (MOST_FUNCTIONS if pairs.physical else MOST_OF_TYPES):
        return
    products = [torch.outer(kinds[a], kinds[b]) + torch.outer(kinds[b], kinds[a]) for a, b in met]
    triples = []
    for which in bends:
        fit.angles.append(torch.nonzero(key == which).squeeze(1))
        vertex, ends_of = which // len(kinds) ** 2, (which // len(kinds) % len(kinds), which % len(kinds))
        triples.append(torch.outer(kinds[vertex], kinds[ends_of[0]] + kinds[ends_of[1]]))
    roughness = torch.cat([torch.arange(1, count + 1) ** 2 for count in counts]).to(vectors)
    solution = torch.split(fit.solve(roughness, worth), counts)
    weight = torch.ones_like(kinds[0])
    if pairs.physical:
        weight[list(WITHOUT_PAIR_ENERGY)] = PRIOR_WEIGHT
    for block in sorted(set(sizes)):
        members = [k for k, size in enumerate(sizes) if size == block]
        found = _smallest(
            torch.stack([products[k] for k in members]), torch.stack([solution[k] for k in members]), weight
        )
        pairs.coefficients[block[0] : block[0] + block[1]] += found.to(pairs.coefficients)
    if triples:
        found = _smallest(torch.stack(triples), torch.stack(solution[len(sizes) :]), weight)
        angles.coefficients.add_(found.to(angles.coefficients))


class _Fit:
    """Least squares, frame by frame: forces (and virials) of each function are columns, those wanted the last one.

    A virial counts as much as the forces on all atoms of its frame together, both times the weights of the frame.
    Forces and virials that are not known are NaN, and left out.

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
        self.soft, self.slope, self.cutoff = distances
        self.unit = nn.functional.normalize(vectors)
        self.sizes = graph.atoms_per_graph.tolist()
        self.pairs: list[tuple[Tensor, int]] = []
        self.angles: list[Tensor] = []
        self.ends, self.sides = bond_pairs(graph)

    def solve(self, roughness: Tensor, worth: float) -> Tensor:
        """Coefficients of all functions, those of pairs, then those of angles, with a prior of smooth potentials.

        Minimizes ``|A c - b|^2 + lambda sum_k roughness_k^2 c_k^2``. ``lambda`` is the largest of `STRENGTHS` whose
        error in forces kept back is within `TOLERANCE` of the smallest. There are no potentials if these leave more
        than the share ``worth`` of what that error is without any, or no forces are kept back since there are too few.

        Parameters
        ----------
        roughness
            Of each function, (K,).
        worth
            See `fit_classical`.
        """
        fitted, held = self._triangles()
        none = torch.zeros_like(roughness)
        if not len(held) or not len(fitted):
            return none
        found = _Ridge(fitted, roughness)
        errors = [_error(held, found.solution(strength)) for strength in STRENGTHS]
        allowed = min(errors) * (1.0 + TOLERANCE)
        if worth * _error(held, none) <= allowed:
            return none
        chosen = max(s for s, error in zip(STRENGTHS, errors, strict=True) if error <= allowed)
        return _Ridge(_triangle([fitted, held]), roughness).solution(chosen)

    def _triangles(self) -> tuple[Tensor, Tensor]:
        """Least-squares problems of the frames to be fitted and of those kept back, or of their atoms if few."""
        parts = _Triangle(), _Triangle()
        begin = 0
        for frame, atoms in enumerate(self.sizes):
            rows = self._rows(frame, begin, atoms)
            begin += atoms
            if len(self.sizes) >= KEPT_BACK:
                back = torch.full((len(rows),), frame % KEPT_BACK == KEPT_BACK - 1)
            else:
                back = torch.arange(len(rows)) // 3 % KEPT_BACK == KEPT_BACK - 1
            parts[0].add(rows[~back])
            parts[1].add(rows[back])
        return parts[0].whole(), parts[1].whole()

    def _rows(self, frame: int, begin: int, atoms: int) -> Tensor:
        edges_of = self.graph.half_edges
        center, neighbor = edges_of.center - begin, edges_of.neighbor - begin
        columns = []

        def add(sums: Tensor, edges: Tensor, gradients: Tensor) -> None:
            """Add gradients (K, E', 3) in the vectors of half edges to forces (K, atoms, 3) and virials (K, 3, 3)."""
            forces = sums[:, : 3 * atoms].view(len(sums), atoms, 3)
            forces.index_add_(1, center[edges], gradients)
            forces.index_add_(1, neighbor[edges], -gradients)
            sums[:, 3 * atoms :] -= torch.einsum("ea,keb->kab", self.vectors[edges], gradients).flatten(1)

        frame_of_edge = self.graph.graph_of_half_edge
        for edges, count in self.pairs:
            mine = edges[frame_of_edge[edges] == frame]
            slopes = radial_functions(self.soft[mine], self.slope[mine], self.cutoff, count)[1]  # (K, E')
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
                bend = (far - cosine[:, None] * own) * (sign / self.vectors[edges].norm(dim=1))[:, None]
                add(sums, edges, powers[:, :, None] * bend)
            columns.append(sums)
        wanted = [self.forces[begin : begin + atoms].flatten()]
        wanted.append(torch.zeros(9).to(wanted[0]) if self.virials is None else self.virials[frame].flatten())
        columns.append(torch.cat(wanted)[None])
        rows = torch.cat(columns).T  # (3 N + 9, functions + 1)
        if self.graph.weights is not None:
            weights = self.graph.weights[frame].to(rows).sqrt()
            rows[: 3 * atoms] *= weights[0]
            rows[3 * atoms :] *= weights[2]
        if self.virials is None:
            rows = rows[: 3 * atoms]
        rows[3 * atoms :] *= atoms**-0.5
        return rows[~rows[:, -1].isnan()]


class _Ridge:
    """Least squares with a prior, for any strength of it.

    Parameters
    ----------
    triangle
        ``A`` and, as its last column, ``b``, (R, K + 1).
    roughness
        Of each function, (K,).
    """

    def __init__(self, triangle: Tensor, roughness: Tensor) -> None:
        left, self._values, right = torch.linalg.svd(triangle[:, :-1] / roughness, full_matrices=False)
        self._right = right.T / roughness[:, None]
        self._wanted = left.T @ triangle[:, -1]

    def solution(self, strength: float) -> Tensor:
        """Coefficients, (K,), with ``lambda`` this share of the largest singular value squared."""
        weight = self._values / (self._values.square() + strength * self._values[0].square()).clamp(min=TINY)
        solution: Tensor = self._right @ (weight * self._wanted)
        return solution


class _Triangle:
    """A least-squares problem whose rows come one frame after the other, kept as small as its triangle."""

    def __init__(self) -> None:
        self._parts: list[Tensor] = []

    def add(self, rows: Tensor) -> None:
        """Take rows in; a decomposition waits for three times as many rows as there are columns."""
        if len(rows):
            self._parts.append(rows)
            if sum(map(len, self._parts)) > 3 * rows.shape[1]:
                self._parts = [_triangle(self._parts)]

    def whole(self) -> Tensor:
        """Return the triangle of all rows, (K + 1, K + 1), or no rows where there are none."""
        return _triangle(self._parts) if self._parts else torch.zeros(0, 0)


def _triangle(parts: list[Tensor]) -> Tensor:
    """Upper triangle that has the least-squares solutions and errors of all rows together."""
    triangle: Tensor = torch.linalg.qr(torch.cat(parts), mode="r").R
    return triangle


def _error(triangle: Tensor, solution: Tensor) -> float:
    """Length of what the solution leaves."""
    return float((triangle[:, :-1] @ solution - triangle[:, -1]).norm())


def _smallest(products: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Smallest matrices (K, P, P) whose sums with ``products`` (pairs, P, P) are ``wanted`` (pairs, K)."""
    size = products.shape[1]
    weights = torch.outer(weight, weight).flatten()
    found = torch.linalg.pinv(products.flatten(1) * weights, rtol=1e-6) @ wanted  # (P P, K)
    matrices: Tensor = (weights[:, None] * found).T.reshape(-1, size, size)
    return matrices
