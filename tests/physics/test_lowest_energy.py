"""Wherever atoms go, the network's energy stays above the floor that the training frames set."""

from copy import deepcopy
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest
import torch
from tests.inference.test_system import molecules
from tests.model.conftest import FIELD
from tests.model.density.test_model import trained, water

from gnnformd.graph.build import build_graph

APART = np.geomspace(0.3, 4.0, 12)  # angstrom


@pytest.fixture(scope="module", params=[{}, {"layers": 2}], ids=["one layer", "two layers"])
def bounded(request):
    """A model after a few steps of training, of whose energies outside the data nothing is known."""
    with torch.random.fork_rng():
        model = trained(water(0), electrostatics="none", bond_kinds=0, **request.param)
    model.learn_range([water(0), water(1)])
    return model


def vacuum(first, second):
    """Two atoms."""
    return replace(
        molecules(), ids=np.array([1, 2]), types=np.array([first, second]), positions=np.zeros((2, 3)), bonds=None
    )


def liquid(first, second):
    """The first atom of one type and another of the other one, first, then all others."""
    frame = molecules()
    one = int(np.flatnonzero(frame.types == first)[0])
    other = int(np.flatnonzero((frame.types == second) & (np.arange(81) > 40))[0])
    order = [one, other, *(k for k in range(81) if k not in (one, other))]
    return replace(frame, types=frame.types[order], positions=frame.positions[order], bonds=None)


def crystal(first, second):
    """Both types in turn on a cubic lattice."""
    sites = np.array(list(np.ndindex(4, 4, 4)))
    types = 1 + sites.sum(axis=1) % 2
    types[0], types[1] = first, second
    ids = np.arange(1, 65)
    return replace(
        molecules(), cell=9.6 * np.eye(3), ids=ids, types=types, positions=2.4 * sites.astype(float), bonds=None
    )


def energies(model, frame):
    """Energy of the network, and the lowest that is allowed, kcal/mol."""
    graph = build_graph(frame, model.cutoff, FIELD, dtype=torch.float64)
    network = model.network
    found = model(graph).energies - model.fixed_part(graph).energies - network.type_energies_of(graph)
    start, depth = network.floor.of_types(graph.type_index)
    return found.item(), (start - depth).sum().item()


def pushed():
    """Each pair of types, from 4 angstrom to 0.3, in vacuum, a liquid and a crystal."""
    rng = np.random.default_rng(4)
    for place in (vacuum, liquid, crystal):
        for types in combinations_with_replacement((1, 2), 2):
            frame, direction = place(*types), rng.normal(size=3)
            for apart in APART:
                positions = frame.positions.copy()
                positions[1] = positions[0] + apart * direction / np.linalg.norm(direction)
                yield replace(frame, positions=positions)


def deformed():
    """Compressed, expanded and sheared by 30 %."""
    shear = np.eye(3)
    shear[1, 0] = 0.3
    for frame in (liquid(1, 2), crystal(1, 2)):
        for deformation in (0.7 * np.eye(3), 1.3 * np.eye(3), np.diag([0.7, 1.0, 1.0]), shear):
            yield replace(frame, cell=frame.cell @ deformation, positions=frame.positions @ deformation)


@pytest.mark.parametrize("frames", [pushed, deformed])
def test_the_networks_energy_stays_above_the_floor_of_the_data(bounded, frames):
    for frame in frames():
        found, lowest = energies(bounded, frame)
        assert found >= lowest - 1e-9


def test_without_the_floor_it_does_not(bounded):
    bare = deepcopy(bounded)
    bare.network.floor.remove()
    assert min(energies(bare, frame)[0] - energies(bounded, frame)[1] for frame in (*pushed(), *deformed())) < 0.0
