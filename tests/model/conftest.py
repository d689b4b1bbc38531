"""Small random systems."""

import numpy as np
import torch

from gnnformd.force_field import AtomType, ForceField
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.build import build_graph, collate
from gnnformd.trajectory.frame import Frame

FIELD = ForceField(types=(AtomType("O", 15.9994, -0.82, 0.155, 3.165), AtomType("H", 1.008, 0.41, 0.0, 0.0)))


def random_graph(graphs: int, *, seed: int = 0, molecules: int = 6, dtype: torch.dtype = torch.float64) -> AtomicGraph:
    """Water-like molecules at random in boxes of 6.5 angstrom, with random target forces."""
    random = np.random.default_rng(seed)
    shape = np.array([[0, 0, 0], [1.012, 0, 0], [-0.4, 0.929, 0]])
    parts = []
    for _ in range(graphs):
        centers = random.uniform(0, 6.5, (molecules, 1, 3))
        turns = np.linalg.qr(random.normal(size=(molecules, 3, 3)))[0]
        positions = (centers + np.einsum("mab,kb->mka", turns, shape)).reshape(-1, 3)
        oxygen = 3 * np.arange(molecules)
        bonds = np.stack([np.repeat(oxygen, 2), (oxygen[:, None] + [1, 2]).ravel()], axis=1)
        frame = Frame(
            timestep=0,
            cell=6.5 * np.eye(3),
            origin=np.zeros(3),
            periodic=(True, True, True),
            ids=np.arange(1, 3 * molecules + 1),
            types=np.tile([1, 2, 2], molecules),
            positions=positions,
            forces=random.normal(size=positions.shape),
            bonds=bonds,
        )
        parts.append(build_graph(frame, 3.4, FIELD, dtype=dtype))
    return collate(parts)
