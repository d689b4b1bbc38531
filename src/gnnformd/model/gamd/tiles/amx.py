"""Products of matrices of bfloat16 numbers in tiles: processors with AMX.

Source of the instructions: Intel, Architecture Instruction Set Extensions, chapter "AMX".
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

__all__ = ["TILES", "emit_in_tiles", "has_tiles", "release_tiles", "use_tiles"]

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
    return bool(torch.cpu._is_amx_tile_supported() and torch.cpu._init_amx())


def _call(builder: Any, name: str, *arguments: Any) -> None:
    """Emit an instruction; plain numbers are names of tiles."""
    values = [ir.Constant(_BYTE, a) if isinstance(a, int) else a for a in arguments]
    kind = ir.FunctionType(ir.VoidType(), [v.type for v in values])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), values)


@intrinsic
def use_tiles(_: Any, address: Any) -> Any:
    """Tell the processor, if it has tiles, of them, by the address of `TILES`."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        if has_tiles():
            _call(builder, "ldtilecfg", builder.inttoptr(arguments[0], _POINTER))
        return context.get_dummy_value()

    return types.void(types.int64), emit


@intrinsic
def release_tiles(_: Any) -> Any:
    """Let go of the tiles."""

    def emit(context: Any, builder: Any, _: Any, __: Any) -> Any:
        if has_tiles():
            _call(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), emit


class _Tiles:
    """Four sums in tiles 0 to 3, factors in 4 and 5 and in 6 and 7."""

    def __init__(self, builder: Any, strides: tuple[Any, Any, Any], target: Any) -> None:
        self.builder = builder
        self.left_stride, self.right_stride, self.stride = strides
        below = builder.add(target, builder.mul(self.stride, ir.Constant(_LONG, 16)))
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

    def left(self, matrix: Any, step: Any) -> None:
        """Load 32 rows of the left factor."""
        address = self._shift(matrix, self.builder.mul(step, ir.Constant(_LONG, 64)))
        self._load(4, address, self.left_stride)
        self._load(
            5, self._shift(address, self.builder.mul(self.left_stride, ir.Constant(_LONG, 16))), self.left_stride
        )

    def right(self, matrix: Any, step: Any) -> None:
        """Load 32 columns of the right factor."""
        down = self.builder.mul(step, self.builder.mul(self.right_stride, ir.Constant(_LONG, 16)))
        address = self._shift(matrix, down)
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


def emit_in_tiles(
    builder: Any, terms: list[tuple[Any, Any]], strides: tuple[Any, Any, Any], target: Any, steps: Any, add: Any
) -> None:
    """Emit a sum of products, see `gnnformd.model.gamd.tiles.vectors.emit_in_vectors`."""
    tiles = _Tiles(builder, strides, target)
    tiles.start(add)
    with cgutils.for_range(builder, steps) as loop:
        loaded: tuple[Any, Any] = (None, None)
        for left, right in terms:
            if left is not loaded[0]:
                tiles.left(left, loop.index)
            if right is not loaded[1]:
                tiles.right(right, loop.index)
            tiles.multiply()
            loaded = left, right
    tiles.store()
