"""Numbers in rows of text, parsed at machine speed and rounded exactly as ``float`` rounds them.

A decimal number is ``w * 10**q`` with an integer ``w``. Where ``w <= 2**53`` and ``|q| <= 22`` both factors are exact
doubles and one operation rounds correctly (W. D. Clinger, PLDI 1990). Otherwise ``w`` is multiplied with the first 128
bits of ``5**q`` (D. Lemire, Software: Practice and Experience 51, 1700, 2021). The few numbers that neither decides
(subnormal, exactly between two doubles, more than 19 digits that matter) are left to the caller and to ``float``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["DONE", "MALFORMED", "MORE", "SKIP", "UNDECIDED", "parse_rows", "powers_of_five"]

DONE, MORE, UNDECIDED, MALFORMED = 0, 1, 2, 3
"""All rows are read; the text ended before; this number is for ``float``; this is no number or the row is too short."""

SKIP, WORD, FLOAT, INTEGER = 0, 1, 2, 3
"""What a column holds; a word is kept as its first seven bytes. Numbers are `FLOAT` and above."""

_LOWEST, _HIGHEST = -342, 308
_U = np.uint64
_ONE, _TEN, _EXACT = _U(1), _U(10), _U(2**53)
_POWERS = np.array([10**k for k in range(9)], dtype=np.uint64)
_TENS = np.array([float(10**k) for k in range(23)])


def powers_of_five() -> NDArray[np.uint64]:
    """First 128 bits of ``5**q`` for ``q`` from -342 to 308, high and low half, (651, 2).

    Positive powers are truncated, reciprocals rounded up, as Lemire's proof wants them.
    """
    table = np.empty((_HIGHEST - _LOWEST + 1, 2), dtype=np.uint64)
    for q in range(_LOWEST, _HIGHEST + 1):
        power = 5 ** abs(q)
        length = power.bit_length()
        if q >= 0:
            value = power << (128 - length) if length <= 128 else power >> (length - 128)
        else:
            value = (1 << (length + 127)) // power + 1
        table[q - _LOWEST] = value >> 64, value & 0xFFFFFFFFFFFFFFFF
    return table


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile with numba; the machine code is kept on disk where there is a place for it."""
    try:
        return numba.njit(cache=True, error_model="numpy")(function)  # type: ignore[no-any-return]
    except RuntimeError:  # numba found no folder it may write to
        return numba.njit(error_model="numpy")(function)  # type: ignore[no-any-return]


# Helpers take no arrays: to pass one, numba counts a reference, which takes as long as ten characters do.
_helper = numba.extending.register_jitable


@_helper
def _multiply(a, b):  # type: ignore[no-untyped-def]
    """128-bit product of two 64-bit numbers, high and low half."""
    mask, half = _U(0xFFFFFFFF), _U(32)
    a_low, a_high, b_low, b_high = a & mask, a >> half, b & mask, b >> half
    low = a_low * b_low
    cross = a_high * b_low + (low >> half)
    middle = a_low * b_high + (cross & mask)
    return a_high * b_high + (cross >> half) + (middle >> half), a * b


@_helper
def _bits_of(value):  # type: ignore[no-untyped-def]
    """Bits of a double."""
    return np.float64(value).view(np.uint64)


@_helper
def _double_bits(w, q, power_high, power_low):  # type: ignore[no-untyped-def]
    """Whether it is decided, and bits of the double nearest to ``w * 10**q``; ``power`` is ``5**q`` (see above)."""
    if w <= _EXACT and -22 <= q <= 22:
        return True, _bits_of(np.float64(w) / _TENS[-q] if q < 0 else np.float64(w) * _TENS[q])
    if q < _LOWEST or q > _HIGHEST or w == _U(0):
        return w == _U(0), _U(0)
    # The exponent of w as a double counts its leading zeros, but for one when the conversion rounds up.
    leading = np.int64(1086) - np.int64(_bits_of(np.float64(w)) >> _U(52))
    leading = max(leading, np.int64(0))
    w <<= _U(leading)
    if w >> _U(63) == _U(0):
        w <<= _U(1)
        leading += 1
    high, low = _multiply(w, power_high)
    if high & _U(0x1FF) == _U(0x1FF):
        more, _ = _multiply(w, power_low)
        low += more
        if low < more:
            high += _U(1)
    upper = high >> _U(63)
    mantissa = high >> (upper + _U(9))
    exponent = ((217706 * q) >> 16) + 63 + np.int64(upper) - leading + 1023
    halfway = low <= _U(1) and mantissa & _U(3) == _U(1) and mantissa << (upper + _U(9)) == high
    if exponent <= 0 or exponent >= 2046 or halfway or low == _U(0xFFFFFFFFFFFFFFFF):
        return False, _U(0)
    mantissa = (mantissa + (mantissa & _U(1))) >> _U(1)
    # A carry out of the mantissa (2**53) adds itself to the exponent, as it should.
    return True, (_U(exponent - 1) << _U(52)) + mantissa


@_helper
def _leading_digits(eight):  # type: ignore[no-untyped-def]
    """How many of eight bytes (the first one lowest) are digits before anything else, and their value.

    All eight are looked at together: first which are no digits, then pairs, fours and all of them are joined.
    """
    eight ^= _U(0x3030303030303030)
    others = ((eight + _U(0x7676767676767676)) | eight) & _U(0x8080808080808080)
    count = _U(8)
    if others != _U(0):
        lowest = (others & (~others + _ONE)) >> _U(7)  # 256**count
        count = (lowest * _U(0x0001020304050607)) >> _U(56)
        eight = (eight << _ONE) << (_U(63) - (count << _U(3)))  # missing digits become leading zeros
    pairs = (eight * _TEN + (eight >> _U(8))) & _U(0x00FF00FF00FF00FF)
    fours = (pairs * _U(100) + (pairs >> _U(16))) & _U(0x0000FFFF0000FFFF)
    return count, (fours * _U(10000) + (fours >> _U(32))) & _U(0xFFFFFFFF)


@_helper
def _from_byte(low, high, at):  # type: ignore[no-untyped-def]
    """Eight bytes from byte ``at`` modulo 8 of two words on."""
    shift = (at & _U(7)) << _U(3)
    return (low >> shift) | ((high << _ONE) << (_U(63) - shift))


def parse_rows(
    data: NDArray[np.uint8],
    position: int,
    end: int,
    row: int,
    column: int,
    kinds: NDArray[np.int8],
    slots: NDArray[np.int64],
    bits: NDArray[np.uint64],
    integers: NDArray[np.int64],
    powers: NDArray[np.uint64],
) -> tuple[int, int, int, int]:
    """Read rows of numbers from ``data[position:end]`` into ``bits`` and ``integers``.

    It stops where the text ends or where a number needs ``float``, and is called again with what it returned.

    Parameters
    ----------
    data
        Bytes of the text, uint8; their number is divisible by 8, at least 16 follow ``end``, and ``data[end]`` is zero.
    position, end
        Part to read.
    row, column
        Where to go on; column ``len(kinds)`` is the end of the line.
    kinds, slots
        What each column of the text holds and which column of the output it goes to, (C,).
    bits, integers
        Output: doubles as their bits, and integers, (rows, columns).
    powers
        `powers_of_five`.

    Returns
    -------
    tuple
        Status, where the number begins that it is about (or where to go on), row and column.
    """
    state = data, position, end, row, column, kinds, slots, bits, integers, powers
    try:
        return _parse_rows(*state)  # type: ignore[no-any-return]
    except OSError:  # the machine code could not be kept on disk, but it is in memory now
        return _parse_rows(*state)  # type: ignore[no-any-return]


@_compiled
def _parse_rows(data, position, end, row, column, kinds, slots, bits, integers, powers):  # type: ignore[no-untyped-def]
    """See `parse_rows`."""
    rows, columns, words = bits.shape[0], kinds.shape[0], data.view(np.uint64)
    at, end = _U(position), _U(end)
    while row < rows:
        while data[at] <= 32 and data[at] != 10 and at < end:
            at += _ONE
        if data[at] == 10 and column == columns:
            at, row, column = at + _ONE, row + 1, 0
            continue
        if data[at] == 10 or column == columns:
            return (MORE if at == end else MALFORMED), np.int64(at), row, column
        start, kind, w, q = at, kinds[column], _U(0), np.int64(0)
        digits, significant, point = _U(0), _U(0), _U(0)
        at += _U(data[at] == 45 or data[at] == 43)
        while kind >= FLOAT:
            count, value = _leading_digits(_from_byte(words[at >> _U(3)], words[(at >> _U(3)) + _ONE], at))
            if w == _U(0) and significant <= _U(19):  # else w may be zero by overflow
                significant = _U(0)  # what came so far were leading zeros
            significant += count
            w, at, digits = w * _POWERS[count] + value, at + count, digits + count
            if data[at] == 46 and kind == FLOAT and point == _U(0):
                point = at = at + _ONE
            elif count < _U(8):
                break
        if point != _U(0):
            q = -np.int64(at - point)
        if data[at] | 32 == 101 and kind == FLOAT and digits > _U(0):
            minus = data[at + _ONE] == 45
            at += _U(2) if minus or data[at + _ONE] == 43 else _ONE
            count, value = _leading_digits(_from_byte(words[at >> _U(3)], words[(at >> _U(3)) + _ONE], at))
            q += -np.int64(value) if minus else np.int64(value)
            at, digits, significant = at + count, min(digits, count), max(significant, count << _U(2))
        if kind < FLOAT:
            while data[at] > 32:
                if at - start < _U(7):
                    w = (w << _U(8)) | _U(data[at])
                at += _ONE
            digits = _ONE
        if at == end:
            return MORE, np.int64(start), row, column
        if data[at] > 32 or digits == _U(0):
            return MALFORMED, np.int64(start), row, column
        negative = data[start] == 45
        if kind == FLOAT:
            known = min(max(q, np.int64(_LOWEST)), np.int64(_HIGHEST)) - _LOWEST
            decided, value = _double_bits(w, q, powers[known, 0], powers[known, 1])
            bits[row, slots[column]] = value | _U(negative) << _U(63)
            if significant > _U(19) or not decided:
                return UNDECIDED, np.int64(start), row, column
        elif kind != SKIP:
            integers[row, slots[column]] = -np.int64(w) if negative and kind == INTEGER else np.int64(w)
            if significant > _U(18):
                return UNDECIDED, np.int64(start), row, column
        column += 1
    return DONE, np.int64(at), row, column
