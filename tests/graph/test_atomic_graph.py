from dataclasses import replace

import numpy as np
import torch

from gnnformd.graph.build import build_graph, collate


def batch_of_two(make_water):
    small, large = make_water(2, seed=1), make_water(3, seed=2)
    tilted = replace(small, cell=np.array([[6.2, 0, 0], [1.5, 6.2, 0], [-1.0, 0.7, 6.2]]))
    return collate([build_graph(tilted, 3.0), build_graph(large, 3.0)])


def test_the_second_half_of_the_edges_mirrors_the_first(make_water):
    graph = batch_of_two(make_water)
    half = graph.edge_count // 2
    assert half > 100
    assert torch.equal(graph.center_index[:half], graph.neighbor_index[half:])
    assert torch.equal(graph.center_index[half:], graph.neighbor_index[:half])
    assert torch.equal(graph.cell_shift[half:], -graph.cell_shift[:half])
    assert torch.equal(graph.bond_kind[half:], graph.bond_kind[:half])


def test_edge_vectors_point_from_center_to_neighbor_in_every_edge(make_water):
    graph = batch_of_two(make_water)
    vectors = graph.edge_vectors()
    for e in range(0, graph.edge_count, 7):
        i, j = graph.center_index[e], graph.neighbor_index[e]
        cell = graph.cells[graph.graph_index[i]]
        expected = graph.positions[j] - graph.positions[i] + graph.cell_shift[e] @ cell
        torch.testing.assert_close(vectors[e], expected, atol=1e-14, rtol=0)
    assert vectors.norm(dim=1).max() < 3.0


def test_edge_vectors_are_differentiable_twice_in_positions_and_cells(make_water):
    graph = batch_of_two(make_water)
    crossing = graph.cell_shift[: graph.edge_count // 2].any(dim=1).nonzero()[:6, 0]
    half = torch.cat([torch.arange(6), crossing])
    mirrored = torch.cat([half, half + graph.edge_count // 2])
    names = ("center_index", "neighbor_index", "cell_shift", "bond_kind")
    few = replace(graph, **{name: getattr(graph, name)[mirrored] for name in names})

    def lengths(positions, cells):
        return replace(few, positions=positions, cells=cells).edge_vectors().norm(dim=1)

    inputs = (graph.positions.clone().requires_grad_(), graph.cells.clone().requires_grad_())
    assert torch.autograd.gradcheck(lengths, inputs)
    assert torch.autograd.gradgradcheck(lengths, inputs)


def test_the_floating_point_type_changes_and_integers_stay(make_water):
    graph = batch_of_two(make_water).to(dtype=torch.float32)
    floating = ("positions", "cells", "charges", "epsilons", "sigmas", "cell_shift", "forces", "virials")
    assert {getattr(graph, name).dtype for name in floating} == {torch.float32}
    assert graph.energies.dtype == torch.float64  # see `AtomicGraph.energies`
    integer = ("type_index", "center_index", "neighbor_index", "bond_kind", "graph_index")
    assert {getattr(graph, name).dtype for name in integer} == {torch.int64}
