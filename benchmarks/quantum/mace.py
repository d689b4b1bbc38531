"""MACE on public quantum data: errors after a training of its own command, and time beside models of this project.

Usage: python -m benchmarks.quantum.mace FOLDER {acac,Si,Mo} --epochs N [--out DIR] [--model MODEL]...
                                         [--environments .peers]

FOLDER holds the files that `benchmarks.quantum.errors` takes. The network is MACE's invariant one of two layers and 64
channels, cutoff 5 angstrom, trained by ``mace_run_train`` on one core, nine frames in ten, in float32: ten molecules or
four cells a step, averaged weights, and for the last quarter of the epochs its second stage, in which energies weigh
more. N is to be what takes the time that is to be compared; the processor time is printed. DIR (``runs/mace-DATA``)
keeps the model, and a second call judges it again.

Errors are on all official test frames, of energies as they are. Times are those of energy and forces through ASE on one
core, for atoms that move: of the molecule, or of the first test frame three times along each direction.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import time
from pathlib import Path

import ase
import ase.io
import numba
import numpy as np
import torch

from benchmarks.peers.__main__ import ALLOCATOR, HERE, environment, variables
from benchmarks.peers.ase_time import microseconds
from benchmarks.quantum.errors import FILES, file_of
from gnnformd.interfaces.ase import Calculator

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
BATCH = {"acac": 10, "Si": 4, "Mo": 4}

SECOND_STAGE = 0.75
"""Share of the epochs after which MACE's second stage begins."""


def main() -> None:
    """Train, unless that is done, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("data", choices=FILES)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument("--environments", type=Path, default=Path(".peers"))
    chosen = parser.parse_args()
    out = (chosen.out or Path(f"runs/mace-{chosen.data}")).absolute()
    out.mkdir(parents=True, exist_ok=True)
    python = environment(chosen.environments / "mace", "mace")
    tests = FILES[chosen.data][1]
    files = [write(file_of(chosen.folder, name), out / f"{name}.xyz") for name in tests]
    system = ase.io.read(files[0])
    if any(system.pbc):
        system = system.repeat(3)
    ase.io.write(out / "system.xyz", system)
    found = sorted(out.glob("mace*_stagetwo.model"))
    if not found:
        train(python, chosen.folder, chosen.data, chosen.epochs, out)
        found = sorted(out.glob("mace*_stagetwo.model"))
    words = [python, HERE / "judge_mace.py", found[0], out / "system.xyz", *files]
    run = subprocess.run(words, env=variables(1) | ALLOCATOR, check=True, capture_output=True, text=True)
    judged = json.loads(run.stdout.splitlines()[-1])
    print(f"{'test':20s}  forces RMSE   MAE (meV/A)   energies RMSE   MAE (meV per atom)")
    for name, file in zip(tests, files, strict=True):
        forces, energies = (1000 * np.array(judged[str(file)][part]) for part in ("forces", "energies"))
        numbers = [
            value
            for e in (forces, energies)
            for value in (float(np.sqrt(np.square(e).mean())), float(np.abs(e).mean()))
        ]
        print("{:20s} {:12.1f} {:5.1f} {:23.2f} {:5.2f}".format(name, *numbers))
    print(f"us per atom, {len(system)} atoms, through ASE:")
    print(f"MACE  {judged['microseconds']:.1f}")
    for model in chosen.model:
        print(f"{model}  {own_microseconds(model, system):.1f}")


def write(source: Path, target: Path, isolated: Path | None = None) -> Path:
    """Write frames with the names of energies and forces that MACE takes, isolated atoms before them."""
    frames = [] if isolated is None else ase.io.read(isolated, ":")
    for atoms in frames:
        atoms.info["config_type"] = "IsolatedAtom"
    frames += ase.io.read(source, ":")
    for atoms in frames:
        results = atoms.calc.results
        atoms.info["REF_energy"] = results["energy"]
        atoms.arrays["REF_forces"] = results.get("forces", np.zeros((len(atoms), 3)))
        atoms.calc = None
        for name in ("energy", "forces"):
            atoms.info.pop(name, None)
            atoms.arrays.pop(name, None)
    ase.io.write(target, frames)
    return target


def train(python: Path, folder: Path, data: str, epochs: int, out: Path) -> None:
    """Run MACE's own command."""
    isolated = next(iter(folder.glob(f"{data}_isolated_atoms*")), None)
    write(file_of(folder, FILES[data][0]), out / "train.xyz", isolated)
    options = (
        NETWORK
        | TRAINING
        | {"name": "mace", "train_file": "train.xyz", "max_num_epochs": epochs, "batch_size": BATCH[data]}
    )
    options |= {"E0s": "average" if isolated is None else "IsolatedAtom", "start_swa": round(SECOND_STAGE * epochs)}
    words = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with (out / "log.txt").open("w") as log:
        subprocess.run(
            [python.with_name("mace_run_train"), *words, "--ema", "--amsgrad", "--swa"],
            cwd=out,
            env=variables(1) | ALLOCATOR,
            check=True,
            stdout=log,
            stderr=log,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{epochs} epochs: {spent / 60:.1f} minutes of processor time, {(time.perf_counter() - begun) / 60:.1f} in all"
    )


def own_microseconds(model: Path, system: ase.Atoms) -> float:
    """Time of one of this project's models."""
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    atoms = system.copy()
    atoms.calc = Calculator(model)
    return microseconds(atoms)


if __name__ == "__main__":
    main()
