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

__all__ = ["DONE", "MALFORMED", "MORE", "SKIP", "UNDECIDED", "Kind", "compiled", "parse_rows", "powers_of_five"]

DONE, MORE, UNDECIDED, MALFORMED = 0, 1, 2, 3
"""All rows are read; the text ended before; this number is for ``float``; this is no number or the row is too short."""

Kind = int
SKIP, FLOAT, INTEGER, WORD = 0, 1, 2, 3
"""What a column holds; a word is kept as its first seven bytes."""

_LOWEST, _HIGHEST = -342, 308
_U = np.uint64
_ONE, _TEN, _ZERO, _EXACT = _U(1), _U(10), _U(ord("0")), _U(2**53)
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


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile with numba; the machine code is kept on disk where there is a place for it."""
    try:
        return numba.njit(cache=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # numba found no folder it may write to
        return numba.njit(function)  # type: ignore[no-any-return]


# Inlined by numba itself: every call that passes an array would count a reference, at the cost of ten characters.
_inlined = numba.njit(inline="always")


@_inlined
def _multiply(a, b):  # type: ignore[no-untyped-def]
    """128-bit product of two 64-bit numbers, high and low half."""
    mask, half = _U(0xFFFFFFFF), _U(32)
    a_low, a_high, b_low, b_high = a & mask, a >> half, b & mask, b >> half
    low = a_low * b_low
    cross = a_high * b_low + (low >> half)
    middle = a_low * b_high + (cross & mask)
    return a_high * b_high + (cross >> half) + (middle >> half), a * b


@_inlined
def _bits_of(value):  # type: ignore[no-untyped-def]
    """Bits of a double."""
    return np.float64(value).view(np.uint64)


@_inlined
def _double_bits(w, q, powers):  # type: ignore[no-untyped-def]
    """Bits of the double nearest to ``w * 10**q``; False where that is not decided."""
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
    high, low = _multiply(w, powers[q - _LOWEST, 0])
    if high & _U(0x1FF) == _U(0x1FF):
        more, _ = _multiply(w, powers[q - _LOWEST, 1])
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


@_inlined
def _parse_digits(data, at, w):  # type: ignore[no-untyped-def]
    """Append the digits from ``data[at]`` on to ``w`` (modulo 2**64) and return it with where they end."""
    digit = _U(data[at]) - _ZERO
    while digit < _TEN:
        w = w * _TEN + digit
        at += _ONE
        digit = _U(data[at]) - _ZERO
    return w, at


@_inlined
def _leading_zeros(data, at):  # type: ignore[no-untyped-def]
    """Count the zeros in front of the first other digit."""
    count = 0
    while data[at] == 48 or data[at] == 46:
        count += data[at] == 48
        at += _ONE
    return count


@_inlined
def _parse_float(data, at, powers):  # type: ignore[no-untyped-def]
    """Status, bits and end of the number at ``data[at]``."""
    negative = data[at] == 45
    if negative or data[at] == 43:
        at += _ONE
    first = at
    w, at = _parse_digits(data, at, _U(0))
    digits, q = np.int64(at - first), np.int64(0)
    if data[at] == 46:
        point = at + _ONE
        w, at = _parse_digits(data, point, w)
        q = -np.int64(at - point)
        digits -= q
    status = DONE
    if digits > 19 and digits - _leading_zeros(data, first) > 19:
        status = UNDECIDED  # w has overflowed
    if data[at] | 32 == 101 and digits > 0:
        status_of_power, power, at = _parse_integer(data, at + _ONE)
        status, q = max(status, status_of_power), q + power
    if digits == 0 or data[at] > 32:
        return MALFORMED, _U(0), at
    decided, bits = _double_bits(w, q, powers)
    return (status if decided else max(status, UNDECIDED)), bits | _U(negative) << _U(63), at


@_inlined
def _parse_integer(data, at):  # type: ignore[no-untyped-def]
    """Status, value and end of the integer at ``data[at]``."""
    negative = data[at] == 45
    if negative or data[at] == 43:
        at += _ONE
    first = at
    w, at = _parse_digits(data, at, _U(0))
    status, value = DONE, np.int64(w)
    if at - first > _U(18):
        status = UNDECIDED
    if at == first or data[at] > 32:
        status = MALFORMED
    return status, (-value if negative else value), at


@_inlined
def _parse_word(data, at):  # type: ignore[no-untyped-def]
    """First seven bytes of the word at ``data[at]`` as a number, and its end."""
    word, first = np.int64(0), at
    while data[at] > 32:
        if at - first < _U(7):
            word = word * 256 + np.int64(data[at])
        at += _ONE
    return word, at


@compiled
def parse_rows(data, position, end, row, column, kinds, slots, bits, integers, powers):  # type: ignore[no-untyped-def]
    """Read rows of numbers from ``data[position:end]`` into ``bits`` and ``integers``.

    It stops where the text ends or where a number needs ``float``, and is called again with what it returned.

    Parameters
    ----------
    data
        Bytes of the text, uint8; ``data[end]`` must exist and be zero.
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
    rows, columns = bits.shape[0], kinds.shape[0]
    at, end = _U(position), _U(end)
    while row < rows:
        while data[at] == 32 or data[at] == 9 or data[at] == 13:
            at += _ONE
        if data[at] == 10:
            if column < columns:
                return MALFORMED, np.int64(at), row, column
            at += _ONE
            row += 1
            column = 0
            continue
        if column == columns:
            return (MORE if at == end else MALFORMED), np.int64(at), row, column
        stop, status, kind, slot = at, DONE, kinds[column], slots[column]
        if kind == FLOAT:
            status, bits[row, slot], stop = _parse_float(data, at, powers)
        elif kind == INTEGER:
            status, integers[row, slot], stop = _parse_integer(data, at)
        else:
            word, stop = _parse_word(data, at)
            if kind == WORD:
                integers[row, slot] = word
        if stop == end:
            return MORE, np.int64(at), row, column
        if status != DONE:
            return status, np.int64(at), row, column
        at = stop
        column += 1
    return DONE, np.int64(at), row, column
