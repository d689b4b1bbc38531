"""Products of matrices of bfloat16 numbers, as loops that numba compiles.

Processors with AMX multiply tiles of 16 by 32 numbers, others with AVX512_BF16 vectors of 32; factors are laid out the
same way for both, and products are made in blocks of 32 rows and 32 columns.

A float32 number is the sum of two bfloat16 numbers to 16 bits, and a product of such sums is three products of
bfloat16 numbers (the fourth, of the two small parts, is below rounding). Their sums are float32.

Matrices are handed over by address. The left one has rows of bfloat16 numbers; the right one has each two rows side by
side (see `packed`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from llvmlite.binding import llvm_version_info
from numba.core import types
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic
from numpy.typing import NDArray
from torch import Tensor

from gnnformd.model.gamd.tiles.amx import emit_in_tiles, has_tiles
from gnnformd.model.gamd.tiles.vectors import emit_in_vectors

__all__ = [
    "bits",
    "floats",
    "has_products",
    "packed",
    "product",
    "split_product",
    "transpose",
]


_LLVM = 20
"""Older versions, of numba before 0.62, write the instructions differently."""


@cache
def has_products() -> bool:
    """Whether this processor multiplies bfloat16 numbers, and numba and its LLVM compile for that."""
    config = numba.config
    own = config.CPU_NAME is None and config.CPU_FEATURES in (None, "")
    known = own and "+avx512bf16" in get_host_cpu_features().split(",") and llvm_version_info[0] >= _LLVM
    return bool(known and torch.cpu._is_avx512_bf16_supported())


def packed(matrix: Tensor) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Large and small parts of a matrix (K, N) as right factors, two rows side by side, (K/2, N) each."""
    large = matrix.detach().float().bfloat16()
    small = (matrix.detach().float() - large.float()).bfloat16()

    def paired(part: Tensor) -> NDArray[np.uint32]:
        rows = part.view(-1, 2, part.shape[1]).transpose(1, 2).contiguous()  # (K/2, N, 2)
        numbers: NDArray[np.uint32] = rows.view(torch.int32).squeeze(-1).numpy().view(np.uint32)
        return numbers

    return paired(large), paired(small)


def _emit(builder: Any, *arguments: Any) -> None:
    """Emit a sum of products the way this processor has."""
    (emit_in_tiles if has_tiles() else emit_in_vectors)(builder, *arguments)


@intrinsic
def _block(
    _: Any,
    left: Any,
    right: Any,
    target: Any,
    left_stride: Any,
    right_stride: Any,
    target_stride: Any,
    steps: Any,
    add: Any,
) -> Any:
    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        left, right, target, left_stride, right_stride, target_stride, steps, add = arguments
        _emit(builder, [(left, right)], (left_stride, right_stride, target_stride), target, steps, add)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 8), emit


@intrinsic
def _split_block(
    _: Any,
    large: Any,
    small: Any,
    right: Any,
    rest: Any,
    target: Any,
    left_stride: Any,
    target_stride: Any,
    steps: Any,
    add: Any,
) -> Any:
    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        large, small, right, rest, target, left_stride, target_stride, steps, add = arguments
        terms = [(large, rest), (large, right), (small, right)]
        _emit(builder, terms, (left_stride, target_stride, target_stride), target, steps, add)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 9), emit


@numba.njit
def product(left, stride, right, right_stride, target, rows, inner, columns, add):  # type: ignore[no-untyped-def]
    """``target = left @ right`` or, with ``add``, ``target += left @ right``.

    Addresses of (rows, inner) bfloat16 and packed (inner, columns), each with bytes from row to row, and of (rows,
    columns) float32; sizes are multiples of 32.
    """
    for n in range(columns // 32):
        for r in range(rows // 32):
            begin = target + (r * 32 * columns + n * 32) * 4
            across, down = right + n * 128, left + r * 32 * stride
            _block(down, across, begin, stride, right_stride, 4 * columns, inner // 32, add)


@numba.njit
def split_product(large, small, right, rest, target, rows, inner, columns, add):  # type: ignore[no-untyped-def]
    """``target (+)= (large + small) @ (right + rest)`` but for ``small @ rest``; otherwise as `product`."""
    for n in range(columns // 32):
        for r in range(rows // 32):
            begin, down, across = target + (r * 32 * columns + n * 32) * 4, r * 64 * inner, n * 128
            _split_block(
                large + down,
                small + down,
                right + across,
                rest + across,
                begin,
                2 * inner,
                4 * columns,
                inner // 32,
                add,
            )


@intrinsic
def transpose_tile(_: Any, source: Any, target: Any, source_stride: Any, target_stride: Any) -> Any:
    """Transpose 16 by 16 numbers of 32 bits, by addresses and bytes from row to row."""
    rows = ir.VectorType(ir.IntType(32), 16)

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        def row(begin: Any, stride: Any, number: int) -> Any:
            address = builder.add(begin, builder.mul(stride, ir.Constant(ir.IntType(64), number)))
            return builder.inttoptr(address, rows.as_pointer())

        source, target, source_stride, target_stride = arguments
        values = [builder.load(row(source, source_stride, k), align=4) for k in range(16)]
        for step in (1, 2, 4, 8):  # exchange blocks of this size off the diagonal of blocks twice as large
            for k in (k for k in range(16) if not k & step):
                one, other = values[k], values[k | step]
                upper = [j if not j & step else 16 + j - step for j in range(16)]
                lower = [j + step if not j & step else 16 + j for j in range(16)]
                for place, mask in ((k, upper), (k | step, lower)):
                    order = ir.Constant(ir.VectorType(ir.IntType(32), 16), mask)
                    values[place] = builder.shuffle_vector(one, other, order)
        for k, value in enumerate(values):
            builder.store(value, row(target, target_stride, k), align=4)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), emit


@numba.njit
def transpose(source, target, rows, columns, target_stride):  # type: ignore[no-untyped-def]
    """Transpose (rows, columns) of 32 bits, multiples of 16, by addresses; ``target_stride`` in bytes."""
    for r in range(0, rows, 16):
        for k in range(0, columns, 16):
            begin = target + k * target_stride + 4 * r
            transpose_tile(source + 4 * (r * columns + k), begin, 4 * columns, target_stride)


@intrinsic
def bits(_: Any, value: Any) -> Any:
    """Bits of a float32 number as uint32."""

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), emit


@intrinsic
def floats(_: Any, value: Any) -> Any:
    """Float32 number with the bits of a uint32."""

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), emit
