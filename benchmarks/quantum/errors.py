"""Errors on the official test files of public quantum data, after some minutes of training with a preset.

Usage: python -m benchmarks.quantum.errors FOLDER {acac,Si,Mo} [--preset accurate] [--minutes 5] [--seeds 0 1 2]
                                           [--threads 1] [--out DIR]

FOLDER holds the files as extended XYZ in eV: ``acac_train_300K``, ``acac_test_MD_300K``, ``acac_test_MD_600K``
(davkovacs/BOTNet-datasets; Batatia et al., arXiv:2205.06643), ``Si_train``, ``Si_test``, ``Mo_train``, ``Mo_test``
(materialsvirtuallab/mlearn; Zuo et al., J. Phys. Chem. A 124, 731). Isolated atoms are not tested on. Each model is
trained by ``gnnformd train PRESET`` with nothing else set, in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from gnnformd.inference.batch import Predictor
from gnnformd.model.files.model_file import load_model
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.units import KCAL_PER_MOL_PER_EV

FILES = {
    "acac": ("acac_train_300K", ("acac_test_MD_300K", "acac_test_MD_600K")),
    "Si": ("Si_train", ("Si_test",)),
    "Mo": ("Mo_train", ("Mo_test",)),
}
BATCH = 8


def main() -> None:
    """Train and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("data", choices=FILES)
    parser.add_argument("--preset", default="accurate")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    out = chosen.out or Path(tempfile.mkdtemp())
    training, tests = FILES[chosen.data]
    print(f"{chosen.data}, preset {chosen.preset}, {chosen.minutes:g} minutes, {chosen.threads} threads")
    print("seed  test file            forces RMSE  MAE (meV/A)   energies RMSE  MAE (meV/atom)")
    for seed in chosen.seeds:
        run = out / f"{chosen.data}-{chosen.preset}-{seed}"
        model = train(
            chosen.preset,
            file_of(chosen.folder, training),
            run,
            minutes=chosen.minutes,
            threads=chosen.threads,
            changes=(f"training.seed={seed}",),
        )
        for name in tests:
            forces, energies = errors_of(model, file_of(chosen.folder, name))
            numbers = [np.sqrt(np.square(forces).mean()), np.abs(forces).mean()]
            numbers += [np.sqrt(np.square(energies).mean()), np.abs(energies).mean()]
            print(f"{seed:4d}  {name:20s} {numbers[0]:11.1f} {numbers[1]:5.1f} {numbers[2]:23.2f} {numbers[3]:5.2f}")
            sys.stdout.flush()


def train(
    preset: str,
    file: Path,
    run: Path,
    *,
    minutes: float,
    threads: int,
    changes: tuple[str, ...] = (),
    program: tuple[str, ...] = ("-m", "gnnformd"),
) -> Path:
    """Train in a process of its own, and give the model; ``program`` is what Python runs."""
    command = [sys.executable, *program, "train", preset, "--out", str(run), "--max-minutes", str(minutes)]
    fixed = (
        f"data.paths=[{file}]",
        f"training.threads={threads}",
        "training.loggers=[]",
        "training.stability_check=false",
    )
    for change in (*fixed, *changes):
        command += ["--set", change]
    numbers = {name: str(threads) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    subprocess.run(command, check=True, env=os.environ | numbers, stdout=subprocess.DEVNULL)
    return run / "model.safetensors"


def file_of(folder: Path, name: str) -> Path:
    """Find a file, compressed or not."""
    return next(path for path in (folder / f"{name}.xyz.gz", folder / f"{name}.xyz") if path.exists())


def errors_of(model: Path, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Errors of all components of forces, meV/angstrom, and of energies, meV/atom."""
    loaded = load_model(model)
    frames = open_dataset([file], elements=loaded.card.type_names)
    predict = Predictor(loaded, None)
    forces, energies = [], []
    chosen = [k for k, atoms in enumerate(frames.atom_counts) if atoms > 1]
    for start in range(0, len(chosen), BATCH):
        batch = [frames[k] for k in chosen[start : start + BATCH]]
        found = predict(batch)
        assert found.energies is not None
        forces.append(found.forces.numpy(force=True) - np.concatenate([frame.forces for frame in batch]))
        wanted = np.array([frame.energy for frame in batch])
        atoms = np.array([len(frame.types) for frame in batch])
        energies.append((found.energies.numpy(force=True) - wanted) / atoms)
    return tuple(1000 * np.concatenate(errors) / KCAL_PER_MOL_PER_EV for errors in (forces, energies))


if __name__ == "__main__":
    main()
