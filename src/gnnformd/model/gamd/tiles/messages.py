"""Messages and their sums over neighbors, block by block."""

from __future__ import annotations

import numba
import numpy as np

from gnnformd.model.gamd.prelu_dropout import hashed
from gnnformd.model.gamd.tiles.amx import release_tiles, use_tiles
from gnnformd.model.gamd.tiles.blocks import (
    COLUMN,
    PAIRS,
    ROWS,
    compiled,
    compiled_parallel,
    finish,
    gate,
    large_bits,
    layers,
    layers_back,
    map_back,
    rounded_bits,
    share_of,
    small_bits,
    split,
)
from gnnformd.model.gamd.tiles.products import floats, product, split_product, transpose

__all__ = ["message_edges", "unmessage_edges"]


@compiled
def _message_lane(hidden, features, pairs, weights, bias, numbers, seed, marks, totals, tiles, begin, end):  # type: ignore[no-untyped-def]
    center, neighbor, count = pairs
    half, width = hidden.shape[0] // 2, features.shape[1]
    x, q = np.empty((ROWS, width), np.float32), np.empty((PAIRS, width), np.float32)
    large, small = np.empty((ROWS, width), np.uint16), np.empty((ROWS, width), np.uint16)
    use_tiles(tiles.ctypes.data)
    for block in range(begin, end):
        edge = block * PAIRS
        for r in range(PAIRS):
            i, j = center[edge + r], neighbor[edge + r]
            for k in range(width):
                v = features[i, k] * features[j, k]
                large[r, k] = np.uint16(large_bits(v))
                small[r, k] = np.uint16(small_bits(v))
        addresses = large.ctypes.data, small.ctypes.data
        on_product, on_product_rest = weights[2].ctypes.data, weights[3].ctypes.data
        split_product(*addresses, on_product, on_product_rest, q.ctypes.data, PAIRS, width, width, 0)
        for r in range(PAIRS):
            for k in range(width):
                x[r, k] = q[r, k] + bias[k]
                x[PAIRS + r, k] = q[r, k] + bias[k]
        split(hidden[edge : edge + PAIRS], large[:PAIRS], small[:PAIRS])
        split(hidden[half + edge : half + edge + PAIRS], large[PAIRS:], small[PAIRS:])
        on_edge, on_edge_rest = weights[0].ctypes.data, weights[1].ctypes.data
        split_product(*addresses, on_edge, on_edge_rest, x.ctypes.data, ROWS, width, width, 1)
        layers(x, large, small, marks[block], weights[4:], numbers, np.uint32(hashed(block, seed)))
        for r in range(min(PAIRS, count - edge)):
            finish(x[r], marks[block, 2, r], totals[center[edge + r]], numbers[0][2])
            finish(x[PAIRS + r], marks[block, 2, PAIRS + r], totals[neighbor[edge + r]], numbers[0][2])
        for r in range(max(0, count - edge), PAIRS):  # pairs that fill up
            marks[block, 2, r] = marks[block, 2, PAIRS + r] = np.uint16(0)
    release_tiles()


@compiled_parallel
def message_edges(hidden, features, pairs, weights, bias, numbers, seed, marks, totals, tiles):  # type: ignore[no-untyped-def]
    """Sum over neighbors of the hidden values of the message, before its last linear map.

    Parameters
    ----------
    hidden
        Of the edges, (E, F).
    features
        Of the atoms, (N, F).
    pairs
        Center and neighbor of each pair, (E/2,), and how many pairs there are; the others fill up.
    weights
        Large and small parts of the map on hidden values of the edge, that on the product of features, and the two
        middle maps, packed.
    bias
        Of the first map, (F,).
    numbers, seed, marks, tiles
        As in `encode_edges`.
    totals
        Zeros for each of T threads, filled, (T, N, F).
    """
    blocks, lanes = marks.shape[0], totals.shape[0]
    for lane in numba.prange(lanes):
        begin, end = share_of(lane, lanes, blocks)
        _message_lane(hidden, features, pairs, weights, bias, numbers, seed, marks, totals[lane], tiles, begin, end)


@compiled
def _unmessage_lane(hidden, features, pairs, gradient, weights, numbers, marks, of_hidden, out, tiles, begin, end):  # type: ignore[no-untyped-def]
    of_features, of_maps, of_bias, of_slopes = out
    center, neighbor, count = pairs
    half, width = hidden.shape[0] // 2, features.shape[1]
    g, q = np.empty((ROWS, width), np.float32), np.empty((PAIRS, width), np.float32)
    flat, pair = np.empty((ROWS, width), np.uint16), np.empty((PAIRS, width + 16), np.uint32)
    both = np.empty((PAIRS, width), np.uint32)
    transposed = np.empty((width, COLUMN), np.uint32)
    zeros = np.zeros(width, np.float32)
    use_tiles(tiles.ctypes.data)
    for block in range(begin, end):
        edge = block * PAIRS
        total = np.float32(0)
        for r in range(PAIRS):
            real = edge + r < count
            total += gate(
                gradient[center[edge + r]] if real else zeros,
                gradient[neighbor[edge + r]] if real else zeros,
                marks[block, 2, r],
                marks[block, 2, PAIRS + r],
                flat[r],
                flat[PAIRS + r],
                pair[r],
                numbers[0][2],
                np.float32(1),
            )
        of_slopes[2] += total
        layers_back(g, flat, pair, marks[block], weights[2:], numbers, both, transposed, of_maps[2:], of_slopes)
        # the map on hidden values of the edge
        for r in range(PAIRS):
            for k in range(width):
                one, other = rounded_bits(hidden[edge + r, k]), rounded_bits(hidden[half + edge + r, k])
                both[r, k] = one | (other << np.uint32(16))
        transpose(both.ctypes.data, transposed.ctypes.data, PAIRS, width, 4 * COLUMN)
        left, right = transposed.ctypes.data, pair.ctypes.data
        product(left, 4 * COLUMN, right, pair.strides[0], of_maps[0].ctypes.data, width, ROWS, width, 1)
        map_back(flat, weights[0], g)
        for r in range(PAIRS):
            for k in range(width):
                of_hidden[edge + r, k] = g[r, k]
                of_hidden[half + edge + r, k] = g[PAIRS + r, k]
        # the map on the product of features, of which both ways of a pair have the same
        for r in range(PAIRS):
            for k in range(width):
                q[r, k] = floats(np.uint32(flat[r, k]) << np.uint32(16)) + floats(
                    np.uint32(flat[PAIRS + r, k]) << np.uint32(16)
                )
                of_bias[k] += q[r, k]
                flat[r, k] = np.uint16(rounded_bits(q[r, k]))
        for r in range(PAIRS // 2):
            s = r + PAIRS // 2
            i, j, m, n = center[edge + r], neighbor[edge + r], center[edge + s], neighbor[edge + s]
            for k in range(width):
                pair[r, k] = np.uint32(flat[r, k]) | (np.uint32(flat[s, k]) << np.uint32(16))
                one, other = features[i, k] * features[j, k], features[m, k] * features[n, k]
                both[r, k] = rounded_bits(one) | (rounded_bits(other) << np.uint32(16))
        transpose(both.ctypes.data, transposed.ctypes.data, PAIRS // 2, width, 4 * COLUMN)
        product(left, 4 * COLUMN, right, pair.strides[0], of_maps[1].ctypes.data, width, PAIRS, width, 1)
        map_back(flat[:PAIRS], weights[1], q)
        for r in range(PAIRS):
            i, j = center[edge + r], neighbor[edge + r]
            for k in range(width):
                one, other = features[i, k], features[j, k]
                of_features[i, k] += q[r, k] * other
                of_features[j, k] += q[r, k] * one
    release_tiles()


@compiled_parallel
def unmessage_edges(hidden, features, pairs, gradient, weights, numbers, marks, of_hidden, out, tiles):  # type: ignore[no-untyped-def]
    """Gradients of `message_edges`.

    Parameters
    ----------
    hidden, features, pairs, numbers, marks, tiles
        As there.
    gradient
        Of the sums, (N, F).
    weights
        The four maps, packed for the other direction.
    of_hidden
        Filled, (E, F).
    out
        Zeros for each of T threads, filled, with gradients of features, maps, bias and slopes: (T, N, F),
        (T, 4, F, F), (T, F) and (T, 3).
    """
    of_features, of_maps, of_bias, of_slopes = out
    blocks, lanes = marks.shape[0], of_features.shape[0]
    for lane in numba.prange(lanes):
        begin, end = share_of(lane, lanes, blocks)
        own = (of_features[lane], of_maps[lane], of_bias[lane], of_slopes[lane])
        _unmessage_lane(hidden, features, pairs, gradient, weights, numbers, marks, of_hidden, own, tiles, begin, end)
