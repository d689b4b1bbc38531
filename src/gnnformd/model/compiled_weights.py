"""Weights of a density model in the order in which compiled loops read them.

What depends on the center alone (gates, means, inputs of the perceptron) is worked into weights of its own for each
kind of center; what depends on the kind of neighbor (what it sends) into the weights of its densities. Features and
widths are filled up with zeros to whole vectors, and so are degrees and products that the model does not have.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnformd.model.density import DensityModel
from gnnformd.model.density_layer import PRODUCTS, DensityLayer, Readout
from gnnformd.model.kernels.simd import BYTES

__all__ = ["dtype_of", "packed_mixing", "packed_network"]

Array = NDArray[Any]
PERCEIVED = 3  # invariants of each feature that the perceptron is given


def dtype_of(model: DensityModel) -> np.dtype[Any]:
    """Type of the numbers the model computes with."""
    return np.dtype(np.float64 if model.network.energy_scale.dtype == torch.float64 else np.float32)


def packed_mixing(model: DensityModel, inputs: Tensor, used: Array) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Lay out the densities of each kind of center, and the weights that mix them.

    Parameters
    ----------
    model
        One layer.
    inputs
        Numbers that describe each kind of atom, (kinds, P) float64.
    used
        Whether a center of a kind has neighbors of a kind of bond and a kind of atom, (kinds, 4, kinds).

    Returns
    -------
    layout
        ``(counts, offsets, padded, inner, cutoff, degrees)``: slots are (kind of bond, kind of neighbor), row by row;
        those that are not used have no functions. (kinds, slots) each. The last is the highest degree of harmonics.
    mixing
        Weights there and back, as `gnnformd.model.kernels.fused.evaluate` takes them.
    """
    settings, layer = model.settings, _layer(model)
    dtype = dtype_of(model)
    lanes = BYTES // dtype.itemsize
    kinds = len(inputs)
    shells = [settings.radial_functions] + [settings.bonded_functions] * settings.bond_kinds
    shell_of_bond = [b if b <= settings.bond_kinds else 0 for b in range(used.shape[1])]
    slots = [(b, t) for b in range(used.shape[1]) for t in range(kinds)]
    counts = np.array([[shells[shell_of_bond[b]] if used[k, b, t] else 0 for b, t in slots] for k in range(kinds)])
    offsets = np.cumsum(counts, axis=1) - counts
    inner = max(lanes, _whole(int(counts.sum(axis=1).max(initial=1)), lanes))
    features = _whole(settings.features, lanes)
    sent = model.network.inputs.sent(inputs.to(dtype=model.network.energy_scale.dtype)).double()  # (kinds, C)
    total = sum(shells)
    gates = _gates(model, inputs)  # (kinds, degrees, F)
    packed = [torch.zeros(kinds, inner, features * n, dtype=torch.float64) for n in (1, 2, 2)]
    constant = torch.zeros(kinds, features, dtype=torch.float64)
    seen = [0, 0, 0]
    for place, degree in enumerate(layer.degrees):
        weight = layer.mixing[place].detach().double() / layer.spread[degree].double()[:, None]  # (C K, F)
        by_channel = torch.einsum("tc,ckf->tkf", sent, weight.view(sent.shape[1], total, -1))  # (kinds, K, F)
        column = seen[degree] * features
        seen[degree] += 1
        for k in range(kinds):
            for slot, (b, t) in enumerate(slots):
                first, count = sum(shells[: shell_of_bond[b]]), int(counts[k, slot])
                rows = slice(int(offsets[k, slot]), int(offsets[k, slot]) + count)
                target = packed[degree][k, rows, column : column + settings.features]
                target += by_channel[t, first : first + count] * gates[k, place]
        if degree == 0:
            mean = inputs @ (layer.mean.double() @ weight)
            constant[:, : settings.features] = -mean * gates[:, place]
    there = (_array(constant, dtype), *(_array(w, dtype).reshape(kinds, -1) for w in packed))
    back = tuple(_array(w.transpose(1, 2), dtype).reshape(kinds, -1) for w in packed)
    padded = _whole(max(shells), lanes)
    layout = (counts, offsets, padded, inner, dtype.type(model.cutoff), layer.l_max)
    return layout, (there, back)


def packed_network(model: DensityModel, inputs: Tensor, types: Array) -> tuple[Array, ...]:
    """Weights behind the invariants, as `gnnformd.model.kernels.fused.evaluate` takes them.

    Parameters
    ----------
    model, inputs
        As for `packed_mixing`.
    types
        Type of each kind of atom, (kinds,).
    """
    layer, settings, dtype = _layer(model), model.settings, dtype_of(model)
    readout = model.network.readouts[0]
    assert isinstance(readout, Readout)
    by_end = torch.einsum("kp,npq,tq->ktn", inputs, model.classical.angles.double(), inputs)  # (kinds, kinds, POWERS)
    angles = by_end[:, :, None] + by_end[:, None]
    lanes = BYTES // dtype.itemsize
    features, width = _whole(settings.features, lanes), _whole(settings.width, lanes)
    scale = model.network.energy_scale.double()
    polynomial = torch.zeros(len(PRODUCTS), features, dtype=torch.float64)
    rows = [PRODUCTS.index(name) for name in layer.products]
    polynomial[rows, : settings.features] = scale * layer.polynomial.weight.detach().double().view(len(rows), -1)
    first = layer.first.weight.detach().double()
    perceived = torch.zeros(PERCEIVED, features, width, dtype=torch.float64)
    known = first[:, : layer.perceived].T.reshape(-1, settings.features, settings.width)
    perceived[: len(known), : settings.features, : settings.width] = known
    perceived = perceived.flatten(0, 1)  # (3 F, W)
    first_bias = _filled(layer.first.bias + inputs.to(first) @ first[:, layer.perceived :].T, width)  # (kinds, W)
    hidden = readout.hidden.weight.detach().double()
    square = _filled(_filled(hidden @ layer.second.weight.detach().double(), width).T, width).T  # (W, W)
    bias = readout.hidden.bias.detach().double() + hidden @ layer.second.bias.detach().double()
    type_energies = model.network.type_energies.double()[torch.from_numpy(types)]
    return (
        _array(polynomial, dtype).reshape(-1),
        _array(first_bias, dtype),
        _array(perceived, dtype).reshape(-1),
        _array(perceived.T, dtype).reshape(-1),
        _array(square.T, dtype).reshape(-1),
        _array(square, dtype).reshape(-1),
        _array(_filled(bias, width), dtype),
        _array(_filled(scale * readout.share * readout.last.weight, width)[0], dtype),
        _array(type_energies, np.dtype(np.float64)),
        _array(angles, np.dtype(np.float64)),
    )


def _layer(model: DensityModel) -> DensityLayer:
    layer = model.network.layers[0]
    assert isinstance(layer, DensityLayer)
    return layer


def _gates(model: DensityModel, inputs: Tensor) -> Tensor:
    """Factors on the mixed densities of each kind of center, (kinds, degrees, F)."""
    layer = _layer(model)
    gates = layer.gates.weight.detach().double() @ inputs.T + layer.gates.bias.detach().double()[:, None]
    return 1.0 + gates.T.view(len(inputs), len(layer.degrees), -1)


def _whole(count: int, lanes: int) -> int:
    return -(-count // lanes) * lanes


def _filled(values: Tensor, width: int) -> Tensor:
    """Zeros behind the last axis, up to the width, in float64."""
    return torch.nn.functional.pad(values.detach().double(), (0, width - values.shape[-1]))


def _array(values: Tensor, dtype: np.dtype[Any]) -> Array:
    return np.ascontiguousarray(values.detach().numpy().astype(dtype))
