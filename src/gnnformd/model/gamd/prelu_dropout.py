"""PReLU followed by dropout in one pass over memory.

The GAMD network applies the pair thirty times to arrays with one row per edge. As separate PyTorch operations they
take longer than its matrix products on a processor; here the dropout mask is a hash of the position, made anew in the
backward pass instead of stored.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["hashed", "prelu_dropout"]

BLOCK = 1 << 14  # values per task, 64 kB: stays in the fastest cache


def prelu_dropout(values: Tensor, slope: Tensor, rate: float) -> Tensor:
    """``y = mask * (x if x > 0 else slope * x) / (1 - rate)``, with ``mask`` zero for a share ``rate`` of the values.

    Parameters
    ----------
    values
        Any shape. Float32 on a processor takes the fused kernel, everything else PyTorch's operations.
    slope
        The learned slope, (1,).
    rate
        Share of values set to zero, in [0, 1); masks follow torch's random generator.
    """
    if values.device.type == "cpu" and values.dtype == torch.float32:
        return _PReLUDropout.apply(values, slope, rate)  # type: ignore[no-any-return, no-untyped-call]
    return nn.functional.dropout(nn.functional.prelu(values, slope.to(values.dtype)), rate)


class _PReLUDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, slope: Tensor, rate: float) -> Tensor:
        values = values.contiguous()
        result = torch.empty_like(values)
        seed = int(torch.randint(2**31, ()).item()) if rate else 0
        arguments = (
            np.float32(slope.item()),
            np.uint32(round(rate * 2**32)),
            np.float32(1 / (1 - rate)),
            np.uint32(seed),
        )
        _forward(values.detach().view(-1).numpy(), result.view(-1).numpy(), *arguments)
        ctx.save_for_backward(values, slope)
        ctx.arguments = arguments
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        values, slope = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        result = torch.empty_like(values)
        partial = np.empty(-(-values.numel() // BLOCK))
        _backward(*(t.view(-1).numpy() for t in (values.detach(), gradient, result)), partial, *ctx.arguments)
        return result, slope.new_full(slope.shape, float(partial.sum())), None


# Sums may be taken in any order and multiplications fused, which lets the loops run over whole vectors.
_compile = numba.njit(cache=True, fastmath={"contract", "nsz", "reassoc"})
_compile_parallel = numba.njit(cache=True, parallel=True)


@numba.njit(cache=True, inline="always")
def hashed(index, seed):  # type: ignore[no-untyped-def]
    """32 pseudo-random bits of a position: the finalizer of MurmurHash3."""
    h = np.uint32(index) * np.uint32(0x9E3779B1) + seed
    h = np.uint32(h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = np.uint32(h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return np.uint32(h ^ (h >> np.uint32(16)))


@_compile
def _forward_block(values, result, slope, threshold, scale, seed):  # type: ignore[no-untyped-def]
    for k in range(values.size):
        x = values[k]
        y = scale * (max(x, np.float32(0)) + slope * min(x, np.float32(0)))
        result[k] = y if hashed(k, seed) >= threshold else np.float32(0)


@_compile
def _backward_block(values, gradient, result, slope, threshold, scale, seed):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for k in range(values.size):
        x = values[k]
        kept = scale if hashed(k, seed) >= threshold else np.float32(0)
        g = gradient[k] * kept
        result[k] = g * (np.float32(1) if x > 0 else slope)
        total += g * min(x, np.float32(0))
    return total


@_compile_parallel
def _forward(values, result, slope, threshold, scale, seed):  # type: ignore[no-untyped-def]
    for block in numba.prange((values.size + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        block_seed = np.uint32(hashed(block, seed))
        _forward_block(values[part], result[part], slope, threshold, scale, block_seed)


@_compile_parallel
def _backward(values, gradient, result, partial, slope, threshold, scale, seed):  # type: ignore[no-untyped-def]
    for block in numba.prange((values.size + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        block_seed = np.uint32(hashed(block, seed))
        partial[block] = _backward_block(
            values[part], gradient[part], result[part], slope, threshold, scale, block_seed
        )
