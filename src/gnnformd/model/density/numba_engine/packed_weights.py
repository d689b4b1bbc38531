"""Weights of a density model in the order in which the compiled loops read them.

What depends on the center alone (gates, means, inputs of the perceptron) becomes part of weights for each species of
center; what depends on the species of the neighbor (what it sends) part of the weights of its densities. Features and
widths are filled up with zeros to whole vectors, and so are degrees and products that the model does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnformd.model.density.couplings import COUPLINGS
from gnnformd.model.density.kernels.simd import BYTES
from gnnformd.model.density.kernels.structures import (
    LayerWeights,
    Layout,
    MixingWeights,
    NetworkWeights,
    SurroundingsWeights,
)
from gnnformd.model.density.layer import PRODUCTS, DensityLayer, Readout
from gnnformd.model.density.model import DensityModel

__all__ = [
    "Shells",
    "dtype_of",
    "energies_of_species",
    "floor_of_species",
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
    """Radial functions of each bond kind.

    Attributes
    ----------
    counts, first
        How many functions a shell has, and the number of its first one among all.
    of_bond
        Shell of each bond kind; bond kinds without functions share those of no bond.
    """

    counts: list[int]
    first: list[int]
    of_bond: list[int]

    @classmethod
    def of(cls, model: DensityModel, bonds: int) -> Shells:
        """Take them from a model, for so many bond kinds."""
        counts = model.settings.function_counts
        first = [sum(counts[:shell]) for shell in range(len(counts))]
        return cls(counts, first, [b if b < len(counts) else 0 for b in range(bonds)])


def packed_mixing(model: DensityModel, inputs: Tensor, used: Array) -> tuple[Layout, MixingWeights]:
    """Lay out the densities of the first layer for each species of center, and the weights that mix them.

    Parameters
    ----------
    model
        The network.
    inputs
        Numbers that describe each species, (S, P) float64.
    used
        Whether a center of a species has neighbors of a bond kind and species, (S, 4, S); other groups have no
        functions.
    """
    settings, layer = model.settings, _layer(model, 0)
    dtype = dtype_of(model)
    lanes = BYTES // dtype.itemsize
    species = len(inputs)
    shells = Shells.of(model, used.shape[1])
    groups = [(shell, b, t) for b, shell in enumerate(shells.of_bond) for t in range(species)]
    counts = np.array(
        [[shells.counts[shell] if used[s, b, t] else 0 for shell, b, t in groups] for s in range(species)]
    )
    offsets = np.cumsum(counts, axis=1) - counts
    inner = max(lanes, _whole(int(counts.sum(axis=1).max(initial=1)), lanes))
    features = _whole(settings.features, lanes)
    sent = model.network.inputs.sent(inputs.to(dtype=model.network.energy_scale.dtype)).double()  # (S, C)
    total = sum(shells.counts)
    gates = _gates(layer, inputs)  # (S, degrees, F)
    packed = [torch.zeros(species, inner, features * n, dtype=torch.float64) for n in _mixtures(layer)]
    constant = torch.zeros(species, features, dtype=torch.float64)
    seen = [0] * len(packed)
    for mixture, degree in enumerate(layer.degrees):
        weight = layer.mixing[mixture].detach().double() / layer.spread[degree].double()[:, None]  # (C K, F)
        by_channel = torch.einsum("tc,ckf->tkf", sent, weight.view(sent.shape[1], total, -1))  # (S, K, F)
        column = seen[degree] * features
        seen[degree] += 1
        for s in range(species):
            for group, (shell, _, t) in enumerate(groups):
                first, count = shells.first[shell], int(counts[s, group])
                rows = slice(int(offsets[s, group]), int(offsets[s, group]) + count)
                target = packed[degree][s, rows, column : column + settings.features]
                target += by_channel[t, first : first + count] * gates[s, mixture]
        if degree == 0:
            mean = inputs @ (layer.mean.double() @ weight)
            constant[:, : settings.features] = -mean * gates[:, mixture]
    padded = _whole(max(shells.counts), lanes)
    layout = Layout(counts, offsets, padded, inner, dtype.type(model.cutoff), layer.l_max, 0, 0)
    return layout, _mixing_weights(constant, packed, dtype)


def packed_messages(model: DensityModel, number: int, inputs: Tensor, bond_kinds: int) -> tuple[Layout, MixingWeights]:
    """Lay out the densities of a layer after the first, number 1 or more, and the weights that mix them.

    Parameters
    ----------
    model, inputs
        As for `packed_mixing`.
    bond_kinds
        How many there are.
    """
    settings, layer, dtype = model.settings, _layer(model, number), dtype_of(model)
    lanes, species, channels = BYTES // dtype.itemsize, len(inputs), settings.message_channels
    shells = Shells.of(model, bond_kinds)
    counts = np.array([[shells.counts[shell] for shell in shells.of_bond for _ in range(species)]] * species)
    offsets = np.array([[shells.first[shell] for shell in shells.of_bond for _ in range(species)]] * species)
    total, features = sum(shells.counts), _whole(settings.features, lanes)
    inner = _whole(channels * total, lanes)
    gates = _gates(layer, inputs)  # (S, degrees, F)
    packed = [torch.zeros(species, inner, features * n, dtype=torch.float64) for n in _mixtures(layer)]
    seen = [0] * len(packed)
    for mixture, degree in enumerate(layer.degrees):
        weight = layer.mixing[mixture].detach().double() / layer.spread[degree].double()[:, None]  # (C K, F)
        column = seen[degree] * features
        seen[degree] += 1
        packed[degree][:, : channels * total, column : column + settings.features] = weight * gates[:, mixture, None]
    constant = torch.zeros(species, features, dtype=torch.float64)
    padded = _whole(max(shells.counts), lanes)
    layout = Layout(counts, offsets, padded, inner, dtype.type(model.cutoff), layer.l_max, channels, total)
    return layout, _mixing_weights(constant, packed, dtype)


def packed_layer(model: DensityModel, number: int, inputs: Tensor, types: Array) -> LayerWeights:
    """Weights of one of several layers behind its mixed densities.

    Parameters
    ----------
    model, inputs
        As for `packed_mixing`.
    number
        Of the layer.
    types
        Type of each species, (S,).
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

    def with_transpose(weight: Tensor, inner: int, columns: int) -> tuple[Array, Array]:
        """Matrix (inner, columns) of a map (columns, inner), filled up, and its transpose."""
        matrix = _filled(_filled(weight, inner).T, columns)
        return _array(matrix, dtype).reshape(-1), _array(matrix.T, dtype).reshape(-1)

    return LayerWeights(
        *_perceptron(model, number, inputs),
        *with_transpose(layer.second.weight, width, width),
        _array(_filled(layer.second.bias, width), dtype),
        *with_transpose(readout.hidden.weight, width, width),
        _array(_filled(readout.hidden.bias, width), dtype),
        _array(_last(model, readout, width), dtype),
        *with_transpose(message[0], width, channels),
        _array(_filled(message[1], channels), dtype),
        _surroundings(model, types),
    )


def packed_network(model: DensityModel, inputs: Tensor, types: Array) -> NetworkWeights:
    """Weights of a single layer behind its mixed densities.

    Parameters
    ----------
    model, inputs
        As for `packed_mixing`.
    types
        Type of each species, (S,).
    """
    layer, dtype = _layer(model, 0), dtype_of(model)
    readout = model.network.readouts[0]
    assert isinstance(readout, Readout)
    width = _whole(model.settings.width, BYTES // dtype.itemsize)
    hidden = readout.hidden.weight.detach().double()
    square = _filled(_filled(hidden @ layer.second.weight.detach().double(), width).T, width).T  # (W, W)
    bias = readout.hidden.bias.detach().double() + hidden @ layer.second.bias.detach().double()
    return NetworkWeights(
        *_perceptron(model, 0, inputs),
        _array(square.T, dtype).reshape(-1),
        _array(square, dtype).reshape(-1),
        _array(_filled(bias, width), dtype),
        _array(_last(model, readout, width), dtype),
        floor_of_species(model, types),
        _surroundings(model, types),
    )


def floor_of_species(model: DensityModel, types: Array) -> Array:
    """Start and depth of the floor of the energies of species with these types, kcal/mol, (S, 2)."""
    floor = torch.stack(model.network.floor.of_types(torch.from_numpy(types)), dim=1)
    return _array(floor, np.dtype(np.float64))


def _surroundings(model: DensityModel, types: Array) -> SurroundingsWeights:
    """Lay out what grades of atoms of species with these types are made of; no numbers where nothing is known."""
    known, dtype = model.network.surroundings, dtype_of(model)
    lanes = BYTES // dtype.itemsize
    of_species = torch.from_numpy(types if known.known else types[:0])
    width, depth = _whole(known.axes.shape[1], lanes), _whole(known.axes.shape[2], lanes)
    axes = _filled(_filled(known.axes[of_species], depth).transpose(1, 2), width).transpose(1, 2)  # (S, W, D)
    representatives = _filled(known.representatives[of_species], depth)  # (S, K, D)
    return SurroundingsWeights(
        _array(axes.flatten(1), dtype),
        _array(_filled(-known.offset[of_species], depth), dtype),
        _array(representatives.transpose(1, 2).flatten(1), dtype),
        _array(0.5 * representatives.square().sum(2), dtype),
        _array(known.scale[of_species], np.dtype(np.float64)),
    )


def energies_of_species(model: DensityModel, inputs: Tensor, types: Array) -> tuple[Array, Array]:
    """Coefficients of the angles at each species of center, and the energy of each species.

    Parameters
    ----------
    model, inputs
        As for `packed_mixing`.
    types
        Type of each species, (S,).

    Returns
    -------
    angles
        See `gnnformd.model.density.kernels.structures.EnergyTerms`, (S, S, S, POWERS).
    energies
        kcal/mol, (S,).
    """
    by_end = torch.einsum("kp,npq,tq->ktn", inputs, model.angles.coefficients.double(), inputs)  # (S, S, POWERS)
    energies = model.network.type_energies[torch.from_numpy(types)]
    exact = np.dtype(np.float64)
    return _array(by_end[:, :, None] + by_end[:, None], exact), _array(energies, exact)


def _perceptron(model: DensityModel, number: int, inputs: Tensor) -> tuple[Array, Array, Array, Array]:
    """Polynomial (products, F), and of the perceptron's first map the biases (S, W), the matrix and its transpose."""
    layer, settings, dtype = _layer(model, number), model.settings, dtype_of(model)
    lanes = BYTES // dtype.itemsize
    features, width = _whole(settings.features, lanes), _whole(settings.width, lanes)
    known_products = (*PRODUCTS, *COUPLINGS)
    polynomial = torch.zeros(len(known_products), features, dtype=torch.float64)
    for names, linear in ((layer.products, layer.polynomial), (layer.coupled, layer.couplings)):
        if linear is not None:
            rows = [known_products.index(name) for name in names]
            terms = linear.weight.detach().double().view(len(rows), -1)
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


def _mixing_weights(constant: Tensor, packed: list[Tensor], dtype: np.dtype[Any]) -> MixingWeights:
    species = len(constant)
    transposed = (weights.transpose(1, 2) for weights in packed)
    flat = (_array(weights, dtype).reshape(species, -1) for weights in (*packed, *transposed))
    return MixingWeights(_array(constant, dtype), *flat)


def _mixtures(layer: DensityLayer) -> tuple[int, ...]:
    """How many mixtures of each degree loops have: degrees 0 to 2 always, those above where the layer has them."""
    return 1, 2, 2, *(2 if layer.l_max >= degree else 0 for degree in (3, 4))


def _layer(model: DensityModel, number: int) -> DensityLayer:
    layer = model.network.layers[number]
    assert isinstance(layer, DensityLayer)
    return layer


def _gates(layer: DensityLayer, inputs: Tensor) -> Tensor:
    """Factors on the mixed densities of each species of center, (S, degrees, F)."""
    gates = layer.gates.weight.detach().double() @ inputs.T + layer.gates.bias.detach().double()[:, None]
    return 1.0 + gates.T.view(len(inputs), len(layer.degrees), -1)


def _whole(count: int, lanes: int) -> int:
    return -(-count // lanes) * lanes


def _filled(values: Tensor, width: int) -> Tensor:
    """Zeros behind the last axis, up to the width, in float64."""
    return torch.nn.functional.pad(values.detach().double(), (0, width - values.shape[-1]))


def _array(values: Tensor, dtype: np.dtype[Any]) -> Array:
    return np.ascontiguousarray(values.detach().numpy().astype(dtype))
