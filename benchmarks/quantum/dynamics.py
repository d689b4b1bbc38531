"""Do simulations with a trained model stay whole? Runs from frames of its training data, as in the check of stability.

Usage: python -m benchmarks.quantum.dynamics MODEL FRAMES --temperatures 300 600 [--ensembles nvt] [--picoseconds 50]
                                             [--runs 10]

FRAMES is the training file. What counts as broken is written in `gnnformd.simulation.stability.run`; a run that comes
closer than the training data is told apart ("outside"). A molecule in a vacuum that comes apart is broken, one with a
proton that moves from one atom to another is not.
"""

from __future__ import annotations

import argparse
import collections
import time
from pathlib import Path

import torch

from gnnformd.interfaces.ase import Calculator
from gnnformd.model.files.model_file import load_model
from gnnformd.simulation.stability.run import short_run
from gnnformd.simulation.stability.starts import choose_starts
from gnnformd.trajectory.packed.dataset import open_dataset


def main() -> None:
    """Run, and print a line for each run that did not pass and one for each temperature and ensemble."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("frames", type=Path)
    parser.add_argument("--temperatures", type=float, nargs="+", required=True)
    parser.add_argument("--ensembles", nargs="+", choices=("nve", "nvt", "npt"), default=["nvt"])
    parser.add_argument("--picoseconds", type=float, default=50.0)
    parser.add_argument("--runs", type=int, default=10)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    loaded = load_model(chosen.model)
    starts = choose_starts(loaded, [open_dataset([chosen.frames])], chosen.runs)
    for temperature in chosen.temperatures:
        for ensemble in chosen.ensembles:
            counts, drifts, begin = collections.Counter[str](), [], time.perf_counter()
            for seed, start in enumerate(starts, start=1):
                calculator = Calculator(loaded, topology=start.topology, types=start.types)
                run = short_run(
                    loaded,
                    calculator,
                    start,
                    ensemble,
                    temperature,
                    seed=seed,
                    picoseconds=chosen.picoseconds,
                    seconds=float("inf"),
                ).run
                counts[run.outcome] += 1
                drifts += [] if run.drift_percent is None else [run.drift_percent]
                if run.outcome != "passed":
                    print(f"  {run.where}: {run.outcome}, {run.reason}", flush=True)
            numbers = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
            drift = f"; drift {min(drifts):.2g} to {max(drifts):.2g} % of kT per atom and ps" if drifts else ""
            print(
                f"{ensemble}, {temperature:g} K, {chosen.picoseconds:g} ps at {starts[0].timestep:g} fs: {numbers}"
                f"{drift}; {time.perf_counter() - begin:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
