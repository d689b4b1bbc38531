"""The seed's network: message passing after GAMD (Li et al., arXiv:2112.03383), forces read out directly."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.interface import ForceModel, Prediction
from gnnformd.model.layers import GraphNorm, Perceptron, sum_over_neighbors
from gnnformd.model.settings import SeedSettings

__all__ = ["SeedModel"]

BOND_KINDS = 3  # not in one molecule, bonded, farther along the molecule


class MessageLayer(nn.Module):
    """``x'_i = MLP( sum_j MLP( (x_i * x_j) || e_ji ) )`` with ``e = MLP(edge features)``.

    Evaluated in a form that is equal and cheaper: the last linear map of the message commutes with the sum over
    neighbors; the last linear map of the edge encoder and the first of the message are one matrix; ``x_i * x_j`` is
    the same for both directions of a pair, so its share of the first linear map is computed once per pair.
    """

    def __init__(self, edge_features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.edge_encoder = Perceptron(edge_features, width, width, dropout)
        self.message = Perceptron(2 * width, width, width, dropout)
        self.update = Perceptron(width, width, width, dropout)

    def forward(self, features: Tensor, edges: Tensor, graph: AtomicGraph) -> Tensor:
        """Features (N, F) and edge features (E, G) to new features (N, F)."""
        hidden = edge_messages(self.edge_encoder, self.message, features, edges, graph)  # (E, F)
        summed = sum_over_neighbors(hidden, graph)  # (N, F)
        degree = torch.bincount(graph.center_index, minlength=graph.atom_count)
        last = self.message.last
        total = linear(summed, last.weight) + degree[:, None].to(summed.dtype) * last.bias
        return self.update(total)  # type: ignore[no-any-return]


class DirectedLayer(nn.Module):
    """First layer of the locally equivariant variant: ``x'_i = MLP( sum_j s_ij u_ij )``, ``s`` one number per edge.

    The number sees kind of bond and distance but not the direction ``u_ij``, so the summed vector turns with the
    system.
    """

    def __init__(self, edge_features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.edge_encoder = Perceptron(edge_features, width, width, dropout)
        self.message = Perceptron(2 * width, 1, width, dropout)
        self.update = Perceptron(3, width, width, dropout)

    def vectors(self, features: Tensor, edges: Tensor, graph: AtomicGraph) -> Tensor:
        """``sum_j s_ij u_ij``, (N, 3)."""
        scalars, directions = edges[:, :-3], edges[:, -3:]
        hidden = edge_messages(self.edge_encoder, self.message, features, scalars, graph)
        return sum_over_neighbors(self.message.last(hidden) * directions, graph)

    def forward(self, features: Tensor, edges: Tensor, graph: AtomicGraph) -> Tensor:
        """Features (N, F) and edge features (E, G + 3), directions last, to new features (N, F)."""
        return self.update(self.vectors(features, edges, graph))  # type: ignore[no-any-return]


def edge_messages(
    edge_encoder: Perceptron, message: Perceptron, features: Tensor, edges: Tensor, graph: AtomicGraph
) -> Tensor:
    """Hidden values of the message before its last linear map, (E, F)."""
    half = graph.edge_count // 2
    first, last = message.first, edge_encoder.last
    width = features.shape[1]
    on_product, on_edge = first.weight[:, :width], first.weight[:, width:]
    center, neighbor = graph.center_index[:half], graph.neighbor_index[:half]
    product = features.index_select(0, center) * features.index_select(0, neighbor)  # (E/2, F)
    encoded = edge_encoder.hidden_from(edge_encoder.first(edges))  # (E, F)
    encoded = linear(encoded, on_edge @ last.weight, first.bias + on_edge @ last.bias)  # (E, F)
    both = encoded.view(2, half, width) + linear(product, on_product)  # (2, E/2, F)
    return message.hidden_from(both.flatten(0, 1))


class SeedModel(ForceModel):
    """The network of the seed, to the letter.

    Nodes carry charge, epsilon and sigma (or a learned vector per type); edges carry the kind of bond as one-hot, the
    distance and the unit vector. Node encoder, ``layers`` message-passing layers with GraphNorm before each, decoder
    to the force. Only the first layer sees the kind of bond; all but the first are residual. Invariant under
    translation and permutation; *not* equivariant under rotation (training rotates the data instead) and not
    conservative.

    Parameters
    ----------
    settings
        See `SeedSettings`.
    type_count
        Number of atom types, used by learned node features only.
    """

    conservative = False

    def __init__(self, settings: SeedSettings, type_count: int) -> None:
        super().__init__()
        self.settings = settings
        self.cutoff, self.layers = settings.cutoff, settings.layers
        width, drop = settings.width, settings.dropout
        self.embedding = nn.Embedding(type_count, 3) if settings.node_features == "embedding" else None
        self.node_encoder = Perceptron(3, width, width, drop)
        self.norms = nn.ModuleList([GraphNorm(width, settings.statistics) for _ in range(settings.layers)])
        if settings.locally_equivariant:
            first: nn.Module = DirectedLayer(BOND_KINDS + 1, width, drop)
        else:
            first = MessageLayer(BOND_KINDS + 4, width, drop)
        self.message_layers = nn.ModuleList([first])
        self.message_layers.extend(MessageLayer(4, width, drop) for _ in range(settings.layers - 1))
        self.decoder = Perceptron(width, 3, width, drop)

    def forward(self, graph: AtomicGraph) -> Prediction:
        """Predict the force on every atom."""
        geometry = self.edge_geometry(graph)  # (E, 4)
        kind = graph.bond_kind.clamp(max=BOND_KINDS - 1)
        one_hot = nn.functional.one_hot(kind, BOND_KINDS).to(geometry.dtype)
        edges = torch.cat([one_hot, geometry], dim=1)  # (E, 7)
        features = self.node_encoder(self.node_inputs(graph))  # (N, F)
        features = self.message_layers[0](self.norms[0](features, graph), edges, graph)
        for norm, layer in zip(self.norms[1:], self.message_layers[1:], strict=True):
            features = features + layer(norm(features, graph), geometry, graph)
        return Prediction(forces=self.decoder(features))

    def node_inputs(self, graph: AtomicGraph) -> Tensor:
        """Charge, epsilon and sigma of each atom, or its learned vector, (N, 3)."""
        if self.embedding is not None:
            return self.embedding(graph.type_index)  # type: ignore[no-any-return]
        return torch.stack([graph.charges, graph.epsilons, graph.sigmas], dim=1)

    def edge_geometry(self, graph: AtomicGraph) -> Tensor:
        """Distance and unit vector of each edge, (E, 4)."""
        vectors = graph.edge_vectors()  # (E, 3)
        distance = vectors.norm(dim=1, keepdim=True)  # (E, 1)
        return torch.cat([distance, vectors / distance], dim=1)
