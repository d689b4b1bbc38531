"""Functions of vectors, for compiled loops: roots, exponentials, tables, sums."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.base import BaseContext
from numba.core.typing.context import BaseContext as TypingContext
from numba.core.typing.templates import Signature, signature
from numba.extending import intrinsic

from gnnformd.model.density.kernels.simd import FAST, PIECE, Generator, Lanes, align, call, columns_of, llvm_type, splat

__all__ = ["COLUMNS", "exponential", "piecewise", "root", "smaller", "total"]

COLUMNS = 8
"""Of a table of polynomials: seven coefficients, filled up so that each row lies in one line of the cache."""


@intrinsic
def exponential(typing: TypingContext, value: Lanes) -> tuple[Signature, Generator]:
    """``exp(x)``, for x from -80 to 80 (beyond, its value there), to the precision of the type.

    ``2^n exp(f)`` with whole n and ``|f| <= log(2)/2``; ``exp(f)`` is its power series, 2^n is made from bits.
    """
    double = value.scalar.bitwidth == 64

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        kind = sig.args[0]
        vector = llvm_type(kind)

        def constant(number: float) -> ir.Constant:
            return ir.Constant(vector, [number] * kind.count)

        x = call(builder, "minnum", kind, vector, [args[0], constant(80.0)])
        x = call(builder, "maxnum", kind, vector, [x, constant(-80.0)])
        n = call(builder, "rint", kind, vector, [builder.fmul(x, constant(1.0 / math.log(2.0)))])
        # log(2) in two parts, of which the first times n is exact
        f = builder.fsub(x, builder.fmul(n, constant(0.693145751953125)))
        f = builder.fsub(f, builder.fmul(n, constant(1.428606820309417e-06)))
        series = constant(1.0)
        for k in range(13 if double else 7, 0, -1):
            series = builder.fadd(constant(1.0), builder.fmul(builder.fmul(f, series), constant(1.0 / k)), flags=FAST)
        bits = ir.IntType(64 if double else 32)
        whole = builder.fptosi(n, ir.VectorType(bits, kind.count))
        bias, shift = (1023, 52) if double else (127, 23)
        shifted = builder.shl(
            builder.add(whole, ir.Constant(whole.type, [bias] * kind.count)),
            ir.Constant(whole.type, [shift] * kind.count),
        )
        return builder.fmul(series, builder.bitcast(shifted, vector))

    return signature(value, value), generate


@intrinsic
def piecewise(typing: TypingContext, table: types.Array, value: Lanes) -> tuple[Signature, Generator]:
    """``sum_n c_n t^n``, n = 0 to 6, and its slope, with c of row k of a table (n, 8) where ``x = k + t``, k whole."""
    result = types.containers.UniTuple(value, 2)

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        kind = sig.args[1]
        x = args[1]
        whole = builder.fptosi(x, ir.VectorType(ir.IntType(32), kind.count))
        t = builder.fsub(x, builder.sitofp(whole, x.type), flags=FAST)
        data = cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0]).data
        size = PIECE // align(kind)
        rows = []
        for lane in range(kind.count):
            row = builder.sext(builder.extract_element(whole, ir.Constant(ir.IntType(32), lane)), ir.IntType(64))
            rows.append(builder.gep(data, [builder.mul(row, ir.Constant(ir.IntType(64), COLUMNS))]))
        coefficients = []
        for column in range(0, COLUMNS, size):
            pieces = []
            for row in rows:
                pointer = builder.gep(row, [ir.Constant(ir.IntType(64), column)])
                loaded = builder.load(builder.bitcast(pointer, ir.VectorType(x.type.element, size).as_pointer()))
                loaded.align = align(kind)
                pieces.append(loaded)
            coefficients += columns_of(builder, pieces)
        level, slope = coefficients[6], ir.Constant(x.type, [0.0] * kind.count)
        for n in range(5, -1, -1):  # Horner, and its derivative
            slope = builder.fadd(level, builder.fmul(t, slope, flags=FAST), flags=FAST)
            level = builder.fadd(coefficients[n], builder.fmul(t, level, flags=FAST), flags=FAST)
        return context.make_tuple(builder, result, [level, slope])

    return signature(result, table, value), generate


@intrinsic
def root(typing: TypingContext, value: Lanes) -> tuple[Signature, Generator]:
    """Square roots."""

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        return call(builder, "sqrt", sig.args[0], args[0].type, [args[0]])

    return signature(value, value), generate


@intrinsic
def smaller(typing: TypingContext, value: Lanes, limit: types.Float) -> tuple[Signature, Generator]:
    """Take the smaller of each number and a limit."""

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        limits = splat(builder, sig.args[0], args[1])
        return call(builder, "minnum", sig.args[0], args[0].type, [args[0], limits])

    return signature(value, value, value.scalar), generate


@intrinsic
def total(typing: TypingContext, value: Lanes) -> tuple[Signature, Generator]:
    """Sum of the numbers of a vector."""

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        scalar = args[0].type.element
        return call(builder, "vector.reduce.fadd", sig.args[0], scalar, [ir.Constant(scalar, 0.0), args[0]])

    return signature(value.scalar, value), generate
