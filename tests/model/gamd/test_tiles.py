"""Edges in blocks of bfloat16 numbers against the plain equations in float64; skipped without instructions for them."""

import copy

import numpy as np
import pytest
import torch
from tests.model.conftest import random_graph
from torch import Tensor

from gnnformd.model.gamd.layers import Perceptron
from gnnformd.model.gamd.network import GamdModel
from gnnformd.model.gamd.tiles.blocks import PAIRS
from gnnformd.model.gamd.tiles.edges import encoded, summed_messages
from gnnformd.model.gamd.tiles.products import has_products
from gnnformd.model.settings import GamdSettings
from gnnformd.training.loss import absolute_error_per_axis

pytestmark = pytest.mark.skipif(not has_products(), reason="this processor does not multiply bfloat16 numbers")

WIDTH, EDGES, ATOMS = 64, 1024, 40


def gap(mine: Tensor, theirs: Tensor) -> float:
    """Size of a difference over the size of what is right."""
    return float((mine.double() - theirs.double()).detach().norm() / theirs.detach().double().norm())


def parameters_of(part: Perceptron) -> list[Tensor]:
    return [*(layer.weight for layer in part.middle), *part.slopes]


def sample(dropout: float) -> tuple[Perceptron, list[Tensor], tuple[Tensor, Tensor, int], Tensor]:
    """A perceptron, features, hidden values and first maps, pairs of which some fill up, and weights of the result."""
    torch.manual_seed(0)
    part = Perceptron(2 * WIDTH, WIDTH, WIDTH, dropout)
    sizes = ((ATOMS, WIDTH), (EDGES, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH,))
    values = [(torch.randn(size) / (8 if size[0] == WIDTH else 1)).requires_grad_() for size in sizes]
    pairs = torch.randint(ATOMS, (EDGES // 2,)), torch.randint(ATOMS, (EDGES // 2,)), EDGES // 2 - 37
    return part, values, pairs, torch.randn(ATOMS, WIDTH)


def summed(part: Perceptron, values: list[Tensor], pairs: tuple[Tensor, Tensor, int]) -> Tensor:
    """The sum of messages as its equations stand."""
    features, hidden, on_edge, on_product, bias = values
    center, neighbor, count = pairs
    product = features[center] * features[neighbor]
    both = (hidden @ on_edge.T).unflatten(0, (2, -1)) + product @ on_product.T + bias
    one, other = part.hidden_from(both.flatten(0, 1)).unflatten(0, (2, -1))[:, :count]
    zeros = torch.zeros_like(features)
    return zeros.index_add(0, center[:count], one).index_add(0, neighbor[:count], other)


def test_the_encoding_of_edges_is_that_of_the_perceptron_to_16_bits_and_its_gradients_to_8() -> None:
    torch.manual_seed(0)
    part, inputs = Perceptron(7, WIDTH, WIDTH, 0.0), torch.randn(EDGES, 7)
    exact, weights = copy.deepcopy(part).double(), torch.randn(EDGES, WIDTH)
    mine, theirs = encoded(part, inputs), exact.hidden_from(exact.first(inputs.double()))
    assert gap(mine, theirs) < 2**-15
    ours = [part.first.weight, part.first.bias, *parameters_of(part)]
    plain = [exact.first.weight, exact.first.bias, *parameters_of(exact)]
    found = torch.autograd.grad((mine * weights).sum(), ours)
    expected = torch.autograd.grad((theirs * weights).sum(), plain)
    scale = expected[4].abs()  # gradients of slopes are sums that may cancel
    for one, other in zip(found[:4], expected[:4], strict=True):
        assert gap(one, other) < 0.01
    for one, other in zip(found[4:], expected[4:], strict=True):
        assert abs(one - other) < 0.01 * scale


def test_summed_messages_are_those_of_the_equations() -> None:
    part, values, pairs, weights = sample(0.0)
    exact, same = copy.deepcopy(part).double(), [value.detach().double().requires_grad_() for value in values]
    mine, theirs = (
        summed_messages(part, values[0], values[1], (values[2], values[3], values[4]), pairs),
        summed(exact, same, pairs),
    )
    assert gap(mine, theirs) < 2**-15
    found = torch.autograd.grad((mine * weights).sum(), [*values, *parameters_of(part)])
    expected = torch.autograd.grad((theirs * weights).sum(), [*same, *parameters_of(exact)])
    for one, other in zip(found[:-3], expected[:-3], strict=True):
        assert gap(one, other) < 0.02
    for one, other in zip(found[-3:], expected[-3:], strict=True):
        assert abs(one - other) < 0.01 * expected[-1].abs()


def test_pairs_that_fill_up_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that nobody wrote to may hold anything."""
    part, values, pairs, weights = sample(0.1)

    def dirty(edges: int, width: int) -> np.ndarray:
        return np.full((edges // (2 * PAIRS), 3, 2 * PAIRS, width), 0xFF80, np.uint16)  # minus infinity

    found = []
    for spoil in (False, True):
        if spoil:
            monkeypatch.setattr("gnnformd.model.gamd.tiles.edges._marks", dirty)
        torch.manual_seed(1)
        out = summed_messages(part, values[0], values[1], (values[2], values[3], values[4]), pairs)
        found.append(torch.autograd.grad((out * weights).sum(), [*values, *parameters_of(part)]))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_dropped_values_have_no_gradient_and_as_many_are_dropped_as_the_rate_says() -> None:
    """Through maps that are the identity, hidden values come out as they went in, where they were not dropped."""
    part = Perceptron(WIDTH, WIDTH, WIDTH, 0.3)
    with torch.no_grad():
        part.first.weight.copy_(torch.eye(WIDTH))
        part.first.bias.zero_()
        for layer in part.middle:
            layer.weight.copy_(torch.eye(WIDTH))
    inputs = torch.rand(64 * 256, WIDTH) + 0.5
    torch.manual_seed(3)
    out = encoded(part, inputs)
    kept = out != 0
    torch.testing.assert_close(out[kept], (inputs / 0.49)[kept], rtol=1e-4, atol=0)  # twice over 1 - 0.3
    dropped = (~kept).double()
    assert abs(dropped.mean().item() - 0.51) < 5 * (0.25 / dropped.numel()) ** 0.5
    for axis in (0, 1):
        spread = (0.2499 / dropped.shape[axis]) ** 0.5
        assert (dropped.mean(axis) - 0.51).abs().max() < 6 * spread
        assert abs(dropped.mean(axis).std().item() / spread - 1) < 0.25
    one, other = dropped.unflatten(0, (2, -1))  # the two ways of a pair, for which one hash decides
    assert abs((one * other).mean().item() - 0.51**2) < 0.005
    (gradient,) = torch.autograd.grad(out.sum(), part.first.bias)
    assert gap(gradient, kept.sum(0) / 0.49) < 0.005
    torch.manual_seed(3)
    assert torch.equal(encoded(part, inputs), out)
    assert not torch.equal(encoded(part, inputs), out)
    part.eval()
    torch.testing.assert_close(encoded(part, inputs), inputs, rtol=1e-4, atol=0)


@pytest.mark.parametrize("locally_equivariant", [False, True])
def test_the_network_says_the_same_in_tiles(locally_equivariant: bool) -> None:
    torch.manual_seed(0)
    model = GamdModel(GamdSettings(width=32, locally_equivariant=locally_equivariant), 2).eval()
    graph = random_graph(24, dtype=torch.float32)  # many: rounding of single terms averages out
    results = []
    for exact in (False, True):
        network, system = (copy.deepcopy(model).double(), graph.to(dtype=torch.float64)) if exact else (model, graph)
        for part in network.modules():
            if isinstance(part, Perceptron):
                part.round_gradients = not exact
                assert part.in_tiles(system.charges) is not exact
        forces = network(system).forces
        loss = absolute_error_per_axis(forces, system).sum()
        results.append((forces, torch.autograd.grad(loss, list(network.parameters()))))
    (mine, gradients), (theirs, right) = results
    assert gap(mine, theirs) < 1e-4
    assert gap(torch.cat([g.flatten() for g in gradients]), torch.cat([g.flatten() for g in right])) < 0.03
    largest = max(float(value.norm()) for value in right)
    for one, other in zip(gradients, right, strict=True):  # of some, large terms cancel behind GraphNorm
        assert (one.double() - other).norm() < 0.2 * other.norm() + 3e-3 * largest
