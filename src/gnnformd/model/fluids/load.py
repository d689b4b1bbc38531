"""A density model of one liquid, with its card, from the functions that liquids share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from gnnformd.errors import InputError
from gnnformd.graph.build import build_graph
from gnnformd.model.choose_engine import GraphPredictor
from gnnformd.model.files.model_file import LoadedModel, ModelCard
from gnnformd.model.fluids.fit import PAIR, REACH
from gnnformd.model.fluids.functions import FluidFunctions, load_fluids
from gnnformd.model.fluids.liquid import Liquid, read_liquid
from gnnformd.model.fluids.specialize import check_topology, seen_pairs, specialize, warn_outside
from gnnformd.model.fluids.tune import LiquidEquations, tune
from gnnformd.trajectory.packed.dataset import PackedDataset, open_dataset

__all__ = ["TunedModel", "load_for", "tune_for"]

MOST_TESTED = 20


@dataclass(frozen=True)
class TunedModel:
    """A model that was fine-tuned on some frames of its liquid.

    Attributes
    ----------
    loaded
        The model.
    better
        Whether a fit was better than the functions of many liquids, which are kept otherwise.
    tested
        Number of frames that were not fitted and on which the errors are; zero: they are those of cross-validation.
    before, after
        Sum of absolute errors of the forces over the sum of absolute forces, without and with fine-tuning; root mean
        squares instead where there are no other frames.
    """

    loaded: LoadedModel
    better: bool
    tested: int
    before: float
    after: float


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
    warn_outside(functions, liquid.field, liquid.source, topology=liquid.topology, temperature=temperature)
    made = model_for(functions, liquid, Path(model))
    return replace(made, model=made.model.to(device=device), compiled=compiled)


def tune_for(model: str | Path, folder: Path, count: int) -> TunedModel:
    """Make the model of a liquid from functions that are fitted once more to some of its frames.

    Parameters
    ----------
    model
        See `load_for`.
    folder
        Made by ``gnnformd generate``, with frames and forces.
    count
        Number of frames, which are taken at equal distances.

    Raises
    ------
    InputError
        There are no frames, or fewer; the pair function is not one that is fitted here; or see `load_for`.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: has no frames to fit to; give a folder made by 'gnnformd generate'.")
    functions, liquid = load_fluids(model), read_liquid(folder)
    if (functions.reach, len(functions.pair)) != (REACH, PAIR):
        raise InputError(
            f"{model}: its pair function reaches {functions.reach:g} sigma, and --tune fits those that reach "
            f"{REACH:g}; leave out --tune, or give 'fluids'."
        )
    warn_outside(functions, liquid.field, liquid.source, topology=liquid.topology)
    zero_shot = model_for(functions, liquid, Path(model))
    data = open_dataset(folder)
    if count > len(data):
        raise InputError(f"{folder}: has {len(data)} frames, fewer than the {count} of --tune; ask for fewer.")
    picked = np.linspace(0, len(data) - 1, count).round().astype(int).tolist() if count > 1 else [len(data) // 2]
    maker = LiquidEquations(liquid.field)
    tuned = tune(functions, [maker.equations(build_graph(data[k], maker.cutoff, liquid.field)) for k in picked])
    made = model_for(tuned.functions, liquid, Path(model))
    others = [k for k in range(len(data)) if k not in set(picked)]
    tested = others[:: -(-len(others) // MOST_TESTED)] if others else []
    before, after = (
        (_relative_l1(one, data, tested) for one in (zero_shot, made)) if tested else (tuned.before, tuned.after)
    )
    return TunedModel(made, tuned.better, len(tested), before, after)


def _relative_l1(loaded: LoadedModel, data: PackedDataset, frames: list[int]) -> float:
    predict, wrong, size = GraphPredictor(loaded.model), 0.0, 0.0
    for k in frames:
        frame = data[k]
        assert frame.forces is not None
        found = predict([build_graph(frame, loaded.card.cutoff, loaded.card.force_field)]).forces.double().numpy()
        wrong += float(np.abs(found - frame.forces).sum())
        size += float(np.abs(frame.forces).sum())
    return wrong / size


def model_for(functions: FluidFunctions, liquid: Liquid, path: Path) -> LoadedModel:
    """Make the model of a liquid from functions that may be fine-tuned for it, float32.

    Parameters
    ----------
    functions
        Of many liquids, or of this one after `gnnformd.model.fluids.tune.tune`.
    liquid
        The force field and the atoms.
    path
        Names the model in messages.

    Raises
    ------
    InputError
        See `load_for`.
    """
    check_topology(liquid.field, liquid.topology, liquid.source)
    made = specialize(functions, liquid.field, liquid.source)
    history = {
        "sources": [path.name],
        "training_frames": functions.frames,
        "closest_pairs": [list(pair) for pair in seen_pairs(made, liquid.field)],
    }
    card = ModelCard(made.settings, liquid.field.names, liquid.field, (history,))
    return LoadedModel(made.to(torch.float32), card, path)
