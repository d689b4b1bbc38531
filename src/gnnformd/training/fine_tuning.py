"""Weights of a model file as the start of a training on other data."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnformd.errors import InputError
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.model import DensityModel
from gnnformd.model.files.model_file import LoadedModel
from gnnformd.model.interface import ForceModel
from gnnformd.model.settings import PlainResidualSettings

__all__ = ["meet_data", "take_weights"]

PER_TYPE = ("contacts.distances", "network.type_energies")
"""What belongs to types of atoms and means nothing for others; all other weights of physical inputs carry over."""


def take_weights(network: ForceModel, start: LoadedModel, type_names: tuple[str, ...]) -> None:
    """Copy the weights into a network for data with these types.

    Raises
    ------
    InputError
        The weights do not fit.
    """
    if isinstance(start.card.settings, PlainResidualSettings):
        raise InputError(
            f"{start.path}: its layers add to their input as it was, as seed networks did up to model format version "
            "5; it can be used, but not trained further, so train a new one."
        )
    same_types = type_names == start.card.type_names
    if start.card.settings.node_features == "embedding" and not same_types:
        raise InputError(
            f"{start.path}: it learned a vector for each of the types {', '.join(start.card.type_names)}, and the "
            f"data has {', '.join(type_names)}; fine-tune on the same types."
        )
    weights, wanted = start.model.state_dict(), network.state_dict()
    if not same_types:
        weights |= {name: wanted[name] for name in PER_TYPE if name in wanted}
    for name in sorted(set(weights) | set(wanted)):
        if name not in weights or name not in wanted or weights[name].shape != wanted[name].shape:
            raise InputError(
                f"{start.path}: its weight '{name}' does not fit the settings under 'model'; "
                "use the settings the model was trained with (gnnformd inspect shows them)."
            )
    network.load_state_dict(weights)


@torch.no_grad()
def meet_data(network: ForceModel, sample: AtomicGraph, closest: Tensor, *, same_types: bool) -> None:
    """Take from some frames what weights learned elsewhere cannot know.

    Contact distances of a density model become those of ``closest`` (or stay, where they are shorter and of the same
    types), so that the repulsion stays out of the new data; energies of types are fitted to the frames, where they have
    energies, because these have another zero.
    """
    if not isinstance(network, DensityModel):
        return
    known = network.contacts.distances.clone()
    network.contacts.take(closest)
    if same_types:
        network.contacts.distances.copy_(torch.minimum(known, network.contacts.distances))
    training = network.training
    network.eval()
    if sample.forces is not None:
        network.fit_classical(sample)
    if sample.energies is not None:
        network.network.type_energies.zero_()
        network.network.set_type_energies(sample, sample.energies - network(sample).energies)
    network.train(training)
