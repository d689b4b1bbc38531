"""Rows of atoms in the order of their ids."""

from __future__ import annotations

from gnnformd.numba_jit import compiled

__all__ = ["place_rows"]


@compiled
def place_rows(bits, integers, sorted_bits, sorted_integers, known):  # type: ignore[no-untyped-def]
    """Copy rows to their place by ascending id.

    Parameters
    ----------
    bits, integers
        What was read; column 0 of the integers is the id.
    sorted_bits, sorted_integers
        Output.
    known
        First columns of the sorted integers as they were in another frame, (rows, columns).

    Returns
    -------
    tuple
        Whether it could be done (it cannot where the ids are not consecutive numbers, each once), and whether the
        integers agree with ``known``.
    """
    rows = integers.shape[0]
    lowest = integers[:, 0].min()
    sorted_integers[:, 0] = lowest - 1  # no id: the place is free
    same = True
    for row in range(rows):
        place = integers[row, 0] - lowest
        if place < 0 or place >= rows or sorted_integers[place, 0] == integers[row, 0]:
            return False, False
        for k in range(bits.shape[1]):
            sorted_bits[place, k] = bits[row, k]
        for k in range(integers.shape[1]):
            sorted_integers[place, k] = integers[row, k]
        for k in range(known.shape[1]):
            same &= known[place, k] == integers[row, k]
    return True, same
