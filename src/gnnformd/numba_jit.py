"""Compilation of number-crunching functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir

__all__ = ["compiled", "read_integer"]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile with numba; the machine code is kept on disk where there is a place for it."""
    try:
        kernel = numba.njit(cache=True, error_model="numpy")(function)
    except RuntimeError:  # numba found no folder it may write to
        kernel = numba.njit(error_model="numpy")(function)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return kernel(*arguments)
        except OSError:  # the machine code could not be written, but it is in memory now
            return kernel(*arguments)

    return call


def read_integer(builder: Any, place: Any, bits: int) -> Any:
    """Build the code that reads an integer of so many bits at an address, aligned or not; for intrinsics of numba."""
    return builder.load(builder.inttoptr(place, ir.IntType(bits).as_pointer()), align=1)
