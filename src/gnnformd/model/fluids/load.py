"""A density model of one liquid, with its card, from the functions that liquids share."""

from __future__ import annotations

from pathlib import Path

import torch

from gnnformd.errors import InputError
from gnnformd.model.files.model_file import LoadedModel, ModelCard
from gnnformd.model.fluids.functions import load_fluids
from gnnformd.model.fluids.specialize import check_topology, seen_pairs, specialize, warn_outside
from gnnformd.reference.run import ReferenceRun
from gnnformd.trajectory.formats.data_file import read_topology

__all__ = ["load_for"]


def load_for(model: str | Path, run: Path) -> LoadedModel:
    """Make the model of a liquid, float32; a warning names what is outside the training.

    Parameters
    ----------
    model
        See `gnnformd.model.fluids.functions.load_fluids`.
    run
        Folder of a reference run of the liquid, of which the force field and the topology are used.

    Raises
    ------
    InputError
        The force field is not known or not of this kind, or does not describe all bonds and angles.
    """
    functions, reference = load_fluids(model), ReferenceRun.open(run)
    field, source = reference.force_field, run / "reference.yaml"
    if field is None:
        raise InputError(
            f"{source}: has no force field of one line per type, from which a model for many liquids could be made; "
            "train a model on this liquid."
        )
    if not reference.topology.is_file():
        raise InputError(f"{reference.topology}: no such file; give a folder made by 'gnnformd generate'.")
    check_topology(field, read_topology(reference.topology), source)
    warn_outside(functions, field, source)
    made = specialize(functions, field, source)
    history = {
        "sources": [Path(model).name],
        "training_frames": functions.frames,
        "closest_pairs": [list(pair) for pair in seen_pairs(made, field)],
    }
    card = ModelCard(made.settings, field.names, field, (history,))
    return LoadedModel(made.to(torch.float32), card, Path(model))
