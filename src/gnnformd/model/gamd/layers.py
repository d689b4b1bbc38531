"""Building blocks: the perceptron of the original study and GraphNorm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnformd.model.gamd.rounded_linear import rounded_linear
from gnnformd.model.gamd.tiles.products import has_products

__all__ = ["GraphNorm", "Perceptron"]


class Perceptron(nn.Module):
    """Linear(in, width) PReLU, twice [Dropout, Linear(width, width) without bias, PReLU], Linear(width, out).

    Matrices start as Xavier uniform, biases as PyTorch draws them. The parts are public because callers fold the last
    linear map into what follows (it commutes with a sum) and the first into what precedes.

    Parameters
    ----------
    inputs, outputs
        Sizes of the first and last axis.
    width
        Size of the hidden axes.
    dropout
        Share of hidden values set to zero in training.

    Attributes
    ----------
    round_gradients
        Compute the gradients of the wide linear maps from bfloat16 numbers; training sets it. Where a processor
        has instructions for them, edges then take `gnnformd.model.gamd.tiles`.
    """

    def __init__(self, inputs: int, outputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.round_gradients = False
        self.first = nn.Linear(inputs, width)
        self.middle = nn.ModuleList([nn.Linear(width, width, bias=False) for _ in range(2)])
        self.last = nn.Linear(width, outputs)
        self.slopes = nn.ParameterList([torch.full((1,), 0.25) for _ in range(3)])
        for linear in (self.first, *self.middle, self.last):
            nn.init.xavier_uniform_(linear.weight)

    def in_tiles(self, values: Tensor) -> bool:
        """Whether the loops of `gnnformd.model.gamd.tiles` compute hidden values from these."""
        width = self.first.out_features
        suits = self.round_gradients and values.device.type == "cpu" and values.dtype == torch.float32
        return suits and width % 32 == 0 and not torch.is_autocast_enabled("cpu") and has_products()

    def hidden_from(self, values: Tensor) -> Tensor:
        """Everything between the first linear map and the last: values (..., width) to (..., width)."""
        from gnnformd.model.gamd.prelu_dropout import prelu_dropout  # loads numba

        rate = self.dropout if self.training else 0.0
        values = prelu_dropout(values, self.slopes[0], rate)
        for layer, slope, after in zip(self.middle, self.slopes[1:], (rate, 0.0), strict=True):
            assert isinstance(layer, nn.Linear)
            values = prelu_dropout(self.linear(values, layer.weight), slope, after)
        return values

    def linear(self, values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Map hidden values linearly, (rows, in) to (rows, out)."""
        if self.round_gradients:
            return rounded_linear(values, weight, bias)
        return nn.functional.linear(values, weight, bias)

    def forward(self, values: Tensor) -> Tensor:
        """Values (..., in) to (..., out)."""
        return self.last(self.hidden_from(self.first(values)))  # type: ignore[no-any-return]


class GraphNorm(nn.Module):
    """Normalization over all atoms of a batch, with a learned share of the mean removed.

    ``y = gain * (x - share * mean) / sqrt(variance + 1e-5) + bias``, per feature, with the mean over the atoms of all
    graphs of the batch together and ``variance = mean((x - share * mean)**2)``. Source: Cai et al., GraphNorm,
    arXiv:2009.03294, where each graph has its own moments; the original study takes those of the batch.

    In training the moments of the batches are averaged; with ``statistics='stored'`` these averages stand in for the
    batch's own outside training, so that the result for an atom does not depend on atoms far away.
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, width: int, statistics: str, momentum: float = 0.01) -> None:
        super().__init__()
        self.statistics = statistics
        self.momentum = momentum
        self.gain = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.share = nn.Parameter(torch.ones(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_variance", torch.ones(width))

    def forward(self, features: Tensor) -> Tensor:
        """Normalize features (N, F); moments are taken in the type of the weights also under mixed precision."""
        features = features.to(self.gain.dtype)
        if self.training or self.statistics == "batch":
            mean = features.mean(0)  # (F,)
            centered = features - self.share * mean  # (N, F)
            variance = centered.square().mean(0)
            if self.training:
                self._remember(mean.detach(), variance.detach())
        else:
            centered = features - self.share * self.running_mean
            variance = self.running_variance + ((1 - self.share) * self.running_mean).square()
        return self.gain * torch.rsqrt(variance + 1e-5) * centered + self.bias

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Average the mean and the variance about it; ``variance`` given is the one about ``share * mean``."""
        about_mean = variance - ((1 - self.share) * mean).square()
        self.running_mean.lerp_(mean, self.momentum)
        self.running_variance.lerp_(about_mean, self.momentum)
