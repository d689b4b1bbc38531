"""Fine-tuning: start a training from the weights of a model file, and freeze parts of a network."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

import torch
from torch import nn

from gnnformd.errors import InputError
from gnnformd.model.choose_engine import GraphPredictor
from gnnformd.model.files.model_file import LoadedModel
from gnnformd.model.interface import ForceModel
from gnnformd.model.settings import PlainResidualSettings, ScaledSettings
from gnnformd.training.data import FrameData
from gnnformd.training.loss import absolute_error_per_axis

__all__ = ["copy_weights", "freeze", "validation_error"]


def copy_weights(network: ForceModel, start: LoadedModel, type_names: tuple[str, ...]) -> None:
    """Copy the weights into a network for data with these types.

    Raises
    ------
    InputError
        The weights do not match.
    """
    if isinstance(start.card.settings, PlainResidualSettings):
        raise InputError(
            f"{start.path}: its layers add to their input as it was, as GAMD networks did up to model format version "
            "5; it can be used, but not trained further, so train a new one."
        )
    if isinstance(start.card.settings, ScaledSettings):
        raise InputError(
            f"{start.path}: was made by 'gnnformd specialize' from a model for many liquids, and can be used, but not "
            "trained further; fit it to frames with 'gnnformd specialize --tune', or train a new model on this liquid."
        )
    same_types = type_names == start.card.type_names
    if start.card.settings.node_features == "embedding" and not same_types:
        raise InputError(
            f"{start.path}: it has learned vectors for the types {', '.join(start.card.type_names)}, and the "
            f"data has {', '.join(type_names)}; fine-tune on the same types."
        )
    wanted = network.state_dict()
    weights = network.weights_from(start.model.state_dict(), same_types=same_types)
    for name in sorted(set(weights) | set(wanted)):
        if name not in weights or name not in wanted or weights[name].shape != wanted[name].shape:
            raise InputError(
                f"{start.path}: its weight '{name}' does not fit the settings under 'model'; "
                "use the settings the model was trained with (gnnformd inspect shows them)."
            )
    network.load_state_dict(weights)


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


@torch.no_grad()
def validation_error(network: ForceModel, frames: FrameData) -> float:
    """Error of a network as it is, as `EpochRecord.validation_l1_per_atom`."""
    training = network.training
    predict = GraphPredictor(network.eval(), weights_change=True)
    total, atoms = 0.0, 0
    for graph in frames.validation_batches():
        total += float(absolute_error_per_axis(predict([graph]).forces, graph).sum())
        atoms += int((graph.atoms_per_graph * graph.known_targets[0]).sum())
    network.train(training)
    return total / atoms
