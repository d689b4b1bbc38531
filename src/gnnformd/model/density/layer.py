"""DensityLayer: everything that happens on an atom between its densities and its scalars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from gnnformd.model.density.couplings import coupling_tensor, couplings_up_to
from gnnformd.model.density.harmonics import product_tensors, product_vectors

__all__ = ["PRODUCTS", "DensityLayer", "Readout"]

PRODUCTS = ("s", "vw", "qp", "ss", "sss", "svw", "sqp", "vwq", "qpp", "ab", "sab", "cd", "scd")
"""Invariants: products of mixed densities of degree 0 (s), 1 (v, w), 2 (q, p), 3 (a, b) and 4 (c, d)."""

NARROWEST = 0.01  # a density that varies less than this share of the widest one of its degree is not scaled up further


class DensityLayer(nn.Module):
    """Mix densities, multiply them to invariants, and turn these into energy and scalars of the atom.

    With densities standardized by data, ``A_lm,f = g_lf sum_x W_l,fx D_lm,x`` (x runs over channels and radial
    functions, g depends on the center). There is one mixture of degree 0, s, and there are two of each of the others:
    v and w, q and p, a and b, c and d. Invariants are ``s`` (two bodies), ``sum_m v_m w_m`` and so on for each degree,
    ``s s`` (three bodies) and, at body order 4, ``s s s``, ``s`` times each of those sums, ``sum_m (v w)_2m q_m`` and
    ``sum_m (q p)_2m p_m``, where ``( )_2`` is the part of degree 2 of a product, and the same for other degrees (see
    `gnnformd.model.density.couplings`). The energy is a linear map of all of them; scalars are a perceptron of s, v.w,
    q.p and of what describes the center.

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
        0 to 4.
    body_order
        2, 3 or 4.

    Attributes
    ----------
    products, coupled
        Names of the invariants, from `PRODUCTS` and from `gnnformd.model.density.couplings.COUPLINGS`.
    mean
        Maps node inputs to the mean of the densities of degree 0, (P, C K).
    spread
        Root mean square of the densities of each degree about their mean, times the number of the radial function,
        (l_max + 1, C K).
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self, inputs: int, node_inputs: int, features: int, width: int, *, l_max: int, body_order: int
    ) -> None:
        super().__init__()
        self.l_max = l_max
        self.degrees = tuple(degree for degree in range(l_max + 1) for _ in range(min(degree, 1) + 1))
        missing = "vwqpabcd"[2 * l_max :]
        self.products = tuple(
            name for name in PRODUCTS if len(name) < body_order and not any(part in missing for part in name)
        )
        self.perceived = (min(l_max, 2) + 1) * features
        # mul_, not *: without memory (see model_file) that would load PyTorch's compiler, for half a second
        self.mixing = nn.ParameterList(
            nn.Parameter(torch.randn(inputs, features).mul_(inputs**-0.5)) for _ in self.degrees
        )
        self.gates = nn.Linear(node_inputs, len(self.degrees) * features)
        self.polynomial = nn.Linear(len(self.products) * features, 1, bias=False)
        self.coupled = couplings_up_to(l_max) if body_order == 4 else ()
        self.couplings = None
        if self.coupled:
            self.couplings = nn.Linear(len(self.coupled) * features, 1, bias=False)
            nn.init.zeros_(self.couplings.weight)  # those of models without couplings
        for name in self.coupled:
            self.register_buffer(f"coupling_{name}", coupling_tensor(name).to(self.gates.weight), persistent=False)
        self.first = nn.Linear(self.perceived + node_inputs, width)
        self.second = nn.Linear(width, width)
        self.register_buffer("mean", torch.zeros(node_inputs, inputs))
        self.register_buffer("spread", torch.ones(l_max + 1, inputs))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Convert all numbers; coefficients of couplings from their exact values, not from rounded ones."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name in self.coupled:
            setattr(self, f"coupling_{name}", coupling_tensor(name).to(self.mean))
        return self

    def forward(
        self, densities: Tensor, node_inputs: Tensor, mixed_before: Tensor | None, *, compiled: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Densities (L or more, N, C K) to energies (N,), scalars (N, W) and mixtures, (M, N, F), degree by degree.

        Mixtures of the layer before are added, of its first degrees where it has more. With ``compiled``, products are
        left to compiled loops where these know them.
        """
        counts = [2 * degree + 1 for degree in range(self.l_max + 1)]
        by_degree = torch.split(_first(densities, sum(counts)), counts)
        gates = (1.0 + self.gates(node_inputs)).chunk(len(self.degrees), dim=1)  # (N, F) each
        parts, factors = [], []
        for degree, mixing, gate in zip(self.degrees, self.mixing, gates, strict=True):
            weight = mixing / self.spread[degree][:, None]  # (C K, F)
            part = by_degree[degree] @ weight  # (2l + 1, N, F)
            if degree == 0:
                part = part - node_inputs @ (self.mean @ weight)
            parts.append(part)
            factors.append(gate.expand(2 * degree + 1, -1, -1))
        mixed = torch.cat(parts) * torch.cat(factors)  # (M, N, F)
        if mixed_before is not None:
            mixed = mixed + _first(mixed_before, len(mixed))
        energy, perceived = self._polynomial(mixed, compiled)
        return energy, self.second(silu(self.first(torch.cat([perceived, node_inputs], dim=1)))), mixed

    def _polynomial(self, mixed: Tensor, compiled: bool) -> tuple[Tensor, Tensor]:
        """Energies, (N,), and invariants for the perceptron."""
        if compiled:
            from gnnformd.model.density.compiled_polynomial import compiled_polynomial, loops_serve

            if loops_serve(mixed, len(self.products)):
                weights = [self.polynomial.weight.view(len(self.products), -1)]
                if self.couplings is not None:
                    weights.append(self.couplings.weight.view(len(self.coupled), -1))
                return compiled_polynomial(mixed, weights[0] if len(weights) == 1 else torch.cat(weights))
        invariants = self._products(mixed)  # (N, I)
        energy: Tensor = self.polynomial(invariants)
        if self.couplings is not None:
            energy = energy + self.couplings(self._couplings(mixed))
        return energy.squeeze(1), invariants[:, : self.perceived]

    @torch.no_grad()
    def standardize(self, mean: Tensor | None, squares: Tensor, numbers: Tensor) -> None:
        """Set `mean` (P, C K) and, from the mean squares of the densities about it (L, C K), `spread`.

        Spreads are multiplied by the ``numbers`` k of the radial functions, (C K,), whose root mean square slope grows
        as k: mixtures start smooth, and rough ones are learned only where the data ask for them.
        """
        rough = numbers * numbers.pow(-2).mean().sqrt()  # mixtures vary as much as without
        if mean is not None:
            self.mean.copy_(mean)
        for degree in range(self.l_max + 1):
            spread = squares[degree**2 : (degree + 1) ** 2].sum(0).sqrt()  # (C K,)
            widest = spread.max()
            floor = NARROWEST * widest if widest > 0 else torch.ones_like(widest)
            self.spread[degree] = torch.maximum(spread, floor) * rough

    def _products(self, mixed: Tensor) -> Tensor:
        """Invariants of the mixed densities, (N, I)."""
        mixtures = torch.split(mixed, [2 * degree + 1 for degree in self.degrees])
        s = mixtures[0][0]  # (N, F)
        values = {"s": s, "ss": s * s}
        if self.l_max >= 1:
            v, w = mixtures[1:3]  # (3, N, F)
            values["vw"] = (v * w).sum(0)
        if self.l_max >= 2:
            q, p = mixtures[3:5]  # (5, N, F)
            values["qp"] = (q * p).sum(0)
        if self.l_max >= 3:
            values["ab"] = (mixtures[5] * mixtures[6]).sum(0)
        if self.l_max >= 4:
            values["cd"] = (mixtures[7] * mixtures[8]).sum(0)
        for name in self.products:
            if name in ("sss", "svw", "sqp", "sab", "scd"):
                values[name] = s * values[name[1:]]
            elif name == "vwq":
                values[name] = (product_vectors(v, w) * q).sum(0)
            elif name == "qpp":
                values[name] = (product_tensors(q, p) * p).sum(0)
        return torch.cat([values[name] for name in self.products], dim=1)

    def _couplings(self, mixed: Tensor) -> Tensor:
        """Invariants of three mixed densities of different degrees, (N, I)."""
        mixtures = dict(zip("svwqpabcd", torch.split(mixed, [2 * degree + 1 for degree in self.degrees]), strict=False))
        values = []
        for name in self.coupled:
            x, y, z = (mixtures[part] for part in name)
            left = torch.einsum("xyz,xnf->yznf", self.get_buffer(f"coupling_{name}"), x)
            values.append(((left * y[:, None]).sum(0) * z).sum(0))
        return torch.cat(values, dim=1)


def _first(rows: Tensor, count: int) -> Tensor:
    """Rows up to a number; slices cost derivatives a copy, so that there is none where there are no more rows."""
    return rows if len(rows) == count else rows[:count]


class Readout(nn.Module):
    """Correction of the energy of an atom from its scalars: ``share last(silu(hidden(s)))``.

    It starts at zero and is scaled down, so that the polynomial, which extrapolates (to two atoms alone, for instance),
    describes what it can.

    Parameters
    ----------
    width
        W.
    """

    share = 0.1

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.last = nn.Linear(width, 1, bias=False)
        nn.init.zeros_(self.last.weight)

    def forward(self, scalars: Tensor) -> tuple[Tensor, Tensor]:
        """Scalars (N, W) to energies in units of the model's energy scale, (N,), and last activations, (N, W)."""
        activations = silu(self.hidden(scalars))
        energy: Tensor = self.last(activations)
        return self.share * energy.squeeze(1), activations
