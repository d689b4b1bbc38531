"""The run folder: what goes in before a training and what comes out after it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
import yaml
from pydantic import BaseModel

from gnnformd.errors import InputError
from gnnformd.files import write_text
from gnnformd.model.card import FORMAT_VERSION
from gnnformd.training.run_log import FORMAT_KEY, EpochRecord, RunLog

__all__ = ["best_checkpoint", "checkpoint_records", "checkpoint_to_resume", "model_weights", "write_config"]


def write_config(path: Path, **parts: BaseModel) -> None:
    """Write complete settings, also those left at their defaults."""
    content = {name: part.model_dump(mode="json") for name, part in parts.items()}
    write_text(path, yaml.safe_dump(content, sort_keys=False))


def checkpoint_to_resume(folder: Path, resume: bool | Path) -> Path | None:
    """Find where to start: None for the beginning.

    Raises
    ------
    InputError
        The folder holds a training that would be overwritten, or no checkpoint to go on from, or one that is damaged or
        of networks that have changed.
    """
    checkpoints = folder / "checkpoints"
    if not resume:
        if any(checkpoints.glob("*.ckpt")):
            raise InputError(f"{folder}: holds a training already; go on with --resume or name another --out.")
        return None
    path = checkpoints / "last.ckpt" if resume is True else resume
    if not path.is_file():
        raise InputError(f"{path}: there is no such checkpoint; train without --resume to start anew.")
    try:
        version = torch.load(path, map_location="cpu", weights_only=True).get(FORMAT_KEY)
    except (RuntimeError, UnpicklingError, EOFError) as error:
        raise InputError(
            f"{path}: is damaged; go on from another with --checkpoint FILE, or name another --out to start anew."
        ) from error
    if version != FORMAT_VERSION:
        raise InputError(
            f"{path}: was written by another gnnformd, whose networks may differ (model format version {version}, now "
            f"{FORMAT_VERSION}); train without --resume and with another --out to start anew."
        )
    return path


def best_checkpoint(checkpoints: Path, records: Sequence[EpochRecord]) -> tuple[Path, EpochRecord]:
    """Find the kept checkpoint with the lowest validation loss.

    Raises
    ------
    InputError
        No loss is finite.
    """
    kept = [(checkpoints / f"epoch-{record.epoch:02d}.ckpt", record) for record in records]
    candidates = [(path, record) for path, record in kept if path.is_file()]
    candidates.append((checkpoints / "last.ckpt", records[-1]))
    finite = [candidate for candidate in candidates if math.isfinite(candidate[1].validation_loss)]
    if not finite:
        raise InputError(
            f"{checkpoints.parent}: the errors are not finite; lower training.learning_rate, or look for faults in the "
            "data with gnnformd inspect."
        )
    return min(finite, key=lambda candidate: candidate[1].validation_loss)


def model_weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Read the weights of the network in a checkpoint (the averaged ones where weights are averaged)."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    prefix = "model."
    return {k.removeprefix(prefix): v for k, v in content["state_dict"].items() if k.startswith(prefix)}


def checkpoint_records(checkpoint: Path) -> list[EpochRecord]:
    """Read the records of the epochs up to a checkpoint; an interrupted training may have logged one more."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return [EpochRecord(**record) for record in content["callbacks"][RunLog.__qualname__]["records"]]


def is_main_process() -> bool:
    """Whether this process is the first of those that share a training."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK"))
