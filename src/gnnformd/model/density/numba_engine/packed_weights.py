"""Weights of a density model in the order in which compiled loops read them.

What depends on the center alone (gates, means, inputs of the perceptron) is worked into weights of its own for each
kind of center; what depends on the kind of neighbor (what it sends) into the weights of its densities. Features and
widths are filled up with zeros to whole vectors, and so are degrees and products that the model does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnformd.model.density.kernels.layer_network import LayerWeights
from gnnformd.model.density.kernels.simd import BYTES
from gnnformd.model.density.layer import PRODUCTS, DensityLayer, Readout
from gnnformd.model.density.model import DensityModel

__all__ = [
    "Shells",
    "dtype_of",
    "energies_of_kinds",
    "packed_layer",
    "packed_messages",
    "packed_mixing",
    "packed_network",
]

Array = NDArray[Any]
PERCEIVED = 3  # invariants of each feature that the perceptron is given


def dtype_of(model: DensityModel) -> np.dtype[Any]:
    """Type of the numbers the model computes with."""
    return np.dtype(np.float64 if model.network.energy_scale.dtype == torch.float64 else np.float32)


@dataclass(frozen=True)
class Shells:
    """Radial functions of each kind of bond.

    Attributes
    ----------
    counts, first
        How many functions a shell has, and the number of its first one among all.
    of_bond
        Shell of each kind of bond; those that have no functions of their own share those of no bond.
    """

    counts: list[int]
    first: list[int]
    of_bond: list[int]

    @classmethod
    def of(cls, model: DensityModel, bonds: int) -> Shells:
        """Take them from a model, for so many kinds of bond."""
        counts = model.settings.function_counts
        first = [sum(counts[:shell]) for shell in range(len(counts))]
        return cls(counts, first, [b if b < len(counts) else 0 for b in range(bonds)])


def packed_mixing(model: DensityModel, inputs: Tensor, used: Array) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Lay out the densities of each kind of center, and the weights that mix them.

    Parameters
    ----------
    model
        Of whose first layer they are.
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
        Weights there and back, as `gnnformd.model.density.kernels.one_layer.evaluate` takes them.
    """
    settings, layer = model.settings, _layer(model, 0)
    dtype = dtype_of(model)
    lanes = BYTES // dtype.itemsize
    kinds = len(inputs)
    shells = Shells.of(model, used.shape[1])
    slots = [(shell, b, t) for b, shell in enumerate(shells.of_bond) for t in range(kinds)]
    counts = np.array([[shells.counts[shell] if used[k, b, t] else 0 for shell, b, t in slots] for k in range(kinds)])
    offsets = np.cumsum(counts, axis=1) - counts
    inner = max(lanes, _whole(int(counts.sum(axis=1).max(initial=1)), lanes))
    features = _whole(settings.features, lanes)
    sent = model.network.inputs.sent(inputs.to(dtype=model.network.energy_scale.dtype)).double()  # (kinds, C)
    total = sum(shells.counts)
    gates = _gates(layer, inputs)  # (kinds, degrees, F)
    packed = [torch.zeros(kinds, inner, features * n, dtype=torch.float64) for n in (1, 2, 2)]
    constant = torch.zeros(kinds, features, dtype=torch.float64)
    seen = [0, 0, 0]
    for place, degree in enumerate(layer.degrees):
        weight = layer.mixing[place].detach().double() / layer.spread[degree].double()[:, None]  # (C K, F)
        by_channel = torch.einsum("tc,ckf->tkf", sent, weight.view(sent.shape[1], total, -1))  # (kinds, K, F)
        column = seen[degree] * features
        seen[degree] += 1
        for k in range(kinds):
            for slot, (shell, _, t) in enumerate(slots):
                first, count = shells.first[shell], int(counts[k, slot])
                rows = slice(int(offsets[k, slot]), int(offsets[k, slot]) + count)
                target = packed[degree][k, rows, column : column + settings.features]
                target += by_channel[t, first : first + count] * gates[k, place]
        if degree == 0:
            mean = inputs @ (layer.mean.double() @ weight)
            constant[:, : settings.features] = -mean * gates[:, place]
    padded = _whole(max(shells.counts), lanes)
    layout = (counts, offsets, padded, inner, dtype.type(model.cutoff), layer.l_max)
    return layout, _there_and_back(constant, packed, dtype)


def packed_messages(model: DensityModel, number: int, inputs: Tensor, kinds_of_bond: int) -> tuple[Any, Any]:
    """Lay out the densities of a layer after the first, number 1 or more, and the weights that mix them.

    Parameters
    ----------
    model, inputs
        As for `packed_mixing`.
    kinds_of_bond
        Of the slots, which are (kind of bond, kind of neighbor), row by row.

    Returns
    -------
    layout
        See `gnnformd.model.density.kernels.messages.densities_of_messages`; the first two are (kinds, slots).
    mixing
        Weights there and back, as `gnnformd.model.density.kernels.many_layers` takes them.
    """
    settings, layer, dtype = model.settings, _layer(model, number), dtype_of(model)
    lanes, kinds, channels = BYTES // dtype.itemsize, len(inputs), settings.message_channels
    shells = Shells.of(model, kinds_of_bond)
    counts = np.array([[shells.counts[shell] for shell in shells.of_bond for _ in range(kinds)]] * kinds)
    offsets = np.array([[shells.first[shell] for shell in shells.of_bond for _ in range(kinds)]] * kinds)
    total, features = sum(shells.counts), _whole(settings.features, lanes)
    inner = _whole(channels * total, lanes)
    gates = _gates(layer, inputs)  # (kinds, degrees, F)
    packed = [torch.zeros(kinds, inner, features * n, dtype=torch.float64) for n in (1, 2, 2)]
    seen = [0, 0, 0]
    for place, degree in enumerate(layer.degrees):
        weight = layer.mixing[place].detach().double() / layer.spread[degree].double()[:, None]  # (C K, F)
        column = seen[degree] * features
        seen[degree] += 1
        packed[degree][:, : channels * total, column : column + settings.features] = weight * gates[:, place, None]
    constant = torch.zeros(kinds, features, dtype=torch.float64)
    layout = (counts, offsets, _whole(max(shells.counts), lanes), inner, dtype.type(model.cutoff), layer.l_max)
    return (*layout, channels, total), _there_and_back(constant, packed, dtype)


def packed_layer(model: DensityModel, number: int, inputs: Tensor) -> LayerWeights:
    """Weights of one of several layers behind its mixed densities.

    Parameters
    ----------
    model, inputs
        As for `packed_mixing`.
    number
        Of the layer.
    """
    layer, dtype = _layer(model, number), dtype_of(model)
    lanes = BYTES // dtype.itemsize
    width = _whole(model.settings.width, lanes)
    readout = model.network.readouts[number]
    assert isinstance(readout, Readout)
    message = torch.zeros(1, model.settings.width), torch.zeros(1)  # (C, W) and (C,)
    if number < len(model.network.messages):
        linear = model.network.messages[number]
        assert isinstance(linear, torch.nn.Linear)
        message = linear.weight, linear.bias
    channels = _whole(len(message[1]), lanes)

    def both_ways(weight: Tensor, inner: int, columns: int) -> tuple[Array, Array]:
        """Of a map (columns, inner) the weights there, (inner, columns), and back, filled up."""
        there = _filled(_filled(weight, inner).T, columns)
        return _array(there, dtype).reshape(-1), _array(there.T, dtype).reshape(-1)

    return LayerWeights(
        *_perceptron(model, number, inputs),
        *both_ways(layer.second.weight, width, width),
        _array(_filled(layer.second.bias, width), dtype),
        *both_ways(readout.hidden.weight, width, width),
        _array(_filled(readout.hidden.bias, width), dtype),
        _array(_last(model, readout, width), dtype),
        *both_ways(message[0], width, channels),
        _array(_filled(message[1], channels), dtype),
    )


def packed_network(model: DensityModel, inputs: Tensor) -> tuple[Array, ...]:
    """Weights behind the invariants of a single layer, as `one_layer.evaluate` takes them.

    Parameters
    ----------
    model, inputs
        As for `packed_mixing`.
    """
    layer, dtype = _layer(model, 0), dtype_of(model)
    readout = model.network.readouts[0]
    assert isinstance(readout, Readout)
    width = _whole(model.settings.width, BYTES // dtype.itemsize)
    hidden = readout.hidden.weight.detach().double()
    square = _filled(_filled(hidden @ layer.second.weight.detach().double(), width).T, width).T  # (W, W)
    bias = readout.hidden.bias.detach().double() + hidden @ layer.second.bias.detach().double()
    return (
        *_perceptron(model, 0, inputs),
        _array(square.T, dtype).reshape(-1),
        _array(square, dtype).reshape(-1),
        _array(_filled(bias, width), dtype),
        _array(_last(model, readout, width), dtype),
    )


def energies_of_kinds(model: DensityModel, inputs: Tensor, types: Array) -> tuple[Array, Array]:
    """Coefficients of the angles at each kind of center, and the energy of each kind.

    Parameters
    ----------
    model, inputs
        As for `packed_mixing`.
    types
        Type of each kind of atom, (kinds,).

    Returns
    -------
    angles
        See `gnnformd.model.density.kernels.angle_terms.bend`, (kinds, kinds, kinds, POWERS).
    energies
        kcal/mol, (kinds,).
    """
    by_end = torch.einsum(
        "kp,npq,tq->ktn", inputs, model.angles.coefficients.double(), inputs
    )  # (kinds, kinds, POWERS)
    energies = model.network.type_energies.double()[torch.from_numpy(types)]
    exact = np.dtype(np.float64)
    return _array(by_end[:, :, None] + by_end[:, None], exact), _array(energies, exact)


def _perceptron(model: DensityModel, number: int, inputs: Tensor) -> tuple[Array, Array, Array, Array]:
    """Polynomial (9, F), and of the perceptron's first map the biases (kinds, W) and the weights, there and back."""
    layer, settings, dtype = _layer(model, number), model.settings, dtype_of(model)
    lanes = BYTES // dtype.itemsize
    features, width = _whole(settings.features, lanes), _whole(settings.width, lanes)
    polynomial = torch.zeros(len(PRODUCTS), features, dtype=torch.float64)
    rows = [PRODUCTS.index(name) for name in layer.products]
    terms = layer.polynomial.weight.detach().double().view(len(rows), -1)
    polynomial[rows, : settings.features] = model.network.energy_scale.double() * terms
    first = layer.first.weight.detach().double()
    perceived = torch.zeros(PERCEIVED, features, width, dtype=torch.float64)
    known = first[:, : layer.perceived].T.reshape(-1, settings.features, settings.width)
    perceived[: len(known), : settings.features, : settings.width] = known
    perceived = perceived.flatten(0, 1)  # (3 F, W)
    first_bias = _filled(layer.first.bias + inputs.to(first) @ first[:, layer.perceived :].T, width)
    return (
        _array(polynomial, dtype).reshape(-1),
        _array(first_bias, dtype),
        _array(perceived, dtype).reshape(-1),
        _array(perceived.T, dtype).reshape(-1),
    )


def _last(model: DensityModel, readout: Readout, width: int) -> Tensor:
    """From the last activation to energies, kcal/mol, (W,)."""
    return _filled(model.network.energy_scale.double() * readout.share * readout.last.weight, width)[0]


def _there_and_back(constant: Tensor, packed: list[Tensor], dtype: np.dtype[Any]) -> tuple[Any, Any]:
    kinds = len(constant)
    there = (_array(constant, dtype), *(_array(w, dtype).reshape(kinds, -1) for w in packed))
    return there, tuple(_array(w.transpose(1, 2), dtype).reshape(kinds, -1) for w in packed)


def _layer(model: DensityModel, number: int) -> DensityLayer:
    layer = model.network.layers[number]
    assert isinstance(layer, DensityLayer)
    return layer


def _gates(layer: DensityLayer, inputs: Tensor) -> Tensor:
    """Factors on the mixed densities of each kind of center, (kinds, degrees, F)."""
    gates = layer.gates.weight.detach().double() @ inputs.T + layer.gates.bias.detach().double()[:, None]
    return 1.0 + gates.T.view(len(inputs), len(layer.degrees), -1)


def _whole(count: int, lanes: int) -> int:
    return -(-count // lanes) * lanes


def _filled(values: Tensor, width: int) -> Tensor:
    """Zeros behind the last axis, up to the width, in float64."""
    return torch.nn.functional.pad(values.detach().double(), (0, width - values.shape[-1]))


def _array(values: Tensor, dtype: np.dtype[Any]) -> Array:
    return np.ascontiguousarray(values.detach().numpy().astype(dtype))
