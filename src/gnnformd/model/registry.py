"""From settings to a network."""

from __future__ import annotations

from gnnformd.model.density.model import DensityModel
from gnnformd.model.gamd.network import SeedModel
from gnnformd.model.interface import ForceModel
from gnnformd.model.settings import DensitySettings, ModelSettings

__all__ = ["ModelSettings", "build_model"]


def build_model(settings: ModelSettings, type_count: int) -> ForceModel:
    """Build the network that ``settings.kind`` names, with fresh weights from torch's random generator.

    Parameters
    ----------
    settings
        Settings of one kind of model.
    type_count
        Number of atom types in the data.
    """
    if isinstance(settings, DensitySettings):
        return DensityModel(settings, type_count)
    return SeedModel(settings, type_count)
