"""CompiledEnergies: a density model on an accelerator, by kernels that PyTorch's compiler writes for it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnformd.errors import InputError
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.bond_angles import bond_pairs
from gnnformd.model.density.compile_engine.energies import Angles, Energies, Shell
from gnnformd.model.density.electrostatics import weights_of
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.results import LocalPrediction
from gnnformd.model.density.sums.neighbor_table import NeighborTable, neighbor_table

__all__ = ["CompiledEnergies"]

BACKEND = "inductor"  # of torch.compile
NO_CELL = np.eye(3)


class CompiledEnergies:
    """Energy and forces of a density model without its long-range electrostatics, for atoms that move.

    Neighbors stand in tables that serve until the next search: beyond the cutoff everything is zero, so that none has
    to be picked out. From the vectors to the energies everything is one function, which ``torch.compile`` turns into
    a few kernels, as it does with its derivative.

    Of a domain (see `AtomicGraph.owned`) there are rows for what it owns alone, if the model has one layer.

    Parameters
    ----------
    model
        On an accelerator, with charges that are not learned; its weights are copied.
    """

    def __init__(self, model: DensityModel) -> None:
        self._model = deepcopy(model).requires_grad_(False).eval()
        self._inputs = self._centers = self._kinds = self._of_types = torch.zeros(0)
        self._types, self._floor = self._of_types, (self._of_types, self._of_types)
        self._graded = model.network.surroundings.known
        self._owned: Tensor | None = None
        self._shells: list[Shell] = []
        self._angles: Angles
        self._energies: Any = None
        self._offsets: list[Tensor] = []
        self._cell: NDArray[np.float64] | None = None

    @torch.no_grad()
    def set_neighbors(self, graph: AtomicGraph) -> None:
        """Take the atoms and edges of a graph, of whose edges some may be longer than the cutoff.

        They serve as long as no pair outside comes within the cutoff; positions and cells are not looked at.
        """
        model, settings = self._model, self._model.settings
        weight = next(model.parameters())
        graph = graph.to(weight.device, weight.dtype)
        self._inputs = model.network.inputs(graph)
        edges = graph.half_edges
        kinds, of_atom = torch.unique(self._inputs, dim=0, return_inverse=True)
        if self._energies is None or not torch.equal(kinds, self._kinds):
            both = torch.einsum("ap,kpq,bq->kab", kinds, model.fitted_pairs.coefficients, kinds)
            coefficients = (both + both.transpose(1, 2)).flatten(1)  # (K, pairs of kinds)
            self._energies = torch.compile(
                Energies(model, coefficients, kinds), dynamic=True, fullgraph=True, backend=BACKEND
            )
            self._kinds = kinds
        self._owned, self._centers = graph.owned, torch.arange(graph.atom_count, device=weight.device)
        if graph.owned is not None and model.layers == 1:
            self._owned, self._centers = None, torch.nonzero(graph.owned).squeeze(1)
        kind = edges.bond_kind
        bonded = (kind > 0) & (kind <= settings.bond_kinds)
        table = _table(graph, torch.nonzero(~bonded).squeeze(1))
        self._shells = [self._shell(graph, (of_atom, len(kinds)), *table, bonded=False)]
        if settings.bond_kinds > 0:
            table = _table(graph, torch.nonzero(bonded).squeeze(1))
            self._shells.append(self._shell(graph, (of_atom, len(kinds)), *table, bonded=True))
        self._angles = self._find_angles(graph, *table)
        self._types = types = graph.type_index.index_select(0, self._centers)
        self._floor = model.network.floor.of_types(types)
        of_types = model.network.type_energies.index_select(0, types)
        self._of_types = of_types if self._owned is None else of_types * self._owned
        self._cell = None

    def evaluate(self, positions: NDArray[np.float64], cell: NDArray[np.float64] = NO_CELL) -> LocalPrediction:
        """Predict; positions (N, 3) are those where the shifts of the graph hold, cell is (3, 3), angstrom.

        Where images are atoms of their own there are no shifts, and the cell does not matter.

        Raises
        ------
        InputError
            PyTorch's compiler cannot work here.
        """
        if self._cell is None or (cell != self._cell).any():
            box = torch.from_numpy(cell).to(self._inputs.device)
            self._offsets = [_offsets(shell, box) for shell in self._shells]
            self._cell = cell.copy()
        x = torch.from_numpy(np.ascontiguousarray(positions)).to(self._inputs.device)
        own, vectors = x[self._centers], []
        for shell, offset in zip(self._shells, self._offsets, strict=True):
            exact = x[shell.neighbor] - own[:, None] + offset  # (N, M, 3), in float64, since boxes may be large
            vectors.append(exact.to(self._inputs.dtype).requires_grad_())
        energies, slopes, activations = self._differentiate(vectors)
        forces, virial = torch.zeros_like(x), torch.zeros(3, 3).to(x)
        for shell, slope, vector in zip(self._shells, slopes, vectors, strict=True):
            forces.index_add_(0, self._centers, slope.sum(1).double())
            forces.index_add_(0, shell.neighbor.flatten(), -slope.flatten(0, 1).double())
            virial -= (vector.detach().flatten(0, 1).T @ slope.flatten(0, 1)).double()
        summed = (energies.double() + self._of_types).cpu().numpy()
        grades = self._grades(activations) if self._graded else None
        return LocalPrediction(summed, forces.cpu().numpy(), virial.cpu().numpy(), self._nearest(vectors), grades)

    def _grades(self, activations: Tensor) -> NDArray[np.float64]:
        """Extrapolation grades of the centers, of a domain of those it owns."""
        grades: Tensor = self._model.network.surroundings(activations, self._types)
        return (grades if self._owned is None else grades[self._owned]).double().cpu().numpy()

    def _differentiate(self, vectors: list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """Energies of the centers, the derivatives of their sum by the vectors, and the last activations."""
        arguments = self._inputs, self._centers, self._shells, vectors, self._angles, self._floor
        # sizes of 0 and 1 are compiled for themselves, which makes more variants than are allowed unasked
        with torch.enable_grad(), torch._dynamo.config.patch(recompile_limit=1000, accumulated_recompile_limit=10000):
            try:
                energies, activations = self._energies(*arguments)
                if self._owned is not None:
                    energies = energies * self._owned
                slopes = torch.autograd.grad(energies.sum(), vectors)
                return energies.detach(), slopes, activations.detach()
            except torch._dynamo.exc.TorchDynamoException as error:
                reason = str(error).strip().splitlines()[0]
                raise InputError(
                    f"PyTorch cannot compile the model here ({reason}); install a C++ compiler and Triton, or take "
                    "--torch."
                ) from error

    def _nearest(self, vectors: list[Tensor]) -> tuple[int, int, float, float] | None:
        found: list[tuple[float, int, int, float, float]] = []
        for shell, spread in zip(self._shells, vectors, strict=True):
            if shell.neighbor.numel() == 0:
                continue
            distance = spread.detach().norm(dim=2)
            share, entry = (distance / shell.contact).flatten().min(0)
            if share < 1:
                at = divmod(int(entry), shell.neighbor.shape[1])
                pair = int(self._centers[at[0]]), int(shell.neighbor[at])
                found.append((float(share), *pair, float(distance[at]), float(shell.contact[at])))
        return min(found)[1:] if found else None

    def _shell(
        self, graph: AtomicGraph, kinds: tuple[Tensor, int], pairs: Tensor, table: NeighborTable, *, bonded: bool
    ) -> Shell:
        shape, centers = (table.rows, table.columns), self._centers
        half_edge = table.half_edge.view(shape)[centers]  # (N, M)

        def of_pair(values: Tensor, filling: float = 0.0) -> Tensor:
            """Values of half edges (E/2, ...) in the table."""
            return torch.cat([values[pairs], values.new_full((1, *values.shape[1:]), filling)])[half_edge]

        kind, neighbor = graph.half_edges.bond_kind, table.neighbor.view(shape)[centers]
        special = graph.special_coul.index_select(0, graph.graph_of_half_edge)
        shift = of_pair(graph.half_edges.shift.to(torch.int16))
        backwards = (table.edge >= len(pairs)).view(shape)[centers]
        bond_kinds = torch.arange(1, self._model.settings.bond_kinds + 1, device=kind.device)
        of_atom, count = kinds
        return Shell(
            neighbor=neighbor,
            shift=torch.where(backwards[:, :, None], -shift, shift),
            filling=(half_edge == len(pairs)) * (2.0 * self._model.cutoff),
            contact=of_pair(self._model.contacts.of_edges(graph), 1.0),
            pair=of_atom[centers, None] * count + of_atom[neighbor],
            product=graph.charges[centers, None] * graph.charges[neighbor],
            weight=of_pair(weights_of(kind, special)),
            bond_kind=of_pair(kind),
            is_kind=of_pair(kind) == bond_kinds[:, None, None] if bonded else None,
        )

    def _find_angles(self, graph: AtomicGraph, pairs: Tensor, table: NeighborTable) -> Angles:
        (middle, *ends), sides = bond_pairs(graph)
        row = torch.full_like(graph.type_index, -1)
        row[self._centers] = torch.arange(len(self._centers), device=row.device)
        known = torch.nonzero(row[middle] >= 0).squeeze(1)  # others belong to another domain
        middle, one, other = middle[known], ends[0][known], ends[1][known]
        outer = self._inputs[one] + self._inputs[other]
        coefficients = torch.einsum("ap,npq,aq->na", self._inputs[middle], self._model.angles.coefficients, outer)
        number = torch.zeros(len(graph.half_edges.center), dtype=torch.int64, device=middle.device)
        number[pairs] = torch.arange(len(pairs), device=middle.device)
        arms = [table.cell[number[edges] + (sign < 0) * len(pairs)][known] for edges, sign in sides]
        moved = (row[middle] - middle) * table.columns  # from the rows of all atoms to those of centers
        return Angles(row[middle], torch.stack(arms) + moved, coefficients.contiguous())


def _table(graph: AtomicGraph, pairs: Tensor) -> tuple[Tensor, NeighborTable]:
    """Chosen half edges (P,), laid out."""
    center, neighbor, _, _ = graph.half_edges
    first, second = center.index_select(0, pairs), neighbor.index_select(0, pairs)
    return pairs, neighbor_table(first, second, graph.atom_count)


def _offsets(shell: Shell, box: Tensor) -> Tensor:
    """Give what is added to the difference of two positions, angstrom, (N, M, 3)."""
    offsets = shell.shift.to(box) @ box
    offsets[:, :, 0] += shell.filling
    return offsets
