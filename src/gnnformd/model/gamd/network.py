"""The GAMD network: message passing after GAMD (Li et al., arXiv:2112.03383), forces read out directly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.gamd.layers import GraphNorm, Perceptron
from gnnformd.model.gamd.tiles.edges import encoded, summed_messages
from gnnformd.model.interface import ForceModel, Prediction
from gnnformd.model.settings import GamdSettings, ModelSettings, PlainResidualSettings

__all__ = ["GamdModel"]

ROWS = 256  # pairs are filled up to a multiple of this number
BOND_KINDS = 3  # not in one molecule, bonded, farther along the molecule


@dataclass(frozen=True)
class EdgeRows:
    """The edges of one graph, or of a batch, as rows of matrices, filled up to a round number of rows.

    The libraries behind matrix products prepare code for each new size, which takes longer than a product; with round
    numbers the sizes repeat from frame to frame. Rows that fill up are added to an atom that does not exist.

    Attributes
    ----------
    center, neighbor
        Atoms of each pair, (P,).
    receiver
        Center of each directed edge, N for rows that fill up, (2P,).
    pair_count
        Pairs that do not fill up.
    degree
        Neighbors of each atom, (N, 1).
    inputs
        Kind of bond as one-hot, distance and unit vector, (2P, K + 4).
    """

    center: Tensor
    neighbor: Tensor
    receiver: Tensor
    pair_count: int
    degree: Tensor
    inputs: Tensor

    @property
    def geometry(self) -> Tensor:
        """Distance and unit vector, (2P, 4)."""
        return self.inputs[:, BOND_KINDS:]

    @property
    def atom_count(self) -> int:
        """N."""
        return self.degree.shape[0]

    @classmethod
    def of(cls, graph: AtomicGraph) -> EdgeRows:
        """Lay out the edges of a graph or batch."""
        inputs = _edge_inputs(graph)
        center, neighbor, _, _ = graph.half_edges
        return cls._filled(center, neighbor, inputs.view(2, len(center), inputs.shape[1]), graph.atom_count)

    @classmethod
    def of_each(cls, graph: AtomicGraph) -> list[EdgeRows]:
        """Lay out the edges of the graphs of a batch, whose atoms and pairs follow one another."""
        center, neighbor, _, _ = graph.half_edges
        inputs = _edge_inputs(graph)
        pairs = torch.bincount(graph.graph_of_half_edge, minlength=graph.graph_count).tolist()
        atoms = graph.atoms_per_graph.tolist()
        first_atom = accumulate(atoms, initial=0)
        columns = (torch.split(center, pairs), torch.split(neighbor, pairs))
        return [
            cls._filled(center - first, neighbor - first, part, count)
            for center, neighbor, part, first, count in zip(
                *columns,
                torch.split(inputs.view(2, len(center), inputs.shape[1]), pairs, dim=1),
                first_atom,
                atoms,
                strict=False,
            )
        ]

    @classmethod
    def _filled(cls, center: Tensor, neighbor: Tensor, inputs: Tensor, atoms: int) -> EdgeRows:
        """Fill up pairs and their inputs, (2, P, K + 4)."""
        fill = -len(center) % ROWS
        degree = torch.bincount(torch.cat([center, neighbor]), minlength=atoms)
        return cls(
            center=pad(center, (0, fill)),
            neighbor=pad(neighbor, (0, fill)),
            receiver=torch.cat([pad(center, (0, fill), value=atoms), pad(neighbor, (0, fill), value=atoms)]),
            pair_count=len(center),
            degree=degree[:, None].to(inputs.dtype),
            inputs=pad(inputs, (0, 0, 0, fill)).flatten(0, 1),
        )

    def sum_over_neighbors(self, messages: Tensor) -> Tensor:
        """``sum_j m_ij`` for every center i: (2P, F) to (N, F)."""
        zeros = messages.new_zeros(self.atom_count + 1, messages.shape[1])
        return zeros.index_add(0, self.receiver, messages)[: self.atom_count]


def _edge_inputs(graph: AtomicGraph) -> Tensor:
    """Kind of bond as one-hot, distance and unit vector of each edge, (E, K + 4)."""
    vectors = graph.edge_vectors().to(graph.charges.dtype)  # (E, 3); positions may have more digits
    distance = vectors.norm(dim=1, keepdim=True)  # (E, 1)
    kind = nn.functional.one_hot(graph.bond_kind.clamp(max=BOND_KINDS - 1), BOND_KINDS)
    return torch.cat([kind.to(vectors.dtype), distance, vectors / distance], dim=1)


@dataclass(frozen=True)
class EncodedEdges:
    """``e = MLP(edge features)``, with the last linear map still to do: the message does it with its own first.

    Attributes
    ----------
    hidden
        Values before the last linear map, (2P, F).
    last
        The last linear map.
    """

    hidden: Tensor
    last: nn.Linear

    @classmethod
    def of(cls, encoder: Perceptron, inputs: Tensor) -> EncodedEdges:
        """Encode edge features (2P, G)."""
        if encoder.in_tiles(inputs) and not inputs.requires_grad:
            return cls(encoded(encoder, inputs), encoder.last)
        return cls(encoder.hidden_from(encoder.first(inputs)), encoder.last)


class MessageLayer(nn.Module):
    """``x'_i = MLP( sum_j MLP( (x_i * x_j) || e_ji ) )`` with ``e = MLP(edge features)``.

    Evaluated in a form that is equal and cheaper: the last linear map of the message commutes with the sum over
    neighbors; the last linear map of the edge encoder and the first of the message are one matrix; ``x_i * x_j`` is
    the same for both directions of a pair, so its share of the first linear map is computed once per pair.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.message = Perceptron(2 * width, width, width, dropout)
        self.update = Perceptron(width, width, width, dropout)

    def forward(self, features: Tensor, edges: list[EncodedEdges], rows: list[EdgeRows]) -> Tensor:
        """Features (N, F) and the encoded edges of each part of the batch to new features (N, F)."""
        summed, last = sum_of_messages(self.message, features, edges, rows), self.message.last
        degree = torch.cat([part.degree for part in rows])
        return self.update(linear(summed, last.weight) + degree * last.bias)  # type: ignore[no-any-return]


class DirectedLayer(nn.Module):
    """First layer of the locally equivariant variant: ``x'_i = MLP( sum_j s_ij u_ij )``, ``s`` one number per edge.

    The number sees kind of bond and distance but not the direction ``u_ij``, so the summed vector turns with the
    system.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.message = Perceptron(2 * width, 1, width, dropout)
        self.update = Perceptron(3, width, width, dropout)

    def vectors(self, features: Tensor, edges: list[EncodedEdges], rows: list[EdgeRows]) -> Tensor:
        """``sum_j s_ij u_ij``, (N, 3)."""
        return sum_of_messages(
            self.message, features, edges, rows, lambda hidden, part: self.message.last(hidden) * part.inputs[:, -3:]
        )

    def forward(self, features: Tensor, edges: list[EncodedEdges], rows: list[EdgeRows]) -> Tensor:
        """Features (N, F) and edges encoded without their directions to new features (N, F)."""
        return self.update(self.vectors(features, edges, rows))  # type: ignore[no-any-return]


def sum_of_messages(
    message: Perceptron,
    features: Tensor,
    edges: list[EncodedEdges],
    rows: list[EdgeRows],
    finish: Callable[[Tensor, EdgeRows], Tensor] | None = None,
) -> Tensor:
    """Sum over neighbors of hidden values of the message, or of what ``finish`` makes of them, part by part, (N, F).

    The parts are the frames of a batch on a processor, whose caches hold the values of the edges of one frame but not
    of many.
    """
    of_part = torch.split(features, [part.atom_count for part in rows])
    sums = []
    for own, hidden, part in zip(of_part, edges, rows, strict=True):
        if finish is None and message.in_tiles(own):
            pairs = part.center, part.neighbor, part.pair_count
            sums.append(summed_messages(message, own, hidden.hidden, first_maps(message, hidden.last), pairs))
            continue
        messages = edge_messages(message, own, hidden, part)
        sums.append(part.sum_over_neighbors(messages if finish is None else finish(messages, part)))
    return torch.cat(sums)


def first_maps(message: Perceptron, last: nn.Linear) -> tuple[Tensor, Tensor, Tensor]:
    """First map of the message on hidden values of the edge and on the product of features, and its bias."""
    first, width = message.first, last.out_features
    on_product, on_edge = first.weight[:, :width], first.weight[:, width:]
    return on_edge @ last.weight, on_product, first.bias + on_edge @ last.bias


def edge_messages(message: Perceptron, features: Tensor, edges: EncodedEdges, rows: EdgeRows) -> Tensor:
    """Hidden values of the message before its last linear map, (2P, F)."""
    on_edge, on_product, bias = first_maps(message, edges.last)
    product = features.index_select(0, rows.center) * features.index_select(0, rows.neighbor)  # (P, F)
    from_edge = message.linear(edges.hidden, on_edge, bias)  # (2P, F)
    both = from_edge.view(2, *product.shape) + message.linear(product, on_product)  # (2, P, F)
    return message.hidden_from(both.flatten(0, 1))


class GamdModel(ForceModel):
    """The network of the original study.

    Nodes carry charge, epsilon and sigma (or a learned vector per type); edges carry the kind of bond as one-hot, the
    distance and the unit vector. Node encoder, ``layers`` message-passing layers with GraphNorm before each, decoder
    to the force. Only the first layer sees the kind of bond; the others share an encoding of distance and direction
    alone, and are residual: ``x <- norm(x)``, then ``x <- x + layer(x)``. At the defaults it has 644 769 weights, as
    the original code has. Invariant under translation and permutation; *not* equivariant under rotation
    (training rotates the data instead) and not conservative.

    Parameters
    ----------
    settings
        See `GamdSettings`.
    type_count
        Number of atom types, used by learned node features only.
    """

    conservative = False

    def __init__(self, settings: GamdSettings, type_count: int) -> None:
        super().__init__()
        self.settings = settings
        self.plain_residual = isinstance(settings, PlainResidualSettings)
        self.cutoff, self.layers = settings.cutoff, settings.layers
        width, drop = settings.width, settings.dropout
        self.embedding = nn.Embedding(type_count, 3) if settings.node_features == "embedding" else None
        self.node_encoder = Perceptron(3, width, width, drop)
        self.norms = nn.ModuleList([GraphNorm(width, settings.statistics) for _ in range(settings.layers)])
        self.first_edge_inputs = BOND_KINDS + (1 if settings.locally_equivariant else 4)
        self.first_edge_encoder = Perceptron(self.first_edge_inputs, width, width, drop)
        self.edge_encoder = Perceptron(4, width, width, drop) if settings.layers > 1 else None
        first = DirectedLayer(width, drop) if settings.locally_equivariant else MessageLayer(width, drop)
        self.message_layers = nn.ModuleList([first])
        self.message_layers.extend(MessageLayer(width, drop) for _ in range(settings.layers - 1))
        self.decoder = Perceptron(width, 3, width, drop)

    @classmethod
    def from_settings(cls, settings: ModelSettings, type_count: int) -> GamdModel:
        """See `ForceModel.from_settings`."""
        assert isinstance(settings, GamdSettings)
        return cls(settings, type_count)

    @classmethod
    def unreadable(cls, settings: ModelSettings, version: int) -> str | None:
        """See `ForceModel.unreadable`."""
        if version < 3 and settings.layers > 2:
            return "is a network of more than two layers as they were up to model format version 2"
        return None

    @classmethod
    def renamed_weight(cls, name: str, version: int) -> str:
        """See `ForceModel.renamed_weight`."""
        if version < 3:
            name = name.replace("message_layers.0.edge_encoder.", "first_edge_encoder.")
            name = name.replace("message_layers.1.edge_encoder.", "edge_encoder.")
        return name

    @property
    def indivisible(self) -> str | None:
        """Stored statistics let it be cut: forces on owned atoms are right, those on others are not."""
        return None if self.settings.statistics == "stored" else "GraphNorm averages over all atoms"

    @property
    def batch_wide(self) -> bool:
        """GraphNorm averages over the atoms of a batch, in training always."""
        return self.training or self.settings.statistics == "batch"

    def forward(self, graph: AtomicGraph, fixed: Prediction | None = None) -> Prediction:
        """Predict the force on every atom."""
        on_processor, in_tiles = graph.positions.device.type == "cpu", self.decoder.in_tiles(graph.charges)
        rows = EdgeRows.of_each(graph) if on_processor and not in_tiles else [EdgeRows.of(graph)]
        features = self.node_encoder(self.node_inputs(graph))  # (N, F)
        inputs = self.first_edge_inputs
        edges = [EncodedEdges.of(self.first_edge_encoder, part.inputs[:, :inputs]) for part in rows]
        features = self.message_layers[0](self.norms[0](features), edges, rows)
        if self.edge_encoder is not None:
            edges = [EncodedEdges.of(self.edge_encoder, part.geometry) for part in rows]
            for norm, layer in zip(self.norms[1:], self.message_layers[1:], strict=True):
                normalized = norm(features)
                given = features if self.plain_residual else normalized
                features = given + layer(normalized, edges, rows)
        return Prediction(forces=self.decoder(features))

    def node_inputs(self, graph: AtomicGraph) -> Tensor:
        """Charge, epsilon and sigma of each atom, or its learned vector, (N, 3)."""
        if self.embedding is not None:
            return self.embedding(graph.type_index)  # type: ignore[no-any-return]
        return torch.stack([graph.charges, graph.epsilons, graph.sigmas], dim=1)
