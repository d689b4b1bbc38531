"""Vectors of numbers that a processor handles at once, for compiled loops.

``load`` makes a `Lanes` value of 64 bytes (16 numbers in float32, 8 in float64) from an array; sums and products of
such values, and of one with a number, are single instructions where the processor has vectors this wide, and two or
four where it has not. Values stay in registers as long as there are enough of them, which a loop over arrays does not
promise. Everything here is for use inside functions compiled by numba.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import PrimitiveModel
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, register_model

__all__ = ["BYTES", "FAST", "align", "call", "fill", "lanes_of", "llvm_type", "load", "splat", "store", "transpose"]

BYTES = 64
FAST = ("fast",)


class Lanes(types.Type):
    """Type of a vector of numbers of one type."""

    def __init__(self, scalar: types.Float) -> None:
        self.scalar = scalar
        self.count = BYTES * 8 // scalar.bitwidth
        super().__init__(name=f"lanes[{self.count} x {scalar}]")


@register_model(Lanes)
class _LanesModel(PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, llvm_type(kind))


def llvm_type(kind: Lanes) -> ir.VectorType:
    """LLVM's type of a vector."""
    scalar = ir.FloatType() if kind.scalar.bitwidth == 32 else ir.DoubleType()
    return ir.VectorType(scalar, kind.count)


def _place(context: Any, builder: Any, array_type: Any, array: Any, offset: Any, kind: Lanes) -> Any:
    """Pointer to the vector that begins ``offset`` numbers behind the start of the array."""
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), llvm_type(kind).as_pointer())


def align(kind: Lanes) -> int:
    """Bytes to which vectors in memory are aligned: those of one number."""
    return kind.scalar.bitwidth // 8


@intrinsic
def load(typing: Any, array: Any, offset: Any) -> Any:
    """Read a vector that begins ``offset`` numbers behind the start of a contiguous array."""
    kind = Lanes(array.dtype)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = builder.load(_place(context, builder, sig.args[0], args[0], args[1], kind))
        value.align = align(kind)
        return value

    return signature(kind, array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, offset: Any, value: Any) -> Any:
    """Write a vector behind the start of a contiguous array."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = _place(context, builder, sig.args[0], args[0], args[1], sig.args[2])
        builder.store(args[2], place).align = align(sig.args[2])
        return context.get_dummy_value()

    return signature(types.none, array, types.intp, value), generate


def splat(builder: Any, kind: Lanes, number: Any) -> Any:
    """Repeat a number."""
    vector = llvm_type(kind)
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), mask)


@intrinsic
def fill(typing: Any, array: Any, number: Any) -> Any:
    """Vector of equal numbers, of the type of the array."""
    kind = Lanes(array.dtype)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return splat(builder, kind, args[1])

    return signature(kind, array, array.dtype), generate


@intrinsic
def lanes_of(typing: Any, array: Any) -> Any:
    """How many numbers of an array make a vector."""
    count = Lanes(array.dtype).count

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(64), count)

    return signature(types.int64, array), generate


def call(builder: Any, name: str, kind: Lanes, result: Any, args: list[Any]) -> Any:
    """Call an operation that LLVM knows by name."""
    suffix = f"v{kind.count}f{kind.scalar.bitwidth}"
    function_type = ir.FunctionType(result, [value.type for value in args])
    function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.{name}.{suffix}")
    return builder.call(function, args, fastmath=FAST)


@intrinsic
def transpose(typing: Any, source: Any, start: Any, stride: Any, target: Any, place: Any, spacing: Any) -> Any:
    """Turn a square block of numbers: rows at ``start + k stride`` of one array become columns of another.

    With W numbers in a vector, ``target[place + e * spacing + k] = source[start + k * stride + e]`` for k, e < W.
    """
    kind = Lanes(source.dtype)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        count = kind.count
        rows = []
        for k in range(count):
            offset = builder.add(args[1], builder.mul(args[2], ir.Constant(ir.IntType(64), k)))
            row = builder.load(_place(context, builder, sig.args[0], args[0], offset, kind))
            row.align = align(kind)
            rows.append(row)
        half = count // 2
        low, high = [], []
        for k in range(half):  # picks that interleave two rows
            low += [k, k + count]
            high += [k + half, k + half + count]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), count), picks) for picks in (low, high)]
        width = count
        while width > 1:  # a perfect shuffle of rows k and k + W/2; after log2 W rounds the block is turned
            rows = [builder.shuffle_vector(rows[k], rows[k + half], mask) for k in range(half) for mask in masks]
            width //= 2
        for e in range(count):
            offset = builder.add(args[4], builder.mul(args[5], ir.Constant(ir.IntType(64), e)))
            builder.store(rows[e], _place(context, builder, sig.args[3], args[3], offset, kind)).align = align(kind)
        return context.get_dummy_value()

    return signature(types.none, source, types.intp, types.intp, target, types.intp, types.intp), generate


class _Arithmetic(AbstractTemplate):  # type: ignore[misc]
    """Two vectors, or a vector and a number, give a vector."""

    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        if len(args) == 2 and not kws:
            first, second = args
            if isinstance(first, Lanes) and isinstance(second, Lanes):
                return signature(first, first, first)
            if isinstance(first, Lanes) and isinstance(second, types.Number):
                return signature(first, first, first.scalar)
            if isinstance(second, Lanes) and isinstance(first, types.Number):
                return signature(second, second.scalar, second)
        return None


for _operator, _name in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):

    @infer_global(_operator)
    class _Typed(_Arithmetic):
        """Tells numba the type of the result."""

        key = _operator

    def _lower(name: str) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            kind = sig.return_type
            values = [
                value if isinstance(given, Lanes) else splat(builder, kind, value)
                for given, value in zip(sig.args, args, strict=True)
            ]
            return getattr(builder, name)(*values, flags=FAST)

        return generate

    for _signature in ((Lanes, Lanes), (Lanes, types.Float), (types.Float, Lanes)):
        lower_builtin(_operator, *_signature)(_lower(_name))
