# mypy: ignore-errors
"""MACE with 2 layers of 64 scalar features, as `driver` describes."""

from __future__ import annotations

from importlib.metadata import version

import mace  # noqa: F401  (before e3nn, whose constants can only be read when this has been imported)
import numpy as np
import torch
from driver import CUTOFF, NUMBERS, Peer, drive
from e3nn import o3
from mace import data, modules, tools
from torch import Tensor

table = tools.AtomicNumberTable(list(NUMBERS))


def prepare(numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray) -> dict[str, Tensor]:
    frame = data.Configuration(
        atomic_numbers=numbers,
        positions=positions,
        cell=cell,
        pbc=(True, True, True),
        properties={},
        property_weights={},
    )
    graph = data.AtomicData.from_config(frame, z_table=table, cutoff=CUTOFF)
    return tools.torch_geometric.batch.Batch.from_data_list([graph]).to_dict()


def make() -> Peer:
    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    model = modules.ScaleShiftMACE(
        r_max=CUTOFF,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=block,
        interaction_cls_first=block,
        num_interactions=2,
        num_elements=len(NUMBERS),
        hidden_irreps=o3.Irreps("64x0e"),
        MLP_irreps=o3.Irreps("16x0e"),
        gate=torch.nn.functional.silu,
        atomic_energies=np.zeros(len(NUMBERS)),
        avg_num_neighbors=52.0,  # of water
        atomic_numbers=table.zs,
        correlation=3,
        radial_type="bessel",
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
    )

    def forces(inputs: dict[str, Tensor]) -> Tensor:
        return model(dict(inputs), training=model.training, compute_force=True)["forces"]

    return Peer(f"MACE {version('mace-torch')}", model, prepare, forces, learning_rate=1e-2)


drive(make)
