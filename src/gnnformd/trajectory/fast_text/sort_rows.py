"""Sort rows of atoms by id."""

from __future__ import annotations

from gnnformd.numba_jit import compiled

__all__ = ["sort_rows_by_id"]


@compiled
def sort_rows_by_id(bits, integers, sorted_bits, sorted_integers, known):  # type: ignore[no-untyped-def]
    """Copy rows in the order of ascending ids.

    Parameters
    ----------
    bits, integers
        The rows; column 0 of the integers is the id.
    sorted_bits, sorted_integers
        Output.
    known
        First columns of the sorted integers of another frame, (rows, columns).

    Returns
    -------
    tuple
        Whether the rows are sorted (only consecutive ids, each once, can be sorted this way), and whether the integers
        equal ``known``.
    """
    rows = integers.shape[0]
    lowest = integers[:, 0].min()
    sorted_integers[:, 0] = lowest - 1  # not an id: the row is free
    same = True
    for row in range(rows):
        target = integers[row, 0] - lowest
        if target < 0 or target >= rows or sorted_integers[target, 0] == integers[row, 0]:
            return False, False
        for k in range(bits.shape[1]):
            sorted_bits[target, k] = bits[row, k]
        for k in range(integers.shape[1]):
            sorted_integers[target, k] = integers[row, k]
        for k in range(known.shape[1]):
            same &= known[target, k] == integers[row, k]
    return True, same
