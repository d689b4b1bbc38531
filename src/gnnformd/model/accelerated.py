"""AcceleratedDensity: a density model on an accelerator, by kernels that PyTorch's compiler writes for it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.compiled import LocalPrediction
from gnnformd.model.density import DensityModel
from gnnformd.model.density_classical import bond_pairs
from gnnformd.model.density_electrostatics import weights_of
from gnnformd.model.density_harmonics import harmonics
from gnnformd.model.density_radial import radial_functions, softened
from gnnformd.model.density_table import NeighborTable, neighbor_table
from gnnformd.model.interface import ForceModel

__all__ = ["AcceleratedDensity", "can_accelerate"]

BACKEND = "inductor"  # of torch.compile


def can_accelerate(model: ForceModel) -> bool:
    """Whether the model is one for `AcceleratedDensity`, and on an accelerator."""
    if not isinstance(model, DensityModel) or model.settings.electrostatics == "learned":
        return False
    return next(model.parameters()).device.type != "cpu"


class _Shell(NamedTuple):
    """Neighbors that share radial functions, in rows of equal length: row i holds those of atom i.

    Empty places hold the atom itself, two cutoffs away, where everything is zero.

    Attributes
    ----------
    neighbor
        (N, M).
    shift
        Lattice vectors crossed on the way to the neighbor, (N, M, 3).
    filling
        angstrom, added to the vector: not zero in empty places, (N, M).
    contact
        Contact distance, angstrom, (N, M).
    pair
        Which pair of kinds of atoms it is, (N, M).
    product, weight
        Product of the charges, e^2, and how much of their Coulomb energy counts, (N, M).
    is_kind
        Whether the kind of bond is 1, 2, ..., (kinds, N, M); none in the shell of neighbors that are not bonded.
    """

    neighbor: Tensor
    shift: Tensor
    filling: Tensor
    contact: Tensor
    pair: Tensor
    product: Tensor
    weight: Tensor
    is_kind: Tensor | None


class _Angles(NamedTuple):
    """Angles between two bonds: middle atoms (A,), places of both arms (2, A), coefficients of cos^n, (POWERS, A)."""

    middle: Tensor
    arms: Tensor
    coefficients: Tensor


class _Energies(nn.Module):
    """Energies of atoms from the vectors to their neighbors, in plain operations and without asking for any value."""

    def __init__(self, model: DensityModel, coefficients: Tensor) -> None:
        super().__init__()
        self.network, self.cutoff = deepcopy(model.network).requires_grad_(False), model.cutoff
        self.contacts, self.electrostatics = deepcopy(model.contacts), model.electrostatics
        self.coefficients = coefficients

    def forward(
        self, inputs: Tensor, types: Tensor, shells: Sequence[_Shell], vectors: Sequence[Tensor], angles: _Angles
    ) -> Tensor:
        """All but the long-range electrostatics, kcal/mol, (N,); vectors are (N, M, 3) for each shell."""
        network, settings = self.network, self.network.settings
        places, pairs, first = [], torch.zeros_like(inputs[:, 0]), 0
        for shell, spread in zip(shells, vectors, strict=True):
            distance = spread.square().sum(2).sqrt()  # (N, M)
            soft, softening = softened(distance, shell.contact)
            count = settings.radial_functions if shell.is_kind is None else settings.bonded_functions
            functions = radial_functions(soft.flatten(), softening.flatten(), self.cutoff, count)[0]
            functions = functions.view(count, *soft.shape)  # (K, N, M)
            if shell.is_kind is not None:
                functions = (shell.is_kind[:, None] * functions).flatten(0, 1)
            energy = (self.coefficients[first : first + len(functions), shell.pair] * functions).sum(0)
            energy = energy + self.contacts.pair_energies(distance, shell.contact)
            if self.electrostatics is not None:
                energy = energy + self.electrostatics.weighted_energies(distance, soft, shell.product, shell.weight)
            pairs = pairs + 0.5 * energy.sum(1)  # each pair stands in two rows
            first += len(functions)
            angular = harmonics((spread / distance[:, :, None]).permute(2, 0, 1), network.l_max)  # (L, N, M)
            places.append((shell.neighbor, angular, functions))

        def densities(sent: Tensor) -> Tensor:
            parts = []
            for neighbor, angular, functions in places:
                received = sent[neighbor].permute(0, 2, 1)  # (N, C, M)
                terms = angular.transpose(0, 1)[:, :, None] * received[:, None]  # (N, L, C, M)
                sums = torch.bmm(terms.flatten(1, 2), functions.permute(1, 2, 0))  # (N, L C, K)
                parts.append(sums.view(len(sent), len(angular), sent.shape[1], len(functions)))
            return torch.cat(parts, dim=3).transpose(0, 1).flatten(2)  # (L, N, C K)

        learned, _ = network.atom_energies(inputs, densities)
        learned = network.energy_scale * learned + network.type_energies[types]
        return learned + pairs + self._bends(vectors[-1], angles, len(inputs))

    def _bends(self, vectors: Tensor, angles: _Angles, atoms: int) -> Tensor:
        """Energies of angles, (N,); the last shell is the one with bonds."""
        one, other = vectors.flatten(0, 1)[angles.arms]  # (A, 3)
        lengths = one.norm(dim=1), other.norm(dim=1)
        cosine = (one * other).sum(1) / (lengths[0] * lengths[1])
        energies = torch.zeros_like(cosine)
        for power, coefficient in enumerate(angles.coefficients, start=1):
            energies = energies + coefficient * cosine**power
        inside = (lengths[0] < self.cutoff) & (lengths[1] < self.cutoff)
        return energies.new_zeros(atoms).index_add(0, angles.middle, energies * inside)


class AcceleratedDensity:
    """Energy and forces of a density model without its long-range electrostatics, for atoms that move.

    Neighbors stand in tables that serve until the next search: beyond the cutoff everything is zero, so that none has
    to be picked out. From the vectors to the energies everything is one function, which ``torch.compile`` turns into
    a few kernels, as it does with its derivative.

    Parameters
    ----------
    model
        See `can_accelerate`.
    """

    def __init__(self, model: DensityModel) -> None:
        self._model = model
        self._types = self._inputs = torch.zeros(0)
        self._owned: Tensor | None = None
        self._shells: list[_Shell] = []
        self._angles: _Angles
        self._energies: Any = None
        self._kinds = torch.zeros(0)
        self._offsets: list[Tensor] = []
        self._cell: NDArray[np.float64] | None = None

    def set_neighbors(self, graph: AtomicGraph) -> None:
        """Take the atoms and edges of a graph, of whose edges some may be longer than the cutoff.

        They serve as long as no pair outside comes within the cutoff; positions and cells are not looked at.
        """
        model, settings = self._model, self._model.settings
        weight = next(model.parameters())
        graph = graph.to(weight.device, weight.dtype)
        with torch.no_grad():
            self._inputs = model.network.inputs(graph)
            kinds, of_atom = torch.unique(self._inputs, dim=0, return_inverse=True)
            if self._energies is None or not torch.equal(kinds, self._kinds):
                both = torch.einsum("ap,kpq,bq->kab", kinds, model.classical.pairs, kinds)
                coefficients = (both + both.transpose(1, 2)).flatten(1)  # (K, pairs of kinds)
                energies = _Energies(model, coefficients).eval()
                self._energies = torch.compile(energies, dynamic=True, fullgraph=True, backend=BACKEND)
                self._kinds = kinds
            half = graph.edge_count // 2
            kind = graph.bond_kind[:half]
            bonded = (kind > 0) & (kind <= settings.bond_kinds)
            tables = [_table(graph, torch.nonzero(~bonded).squeeze(1))]
            self._shells = [self._shell(graph, (of_atom, len(kinds)), *tables[0], bonded=False)]
            if settings.bond_kinds > 0:
                tables.append(_table(graph, torch.nonzero(bonded).squeeze(1)))
                self._shells.append(self._shell(graph, (of_atom, len(kinds)), *tables[1], bonded=True))
            self._angles = self._find_angles(graph, *tables[-1])
        self._types, self._owned, self._cell = graph.type_index, graph.owned, None

    def evaluate(self, positions: NDArray[np.float64], cell: NDArray[np.float64]) -> LocalPrediction:
        """Predict; positions (N, 3) are those where the shifts of the graph hold, cell is (3, 3), angstrom."""
        if self._cell is None or (cell != self._cell).any():
            box = torch.from_numpy(cell).to(self._inputs.device)
            self._offsets = [_offsets(shell, box) for shell in self._shells]
            self._cell = cell.copy()
        x = torch.from_numpy(np.ascontiguousarray(positions)).to(self._inputs.device)
        vectors = []
        for shell, offset in zip(self._shells, self._offsets, strict=True):
            exact = x[shell.neighbor] - x[:, None] + offset  # (N, M, 3), in float64, since boxes may be large
            vectors.append(exact.to(self._inputs.dtype).requires_grad_())
        with torch.enable_grad():
            energies = self._energies(self._inputs, self._types, self._shells, vectors, self._angles)
            if self._owned is not None:
                energies = energies * self._owned
            slopes = torch.autograd.grad(energies.sum(), vectors)
        forces = torch.zeros_like(x)
        virial = torch.zeros_like(x[:3])
        for shell, slope, vector in zip(self._shells, slopes, vectors, strict=True):
            forces += slope.sum(1)
            forces.index_add_(0, shell.neighbor.flatten(), -slope.flatten(0, 1).double())
            virial -= (vector.detach().flatten(0, 1).T @ slope.flatten(0, 1)).double()
        return LocalPrediction(
            energies.detach().double().cpu().numpy(),
            forces.cpu().numpy(),
            virial.cpu().numpy(),
            self._nearest(vectors),
        )

    def _nearest(self, vectors: list[Tensor]) -> tuple[int, int, float, float] | None:
        found: list[tuple[float, int, int, float, float]] = []
        for shell, spread in zip(self._shells, vectors, strict=True):
            if shell.neighbor.numel() == 0:
                continue
            distance = spread.detach().norm(dim=2)
            share, place = (distance / shell.contact).flatten().min(0)
            if share < 1:
                own, column = divmod(int(place), shell.neighbor.shape[1])
                at = own, column
                pair = own, int(shell.neighbor[at])
                found.append((float(share), *pair, float(distance[at]), float(shell.contact[at])))
        return min(found)[1:] if found else None

    def _shell(
        self, graph: AtomicGraph, kinds: tuple[Tensor, int], pairs: Tensor, table: NeighborTable, *, bonded: bool
    ) -> _Shell:
        shape = table.rows, table.columns

        def of_pair(values: Tensor, filling: float = 0.0) -> Tensor:
            """Values of half edges (E/2, ...) in the table."""
            chosen = torch.cat([values.index_select(0, pairs), values.new_full((1, *values.shape[1:]), filling)])
            return chosen.index_select(0, table.half_edge).view(*shape, *values.shape[1:])

        half = graph.edge_count // 2
        kind, neighbor = graph.bond_kind[:half], table.neighbor.view(shape)
        special = graph.special_coul.index_select(0, graph.graph_index.index_select(0, graph.center_index[:half]))
        shift = of_pair(graph.cell_shift[:half].to(torch.int16))
        backwards = (table.edge >= len(pairs)).view(shape)
        bond_kinds = torch.arange(1, self._model.settings.bond_kinds + 1, device=kind.device)
        of_atom, count = kinds
        return _Shell(
            neighbor=neighbor,
            shift=torch.where(backwards[:, :, None], -shift, shift),
            filling=(table.half_edge == len(pairs)).view(shape) * (2.0 * self._model.cutoff),
            contact=of_pair(self._model.contacts.of_edges(graph), 1.0),
            pair=of_atom[:, None] * count + of_atom[neighbor],
            product=graph.charges[:, None] * graph.charges[neighbor],
            weight=of_pair(weights_of(kind, special)),
            is_kind=of_pair(kind) == bond_kinds[:, None, None] if bonded else None,
        )

    def _find_angles(self, graph: AtomicGraph, pairs: Tensor, table: NeighborTable) -> _Angles:
        (middle, *ends), sides = bond_pairs(graph)
        outer = self._inputs[ends[0]] + self._inputs[ends[1]]
        coefficients = torch.einsum("ap,npq,aq->na", self._inputs[middle], self._model.classical.angles, outer)
        number = torch.zeros(graph.edge_count // 2, dtype=torch.int64, device=middle.device)
        number[pairs] = torch.arange(len(pairs), device=middle.device)
        arms = [table.place[number[edges] + (sign < 0) * len(pairs)] for edges, sign in sides]
        return _Angles(middle, torch.stack(arms), coefficients)


def _table(graph: AtomicGraph, pairs: Tensor) -> tuple[Tensor, NeighborTable]:
    """Chosen half edges (P,), laid out."""
    first, second = (k.index_select(0, pairs) for k in (graph.center_index, graph.neighbor_index))
    return pairs, neighbor_table(first, second, graph.atom_count)


def _offsets(shell: _Shell, box: Tensor) -> Tensor:
    """Give what is added to the difference of two positions, angstrom, (N, M, 3)."""
    offsets = shell.shift.to(box) @ box
    offsets[:, :, 0] += shell.filling
    return offsets
