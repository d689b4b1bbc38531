"""Vectors of numbers that a processor handles at once, for compiled loops.

``load`` makes a `Lanes` value from an array, as wide as the vectors of the processor: 16 numbers in float32 with
AVX-512, 8 with AVX2. Sums and products of such values, and of one with a number, are single instructions. Values stay
in registers as long as there are enough of them, which a loop over arrays does not promise. Everything here is for use
inside functions compiled by numba.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, imputils, types
from numba.core.base import BaseContext
from numba.core.codegen import get_host_cpu_features
from numba.core.datamodel import DataModelManager, PrimitiveModel
from numba.core.registry import cpu_target
from numba.core.typing import templates
from numba.core.typing.context import BaseContext as TypingContext
from numba.core.typing.templates import AbstractTemplate, Signature, signature
from numba.extending import intrinsic, register_model
from numba.np.arrayobj import make_array, populate_array

__all__ = [
    "BYTES",
    "FAST",
    "PIECE",
    "TILE",
    "Blocking",
    "Generator",
    "Lanes",
    "Typed",
    "Vector",
    "align",
    "blocking",
    "borrowed",
    "borrowed_row",
    "call",
    "columns_of",
    "fill",
    "lanes_of",
    "lanes_type",
    "llvm_type",
    "load",
    "read",
    "repeat",
    "splat",
    "store",
    "transpose",
    "write",
]

FAST = ("fast",)
PIECE = 16  # bytes

Generator = Callable[[BaseContext, ir.IRBuilder, Signature, Sequence[ir.Value]], ir.Value]
"""Writes the code of an intrinsic."""

Typed = tuple[Signature, Generator]


class Blocking(NamedTuple):
    """How loops are cut for the registers of a processor.

    Attributes
    ----------
    vector
        Bytes of a `Lanes` value.
    tile
        Rows and vectors of columns of a tile of a matrix product: their sums, the vectors of a row of the second matrix
        and a number of the first one have to fit into the registers.
    """

    vector: int
    tile: tuple[int, int]


BLOCKING = (
    ("+avx512f", Blocking(64, (8, 3))),  # 32 registers of 64 bytes
    ("+avx", Blocking(32, (4, 3))),  # 16 registers of 32 bytes
    ("+neon", Blocking(32, (4, 3))),  # 32 registers of 16 bytes, two for each value
    ("", Blocking(16, (4, 3))),  # 16 registers of 16 bytes
)
"""The first whose feature the processor has is taken."""


def blocking(features: str) -> Blocking:
    """Choose for a processor with these features, in the notation of LLVM: ``+avx,-avx512f``."""
    have = features.split(",")
    return next(found for feature, found in BLOCKING if not feature or feature in have)


BYTES, TILE = blocking(get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES)
"""For the processor that numba compiles for: this one, or the one that its settings name."""


class Vector:
    """Type of a `Lanes` value in annotations of compiled loops; has no values."""

    def __add__(self, other: Vector | float | np.floating[Any]) -> Vector:
        raise NotImplementedError

    __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __add__


class Lanes(types.Type):
    """Numba's type of a vector of numbers of one type."""

    def __init__(self, scalar: types.Float) -> None:
        self.scalar = scalar
        self.count = BYTES * 8 // scalar.bitwidth
        super().__init__(name=f"lanes[{self.count} x {scalar}]")


@register_model(Lanes)
class _LanesModel(PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: DataModelManager, kind: Lanes) -> None:
        super().__init__(manager, kind, llvm_type(kind))


def llvm_type(kind: Lanes) -> ir.VectorType:
    """LLVM's type of a vector."""
    scalar = ir.FloatType() if kind.scalar.bitwidth == 32 else ir.DoubleType()
    return ir.VectorType(scalar, kind.count)


def _pointer(
    context: BaseContext, builder: ir.IRBuilder, array_type: types.Array, array: ir.Value, offset: ir.Value, kind: Lanes
) -> ir.Value:
    """Pointer to the vector that begins ``offset`` numbers behind the start of the array."""
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), llvm_type(kind).as_pointer())


def align(kind: Lanes) -> int:
    """Bytes to which vectors in memory are aligned: those of one number."""
    return int(kind.scalar.bitwidth // 8)


@intrinsic
def load(typing: TypingContext, array: types.Array, offset: types.Integer) -> Typed:
    """Read a vector that begins ``offset`` numbers behind the start of a contiguous array."""
    kind = lanes_type(typing, array)

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        value = builder.load(_pointer(context, builder, sig.args[0], args[0], args[1], kind))
        value.align = align(kind)
        return value

    return signature(kind, array, types.intp), generate


@intrinsic
def store(typing: TypingContext, array: types.Array, offset: types.Integer, value: Lanes) -> Typed:
    """Write a vector behind the start of a contiguous array."""

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        pointer = _pointer(context, builder, sig.args[0], args[0], args[1], sig.args[2])
        builder.store(args[2], pointer).align = align(sig.args[2])
        return context.get_dummy_value()

    return signature(types.none, array, types.intp, value), generate


def splat(builder: ir.IRBuilder, kind: Lanes, number: ir.Value) -> ir.Value:
    """Repeat a number."""
    vector = llvm_type(kind)
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), mask)


@intrinsic
def fill(typing: TypingContext, array: types.Array, number: types.Number) -> Typed:
    """Vector of equal numbers, of the type of the array."""
    kind = lanes_type(typing, array)

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        return splat(builder, kind, args[1])

    return signature(kind, array, array.dtype), generate


@intrinsic
def repeat(typing: TypingContext, array: types.Array, offset: types.Integer) -> Typed:
    """Vector of equal numbers: the one that stands ``offset`` numbers behind the start of a contiguous array.

    As ``fill(array, array[offset])``, but offsets below zero do not count from the end: testing for them at each number
    would take longer than the sums and products.
    """
    kind = lanes_type(typing, array)

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        data = cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0]).data
        return splat(builder, kind, builder.load(builder.gep(data, [args[1]])))

    return signature(kind, array, types.intp), generate


@intrinsic
def read(typing: TypingContext, array: types.Array, offset: types.Integer) -> Typed:
    """Read the number ``offset`` numbers behind the start of a contiguous array of any shape (see `repeat`)."""

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        data = cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0]).data
        return builder.load(builder.gep(data, [args[1]]))

    return signature(array.dtype, array, types.intp), generate


@intrinsic
def write(typing: TypingContext, array: types.Array, offset: types.Integer, number: types.Number) -> Typed:
    """Write a number where `read` reads it."""

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        data = cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0]).data
        builder.store(args[2], builder.gep(data, [args[1]]))
        return context.get_dummy_value()

    return signature(types.none, array, types.intp, array.dtype), generate


@intrinsic
def lanes_of(typing: TypingContext, array: types.Array) -> Typed:
    """How many numbers of an array make a vector."""
    count = lanes_type(typing, array).count

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        return ir.Constant(ir.IntType(64), count)

    return signature(types.int64, array), generate


@intrinsic
def borrowed_row(typing: TypingContext, array: types.Array, index: types.Integer) -> Typed:
    """Row of a contiguous array, as ``array[index]``, but without counting the reference.

    Counting takes an atomic instruction each time a view is made, passed on or dropped, which shows in loops over
    atoms. The array has to outlive the row: it is to be a variable of the same function that is used after the loop, or
    an argument.
    """
    row_type = types.Array(array.dtype, array.ndim - 1, "C")

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        whole, row = make_array(sig.args[0])(context, builder, args[0]), make_array(row_type)(context, builder)
        shape, strides = (cgutils.unpack_tuple(builder, values) for values in (whole.shape, whole.strides))
        data = cgutils.pointer_add(builder, whole.data, builder.mul(args[1], strides[0]))
        populate_array(row, data, shape[1:], strides[1:], whole.itemsize, meminfo=None)
        return row._getvalue()

    return signature(row_type, array, types.intp), generate


@intrinsic
def borrowed(typing: TypingContext, arrays: types.containers.BaseTuple) -> Typed:
    """Look at the arrays of a tuple, and of tuples within it, without counting references (see `borrowed_row`).

    The tuple is to be an argument of the function.
    """

    def without_count(context: BaseContext, builder: ir.IRBuilder, kind: types.Type, value: ir.Value) -> ir.Value:
        if isinstance(kind, types.Array):
            array = cgutils.create_struct_proxy(kind)(context, builder, value)
            array.meminfo = cgutils.get_null_value(array.meminfo.type)
            return array._getvalue()
        if isinstance(kind, types.containers.BaseTuple):
            items = cgutils.unpack_tuple(builder, value)
            parts = [without_count(context, builder, *part) for part in zip(kind, items, strict=True)]
            return context.make_tuple(builder, kind, parts)
        return value

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        return without_count(context, builder, sig.args[0], args[0])

    return signature(arrays, arrays), generate


def call(builder: ir.IRBuilder, name: str, kind: Lanes, result: ir.Type, args: Sequence[ir.Value]) -> ir.Value:
    """Call an operation that LLVM knows by name."""
    suffix = f"v{kind.count}f{kind.scalar.bitwidth}"
    function_type = ir.FunctionType(result, [value.type for value in args])
    function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.{name}.{suffix}")
    return builder.call(function, args, fastmath=FAST)


def columns_of(builder: ir.IRBuilder, pieces: Sequence[ir.Value]) -> list[ir.Value]:
    """Transpose one piece of 16 bytes of each row: as many vectors, each with a number of every row.

    Pieces are first put side by side, which takes no time where they come from memory; what is left is to transpose
    square blocks within 16 bytes, by shuffles that are cheap on all processors.
    """
    size = pieces[0].type.count
    count = len(pieces)
    rows = []
    for k in range(size):
        parts = list(pieces[k::size])
        while len(parts) > 1:
            both = 2 * parts[0].type.count
            mask = ir.Constant(ir.VectorType(ir.IntType(32), both), list(range(both)))
            parts = [builder.shuffle_vector(parts[n], parts[n + 1], mask) for n in range(0, len(parts), 2)]
        rows.append(parts[0])
    half = size // 2
    low = [pick + n for n in range(0, count, size) for k in range(half) for pick in (k, k + count)]
    masks = [ir.Constant(ir.VectorType(ir.IntType(32), count), [pick + more for pick in low]) for more in (0, half)]
    for _ in range(size.bit_length() - 1):  # a perfect shuffle of rows k and k + half
        rows = [builder.shuffle_vector(rows[k], rows[k + half], mask) for k in range(half) for mask in masks]
    return rows


@intrinsic
def transpose(
    typing: TypingContext,
    source: types.Array,
    start: types.Integer,
    stride: types.Integer,
    target: types.Array,
    offset: types.Integer,
    spacing: types.Integer,
) -> Typed:
    """Transpose a square block of numbers: rows at ``start + k stride`` of one array become columns of another.

    With W numbers in a vector, ``target[offset + e * spacing + k] = source[start + k * stride + e]`` for k, e < W.
    """
    kind = lanes_type(typing, source)

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        piece = ir.VectorType(llvm_type(kind).element, PIECE // align(kind)).as_pointer()
        data = cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0]).data
        for column in range(0, kind.count, PIECE // align(kind)):
            pieces = []
            for k in range(kind.count):
                at = builder.add(args[1], builder.mul(args[2], ir.Constant(ir.IntType(64), k)))
                at = builder.add(at, ir.Constant(ir.IntType(64), column))
                loaded = builder.load(builder.bitcast(builder.gep(data, [at]), piece))
                loaded.align = align(kind)
                pieces.append(loaded)
            for e, vector in enumerate(columns_of(builder, pieces), start=column):
                at = builder.add(args[4], builder.mul(args[5], ir.Constant(ir.IntType(64), e)))
                builder.store(vector, _pointer(context, builder, sig.args[3], args[3], at, kind)).align = align(kind)
        return context.get_dummy_value()

    return signature(types.none, source, types.intp, types.intp, target, types.intp, types.intp), generate


OPERATIONS = {operator.add: "fadd", operator.sub: "fsub", operator.mul: "fmul", operator.truediv: "fdiv"}


def lanes_type(typing: TypingContext, array: types.Array) -> Lanes:
    """Type of the vectors of an array; the first time, numba is told what can be done with vectors."""
    _install_operators(typing)
    scalar = array.dtype
    assert isinstance(scalar, types.Float)
    return Lanes(scalar)


@lru_cache
def _install_operators(typing: TypingContext) -> None:
    """Tell a compiler of numba how vectors are added, subtracted, multiplied and divided.

    This happens when the first loop with vectors is compiled, by registries that hold nothing but vectors, so that
    importing this module changes nothing for other users of numba.
    """
    of_types, of_code = templates.Registry(), imputils.Registry("vectors")
    for operation, name in OPERATIONS.items():
        of_types.register_global(operation)(type("Arithmetic", (_Arithmetic,), {"key": operation}))
        for arguments in ((Lanes, Lanes), (Lanes, types.Float), (types.Float, Lanes)):
            of_code.lower(operation, *arguments)(_arithmetic(name))
    typing.install_registry(of_types)
    cpu_target.target_context.install_registry(of_code)


class _Arithmetic(AbstractTemplate):  # type: ignore[misc]
    """Two vectors, or a vector and a number, give a vector."""

    def generic(self, args: tuple[types.Type, ...], kws: dict[str, types.Type]) -> Signature | None:
        if len(args) == 2 and not kws:
            first, second = args
            if isinstance(first, Lanes) and isinstance(second, Lanes):
                return signature(first, first, first)
            if isinstance(first, Lanes) and isinstance(second, types.Number):
                return signature(first, first, first.scalar)
            if isinstance(second, Lanes) and isinstance(first, types.Number):
                return signature(second, second.scalar, second)
        return None


def _arithmetic(name: str) -> Generator:
    """Code of an operation that LLVM's builder knows by name."""

    def generate(context: BaseContext, builder: ir.IRBuilder, sig: Signature, args: Sequence[ir.Value]) -> ir.Value:
        kind = sig.return_type
        values = [
            value if isinstance(given, Lanes) else splat(builder, kind, value)
            for given, value in zip(sig.args, args, strict=True)
        ]
        return getattr(builder, name)(*values, flags=FAST)

    return generate
