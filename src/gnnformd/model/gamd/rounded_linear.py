"""A linear map whose gradients are products of bfloat16 numbers.

The result of the map is not touched, so a distance keeps all its digits on the way through the network. Only the two
matrix products of the backward pass are rounded: their terms are averages over many edges, in which rounding of single
numbers does not show. On processors with instructions for bfloat16 they take half the time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

__all__ = ["bfloat16_is_fast", "rounded_linear"]


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether products of bfloat16 numbers are faster than those of float32 on a device.

    They are on accelerators and on processors with AVX512_BF16; on others they take several times as long.
    """
    return device.type != "cpu" or bool(torch.cpu._is_avx512_bf16_supported())


def rounded_linear(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``y = x W^T + b``; gradients in x and W are rounded to bfloat16, sums are not.

    Parameters
    ----------
    values
        x, (rows, in), float32.
    weight, bias
        W, (out, in), and b, (out,), or None.
    """
    result: Tensor = _RoundedLinear.apply(values, weight, bias)  # type: ignore[no-untyped-call]
    return result


class _RoundedLinear(Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(values, weight)
        return linear(values, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (gradient,) = gradients
        values, weight = ctx.saved_tensors
        for_values, for_weight, for_bias = ctx.needs_input_grad
        rounded = gradient.to(torch.bfloat16)
        return (
            (rounded @ weight.to(torch.bfloat16)).to(values.dtype) if for_values else None,
            (rounded.transpose(0, 1) @ values.to(torch.bfloat16)).to(weight.dtype) if for_weight else None,
            gradient.sum(0) if for_bias else None,
        )
