"""LearnedCharges: a density model with learned charges by compiled loops, for one system whose atoms move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.kernels.coulomb_pairs import close_charges
from gnnformd.model.density.kernels.structures import (
    ATOMS,
    CoulombParameters,
    CoulombResults,
    Doubles,
    Forces,
    PointCharges,
)
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.coulomb_system import CoulombSystem
from gnnformd.model.density.numba_engine.many_layers import ManyLayers
from gnnformd.model.density.numba_engine.results import LocalPrediction, symmetric
from gnnformd.model.engine import OtherDomains
from gnnformd.model.threads import in_parts
from gnnformd.units import COULOMB

__all__ = ["LearnedCharges", "coulomb_of"]

Array = NDArray[Any]
ClosePairs = tuple[Array, Array, Array]


@dataclass(frozen=True)
class Coulomb:
    """Coulomb energy of the charges of N centers, whatever part of the system they are, and its derivatives.

    Attributes
    ----------
    energies
        ``q_i phi_i / 2``, kcal/mol, (N,).
    slopes
        Derivatives of the energy of the system by what the network gives for each atom, kcal/mol/e, (N,).
    forces
        kcal/mol/angstrom, (N, 3), at constant charges.
    virial
        kcal/mol, (3, 3); of the long-range part, what this part of the system counts.
    """

    energies: Array
    slopes: Array
    forces: Array
    virial: Array


def coulomb_of(
    of_data: Array, change: Array, system: CoulombSystem, close_pairs: Callable[[Array], ClosePairs]
) -> Coulomb:
    """Make charges of what the network gives, such that the total stays, and evaluate their Coulomb energy.

    ``q_i = q_data,i + c_i - <c>``, so that ``dE/dc_i = phi_i - <phi>`` with means over all atoms of the system.

    Parameters
    ----------
    of_data, change
        Charges of the data and what the network gives, c, e, (N,).
    system
        All atoms.
    close_pairs
        Potentials (N,), forces (N, 3) and virial (3, 3) of pairs within the cutoff, for charges of centers and ghosts.
    """
    sum_of_changes, atoms = system.total(np.array([change.sum(), len(change)])).tolist()
    charges = of_data + change - sum_of_changes / atoms
    far = system.long_range(charges)
    potentials, forces, virial = close_pairs(system.with_ghosts(charges))
    potentials = potentials + far.potentials
    (sum_of_potentials,) = system.total(np.array([potentials.sum()])).tolist()
    return Coulomb(
        0.5 * charges * potentials, potentials - sum_of_potentials / atoms, forces + far.forces, virial + far.virial
    )


class LearnedCharges(ManyLayers):
    """Energy and forces of a density model of any number of layers with learned charges, all electrostatics included.

    The charges of all atoms come out of the last layer, their Coulomb energy makes a potential at each atom, and that
    goes back through the layers with the gradient of everything else. Of a domain, charges of ghosts come from those
    that own the atoms (`gnnformd.model.density.numba_engine.coulomb_system.CoulombSystem`).
    """

    def __init__(self, model: DensityModel, atoms: AtomicGraph, others: OtherDomains | None = None) -> None:
        super().__init__(model, atoms, others)
        assert model.network.charges is not None and model.electrostatics is not None
        self._from_scalars = model.network.charges.weight[0].detach().double().numpy()  # (W,)
        self._splitting = model.electrostatics.splitting

    def evaluate(self, positions: Doubles, coulomb: CoulombSystem | None = None) -> LocalPrediction:
        """See `gnnformd.model.density.numba_engine.one_layer.OneLayer.evaluate`.

        Returns
        -------
        LocalPrediction
            Of the whole model; the Coulomb energy is shared among the atoms by ``q_i phi_i / 2``.
        """
        if coulomb is None:
            raise ValueError("learned charges need a long-range sum")
        state = self._forwards(positions)
        order, rows = self._own_rows()
        width, every = len(self._from_scalars), len(state.on_scalars) * ATOMS
        change = np.empty(self._own)
        change[order] = state.scalars[-1].reshape(every, -1)[rows, :width] @ self._from_scalars
        of_data = self._properties[self._species_of_center, 1]
        found = coulomb_of(of_data, change, coulomb, lambda charges: self._close(positions, charges))
        state.on_scalars.reshape(every, -1)[rows, :width] = found.slopes[order, None] * self._from_scalars
        others = self._backwards(positions, state)
        others.forces[: self._own] += found.forces
        return LocalPrediction(
            others.energies + found.energies,
            others.forces,
            others.virial + found.virial,
            others.nearest,
            others.grades,
        )

    def _own_rows(self) -> tuple[Array, Array]:
        """Own centers in the order of the blocks, and the row of each among the rows of all blocks, (N,)."""
        start = self._lists.blocks.start
        sizes = np.diff(start)
        rows: Array = np.repeat(np.arange(len(sizes)) * ATOMS - start[:-1], sizes) + np.arange(start[-1])
        return self._lists.blocks.order[: self._own], rows[: self._own]  # deeper centers come last

    def _close(self, positions: Doubles, charges: Array) -> ClosePairs:
        """Potentials (N,), forces (N, 3) and virial (3, 3) of own centers and all within the cutoff; charges (M,)."""
        points, pairs = PointCharges(positions, charges), self._pairs
        parameters = CoulombParameters(
            pairs.weight, pairs.contact, COULOMB, pairs.cutoff, pairs.switch, self._splitting
        )
        potentials, forces = np.zeros(self._own), np.zeros((self._own, 3))

        def work(_: int, centers: tuple[int, int]) -> Array:
            results = CoulombResults(potentials, Forces(forces, np.zeros(6)))
            close_charges(centers, self._species_of_center, points, self._lists, parameters, results)
            return results.sums.virial

        return potentials, forces, symmetric(np.sum(in_parts(work, self._own), axis=0))
