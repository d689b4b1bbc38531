"""Products of matrices of bfloat16 numbers in vectors: processors with AVX512_BF16.

Source of the instruction: Intel, 64 and IA-32 Architectures Software Developer's Manual, "VDPBF16PS".
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

__all__ = ["emit_in_vectors"]


class _Bfloat16(ir.Type):  # type: ignore[misc]
    """What LLVM calls bfloat16 numbers."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bfloat16)

    def __hash__(self) -> int:
        return hash(_Bfloat16)


_WORD, _LONG = ir.IntType(32), ir.IntType(64)
_SUMS, _NUMBERS = ir.VectorType(ir.FloatType(), 16), ir.VectorType(_Bfloat16(), 32)
_ROWS = 8  # whose sums, two vectors each, stay in registers


class _Vectors:
    """Emits loads, stores and products of vectors."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        kind = ir.FunctionType(_SUMS, [_SUMS, _NUMBERS, _NUMBERS])
        self.dot = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512bf16.dpbf16ps.512")

    def place(self, address: Any, row: Any, stride: Any, offset: Any, kind: Any) -> Any:
        """Pointer to something in a row of a matrix."""
        begin = self.builder.add(address, self.builder.mul(row, stride))
        return self.builder.inttoptr(self.builder.add(begin, offset), kind.as_pointer())

    def repeated(self, place: Any) -> Any:
        """Load two numbers that lie side by side, sixteen times."""
        words, number = ir.VectorType(_WORD, 16), self.builder.load(place, align=4)
        one = self.builder.insert_element(ir.Constant(words, ir.Undefined), number, ir.Constant(_WORD, 0))
        every = self.builder.shuffle_vector(one, one, ir.Constant(words, None))
        return self.builder.bitcast(every, _NUMBERS)

    def add_product(self, total: Any, left: Any, right: Any) -> None:
        """Add to a sum in a register."""
        self.builder.store(self.builder.call(self.dot, [self.builder.load(total), left, right]), total)


def emit_in_vectors(
    builder: Any, terms: list[tuple[Any, Any]], strides: tuple[Any, Any, Any], target: Any, steps: Any, add: Any
) -> None:
    """Emit a sum of products, of 32 rows and 32 columns.

    Parameters
    ----------
    builder
        Where to.
    terms
        Addresses of left and right factors, as in `gnnformd.model.gamd.tiles.products`.
    strides
        Bytes from row to row of left factors, right factors and the target.
    target
        Address of the sum.
    steps
        How many times 32 numbers the inner axis has.
    add
        Whether to add to what the target holds.
    """
    vectors, (left_stride, right_stride, stride) = _Vectors(builder), strides
    sums = [[cgutils.alloca_once(builder, _SUMS) for _ in range(2)] for _ in range(_ROWS)]
    offsets = [ir.Constant(_LONG, offset) for offset in (0, 64)]
    with cgutils.for_range(builder, ir.Constant(_LONG, 32 // _ROWS)) as group:
        first = builder.mul(group.index, ir.Constant(_LONG, _ROWS))
        rows = [builder.add(first, ir.Constant(_LONG, row)) for row in range(_ROWS)]
        places = [
            (total, vectors.place(target, row, stride, offset, _SUMS))
            for row, of_row in zip(rows, sums, strict=True)
            for total, offset in zip(of_row, offsets, strict=True)
        ]
        with builder.if_else(builder.icmp_signed("!=", add, ir.Constant(_LONG, 0))) as (held, zeros):
            with held:
                for total, place in places:
                    builder.store(builder.load(place, align=4), total)
            with zeros:
                for total, _ in places:
                    builder.store(ir.Constant(_SUMS, None), total)
        with cgutils.for_range(builder, builder.mul(steps, ir.Constant(_LONG, 16))) as inner:
            across = builder.mul(inner.index, ir.Constant(_LONG, 4))
            columns = {
                right: [
                    builder.load(vectors.place(right, inner.index, right_stride, offset, _NUMBERS), align=4)
                    for offset in offsets
                ]
                for right in dict.fromkeys(right for _, right in terms)
            }
            for row, of_row in zip(rows, sums, strict=True):
                values = {
                    left: vectors.repeated(vectors.place(left, row, left_stride, across, _WORD))
                    for left in dict.fromkeys(left for left, _ in terms)
                }
                for left, right in terms:
                    for total, column in zip(of_row, columns[right], strict=True):
                        vectors.add_product(total, values[left], column)
        for total, place in places:
            builder.store(builder.load(total), place, align=4)
