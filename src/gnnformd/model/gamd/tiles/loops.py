"""Loops over blocks of edges, forward and backward, whose values never leave the fastest caches.

A block is `PAIRS` pairs: their edges one way, then the same pairs the other way, so twice as many rows. Between two
matrix products lies a PReLU with dropout; what it was given is kept for the way back as bfloat16, with a mark where it
was dropped. Forward products are split (16 bits of each number), those on the way back are of bfloat16 numbers.
"""

from __future__ import annotations

import numba
import numpy as np

from gnnformd.model.gamd.prelu_dropout import hashed
from gnnformd.model.gamd.tiles.products import bits, floats, product, release_tiles, split_product, transpose, use_tiles

__all__ = ["PAIRS", "decode_edges", "encode_edges", "message_edges", "unmessage_edges"]

PAIRS = 128
"""Pairs of a block."""

_ROWS, _DROPPED = 2 * PAIRS, 0x7FC0  # the mark is a bfloat16 that is no number
_COLUMN = PAIRS + 16  # stride of transposed blocks, so that their rows do not share lines of the cache

# Sums may be taken in any order and multiplications fused, which lets the loops run over whole vectors.
_compile = numba.njit(cache=True, fastmath={"contract", "nsz", "reassoc"})
_compile_parallel = numba.njit(cache=True, parallel=True)


@numba.njit(inline="always")
def _rounded(x):  # type: ignore[no-untyped-def]
    """Nearest bfloat16 number, as the lower half of a uint32."""
    u = bits(x)
    return (u + np.uint32(0x7FFF) + ((u >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)


@numba.njit(inline="always")
def _large(x):  # type: ignore[no-untyped-def]
    """Upper half of the bits."""
    return bits(x) >> np.uint32(16)


@numba.njit(inline="always")
def _small(x):  # type: ignore[no-untyped-def]
    """Round what `_large` leaves to bfloat16."""
    return _rounded(x - floats(bits(x) & np.uint32(0xFFFF0000)))


@numba.njit(inline="always")
def _prelu(x, slope):  # type: ignore[no-untyped-def]
    return max(x, np.float32(0)) + slope * min(x, np.float32(0))


@_compile
def _split(values, large, small):  # type: ignore[no-untyped-def]
    for r in range(values.shape[0]):
        for k in range(values.shape[1]):
            large[r, k] = np.uint16(_large(values[r, k]))
            small[r, k] = np.uint16(_small(values[r, k]))


@_compile
def _activate(values, large, small, marks, slope, threshold, scale, seed):  # type: ignore[no-untyped-def]
    """PReLU and dropout of a block, split for the next product; one hash decides for both ways of a pair."""
    width = values.shape[1]
    for r in range(PAIRS):
        for k in range(width):
            h = hashed(r * width + k, seed)
            x = values[r, k]
            kept = (h & np.uint32(0xFFFF)) >= threshold
            y = scale * _prelu(x, slope) if kept else np.float32(0)
            large[r, k] = np.uint16(_large(y))
            small[r, k] = np.uint16(_small(y))
            marks[r, k] = np.uint16(_rounded(x) if kept else np.uint32(_DROPPED))
            x = values[PAIRS + r, k]
            kept = (h >> np.uint32(16)) >= threshold
            y = scale * _prelu(x, slope) if kept else np.float32(0)
            large[PAIRS + r, k] = np.uint16(_large(y))
            small[PAIRS + r, k] = np.uint16(_small(y))
            marks[PAIRS + r, k] = np.uint16(_rounded(x) if kept else np.uint32(_DROPPED))


@_compile
def _finish(value, mark, target, slope):  # type: ignore[no-untyped-def]
    """Add the PReLU of a row to a target."""
    for k in range(len(value)):
        mark[k] = np.uint16(_rounded(value[k]))
        target[k] += _prelu(value[k], slope)


@_compile
def _layers(x, large, small, marks, weights, numbers, seed):  # type: ignore[no-untyped-def]
    """From the first values of a perceptron to its last, before their PReLU; all in ``x``, (2P, F)."""
    slopes, threshold, scale = numbers
    width = x.shape[1]
    for layer in range(2):
        layer_seed = np.uint32(hashed(layer, seed))
        _activate(x, large, small, marks[layer], slopes[layer], threshold, scale, layer_seed)
        split_product(
            large.ctypes.data,
            small.ctypes.data,
            weights[2 * layer].ctypes.data,
            weights[2 * layer + 1].ctypes.data,
            x.ctypes.data,
            _ROWS,
            width,
            width,
            0,
        )


@_compile
def _transpose(marks, both, transposed, slope, scale):  # type: ignore[no-untyped-def]
    """Values after PReLU and dropout from their marks, as the rows of a left factor: both ways of a pair together."""
    for r in range(PAIRS):
        for k in range(marks.shape[1]):
            m, n = np.uint32(marks[r, k]), np.uint32(marks[PAIRS + r, k])
            y = np.float32(0) if m == _DROPPED else scale * _prelu(floats(m << np.uint32(16)), slope)
            z = np.float32(0) if n == _DROPPED else scale * _prelu(floats(n << np.uint32(16)), slope)
            both[r, k] = _rounded(y) | (_rounded(z) << np.uint32(16))
    transpose(both.ctypes.data, transposed.ctypes.data, PAIRS, marks.shape[1], 4 * _COLUMN)


@_compile
def _gate(one, other, mark, mark_other, flat, flat_other, pair, slope, scale):  # type: ignore[no-untyped-def]
    """Gradients of a pair's rows through PReLU and dropout, as bfloat16; returns the gradient of the slope."""
    total = np.float32(0)
    for k in range(len(one)):
        m, n = np.uint32(mark[k]), np.uint32(mark_other[k])
        x, y = floats(m << np.uint32(16)), floats(n << np.uint32(16))
        g = np.float32(0) if m == _DROPPED else scale * one[k]
        h = np.float32(0) if n == _DROPPED else scale * other[k]
        total += (g * x if x < 0 else np.float32(0)) + (h * y if y < 0 else np.float32(0))
        a = _rounded(g if x > 0 else slope * g)
        b = _rounded(h if y > 0 else slope * h)
        flat[k] = np.uint16(a)
        flat_other[k] = np.uint16(b)
        pair[k] = a | (b << np.uint32(16))
    return total


@_compile
def _map_back(flat, weight, target):  # type: ignore[no-untyped-def]
    """Gradients before a linear map from those after it."""
    rows, width = target.shape
    left, right = flat.ctypes.data, weight.ctypes.data
    product(left, 2 * width, right, 4 * width, target.ctypes.data, rows, width, width, 0)


@_compile
def _layers_back(g, flat, pair, marks, weights, numbers, both, transposed, weight_gradients, slope_gradients):  # type: ignore[no-untyped-def]
    """From gated gradients of the last values of a perceptron (``flat``, ``pair``) to those of its first values."""
    slopes, _, scale = numbers
    width = g.shape[1]
    for step in range(2):
        layer = 1 - step
        _transpose(marks[layer], both, transposed, slopes[layer], scale)
        product(
            transposed.ctypes.data,
            4 * _COLUMN,
            pair.ctypes.data,
            pair.strides[0],
            weight_gradients[layer].ctypes.data,
            width,
            _ROWS,
            width,
            1,
        )
        _map_back(flat, weights[layer], g)
        total = np.float32(0)
        for r in range(PAIRS):
            total += _gate(
                g[r],
                g[PAIRS + r],
                marks[layer, r],
                marks[layer, PAIRS + r],
                flat[r],
                flat[PAIRS + r],
                pair[r],
                slopes[layer],
                scale,
            )
        slope_gradients[layer] += total


@numba.njit(inline="always")
def _share(lane, lanes, blocks):  # type: ignore[no-untyped-def]
    return lane * blocks // lanes, (lane + 1) * blocks // lanes


@_compile
def _encode_lane(inputs, first, bias, weights, numbers, seed, marks, hidden, tiles, begin, end):  # type: ignore[no-untyped-def]
    half, width = inputs.shape[0] // 2, first.shape[1]
    x = np.empty((_ROWS, width), np.float32)
    large, small = np.empty((_ROWS, width), np.uint16), np.empty((_ROWS, width), np.uint16)
    use_tiles(tiles.ctypes.data)
    for block in range(begin, end):
        for r in range(_ROWS):
            edge = block * PAIRS + (r if r < PAIRS else half + r - PAIRS)
            for k in range(width):
                x[r, k] = bias[k]
            for c in range(inputs.shape[1]):
                value = inputs[edge, c]
                for k in range(width):
                    x[r, k] += value * first[c, k]
        _layers(x, large, small, marks[block], weights, numbers, np.uint32(hashed(block, seed)))
        for r in range(_ROWS):
            edge = block * PAIRS + (r if r < PAIRS else half + r - PAIRS)
            _finish(x[r], marks[block, 2, r], hidden[edge], numbers[0][2])
    release_tiles()


@_compile_parallel
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
        begin, end = _share(lane, lanes, blocks)
        _encode_lane(inputs, first, bias, weights, numbers, seed, marks, hidden, tiles, begin, end)


@_compile
def _decode_lane(inputs, gradient, weights, numbers, marks, out, tiles, begin, end):  # type: ignore[no-untyped-def]
    first, bias, middle, slopes = out
    half, width = inputs.shape[0] // 2, gradient.shape[1]
    g = np.empty((_ROWS, width), np.float32)
    flat, pair = np.empty((_ROWS, width), np.uint16), np.empty((PAIRS, width + 16), np.uint32)
    both = np.empty((PAIRS, width), np.uint32)
    transposed = np.empty((width, _COLUMN), np.uint32)
    use_tiles(tiles.ctypes.data)
    for block in range(begin, end):
        total = np.float32(0)
        for r in range(PAIRS):
            edge = block * PAIRS + r
            total += _gate(
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
        _layers_back(g, flat, pair, marks[block], weights, numbers, both, transposed, middle, slopes)
        for r in range(_ROWS):
            edge = block * PAIRS + (r if r < PAIRS else half + r - PAIRS)
            for k in range(width):
                g[r, k] = floats(np.uint32(flat[r, k]) << np.uint32(16))
                bias[k] += g[r, k]
            for c in range(inputs.shape[1]):
                value = inputs[edge, c]
                for k in range(width):
                    first[c, k] += value * g[r, k]
    release_tiles()


@_compile_parallel
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
        begin, end = _share(lane, lanes, blocks)
        out = (first[lane], bias[lane], middle[lane], slopes[lane])
        _decode_lane(inputs, gradient, weights, numbers, marks, out, tiles, begin, end)


@_compile
def _message_lane(hidden, features, pairs, weights, bias, numbers, seed, marks, totals, tiles, begin, end):  # type: ignore[no-untyped-def]
    center, neighbor, count = pairs
    half, width = hidden.shape[0] // 2, features.shape[1]
    x, q = np.empty((_ROWS, width), np.float32), np.empty((PAIRS, width), np.float32)
    large, small = np.empty((_ROWS, width), np.uint16), np.empty((_ROWS, width), np.uint16)
    use_tiles(tiles.ctypes.data)
    for block in range(begin, end):
        edge = block * PAIRS
        for r in range(PAIRS):
            i, j = center[edge + r], neighbor[edge + r]
            for k in range(width):
                v = features[i, k] * features[j, k]
                large[r, k] = np.uint16(_large(v))
                small[r, k] = np.uint16(_small(v))
        addresses = large.ctypes.data, small.ctypes.data
        on_product, on_product_rest = weights[2].ctypes.data, weights[3].ctypes.data
        split_product(*addresses, on_product, on_product_rest, q.ctypes.data, PAIRS, width, width, 0)
        for r in range(PAIRS):
            for k in range(width):
                x[r, k] = q[r, k] + bias[k]
                x[PAIRS + r, k] = q[r, k] + bias[k]
        _split(hidden[edge : edge + PAIRS], large[:PAIRS], small[:PAIRS])
        _split(hidden[half + edge : half + edge + PAIRS], large[PAIRS:], small[PAIRS:])
        on_edge, on_edge_rest = weights[0].ctypes.data, weights[1].ctypes.data
        split_product(*addresses, on_edge, on_edge_rest, x.ctypes.data, _ROWS, width, width, 1)
        _layers(x, large, small, marks[block], weights[4:], numbers, np.uint32(hashed(block, seed)))
        for r in range(min(PAIRS, count - edge)):
            _finish(x[r], marks[block, 2, r], totals[center[edge + r]], numbers[0][2])
            _finish(x[PAIRS + r], marks[block, 2, PAIRS + r], totals[neighbor[edge + r]], numbers[0][2])
        for r in range(max(0, count - edge), PAIRS):  # pairs that fill up
            marks[block, 2, r] = marks[block, 2, PAIRS + r] = np.uint16(0)
    release_tiles()


@_compile_parallel
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
        begin, end = _share(lane, lanes, blocks)
        _message_lane(hidden, features, pairs, weights, bias, numbers, seed, marks, totals[lane], tiles, begin, end)


@_compile
def _unmessage_lane(hidden, features, pairs, gradient, weights, numbers, marks, of_hidden, out, tiles, begin, end):  # type: ignore[no-untyped-def]
    of_features, of_maps, of_bias, of_slopes = out
    center, neighbor, count = pairs
    half, width = hidden.shape[0] // 2, features.shape[1]
    g, q = np.empty((_ROWS, width), np.float32), np.empty((PAIRS, width), np.float32)
    flat, pair = np.empty((_ROWS, width), np.uint16), np.empty((PAIRS, width + 16), np.uint32)
    both = np.empty((PAIRS, width), np.uint32)
    transposed = np.empty((width, _COLUMN), np.uint32)
    zeros = np.zeros(width, np.float32)
    use_tiles(tiles.ctypes.data)
    for block in range(begin, end):
        edge = block * PAIRS
        total = np.float32(0)
        for r in range(PAIRS):
            real = edge + r < count
            total += _gate(
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
        _layers_back(g, flat, pair, marks[block], weights[2:], numbers, both, transposed, of_maps[2:], of_slopes)
        # the map on hidden values of the edge
        for r in range(PAIRS):
            for k in range(width):
                one, other = _rounded(hidden[edge + r, k]), _rounded(hidden[half + edge + r, k])
                both[r, k] = one | (other << np.uint32(16))
        transpose(both.ctypes.data, transposed.ctypes.data, PAIRS, width, 4 * _COLUMN)
        left, right = transposed.ctypes.data, pair.ctypes.data
        product(left, 4 * _COLUMN, right, pair.strides[0], of_maps[0].ctypes.data, width, _ROWS, width, 1)
        _map_back(flat, weights[0], g)
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
                flat[r, k] = np.uint16(_rounded(q[r, k]))
        for r in range(PAIRS // 2):
            s = r + PAIRS // 2
            i, j, m, n = center[edge + r], neighbor[edge + r], center[edge + s], neighbor[edge + s]
            for k in range(width):
                pair[r, k] = np.uint32(flat[r, k]) | (np.uint32(flat[s, k]) << np.uint32(16))
                one, other = features[i, k] * features[j, k], features[m, k] * features[n, k]
                both[r, k] = _rounded(one) | (_rounded(other) << np.uint32(16))
        transpose(both.ctypes.data, transposed.ctypes.data, PAIRS // 2, width, 4 * _COLUMN)
        product(left, 4 * _COLUMN, right, pair.strides[0], of_maps[1].ctypes.data, width, PAIRS, width, 1)
        _map_back(flat[:PAIRS], weights[1], q)
        for r in range(PAIRS):
            i, j = center[edge + r], neighbor[edge + r]
            for k in range(width):
                one, other = features[i, k], features[j, k]
                of_features[i, k] += q[r, k] * other
                of_features[j, k] += q[r, k] * one
    release_tiles()


@_compile_parallel
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
        begin, end = _share(lane, lanes, blocks)
        own = (of_features[lane], of_maps[lane], of_bias[lane], of_slopes[lane])
        _unmessage_lane(hidden, features, pairs, gradient, weights, numbers, marks, of_hidden, own, tiles, begin, end)
