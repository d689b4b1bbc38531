"""TorchSimModel: a trained model for torch-sim, which runs many systems at once on a GPU.

Needs the extra: ``pip install gnnformd[torch-sim]``. Nothing else in the package imports this module.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import Tensor

try:
    from torch_sim.models.interface import ModelInterface
except ImportError:
    ModelInterface = None

from gnnformd.errors import InputError
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.build import build_graph
from gnnformd.graph.type_matching import TypeMap
from gnnformd.inference.seen_pairs import SeenPairs
from gnnformd.inference.training_range import (
    refuse_missing_charges,
    refuse_unknown_types,
)
from gnnformd.interfaces.element_types import map_of_topology, types_of_elements
from gnnformd.model.choose_engine import GraphPredictor
from gnnformd.model.files.model_file import LoadedModel, load_model
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.frame import Frame, Topology
from gnnformd.units import KCAL_PER_MOL_PER_EV

__all__ = ["TorchSimModel"]


class TorchSimModel(ModelInterface or torch.nn.Module):  # type: ignore[misc]
    """Energy, forces and stress in torch-sim's units (eV, angstrom), for a batch of systems.

    Types follow from the elements, or from the topology; with a topology each system of a batch is a copy of it, in
    the order of its ids. Neighbors are searched anew at each call.

    Parameters
    ----------
    model
        Model file, name of a shipped model, or a model already loaded; it must have an energy and a virial.
    topology
        LAMMPS data file with types, charges and bonds of one system; needed for a model of molecules.
    device, dtype
        Where and in which precision a model file is loaded (dtype float32 if not given).

    Raises
    ------
    InputError
        torch-sim is not installed, the model has no energy, needs bonds and has no topology, or the systems do not fit
        it (when it is called).

    Examples
    --------
    >>> import torch_sim  # doctest: +SKIP
    >>> torch_sim.integrate(atoms, TorchSimModel("argon"), ...)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: LoadedModel | str | Path,
        *,
        topology: Topology | Path | str | None = None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if ModelInterface is None:
            raise InputError("torch-sim is not installed; run: pip install 'gnnformd[torch-sim]'.")
        super().__init__()
        if not isinstance(model, LoadedModel):
            model = load_model(model, device=device, dtype=dtype)
        self._loaded, self._card, self._path = model, model.card, model.path
        self._seen, self._checked = SeenPairs.of(model), False
        self._told: set[int] = set()  # systems in which such atoms are together
        self._model = model.model.eval()
        self._predict = GraphPredictor(self._model, fast=model.compiled)
        self._topology = read_topology(Path(topology)) if isinstance(topology, str | Path) else topology
        self._source = topology if isinstance(topology, str | Path) else "the topology"
        self._map: TypeMap | None = None
        field = model.card.force_field
        if not model.model.conservative:
            raise InputError(f"the model {model.path} has no energy, which torch-sim needs; choose a conservative one.")
        if self._topology is None and field is not None and field.bonds:
            raise InputError(f"the model {model.path} was trained on molecules; name their data file as topology.")
        first = next((p for p in self._model.parameters() if p.is_floating_point()), torch.empty(0))
        self._device = first.device
        self._compute_forces = self._compute_stress = True
        self._memory_scales_with = "n_atoms_x_density"

    def forward(self, state: Any, **_kwargs: Any) -> dict[str, Tensor]:
        """Evaluate the model; torch-sim calls this.

        Parameters
        ----------
        state
            A ``SimState``: positions in angstrom, (N, 3); cells with the lattice vectors as columns, (B, 3, 3);
            atomic numbers and system of each atom, (N,). A mapping with these entries will do.

        Returns
        -------
        dict
            ``energy`` in eV, (B,), ``forces`` in eV/angstrom, (N, 3), and ``stress``, positive under tension, in
            eV/angstrom^3, (B, 3, 3), on the model's device.
        """
        known = state if isinstance(state, dict) else vars(state)
        frames = self._frames(known)
        for frame in frames if not self._checked else ():
            refuse_unknown_types(self._loaded, frame.types)
            refuse_missing_charges(self._loaded, frame, self._card.force_field)
            self._seen.check("the systems", frame)
        self._checked = True
        graphs = [
            build_graph(self._seen.without_unseen_bonds(frame), self._model.cutoff, self._card.force_field)
            for frame in frames
        ]
        self._tell_unseen(frames, graphs)
        prediction = self._predict(graphs)
        if prediction.energies is None or prediction.virials is None:
            raise InputError(
                f"the model {self._path} gives no energy or no virial, which torch-sim needs; use a 'density' model."
            )
        volumes = torch.linalg.det(known["cell"].to(prediction.virials)).abs()[:, None, None]
        virials = (prediction.virials + prediction.virials.mT) / 2
        return {
            "energy": prediction.energies.detach() / KCAL_PER_MOL_PER_EV,
            "forces": prediction.forces.detach() / KCAL_PER_MOL_PER_EV,
            "stress": -virials.detach() / volumes / KCAL_PER_MOL_PER_EV,
        }

    def _tell_unseen(self, frames: list[Frame], graphs: list[AtomicGraph]) -> None:
        """Warn where atoms of a system meet, of which the model has seen no such pair."""
        for number, (frame, graph) in enumerate(zip(frames, graphs, strict=True)):
            atoms = self._seen.unseen_in_graph(graph, frame.ids).closest(frame.positions, frame.cell)
            if atoms is not None and number not in self._told:
                warnings.warn(
                    f"system {number}: {atoms}, but no such pair was in the training data of {self._path}, so their "
                    "forces are arbitrary.",
                    stacklevel=3,
                )
            (self._told.discard if atoms is None else self._told.add)(number)

    def _frames(self, state: dict[str, Any]) -> list[Frame]:
        """Take the systems of a batch apart."""
        positions, cells, numbers, system = (
            state[name].numpy(force=True) for name in ("positions", "cell", "atomic_numbers", "system_idx")
        )
        x, y, z = np.broadcast_to(torch.as_tensor(state["pbc"]).numpy(force=True), 3).tolist()
        frames = []
        for index, columns in enumerate(cells):
            rows = np.flatnonzero(system == index)
            topology = self._topology
            if topology is not None and len(topology.types) != len(rows):
                raise InputError(
                    f"system {index} has {len(rows)} atoms, but the topology {len(topology.types)}; give copies of one "
                    "system."
                )
            frames.append(
                Frame(
                    timestep=0,
                    cell=columns.T.astype(np.float64),
                    origin=np.zeros(3),
                    periodic=(x, y, z),
                    ids=np.arange(1, len(rows) + 1),
                    types=self._types(numbers[rows]),
                    positions=positions[rows].astype(np.float64),
                    bonds=None if topology is None else topology.bonds,
                    charges=None if topology is None else topology.charges,
                )
            )
        return frames

    def _types(self, numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Type of each atom of one system in the model, (N,)."""
        if self._topology is None:
            symbols = [chemical_symbols[n] for n in numbers.tolist()]
            return types_of_elements(self._loaded, symbols, "give a topology")
        if self._map is None:
            self._map = map_of_topology(self._loaded, self._source, self._topology)
        return self._map.of(self._topology.types)
