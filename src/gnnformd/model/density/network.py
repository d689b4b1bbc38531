"""DensityNetwork: the learned part of the energy, from densities through message passing to one number per atom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Self, TypeAlias

import torch
from torch import Tensor, nn

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.energy_floor import EnergyFloor
from gnnformd.model.density.layer import DensityLayer, Readout
from gnnformd.model.density.node_inputs import NodeInputs
from gnnformd.model.density.radial import radial_functions
from gnnformd.model.density.sums.neighbor_table import neighbor_table
from gnnformd.model.density.sums.table_sum import TableGeometry, table_densities
from gnnformd.model.density.surroundings import Surroundings
from gnnformd.model.settings import DensitySettings

__all__ = ["DensityNetwork", "Geometries"]

if TYPE_CHECKING:
    from gnnformd.model.density.sums.numba_sum import NumbaGeometry

COMPOSITION_CUTOFF = 1e-4
DEGREE_OF_MESSAGES = 2  # at most: angles to neighbors are told apart in the first layer

Geometries: TypeAlias = "list[tuple[TableGeometry, Tensor]] | list[tuple[NumbaGeometry, Tensor]]"
"""What densities are made of, and the vectors that carry its gradient."""


class DensityNetwork(nn.Module):
    """Layers of `DensityLayer` over the densities of bonded and of other neighbors.

    Parameters
    ----------
    settings
        See `DensitySettings`.
    type_count
        Number of atom types.

    Attributes
    ----------
    compiled
        Sum over neighbors, and multiply densities, by compiled loops where the graph is on a processor.
    energy_scale
        Energies are this many times what the layers put out, kcal/mol.
    type_energies
        Of each atom of a type, kcal/mol, (T,) float64, whatever the type of the other numbers: energies of electrons
        are so large that float32 would round what varies away. `forward` leaves them out.
    floor
        Saturates energies of atoms (without those of the types) that are far below those of the training data.
    surroundings
        Those of the atoms of the training data, for extrapolation grades.
    """

    energy_scale: Tensor
    type_energies: Tensor

    def __init__(self, settings: DensitySettings, type_count: int) -> None:
        super().__init__()
        self.settings = settings
        self.compiled = True
        self.l_max = settings.l_max if settings.body_order > 2 else 0
        self.inputs = NodeInputs(settings.node_features, type_count, settings.channels)
        width, later = settings.width, settings.layers - 1
        functions = settings.radial_functions + settings.bond_kinds * settings.bonded_functions  # K
        channels = [self.inputs.channels] + [settings.message_channels] * later
        self.layers = nn.ModuleList(
            DensityLayer(
                count * functions,
                self.inputs.count,
                settings.features,
                width,
                l_max=self.l_max if number == 0 else min(self.l_max, DEGREE_OF_MESSAGES),
                body_order=settings.body_order,
            )
            for number, count in enumerate(channels)
        )
        self.messages = nn.ModuleList(nn.Linear(width, settings.message_channels) for _ in range(later))
        self.readouts = nn.ModuleList(Readout(width) for _ in channels)
        self.charges = None
        if settings.electrostatics == "learned":
            self.charges = nn.Linear(width, 1, bias=False)
            with torch.no_grad():
                self.charges.weight.copy_(torch.randn(1, width).mul_(1e-3))  # starts from the charges of the data
        self.register_buffer("energy_scale", torch.ones(()))
        self.register_buffer("type_energies", torch.zeros(type_count, dtype=torch.float64))
        self.floor = EnergyFloor(type_count)
        self.surroundings = Surroundings(type_count, width)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Convert all numbers but the energies of the types, which only move to another device."""
        exact = self.type_energies
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.type_energies = exact.to(self.type_energies.device)
        return self

    def type_energies_of(self, graph: AtomicGraph) -> Tensor:
        """Energies of the types of each graph's atoms (of a domain, of those it owns), kcal/mol, (B,) float64."""
        energies = self.type_energies.index_select(0, graph.type_index)
        return graph.sum_per_graph(energies if graph.owned is None else energies * graph.owned)

    def forward(
        self, graph: AtomicGraph, vectors: Tensor, soft: Tensor, soft_slope: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None, Geometries]:
        """Energies of the graphs, charges and grades of the atoms, and what the densities were made of.

        Energies, kcal/mol, (B,), are those without `type_energies_of`. Charges are in e, (N,). Extrapolation grades of
        the atoms (of a domain, of those it owns), (N,), are None in training and where `surroundings` knows nothing.

        Parameters
        ----------
        graph
            Its positions are not looked at.
        vectors
            Of the half edges, angstrom, (E/2, 3); the energies can be differentiated by them.
        soft, soft_slope
            Softened distances of the half edges, angstrom, and their derivatives, (E/2,).
        """
        inputs = self.inputs(graph)  # (N, P)
        geometries = self._geometries(graph, vectors, soft, soft_slope)
        later = self._of_messages(geometries)
        chosen = None
        if graph.owned is not None and not self.messages:  # nobody asks for more of the others
            chosen = torch.nonzero(graph.owned).squeeze(1)

        def densities(sent: Tensor, number: int) -> Tensor:
            every = self._densities(sent, later if number else geometries)
            return every if chosen is None else every.index_select(1, chosen)

        compiled = self.compiled and vectors.device.type == "cpu"
        energy, scalars, activations = self.atom_energies(inputs, densities, chosen, compiled=compiled)
        graphs, types = graph.graph_index, graph.type_index
        if graph.owned is not None:
            graphs, types = graphs[graph.owned], types[graph.owned]
            if self.messages:
                energy, activations = energy[graph.owned], activations[graph.owned]
        energy = self.floor(self.energy_scale * energy, types)
        energies = energy.new_zeros(graph.graph_count).index_add(0, graphs, energy)
        grades = None if self.training or not self.surroundings.known else self.surroundings(activations, types)
        return energies, self.charges_of(scalars, graph), grades, [*geometries, *later]

    def atom_energies(
        self,
        inputs: Tensor,
        densities: Callable[[Tensor, int], Tensor],
        chosen: Tensor | None = None,
        *,
        compiled: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Energies of the atoms, (N,), their scalars and last activations, (N, W) each.

        The energies are in units of the energy scale and without floor.

        Parameters
        ----------
        inputs
            Numbers that describe the atoms, (N, P).
        densities
            Sum over neighbors of what they send in a layer, from 0: (N, C) and its number to (L, N, C K), of the chosen
            atoms alone if there are such.
        chosen
            Atoms of which alone there are to be energies and scalars, in models of one layer.
        compiled
            Leave products of densities to compiled loops.
        """
        first = densities(self.inputs.sent(inputs), 0)  # (L, N, C K)
        if chosen is not None:
            inputs = inputs.index_select(0, chosen)
        energy, scalars, mixed = self.layers[0](first, inputs, None, compiled=compiled)  # (N,), (N, W)
        correction, activations = self.readouts[0](scalars)
        energy = energy + correction
        later = zip(self.messages, self.layers[1:], self.readouts[1:], strict=True)
        for number, (message, layer, readout) in enumerate(later, start=1):
            more, update, mixed = layer(densities(message(scalars), number), inputs, mixed, compiled=compiled)
            scalars = scalars + update
            correction, activations = readout(scalars)
            energy = energy + more + correction
        return energy, scalars, activations

    def bare_energies(
        self, graph: AtomicGraph, vectors: Tensor, soft: Tensor, soft_slope: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Energies of all atoms without `floor`, kcal/mol, (N,), and last activations, (N, W).

        Arguments are those of `forward`.
        """
        geometries = self._geometries(graph, vectors, soft, soft_slope)
        every = [geometries, *([self._of_messages(geometries)] * len(self.messages))]
        energies, _, activations = self.atom_energies(
            self.inputs(graph), lambda sent, number: self._densities(sent, every[number])
        )
        return self.energy_scale * energies, activations

    @torch.no_grad()
    def measure(self, graph: AtomicGraph, vectors: Tensor, soft: Tensor, soft_slope: Tensor) -> None:
        """Take mean and spread of the densities from a batch of frames; arguments as those of `forward`.

        The mean of degree 0 is a linear map of the node inputs, fitted by least squares, so that it differs from type
        to type and carries over to types between them. The spread is that among the atoms with such neighbors: where
        few have them, densities would be scaled up the more, the rarer they are.
        """
        inputs = self.inputs(graph)
        self.inputs.measure(inputs)
        geometries = self._geometries(graph, vectors, soft, soft_slope)
        densities = self._densities(self.inputs.sent(inputs), geometries).double()  # (L, N, C K)
        channels = self.inputs.channels
        meets = (densities[0].view(len(inputs), channels, -1) != 0).any(2)  # (N, C)
        share = meets.double().mean(0).clamp(min=1 / len(inputs))
        mean = torch.linalg.pinv(inputs.double(), rtol=1e-6) @ densities[0]  # (P, C K)
        densities[0] -= inputs.double() @ mean
        first = self.layers[0]
        assert isinstance(first, DensityLayer)
        counts = self.settings.function_counts
        squares = densities.square().mean(1) / share.repeat_interleave(sum(counts))  # (L, C K)
        numbers = torch.cat([torch.arange(1, count + 1) for count in counts]).to(squares)  # (K,)
        first.standardize(mean, squares, numbers.repeat(channels))
        per_function = squares.view(len(squares), channels, -1).mean(1)  # (L, K)
        for layer in self.layers[1:]:
            assert isinstance(layer, DensityLayer)
            sent = self.settings.message_channels
            squares = per_function[: (layer.l_max + 1) ** 2].repeat(1, sent)
            layer.standardize(None, squares, numbers.repeat(sent))

    @torch.no_grad()
    def correct_type_energies(self, graph: AtomicGraph, energies: Tensor) -> None:
        """Add to the energy of each type what energies of graphs, kcal/mol, (B,), are off by, by least squares.

        The correction is the smallest one, and differences of compositions that are below `COMPOSITION_CUTOFF` of the
        mean composition are not taken for a reason of differences in energy. So what the data do not tell apart
        stays as it was: the difference of two isolated atoms in frames of one composition, or a type that is not there.
        Energies that are not known are NaN.
        """
        types = len(self.type_energies)
        counts = torch.zeros(graph.graph_count, types, dtype=torch.float64, device=energies.device)
        counts.index_put_((graph.graph_index, graph.type_index), torch.ones((), dtype=counts.dtype), accumulate=True)
        atoms = counts.sum(1, keepdim=True)
        known = ~energies.isnan()
        per_atom = (energies.double() / atoms.squeeze(1))[known]
        found = torch.linalg.pinv((counts / atoms)[known], rtol=COMPOSITION_CUTOFF) @ per_atom
        self.type_energies.add_(found)

    @torch.no_grad()
    def center_energies(self, graph: AtomicGraph, energies: Tensor) -> None:
        """Take the mean over the atoms of a type of energies of atoms, kcal/mol, (N,), off the energy of the type."""
        sums, counts = (torch.zeros_like(self.type_energies) for _ in range(2))
        sums.index_add_(0, graph.type_index, energies.to(sums))
        counts.index_add_(0, graph.type_index, torch.ones_like(energies, dtype=counts.dtype))
        self.type_energies.sub_(sums / counts.clamp(min=1.0))

    def _geometries(self, graph: AtomicGraph, vectors: Tensor, soft: Tensor, soft_slope: Tensor) -> Geometries:
        """Lay out the neighbors that are not bonded, and those that are."""
        if self.compiled and vectors.device.type == "cpu":
            return self._compiled_geometry(graph, vectors, soft, soft_slope)
        settings = self.settings
        center, neighbor, _, kind = graph.half_edges
        bonded = (kind > 0) & (kind <= settings.bond_kinds)
        geometries = []
        for chosen, count in ((~bonded, settings.radial_functions), (bonded, settings.bonded_functions)):
            if chosen is bonded and settings.bond_kinds == 0:
                continue
            pairs = torch.nonzero(chosen).squeeze(1)  # (E'/2,)
            first, second = center.index_select(0, pairs), neighbor.index_select(0, pairs)
            table = neighbor_table(first, second, graph.atom_count)
            with torch.no_grad():
                beyond = soft.new_full((1,), 2.0 * settings.cutoff)  # of empty entries; every function is zero there
                s, slope = (torch.cat([f.index_select(0, pairs), beyond]) for f in (soft, soft_slope))
                functions: list[Tensor] = [*radial_functions(s, slope, settings.cutoff, count)]  # (K, E'/2 + 1)
                if chosen is bonded:
                    kinds = torch.arange(1, settings.bond_kinds + 1, device=kind.device)
                    is_kind = torch.cat([kind.index_select(0, pairs), kinds[:1]]) == kinds[:, None]  # (kinds, E'/2 + 1)
                    functions = [(is_kind[:, None] * f).flatten(0, 1) for f in functions]
                values, slopes = (table.spread_pairs(f) for f in functions)
            own = vectors.index_select(0, pairs).transpose(0, 1)  # (3, E'/2)
            filling = own.new_tensor([2.0 * settings.cutoff, 0.0, 0.0])
            spread = table.spread(torch.cat([own, -own], dim=1), filling)  # (3, N, M)
            with torch.no_grad():
                distance = spread.square().sum(0).sqrt()
                unit = spread / distance
            geometries.append((TableGeometry(table, distance, unit, values, slopes, self.l_max), spread))
        return geometries

    def _compiled_geometry(self, graph: AtomicGraph, vectors: Tensor, soft: Tensor, soft_slope: Tensor) -> Geometries:
        from gnnformd.model.density.sums.numba_sum import NumbaGeometry, make_shell

        settings = self.settings
        center, neighbor, _, kind = graph.half_edges
        kind = kind.where(kind <= settings.bond_kinds, 0)
        counts = settings.function_counts
        shells = tuple(
            make_shell(
                center,
                neighbor,
                torch.nonzero(kind == number).squeeze(1),
                graph.atom_count,
                count,
                sum(counts[:number]),
            )
            for number, count in enumerate(counts)
        )
        fixed = vectors.detach()
        distance = fixed.norm(dim=1)
        geometry = NumbaGeometry(shells, fixed, distance, soft, soft_slope, settings.cutoff, self.l_max)
        return [(geometry, vectors)]

    def _of_messages(self, geometries: Geometries) -> Geometries:
        """Give what densities of messages are made of; nothing in a model of one layer."""
        if not self.messages:
            return []
        degree = min(self.l_max, DEGREE_OF_MESSAGES)
        return [(replace(geometry, l_max=degree), vectors) for geometry, vectors in geometries]  # type: ignore[return-value]

    def _densities(self, sent: Tensor, geometries: Geometries) -> Tensor:
        """Sum over all neighbors, (L, N, C K) with K over all functions."""
        parts, harmonics = [], 0
        for geometry, vectors in geometries:
            if not isinstance(geometry, TableGeometry):
                from gnnformd.model.density.sums.numba_sum import numba_densities

                return numba_densities(sent, vectors, geometry).flatten(2)
            parts.append(table_densities(sent, vectors, geometry))  # (N, L C, K)
            harmonics = len(geometry.harmonics)
        shape = (len(sent), harmonics, sent.shape[1])
        return torch.cat([part.view(*shape, part.shape[2]).transpose(0, 1) for part in parts], dim=3).flatten(2)

    def charges_of(self, scalars: Tensor, graph: AtomicGraph) -> Tensor:
        """Charges of the data, corrected by the network such that the charge of each graph stays."""
        if self.charges is None:
            return graph.charges
        change: Tensor = self.charges(scalars).squeeze(1)  # (N,)
        means = graph.sum_per_graph(change) / graph.atoms_per_graph.to(change)
        return graph.charges + change - means.index_select(0, graph.graph_index)
