"""The kinds of models there are, by the name that configurations and model files give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.engine import DomainNeighbors, Engine, OtherDomains
from gnnformd.model.interface import ForceModel
from gnnformd.model.settings import ModelSettings

__all__ = ["FAST_ENGINES", "MODELS", "FastEngines", "ModelSettings", "build_model", "fast_engines", "model_class"]


class FastEngines(NamedTuple):
    """How the fastest engine of a kind of model is built; both give None where PyTorch is to be taken.

    Attributes
    ----------
    whole
        For a whole system: takes the model, atoms (types, parameters, periodic directions; edges and positions are not
        used) and whether the engine serves for a few evaluations only, as in the validations of a training.
    domain
        For a domain, a part of a system with the atoms around it: takes the model, atoms, which tell what is owned, and
        the other domains, which models with `ForceModel.needs_other_domains` need.
    exchanges
        Whether the engine for domains gets what the neighbors of a model's atoms know from the domains that own them,
        if it is given these. The atoms around a domain then reach one cutoff far; else as many as there are layers.
    """

    whole: Callable[[Any, AtomicGraph, bool], Engine[AtomicGraph] | None]
    domain: Callable[[Any, AtomicGraph, OtherDomains | None], Engine[DomainNeighbors] | None]
    exchanges: Callable[[Any], bool]


def _density() -> type[ForceModel]:
    from gnnformd.model.density.model import DensityModel

    return DensityModel


def _gamd() -> type[ForceModel]:
    from gnnformd.model.gamd.network import GamdModel

    return GamdModel


MODELS: dict[str, Callable[[], type[ForceModel]]] = {"density": _density, "gamd": _gamd}
"""What loads the class of each kind of model; its settings are one of `gnnformd.model.settings.ModelSettings`."""


def _density_engines() -> FastEngines:
    from gnnformd.model.density.engines import (
        build_density_domain_engine,
        build_density_engine,
        density_exchanges_messages,
    )

    return FastEngines(build_density_engine, build_density_domain_engine, density_exchanges_messages)


FAST_ENGINES: dict[str, Callable[[], FastEngines]] = {"density": _density_engines}
"""What loads the engines of a kind of model, where it has some beside PyTorch."""


def fast_engines(model: ForceModel) -> FastEngines | None:
    """Engines of a model beside PyTorch; None if its kind has none."""
    load = FAST_ENGINES.get(model.kind)
    return None if load is None else load()


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
