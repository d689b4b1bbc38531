"""DensityLayer: everything that happens on an atom between its densities and its scalars."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from gnnformd.model.density_harmonics import product_tensors, product_vectors

__all__ = ["DensityLayer", "Readout"]

NARROWEST = 0.01  # a density that varies less than this share of the widest one of its degree is not scaled up further


class DensityLayer(nn.Module):
    """Mix densities, multiply them to invariants, and turn these into scalars of the atom.

    With densities standardized by data, ``A_lm,f = g_lf sum_x W_l,fx D_lm,x`` (x runs over channels and radial
    functions, g depends on the center). Invariants are ``A_00`` (two bodies), ``sum_m A_lm A'_lm`` of two mixtures
    (three bodies) and, at body order 4, ``sum_m (A_1 A'_1)_2m A_2m`` and ``sum_m (A_2 A'_2)_2m A'_2m``, where
    ``( )_2`` is the part of degree 2 of a product. Scalars are a linear map of the invariants plus a perceptron.

    Parameters
    ----------
    inputs
        Number of densities of one degree, C K.
    node_inputs
        Numbers that describe the center, P.
    features
        F.
    width
        Of the perceptron, W.
    l_max
        0, 1 or 2.
    body_order
        2, 3 or 4.

    Attributes
    ----------
    mean
        Maps node inputs to the mean of the densities of degree 0, (P, C K).
    spread
        Root mean square of the densities of each degree about their mean, (l_max + 1, C K).
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self, inputs: int, node_inputs: int, features: int, width: int, *, l_max: int, body_order: int
    ) -> None:
        super().__init__()
        self.l_max, self.triples = l_max, l_max == 2 and body_order == 4
        degrees = [degree for degree in range(l_max + 1) for _ in range(min(degree, 1) + 1)]
        self.degrees = tuple(degrees)
        self.mixing = nn.ParameterList([nn.Parameter(torch.randn(inputs, features) / inputs**0.5) for _ in degrees])
        self.gates = nn.Linear(node_inputs, len(degrees) * features)
        invariants = features * (1 + l_max + (2 if self.triples else 0))
        self.first = nn.Linear(invariants + node_inputs, width)
        self.second = nn.Linear(width, width)
        self.skip = nn.Linear(invariants, width, bias=False)
        self.register_buffer("mean", torch.zeros(node_inputs, inputs))
        self.register_buffer("spread", torch.ones(l_max + 1, inputs))

    def forward(
        self, densities: Tensor, node_inputs: Tensor, mixed_before: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Densities (L, N, C K) to scalars (N, W) and mixtures, each (2l + 1, N, F).

        Mixtures of the layer before are added.
        """
        by_degree = torch.split(densities, [2 * degree + 1 for degree in range(self.l_max + 1)])
        gates = (1.0 + self.gates(node_inputs)).chunk(len(self.degrees), dim=1)  # (N, F) each
        mixed = []
        for place, (degree, mixing, gate) in enumerate(zip(self.degrees, self.mixing, gates, strict=True)):
            weight = mixing / self.spread[degree][:, None]  # (C K, F)
            part = by_degree[degree] @ weight  # (2l + 1, N, F)
            if degree == 0:
                part = part - node_inputs @ (self.mean @ weight)
            part = part * gate
            mixed.append(part if mixed_before is None else part + mixed_before[place])
        invariants = self._products(mixed)  # (N, I)
        hidden = silu(self.first(torch.cat([invariants, node_inputs], dim=1)))
        return self.skip(invariants) + self.second(hidden), mixed

    @torch.no_grad()
    def standardize(self, mean: Tensor | None, squares: Tensor) -> None:
        """Set `mean` (P, C K) and, from the mean squares of the densities about it (L, C K), `spread`."""
        if mean is not None:
            self.mean.copy_(mean)
        for degree in range(self.l_max + 1):
            spread = squares[degree**2 : (degree + 1) ** 2].sum(0).sqrt()  # (C K,)
            widest = spread.max()
            floor = NARROWEST * widest if widest > 0 else torch.ones_like(widest)
            self.spread[degree] = torch.maximum(spread, floor)

    def _products(self, mixed: list[Tensor]) -> Tensor:
        """Invariants of the mixed densities, (N, I)."""
        parts = [mixed[0][0]]
        if self.l_max >= 1:
            v, w = mixed[1:3]  # (3, N, F)
            parts.append((v * w).sum(0))
        if self.l_max >= 2:
            q, p = mixed[3:5]  # (5, N, F)
            parts.append((q * p).sum(0))
            if self.triples:
                parts.append((product_vectors(v, w) * q).sum(0))
                parts.append((product_tensors(q, p) * p).sum(0))
        return torch.cat(parts, dim=1)


class Readout(nn.Module):
    """Energy of an atom from its scalars: a linear map plus a perceptron with one hidden layer.

    Parameters
    ----------
    width
        W.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1, bias=False)
        self.hidden = nn.Linear(width, width)
        self.last = nn.Linear(width, 1, bias=False)

    def forward(self, scalars: Tensor) -> Tensor:
        """Scalars (N, W) to energies in units of the model's energy scale, (N,)."""
        energy: Tensor = self.linear(scalars) + self.last(silu(self.hidden(silu(scalars))))
        return energy.squeeze(1)
