"""LAMMPS's neighbor lists, copied by a compiled loop: its library tells the neighbors of one atom a call."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import signature
from numba.extending import intrinsic
from numpy.typing import NDArray

from gnnformd.numba_jit import compiled, read_integer

if TYPE_CHECKING:
    from lammps import lammps

__all__ = ["read_lists"]

Int = NDArray[np.int64]


def read_lists(lmp: lammps, own_count: int) -> tuple[Int, NDArray[np.int32]]:
    """Copy the full list of ``pair_style zero``: where the neighbors of each own atom start, and the neighbors."""
    index = lmp.find_pair_neighlist("zero")
    if index < 0:  # a part of pair_style hybrid is found by its number
        index = lmp.find_pair_neighlist("zero", nsub=1)
    function = ctypes.cast(lmp.lib.lammps_neighlist_element_neighbors, ctypes.c_void_p).value
    handle = ctypes.cast(lmp.lmp, ctypes.c_void_p).value
    assert function is not None and handle is not None
    start, places = np.zeros(own_count + 1, np.int64), np.zeros(own_count, np.int64)
    other = _find(function, handle, index, start, places, np.zeros(3, np.int64))
    if other >= 0:
        raise RuntimeError(f"LAMMPS lists another atom where atom {other} is expected")
    neighbor = np.empty(start[-1], np.int32)
    _copy(start, places, neighbor)
    return start, neighbor


@intrinsic
def _ask(typing: Any, function: Any, handle: Any, index: Any, element: Any, answer: Any) -> Any:
    """Call ``void f(void *handle, int index, int element, int *atom, int *count, int **first)`` by its address.

    ``answer`` is the address of three times eight bytes for what the call says.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        byte, word, long = ir.IntType(8).as_pointer(), ir.IntType(32), ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word.as_pointer(), word.as_pointer(), byte])
        call, handle, index, element, answer = args
        places = [builder.add(answer, ir.Constant(long, 8 * k)) for k in range(3)]
        builder.call(
            builder.inttoptr(call, kind.as_pointer()),
            [
                builder.inttoptr(handle, byte),
                builder.trunc(index, word),
                builder.trunc(element, word),
                *(builder.inttoptr(place, word.as_pointer()) for place in places[:2]),
                builder.inttoptr(places[2], byte),
            ],
        )
        return context.get_dummy_value()

    return signature(types.none, *[types.int64] * 5), generate


@intrinsic
def _word(typing: Any, place: Any) -> Any:
    """Read the 32-bit integer at an address."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return read_integer(builder, args[0], 32)

    return signature(types.int32, types.int64), generate


@compiled
def _find(function: int, handle: int, index: int, start: Int, places: Int, answer: Int) -> int:
    """Set starts and addresses of the neighbors of each atom; gives an atom that is not listed at its place, or -1."""
    for element in range(len(places)):
        _ask(function, handle, index, element, answer.ctypes.data)
        if answer[0] != element:
            return element
        start[element + 1] = start[element] + answer[1]
        places[element] = answer[2]
    return -1


@compiled
def _copy(start: Int, places: Int, neighbor: NDArray[np.int32]) -> None:
    for element in range(len(places)):
        for k in range(start[element], start[element + 1]):
            neighbor[k] = _word(places[element] + 4 * (k - start[element]))
