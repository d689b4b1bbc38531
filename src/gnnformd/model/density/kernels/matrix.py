"""Matrix products and activations of a few atoms at a time, out of and into the fastest caches."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.base import BaseContext
from numba.core.typing.context import BaseContext as TypingContext
from numba.core.typing.templates import Signature, signature
from numba.extending import intrinsic

from gnnformd.model.density.kernels.simd import (
    FAST,
    TILE,
    Typed,
    align,
    lanes_of,
    lanes_type,
    llvm_type,
    load,
    splat,
    store,
)
from gnnformd.model.density.kernels.simd_functions import exponential
from gnnformd.model.density.kernels.structures import Floats
from gnnformd.numba_jit import kernel

__all__ = ["ROWS", "matmul", "rows_for", "silu_and_slope"]

ROWS = 8
"""The number of rows that `matmul` takes is a multiple of it."""

TALL, BROAD = TILE


@kernel
def rows_for(count: int) -> int:
    """How many rows `matmul` takes for so many; the last ones hold anything."""
    return (count + ROWS - 1) // ROWS * ROWS


@kernel
def matmul(x: Floats, rows: int, inner: int, w: Floats, columns: int, out: Floats) -> None:
    """``out = x w`` for contiguous (rows, inner) and (inner, columns); rows of eight, columns in whole vectors.

    Tiles have three vectors of columns, and two or one at the end.
    """
    width = lanes_of(x)
    c = 0
    while columns - c >= BROAD * width and columns - c != 4 * width:
        for r in range(0, rows, TALL):
            _tile(x, r, inner, w, c, columns, out, TALL, BROAD)
        c += BROAD * width
    while columns - c >= 2 * width:
        for r in range(0, rows, TALL):
            _tile(x, r, inner, w, c, columns, out, TALL, 2)
        c += 2 * width
    if columns > c:
        for r in range(0, rows, ROWS):
            _tile(x, r, inner, w, c, columns, out, ROWS, 1)


@intrinsic(prefer_literal=True)
def _tile(
    typing: TypingContext,
    x: types.Array,
    r: types.Integer,
    inner: types.Integer,
    w: types.Array,
    c: types.Integer,
    columns: types.Integer,
    out: types.Array,
    rows: types.IntegerLiteral,
    vectors: types.IntegerLiteral,
) -> Typed:
    """Product of so many rows of x from r on and so many vectors of columns of w from c on."""
    kind = lanes_type(typing, x)
    height, breadth = rows.literal_value, vectors.literal_value

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        source, begin, length, factors, first, step, target = args[:7]
        vector = llvm_type(kind)
        zero = ir.Constant(vector, [0.0] * kind.count)
        sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(breadth)] for _ in range(height)]

        def whole(number: int) -> ir.Constant:
            return ir.Constant(ir.IntType(64), number)

        def address(array_type: types.Array, array: ir.Value, offset: ir.Value) -> ir.Value:
            data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
            return builder.gep(data, [offset])

        def row_of(number: int) -> ir.Value:
            return builder.add(begin, whole(number))

        starts = [address(sig.args[0], source, builder.mul(row_of(a), length)) for a in range(height)]
        with cgutils.for_range(builder, length) as loop:
            at = builder.add(first, builder.mul(loop.index, step))
            columns = []
            for b in range(breadth):
                pointer = address(sig.args[3], factors, builder.add(at, whole(b * kind.count)))
                loaded = builder.load(builder.bitcast(pointer, vector.as_pointer()))
                loaded.align = align(kind)
                columns.append(loaded)
            for a in range(height):
                number = splat(builder, kind, builder.load(builder.gep(starts[a], [loop.index])))
                for b in range(breadth):
                    product = builder.fmul(number, columns[b], flags=FAST)
                    builder.store(builder.fadd(builder.load(sums[a][b]), product, flags=FAST), sums[a][b])
        for a in range(height):
            at = builder.add(first, builder.mul(row_of(a), step))
            for b in range(breadth):
                pointer = address(sig.args[6], target, builder.add(at, whole(b * kind.count)))
                value = builder.load(sums[a][b])
                builder.store(value, builder.bitcast(pointer, vector.as_pointer())).align = align(kind)
        return context.get_dummy_value()

    return signature(types.none, x, types.intp, types.intp, w, types.intp, types.intp, out, rows, vectors), generate


@kernel
def silu_and_slope(values: Floats, count: int, results: Floats, slopes: Floats) -> None:
    """``x s`` and its derivative ``s (1 + x (1 - s))`` with ``s = 1 / (1 + exp(-x))``."""
    for k in range(0, count, lanes_of(values)):
        x = load(values, k)
        s = 1.0 / (1.0 + exponential(0.0 - x))
        store(results, k, x * s)
        store(slopes, k, s * (1.0 + x * (1.0 - s)))
