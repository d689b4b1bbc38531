"""CompiledCharges: a density model whose charges are learned as compiled loops, for one system whose atoms move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.electrostatics import SWITCH
from gnnformd.model.density.kernels.atom_network import ATOMS
from gnnformd.model.density.kernels.coulomb_pairs import close_charges
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.ewald import LongRange
from gnnformd.model.density.numba_engine.many_layers import CompiledLayers
from gnnformd.model.density.numba_engine.one_layer import CompiledDensity, LocalPrediction, symmetric
from gnnformd.model.threads import in_parts
from gnnformd.units import COULOMB

__all__ = ["CompiledCharges", "compile_density"]

Array = NDArray[Any]


def compile_density(model: DensityModel, atoms: AtomicGraph) -> CompiledDensity:
    """Compiled loops for a model and atoms that have some (see `one_layer.can_compile`)."""
    if model.settings.electrostatics == "learned":
        return CompiledCharges(model, atoms)
    return CompiledDensity(model, atoms) if model.layers == 1 else CompiledLayers(model, atoms)


class CompiledCharges(CompiledLayers):
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

    def evaluate_with(self, positions: Array, long_range: Callable[[Array], LongRange]) -> LocalPrediction:
        """Evaluate at positions of all atoms, angstrom, (M, 3) float64, centers first.

        Parameters
        ----------
        positions
            As for `gnnformd.model.density.numba_engine.one_layer.CompiledDensity.evaluate`.
        long_range
            Evaluates the long-range part of the Coulomb energy for charges of the centers, e, (N,).

        Returns
        -------
        LocalPrediction
            Of the whole model; the Coulomb energy is shared among the atoms by ``q_i phi_i / 2``.
        """
        state = self._forwards(positions)
        rows = self._rows()
        order, width = self._blocks[0], len(self._from_scalars)
        change = np.empty(len(order))
        change[order] = state.scalars[-1].reshape(len(state.on_scalars) * ATOMS, -1)[rows, :width] @ self._from_scalars
        charges = self._of_data + change - change.mean()  # the charge of all atoms stays
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
        """Where each center, in the order of the blocks, stands among the places of all blocks, (N,)."""
        start = self._blocks[1]
        sizes = np.diff(start)
        rows: Array = np.repeat(np.arange(len(sizes)) * ATOMS - start[:-1], sizes) + np.arange(start[-1])
        return rows

    def _close(self, positions: Array, charges: Array) -> tuple[Array, Array, Array]:
        """Potentials (N,), forces (N, 3) and virial (3, 3) of pairs within the cutoff."""
        of_all, pairs = charges[self._source], (COULOMB, self._cutoff, SWITCH, self._splitting)
        potentials, forces = np.zeros(len(charges)), np.zeros((len(charges), 3))

        def work(_: int, atoms: tuple[int, int]) -> Array:
            virial = np.zeros(6)
            arguments = positions, of_all, self._lists, self._constants[1:], pairs, (potentials, forces, virial)
            close_charges(atoms, self._kind_of_center, *arguments)
            return virial

        return potentials, forces, symmetric(np.sum(in_parts(work, len(charges)), axis=0))
