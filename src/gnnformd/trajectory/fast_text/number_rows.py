"""Numbers in rows of text, parsed by compiled code and rounded exactly as ``float`` rounds them.

A decimal number is ``w * 10**q`` with an integer ``w``. Where ``w <= 2**53`` and ``|q| <= 22`` both factors are exact
doubles and one operation rounds correctly (W. D. Clinger, PLDI 1990). Otherwise ``w`` is multiplied with the first 128
bits of ``5**q`` (D. Lemire, Software: Practice and Experience 51, 1700, 2021). The few numbers that neither method
handles (subnormal, exactly between two doubles, more than 19 significant digits) are left to the caller and ``float``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from gnnformd.numba_jit import compiled, read_integer

__all__ = ["DONE", "MALFORMED", "MORE", "SKIP", "UNDECIDED", "parse_rows", "powers_of_five"]

DONE, MORE, UNDECIDED, MALFORMED = 0, 1, 2, 3
"""All rows are read; the text ended before; ``float`` must read this number; no number, or the row is too short."""

SKIP, WORD, FLOAT, INTEGER = 0, 1, 2, 3
"""Kinds of column; of a word the first seven bytes are kept. Numbers are `FLOAT` and above."""

LOWEST, HIGHEST = -342, 308
"""Powers of ten beyond which a 64-bit integer times the power is zero or infinite as a double."""

_U = np.uint64
_ONE, _TEN, _ZERO, _ZEROS, _EXACT = _U(1), _U(10), _U(ord("0")), _U(0x3030303030303030), _U(2**53)
_MANY = _U(99)
_POWERS = np.array([10**k for k in range(9)], dtype=np.uint64)
_TENS = np.array([float(10**k) for k in range(23)])


# Helpers take addresses, not arrays: for an array numba counts references, which costs as much as ten characters.
_helper = numba.njit(inline="always")


@numba.extending.intrinsic  # type: ignore[untyped-decorator]
def _byte(context: Any, address: Any) -> Any:
    """Byte at an address."""
    return types.uint8(types.uint64), lambda context, builder, signature, arguments: read_integer(
        builder, arguments[0], 8
    )


@numba.extending.intrinsic  # type: ignore[untyped-decorator]
def _eight_bytes(context: Any, address: Any) -> Any:
    """Eight bytes from an address on as one number, the first one lowest."""
    return types.uint64(types.uint64), lambda context, builder, signature, arguments: read_integer(
        builder, arguments[0], 64
    )


@numba.extending.intrinsic  # type: ignore[untyped-decorator]
def _trailing_zeros(context: Any, value: Any) -> Any:
    """Count the zero bits below the lowest one; 64 for zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@numba.extending.intrinsic  # type: ignore[untyped-decorator]
def _leading_zeros(context: Any, value: Any) -> Any:
    """Count the zero bits above the highest one; 64 for zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@numba.extending.intrinsic  # type: ignore[untyped-decorator]
def _high_product(context: Any, a: Any, b: Any) -> Any:
    """Upper 64 bits of the product of two numbers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = [builder.zext(argument, ir.IntType(128)) for argument in arguments]
        product = builder.lshr(builder.mul(*wide), ir.Constant(ir.IntType(128), 64))
        return builder.trunc(product, ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@_helper
def _bits_of(value):  # type: ignore[no-untyped-def]
    """Bits of a double."""
    return np.float64(value).view(np.uint64)


@_helper
def _double_bits(w, q, power_high, power_low):  # type: ignore[no-untyped-def]
    """Whether the result is certain, and the bits of the double nearest to ``w * 10**q``; ``power`` is ``5**q``."""
    if w <= _EXACT and -22 <= q <= 22:
        return True, _bits_of(np.float64(w) / _TENS[-q] if q < 0 else np.float64(w) * _TENS[q])
    if q < LOWEST or q > HIGHEST or w == _U(0):
        return w == _U(0), _U(0)
    leading = _leading_zeros(w)
    w <<= leading
    high, low = _high_product(w, power_high), w * power_high
    if high & _U(0x1FF) == _U(0x1FF):
        more = _high_product(w, power_low)
        low += more
        if low < more:
            high += _U(1)
    upper = high >> _U(63)
    mantissa = high >> (upper + _U(9))
    exponent = ((217706 * q) >> 16) + 1086 + np.int64(upper) - np.int64(leading)
    halfway = low <= _U(1) and mantissa & _U(3) == _U(1) and mantissa << (upper + _U(9)) == high
    if exponent <= 0 or exponent >= 2046 or halfway or low == _U(0xFFFFFFFFFFFFFFFF):
        return False, _U(0)
    mantissa = (mantissa + (mantissa & _U(1))) >> _U(1)
    # A carry out of the mantissa (2**53) adds itself to the exponent, as it should.
    return True, (_U(exponent - 1) << _U(52)) + mantissa


@_helper
def _non_digits(eight):  # type: ignore[no-untyped-def]
    """Mark the first of eight bytes (less ``"0"``) that is not a digit; later marks may be wrong."""
    return ((eight + _U(0x7676767676767676)) | eight) & _U(0x8080808080808080)


@_helper
def _value(eight):  # type: ignore[no-untyped-def]
    """Join eight digits (the first one lowest) to a number: first pairs, then fours, then all."""
    pairs = (eight * _TEN + (eight >> _U(8))) & _U(0x00FF00FF00FF00FF)
    fours = (pairs * _U(100) + (pairs >> _U(16))) & _U(0x0000FFFF0000FFFF)
    return (fours * _U(10000) + (fours >> _U(32))) & _U(0xFFFFFFFF)


@_helper
def _digits_from(at, eight, w):  # type: ignore[no-untyped-def]
    """Append the digits from ``at`` on to ``w`` (modulo 2**64) and return it with where they end.

    ``eight`` are the bytes from ``at`` on, or fewer and then zeros.
    """
    eight ^= _ZEROS
    if _non_digits(eight) == _U(0):
        # The loop would do this too, but this branch is predictable and does not depend on the count.
        w, at = w * _POWERS[8] + _value(eight), at + _U(8)
        eight = _eight_bytes(at) ^ _ZEROS
    while True:
        count = _trailing_zeros(_non_digits(eight)) >> _U(3)
        half = _U(32) - (count << _U(2))
        w, at = w * _POWERS[count] + _value((eight << half) << half), at + count  # missing digits: leading zeros
        if _U(_byte(at)) - _ZERO > _U(9):
            return w, at
        eight = _eight_bytes(at) ^ _ZEROS


@_helper
def _scan_number(at, with_fraction):  # type: ignore[no-untyped-def]
    """Read the number ``w * 10**q`` at ``at``: w, q, its number of significant digits (0: malformed), its end."""
    eight = _eight_bytes(at)
    signed = _U(eight & _U(0xFF) == _U(45) or eight & _U(0xFF) == _U(43))
    first, q, point = at + signed, np.int64(0), _U(0)
    w, at = _digits_from(first, eight >> (signed << _U(3)), _U(0))
    if _byte(at) == 46 and with_fraction:
        point = at + _ONE
        w, at = _digits_from(point, _eight_bytes(point), w)
        q = -np.int64(at - point)
    digits = at - first - _U(point != _U(0))
    if digits > _U(18):  # leading zeros are not significant
        zero = first
        while zero < at and _byte(zero) <= 48:  # point and zero are the characters up to 48
            digits -= _U(_byte(zero) == 48)
            zero += _ONE
        digits = max(digits, _ONE)
    if _byte(at) | 32 == 101 and with_fraction and digits > _U(0):
        minus = _byte(at + _ONE) == 45
        start = at + (_U(2) if minus or _byte(at + _ONE) == 43 else _ONE)
        power, at = _digits_from(start, _eight_bytes(start), _U(0))
        q += -np.int64(power) if minus else np.int64(power)
        if at == start:
            digits = _U(0)
        elif at - start > _U(4):
            digits = _MANY
    return w, q, digits, at


@_helper
def _scan_word(at):  # type: ignore[no-untyped-def]
    """First seven bytes of the word at ``at`` as a number, and its end."""
    w, first = _U(0), at
    while _byte(at) > 32:
        if at - first < _U(7):
            w = (w << _U(8)) | _U(_byte(at))
        at += _ONE
    return w, at


@lru_cache
def powers_of_five() -> NDArray[np.uint64]:
    """First 128 bits of ``5**q`` for ``q`` from -342 to 308, high and low half, (651, 2).

    Positive powers are truncated, reciprocals rounded up, as Lemire's proof requires.
    """
    table = np.empty((HIGHEST - LOWEST + 1, 2), dtype=np.uint64)
    for q in range(LOWEST, HIGHEST + 1):
        power = 5 ** abs(q)
        length = power.bit_length()
        if q >= 0:
            value = power << (128 - length) if length <= 128 else power >> (length - 128)
        else:
            value = (1 << (length + 127)) // power + 1
        table[q - LOWEST] = value >> 64, value & 0xFFFFFFFFFFFFFFFF
    return table


@compiled
def parse_rows(data, position, end, row, column, kinds, targets, bits, integers, powers):  # type: ignore[no-untyped-def]
    """Read rows of numbers from ``data[position:end]`` into ``bits`` and ``integers``.

    It stops where the text ends or where ``float`` has to read a number; the caller continues with what it returned.

    Parameters
    ----------
    data
        Bytes of the text, uint8; ``data[end]`` is zero, and at least seven more bytes follow.
    position, end
        Part to read.
    row, column
        Where to continue; column ``len(kinds)`` is the end of the line.
    kinds, targets
        Kind of each column of the text, and the column of the output it is written to, (C,).
    bits, integers
        Output: doubles as their bits, and integers, (rows, columns).
    powers
        The table of `powers_of_five`.

    Returns
    -------
    tuple
        Status, position of the number it concerns (or where to continue), row and column.
    """
    rows, columns, text = bits.shape[0], kinds.shape[0], _U(data.ctypes.data)
    at, stop = text + _U(position), text + _U(end)
    while row < rows:
        while _byte(at) <= 32 and _byte(at) != 10 and at < stop:
            at += _ONE
        if _byte(at) == 10 and column == columns:
            at, row, column = at + _ONE, row + 1, 0
            continue
        if _byte(at) == 10 or column == columns:
            return (MORE if at == stop else MALFORMED), np.int64(at - text), row, column
        kind = kinds[column]
        if kind >= FLOAT:
            w, q, digits, after = _scan_number(at, kind == FLOAT)
        else:
            w, after = _scan_word(at)
            q, digits = np.int64(0), _ONE
        if after == stop:
            return MORE, np.int64(at - text), row, column
        if _byte(after) > 32 or digits == _U(0):
            return MALFORMED, np.int64(at - text), row, column
        negative = _byte(at) == 45
        if kind == FLOAT:
            known = min(max(q, np.int64(LOWEST)), np.int64(HIGHEST)) - LOWEST
            decided, value = _double_bits(w, q, powers[known, 0], powers[known, 1])
            bits[row, targets[column]] = value | _U(negative) << _U(63)
            if digits > _U(19) or not decided:
                return UNDECIDED, np.int64(at - text), row, column
        elif kind != SKIP:
            integers[row, targets[column]] = -np.int64(w) if negative and kind == INTEGER else np.int64(w)
            if digits > _U(18):
                return UNDECIDED, np.int64(at - text), row, column
        at = after
        column += 1
    return DONE, np.int64(at - text), row, column
