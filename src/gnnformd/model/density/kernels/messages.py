"""Densities of a center, and their gradient, where each neighbor sends other numbers.

In the scratch the received numbers are in rows from ``RECEIVED`` on, the functions in those behind them.
"""

from __future__ import annotations

from gnnformd.model.density.kernels.density_gradients import add_pair_gradient, neighbors_vjp
from gnnformd.model.density.kernels.density_sums import accumulate_all
from gnnformd.model.density.kernels.neighbor_scratch import (
    DISTANCE,
    RECEIVED,
    UNIT,
    WEIGHT,
    harmonics,
    radial_functions,
    set_weights,
)
from gnnformd.model.density.kernels.simd import borrowed, lanes_of, load, store, transpose
from gnnformd.model.density.kernels.structures import (
    ATOMS,
    HARMONIC_COUNTS,
    Floats,
    LayerResults,
    Layout,
    Neighborhood,
    Scratch,
    Sent,
    SumWorkspace,
)
from gnnformd.numba_jit import kernel

__all__ = ["message_densities", "messages_vjp"]


@kernel
def _receive(hood: Neighborhood, g: int, sent: Sent, layout: Layout) -> int:
    """Numbers received from the neighbors of a group, their functions and harmonics.

    Returns the end of the last whole vector; columns that fill it up receive zeros.
    """
    values, columns, channels = hood.values, hood.columns, layout.channels
    first, last = hood.begin[g], hood.end[g]
    width = lanes_of(values)
    end = first + (last - first + width - 1) // width * width
    for e in range(first, last):
        j = sent.source[hood.atom[e]]
        for c in range(channels):
            values[(RECEIVED + c) * columns + e] = sent.numbers[j, c]
    for c in range(channels):
        for e in range(last, end):
            values[(RECEIVED + c) * columns + e] = 0.0
    for e in range(first, end, width):
        radial_functions(values, columns, e, RECEIVED + channels, layout.padded, layout.cutoff, layout.counts[g])
        harmonics(values, columns, e, HARMONIC_COUNTS[layout.degree])
    return end


@kernel
def message_densities(hood: Neighborhood, layout: Layout, sent: Sent, workspace: SumWorkspace, out: Floats) -> None:
    """Add the densities of a center, ``sum_j h_jc B_k Y_lm``, to its row of the block.

    ``out`` is (harmonics, ATOMS, inner) and ``padded`` more.
    """
    workspace = borrowed(workspace)
    values, columns, padded, channels = hood.values, hood.columns, layout.padded, layout.channels
    transposed, sums = workspace.transposed, workspace.sums
    scratch = Scratch(values, columns, padded)
    width = lanes_of(values)
    row, count = RECEIVED + channels, HARMONIC_COUNTS[layout.degree]
    for g in range(len(hood.begin)):
        first, last = hood.begin[g], hood.end[g]
        if first == last:
            continue
        end = _receive(hood, g, sent, layout)
        for k in range(0, padded, width):
            for e in range(first, end, width):
                transpose(values, (row + k) * columns + e, columns, transposed, e * padded + k, padded)
        for c in range(channels):
            set_weights(values, columns, first, end, RECEIVED + c, count)
            sums[:] = 0.0
            for k in range(0, padded, width):
                accumulate_all(scratch, WEIGHT, first, last, transposed, k, sums, k, padded, count)
            begin = hood.row * layout.inner + c * layout.functions + layout.offsets[g]
            for lm in range((layout.degree + 1) * (layout.degree + 1)):
                for k in range(0, padded, width):  # behind the functions of the group are zeros
                    target = lm * ATOMS * layout.inner + begin + k
                    store(out, target, load(out, target) + load(sums, lm * padded + k))


@kernel
def _copy_gradient(target: Floats, gradient: Floats, offset: int, layout: Layout) -> None:
    """Copy the gradient in the densities of an atom and a group to (C, harmonics, padded), and what is behind it."""
    count = HARMONIC_COUNTS[layout.degree]
    for c in range(layout.channels):
        for lm in range((layout.degree + 1) * (layout.degree + 1)):
            source = lm * ATOMS * layout.inner + offset + c * layout.functions
            for k in range(0, layout.padded, lanes_of(target)):
                store(target, (c * count + lm) * layout.padded + k, load(gradient, source + k))


@kernel
def messages_vjp(
    hood: Neighborhood,
    layout: Layout,
    sent: Sent,
    gradient: Floats,
    workspace: SumWorkspace,
    results: LayerResults,
) -> None:
    """Add the gradients of all neighbors of a center to forces, virial, and that in what they sent.

    Parameters
    ----------
    hood, layout, sent, workspace
        As for `message_densities`.
    gradient
        In the densities of the block, (harmonics, ATOMS, inner) and ``padded`` more.
    """
    workspace = borrowed(workspace)
    values, columns, channels, padded = hood.values, hood.columns, layout.channels, layout.padded
    for g in range(len(hood.begin)):
        first, last = hood.begin[g], hood.end[g]
        if first == last:
            continue
        end = _receive(hood, g, sent, layout)
        _copy_gradient(workspace.gradient, gradient, hood.row * layout.inner + layout.offsets[g], layout)
        for e in range(first, end, lanes_of(values)):
            neighbors_vjp(values, columns, e, padded, workspace.gradient, channels, layout.counts[g], layout.degree)
        for e in range(first, last):
            j, w, u = hood.atom[e], WEIGHT * columns + e, UNIT * columns + e
            on_vector = float(values[w]), float(values[w + columns]), float(values[w + 2 * columns])
            unit = values[u], values[u + columns], values[u + 2 * columns]
            add_pair_gradient(hood.center, j, float(values[DISTANCE * columns + e]), unit, on_vector, results.sums)
            for c in range(channels):
                results.on_received[sent.source[j], c] += values[(RECEIVED + c) * columns + e]
