# mypy: ignore-errors
# ruff: noqa: E402
"""SchNetPack: PaiNN with 3 layers of 64 features, as `driver` describes."""

from __future__ import annotations

from importlib.metadata import version
from typing import TypeVar

import numpy as np
import torch
import torch.utils.data.dataloader
from driver import CUTOFF, Peer, drive
from torch import Tensor

torch.utils.data.dataloader.T_co = TypeVar("T_co", covariant=True)  # SchNetPack 2.1.1 imports it; torch 2.13 has it not

import schnetpack as spk
from schnetpack import properties
from schnetpack.data.loader import _atoms_collate_fn
from schnetpack.transform import CastTo32, MatScipyNeighborList

transforms = [MatScipyNeighborList(CUTOFF), CastTo32()]


def prepare(numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray) -> dict[str, Tensor]:
    inputs = {
        properties.n_atoms: torch.tensor([len(numbers)]),
        properties.Z: torch.from_numpy(numbers),
        properties.R: torch.from_numpy(positions),
        properties.cell: torch.from_numpy(cell).view(1, 3, 3),
        properties.pbc: torch.ones(3, dtype=torch.bool),
    }
    for transform in transforms:
        inputs = transform(inputs)
    return _atoms_collate_fn([inputs])


def make() -> Peer:
    model = spk.model.NeuralNetworkPotential(
        spk.representation.PaiNN(
            n_atom_basis=64,
            n_interactions=3,
            radial_basis=spk.nn.GaussianRBF(n_rbf=20, cutoff=CUTOFF),
            cutoff_fn=spk.nn.CosineCutoff(CUTOFF),
        ),
        input_modules=[spk.atomistic.PairwiseDistances()],
        output_modules=[spk.atomistic.Atomwise(n_in=64, output_key="energy"), spk.atomistic.Forces()],
    )

    def forces(inputs: dict[str, Tensor]) -> Tensor:
        return model(dict(inputs))["forces"]  # the network adds to its inputs

    return Peer(f"SchNetPack {version('schnetpack')} PaiNN", model, prepare, forces, learning_rate=1e-3)


drive(make)
