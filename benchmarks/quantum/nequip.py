"""NequIP's own training on public quantum data, for `benchmarks.quantum.peers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np

CUTOFF = 5.0
NETWORK = {
    "_target_": "nequip.model.NequIPGNNModel",
    "num_layers": 4,
    "l_max": 1,
    "num_features": 32,
    "parity": True,
    "r_max": CUTOFF,
    "seed": 0,
    "model_dtype": "float32",
    "compile_mode": "compile",
    "avg_num_neighbors": "${training_data_stats:num_neighbors_mean}",
    "per_type_energy_scales": "${training_data_stats:per_type_forces_rms}",
}
LEARNING_RATE = 0.01
EMA_DECAY = 0.999
VALIDATION = 0.1


def commands(
    scripts: Path, frames: list[ase.Atoms], isolated: list[ase.Atoms], epochs: int, batch: int, out: Path
) -> list[list[str | Path]]:
    """Write frames and configuration to a folder, and return the commands that train there."""
    order = np.random.default_rng(0).permutation(len(frames))
    kept = round(VALIDATION * len(frames))
    for name, chosen in (("validation", order[:kept]), ("train", order[kept:])):
        ase.io.write(out / f"{name}.xyz", [frames[k] for k in sorted(chosen)])
    (out / "config.yaml").write_text(json.dumps(configuration(frames, isolated, epochs, batch), indent=2))
    compiled = ["--mode", "aotinductor", "--device", "cpu", "--target", "ase", "best.ckpt", "model.nequip.pt2"]
    return [
        [scripts / "nequip-train", "-cp", out, "-cn", "config", f"hydra.run.dir={out}"],
        [scripts / "nequip-compile", *compiled],
    ]


def configuration(frames: list[ase.Atoms], isolated: list[ase.Atoms], epochs: int, batch: int) -> dict[str, Any]:
    """Return what ``nequip-train`` reads (YAML, of which JSON is a part)."""
    elements = sorted({symbol for atoms in frames for symbol in atoms.symbols})
    shifts = {atoms.symbols[0]: float(atoms.info["REF_energy"]) for atoms in isolated}
    metrics = {
        "_target_": "nequip.train.EnergyForceMetrics",
        "coeffs": {"per_atom_energy_rmse": 1.0, "forces_rmse": 1.0},
    }

    def loader(size: int, shuffle: bool) -> dict[str, Any]:
        return {
            "_target_": "torch.utils.data.DataLoader",
            "batch_size": size,
            "num_workers": 0,
            "shuffle": shuffle,
        }

    return {
        "run": ["train"],
        "data": {
            "_target_": "nequip.data.datamodule.ASEDataModule",
            "seed": 0,
            "train_file_path": "train.xyz",
            "val_file_path": "validation.xyz",
            "key_mapping": {"REF_energy": "total_energy", "REF_forces": "forces"},
            "include_keys": ["REF_energy", "REF_forces"],
            "transforms": [
                {
                    "_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper",
                    "model_type_names": elements,
                    "chemical_species_to_atom_type_map": {element: element for element in elements},
                },
                {"_target_": "nequip.data.transforms.NeighborListTransform", "r_max": CUTOFF},
            ],
            "train_dataloader": loader(batch, True),
            "val_dataloader": loader(10, False),
            "stats_manager": {
                "_target_": "nequip.data.CommonDataStatisticsManager",
                "dataloader_kwargs": {"batch_size": 10},
                "type_names": elements,
            },
        },
        "trainer": {
            "_target_": "lightning.Trainer",
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": epochs,
            "enable_progress_bar": False,
            "logger": {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "."},
            "callbacks": [
                {
                    "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
                    "monitor": "val0_epoch/weighted_sum",
                    "dirpath": ".",
                    "filename": "best",
                }
            ],
        },
        "training_module": {
            "_target_": "nequip.train.EMALightningModule",
            "ema_decay": EMA_DECAY,
            "loss": {
                "_target_": "nequip.train.EnergyForceLoss",
                "per_atom_energy": True,
                "coeffs": {"total_energy": 1.0, "forces": 1.0},
            },
            "val_metrics": metrics,
            "train_metrics": metrics,
            "optimizer": {"_target_": "torch.optim.Adam", "lr": LEARNING_RATE},
            "lr_scheduler": {
                "scheduler": {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "T_max": epochs},
                "interval": "epoch",
                "frequency": 1,
            },
            "model": NETWORK
            | {
                "type_names": elements,
                "per_type_energy_shifts": shifts or "${training_data_stats:per_atom_energy_mean}",
            },
        },
        "global_options": {"allow_tf32": False},
    }


def model_of(out: Path) -> Path | None:
    """Return the model that a training has left in a folder."""
    model = out / "model.nequip.pt2"
    return model if model.is_file() else None
