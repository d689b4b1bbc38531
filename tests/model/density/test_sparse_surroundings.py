"""Atoms with few neighbors, whose learned energies a training keeps near zero."""

from dataclasses import replace

import pytest
import torch
from tests.model.density.test_model import density, water

from gnnformd.graph.atomic_graph import AtomicGraph, HalfEdges
from gnnformd.graph.build import collate
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.sparse_surroundings import LonePairs, ThinnedFrames
from gnnformd.training.batches import Portion
from gnnformd.training.lightning_module import ForceFitting
from gnnformd.training.loss import Scales
from gnnformd.training.settings import TrainingSettings


def nearly_classical(share: float) -> tuple[DensityModel, AtomicGraph]:
    """A model, and frames whose forces are its own; so much of them is the network's."""
    model, graph = density(), water(0)
    model.initialize(graph)
    model.eval()
    model.network.energy_scale.fill_(1.0)
    fixed = model.fixed_part(graph).forces
    size = (model(graph).forces - fixed).norm()
    model.network.energy_scale.copy_(share * fixed.norm() / size)
    return model, replace(graph, forces=model(graph).forces)


def test_pairs_of_every_kind_are_alone_within_their_distances():
    model, graph = nearly_classical(0.01)
    pairs = LonePairs.of(graph, model.contacts.of_edges(graph), model.cutoff)
    placed, unit = pairs.at_random(3)
    first, second, _, kind = placed.half_edges
    count = len(first)
    types = placed.type_index[first].tolist(), placed.type_index[second].tolist()
    found = {(k, min(a, b), max(a, b)) for k, a, b in zip(kind.tolist(), *types, strict=True)}
    assert found == {(0, 0, 0), (0, 0, 1), (0, 1, 1), (1, 0, 1), (2, 1, 1)}
    assert count >= 16 and unit.tolist() == [k // 2 for k in range(2 * count)]
    assert torch.cat([first, second]).sort().values.tolist() == list(range(2 * count))  # each has one neighbor
    assert torch.equal(placed.type_index[: 2 * count], placed.type_index[2 * count :])
    distance = placed.half_edge_vectors().norm(dim=1)
    contact = model.contacts.of_edges(placed)
    torch.testing.assert_close(pairs.closest, contact, rtol=1e-12, atol=0)
    assert (distance >= contact).all()
    assert (distance <= torch.where(kind > 0, 1.5 * contact, model.cutoff)).all()
    assert not torch.equal(distance, pairs.at_random(4).graph.half_edge_vectors().norm(dim=1))
    assert torch.equal(distance, pairs.at_random(3).graph.half_edge_vectors().norm(dim=1))


def test_of_many_kinds_of_pairs_some_are_looked_at():
    graph = water(0)
    each = replace(graph, charges=torch.linspace(-1, 1, graph.atom_count, dtype=torch.float64))
    contact = torch.ones(len(each.half_edges.center), dtype=torch.float64)
    pairs = LonePairs.of(each, contact, 3.4)
    assert len(pairs.closest) == 32
    assert len(torch.unique(pairs.atoms.graph.charges)) > 32


def test_a_thinned_frame_is_that_of_the_molecules_left():
    graph = collate([water(0), water(1)])
    thinned = ThinnedFrames.of(graph)
    seen = set()
    for seed in range(20):
        left, unit = thinned.at_random(seed)
        atoms = len(unit)
        assert atoms == 3 * 5  # of 27 molecules a fifth
        assert torch.bincount(unit).tolist() == [3] * 5
        same = (graph.positions == left.positions[0]).all(1)
        frame = int(graph.graph_index[same].item())
        seen.add(frame)
        which = [int((graph.positions == x).all(1).nonzero()) for x in left.positions[:atoms]]
        # the neighbors of those atoms in the frame they are from, among each other
        first, second, _, _ = graph.half_edges
        inside = torch.isin(first, torch.tensor(which)) & torch.isin(second, torch.tensor(which))
        expected = graph.half_edge_vectors()[inside].norm(dim=1).sort().values
        torch.testing.assert_close(left.half_edge_vectors().norm(dim=1).sort().values, expected)
        assert torch.bincount(left.half_edges.bond_kind)[1:].tolist() == [10, 5]
    assert seen == {0, 1}


def test_frames_of_few_molecules_are_not_thinned():
    graph = water(0)
    assert len(ThinnedFrames.of(graph).frames) == 1
    assert not ThinnedFrames.of(replace(graph, bond_kind=torch.ones_like(graph.bond_kind))).frames  # one molecule


@pytest.mark.parametrize("seed", [4, 5])
def test_energies_are_what_the_network_gives_the_atoms_beside_those_alone(seed):
    model, graph = nearly_classical(0.01)
    energies_of = model.sparse_energies(graph)
    assert energies_of is not None
    pairs = LonePairs.of(graph, model.contacts.of_edges(graph), model.cutoff)
    sparse = (pairs if seed % 2 == 0 else ThinnedFrames.of(graph)).at_random(seed)
    model.eval()
    total = (model(sparse.graph).energies - model.fixed_part(sparse.graph).energies).item()
    none = torch.zeros(0, dtype=torch.int64)
    lone = sparse.graph.with_half_edges(HalfEdges(none, none, torch.zeros(0, 3, dtype=torch.float64), none))
    alone = (model(lone).energies - model.fixed_part(lone).energies).item()
    assert energies_of(seed).sum().item() == pytest.approx(total - alone, rel=1e-9)
    assert energies_of(seed).abs().min() > 0


@pytest.mark.parametrize(("share", "some"), [(0.04, True), (0.06, False)])
def test_they_are_left_alone_where_the_network_describes_the_pairs(share, some):
    model, graph = nearly_classical(share)
    assert (model.sparse_energies(graph) is not None) is some
    assert model.sparse_energies(replace(graph, forces=None)) is None


def test_a_training_step_pays_for_them_and_lowers_them():
    model, graph = nearly_classical(0.02)
    fitting = ForceFitting(model, TrainingSettings(rotations=False), Scales(20.0, 1.0, 1.0, 81.0), 2, graph)
    portion = Portion((0,), (1.0,), seed=1, batch_seed=8)
    model.train()
    without = fitting.training_step((graph, portion), 0)
    fitting.on_train_start()
    assert model.training
    cost = fitting.training_step((graph, portion), 0) - without
    found = model.sparse_energies(graph)
    assert found is not None
    ratio = found(2) / 20.0
    expected = 0.01 * 81.0 * 20.0 * (torch.sqrt(ratio**2 + 1e-4) - 1e-2).mean()
    torch.testing.assert_close(cost, expected, rtol=1e-6, atol=0)
    others = [portion, *(replace(portion, batch_seed=seed) for seed in (5, 6, 7))]
    costs = [(fitting.training_step((graph, each), 0) - without).item() for each in others]
    assert costs[0] > 0 and costs[1:] == [0.0] * 3
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(200):
        optimizer.zero_grad()
        fitting.loss.of_sparse(found(step)).backward()
        optimizer.step()
    assert found(2).abs().mean() < 0.1 * 20.0 * ratio.abs().mean()
