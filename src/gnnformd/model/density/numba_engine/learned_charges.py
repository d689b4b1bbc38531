"""LearnedCharges: a density model with learned charges by compiled loops, for one system whose atoms move."""

from __future__ import annotations

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
from gnnformd.model.density.numba_engine.many_layers import ManyLayers
from gnnformd.model.density.numba_engine.results import LocalPrediction, LongRangeOf, symmetric
from gnnformd.model.threads import in_parts
from gnnformd.units import COULOMB

__all__ = ["LearnedCharges"]

Array = NDArray[Any]


class LearnedCharges(ManyLayers):
    """Energy and forces of a density model of any number of layers with learned charges, all electrostatics included.

    The charges of all atoms come out of the last layer, their Coulomb energy makes a potential at each atom, and that
    goes back through the layers with the gradient of everything else. All atoms have to be centers.
    """

    def __init__(self, model: DensityModel, atoms: AtomicGraph) -> None:
        super().__init__(model, atoms)
        assert model.network.charges is not None and model.electrostatics is not None
        self._of_data = atoms.charges.double().numpy()
        self._from_scalars = model.network.charges.weight[0].detach().double().numpy()  # (W,)
        self._splitting = model.electrostatics.splitting

    def evaluate(self, positions: Doubles, long_range: LongRangeOf | None = None) -> LocalPrediction:
        """See `gnnformd.model.density.numba_engine.one_layer.OneLayer.evaluate`.

        Returns
        -------
        LocalPrediction
            Of the whole model; the Coulomb energy is shared among the atoms by ``q_i phi_i / 2``.
        """
        if long_range is None:
            raise ValueError("learned charges need a long-range sum")
        state = self._forwards(positions)
        rows = self._rows()
        order, width = self._lists.blocks.order, len(self._from_scalars)
        change = np.empty(len(order))
        change[order] = state.scalars[-1].reshape(len(state.on_scalars) * ATOMS, -1)[rows, :width] @ self._from_scalars
        charges = self._of_data + change - change.mean()  # the total charge stays the same
        far = long_range(charges)
        potentials, forces, virial = self._close(positions, charges)
        potentials += far.potentials
        slopes = (potentials - potentials.mean())[order]
        state.on_scalars.reshape(len(state.on_scalars) * ATOMS, -1)[rows, :width] = slopes[:, None] * self._from_scalars
        found = self._backwards(positions, state)
        found.forces[: len(charges)] += forces + far.forces
        energies = found.energies + 0.5 * charges * potentials
        return LocalPrediction(energies, found.forces, found.virial + virial + far.virial, found.nearest)

    def _rows(self) -> Array:
        """Row of each center, in the order of the blocks, among the rows of all blocks, (N,)."""
        start = self._lists.blocks.start
        sizes = np.diff(start)
        rows: Array = np.repeat(np.arange(len(sizes)) * ATOMS - start[:-1], sizes) + np.arange(start[-1])
        return rows

    def _close(self, positions: Doubles, charges: Array) -> tuple[Array, Array, Array]:
        """Potentials (N,), forces (N, 3) and virial (3, 3) of pairs within the cutoff."""
        points, pairs = PointCharges(positions, charges[self._source]), self._pairs
        parameters = CoulombParameters(
            pairs.weight, pairs.contact, COULOMB, pairs.cutoff, pairs.switch, self._splitting
        )
        potentials, forces = np.zeros(len(charges)), np.zeros((len(charges), 3))

        def work(_: int, centers: tuple[int, int]) -> Array:
            results = CoulombResults(potentials, Forces(forces, np.zeros(6)))
            close_charges(centers, self._species_of_center, points, self._lists, parameters, results)
            return results.sums.virial

        return potentials, forces, symmetric(np.sum(in_parts(work, len(charges)), axis=0))
