"""Polynomial of mixed densities by compiled loops, twice differentiable: what trainings on a processor use.

`gnnformd.model.density.layer.DensityLayer` has the equations in PyTorch, which serve every device; there, some hundred
operations on small tensors would take most of the time of a step.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from gnnformd.model.density.kernels.polynomial import (
    PolynomialGradients,
    polynomial,
    polynomial_second,
    polynomial_vjp,
)
from gnnformd.model.density.kernels.simd import BYTES
from gnnformd.model.threads import in_parts, part_count

__all__ = ["compiled_polynomial", "loops_serve"]

PART = 64  # fewest atoms that are worth a thread


def loops_serve(mixed: Tensor, products: int) -> bool:
    """Whether the loops know this polynomial: all products of degrees 0 to 2, and features that fill whole vectors."""
    return products >= 9 and mixed.device.type == "cpu" and mixed.shape[2] % (BYTES // mixed.element_size()) == 0


def compiled_polynomial(mixed: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Energies of atoms, (N,), and the invariants s, v.w and q.p, (N, 3F).

    Parameters
    ----------
    mixed
        Mixed densities, (M, N, F), as `loops_serve` asks for.
    weights
        Of the polynomial, (P, F).
    """
    energies, perceived = _Polynomial.apply(mixed, weights)  # type: ignore[no-untyped-call]
    return energies, perceived


def _row(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().reshape(-1).numpy()
    return array


class _Polynomial(Function):
    @staticmethod
    def forward(ctx: Any, mixed: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        mixed, weights = mixed.contiguous(), weights.contiguous()
        ctx.save_for_backward(mixed, weights)
        atoms, features = mixed.shape[1:]
        energies, perceived = mixed.new_empty(atoms), mixed.new_empty(atoms, 3 * features)
        arrays = _row(mixed), _row(weights), features, _row(energies), _row(perceived)
        in_parts(lambda _, part: polynomial(part, *arrays), atoms, PART)
        return energies, perceived

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        mixed, weights = ctx.saved_tensors
        found: tuple[Tensor, Tensor] = _Gradient.apply(mixed, weights, *gradients)  # type: ignore[no-untyped-call]
        return found


class _Gradient(Function):
    """Gradients in mixed densities and weights; the first is itself differentiable, the second is not."""

    @staticmethod
    def forward(
        ctx: Any, mixed: Tensor, weights: Tensor, on_energies: Tensor, on_perceived: Tensor
    ) -> tuple[Tensor, Tensor]:
        on_energies, on_perceived = on_energies.contiguous(), on_perceived.contiguous()
        ctx.save_for_backward(mixed, weights, on_energies, on_perceived)
        atoms, features = mixed.shape[1:]
        out = torch.empty_like(mixed)
        out_weights = weights.new_zeros(part_count(atoms, PART), *weights.shape)
        arrays = _row(mixed), _row(weights), features, _row(on_energies), _row(on_perceived), _row(out)
        in_parts(lambda k, part: polynomial_vjp(part, *arrays, _row(out_weights[k])), atoms, PART)
        in_weights = out_weights.sum(0)
        ctx.mark_non_differentiable(in_weights)
        return out, in_weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *changes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gradients of ``sum change . out``."""
        mixed, weights, on_energies, on_perceived = ctx.saved_tensors
        change = changes[0].contiguous()
        atoms, features = mixed.shape[1:]
        in_mixed, in_energies, in_perceived = map(torch.empty_like, (mixed, on_energies, on_perceived))
        in_weights = weights.new_zeros(part_count(atoms, PART), *weights.shape)
        arrays = _row(mixed), _row(weights), features, _row(on_energies), _row(on_perceived), _row(change)

        def work(k: int, part: tuple[int, int]) -> None:
            rows = _row(in_mixed), _row(in_weights[k]), _row(in_energies), _row(in_perceived)
            polynomial_second(part, *arrays, PolynomialGradients(*rows))

        in_parts(work, atoms, PART)
        return in_mixed, in_weights.sum(0), in_energies, in_perceived
