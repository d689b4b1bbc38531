from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnformd.errors import InputError
from gnnformd.graph.build import build_graph, collate


def same(a, b):
    assert vars(a).keys() == vars(b).keys()
    for name, value in vars(a).items():
        other = getattr(b, name)
        assert (value is None) == (other is None), name
        assert value is None or (value.dtype == other.dtype and torch.equal(value, other)), name


def test_a_graph_carries_what_the_frame_and_the_force_field_say(make_water, water_field):
    frame = make_water(3)
    graph = build_graph(frame, 3.4, water_field)
    assert (graph.atom_count, graph.graph_count) == (81, 1)
    np.testing.assert_array_equal(graph.positions, frame.positions)
    np.testing.assert_array_equal(graph.cells[0], frame.cell)
    np.testing.assert_array_equal(graph.type_index, np.tile([0, 1, 1], 27))
    np.testing.assert_array_equal(graph.charges, np.tile([-0.82, 0.41, 0.41], 27))
    np.testing.assert_array_equal(graph.epsilons, np.tile([0.155, 0, 0], 27))
    np.testing.assert_array_equal(graph.sigmas, np.tile([3.165, 0, 0], 27))
    np.testing.assert_array_equal(graph.forces, frame.forces)
    np.testing.assert_array_equal(graph.energies, [frame.energy])
    np.testing.assert_array_equal(graph.virials[0], frame.virial)
    assert not graph.graph_index.any()
    # each molecule has two bonds and one pair of second neighbors, each in both directions
    assert torch.bincount(graph.bond_kind).tolist()[1:] == [2 * 54, 2 * 27]


def test_charges_of_the_frame_come_before_those_of_the_force_field(make_water, water_field):
    charges = np.linspace(-1, 1, 24)
    graph = build_graph(make_water(2, charges=charges), 3.4, water_field)
    np.testing.assert_array_equal(graph.charges, charges)
    assert graph.epsilons.max() == 0.155
    np.testing.assert_array_equal(build_graph(make_water(2, charges=charges), 3.4).charges, charges)


def test_without_a_force_field_the_parameters_are_zero(make_water):
    graph = build_graph(make_water(2), 3.4)
    assert not graph.charges.any()
    assert not graph.epsilons.any()
    assert not graph.sigmas.any()


def test_targets_that_the_frame_lacks_are_none(make_water):
    graph = build_graph(make_water(2, forces=None, energy=None, virial=None, bonds=None), 3.4)
    assert graph.forces is None
    assert graph.energies is None
    assert graph.virials is None
    assert not graph.bond_kind.any()


def test_a_type_that_the_force_field_lacks_is_refused(make_water, water_field):
    frame = make_water(2)
    with pytest.raises(InputError, match=r"timestep 0: atom type 3 .*O, H"):
        build_graph(replace(frame, types=frame.types + 1), 3.4, water_field)
    with pytest.raises(InputError, match="atom type 0 "):
        build_graph(replace(frame, types=frame.types - 1), 3.4, water_field)


def test_a_frame_that_cannot_be_searched_is_named(make_water):
    frame = make_water(2, seed=7)
    with pytest.raises(InputError, match=r"timestep 70: .*not finite"):
        build_graph(replace(frame, positions=frame.positions * np.nan), 3.4)
    with pytest.raises(InputError, match=r"timestep 70: .*bonds"):
        build_graph(replace(frame, bonds=frame.bonds + 3), 3.4)


def test_the_building_does_not_share_memory_with_the_frame(make_water):
    frame = make_water(2, charges=np.ones(24))
    graph = build_graph(frame, 3.4)
    graph.positions.add_(1.0)
    graph.charges.add_(1.0)
    graph.forces.add_(1.0)
    assert (frame.positions == make_water(2).positions).all()
    assert (frame.forces == make_water(2).forces).all()
    assert (frame.charges == 1).all()


def test_a_batch_holds_its_graphs_side_by_side(make_water, water_field):
    graphs = [build_graph(make_water(m, seed=s), 3.4, water_field) for m, s in ((2, 0), (3, 1), (2, 2))]
    batch = collate(graphs)
    assert (batch.atom_count, batch.graph_count) == (24 + 81 + 24, 3)
    assert torch.bincount(batch.graph_index).tolist() == [24, 81, 24]
    assert batch.energies.tolist() == [g.energies.item() for g in graphs]
    # edge by edge: the vectors of each graph's edges are those it has alone
    owner = batch.graph_index[batch.center_index]
    assert torch.equal(owner, batch.graph_index[batch.neighbor_index])
    first_atom = [0, 24, 105]
    for k, graph in enumerate(graphs):
        mine = owner == k
        assert torch.equal(batch.center_index[mine] - first_atom[k], graph.center_index)
        assert torch.equal(batch.neighbor_index[mine] - first_atom[k], graph.neighbor_index)
        assert torch.equal(batch.edge_vectors()[mine], graph.edge_vectors())
        assert torch.equal(batch.bond_kind[mine], graph.bond_kind)


def test_batches_can_be_joined_like_graphs(make_water):
    a, b, c = (build_graph(make_water(2, seed=s), 3.4) for s in range(3))
    same(collate([collate([a, b]), c]), collate([a, b, c]))
    same(collate([a]), a)


def test_targets_of_a_batch_are_those_that_all_graphs_have(make_water):
    batch = collate([build_graph(make_water(2), 3.4), build_graph(make_water(2, energy=None), 3.4)])
    assert batch.energies is None
    assert batch.forces.shape == (48, 3)


def test_a_graph_without_edges_is_a_graph(make_water):
    graph = build_graph(make_water(2), 0.1)
    assert graph.edge_count == 0
    assert graph.edge_vectors().shape == (0, 3)
    same(collate([graph]), graph)
