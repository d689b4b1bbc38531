"""A density model of one liquid, with its card, from the functions that liquids share."""

from __future__ import annotations

from pathlib import Path

import torch

from gnnformd.model.density.model import DensityModel
from gnnformd.model.files.model_file import LoadedModel, ModelCard
from gnnformd.model.fluids.functions import FluidFunctions, load_fluids
from gnnformd.model.fluids.liquid import Liquid, read_liquid
from gnnformd.model.fluids.specialize import check_topology, seen_pairs, specialize, warn_outside

__all__ = ["card_of", "load_for"]


def load_for(
    model: str | Path,
    source: Path,
    *,
    temperature: float | None = None,
    device: str = "cpu",
    compiled: bool = True,
) -> LoadedModel:
    """Make the model of a liquid, float32; a warning names what is outside the training.

    Parameters
    ----------
    model
        See `gnnformd.model.fluids.functions.load_fluids`.
    source
        What says the force field and the atoms of the liquid: see `gnnformd.model.fluids.liquid.read_liquid`.
    temperature
        Of a simulation to come, K.
    device, compiled
        See `gnnformd.model.files.model_file.load_model`.

    Raises
    ------
    InputError
        The force field is not known or not of this kind, or does not describe all bonds and angles.
    """
    functions, liquid = load_fluids(model), read_liquid(source)
    check_topology(liquid.field, liquid.topology, liquid.source)
    warn_outside(functions, liquid.field, liquid.source, topology=liquid.topology, temperature=temperature)
    made = specialize(functions, liquid.field, liquid.source)
    card = card_of(made, functions, liquid, [Path(model).name])
    return LoadedModel(made.to(device=device, dtype=torch.float32), card, Path(model), compiled)


def card_of(made: DensityModel, functions: FluidFunctions, liquid: Liquid, sources: list[str]) -> ModelCard:
    """Make the card of a specialized model.

    Parameters
    ----------
    made
        The model, float64.
    functions, liquid
        What it was made from.
    sources
        Names of the data and models behind it.
    """
    history = {
        "sources": sources,
        "training_frames": functions.frames,
        "closest_pairs": [list(pair) for pair in seen_pairs(made, liquid.field)],
    }
    return ModelCard(made.settings, liquid.field.names, liquid.field, (history,))
