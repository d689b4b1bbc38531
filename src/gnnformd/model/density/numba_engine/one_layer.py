"""CompiledDensity: a density model as compiled loops, for one system whose atoms move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.bonds import BOND_KINDS
from gnnformd.model.density.electrostatics import SWITCH
from gnnformd.model.density.kernels.atom_network import ATOMS, network_alone
from gnnformd.model.density.kernels.neighbor_lists import NEIGHBOR_BITS, sort_into_slots
from gnnformd.model.density.kernels.one_layer import evaluate
from gnnformd.model.density.model import MOST_KINDS, DensityModel
from gnnformd.model.density.numba_engine.packed_weights import energies_of_kinds, packed_mixing, packed_network
from gnnformd.model.density.numba_engine.pair_tables import pair_tables, smooth_table, step_of
from gnnformd.model.threads import in_parts
from gnnformd.units import COULOMB

__all__ = ["CompiledDensity", "LocalPrediction", "add_parts", "symmetric"]

Array = NDArray[Any]


@dataclass(frozen=True)
class LocalPrediction:
    """What the compiled loops say.

    Attributes
    ----------
    energies
        Of the centers, without long-range electrostatics, kcal/mol, (N,).
    forces
        On centers and other atoms, kcal/mol/angstrom, (M, 3).
    virial
        ``sum r f`` over edges, kcal/mol, (3, 3).
    nearest
        The pair that is closest in contact distances, if it is closer than one: its two atoms, distance and contact
        distance, angstrom.
    """

    energies: Array
    forces: Array
    virial: Array
    nearest: tuple[int, int, float, float] | None


class CompiledDensity:
    """Energy and forces of a one-layer density model without its long-range electrostatics.

    Equal to `DensityModel` to rounding: radial functions are computed, not tabulated. Tables hold ``erf(a r)/r``, exact
    to 1e-11 / angstrom, and the fitted pair potentials, whose sums lose digits in float32.

    Parameters
    ----------
    model
        On a processor; its floating-point type is the one computed in.
    atoms
        Gives type, charge, epsilon and sigma of each atom, and the weights of ``special_coul``; its edges and
        positions are not looked at. Atoms that are equal in all of these are of one kind.

    Raises
    ------
    ValueError
        There are more kinds of atoms than weights are packed for .
    """

    def __init__(self, model: DensityModel, atoms: AtomicGraph) -> None:
        self._settings, self._cutoff = model.settings, model.cutoff
        kinds, of_atom = (t.numpy() for t in torch.unique(atoms.physical_kinds, dim=0, return_inverse=True))
        if len(kinds) > MOST_KINDS:
            raise ValueError(f"{len(kinds)} kinds of atoms")
        self._kinds, self._properties = len(kinds), kinds
        self._kind_of_center = np.zeros(0, np.int64)
        first = [int(np.flatnonzero(of_atom == k)[0]) for k in range(len(kinds))]
        self._inputs = model.network.inputs(atoms)[first].detach().double()  # (kinds, P)
        self._types = kinds[:, 0].astype(np.int64)
        self._energies = energies_of_kinds(model, self._inputs, self._types)
        self._model = model
        self._constants, self._pairs = self._pair_constants(kinds, atoms.special_coul[0].double().numpy())
        self._slots: Array | None = None
        self._blocks: tuple[Array, ...] = ()
        self._lists: tuple[Array, Array] = (np.zeros((0, 1), np.int64), np.zeros(0, np.int64))

    def kinds_of(self, atoms: AtomicGraph) -> Array | None:
        """Kind of each atom, (N,), or None if one is of a kind that was not among the atoms given at first."""
        properties = atoms.physical_kinds.numpy()
        same = (properties[:, None] == self._properties).all(axis=2)  # (N, kinds)
        return same.argmax(axis=1) if same.any(axis=1).all() else None

    def set_neighbors(
        self, start: Array, neighbor: Array, kind: Array, source: Array | None = None, own: int | None = None
    ) -> None:
        """Take a neighbor list, which serves as long as no pair outside it comes within the cutoff.

        Parameters
        ----------
        start
            Center i has entries ``start[i]`` to ``start[i + 1]``, (N + 1,).
        neighbor
            Every neighbor of every center, with the kind of bond in bits 30 and 31 as LAMMPS has it, (E,).
        kind
            Of each atom (see `kinds_of`), centers first, (M,).
        source
            The center that an atom is or is an image of, (M,); None if each is itself. Only models of several layers
            look at it.
        own
            Energies of the first so many centers are asked for; others are centers for what they send to these. None:
            of all.
        """
        used = np.zeros((self._kinds, BOND_KINDS, self._kinds), bool)
        self._lists = sort_into_slots(start, neighbor.astype(np.int64), kind, used)
        centers = len(start) - 1
        self._own = centers if own is None else own
        self._source = np.arange(len(kind)) if source is None else source
        depth = np.zeros(centers, np.int64)
        if self._own < centers:
            depth = _depths(start, neighbor & NEIGHBOR_BITS, self._own, self._model.layers)
        self._kind_of_center = kind[: self._own]
        self._blocks = _blocks(kind[:centers], depth, self._model.layers)
        if self._slots is None or (used & ~self._slots).any():
            self._slots = used if self._slots is None else used | self._slots
            tables = pair_tables(self._model, self._inputs, self._slots)
            self._potentials = (*tables, *self._energies)
            self._pack(self._slots)

    def _pack(self, used: Array) -> None:
        """Lay out weights for slots of which some are used."""
        self._layout, self._mixing = packed_mixing(self._model, self._inputs, used)
        self._network = packed_network(self._model, self._inputs)

    def evaluate(self, positions: Array) -> LocalPrediction:
        """Evaluate at positions of all atoms, angstrom, (M, 3) float64, centers first."""
        order, start, kinds, _ = self._blocks
        energies = np.zeros(len(positions))

        def work(_: int, blocks: tuple[int, int]) -> tuple[Array, Array, Array]:
            forces, virial, nearest = np.zeros((len(positions), 3)), np.zeros(6), np.array([1.0, 0.0, 0.0])
            evaluate(
                (order, start, kinds, blocks),
                positions,
                self._lists,
                self._constants,
                self._pairs,
                self._potentials,
                self._layout,
                self._mixing,
                self._network,
                (energies, forces, virial, nearest),
            )
            return forces, virial, nearest

        forces, virial, nearest = add_parts(in_parts(work, len(kinds)))
        return self._prediction(positions, energies, forces, virial, nearest)

    def _prediction(
        self, positions: Array, energies: Array, forces: Array, virial: Array, nearest: Array
    ) -> LocalPrediction:
        own = energies[: self._own]
        return LocalPrediction(own, forces, symmetric(virial), self._nearest(positions, *nearest.tolist()))

    @property
    def network_alone(self) -> Callable[[], None] | None:
        """What does the work on each atom between its densities and their derivatives, for its time to be taken."""
        kinds = self._blocks[2]

        def work() -> None:
            parts = len(kinds)
            in_parts(lambda _, blocks: network_alone(kinds, blocks, self._layout, self._mixing, self._network), parts)

        return work

    def _nearest(
        self, positions: Array, share: float, one: float, other: float
    ) -> tuple[int, int, float, float] | None:
        if share >= 1.0:
            return None
        distance = float(np.linalg.norm(positions[int(one)] - positions[int(other)]))
        contact = distance / share if share > 0.0 else float(self._constants[2].min())  # atoms on top of each other
        return int(one), int(other), distance, contact

    def operations_per_atom(self, edges_per_atom: float) -> float:
        """Floating-point operations of an evaluation for each center, fillings of vectors left out.

        With K radial functions, L harmonics, I densities of one degree, F features and width W: for each edge 8 K for
        the functions, 2 L K for the densities and 4 L K for their gradient; for each center, there and back,
        ``4 (M I F + D F W + W^2)`` with M components of mixtures (17 for degrees up to 2, 7, or 1) and D = 3, 2 or 1
        degrees; products of mixed densities are left out.
        """
        settings = self._settings
        k, f, w = settings.radial_functions, settings.features, settings.width
        degrees = self._layout[5] + 1
        inner = float(self._layout[0].sum(axis=1)[self._kind_of_center].mean())
        components = (1, 7, 17)[degrees - 1]
        per_edge, per_center = (8 + 6 * degrees**2) * k, 4 * (components * inner * f + degrees * f * w + w * w)
        return float(edges_per_atom * per_edge + per_center)

    def _pair_constants(self, kinds: Array, special: Array) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        """Charge product, weight and contact distance of each slot (kind of bond, kind of neighbor).

        Charges that are learned are not known here: none.
        """
        model, count = self._model, self._kinds
        shape = (count, BOND_KINDS, count)
        charges = kinds[:, 1] if model.settings.electrostatics == "fixed" else np.zeros(count)
        charge = np.broadcast_to(COULOMB * (charges[:, None] * charges)[:, None], shape)
        weight = np.broadcast_to(np.concatenate([[1.0], special])[:, None], shape)
        distances = model.contacts.distances.double().numpy()
        contact = distances[:, self._types[:, None], self._types].transpose(1, 0, 2)
        flat = (np.ascontiguousarray(a, dtype=np.float64).reshape(count, -1) for a in (charge, weight, contact))
        pairs = (model.contacts.strength, self._cutoff, SWITCH, step_of(model), smooth_table(model))
        return tuple(flat), pairs


def symmetric(virial: Array) -> Array:
    """Tensor (3, 3) of ``xx, yy, zz, xy, xz, yz``."""
    xx, yy, zz, xy, xz, yz = virial
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def add_parts(parts: list[tuple[Array, ...]]) -> tuple[Array, ...]:
    """Add up forces and virials of all parts, and what follows; of their nearest pairs take the closest."""
    if len(parts) == 1:
        return parts[0]
    forces, virial, nearest, *others = zip(*parts, strict=True)
    closest = np.array(min(part.tolist() for part in nearest))
    return np.sum(forces, axis=0), np.sum(virial, axis=0), closest, *(np.sum(other, axis=0) for other in others)


def _depths(start: Array, neighbor: Array, own: int, layers: int) -> Array:
    """Count the steps from neighbor to neighbor to the first ``own`` centers, (N,); ``layers`` if as many or more."""
    depth = np.full(len(start) - 1, layers)
    depth[:own] = 0
    for steps in range(1, layers):
        near = neighbor[np.repeat(depth == steps - 1, np.diff(start))]
        depth[near] = np.minimum(depth[near], steps)
    return depth


def _blocks(kind: Array, depth: Array, layers: int) -> tuple[Array, Array, Array, Array]:
    """Centers in the order of blocks, where these start, and kind and depth of each; those too deep are left out."""
    order = np.lexsort((kind, depth))
    order = order[: np.count_nonzero(depth < layers)]
    group = depth[order] * MOST_KINDS + kind[order]
    start, groups = [0], []
    for which, count in zip(*np.unique(group, return_counts=True), strict=True):
        for begin in range(0, count, ATOMS):
            start.append(start[-1] + min(ATOMS, count - begin))
            groups.append(which)
    found = np.array(groups, np.int64)
    return order, np.array(start), found % MOST_KINDS, found // MOST_KINDS
