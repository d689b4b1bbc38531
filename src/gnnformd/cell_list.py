"""Half list of pairs within a cutoff by cells smaller than it, in compiled loops."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.numba_jit import kernel

__all__ = ["half_list"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

CROWDED = 34.0  # atoms in a cube of the cutoff from which cells of half of it are faster: fewer atoms, more cells


def half_list(
    positions: Float, box: Float, periodic: NDArray[np.bool_], cutoff: float
) -> tuple[Int, Int, NDArray[np.int32]]:
    """See `gnnformd.neighbors.neighbor_pairs`, for atoms and a box that were checked.

    Parameters
    ----------
    positions
        angstrom, (N, 3), N > 0; within 1e6 boxes of the box.
    box
        Lattice vectors, completed where a direction is not periodic, angstrom, (3, 3).
    periodic
        (3,).
    cutoff
        angstrom.
    """
    inverse = np.linalg.inv(box)
    scaled = positions @ inverse
    images = np.floor(scaled) * periodic
    scaled -= np.where(periodic, images, scaled.min(axis=0))
    heights = np.where(periodic, 1.0, scaled.max(axis=0)) / np.linalg.norm(inverse, axis=0)  # of the box or the atoms
    counts = _cell_counts(heights, cutoff, len(positions))
    share = np.where(periodic, 1.0, np.maximum(scaled.max(axis=0), 1e-300))
    of_atom = np.minimum((scaled / share * counts).astype(np.int64), counts - 1)  # (N, 3)
    steps = _steps(box, heights / counts, periodic, counts, cutoff)
    wrapped = positions - images @ box
    return _search(wrapped, images.astype(np.int32), box, periodic, counts, of_atom, steps, cutoff**2)  # type: ignore[no-any-return]


def _cell_counts(heights: Float, cutoff: float, atoms: int) -> Int:
    """Cells along each direction, no more than atoms in all."""
    density = atoms / max(float(heights.prod()), 1e-300)
    edge = cutoff / 2 if density * cutoff**3 > CROWDED else cutoff
    while True:
        counts = np.maximum(np.floor(heights / edge), 1.0)
        if counts.prod() <= atoms:
            return counts.astype(np.int64)
        edge *= 1.1


def _steps(box: Float, heights: Float, periodic: NDArray[np.bool_], counts: Int, cutoff: float) -> Int:
    """From a cell to those that may have atoms within the cutoff, (S, 3); images of a pair then come in their order."""
    farthest = np.floor(cutoff / np.maximum(heights, 1e-300)) + 1.0
    farthest = np.where(periodic, farthest, np.minimum(farthest, counts - 1)).astype(np.int64)
    along = [np.arange(-most, most + 1) for most in farthest]
    steps = np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 3)
    gaps = np.maximum(np.abs(steps) - 1, 0) * heights  # between the planes of the cells
    directions = box / np.linalg.norm(box, axis=1, keepdims=True)
    right_angles = np.abs(directions @ directions.T - np.eye(3)).max() < 1e-9
    between = np.linalg.norm(gaps, axis=1) if right_angles else gaps.max(axis=1)
    return np.ascontiguousarray(steps[between < cutoff][::-1])


@kernel
def _search(
    positions: Any, images: Any, box: Any, periodic: Any, counts: Any, of_atom: Any, steps: Any, cutoff2: float
) -> Any:
    """Pairs of atoms that were wrapped into the box by so many images, sorted."""
    total = len(positions)
    first, atoms = _sort_by_cell(counts, of_atom)
    sorted_positions = positions[atoms]
    reach, cells, wraps = _neighboring_cells(counts, periodic, steps)
    found, room = 0, 16 * total
    low, high, shift = np.empty(room, np.int64), np.empty(room, np.int64), np.empty((room, 3), np.int32)
    begin = np.zeros(total + 1, np.int64)  # of the pairs of each atom with later ones
    for j in range(total):
        here = of_atom[j] + reach
        for step in steps:
            a, b, c = here[0] + step[0], here[1] + step[1], here[2] + step[2]
            cell = cells[0, a] + cells[1, b] + cells[2, c]
            if cell < 0:
                continue
            u, v, w = wraps[0, a], wraps[1, b], wraps[2, c]
            # atoms of that cell are seen from j as they are in the image of the box that is moved by the wraps
            x = positions[j, 0] - (u * box[0, 0] + v * box[1, 0] + w * box[2, 0])
            y = positions[j, 1] - (u * box[0, 1] + v * box[1, 1] + w * box[2, 1])
            z = positions[j, 2] - (u * box[0, 2] + v * box[1, 2] + w * box[2, 2])
            for k in range(first[cell], first[cell + 1]):
                i = atoms[k]
                if i > j:  # and so are all others of the cell
                    break
                dx, dy, dz = x - sorted_positions[k, 0], y - sorted_positions[k, 1], z - sorted_positions[k, 2]
                if dx * dx + dy * dy + dz * dz >= cutoff2:
                    continue
                if i == j and not _is_positive(-u, -v, -w):
                    continue
                if found == room:
                    room *= 2
                    low, high, shift = _larger(low, room), _larger(high, room), _larger_rows(shift, room)
                low[found], high[found] = i, j
                shift[found, 0] = images[i, 0] - images[j, 0] - u
                shift[found, 1] = images[i, 1] - images[j, 1] - v
                shift[found, 2] = images[i, 2] - images[j, 2] - w
                begin[i + 1] += 1
                found += 1
    return _sort_by_first(low, high, shift, begin, found)


@kernel
def _neighboring_cells(counts: Any, periodic: Any, steps: Any) -> tuple[Any, Any, Any]:
    """Reach of the steps along each direction, (3,), and what is at each place from so far before the first cell on.

    That is what the place adds to the number of a cell (a large negative number outside), and how often it is wrapped,
    (3, M) each.
    """
    reach = np.zeros(3, np.int64)
    for step in steps:
        reach = np.maximum(reach, np.abs(step))
    places = (counts + 2 * reach).max()
    cells, wraps = np.empty((3, places), np.int64), np.zeros((3, places), np.int64)
    stride = 1
    for d in range(2, -1, -1):
        for place in range(counts[d] + 2 * reach[d]):
            wrap = (place - reach[d]) // counts[d]
            cells[d, place] = (place - reach[d] - wrap * counts[d]) * stride
            wraps[d, place] = wrap
            if wrap != 0 and not periodic[d]:
                cells[d, place] = -(1 << 60)
        stride *= counts[d]
    return reach, cells, wraps


@kernel
def _sort_by_cell(counts: Any, of_atom: Any) -> tuple[Any, Any]:
    """First entry of each cell, and the atoms by cell, ascending in each."""
    cells = counts[0] * counts[1] * counts[2]
    first, atoms = np.zeros(cells + 2, np.int64), np.empty(len(of_atom), np.int64)
    numbers = np.empty(len(of_atom), np.int64)
    for i in range(len(of_atom)):
        numbers[i] = (of_atom[i, 0] * counts[1] + of_atom[i, 1]) * counts[2] + of_atom[i, 2]
        first[numbers[i] + 2] += 1
    for number in range(cells):
        first[number + 2] += first[number + 1]
    for i in range(len(of_atom)):
        atoms[first[numbers[i] + 1]] = i
        first[numbers[i] + 1] += 1
    return first, atoms


@kernel
def _is_positive(a: int, b: int, c: int) -> bool:
    """Whether the first of three numbers that is not zero is positive."""
    return a > 0 or (a == 0 and (b > 0 or (b == 0 and c > 0)))


@kernel
def _larger(values: Any, room: int) -> Any:
    copy = np.empty(room, values.dtype)
    copy[: len(values)] = values
    return copy


@kernel
def _larger_rows(values: Any, room: int) -> Any:
    copy = np.empty((room, 3), values.dtype)
    copy[: len(values)] = values
    return copy


@kernel
def _sort_by_first(low: Any, high: Any, shift: Any, begin: Any, found: int) -> tuple[Any, Any, Any]:
    """Sort pairs that ascend in the second atom by the first, and those of the same two atoms by shift."""
    for i in range(len(begin) - 1):
        begin[i + 1] += begin[i]
    end = begin.copy()
    one, other, shifts = np.empty(found, np.int64), np.empty(found, np.int64), np.empty((found, 3), np.int32)
    for pair in range(found):
        i, j = low[pair], high[pair]
        a, b, c = shift[pair]
        place = end[i]
        end[i] += 1
        while place > begin[i] and other[place - 1] == j:
            if not _is_positive(shifts[place - 1, 0] - a, shifts[place - 1, 1] - b, shifts[place - 1, 2] - c):
                break
            one[place], other[place], shifts[place] = i, j, shifts[place - 1]
            place -= 1
        one[place], other[place] = i, j
        shifts[place, 0], shifts[place, 1], shifts[place, 2] = a, b, c
    return one, other, shifts
