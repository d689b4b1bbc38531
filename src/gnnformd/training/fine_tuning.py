"""Weights of a model file as the start of a training on other data."""

from __future__ import annotations

from gnnformd.errors import InputError
from gnnformd.model.files.model_file import LoadedModel
from gnnformd.model.interface import ForceModel

__all__ = ["take_weights"]


def take_weights(network: ForceModel, start: LoadedModel, type_names: tuple[str, ...]) -> None:
    """Copy the weights into a network for data with these types.

    Raises
    ------
    InputError
        The weights do not fit.
    """
    same_types = type_names == start.card.type_names
    if start.card.settings.node_features == "embedding" and not same_types:
        raise InputError(
            f"{start.path}: it learned a vector for each of the types {', '.join(start.card.type_names)}, and the "
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
