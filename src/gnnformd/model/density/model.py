"""The flagship: an energy from atomic densities, with forces and virial as its derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.distances import shortest_distances
from gnnformd.model.density.classical import ClassicalPart
from gnnformd.model.density.electrostatics import Electrostatics
from gnnformd.model.density.network import DensityNetwork, Geometries
from gnnformd.model.density.radial import softened
from gnnformd.model.density.repulsion import Contacts
from gnnformd.model.interface import ForceModel, Prediction
from gnnformd.model.settings import DensitySettings

__all__ = ["DensityModel"]


@dataclass(frozen=True)
class _Places:
    """Where atoms are, in the variables that energies are differentiated by.

    Attributes
    ----------
    vectors
        Of the half edges, angstrom, (E/2, 3); the densities depend on them.
    distances
        Of the half edges, angstrom, (E/2,); the pair energies depend on them.
    scaled
        Fractional coordinates, (N, 3); the long-range energy depends on them and on the cells.
    cells
        angstrom, (B, 3, 3); unit vectors for graphs without periodic images.
    """

    vectors: Tensor
    distances: Tensor
    scaled: Tensor
    cells: Tensor

    @property
    def variables(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All four."""
        return self.vectors, self.distances, self.scaled, self.cells


class DensityModel(ForceModel):
    """``E = sum_i E_i(densities) + E_repulsion + E_Coulomb``; forces ``-dE/dx``, virial ``-dE/d(strain)``.

    Invariant under translation, rotation, reflection, permutation; strictly local but for the Coulomb energy; energy,
    forces and their first derivatives are continuous at the cutoff. The equations stand in ``docs/density.md``.

    In training mode forces, energies and virials can be differentiated by the parameters (and by nothing else).

    Parameters
    ----------
    settings
        See `DensitySettings`.
    type_count
        Number of atom types.
    """

    conservative = True

    def __init__(self, settings: DensitySettings, type_count: int) -> None:
        super().__init__()
        self.settings = settings
        self.cutoff, self.layers = settings.cutoff, settings.layers
        self.network = DensityNetwork(settings, type_count)
        self.classical = ClassicalPart(settings, self.network.inputs.count)
        self.contacts = Contacts(type_count, settings.repulsion, settings.cutoff)
        self.electrostatics = None if settings.electrostatics == "none" else Electrostatics(settings.cutoff)

    @property
    def indivisible(self) -> str | None:
        """Learned charges are what keeps it whole: the Coulomb energy of all atoms depends on them."""
        return "its charges are learned" if self.settings.electrostatics == "learned" else None

    def closest_in_data(self, bond_kind: int, first: int, second: int) -> float | None:
        """How close two atoms of these types (from 0) came in the training data, angstrom; None if they never met."""
        return self.contacts.closest(bond_kind, first, second)

    def fixed_part(self, graph: AtomicGraph) -> Prediction:
        """Predict what was fitted, repulsion and, unless charges are learned, the Coulomb energy."""
        with torch.enable_grad():
            return self._fixed_part(graph, _places(graph))

    def forward(self, graph: AtomicGraph, fixed: Prediction | None = None) -> Prediction:
        """Predict forces, energies and virials.

        Of a domain (see `AtomicGraph.owned`) these are the derivatives of what it owns, without the long-range part of
        the Coulomb energy: summed over all domains, forces on copies of an atom included, they are those of the system.

        Raises
        ------
        InputError
            The model has an electrostatic energy and a box is periodic in some directions only.
        """
        with torch.enable_grad():
            places = _places(graph)
            energies, geometries = self._learned_energies(graph, places)
            slopes = _slopes(energies, places, create_graph=self.training)
            for geometry, _ in geometries:
                geometry.vectors_done = True
            learned = _prediction(graph, places, energies, slopes)
            if fixed is None:
                fixed = self._fixed_part(graph, places)
        assert learned.energies is not None and learned.virials is not None
        assert fixed.energies is not None and fixed.virials is not None
        forces = learned.forces + fixed.forces
        energies, virials = learned.energies + fixed.energies, learned.virials + fixed.virials
        if self.training:
            return Prediction(forces, energies, virials)
        return Prediction(forces.detach(), energies.detach(), virials.detach())

    def pulls(self, graph: AtomicGraph) -> tuple[Tensor, Tensor]:
        """Energy of a domain, kcal/mol, and its slopes along the vectors of half edges, kcal/mol/angstrom, (E/2, 3).

        What the domain owns, without long-range electrostatics (see `AtomicGraph.owned`), depends on nothing else.
        """
        with torch.enable_grad():
            places = _places(graph)
            learned, _ = self._learned_energies(graph, places)
            fixed = self._fixed_energies(graph, places)
            slopes = [_slopes(energies, places, create_graph=False) for energies in (learned, fixed)]
        pulls = [_pull(places, by_vector, by_distance) for by_vector, by_distance, *_ in slopes]
        return (learned + fixed).detach().sum(), pulls[0] + pulls[1]

    @torch.no_grad()
    def initialize(self, graph: AtomicGraph, closest: Tensor | None = None) -> None:
        """Take scales from data: closest approaches, spread of the densities, pair potentials, size of what they leave.

        Parameters
        ----------
        graph
            A batch of frames to be trained on, some tens, with their forces (and energies where there are any).
        closest
            See `gnnformd.model.interface.ForceModel.initialize`.
        """
        training = self.training
        self.eval()
        places, network = _places(graph), self.network
        types = self.contacts.distances.shape[1]
        self.contacts.take(shortest_distances(graph, places.distances.detach(), types) if closest is None else closest)
        network.measure(graph, places.vectors, *self._softened(graph, places))
        if graph.forces is not None:
            network.energy_scale.zero_()
            self.fit_classical(graph)
            without = self(graph).forces
            network.energy_scale.fill_(1.0)
            size = (self(graph).forces - without).square().mean().sqrt()
            left = (graph.forces - without).square().mean().sqrt()
            if size > 0:  # atoms without neighbors exert no forces
                network.energy_scale.copy_(left / size)
            if graph.energies is not None:
                network.type_energies.zero_()
                network.set_type_energies(graph, graph.energies - self(graph).energies)
        self.train(training)

    @torch.no_grad()
    def fit_classical(self, graph: AtomicGraph) -> None:
        """Fit pair and angle potentials to what the forces (and virials) of some frames have and the model does not."""
        assert graph.forces is not None
        said = self(graph)
        virials = None if graph.virials is None else graph.virials - said.virials
        inputs = self.network.inputs(graph)
        self.classical.add(graph, inputs, *self._softened(graph, _places(graph)), graph.forces - said.forces, virials)

    def _softened(self, graph: AtomicGraph, places: _Places) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return softened(places.distances, self.contacts.of_edges(graph))

    def _fixed_part(self, graph: AtomicGraph, places: _Places) -> Prediction:
        energies = self._fixed_energies(graph, places)
        slopes = _slopes(energies, places, create_graph=False)
        return _prediction(graph, places, energies.detach(), slopes)

    def _fixed_energies(self, graph: AtomicGraph, places: _Places) -> Tensor:
        """Energies of each graph that depend on no parameter, kcal/mol, (B,)."""
        contact = self.contacts.of_edges(graph)
        soft, softening = softened(places.distances, contact)
        inputs = self.network.inputs(graph)
        pairs = self.classical.pair_energies(graph, inputs, places.distances, soft.detach(), softening.detach())
        pairs = pairs + self.contacts.pair_energies(places.distances, contact)
        energies = _per_graph(pairs, graph) + self.classical.angle_energies(graph, inputs, places.vectors)
        if self.electrostatics is not None and self.settings.electrostatics != "learned":
            energies = energies + self._coulomb(graph, places, soft, graph.charges)
        return energies

    def _learned_energies(self, graph: AtomicGraph, places: _Places) -> tuple[Tensor, Geometries]:
        """Energies of each graph that depend on parameters, kcal/mol, (B,), and what the densities were made of."""
        soft, softening = softened(places.distances, self.contacts.of_edges(graph))
        energies, charges, geometries = self.network(graph, places.vectors, soft.detach(), softening.detach())
        if self.settings.electrostatics == "learned":
            energies = energies + self._coulomb(graph, places, soft, charges)
        return energies, geometries

    def _coulomb(self, graph: AtomicGraph, places: _Places, soft: Tensor, charges: Tensor) -> Tensor:
        """Coulomb energy of each graph, kcal/mol, (B,)."""
        assert self.electrostatics is not None
        half = graph.edge_count // 2
        center, neighbor = graph.center_index[:half], graph.neighbor_index[:half]
        product = charges.index_select(0, center) * charges.index_select(0, neighbor)
        special = graph.special_coul.index_select(0, graph.graph_index.index_select(0, center))
        pairs = self.electrostatics.pair_energies(places.distances, soft, product, graph.bond_kind[:half], special)
        energies = _per_graph(pairs, graph)
        if graph.owned is not None:
            return energies
        return energies + self.electrostatics.long_range_energies(places.scaled, places.cells, charges, graph)


def _per_graph(pairs: Tensor, graph: AtomicGraph) -> Tensor:
    """Sum over the half edges of each graph, those to atoms of another domain counted by half, (B,)."""
    half = len(pairs)
    center, neighbor = graph.center_index[:half], graph.neighbor_index[:half]
    if graph.owned is not None:
        share = 0.5 * graph.owned.to(pairs.dtype)
        pairs = pairs * (share.index_select(0, center) + share.index_select(0, neighbor))
    return pairs.new_zeros(graph.graph_count).index_add(0, graph.graph_index.index_select(0, center), pairs)


def _places(graph: AtomicGraph) -> _Places:
    # positions may have more digits than the model computes with
    vectors = graph.edge_vectors()[: graph.edge_count // 2].detach().to(graph.charges.dtype)
    distances = vectors.norm(dim=1)
    empty = ~graph.periodic.any(1)[:, None, None]
    cells = torch.where(empty, torch.eye(3).to(graph.cells), graph.cells.detach())
    inverse = torch.linalg.inv(cells).index_select(0, graph.graph_index)  # (N, 3, 3)
    scaled = torch.einsum("na,nab->nb", graph.positions.detach(), inverse)
    images = torch.floor(scaled) * graph.periodic.index_select(0, graph.graph_index)
    scaled = scaled - images  # small numbers keep their digits in float32
    variables = (vectors, distances, scaled, cells)
    return _Places(*(value.to(vectors.dtype).requires_grad_() for value in variables))


def _slopes(energies: Tensor, places: _Places, *, create_graph: bool) -> list[Tensor | None]:
    """Differentiate the energies by the four variables; None where one does not matter."""
    if not energies.requires_grad:
        return [None] * 4
    return list(torch.autograd.grad(energies.sum(), places.variables, create_graph=create_graph, allow_unused=True))


def _pull(places: _Places, by_vector: Tensor | None, by_distance: Tensor | None) -> Tensor:
    """Put the derivatives by vectors and distances of the half edges together, (E/2, 3)."""
    vectors, distances = places.vectors.detach(), places.distances.detach()
    pull = torch.zeros_like(vectors) if by_vector is None else by_vector
    return pull if by_distance is None else pull + (by_distance / distances)[:, None] * vectors


def _prediction(graph: AtomicGraph, places: _Places, energies: Tensor, slopes: list[Tensor | None]) -> Prediction:
    """Put forces and virials together from the derivatives by the four variables."""
    half = graph.edge_count // 2
    center, neighbor = graph.center_index[:half], graph.neighbor_index[:half]
    by_vector, by_distance, by_scaled, by_cell = slopes
    vectors, pull = places.vectors.detach(), _pull(places, by_vector, by_distance)
    forces = pull.new_zeros(graph.atom_count, 3).index_add(0, center, pull).index_add(0, neighbor, -pull)
    if graph.graph_count == 1:
        virials = -(vectors.transpose(0, 1) @ pull)[None]
    else:
        virial = -vectors[:, :, None] * pull[:, None, :]
        graph_of_edge = graph.graph_index.index_select(0, center)
        virials = virial.new_zeros(graph.graph_count, 3, 3).index_add(0, graph_of_edge, virial)
    if by_scaled is not None and by_cell is not None:
        cells = places.cells.detach()
        inverse = torch.linalg.inv(cells).index_select(0, graph.graph_index)  # (N, 3, 3)
        forces = forces - torch.einsum("nb,nab->na", by_scaled, inverse)
        virials = virials - cells.transpose(1, 2) @ by_cell
    return Prediction(forces, energies, virials)
