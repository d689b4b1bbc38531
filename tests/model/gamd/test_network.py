"""The GAMD network against its equations written out plainly."""

from dataclasses import replace

import pytest
import torch
from benchmarks.literal_seed import literal_forces
from tests.model.conftest import random_graph

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.gamd.layers import GraphNorm, Perceptron
from gnnformd.model.gamd.network import DirectedLayer, EdgeRows, EncodedEdges, GamdModel
from gnnformd.model.registry import build_model
from gnnformd.model.settings import GamdSettings
from gnnformd.training.augmentation import random_rotation, rotate


def make(**settings: object) -> GamdModel:
    torch.manual_seed(1)
    model = build_model(GamdSettings(width=16, **settings), 2).double()
    assert isinstance(model, GamdModel)
    for name, value in model.named_parameters():  # no bias at zero, no share at one: every term counts
        if value.dim() == 1 and "slopes" not in name:
            torch.nn.init.normal_(value, 0.5, 0.5)
    return model


@pytest.mark.parametrize("graphs", [1, 3])
@pytest.mark.parametrize("plain", [False, True])
def test_the_folded_form_gives_the_forces_of_the_equations(graphs: int, plain: bool) -> None:
    model, graph = make(), random_graph(graphs)
    model.plain_residual = plain
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(graph).forces, literal_forces(model, graph), rtol=1e-11, atol=1e-12)


def test_the_folded_form_gives_the_gradients_of_the_equations() -> None:
    model, graph = make(dropout=0.0), random_graph(2)
    weights = torch.randn(graph.atom_count, 3, dtype=torch.float64)
    parameters = list(model.parameters())
    ours = torch.autograd.grad((model.train()(graph).forces * weights).sum(), parameters)
    plain = torch.autograd.grad((literal_forces(model, graph) * weights).sum(), parameters)
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)


def test_matrices_are_xavier_uniform_and_biases_as_pytorch_draws_them() -> None:
    torch.manual_seed(0)
    part = Perceptron(256, 128, 128, 0.1)
    for linear in (part.first, *part.middle, part.last):
        limit = (6 / (linear.in_features + linear.out_features)) ** 0.5
        assert 0.99 * limit < linear.weight.abs().max() <= limit
        assert abs(linear.weight.std().item() / (limit / 3**0.5) - 1) < 0.02
    for linear in (part.first, part.last):
        limit = linear.in_features**-0.5
        assert 0.9 * limit < linear.bias.abs().max() <= limit
    assert all(linear.bias is None for linear in part.middle)


@pytest.mark.parametrize("training", [True, False])
def test_graph_norm_takes_the_moments_of_all_atoms_of_a_batch(training: bool) -> None:
    """Three sizes of system; in float64 against mean and variance written out."""
    torch.manual_seed(0)
    norm = GraphNorm(5, "batch").double().train(training)
    for weight in (norm.gain, norm.bias, norm.share):
        torch.nn.init.normal_(weight, 1.0, 0.3)
    features = torch.cat([torch.randn(n, 5, dtype=torch.float64) * n + n for n in (3, 7, 20)])
    mean = features.sum(0) / 30
    variance = ((features - norm.share * mean) ** 2).sum(0) / 30
    expected = norm.gain * (features - norm.share * mean) / (variance + 1e-5) ** 0.5 + norm.bias
    torch.testing.assert_close(norm(features), expected, rtol=1e-13, atol=1e-13)


def test_forces_on_a_frame_depend_on_the_others_of_its_batch_unless_statistics_are_stored() -> None:
    graph, first = random_graph(3), random_graph(1)
    for statistics, batch_wide in (("batch", True), ("stored", False)):
        model = make(statistics=statistics).eval()
        assert model.batch_wide is batch_wide
        assert model.train().batch_wide
        with torch.no_grad():
            together, alone = model.eval()(graph).forces[: first.atom_count], model(first).forces
        assert torch.allclose(together, alone, atol=1e-9) is not batch_wide


def test_the_default_network_has_the_layers_and_widths_of_the_seed() -> None:
    model = build_model(GamdSettings(), 2)

    def perceptron(inputs: int, outputs: int) -> int:
        return inputs * 128 + 128 + 2 * 128 * 128 + 128 * outputs + outputs + 3

    norms = 3 * 3 * 128
    messages = 3 * (perceptron(256, 128) + perceptron(128, 128)) + perceptron(7, 128) + perceptron(4, 128)
    weights = sum(p.numel() for p in model.parameters())
    assert weights == norms + messages + perceptron(3, 128) + perceptron(128, 3)
    assert weights == 644769  # counted in the original code


def test_only_the_first_layer_sees_the_kind_of_bond() -> None:
    model, graph = make().eval(), random_graph(1)
    other = replace(graph, bond_kind=torch.zeros_like(graph.bond_kind))
    seen = []
    for layer in model.message_layers:
        layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[1][0].hidden))
    with torch.no_grad():
        assert not torch.equal(model(graph).forces, model(other).forces)
    first, second = seen[:3], seen[3:]
    assert not torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert torch.equal(first[2], second[2])


def test_stored_statistics_make_an_atom_independent_of_distant_ones() -> None:
    model = make(statistics="stored", layers=2).eval()
    near, far = random_graph(1), random_graph(1, seed=9)
    apart = _side_by_side(near, far)
    with torch.no_grad():
        alone, together = model(near).forces, model(apart).forces
    torch.testing.assert_close(together[: near.atom_count], alone, rtol=1e-12, atol=1e-13)
    model.settings = model.settings.model_copy(update={"statistics": "batch"})
    for norm in model.norms:
        norm.statistics = "batch"
    with torch.no_grad():
        assert not torch.allclose(model(near).forces, model(apart).forces[: near.atom_count], atol=1e-3)


def test_stored_statistics_settle_at_those_of_the_graphs_seen_in_training() -> None:
    model, graph = make(dropout=0.0), random_graph(1)
    model.train()
    steps = 50
    with torch.no_grad():
        for _ in range(steps):
            trained = model(graph).forces
        for norm in model.norms:
            first = (1 - norm.momentum) ** steps  # share of the mean 0 and variance 1 that it started with
            norm.running_mean /= 1 - first
            norm.running_variance = (norm.running_variance - first) / (1 - first)
            norm.statistics = "stored"
        torch.testing.assert_close(model.eval()(graph).forces, trained, rtol=1e-7, atol=1e-7)


def test_the_locally_equivariant_first_layer_turns_with_the_system() -> None:
    model, graph = make(locally_equivariant=True).eval(), random_graph(1)
    layer = model.message_layers[0]
    assert isinstance(layer, DirectedLayer)
    rotation = random_rotation(torch.Generator().manual_seed(3))

    def vectors(system: AtomicGraph) -> torch.Tensor:
        rows = EdgeRows.of(system)
        features = model.norms[0](model.node_encoder(model.node_inputs(system)))
        return layer.vectors(features, [EncodedEdges.of(model.first_edge_encoder, rows.inputs[:, :-3])], [rows])

    with torch.no_grad():
        turned = vectors(rotate(graph, rotation))
        torch.testing.assert_close(turned, vectors(graph) @ rotation.T, rtol=1e-11, atol=1e-12)
        assert model(graph).forces.abs().sum() > 0


def test_learned_node_features_need_no_force_field() -> None:
    model, graph = make(node_features="embedding").eval(), random_graph(1)
    zeros = torch.zeros_like(graph.charges)
    without = replace(graph, charges=zeros, epsilons=zeros, sigmas=zeros)
    with torch.no_grad():
        assert torch.equal(model(graph).forces, model(without).forces)


def _side_by_side(one: AtomicGraph, other: AtomicGraph) -> AtomicGraph:
    """Two systems without edges between them, as one graph."""

    def join(name: str, offset: int = 0) -> torch.Tensor:
        a, b = getattr(one, name), getattr(other, name) + offset
        if a.shape[0] != one.edge_count:
            return torch.cat([a, b])
        h, k = one.edge_count // 2, other.edge_count // 2
        return torch.cat([a[:h], b[:k], a[h:], b[k:]])

    shifted = {name: join(name, one.atom_count) for name in ("center_index", "neighbor_index")}
    names = ("positions", "type_index", "charges", "epsilons", "sigmas", "cell_shift", "bond_kind", "graph_index")
    return replace(one, **{name: join(name) for name in names}, **shifted, forces=None)


def test_atoms_without_neighbors_get_finite_forces() -> None:
    graph = random_graph(1)
    alone = replace(
        graph,
        center_index=graph.center_index[:0],
        neighbor_index=graph.neighbor_index[:0],
        cell_shift=graph.cell_shift[:0],
        bond_kind=graph.bond_kind[:0],
    )
    for local in (False, True):
        model = GamdModel(GamdSettings(width=8, locally_equivariant=local), 2).to(graph.positions.dtype).eval()
        assert torch.isfinite(model(alone).forces).all()


def test_positions_may_have_more_digits_than_the_network_computes_with():
    graph = random_graph(1)
    single = graph.to(dtype=torch.float32)
    torch.manual_seed(0)
    model = GamdModel(GamdSettings(width=8), 2).eval()
    forces = model(replace(single, positions=graph.positions, cells=graph.cells, cell_shift=graph.cell_shift)).forces
    assert forces.dtype == torch.float32
    assert torch.allclose(forces, model(single).forces, rtol=1e-4, atol=1e-6)
