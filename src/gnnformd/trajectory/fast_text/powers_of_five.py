"""The table by which decimal numbers become doubles."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["HIGHEST", "LOWEST", "powers_of_five"]

LOWEST, HIGHEST = -342, 308
"""Beyond these powers of ten, 64-bit integers become zero or infinite as doubles."""


@lru_cache
def powers_of_five() -> NDArray[np.uint64]:
    """First 128 bits of ``5**q`` for ``q`` from -342 to 308, high and low half, (651, 2).

    Positive powers are truncated, reciprocals rounded up, as Lemire's proof wants them.
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
