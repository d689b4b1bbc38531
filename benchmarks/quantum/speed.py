"""Time of energy, forces and virial of networks of several sizes, for atoms of a silicon crystal that move.

Usage: python -m benchmarks.quantum.speed [--repeat 6] [--threads 1]

The weights are random, which changes nothing about the time. Neighbors are searched once. Printed is the median of ten
evaluations of the compiled loops in float32, in microseconds per atom.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

PRESETS = ("fast", "accurate", "best")
FEATURES = {1: (16, 32, 48), 2: (16, 32, 48, 64)}
DEGREES = (2, 3, 4)
EVALUATIONS = 10


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=6, help="cubic cells of eight atoms along each edge")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    os.environ["NUMBA_NUM_THREADS"] = str(chosen.threads)  # read when numba is imported

    import numpy as np
    import torch
    from ase.build import bulk

    from gnnformd.config import load_config
    from gnnformd.graph.build import build_graph
    from gnnformd.inference.system import Evaluator
    from gnnformd.model.files.model_file import LoadedModel, ModelCard
    from gnnformd.model.registry import build_model
    from gnnformd.trajectory.frame import Frame

    torch.set_num_threads(chosen.threads)
    atoms = bulk("Si", cubic=True).repeat(chosen.repeat)
    atoms.rattle(0.1, seed=1)
    frame = Frame(
        timestep=0,
        cell=np.array(atoms.cell),
        origin=np.zeros(3),
        periodic=(True, True, True),
        ids=np.arange(1, len(atoms) + 1),
        types=np.ones(len(atoms), dtype=np.int64),
        positions=atoms.positions,
    )
    sizes = {preset: load_config(preset).model for preset in PRESETS}
    for layers, features in FEATURES.items():
        like = sizes["fast" if layers == 1 else "accurate"]
        for degree in DEGREES:
            for count in features:
                size = like.model_copy(update={"features": count, "l_max": degree})
                sizes[f"{layers} x {count} features, degree {degree}"] = size
    print(f"{len(atoms)} atoms, {chosen.threads} threads; us per atom")
    for name, settings in sizes.items():
        torch.manual_seed(0)
        model = build_model(settings, 1)
        model.initialize(build_graph(frame, settings.cutoff, dtype=torch.float32))
        evaluator = Evaluator(LoadedModel(model.eval(), ModelCard(settings, ("Si",)), Path(name)), frame)
        times = []
        for _ in range(EVALUATIONS + 1):
            begun = time.perf_counter()
            evaluator.evaluate(frame.positions, frame.cell, frame.periodic)
            times.append(time.perf_counter() - begun)
        print(f"{name:20s} {1e6 * statistics.median(times[1:]) / len(atoms):8.2f}", flush=True)


if __name__ == "__main__":
    main()
