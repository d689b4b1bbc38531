"""CompiledLayers: a density model of several layers as compiled loops, for one system whose atoms move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.kernels.atom_network import ATOMS
from gnnformd.model.density.kernels.layer_network import MIXED
from gnnformd.model.density.kernels.many_layers import backward, forward
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.one_layer import CompiledDensity, LocalPrediction, add_parts
from gnnformd.model.density.numba_engine.packed_weights import dtype_of, packed_layer, packed_messages, packed_mixing
from gnnformd.model.threads import in_parts

__all__ = ["CompiledLayers"]

Array = NDArray[Any]


@dataclass(frozen=True)
class _State:
    """What layers leave to those that follow.

    Attributes
    ----------
    mixed, scalars
        Of all blocks, (layers, blocks, MIXED ATOMS F) and (layers, blocks, ATOMS W).
    sent
        By the centers to the layer after each, (N, C).
    energies
        Of all atoms, (M,).
    on_mixed, on_scalars
        Gradient in mixed densities and scalars of a layer through all later ones, for one layer.
    """

    mixed: Array
    scalars: Array
    sent: list[Array]
    energies: Array
    on_mixed: Array
    on_scalars: Array

    def received(self, number: int) -> Array:
        """Numbers sent to a layer; none to the first, whose weights know them."""
        return self.sent[number - 1] if number > 0 else self.sent[0][:0]


class CompiledLayers(CompiledDensity):
    """Energy and forces of a density model of any number of layers, without its long-range electrostatics.

    One layer after the other goes through all blocks of atoms, forwards and then backwards, since it needs what the one
    before sent. Mixed densities and scalars of all atoms are kept, 4 (17 F + W) bytes an atom and layer in float32.
    """

    def __init__(self, model: DensityModel, atoms: AtomicGraph) -> None:
        super().__init__(model, atoms)
        self._state: _State | None = None
        self._state_of: tuple[Array, ...] = ()

    def _pack(self, used: Array) -> None:
        """Lay out weights for slots of which some are used."""
        model, inputs = self._model, self._inputs
        layout, mixing = packed_mixing(model, inputs, used)
        self._layouts, self._mixings = [(*layout, 0, 0)], [mixing]
        for number in range(1, model.layers):
            more, weights = packed_messages(model, number, inputs, used.shape[1])
            self._layouts.append(more)
            self._mixings.append(weights)
        self._weights = [packed_layer(model, number, inputs) for number in range(model.layers)]
        charges, weight, contacts = self._constants
        self._silent = np.zeros_like(charges), weight, contacts

    def evaluate(self, positions: Array) -> LocalPrediction:
        """Evaluate at positions of all atoms, angstrom, (M, 3) float64, centers first."""
        return self._backwards(positions, self._forwards(positions))

    def _forwards(self, positions: Array) -> _State:
        """Evaluate one layer after the other."""
        state = self._fresh_state(len(positions))
        for number in range(self._model.layers):
            self._one_forwards(number, positions, state)
        return state

    def _backwards(self, positions: Array, state: _State) -> LocalPrediction:
        """Go back through the layers with the gradient of the energies, and with that in ``on_scalars``."""
        forces, virial, nearest = np.zeros_like(positions), np.zeros(6), np.array([1.0, 0.0, 0.0])
        on_sends = state.sent[-1][:0]
        for number in reversed(range(self._model.layers)):
            more, stress, nearest, on_sends = self._one_backwards(number, positions, state, on_sends)
            forces += more
            virial += stress
        return self._prediction(positions, state.energies, forces, virial, nearest)

    def _fresh_state(self, atoms: int) -> _State:
        """In the same memory as long as the neighbors are the same; what is not zeroed is written before it is read."""
        if self._state is None or self._state_of is not self._blocks:
            dtype, blocks, layers = dtype_of(self._model), len(self._blocks[2]), self._model.layers
            features, width = self._mixings[0][0][0].shape[1], len(self._weights[0].second_bias)
            centers = len(self._lists[0])
            mixed = np.empty((layers + 1, blocks, MIXED * ATOMS * features), dtype)
            scalars = np.empty((layers + 1, blocks, ATOMS * width), dtype)
            sent = [np.empty((centers, len(weights.message_bias)), dtype) for weights in self._weights]
            self._state = _State(mixed[:-1], scalars[:-1], sent, np.empty(atoms), mixed[-1], scalars[-1])
            self._state_of = self._blocks
        for array in (self._state.energies, self._state.on_mixed, self._state.on_scalars):
            array.fill(0.0)
        return self._state

    def _todo(self, number: int) -> int:
        """Blocks that have to be done in a layer: the first so many, since the deeper ones come last."""
        return int(np.searchsorted(self._blocks[3], self._model.layers - number))

    def _one_forwards(self, number: int, positions: Array, state: _State) -> None:
        order, start, kinds, _ = self._blocks
        before = slice(None) if number > 0 else slice(0)
        arguments = (
            positions,
            self._lists,
            self._silent,
            self._pairs,
            (self._source, state.received(number)),
            self._layouts[number],
            self._mixings[number][0],
            self._weights[number],
            (state.mixed[number - 1][before], state.scalars[number - 1][before]),
            (state.mixed[number], state.scalars[number], state.sent[number], state.energies),
        )
        in_parts(lambda _, blocks: forward((order, start, kinds, blocks), *arguments), self._todo(number))

    def _one_backwards(self, number: int, positions: Array, state: _State, on_sends: Array) -> tuple[Array, ...]:
        """Give forces, virial, nearest pair, and the gradient in what was sent to this layer."""
        order, start, kinds, depth = self._blocks
        received = state.received(number)

        def work(_: int, blocks: tuple[int, int]) -> tuple[Array, ...]:
            found = np.zeros_like(positions), np.zeros(6), np.array([1.0, 0.0, 0.0]), np.zeros_like(received)
            backward(
                (order, start, kinds, blocks, depth),
                positions,
                self._lists,
                self._constants,
                self._pairs,
                self._potentials,
                (self._source, received),
                self._layouts[number],
                self._mixings[number][1],
                self._weights[number],
                (state.mixed[number], state.scalars[number]),
                (state.on_mixed, state.on_scalars, on_sends),
                (state.energies, *found),
            )
            return found

        return add_parts(in_parts(work, self._todo(number)))

    @property
    def network_alone(self) -> Callable[[], None] | None:
        """Not measured: None."""
        return None

    def operations_per_atom(self, edges_per_atom: float) -> float:
        """Floating-point operations of an evaluation for each center, fillings of vectors left out.

        For each layer as for one, with C received numbers the sums and their gradient C times; functions are computed
        twice, the two maps between perceptrons are not one, and messages take ``4 W C`` there and back.
        """
        settings = self._model.settings
        k, f, w, c = settings.radial_functions, settings.features, settings.width, settings.message_channels
        degrees = self._layouts[0][5] + 1
        components = (1, 7, 17)[degrees - 1]
        total = 0.0
        for number, layout in enumerate(self._layouts):
            inner = float(layout[0].sum(axis=1)[self._kind_of_center].mean()) if number == 0 else layout[6] * layout[7]
            per_edge = (16 + 6 * degrees**2 * max(layout[6], 1)) * k
            messages = w * c if number < len(self._layouts) - 1 else 0
            total += edges_per_atom * per_edge + 4 * (components * inner * f + degrees * f * w + 2 * w * w + messages)
        return float(total)
