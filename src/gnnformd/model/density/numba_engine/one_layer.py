"""OneLayer: a density model of one layer by compiled loops, for one system whose atoms move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.bonds import BOND_KINDS
from gnnformd.model.density.electrostatics import SWITCH
from gnnformd.model.density.kernels.energy_network import network_alone
from gnnformd.model.density.kernels.neighbor_lists import sort_by_group
from gnnformd.model.density.kernels.one_layer import evaluate
from gnnformd.model.density.kernels.structures import (
    ATOMS,
    Blocks,
    Doubles,
    EnergyTerms,
    Forces,
    Indices,
    Layer,
    Layout,
    NeighborLists,
    NetworkWeights,
    PairParameters,
    Results,
)
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.coulomb_system import CoulombSystem
from gnnformd.model.density.numba_engine.packed_weights import energies_of_species, packed_mixing, packed_network
from gnnformd.model.density.numba_engine.pair_tables import pair_tables, smooth_table, step_of
from gnnformd.model.density.numba_engine.results import LocalPrediction, add_parts, symmetric
from gnnformd.model.engine import NEIGHBOR_BITS
from gnnformd.model.threads import in_parts
from gnnformd.units import COULOMB

__all__ = ["OneLayer"]

Array = NDArray[Any]
MAX_SPECIES = 16  # weights are packed for each


class OneLayer:
    """Energy and forces of a one-layer density model without its long-range electrostatics.

    Equal to `DensityModel` to rounding: radial functions are computed, not tabulated. Tables hold ``erf(a r)/r``, exact
    to 1e-11 / angstrom, and the fitted pair potentials, whose sums lose digits in float32.

    Parameters
    ----------
    model
        On a processor; its floating-point type is the one computed in.
    atoms
        Gives type, charge, epsilon and sigma of each atom, and the weights of ``special_coul``; its edges and
        positions are not used. Atoms that are equal in all of these that the model uses are of one species.

    Raises
    ------
    ValueError
        There are more species than weights are packed for.
    """

    def __init__(self, model: DensityModel, atoms: AtomicGraph) -> None:
        self._settings, self._cutoff = model.settings, model.cutoff
        self._graded = model.network.surroundings.known
        kinds = model.kinds_of_atoms(atoms)
        properties, of_atom = (t.numpy() for t in torch.unique(kinds, dim=0, return_inverse=True))
        if len(properties) > MAX_SPECIES:
            raise ValueError(f"{len(properties)} species of atoms")
        self._species, self._properties = len(properties), properties
        self._species_of_center: Indices = np.zeros(0, np.int64)
        first = [int(np.flatnonzero(of_atom == s)[0]) for s in range(len(properties))]
        self._inputs = model.network.inputs(atoms)[first].detach().double()  # (S, P)
        self._types = properties[:, 0].astype(np.int64)
        self._model = model
        self._pairs = self._pair_parameters(properties, atoms.special_coul[0].double().numpy())
        self._used: NDArray[np.bool_] | None = None
        none = np.zeros(0, np.int64)
        self._lists = NeighborLists(np.zeros((0, 1), np.int64), none, Blocks(none, np.zeros(1, np.int64), none, none))

    def species_of(self, atoms: AtomicGraph) -> Array | None:
        """Species of each atom, (N,), or None if one is of a species that was not among the atoms given at first."""
        properties = self._model.kinds_of_atoms(atoms).numpy()
        columns = zip(properties.T, self._properties.T, strict=True)
        same = np.logical_and.reduce([column[:, None] == known for column, known in columns])  # (N, S)
        return same.argmax(axis=1) if same.any(axis=1).all() else None

    def set_neighbors(
        self, start: Indices, neighbor: Indices, species: Indices, source: Indices | None = None, own: int | None = None
    ) -> None:
        """Take a neighbor list, which holds as long as no pair outside it comes within the cutoff.

        Parameters
        ----------
        start
            Center i has entries ``start[i]`` to ``start[i + 1]``, (N + 1,).
        neighbor
            Every neighbor of every center, with the bond kind in bits 30 and 31 as in LAMMPS, (E,).
        species
            Of each atom (see `species_of`), centers first, (M,).
        source
            The center that an atom is or is an image of, (M,); None if each is itself. Used by models of several
            layers only.
        own
            Energies of the first so many centers are asked for; others are centers for what they send to these. None:
            of all.
        """
        used = np.zeros((self._species, BOND_KINDS, self._species), bool)
        bounds, candidates = sort_by_group(start, neighbor.astype(np.int64), species, used)
        centers = len(start) - 1
        self._own = centers if own is None else own
        self._source: Indices = np.arange(len(species)) if source is None else source
        depth: Indices = np.zeros(centers, np.int64)
        if self._own < centers:
            depth = _depths(start, neighbor & NEIGHBOR_BITS, self._own, self._model.layers)
        self._species_of_center = species[: self._own]
        self._lists = NeighborLists(bounds, candidates, _blocks(species[:centers], depth, self._model.layers))
        if self._used is None or (used & ~self._used).any():
            self._used = used if self._used is None else used | self._used
            tables = pair_tables(self._model, self._inputs, self._used)
            self._terms = EnergyTerms(self._pairs, tables, *energies_of_species(self._model, self._inputs, self._types))
            self._pack(self._used)

    def _pack(self, used: NDArray[np.bool_]) -> None:
        """Lay out weights for groups of which some are used."""
        layout, mixing = packed_mixing(self._model, self._inputs, used)
        self._layer: Layer[NetworkWeights] = Layer(
            layout, mixing, packed_network(self._model, self._inputs, self._types)
        )

    def evaluate(self, positions: Doubles, coulomb: CoulombSystem | None = None) -> LocalPrediction:
        """Evaluate at positions of all atoms, angstrom, (M, 3), centers first.

        Parameters
        ----------
        positions
            Of all atoms, angstrom, (M, 3), centers first.
        coulomb
            Used where charges are learned, which have to know all of the Coulomb energy.
        """
        energies, grades = np.zeros(len(positions)), self._fresh_grades()

        def work(_: int, blocks: tuple[int, int]) -> tuple[Array, Array, Array]:
            sums, nearest = Forces(np.zeros((len(positions), 3)), np.zeros(6)), np.array([1.0, 0.0, 0.0])
            results = Results(energies, sums, nearest, grades)
            evaluate(blocks, positions, self._lists, self._terms, self._layer, results)
            return sums.forces, sums.virial, nearest

        forces, virial, nearest = add_parts(in_parts(work, len(self._lists.blocks.species)))
        return self._prediction(positions, energies, grades, (forces, virial, nearest))

    def _fresh_grades(self) -> Array:
        """Memory for the grades of all centers, of no numbers where they are not known."""
        return np.zeros(len(self._lists.bounds) if self._graded else 0)

    def _prediction(self, positions: Array, energies: Array, grades: Array, sums: tuple[Array, ...]) -> LocalPrediction:
        forces, virial, nearest = sums
        closest = self._nearest(positions, *nearest.tolist())
        known = grades[: self._own] if self._graded else None
        return LocalPrediction(energies[: self._own], forces, symmetric(virial), closest, known)

    @property
    def network_alone(self) -> Callable[[], None] | None:
        """The work on each atom between its densities and their derivatives, so that its time can be taken."""
        species = self._lists.blocks.species

        def work() -> None:
            in_parts(lambda _, blocks: network_alone(blocks, species, self._layer), len(species))

        return work

    def _nearest(
        self, positions: Array, share: float, one: float, other: float
    ) -> tuple[int, int, float, float] | None:
        if share >= 1.0:
            return None
        distance = float(np.linalg.norm(positions[int(one)] - positions[int(other)]))
        contact = distance / share if share > 0.0 else float(self._pairs.contact.min())  # two atoms at one position
        return int(one), int(other), distance, contact

    def operations_per_atom(self, edges_per_atom: float) -> float:
        """Floating-point operations of an evaluation for each center, fillings of vectors left out.

        With K radial functions, L harmonics, I densities of one degree, F features and width W: for each edge 8 K for
        the functions, 2 L K for the densities and 4 L K for their gradient; for each center, forwards and backwards,
        ``4 (M I F + D F W + W^2)`` with M components of mixtures (1, 7, 17, 31 or 49 for degrees up to 0, 1, ...) and
        D = 1, 2 or 3 degrees that the perceptron is given; products of mixed densities are left out.
        """
        settings = self._settings
        k, f, w = settings.radial_functions, settings.features, settings.width
        degrees = self._layer.layout.degree + 1
        inner = self._densities_per_center(self._layer.layout)
        components = (1, 7, 17, 31, 49)[degrees - 1]
        per_edge, per_center = (8 + 6 * degrees**2) * k, 4 * (components * inner * f + min(degrees, 3) * f * w + w * w)
        return float(edges_per_atom * per_edge + per_center)

    def _densities_per_center(self, layout: Layout) -> float:
        """Radial functions of all groups, for the mean center."""
        return float(layout.counts.sum(axis=1)[self._species_of_center].mean())

    def _pair_parameters(self, properties: Array, special: Array) -> PairParameters:
        """Parameters of the pairs; learned charges are not known here, so that they have no Coulomb energy."""
        model, count = self._model, self._species
        shape = (count, BOND_KINDS, count)
        charges = properties[:, 1] if model.settings.electrostatics == "fixed" else np.zeros(count)
        charge = np.broadcast_to(COULOMB * (charges[:, None] * charges)[:, None], shape)
        weight = np.broadcast_to(np.concatenate([[1.0], special])[:, None], shape)
        distances = model.contacts.distances.double().numpy()
        contact = distances[:, self._types[:, None], self._types].transpose(1, 0, 2)
        charge, weight, contact = (
            np.ascontiguousarray(a, dtype=np.float64).reshape(count, -1) for a in (charge, weight, contact)
        )
        strength = float(model.contacts.strength)
        return PairParameters(
            charge, weight, contact, strength, self._cutoff, SWITCH, step_of(model), smooth_table(model)
        )


def _depths(start: Indices, neighbor: Indices, own: int, layers: int) -> Indices:
    """Count the steps from neighbor to neighbor to the first ``own`` centers, (N,); ``layers`` if as many or more."""
    depth = np.full(len(start) - 1, layers)
    depth[:own] = 0
    for steps in range(1, layers):
        near = neighbor[np.repeat(depth == steps - 1, np.diff(start))]
        depth[near] = np.minimum(depth[near], steps)
    return depth


def _blocks(species: Indices, depth: Indices, layers: int) -> Blocks:
    """Centers in blocks of one species and depth; those that are too deep are left out."""
    order = np.lexsort((species, depth))
    order = order[: np.count_nonzero(depth < layers)]
    combined = depth[order] * MAX_SPECIES + species[order]
    start, blocks = [0], []
    for which, count in zip(*np.unique(combined, return_counts=True), strict=True):
        for begin in range(0, count, ATOMS):
            start.append(start[-1] + min(ATOMS, count - begin))
            blocks.append(which)
    found = np.array(blocks, np.int64)
    return Blocks(order, np.array(start), found % MAX_SPECIES, found // MAX_SPECIES)
