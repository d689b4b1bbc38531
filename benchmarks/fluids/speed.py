"""Speed of the model for many liquids beside the shipped ``water``, on frames of SPC/Fw water.

Usage: python -m benchmarks.fluids.speed REFERENCE [--model fluids] [--frames 10] [--turns 3]

REFERENCE is a folder of ``gnnformd generate water``. The two models take turns, one thread each; printed is the CPU
time of the forces, neighbor search included, in microseconds per atom, which counts no time that other programs take.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numba
import torch

from gnnformd.inference.system import Evaluator
from gnnformd.model.files.model_file import load_model
from gnnformd.model.fluids.load import load_for
from gnnformd.trajectory.packed.dataset import open_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--model", default="fluids")
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    numba.set_num_threads(1)
    torch.set_num_threads(1)
    data = open_dataset(options.reference)
    frames = [data[k] for k in range(options.frames)]
    models = {"fluids": load_for(options.model, options.reference), "water": load_model("water")}
    evaluators = {name: Evaluator(loaded, frames[0]) for name, loaded in models.items()}
    for evaluator in evaluators.values():
        evaluator.evaluate(frames[0].positions, frames[0].cell, frames[0].periodic)  # compiles
    print("us per atom      " + "   ".join(evaluators) + "   ratio")
    for turn in range(options.turns):
        times = []
        for evaluator in evaluators.values():
            began = time.process_time()
            for frame in frames:
                evaluator.evaluate(frame.positions, frame.cell, frame.periodic)
            times.append(1e6 * (time.process_time() - began) / len(frames) / len(frames[0].types))
        print(f"turn {turn + 1}          {times[0]:6.2f}  {times[1]:6.2f}  {times[0] / times[1]:6.2f}", flush=True)


if __name__ == "__main__":
    main()
