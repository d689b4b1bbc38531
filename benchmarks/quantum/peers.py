"""MACE and NequIP on public quantum data: errors after a training of their own, and time beside this program's models.

Usage: python -m benchmarks.quantum.peers {mace,nequip} FOLDER {acac,Si,Mo} --epochs N [--out DIR] [--model MODEL]...
                                          [--environments .peers]

FOLDER holds the files that `benchmarks.quantum.errors` takes. Both train by their own commands on one core, in float32,
with a cutoff of 5 angstrom, on nine frames in ten, of which the tenth chooses the epoch, and with averaged weights.
MACE's network is the invariant one of two layers and 64 channels (ten molecules or four cells a step; in the last
quarter of the epochs its second stage, in which energies weigh more). NequIP's has what its guide calls defaults, four
layers, degree 1, 32 features (five molecules or four cells a step; learning rate of 0.01, which falls along a cosine;
PyTorch compiles it, which takes some minutes). N is to be what takes the time that is to be compared; the processor
time is printed. DIR (``runs/PEER-DATA``) keeps the model, and a second call judges it again.

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
from benchmarks.quantum import mace, nequip
from benchmarks.quantum.errors import FILES, file_of
from gnnformd.interfaces.ase import Calculator

PEERS = {"mace": mace, "nequip": nequip}
BATCH = {
    "mace": {"acac": 10, "Si": 4, "Mo": 4},
    "nequip": {"acac": 5, "Si": 4, "Mo": 4},
}


def main() -> None:
    """Train, unless that is done, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("data", choices=FILES)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument("--environments", type=Path, default=Path(".peers"))
    chosen = parser.parse_args()
    peer = PEERS[chosen.peer]
    out = (chosen.out or Path(f"runs/{chosen.peer}-{chosen.data}")).absolute()
    out.mkdir(parents=True, exist_ok=True)
    python = environment(chosen.environments / chosen.peer, chosen.peer)
    training, tests = FILES[chosen.data]
    files = [out / f"{name}.xyz" for name in tests]
    for name, file in zip(tests, files, strict=True):
        ase.io.write(file, frames_of(file_of(chosen.folder, name)))
    system = ase.io.read(files[0])
    if any(system.pbc):
        system = system.repeat(3)
    ase.io.write(out / "system.xyz", system)
    if peer.model_of(out) is None:
        isolated = next(iter(chosen.folder.glob(f"{chosen.data}_isolated_atoms*")), None)
        words = peer.commands(
            python.parent,
            frames_of(file_of(chosen.folder, training)),
            [] if isolated is None else frames_of(isolated),
            chosen.epochs,
            BATCH[chosen.peer][chosen.data],
            out,
        )
        spent, passed = run(words, out)
        print(f"{chosen.epochs} epochs: {spent:.1f} minutes of processor time, {passed:.1f} in all")
    command = [python, HERE / "judge.py", chosen.peer, peer.model_of(out), out / "system.xyz", *files]
    ended = subprocess.run(command, env=variables(1) | ALLOCATOR, check=True, stdout=subprocess.PIPE, text=True)
    judged = json.loads(ended.stdout.splitlines()[-1])
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
    print(f"{chosen.peer}  {judged['microseconds']:.1f}")
    for model in chosen.model:
        print(f"{model}  {own_microseconds(model, system):.1f}")


def frames_of(source: Path) -> list[ase.Atoms]:
    """Return the frames of a file with the names of energies and forces that both peers are told of."""
    frames: list[ase.Atoms] = ase.io.read(source, ":")
    for atoms in frames:
        results = atoms.calc.results
        atoms.info["REF_energy"] = results["energy"]
        atoms.arrays["REF_forces"] = results.get("forces", np.zeros((len(atoms), 3)))
        atoms.calc = None
        for name in ("energy", "forces"):
            atoms.info.pop(name, None)
            atoms.arrays.pop(name, None)
    return frames


def run(commands: list[list[str | Path]], out: Path) -> tuple[float, float]:
    """Run commands in a folder on one core, with a log there; minutes of processor time, and of time in all."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with (out / "log.txt").open("w") as log:
        for words in commands:
            subprocess.run(words, cwd=out, env=variables(1) | ALLOCATOR, check=True, stdout=log, stderr=log)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent / 60, (time.perf_counter() - begun) / 60


def own_microseconds(model: Path, system: ase.Atoms) -> float:
    """Time of one of this project's models."""
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    atoms = system.copy()
    atoms.calc = Calculator(model)
    return microseconds(atoms)


if __name__ == "__main__":
    main()
