"""Pairs of atoms alone in space, whose learned energies a training keeps near zero."""

from dataclasses import replace

import pytest
import torch
from tests.model.density.test_model import density, water

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.lone_pairs import LonePairs
from gnnformd.model.density.model import DensityModel
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
    placed = pairs.at_random(3)
    first, second, _, kind = placed.half_edges
    types = placed.type_index[first].tolist(), placed.type_index[second].tolist()
    found = {(k, min(a, b), max(a, b)) for k, a, b in zip(kind.tolist(), *types, strict=True)}
    assert found == {(0, 0, 0), (0, 0, 1), (0, 1, 1), (1, 0, 1), (2, 1, 1)}
    assert placed.graph_count == 2 * len(first) and len(first) >= 16
    assert torch.equal(placed.graph_index[first], placed.graph_index[second])
    assert torch.equal(placed.type_index[: 2 * len(first)], placed.type_index[2 * len(first) :])
    distance = placed.half_edge_vectors().norm(dim=1)
    contact = model.contacts.of_edges(placed)
    torch.testing.assert_close(pairs.closest, contact, rtol=1e-12, atol=0)
    assert (distance >= contact).all()
    assert (distance <= torch.where(kind > 0, 1.5 * contact, model.cutoff)).all()
    assert not torch.equal(distance, pairs.at_random(4).half_edge_vectors().norm(dim=1))
    assert torch.equal(distance, pairs.at_random(3).half_edge_vectors().norm(dim=1))


def test_of_many_kinds_some_are_looked_at():
    graph = water(0)
    each = replace(graph, charges=torch.linspace(-1, 1, graph.atom_count, dtype=torch.float64))
    contact = torch.ones(len(each.half_edges.center), dtype=torch.float64)
    pairs = LonePairs.of(each, contact, 3.4)
    assert len(pairs.closest) == 32
    assert len(torch.unique(pairs.atoms.charges)) > 32


def test_their_energies_are_what_the_network_gives_the_pair_less_the_atoms():
    model, graph = nearly_classical(0.01)
    energies_of = model.lone_pair_energies(graph)
    assert energies_of is not None
    pairs = LonePairs.of(graph, model.contacts.of_edges(graph), model.cutoff).at_random(5)
    classical = model.fixed_part(pairs).energies
    learned = (model(pairs).energies - classical)[: len(pairs.half_edges.center)]
    alone = model(pairs).energies[len(learned) :]
    apart = model.fixed_part(pairs).energies[len(learned) :]
    torch.testing.assert_close(energies_of(5), learned - (alone - apart), rtol=1e-9, atol=1e-9)
    assert energies_of(5).abs().min() > 0


@pytest.mark.parametrize(("share", "some"), [(0.04, True), (0.06, False)])
def test_they_are_left_alone_where_the_network_describes_the_pairs(share, some):
    model, graph = nearly_classical(share)
    assert (model.lone_pair_energies(graph) is not None) is some
    assert model.lone_pair_energies(replace(graph, forces=None)) is None


def test_they_are_left_alone_where_fine_tuning_adapts_to_data_that_potentials_do_not_describe():
    model, graph = nearly_classical(0.01)
    noise = torch.randn(graph.forces.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    noisy = replace(graph, forces=graph.forces + 0.3 * graph.forces.square().mean().sqrt() * noise)
    model.adapt(noisy, torch.full((4, 2, 2), torch.inf), same_types=True)
    assert model.lone_pair_energies(noisy) is None


def test_a_training_step_pays_for_them_and_lowers_them():
    model, graph = nearly_classical(0.02)
    fitting = ForceFitting(model, TrainingSettings(rotations=False), Scales(20.0, 1.0, 1.0, 81.0), 2, graph)
    portion = Portion((0,), (1.0,), seed=1, batch_seed=8)
    model.train()
    without = fitting.training_step((graph, portion), 0)
    fitting.on_train_start()
    assert model.training
    cost = fitting.training_step((graph, portion), 0) - without
    found = model.lone_pair_energies(graph)
    assert found is not None
    ratio = found(8) / 20.0
    expected = 0.01 * 81.0 * 20.0 * (torch.sqrt(ratio**2 + 1e-4) - 1e-2).mean()
    torch.testing.assert_close(cost, expected, rtol=1e-6, atol=0)
    others = [portion, *(replace(portion, batch_seed=seed) for seed in (5, 6, 7))]
    costs = [(fitting.training_step((graph, each), 0) - without).item() for each in others]
    assert costs[0] > 0 and costs[1:] == [0.0] * 3
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(200):
        optimizer.zero_grad()
        fitting.loss.of_lone_pairs(found(step)).backward()
        optimizer.step()
    assert found(8).abs().mean() < 0.1 * 20.0 * ratio.abs().mean()
