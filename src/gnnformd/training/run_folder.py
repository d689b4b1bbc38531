"""The run folder: checks before a training, and its checkpoints."""

from __future__ import annotations

import math
import os
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import yaml
from pydantic import BaseModel

from gnnformd.errors import InputError
from gnnformd.files import write_text
from gnnformd.model.files.model_card import FORMAT_VERSION
from gnnformd.model.settings import ModelSettings
from gnnformd.training.run_log import (
    FORMAT_KEY,
    FRAMES_KEY,
    SETTINGS_KEY,
    TRAINING_KEY,
    VALUES_KEY,
    EpochRecord,
    RunLog,
)
from gnnformd.training.settings import TrainingSettings

__all__ = [
    "WEIGHTS_DIGEST",
    "Resumed",
    "best_checkpoint",
    "checkpoint_records",
    "checkpoint_to_resume",
    "model_weights",
    "refuse_other_frames",
    "refuse_to_overwrite",
    "write_config",
]


PARTS = ("state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks", "epoch", "global_step")
"""Keys that Lightning needs in a checkpoint."""


WEIGHTS_DIGEST, INPUTS_DIGEST = "weights ", "inputs "
"""Beginnings of the digests of the weights of all frames, and of their types, cells, charges and bonds."""


def write_config(path: Path, **parts: BaseModel) -> None:
    """Write all settings, including those left at their defaults."""
    content = {name: part.model_dump(mode="json") for name, part in parts.items()}
    write_text(path, yaml.safe_dump(content, sort_keys=False))


def refuse_to_overwrite(folder: Path) -> None:
    """Check that a run folder contains no training.

    Raises
    ------
    InputError
        It contains one.
    """
    if any((folder / "checkpoints").glob("*.ckpt")):
        raise InputError(f"{folder}: already contains a training; continue it with --resume, or choose another --out.")


@dataclass(frozen=True)
class Resumed:
    """A checkpoint to resume from.

    Attributes
    ----------
    path
        The file.
    frames, values
        Digests of its frames and of what was learned (see `gnnformd.training.data_checks`); None in older files.
    """

    path: Path
    frames: list[str] | None
    values: list[str] | None


def refuse_other_frames(resumed: Resumed, frames: list[str], values: list[str]) -> None:
    """Check that a resumed training uses the frames it was started with, and the same energies and validation frames.

    Raises
    ------
    InputError
        It uses others.
    """
    checkpoint = resumed.path
    if resumed.frames != frames:
        raise InputError(
            f"{checkpoint}: was trained on other frames; give the same data with --resume, or start from the model "
            "with 'gnnformd finetune'."
        )
    before = values if resumed.values is None else resumed.values
    if not any(value.startswith(INPUTS_DIGEST) for value in before):  # of an older version
        values = _without(INPUTS_DIGEST, values)
    if before != values and _without(INPUTS_DIGEST, before) == _without(INPUTS_DIGEST, values):
        raise InputError(
            f"{checkpoint}: the types, cells, charges or bonds of its frames were others; give the same data and "
            "data.topology with --resume, or start from the model with 'gnnformd finetune'."
        )
    if before != values and _without(WEIGHTS_DIGEST, before) == _without(WEIGHTS_DIGEST, values):
        raise InputError(
            f"{checkpoint}: the weights of its frames were others; give the same data.config_type_weights, and weights "
            "in the files, with --resume, or start from the model with 'gnnformd finetune'."
        )
    if before != values:
        raise InputError(
            f"{checkpoint}: the forces, energies or virials of its frames, or the validation frames, were others; give "
            "the same data and data.keys with --resume, or start from the model with 'gnnformd finetune'."
        )


def _without(beginning: str, values: list[str]) -> list[str]:
    return [value for value in values if not value.startswith(beginning)]


def checkpoint_to_resume(
    folder: Path, checkpoint: Path | None, model: ModelSettings, training: TrainingSettings
) -> Resumed:
    """Find the checkpoint to resume from.

    Parameters
    ----------
    folder
        The run folder.
    checkpoint
        A given one; None for the last.
    model, training
        Settings of the resumed training; those that change what a checkpoint holds must be as they were.

    Raises
    ------
    InputError
        There is no such checkpoint, or it is damaged or of another network, or has more epochs than requested.
    """
    path = checkpoint or folder / "checkpoints" / "last.ckpt"
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; train without --resume to start again.")
    content = _read(path)
    if content is None:
        raise InputError(
            f"{path}: is damaged; continue from another one with --checkpoint FILE, or start again with another --out."
        )
    version = content.get(FORMAT_KEY)
    if version != FORMAT_VERSION:
        raise InputError(
            f"{path}: was written by another version of gnnformd (model format {version}, now {FORMAT_VERSION}); train "
            "without --resume and with another --out to start again."
        )
    before, now = dict(content.get(SETTINGS_KEY, {})), model.model_dump(mode="json")
    if before.get("kind") == "seed":  # its earlier name
        before["kind"] = "gamd"
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            raise InputError(
                f"{path}: model.{name} was {before.get(name)} when the training was started, not {now.get(name)}; use "
                "the same settings with --resume, or start again with another --out."
            )
    _refuse_other_contents(path, content.get(TRAINING_KEY, {}), training)
    done, epochs = len(_records(content)), training.epochs
    if epochs is not None and epochs < done:
        raise InputError(f"training.epochs: {path} has done {done} epochs, more than {epochs}; set at least {done}.")
    return Resumed(path, content.get(FRAMES_KEY), content.get(VALUES_KEY))


def _refuse_other_contents(path: Path, before: dict[str, Any], training: TrainingSettings) -> None:
    """Refuse settings with which a training would remember other things than are in the checkpoint."""
    now = training.model_dump(mode="json")
    for name in ("optimizer", "freeze", "energy_weight", "virial_weight"):
        old, new = before.get(name, now[name]), now[name]
        if old != new and (name in ("optimizer", "freeze") or "auto" in (old, new)):
            raise InputError(
                f"{path}: training.{name} was {old} when the training was started, not {new}; use the same setting "
                "with --resume, or start from the model with 'gnnformd finetune'."
            )


def _read(path: Path) -> dict[str, Any] | None:
    """Content of a checkpoint, or None if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:  # PyTorch does not verify checksums
                return None
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, UnpicklingError, EOFError, OSError, RuntimeError, ValueError, LookupError):
        return None
    return content if isinstance(content, dict) and all(part in content for part in PARTS) else None


def _records(content: dict[str, Any]) -> list[EpochRecord]:
    return [EpochRecord(**record) for record in content["callbacks"][RunLog.__qualname__]["records"]]


def best_checkpoint(
    checkpoints: Path, records: Sequence[EpochRecord], ends: Sequence[int] = ()
) -> tuple[Path, EpochRecord]:
    """Find the saved checkpoint with the lowest score of its validation.

    Parameters
    ----------
    checkpoints
        Their folder.
    records
        Of all epochs.
    ends
        Epochs with which a cycle of the learning rate ended. If there are any, the model is of one of them or the last:
        while the learning rate is large, energies change from step to step, and the lowest of many scores is luck.

    Raises
    ------
    InputError
        No score is finite.
    """
    annealed = [record for record in records if not ends or record.epoch in ends]
    kept = [(checkpoints / f"epoch-{record.epoch:02d}.ckpt", record) for record in annealed]
    candidates = []
    for path, record in kept:
        if path.is_file() and _read(path) is None:
            warnings.warn(f"{path}: is damaged; the best of the other checkpoints is used.", stacklevel=2)
        elif path.is_file():
            candidates.append((path, record))
    candidates.append((checkpoints / "last.ckpt", records[-1]))
    finite = [candidate for candidate in candidates if math.isfinite(candidate[1].score)]
    if not finite:
        raise InputError(
            f"{checkpoints.parent}: the errors are not finite; lower training.learning_rate, or check the "
            "data with gnnformd inspect."
        )
    return min(finite, key=lambda candidate: candidate[1].score)


def model_weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Read the weights of the network in a checkpoint (the averaged ones where weights are averaged)."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    prefix = "model."
    return {k.removeprefix(prefix): v for k, v in content["state_dict"].items() if k.startswith(prefix)}


def checkpoint_records(checkpoint: Path) -> list[EpochRecord]:
    """Read the records of the epochs up to a checkpoint; an interrupted training may have logged one more."""
    return _records(torch.load(checkpoint, map_location="cpu", weights_only=True))


def is_main_process() -> bool:
    """Whether this process is the first of those that train together."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK"))
