"""ManyLayers: a density model of several layers by compiled loops, for one system whose atoms move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.kernels.many_layers import layer_backward, layer_forward
from gnnformd.model.density.kernels.structures import (
    ATOMS,
    MIXED_COUNTS,
    Doubles,
    Floats,
    Forces,
    Layer,
    LayerGradients,
    LayerInputs,
    LayerOutputs,
    LayerResults,
    NeighborLists,
    Sent,
)
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.coulomb_system import CoulombSystem
from gnnformd.model.density.numba_engine.one_layer import OneLayer
from gnnformd.model.density.numba_engine.packed_weights import (
    dtype_of,
    floor_of_species,
    packed_layer,
    packed_messages,
    packed_mixing,
)
from gnnformd.model.density.numba_engine.results import LocalPrediction, add_parts
from gnnformd.model.engine import OtherDomains
from gnnformd.model.threads import in_parts

__all__ = ["ManyLayers"]

Array = NDArray[Any]


@dataclass(frozen=True)
class _State:
    """What the layers leave for the following ones.

    Attributes
    ----------
    mixed, scalars
        Of all blocks, (layers, blocks, M ATOMS F) and (layers, blocks, ATOMS W).
    sent
        By the centers to the layer after each, (N, C), or by all atoms, (M, C), once ghosts have it from their owners.
    energies
        Of all atoms, (M,).
    on_mixed, on_scalars
        Gradient in mixed densities and scalars of a layer through all later ones, for one layer.
    on_energies
        Gradient in what the layers give to the energies of the centers, (N,).
    grades
        Extrapolation grades of the centers, (N,), or of none.
    """

    mixed: Array
    scalars: Array
    sent: list[Array]
    energies: Array
    on_mixed: Array
    on_scalars: Array
    on_energies: Array
    grades: Array

    def received(self, number: int) -> Array:
        """Numbers sent to a layer; none to the first, which has them in its weights."""
        return self.sent[number - 1] if number > 0 else self.sent[0][:0]


class ManyLayers(OneLayer):
    """Energy and forces of a density model of any number of layers, without its long-range electrostatics.

    One layer after the other goes through all blocks of atoms, forwards and then backwards, since it needs what the
    one before sent. Mixed densities and scalars of all atoms are kept, 4 (17 F + W) bytes an atom and layer in float32.

    Parameters
    ----------
    model, atoms
        See `OneLayer`.
    others
        The other domains, if those that own the ghosts are to tell what these send; else every ghost is an image of a
        center, or a center itself (see `set_neighbors`).
    """

    def __init__(self, model: DensityModel, atoms: AtomicGraph, others: OtherDomains | None = None) -> None:
        super().__init__(model, atoms)
        self._others = others
        self._state: _State | None = None
        self._state_of: NeighborLists | None = None

    def _pack(self, used: NDArray[np.bool_]) -> None:
        """Lay out weights for groups of which some are used."""
        model, inputs = self._model, self._inputs
        densities = [packed_mixing(model, inputs, used)]
        densities += [packed_messages(model, number, inputs, used.shape[1]) for number in range(1, model.layers)]
        networks = [packed_layer(model, number, inputs, self._types) for number in range(model.layers)]
        self._layers = [Layer(*of_layer, network) for of_layer, network in zip(densities, networks, strict=True)]
        self._floor = floor_of_species(model, self._types)
        self._message_sizes = [len(network.message_bias) for network in networks]
        self._width = len(networks[0].second_bias)

    def evaluate(self, positions: Doubles, coulomb: CoulombSystem | None = None) -> LocalPrediction:
        """See `OneLayer.evaluate`."""
        return self._backwards(positions, self._forwards(positions))

    def _forwards(self, positions: Array) -> _State:
        """Evaluate one layer after the other."""
        state = self._fresh_state(len(positions))
        for number in range(self._model.layers):
            self._one_forwards(number, positions, state)
            if self._others is not None and number < self._model.layers - 1:
                state.sent[number] = self._exchanged(self._others.to_ghosts, state.sent[number][: self._own])
        return state

    def _backwards(self, positions: Array, state: _State) -> LocalPrediction:
        """Go back through the layers with the gradient of the energies, and with that in ``on_scalars``."""
        self._saturate(state)
        forces, virial, nearest = np.zeros_like(positions), np.zeros(6), np.array([1.0, 0.0, 0.0])
        on_sent = state.sent[-1][:0]
        for number in reversed(range(self._model.layers)):
            of_layer, stress, nearest, on_sent = self._one_backwards(number, positions, state, on_sent)
            if self._others is not None and number > 0:
                on_sent = self._exchanged(self._others.from_ghosts, on_sent)
            forces += of_layer
            virial += stress
        return self._prediction(positions, state.energies, state.grades.copy(), (forces, virial, nearest))

    def _exchanged(self, exchange: Callable[[Array], Array], rows: Array) -> Array:
        """Exchange what is sent, or the gradient in it, without the zeros that fill vectors up."""
        count = self._model.settings.message_channels
        found = exchange(np.ascontiguousarray(rows[:, :count]))
        filled = np.zeros((len(found), rows.shape[1]), rows.dtype)
        filled[:, :count] = found
        return filled

    def _saturate(self, state: _State) -> None:
        """Keep the energies that count above their floor (`gnnformd.model.density.energy_floor.EnergyFloor`)."""
        energies = state.energies[: self._own]
        start, depth = self._floor[self._species_of_center].T
        below = np.maximum(start - energies, 0.0)
        t = np.tanh(below / depth)
        energies += below - depth * t
        state.on_energies[: self._own] = 1.0 - t * t

    def _fresh_state(self, atoms: int) -> _State:
        """In the same memory as long as the neighbors are the same; what is not zeroed is written before it is read."""
        if self._state is None or self._state_of is not self._lists:
            dtype, blocks, layers = dtype_of(self._model), len(self._lists.blocks.species), self._model.layers
            features, centers = self._layers[0].mixing.constant.shape[1], len(self._lists.bounds)
            mixed = np.empty(
                (layers + 1, blocks, MIXED_COUNTS[self._layers[0].layout.degree] * ATOMS * features), dtype
            )
            scalars = np.empty((layers + 1, blocks, ATOMS * self._width), dtype)
            sent = [np.empty((centers, channels), dtype) for channels in self._message_sizes]
            on_energies = np.zeros(centers, dtype)
            self._state = _State(
                mixed[:-1],
                scalars[:-1],
                sent,
                np.empty(atoms),
                mixed[-1],
                scalars[-1],
                on_energies,
                self._fresh_grades(),
            )
            self._state_of = self._lists
        for array in (self._state.energies, self._state.on_mixed, self._state.on_scalars):
            array.fill(0.0)
        return self._state

    def _todo(self, number: int) -> int:
        """Blocks that have to be done in a layer: the first so many, since the deeper ones come last."""
        return int(np.searchsorted(self._lists.blocks.depth, self._model.layers - number))

    def _one_forwards(self, number: int, positions: Doubles, state: _State) -> None:
        before = slice(None) if number > 0 else slice(0)
        inputs = LayerInputs(
            Sent(self._source, state.received(number)),
            state.mixed[number - 1][before],
            state.scalars[number - 1][before],
        )
        last = number == self._model.layers - 1
        grades = state.grades if last else state.grades[:0]
        outputs = LayerOutputs(state.mixed[number], state.scalars[number], state.sent[number], state.energies, grades)
        layer, lists, pairs = self._layers[number], self._lists, self._pairs
        in_parts(
            lambda _, blocks: layer_forward(blocks, positions, lists, pairs, layer, inputs, outputs),
            self._todo(number),
        )

    def _one_backwards(self, number: int, positions: Doubles, state: _State, on_sent: Floats) -> tuple[Array, ...]:
        """Give forces, virial, nearest pair, and the gradient in what was sent to this layer."""
        received = state.received(number)
        gradients = LayerGradients(
            Sent(self._source, received),
            state.mixed[number],
            state.scalars[number],
            state.on_mixed,
            state.on_scalars,
            on_sent,
            state.on_energies,
        )

        def work(_: int, blocks: tuple[int, int]) -> tuple[Array, ...]:
            sums, nearest = Forces(np.zeros_like(positions), np.zeros(6)), np.array([1.0, 0.0, 0.0])
            results = LayerResults(state.energies, sums, nearest, np.zeros_like(received))
            layer_backward(blocks, positions, self._lists, self._terms, self._layers[number], gradients, results)
            return sums.forces, sums.virial, nearest, results.on_received

        return add_parts(in_parts(work, self._todo(number)))

    @property
    def network_alone(self) -> Callable[[], None] | None:
        """Not measured: None."""
        return None

    def operations_per_atom(self, edges_per_atom: float) -> float:
        """Floating-point operations of an evaluation for each center, fillings of vectors left out.

        For each layer as for one, with C received numbers the sums and their gradient C times; functions are computed
        twice, the two maps between perceptrons are not one, and messages take ``4 W C`` forwards and backwards.
        """
        settings = self._model.settings
        k, f, w, c = settings.radial_functions, settings.features, settings.width, settings.message_channels
        total = 0.0
        for number, layer in enumerate(self._layers):
            layout = layer.layout
            degrees = layout.degree + 1
            components = (1, 7, 17, 31, 49)[degrees - 1]
            inner = self._densities_per_center(layout) if number == 0 else layout.channels * layout.functions
            per_edge = (16 + 6 * degrees**2 * max(layout.channels, 1)) * k
            messages = w * c if number < len(self._layers) - 1 else 0
            total += edges_per_atom * per_edge + 4 * (
                components * inner * f + min(degrees, 3) * f * w + 2 * w * w + messages
            )
        return float(total)
