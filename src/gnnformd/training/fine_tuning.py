"""Fine-tuning: start a training from the weights of a model file, and freeze parts of a network."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from gnnformd.errors import InputError
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.model import DensityModel
from gnnformd.model.files.model_file import LoadedModel
from gnnformd.model.interface import ForceModel

__all__ = ["adapt_to_data", "copy_weights", "freeze"]

PER_TYPE = ("contacts.distances", "network.type_energies")
"""Weights that belong to the types of atoms; all others of a model with physical inputs can be used for other types."""


def copy_weights(network: ForceModel, start: LoadedModel, type_names: tuple[str, ...]) -> None:
    """Copy the weights into a network for data with these types.

    Raises
    ------
    InputError
        The weights do not match.
    """
    same_types = type_names == start.card.type_names
    if start.card.settings.node_features == "embedding" and not same_types:
        raise InputError(
            f"{start.path}: it has learned vectors for the types {', '.join(start.card.type_names)}, and the "
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
def adapt_to_data(network: ForceModel, sample: AtomicGraph, shortest: Tensor, *, same_types: bool) -> None:
    """Fit to the new data what the weights of the model file cannot contain.

    Contact distances of a density model become those of ``shortest`` (or stay, where they are shorter and of the same
    types), so that the repulsion does not act within the new data. Energies of types are fitted to frames with
    energies, whose zero may differ.
    """
    if not isinstance(network, DensityModel):
        return
    known = network.contacts.distances.clone()
    network.contacts.take(shortest)
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


def freeze(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Exclude parameters from training.

    Parameters
    ----------
    model
        The network.
    patterns
        Names of parameters or of parts of the network; ``*`` and ``?`` are wildcards.

    Returns
    -------
    list of str
        Names of the frozen parameters.

    Raises
    ------
    InputError
        A pattern matches nothing, or nothing is left to train.
    """
    parameters = dict(model.named_parameters())
    frozen: set[str] = set()
    for pattern in patterns:
        matched = {name for name in parameters if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")}
        if not matched:
            parts = [name for name, _ in model.named_modules() if name]
            near = get_close_matches(pattern.removesuffix(".*"), parts, n=1, cutoff=0) or [parts[0]]
            raise InputError(f"training.freeze: nothing in the model is named '{pattern}'; the nearest is '{near[0]}'.")
        frozen |= matched
    if len(frozen) == len(parameters):
        raise InputError("training.freeze: all parameters are frozen; remove a pattern.")
    for name in frozen:
        parameters[name].requires_grad_(False)
    return sorted(frozen)
