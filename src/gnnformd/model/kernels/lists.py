"""Compiled loops over edges: lists by center, and sums over edges."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnformd.model.kernels.places import (
    compiled,
)

__all__ = ["edges_by_center", "to_half_edges", "to_neighbors"]


@compiled
def edges_by_center(first: Any, second: Any, halves: Any, atom_count: int) -> Any:
    """Order edges by center: pairs of atoms ``first[h], second[h]`` for the half edges h in ``halves``."""
    start = np.zeros(atom_count + 1, np.int64)
    for h in halves:
        start[first[h] + 1] += 1
        start[second[h] + 1] += 1
    for i in range(atom_count):
        start[i + 1] += start[i]
    place = start[:-1].copy()
    neighbor, pair = np.empty(2 * len(halves), np.int32), np.empty(2 * len(halves), np.int32)
    for h in halves:
        i, j = first[h], second[h]
        neighbor[place[i]], pair[place[i]] = j, 2 * h
        place[i] += 1
        neighbor[place[j]], pair[place[j]] = i, 2 * h + 1
        place[j] += 1
    return start, neighbor, pair


@compiled
def to_half_edges(lists: Any, on_edges: Any, out: Any) -> None:
    """Add gradients in directed vectors, (E, 3), to those in the vectors of the half edges, (E/2, 3)."""
    pair = lists[2]
    for e in range(len(pair)):
        sign = 1 - 2 * (pair[e] & 1)
        for a in range(3):
            out[pair[e] >> 1, a] += sign * on_edges[e, a]


@compiled
def to_neighbors(lists: Any, on_received: Any, out: Any) -> None:
    """Add what edges received, (E, C), to the neighbors that sent it, (M, C)."""
    neighbor = lists[1]
    for e in range(len(neighbor)):
        for c in range(out.shape[1]):
            out[neighbor[e], c] += on_received[e, c]
