import numpy as np
import pytest
import torch
from tests.model.conftest import FIELD
from tests.simulation.lammps.rank_cases import water_frame

from gnnformd.graph.build import build_graph
from gnnformd.model.density.numba_engine.ghosts import Ghosts

BOXES = {
    "cube": np.diag([9.3, 9.4, 9.5]),
    "tilted": np.array([[9.3, 0, 0], [3.0, 9.4, 0], [-2.0, 2.5, 9.5]]),
}


@pytest.mark.parametrize("cutoff", [3.0, 6.0, 11.0])
@pytest.mark.parametrize("cell", BOXES.values(), ids=BOXES)
def test_neighbors_with_ghosts_are_the_edges_of_the_graph(cell, cutoff):
    frame = water_frame(3, cell)
    frame.positions[::5] += cell[0] - 2 * cell[2]  # not wrapped
    graph = build_graph(frame, cutoff, FIELD)
    ghosts = Ghosts.of(graph)
    center = np.repeat(np.arange(81), np.diff(ghosts.start))
    other, kind = ghosts.neighbor & 0x3FFFFFFF, ghosts.neighbor >> 30
    places = ghosts.positions(frame.positions, cell)
    vectors = torch.from_numpy(places[other] - places[center])
    order = torch.sort(graph.center_index, stable=True).indices
    assert torch.equal(graph.center_index[order], torch.from_numpy(center))
    assert torch.equal(graph.neighbor_index[order], torch.from_numpy(ghosts.owner[other]))
    assert torch.equal(graph.bond_kind[order].long(), torch.from_numpy(kind))
    torch.testing.assert_close(graph.edge_vectors()[order], vectors, rtol=0, atol=1e-12)
    images = np.column_stack([ghosts.owner[81:], ghosts.shift])
    assert len(np.unique(images, axis=0)) == len(images) == len(np.unique(other[other >= 81]))
    assert ghosts.shift.any(axis=1).all()
    forces = np.random.default_rng(0).normal(size=places.shape)
    folded = np.zeros((81, 3))
    np.add.at(folded, ghosts.owner, forces)
    np.testing.assert_allclose(ghosts.fold(forces), folded, atol=1e-12)
