"""MliapModel: a model for LAMMPS's ``pair_style mliap unified``, which runs on accelerators with Kokkos."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import Any

import torch

from gnnformd.errors import InputError
from gnnformd.files import write_bytes
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.files.model_file import LoadedModel, load_model
from gnnformd.model.interface import ForceModel

__all__ = ["MliapModel", "export_mliap"]


class MliapModel:
    """Gives LAMMPS energy and pair forces of the atoms of a rank; what ``pair_style mliap unified`` loads and calls.

    It pickles as the bytes of its model file and is rebuilt from them, checks included, where LAMMPS loads it; gnnformd
    must be installed there. In double precision on the device that LAMMPS computes on, as LAMMPS does.

    Parameters
    ----------
    model_file
        Content of a ``.safetensors`` model file.

    Attributes
    ----------
    interface
        Set by LAMMPS.
    element_types
        Names of the types, for ``pair_coeff * *``.
    ndescriptors, nparams
        LAMMPS wants them; they mean nothing here.
    rcutfac
        Half the cutoff, angstrom.

    Raises
    ------
    InputError
        The model needs what ML-IAP does not give: bonds, charges, or forces of more than one layer.
    """

    def __init__(self, model_file: bytes) -> None:
        self._file = model_file
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            path.write_bytes(model_file)
            loaded = load_model(path, dtype=torch.float64)
        self._model = _fitting(loaded)
        self._parameters = torch.tensor(loaded.card.parameters, dtype=torch.float64)  # (T, 3)
        self.interface: Any = None
        self.element_types = list(loaded.card.type_names)
        self.ndescriptors = self.nparams = 1
        self.rcutfac = 0.5 * self._model.cutoff

    def __reduce__(self) -> tuple[type[MliapModel], tuple[bytes]]:
        return type(self), (self._file,)

    def compute_gradients(self, data: Any) -> None:
        """Do nothing: LAMMPS asks for all at once."""

    def compute_descriptors(self, data: Any) -> None:
        """Do nothing: LAMMPS asks for all at once."""

    def compute_forces(self, data: Any) -> None:
        """Set the energy of the rank's atoms, of all together, and the force of each pair.

        Parameters
        ----------
        data
            LAMMPS's lists: all neighbors within the cutoff of the ``nlistatoms`` atoms of the rank, each of a type of
            the model. LAMMPS adds the force of a pair to its first atom and takes it from the second.
        """
        first, second, vectors, types = (
            torch.as_tensor(array) for array in (data.pair_i, data.pair_j, data.rij, data.elems)
        )
        if vectors.device != self._parameters.device:
            self._model.to(vectors.device)
            self._parameters = self._parameters.to(vectors.device)
        first, second = first.long(), second.long()
        half = torch.nonzero(first < second).squeeze(1)  # one direction of each pair; ghosts have the highest numbers
        energy, forces_of_pairs = self._model.pair_forces(
            self._domain(first[half], second[half], vectors[half], types, data.nlistatoms)
        )
        forces = torch.zeros_like(vectors)
        forces[half] = forces_of_pairs
        data.energy = float(energy)
        if data.npairs:
            data.update_pair_forces(forces if forces.is_cuda else forces.numpy())

    def _domain(
        self, first: torch.Tensor, second: torch.Tensor, vectors: torch.Tensor, types: torch.Tensor, own: int
    ) -> AtomicGraph:
        """Make a graph of half edges whose vectors are given: atoms stand at the origin and are shifted by them."""
        count, like = len(types), vectors.new_zeros
        charges, epsilons, sigmas = self._parameters.index_select(0, types.long()).unbind(1)
        return AtomicGraph(
            positions=like(count, 3),
            cells=torch.eye(3).to(vectors)[None],
            periodic=torch.zeros(1, 3, dtype=torch.bool, device=vectors.device),
            special_coul=torch.ones(1, 3).to(vectors),
            type_index=types.long(),
            charges=charges,
            epsilons=epsilons,
            sigmas=sigmas,
            center_index=torch.cat([first, second]),
            neighbor_index=torch.cat([second, first]),
            cell_shift=torch.cat([vectors, -vectors]),
            bond_kind=torch.zeros(2 * len(first), dtype=torch.int64, device=vectors.device),
            graph_index=torch.zeros(count, dtype=torch.int64, device=vectors.device),
            owned=torch.arange(count, device=vectors.device) < own,
        )


def export_mliap(loaded: LoadedModel, path: Path) -> None:
    """Write a file for ``pair_style mliap unified``.

    Parameters
    ----------
    loaded
        The model, from a file.
    path
        To write.

    Raises
    ------
    InputError
        The model needs what ML-IAP does not give.
    """
    _fitting(loaded)
    write_bytes(path, pickle.dumps(MliapModel(loaded.path.read_bytes())))


def _fitting(loaded: LoadedModel) -> ForceModel:
    """Refuse what ML-IAP has no data for."""
    model, field = loaded.model, loaded.card.force_field
    if not model.conservative or model.layers > 1:
        reason = "ML-IAP exchanges nothing between layers; it runs density models of one layer"
    elif model.long_range is not None:
        reason = "it has electrostatics, and ML-IAP gives no charges"
    elif (field is not None and field.bonds) or _saw_bonds(model, len(loaded.card.type_names)):
        reason = "it was trained on molecules, and ML-IAP gives no bonds"
    else:
        return model
    raise InputError(f"{loaded.path}: cannot be exported to mliap, because {reason}; use 'gnnformd simulate --ranks'.")


def _saw_bonds(model: ForceModel, types: int) -> bool:
    """Whether there were bonds in the training data."""
    return any(
        model.closest_in_data(kind, first, second) is not None
        for kind in (1, 2, 3)
        for first in range(types)
        for second in range(types)
    )
