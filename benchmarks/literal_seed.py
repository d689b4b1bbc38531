"""The GAMD network written as its equations stand, without regard to speed: the yardstick of speed and exactness."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.gamd.layers import GraphNorm, Perceptron
from gnnformd.model.gamd.network import GamdModel


def perceptron(part: Perceptron, values: Tensor) -> Tensor:
    """Linear PReLU, twice [Dropout, Linear without bias, PReLU], Linear."""
    values = nn.functional.prelu(part.first(values), part.slopes[0])
    for linear, slope in zip(part.middle, part.slopes[1:], strict=True):
        values = nn.functional.dropout(values, part.dropout, part.training)
        values = nn.functional.prelu(linear(values), slope)
    return part.last(values)


def graph_norm(part: GraphNorm, features: Tensor) -> Tensor:
    """With moments over all atoms of the batch."""
    centered = features - part.share * features.mean(0)
    return part.gain * centered / (centered.square().mean(0) + 1e-5).sqrt() + part.bias


def literal_forces(model: GamdModel, graph: AtomicGraph) -> Tensor:
    """``x'_i = MLP( sum_j MLP( (x_i * x_j) || e_ji ) )`` layer by layer, with the weights of ``model``, (N, 3)."""
    shift = torch.einsum("ea,eab->eb", graph.cell_shift, graph.cells[graph.graph_index[graph.center_index]])
    vectors = graph.positions[graph.neighbor_index] - graph.positions[graph.center_index] + shift  # (E, 3)
    distance = vectors.norm(dim=1, keepdim=True)
    geometry = torch.cat([distance, vectors / distance], dim=1)  # (E, 4)
    one_hot = torch.eye(3, dtype=geometry.dtype, device=geometry.device)[graph.bond_kind]
    x = perceptron(model.node_encoder, torch.stack([graph.charges, graph.epsilons, graph.sigmas], dim=1))
    for k, (norm, layer) in enumerate(zip(model.norms, model.message_layers, strict=True)):
        normed = graph_norm(norm, x)
        encoder = model.first_edge_encoder if k == 0 else model.edge_encoder
        edges = perceptron(encoder, torch.cat([one_hot, geometry], dim=1) if k == 0 else geometry)
        product = normed[graph.center_index] * normed[graph.neighbor_index]  # (E, F)
        messages = perceptron(layer.message, torch.cat([product, edges], dim=1))  # (E, F)
        summed = torch.zeros_like(x).index_add(0, graph.center_index, messages)
        new = perceptron(layer.update, summed)
        x = new if k == 0 else (x if model.plain_residual else normed) + new
    return perceptron(model.decoder, x)
