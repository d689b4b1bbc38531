"""Test errors of the kept checkpoints of a training of the original network, and the best of them as a model file.

Usage: python benchmarks/seed_checkpoints.py RUN [--data data/water-seed] [--frames 1010] [--epochs 7 8 9 ...]
                                             [--model FILE.safetensors]

RUN is the folder of ``gnnformd train seed-water``. The frames are those that the preset validates on, in the order of
the original study: shuffled, sixteen at a time, over whose atoms GraphNorm takes its averages. Frames of a batch that
follow one another in the trajectory, as runs before 2026-11-30 validated, have other averages and larger errors.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.build import find_edges, join_frames
from gnnformd.model.files.model_file import load_model, save_model
from gnnformd.training.run_folder import model_weights
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.split import split_frames

BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, default=Path("data/water-seed"))
    parser.add_argument("--frames", type=int, default=1010)
    parser.add_argument("--epochs", type=int, nargs="+")
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    loaded = load_model(options.run)
    data = open_dataset(options.data)
    _, validation = split_frames([len(data)], method="shuffled", validation_fraction=0.1, seed=0)
    order = np.random.default_rng(0).permutation([frame for _, frame in validation])[: options.frames].tolist()

    def batch(numbers: list[int]) -> AtomicGraph:
        frames = [data[number] for number in numbers]
        edges = [find_edges(frame, loaded.model.cutoff) for frame in frames]
        return join_frames(frames, edges, [data.force_field] * len(frames), dtype=torch.float32)

    batches = [batch(order[k : k + BATCH]) for k in range(0, len(order), BATCH)]
    atoms = sum(graph.atom_count for graph in batches)
    zero = sum(float(graph.forces.abs().sum()) for graph in batches if graph.forces is not None) / atoms
    print(f"{len(order)} frames; zero forces cost {zero:.3f} per atom")
    print("epoch  per atom    share")
    files = {
        int(found[1]): path for path in options.run.glob("checkpoints/*") if (found := re.search(r"(\d+)", path.stem))
    }
    errors = {}
    for epoch in options.epochs or sorted(files):
        loaded.model.load_state_dict(model_weights(files[epoch]))
        with torch.no_grad():
            wrong = sum(
                float((loaded.model(graph).forces - graph.forces).abs().sum())
                for graph in batches
                if graph.forces is not None
            )
        errors[epoch] = wrong / atoms
        print(f"{epoch:5d}{errors[epoch]:10.3f}{errors[epoch] / zero:9.4f}", flush=True)
    if options.model is not None:
        best = min(errors, key=errors.__getitem__)
        loaded.model.load_state_dict(model_weights(files[best]))
        told = {**loaded.card.trained_on[-1], "epoch": best, "validation_l1_per_atom": errors[best]}
        save_model(options.model, loaded.model, replace(loaded.card, trained_on=(told,)))
        print(f"{options.model}: epoch {best}")


if __name__ == "__main__":
    main()
