"""The density model: an energy that is a sum of terms, with forces and virial as its derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.distances import shortest_distances
from gnnformd.model.density.bond_angles import AnglePotentials
from gnnformd.model.density.classical_fit import fit_classical
from gnnformd.model.density.electrostatics import Electrostatics
from gnnformd.model.density.lone_pairs import LonePairs
from gnnformd.model.density.network import DensityNetwork, Geometries
from gnnformd.model.density.pair_potentials import PairPotentials
from gnnformd.model.density.radial import INNER, softened
from gnnformd.model.density.repulsion import Contacts
from gnnformd.model.density.settings import DensitySettings
from gnnformd.model.density.term_registry import pair_terms
from gnnformd.model.density.terms import PairKinds, PairTerm
from gnnformd.model.interface import ForceModel, LongRange, Prediction, weight_of

if TYPE_CHECKING:
    from gnnformd.model.settings import ModelSettings

__all__ = ["DensityModel"]

_RENAMED = {"classical.pairs": "pair_terms.fitted.coefficients", "classical.angles": "angles.coefficients"}
"""Weights of model files up to format version 5, and their names now."""

NEARLY_CLASSICAL = 0.05
"""Share of the forces that fitted potentials may leave in a new model. Those that leave more describe pairs as they are
in the data alone: the network has to take that back elsewhere, and learns slower and worse than without them."""

_FLOOR = ("network.floor.start", "network.floor.depth")
"""Weights that model files up to format version 6 do not have: their energies are not bounded."""

_COUPLINGS = ("network.layers.0.couplings.weight",)
"""Weights that model files up to format version 7 do not have: couplings of degrees 3 and 4, which start at zero."""

_SURROUNDINGS = tuple(f"network.surroundings.{name}" for name in ("axes", "offset", "representatives", "scale"))
"""Weights that model files up to format version 9 do not have: they know no extrapolation grades."""


@dataclass(frozen=True)
class _Coordinates:
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
    """``E = E_network + sum_pairs V + E_angles + E_repulsion + E_Coulomb``; forces and virial are its derivatives.

    Invariant under translation, rotation, reflection, permutation; strictly local but for the Coulomb energy; energy,
    forces and their first derivatives are continuous at the cutoff. `gnnformd.model.density.reference` is the same in
    plain equations, which are explained in ``docs/density.md``.

    In training mode forces, energies and virials can be differentiated by the parameters (and by nothing else).

    Parameters
    ----------
    settings
        See `DensitySettings`.
    type_count
        Number of atom types.
    """

    kind = "density"
    conservative = True
    per_type: ClassVar[tuple[str, ...]] = ("contacts.distances", "network.type_energies", *_FLOOR, *_SURROUNDINGS)
    exact: ClassVar[tuple[str, ...]] = ("network.type_energies",)
    blind_below = INNER

    def __init__(self, settings: DensitySettings, type_count: int) -> None:
        super().__init__()
        self.settings = settings
        self.cutoff, self.layers = settings.cutoff, settings.layers
        self.network = DensityNetwork(settings, type_count)
        self.pair_terms = pair_terms(settings, self.network.inputs.count)
        self.angles = AnglePotentials(self.network.inputs.count)
        self.contacts = Contacts(type_count, settings.repulsion, settings.cutoff)
        self.electrostatics = None if settings.electrostatics == "none" else Electrostatics(settings.cutoff)

    @property
    def indivisible(self) -> str | None:
        """Nothing where compiled loops serve; on accelerators no engine evaluates learned charges of a domain."""
        if self.needs_other_domains and self.contacts.distances.device.type != "cpu":
            return "its charges are learned, and on several ranks compiled loops on processors alone evaluate them"
        return None

    @property
    def long_range(self) -> LongRange | None:
        """See `ForceModel.long_range`."""
        if self.electrostatics is None:
            return None
        fixed = self.settings.electrostatics == "fixed"
        mesh_from = self.electrostatics.compiled_mesh_from(self.contacts.distances.dtype)
        return LongRange(self.electrostatics.splitting, fixed, mesh_from)

    @property
    def contact_distances(self) -> Tensor | None:
        """See `ForceModel.contact_distances`."""
        return self.contacts.distances.detach().cpu().double()

    @property
    def fitted_pairs(self) -> PairPotentials:
        """The pair term that is fitted to the data before a training."""
        term = self.pair_terms["fitted"]
        assert isinstance(term, PairPotentials)
        return term

    def kinds_of_atoms(self, atoms: AtomicGraph) -> Tensor:
        """Type, charge, epsilon and sigma of each atom, 0 where the model does not use them, (N, 4) float64."""
        kinds = atoms.physical_kinds
        if self.settings.node_features == "embedding":
            kinds[:, 2:] = 0.0
            if self.electrostatics is None:
                kinds[:, 1] = 0.0
        return kinds

    def each_pair_term(self) -> Iterator[PairTerm]:
        """All pair terms, in the order of `gnnformd.model.density.term_registry.PAIR_TERMS`."""
        for term in self.pair_terms.values():
            assert isinstance(term, PairTerm)
            yield term

    @classmethod
    def from_settings(cls, settings: ModelSettings, type_count: int) -> DensityModel:
        """See `ForceModel.from_settings`."""
        assert isinstance(settings, DensitySettings)
        return cls(settings, type_count)

    @classmethod
    def unreadable(cls, settings: ModelSettings, version: int) -> str | None:
        """See `ForceModel.unreadable`."""
        assert isinstance(settings, DensitySettings)
        if version < 3:
            return "is a density network as they were up to model format version 2"
        if version == 3 and settings.electrostatics != "none":
            return "was trained with a Coulomb energy split as it was in model format version 3"
        return None

    @classmethod
    def renamed_weight(cls, name: str, version: int) -> str:
        """See `ForceModel.renamed_weight`."""
        return _RENAMED.get(name, name) if version < 6 else name

    @classmethod
    def added_weights(cls, version: int) -> tuple[str, ...]:
        """See `ForceModel.added_weights`."""
        return (
            *(_FLOOR if version < 7 else ()),
            *(_COUPLINGS if version < 8 else ()),
            *(_SURROUNDINGS if version < 10 else ()),
        )

    def closest_in_data(self, bond_kind: int, first: int, second: int) -> float | None:
        """How close two atoms of these types (from 0) came in the training data, angstrom; None if they never met."""
        return self.contacts.closest(bond_kind, first, second)

    def fixed_part(self, graph: AtomicGraph) -> Prediction:
        """Predict what was fitted, repulsion and, unless charges are learned, the Coulomb energy."""
        with torch.enable_grad():
            return self._fixed_part(graph, _coordinates(graph))

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
            coordinates = _coordinates(graph)
            energies, grades, geometries = self._learned_energies(graph, coordinates)
            slopes = _derivatives(energies, coordinates, create_graph=self.training)
            for geometry, _ in geometries:
                geometry.stop_at_vectors()
            learned = _prediction(graph, coordinates, energies, slopes)
            if fixed is None:
                fixed = self._fixed_part(graph, coordinates)
        assert learned.energies is not None and learned.virials is not None
        assert fixed.energies is not None and fixed.virials is not None
        forces = learned.forces + fixed.forces
        energies = learned.energies.double() + fixed.energies.double() + self.network.type_energies_of(graph)
        virials = learned.virials + fixed.virials
        if self.training:
            return Prediction(forces, energies, virials)
        return Prediction(forces.detach(), energies.detach(), virials.detach(), grades)

    def pair_forces(self, graph: AtomicGraph) -> tuple[Tensor, Tensor]:
        """Energy of a domain, kcal/mol, and its derivatives by the vectors of half edges, kcal/mol/angstrom, (E/2, 3).

        What the domain owns, without long-range electrostatics (see `AtomicGraph.owned`), depends on nothing else.
        """
        with torch.enable_grad():
            coordinates = _coordinates(graph)
            learned, *_ = self._learned_energies(graph, coordinates)
            fixed = self._fixed_energies(graph, coordinates)
            slopes = [_derivatives(energies, coordinates, create_graph=False) for energies in (learned, fixed)]
        forces = [_by_vector(coordinates, by_vector, by_distance) for by_vector, by_distance, *_ in slopes]
        energies = learned.double() + fixed.double() + self.network.type_energies_of(graph)
        return energies.detach().sum(), forces[0] + forces[1]

    @torch.no_grad()
    def start_from_atoms(self, energies: Tensor) -> None:
        """See `ForceModel.start_from_atoms`."""
        self.network.type_energies.copy_(energies)

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
        coordinates, network = _coordinates(graph), self.network
        types = self.contacts.distances.shape[1]
        self.contacts.take(
            shortest_distances(graph, coordinates.distances.detach(), types) if closest is None else closest
        )
        network.measure(graph, coordinates.vectors, *self._softened(graph, coordinates))
        if graph.forces is not None:
            known = ~graph.forces.isnan()[:, 0]
            self.contacts.take_strength(graph.forces[known])
            network.energy_scale.zero_()
            self.fit_classical(graph, worth=NEARLY_CLASSICAL)
            without = self(graph)
            network.energy_scale.fill_(1.0)
            size = (self(graph).forces - without.forces).square().mean().sqrt()
            left = (graph.forces - without.forces)[known].square().mean().sqrt()
            if size > 0:  # atoms without neighbors exert no forces
                network.energy_scale.copy_(left / size)
            if graph.energies is not None and not graph.energies.isnan().all():
                # not with the network, whose energies are random yet: of a type that is rare in every frame the
                # correction would be many times as large as they
                network.correct_type_energies(graph, graph.energies - without.energies)
                network.center_energies(graph, self._bare_energies(graph))
        self.train(training)

    @torch.no_grad()
    def adapt(self, sample: AtomicGraph, closest: Tensor, *, same_types: bool) -> None:
        """See `ForceModel.adapt`.

        Contact distances become those of ``closest`` (or stay, where they are shorter and of the same types), so that
        the repulsion is zero in the new data; pair and angle potentials correct what the model leaves of the forces;
        energies of types are corrected by the frames, where they have energies, because these have another zero. The
        network's energies are not bounded, and grades not known, until `learn_range`.
        """
        self.network.floor.remove()
        self.network.surroundings.remove()
        known = self.contacts.distances.clone()
        self.contacts.take(closest)
        if same_types:
            self.contacts.distances.copy_(torch.minimum(known, self.contacts.distances))
        training = self.training
        self.eval()
        if sample.forces is not None:
            self.fit_classical(sample)
        if sample.energies is not None:
            self.network.correct_type_energies(sample, sample.energies - self(sample).energies)
        self.train(training)

    @torch.no_grad()
    def match_energies(self, sample: AtomicGraph) -> None:
        """See `ForceModel.match_energies`: energies of types are corrected by least squares."""
        if sample.energies is not None:
            self.network.correct_type_energies(sample, sample.energies - self(sample).energies)

    @torch.no_grad()
    def lone_pair_energies(self, sample: AtomicGraph) -> Callable[[int], Tensor] | None:
        """See `ForceModel.lone_pair_energies`: there are some if what is fitted leaves few of the forces in the data.

        In a liquid the network corrects what potentials leave, and nothing there says what it makes of two atoms alone.
        """
        if sample.forces is None or not len(sample.half_edges.center):
            return None
        known = ~sample.forces.isnan()[:, 0]
        left = (sample.forces - self.fixed_part(sample).forces)[known]
        if not left.norm() < NEARLY_CLASSICAL * sample.forces[known].norm():
            return None
        pairs = LonePairs.of(sample, self.contacts.of_edges(sample), self.cutoff)

        def energies(seed: int) -> Tensor:
            weight = weight_of(self)
            graph = pairs.at_random(seed).to(weight.device, weight.dtype)
            return pairs.beside_apart(graph.sum_per_graph(self._of_atoms(graph)[0]))

        return energies

    @torch.no_grad()
    def learn_range(self, graphs: Iterable[AtomicGraph]) -> None:
        """See `ForceModel.learn_range`: the network gets its `EnergyFloor` and `Surroundings`."""
        found = [(*self._of_atoms(graph), graph.type_index) for graph in graphs]
        self.network.floor.take((energies, types) for energies, _, types in found)
        self.network.surroundings.take((activations, types) for _, activations, types in found)

    @torch.no_grad()
    def _bare_energies(self, graph: AtomicGraph) -> Tensor:
        return self._of_atoms(graph)[0]

    def _of_atoms(self, graph: AtomicGraph) -> tuple[Tensor, Tensor]:
        """See `DensityNetwork.bare_energies`."""
        coordinates = _coordinates(graph)
        return self.network.bare_energies(graph, coordinates.vectors.detach(), *self._softened(graph, coordinates))

    def long_range_part(
        self, atoms: AtomicGraph, positions: NDArray[np.float64], cell: NDArray[np.float64]
    ) -> Prediction | None:
        """See `ForceModel.long_range_part`."""
        if self.electrostatics is None or self.settings.electrostatics == "learned":
            return None
        cells = torch.from_numpy(cell[None] if atoms.periodic.any() else np.eye(3)[None]).to(atoms.charges.device)
        inverse = torch.linalg.inv(cells[0])
        scaled = torch.from_numpy(positions).to(cells) @ inverse
        scaled = scaled - torch.floor(scaled) * atoms.periodic[0]  # small numbers keep their digits in float32
        dtype = atoms.charges.dtype
        scaled, cells = scaled.to(dtype).requires_grad_(), cells.to(dtype).requires_grad_()
        with torch.enable_grad():
            energies = self.electrostatics.long_range_energies(scaled, cells, atoms.charges, atoms)
            by_scaled, by_cell = torch.autograd.grad(energies.sum(), (scaled, cells), allow_unused=True)
        forces = -by_scaled @ inverse.to(dtype).T
        virials = torch.zeros_like(cells) if by_cell is None else -cells.detach().transpose(1, 2) @ by_cell
        return Prediction(forces, energies.detach(), virials)

    @torch.no_grad()
    def fit_classical(self, graph: AtomicGraph, *, worth: float = 1.0) -> None:
        """Fit pair and angle potentials to what the model leaves of the forces (and virials) of some frames.

        There are none where they leave more than the share ``worth`` of that in forces kept back.
        """
        assert graph.forces is not None
        found = self(graph)
        virials = None if graph.virials is None else graph.virials - found.virials
        inputs, distances = self.network.inputs(graph), self._softened(graph, _coordinates(graph))
        missing = graph.forces - found.forces
        fit_classical(self.fitted_pairs, self.angles, graph, inputs, distances, missing, virials, worth=worth)

    def _softened(self, graph: AtomicGraph, coordinates: _Coordinates) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return softened(coordinates.distances, self.contacts.of_edges(graph))

    def _fixed_part(self, graph: AtomicGraph, coordinates: _Coordinates) -> Prediction:
        energies = self._fixed_energies(graph, coordinates)
        slopes = _derivatives(energies, coordinates, create_graph=False)
        return _prediction(graph, coordinates, energies.detach(), slopes)

    def _fixed_energies(self, graph: AtomicGraph, coordinates: _Coordinates) -> Tensor:
        """Energies of each graph that depend on no parameter, kcal/mol, (B,)."""
        contact = self.contacts.of_edges(graph)
        soft, _ = softened(coordinates.distances, contact)
        inputs = self.network.inputs(graph)
        kinds = PairKinds.of(graph, inputs)
        pairs = self.contacts.pair_energies(coordinates.distances, contact)
        for term in self.each_pair_term():
            pairs = pairs + term.energies(soft, kinds)
        energies = _per_graph(pairs, graph) + self.angles.energies(graph, inputs, coordinates.vectors)
        if self.electrostatics is not None and self.settings.electrostatics != "learned":
            energies = energies + self._coulomb(graph, coordinates, soft, graph.charges)
        return energies

    def _learned_energies(
        self, graph: AtomicGraph, coordinates: _Coordinates
    ) -> tuple[Tensor, Tensor | None, Geometries]:
        """Energies of each graph that depend on parameters, kcal/mol, (B,), grades, and what densities were made of."""
        soft, soft_slope = softened(coordinates.distances, self.contacts.of_edges(graph))
        energies, charges, grades, geometries = self.network(
            graph, coordinates.vectors, soft.detach(), soft_slope.detach()
        )
        if self.settings.electrostatics == "learned":
            energies = energies + self._coulomb(graph, coordinates, soft, charges)
        return energies, grades, geometries

    def _coulomb(self, graph: AtomicGraph, coordinates: _Coordinates, soft: Tensor, charges: Tensor) -> Tensor:
        """Coulomb energy of each graph, kcal/mol, (B,)."""
        assert self.electrostatics is not None
        center, neighbor, _, bond_kind = graph.half_edges
        product = charges.index_select(0, center) * charges.index_select(0, neighbor)
        special = graph.special_coul.index_select(0, graph.graph_of_half_edge)
        pairs = self.electrostatics.pair_energies(coordinates.distances, soft, product, bond_kind, special)
        energies = _per_graph(pairs, graph)
        if graph.owned is not None:
            return energies
        return energies + self.electrostatics.long_range_energies(coordinates.scaled, coordinates.cells, charges, graph)


def _per_graph(pairs: Tensor, graph: AtomicGraph) -> Tensor:
    """Sum over the half edges of each graph, those to atoms of another domain counted by half, (B,)."""
    if graph.owned is not None:
        center, neighbor, _, _ = graph.half_edges
        share = 0.5 * graph.owned.to(pairs.dtype)
        pairs = pairs * (share.index_select(0, center) + share.index_select(0, neighbor))
    return graph.sum_pairs_per_graph(pairs)


def _coordinates(graph: AtomicGraph) -> _Coordinates:
    # positions may have more digits than the model computes with
    vectors = graph.half_edge_vectors().detach().to(graph.charges.dtype)
    distances = vectors.norm(dim=1)
    empty = ~graph.periodic.any(1)[:, None, None]
    cells = torch.where(empty, torch.eye(3).to(graph.cells), graph.cells.detach())
    inverse = torch.linalg.inv(cells).index_select(0, graph.graph_index)  # (N, 3, 3)
    scaled = torch.einsum("na,nab->nb", graph.positions.detach(), inverse)
    images = torch.floor(scaled) * graph.periodic.index_select(0, graph.graph_index)
    scaled = scaled - images  # small numbers keep their digits in float32
    variables = (vectors, distances, scaled, cells)
    return _Coordinates(*(value.to(vectors.dtype).requires_grad_() for value in variables))


def _derivatives(energies: Tensor, coordinates: _Coordinates, *, create_graph: bool) -> list[Tensor | None]:
    """Differentiate the energies by the four variables; None where one does not matter."""
    if not energies.requires_grad:
        return [None] * 4
    return list(
        torch.autograd.grad(energies.sum(), coordinates.variables, create_graph=create_graph, allow_unused=True)
    )


def _by_vector(coordinates: _Coordinates, by_vector: Tensor | None, by_distance: Tensor | None) -> Tensor:
    """Put the derivatives by vectors and distances of the half edges together, (E/2, 3)."""
    vectors, distances = coordinates.vectors.detach(), coordinates.distances.detach()
    total = torch.zeros_like(vectors) if by_vector is None else by_vector
    return total if by_distance is None else total + (by_distance / distances)[:, None] * vectors


def _prediction(
    graph: AtomicGraph, coordinates: _Coordinates, energies: Tensor, derivatives: list[Tensor | None]
) -> Prediction:
    """Put forces and virials together from the derivatives by the four variables."""
    by_vector, by_distance, by_scaled, by_cell = derivatives
    vectors, by_edge = coordinates.vectors.detach(), _by_vector(coordinates, by_vector, by_distance)
    forces = graph.sum_pair_forces(by_edge)
    if graph.graph_count == 1:
        virials = -(vectors.transpose(0, 1) @ by_edge)[None]
    else:
        virials = graph.sum_pairs_per_graph(-vectors[:, :, None] * by_edge[:, None, :])
    if by_scaled is not None and by_cell is not None:
        cells = coordinates.cells.detach()
        inverse = torch.linalg.inv(cells).index_select(0, graph.graph_index)  # (N, 3, 3)
        forces = forces - torch.einsum("nb,nab->na", by_scaled, inverse)
        virials = virials - cells.transpose(1, 2) @ by_cell
    return Prediction(forces, energies, virials)
