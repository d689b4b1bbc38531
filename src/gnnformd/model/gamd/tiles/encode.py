"""Hidden values of the perceptron that encodes edges, block by block."""

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
    layers,
    layers_back,
    share_of,
)
from gnnformd.model.gamd.tiles.products import floats

__all__ = ["decode_edges", "encode_edges"]


@compiled
def _encode_lane(inputs, first, bias, weights, numbers, seed, marks, hidden, tiles, begin, end):  # type: ignore[no-untyped-def]
    half, width = inputs.shape[0] // 2, first.shape[1]
    x = np.empty((ROWS, width), np.float32)
    large, small = np.empty((ROWS, width), np.uint16), np.empty((ROWS, width), np.uint16)
    use_tiles(tiles.ctypes.data)
    for block in range(begin, end):
        for r in range(ROWS):
            edge = block * PAIRS + (r if r < PAIRS else half + r - PAIRS)
            for k in range(width):
                x[r, k] = bias[k]
            for c in range(inputs.shape[1]):
                value = inputs[edge, c]
                for k in range(width):
                    x[r, k] += value * first[c, k]
        layers(x, large, small, marks[block], weights, numbers, np.uint32(hashed(block, seed)))
        for r in range(ROWS):
            edge = block * PAIRS + (r if r < PAIRS else half + r - PAIRS)
            finish(x[r], marks[block, 2, r], hidden[edge], numbers[0][2])
    release_tiles()


@compiled_parallel
def encode_edges(inputs, first, bias, weights, numbers, seed, marks, hidden, tiles, lanes):  # type: ignore[no-untyped-def]
    """Hidden values of a perceptron for every edge, before its last linear map.

    Parameters
    ----------
    inputs
        (E, G) float32; E is a multiple of twice `PAIRS`.
    first, bias
        The first linear map, (G, F) and (F,).
    weights
        Large and small parts of the two middle maps, packed.
    numbers
        Slopes (3,), of 65 536 values how many are dropped, and the factor on the others.
    seed
        Of the dropout.
    marks
        Filled for the way back, (E / 2 PAIRS, 3, 2 PAIRS, F) uint16.
    hidden
        Zeros, filled, (E, F).
    tiles
        `TILES`.
    lanes
        Threads.
    """
    blocks = marks.shape[0]
    for lane in numba.prange(lanes):
        begin, end = share_of(lane, lanes, blocks)
        _encode_lane(inputs, first, bias, weights, numbers, seed, marks, hidden, tiles, begin, end)


@compiled
def _decode_lane(inputs, gradient, weights, numbers, marks, out, tiles, begin, end):  # type: ignore[no-untyped-def]
    first, bias, middle, slopes = out
    half, width = inputs.shape[0] // 2, gradient.shape[1]
    g = np.empty((ROWS, width), np.float32)
    flat, pair = np.empty((ROWS, width), np.uint16), np.empty((PAIRS, width + 16), np.uint32)
    both = np.empty((PAIRS, width), np.uint32)
    transposed = np.empty((width, COLUMN), np.uint32)
    use_tiles(tiles.ctypes.data)
    for block in range(begin, end):
        total = np.float32(0)
        for r in range(PAIRS):
            edge = block * PAIRS + r
            total += gate(
                gradient[edge],
                gradient[half + edge],
                marks[block, 2, r],
                marks[block, 2, PAIRS + r],
                flat[r],
                flat[PAIRS + r],
                pair[r],
                numbers[0][2],
                np.float32(1),
            )
        slopes[2] += total
        layers_back(g, flat, pair, marks[block], weights, numbers, both, transposed, middle, slopes)
        for r in range(ROWS):
            edge = block * PAIRS + (r if r < PAIRS else half + r - PAIRS)
            for k in range(width):
                g[r, k] = floats(np.uint32(flat[r, k]) << np.uint32(16))
                bias[k] += g[r, k]
            for c in range(inputs.shape[1]):
                value = inputs[edge, c]
                for k in range(width):
                    first[c, k] += value * g[r, k]
    release_tiles()


@compiled_parallel
def decode_edges(inputs, gradient, weights, numbers, marks, first, bias, middle, slopes, tiles):  # type: ignore[no-untyped-def]
    """Gradients of `encode_edges`.

    Parameters
    ----------
    inputs, numbers, marks, tiles
        As there.
    gradient
        Of the hidden values, (E, F).
    weights
        The two middle maps, packed for the other direction.
    first, bias, middle, slopes
        Zeros for each of T threads, filled: (T, G, F), (T, F), (T, 2, F, F), (T, 3).
    """
    blocks, lanes = marks.shape[0], first.shape[0]
    for lane in numba.prange(lanes):
        begin, end = share_of(lane, lanes, blocks)
        out = (first[lane], bias[lane], middle[lane], slopes[lane])
        _decode_lane(inputs, gradient, weights, numbers, marks, out, tiles, begin, end)
