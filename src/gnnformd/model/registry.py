"""The kinds of models there are, by the name that configurations and model files give them."""

from __future__ import annotations

from collections.abc import Callable

from gnnformd.model.interface import ForceModel
from gnnformd.model.settings import ModelSettings

__all__ = ["MODELS", "ModelSettings", "build_model", "model_class"]


def _density() -> type[ForceModel]:
    from gnnformd.model.density.model import DensityModel

    return DensityModel


def _gamd() -> type[ForceModel]:
    from gnnformd.model.gamd.network import GamdModel

    return GamdModel


MODELS: dict[str, Callable[[], type[ForceModel]]] = {"density": _density, "gamd": _gamd}
"""What loads the class of each kind of model; its settings are one of `gnnformd.model.settings.ModelSettings`."""


def model_class(settings: ModelSettings) -> type[ForceModel]:
    """Class of the model that ``settings.kind`` names."""
    return MODELS[settings.kind]()


def build_model(settings: ModelSettings, type_count: int) -> ForceModel:
    """Build the network that ``settings.kind`` names, with fresh weights from torch's random generator.

    Parameters
    ----------
    settings
        Settings of one kind of model.
    type_count
        Number of atom types in the data.
    """
    return model_class(settings).from_settings(settings, type_count)
