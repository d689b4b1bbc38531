"""Matrix products from tiles of 16 by 32 bfloat16 numbers, as loops that numba compiles.

A float32 number is the sum of two bfloat16 numbers to 16 bits, and a product of such sums is three products of
bfloat16 numbers (the fourth, of the two small parts, is below rounding). Their sums are float32.

Matrices are handed over by address. The left one has rows of bfloat16 numbers; the right one has each two rows side by
side (see `packed`). Source of the instructions: Intel, Architecture Instruction Set Extensions, chapter "AMX".
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "TILES",
    "bits",
    "floats",
    "has_tiles",
    "packed",
    "product",
    "release_tiles",
    "split_product",
    "transpose",
    "use_tiles",
]

_BYTE, _LONG = ir.IntType(8), ir.IntType(64)
_POINTER = _BYTE.as_pointer()

TILES = np.zeros(64, np.uint8)
"""What the processor must know of the tiles: eight of them, of 16 rows of 64 bytes."""
TILES[0] = 1
TILES[16:32].view(np.uint16)[:] = 64
TILES[48:56] = 16


@cache
def has_tiles() -> bool:
    """Whether this processor has the instructions; asks the system to let this process use them."""
    supported = torch.cpu._is_amx_tile_supported() and torch.cpu._is_avx512_bf16_supported()
    return bool(supported and torch.cpu._init_amx())


def packed(matrix: Tensor) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Large and small parts of a matrix (K, N) as right factors, two rows side by side, (K/2, N) each."""
    large = matrix.detach().float().bfloat16()
    small = (matrix.detach().float() - large.float()).bfloat16()

    def paired(part: Tensor) -> NDArray[np.uint32]:
        rows = part.view(-1, 2, part.shape[1]).transpose(1, 2).contiguous()  # (K/2, N, 2)
        numbers: NDArray[np.uint32] = rows.view(torch.int32).squeeze(-1).numpy().view(np.uint32)
        return numbers

    return paired(large), paired(small)


def _call(builder: Any, name: str, *arguments: Any) -> None:
    """Emit an instruction; plain numbers are names of tiles."""
    values = [ir.Constant(_BYTE, a) if isinstance(a, int) else a for a in arguments]
    kind = ir.FunctionType(ir.VoidType(), [v.type for v in values])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), values)


@intrinsic
def use_tiles(_: Any, address: Any) -> Any:
    """Tell the processor of the tiles, by the address of `TILES`."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        _call(builder, "ldtilecfg", builder.inttoptr(arguments[0], _POINTER))
        return context.get_dummy_value()

    return types.void(types.int64), emit


@intrinsic
def release_tiles(_: Any) -> Any:
    """Let go of the tiles."""

    def emit(context: Any, builder: Any, _: Any, __: Any) -> Any:
        _call(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), emit


class _Block:
    """Emits a product of 32 rows and 32 columns: four sums in tiles 0 to 3, factors in 4 and 5 and in 6 and 7."""

    def __init__(self, builder: Any, target: Any, target_stride: Any, right_stride: Any) -> None:
        self.builder, self.stride, self.right_stride = builder, target_stride, right_stride
        below = builder.add(target, builder.mul(target_stride, ir.Constant(_LONG, 16)))
        self.targets = [self._shift(part, right) for part in (target, below) for right in (0, 64)]

    def _shift(self, address: Any, by: Any) -> Any:
        return self.builder.add(address, ir.Constant(_LONG, by) if isinstance(by, int) else by)

    def _load(self, tile: int, address: Any, stride: Any) -> None:
        _call(self.builder, "tileloadd64", tile, self.builder.inttoptr(address, _POINTER), stride)

    def start(self, add: Any) -> None:
        """Begin with what the target holds, or with zeros."""
        with self.builder.if_else(self.builder.icmp_signed("!=", add, ir.Constant(_LONG, 0))) as (held, zeros):
            with held:
                for tile, address in enumerate(self.targets):
                    self._load(tile, address, self.stride)
            with zeros:
                for tile in range(4):
                    _call(self.builder, "tilezero", tile)

    def left(self, matrix: Any, stride: Any, step: Any) -> None:
        """Load 32 rows of the left factor."""
        address = self._shift(matrix, self.builder.mul(step, ir.Constant(_LONG, 64)))
        self._load(4, address, stride)
        self._load(5, self._shift(address, self.builder.mul(stride, ir.Constant(_LONG, 16))), stride)

    def right(self, matrix: Any, step: Any) -> None:
        """Load 32 columns of the right factor."""
        address = self._shift(
            matrix, self.builder.mul(step, self.builder.mul(self.right_stride, ir.Constant(_LONG, 16)))
        )
        self._load(6, address, self.right_stride)
        self._load(7, self._shift(address, 64), self.right_stride)

    def multiply(self) -> None:
        """Add the products of what is loaded."""
        for tile in range(4):
            _call(self.builder, "tdpbf16ps", tile, 4 + tile // 2, 6 + tile % 2)

    def store(self) -> None:
        """Write the sums."""
        for tile, address in enumerate(self.targets):
            _call(self.builder, "tilestored64", tile, self.builder.inttoptr(address, _POINTER), self.stride)


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
        block = _Block(builder, target, target_stride, right_stride)
        block.start(add)
        with cgutils.for_range(builder, steps) as loop:
            block.left(left, left_stride, loop.index)
            block.right(right, loop.index)
            block.multiply()
        block.store()
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
        block = _Block(builder, target, target_stride, target_stride)
        block.start(add)
        with cgutils.for_range(builder, steps) as loop:
            block.left(large, left_stride, loop.index)
            block.right(rest, loop.index)
            block.multiply()
            block.right(right, loop.index)
            block.multiply()
            block.left(small, left_stride, loop.index)
            block.multiply()
        block.store()
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
            address = builder.add(begin, builder.mul(stride, ir.Constant(_LONG, number)))
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
