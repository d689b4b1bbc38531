"""Sums of products of bfloat16 numbers, in vectors and in tiles, against numpy in float64."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import torch
from numba.core import types
from numba.extending import intrinsic

from gnnformd.model.gamd.tiles.amx import TILES, emit_in_tiles, has_tiles, release_tiles, use_tiles
from gnnformd.model.gamd.tiles.products import has_products, packed
from gnnformd.model.gamd.tiles.vectors import emit_in_vectors

pytestmark = pytest.mark.skipif(not has_products(), reason="this processor does not multiply bfloat16 numbers")

INNER = 96


def compiled(emit_product: Callable[..., None]) -> Any:
    """``target (+)= large @ rest + large @ right + small @ right`` for a block of 32 rows and 32 columns."""

    @intrinsic
    def block(_: Any, large: Any, small: Any, right: Any, rest: Any, target: Any, strides: Any, add: Any) -> Any:
        def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            large, small, right, rest, target, strides, add = arguments
            steps = context.get_constant(types.int64, INNER // 32)
            of_left, of_right, of_target = (builder.extract_value(strides, k) for k in range(3))
            terms = [(large, rest), (large, right), (small, right)]
            emit_product(builder, terms, (of_left, of_right, of_target), target, steps, add)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5, types.UniTuple(types.int64, 3), types.int64), emit

    @numba.njit
    def run(large: Any, small: Any, right: Any, rest: Any, target: Any, add: int, tiles: Any) -> None:
        strides = (large.strides[0], right.strides[0], target.strides[0])
        use_tiles(tiles.ctypes.data)
        addresses = large.ctypes.data, small.ctypes.data, right.ctypes.data, rest.ctypes.data, target.ctypes.data
        block(addresses[0], addresses[1], addresses[2], addresses[3], addresses[4], strides, add)
        release_tiles()

    return run


@pytest.mark.parametrize(
    "emit",
    [
        emit_in_vectors,
        pytest.param(emit_in_tiles, marks=pytest.mark.skipif(not has_tiles(), reason="this processor has no tiles")),
    ],
)
def test_a_block_is_the_sum_of_its_products_and_of_what_was_there(emit: Callable[..., None]) -> None:
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(32, INNER, generator=generator)
    large = left.bfloat16()
    small = (left - large.float()).bfloat16()
    matrix = torch.randn(INNER, 40, generator=generator)  # more columns than a block has: rows lie farther apart
    right, rest = packed(matrix)
    first = torch.randn(32, 48, generator=generator).numpy()
    run = compiled(emit)
    exact = left.double() @ matrix[:, :32].double()
    for add in (0, 1):
        target = first.copy()
        bits = [part.view(torch.int16).numpy().view(np.uint16) for part in (large, small)]
        run(*bits, right, rest, target, add, TILES)
        expected = exact.numpy() + add * first[:, :32]
        assert np.abs(target[:, :32] - expected).max() < 2**-15 * np.abs(exact.numpy()).max()
        assert np.array_equal(target[:, 32:], first[:, 32:])
