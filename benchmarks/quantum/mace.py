"""MACE's own training on public quantum data, for `benchmarks.quantum.peers`."""

from __future__ import annotations

from pathlib import Path

import ase
import ase.io

NETWORK = {
    "model": "MACE",
    "num_channels": 64,
    "max_L": 0,
    "r_max": 5.0,
    "scaling": "rms_forces_scaling",
    "default_dtype": "float32",
    "device": "cpu",
}
TRAINING = {
    "train_file": "train.xyz",
    "valid_fraction": 0.1,
    "valid_batch_size": 16,
    "eval_interval": 2,
    "ema_decay": 0.99,
    "scheduler_patience": 5,
    "seed": 0,
    "error_table": "PerAtomRMSE",
    "plot": False,
    "energy_key": "REF_energy",
    "forces_key": "REF_forces",
}
SECOND_STAGE = 0.75
"""Share of the epochs after which MACE's second stage begins."""


def commands(
    scripts: Path, frames: list[ase.Atoms], isolated: list[ase.Atoms], epochs: int, batch: int, out: Path
) -> list[list[str | Path]]:
    """Write the file of frames to a folder, and return the commands that train there."""
    for atoms in isolated:
        atoms.info["config_type"] = "IsolatedAtom"
    ase.io.write(out / "train.xyz", isolated + frames)
    options = NETWORK | TRAINING | {"name": "mace", "max_num_epochs": epochs, "batch_size": batch}
    options |= {"E0s": "IsolatedAtom" if isolated else "average", "start_swa": round(SECOND_STAGE * epochs)}
    words = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    return [[scripts / "mace_run_train", *words, "--ema", "--amsgrad", "--swa"]]


def model_of(out: Path) -> Path | None:
    """Return the model that a training has left in a folder."""
    return next(iter(sorted(out.glob("mace*_stagetwo.model"))), None)
