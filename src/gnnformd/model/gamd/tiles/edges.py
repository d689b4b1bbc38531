"""The loops over blocks of edges as differentiable functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from gnnformd.model.gamd.tiles.amx import TILES
from gnnformd.model.gamd.tiles.blocks import PAIRS
from gnnformd.model.gamd.tiles.encode import decode_edges, encode_edges
from gnnformd.model.gamd.tiles.messages import message_edges, unmessage_edges
from gnnformd.model.gamd.tiles.products import packed

if TYPE_CHECKING:
    from gnnformd.model.gamd.layers import Perceptron

__all__ = ["encoded", "summed_messages"]

Numbers = tuple[NDArray[np.float32], np.uint32, np.float32]


def encoded(part: Perceptron, inputs: Tensor) -> Tensor:
    """Hidden values of a perceptron before its last linear map, (E, G) to (E, F).

    Parameters
    ----------
    part
        Its width is a multiple of 32.
    inputs
        float32, without gradient; E is a multiple of ``2 PAIRS``, the second half mirrors the first.
    """
    weights = (part.first.weight, part.first.bias, *(layer.weight for layer in part.middle), *part.slopes)
    result: Tensor = _Encoded.apply(inputs, part.dropout if part.training else 0.0, *weights)  # type: ignore[no-untyped-call]
    return result


def summed_messages(
    part: Perceptron,
    features: Tensor,
    hidden: Tensor,
    maps: tuple[Tensor, Tensor, Tensor],
    pairs: tuple[Tensor, Tensor, int],
) -> Tensor:
    """Sum over neighbors of hidden values of the message, before its last linear map, (N, F).

    Parameters
    ----------
    part
        The perceptron of the message.
    features
        Of the atoms, (N, F).
    hidden
        Of the edges, (E, F), from `encoded`.
    maps
        Matrices on hidden values of the edge and on the product of features, (F, F), and the bias, (F,).
    pairs
        Center and neighbor of each pair, (E/2,), and how many pairs there are; the others fill up.
    """
    weights = (*maps, *(layer.weight for layer in part.middle), *part.slopes)
    rate = part.dropout if part.training else 0.0
    result: Tensor = _SummedMessages.apply(features, hidden, pairs, rate, *weights)  # type: ignore[no-untyped-call]
    return result


def _numbers(slopes: tuple[Tensor, ...], rate: float) -> Numbers:
    threshold = round(rate * 2**16)
    values = np.array([slope.item() for slope in slopes], np.float32)
    return values, np.uint32(threshold), np.float32(2**16 / (2**16 - threshold))


def _seed(rate: float) -> np.uint32:
    return np.uint32(torch.randint(2**31, ()).item() if rate else 0)


def _forth(*matrices: Tensor) -> tuple[NDArray[np.uint32], ...]:
    """Large and small parts of linear maps as right factors."""
    return tuple(part for matrix in matrices for part in packed(matrix.T))


def _back(*matrices: Tensor) -> tuple[NDArray[np.uint32], ...]:
    """Large parts of linear maps, in the other direction."""
    return tuple(packed(matrix)[0] for matrix in matrices)


def _marks(edges: int, width: int) -> NDArray[np.uint16]:
    return torch.empty(edges // (2 * PAIRS), 3, 2 * PAIRS, width, dtype=torch.int16).numpy().view(np.uint16)


def _array(tensor: Tensor) -> NDArray[Any]:
    values: NDArray[Any] = tensor.detach().contiguous().numpy()
    return values


def _total(*values: NDArray[Any]) -> list[Tensor]:
    """Sum over threads."""
    return [torch.from_numpy(value[0] if len(value) == 1 else value.sum(0)) for value in values]


class _Encoded(Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, rate: float, *weights: Tensor) -> Tensor:
        first, bias, *middle = weights[:4]
        numbers, marks = _numbers(weights[4:], rate), _marks(len(inputs), len(bias))
        hidden = torch.zeros(len(inputs), len(bias))
        values = _array(inputs)
        encode_edges(
            values,
            _array(first.T),
            _array(bias),
            _forth(*middle),
            numbers,
            _seed(rate),
            marks,
            hidden.numpy(),
            TILES,
            numba.get_num_threads(),
        )
        ctx.kept = values, numbers, marks, middle
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, numbers, marks, middle = ctx.kept
        lanes, width = numba.get_num_threads(), marks.shape[-1]
        shapes = ((inputs.shape[1], width), (width,), (2, width, width), (3,))
        out = [np.zeros((lanes, *shape), np.float32) for shape in shapes]
        decode_edges(inputs, _array(gradients[0]), _back(*middle), numbers, marks, *out, TILES)
        first, bias, maps, slopes = _total(*out)
        return None, None, first.T, bias, maps[0].T, maps[1].T, *slopes[:, None]


class _SummedMessages(Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, hidden: Tensor, pairs: tuple[Tensor, Tensor, int], rate: float, *weights: Tensor
    ) -> Tensor:
        on_edge, on_product, bias, *middle = weights[:5]
        numbers, marks = _numbers(weights[5:], rate), _marks(*hidden.shape)
        lanes = numba.get_num_threads()
        totals = torch.zeros(lanes, *features.shape)
        known = _array(hidden), _array(features), (_array(pairs[0]), _array(pairs[1]), pairs[2])
        weights_forth = _forth(on_edge, on_product, *middle)
        message_edges(*known, weights_forth, _array(bias), numbers, _seed(rate), marks, totals.numpy(), TILES)
        ctx.kept = known, numbers, marks, (on_edge, on_product, *middle)
        return totals[0] if lanes == 1 else totals.sum(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        known, numbers, marks, matrices = ctx.kept
        hidden, features, _ = known
        lanes, width = numba.get_num_threads(), features.shape[1]
        of_hidden = torch.empty(hidden.shape)
        shapes = (features.shape, (4, width, width), (width,), (3,))
        out = tuple(np.zeros((lanes, *shape), np.float32) for shape in shapes)
        unmessage_edges(*known, _array(gradients[0]), _back(*matrices), numbers, marks, of_hidden.numpy(), out, TILES)
        of_features, maps, bias, slopes = _total(*out)
        return of_features, of_hidden, None, None, maps[0].T, maps[1].T, bias, maps[2].T, maps[3].T, *slopes[:, None]
