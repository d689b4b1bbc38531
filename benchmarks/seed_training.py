"""Training frames a second of the GAMD network: as its equations stand, and as the product evaluates them.

Usage: python benchmarks/seed_training.py DATA [--threads 1] [--batches 3]

DATA is a folder made by ``gnnformd generate water-seed`` (any data will do). All train the same architecture with the
same batch of 16 frames, dropout, Adam and float32 weights; times are CPU seconds per thread, and alternate.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import torch

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.dataset import GraphDataset
from gnnformd.model.gamd.layers import Perceptron
from gnnformd.model.gamd.network import GamdModel
from gnnformd.model.gamd.tiles.products import has_products
from gnnformd.model.settings import GamdSettings
from gnnformd.training.loss import absolute_error_per_axis
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.trainer import computing
from gnnformd.trajectory.packed.dataset import open_dataset
from literal_seed import literal_forces

BATCH = 16


def make_step(forces: Callable[[AtomicGraph], torch.Tensor], model: GamdModel) -> Callable[[list[AtomicGraph]], None]:
    """One step of the optimizer over the graphs given."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def step(graphs: list[AtomicGraph]) -> None:
        optimizer.zero_grad()
        for graph in graphs:  # what goes through the network together shares the averages of GraphNorm
            (absolute_error_per_axis(forces(graph), graph).sum() / BATCH).backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, default=3)
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    count = BATCH * (options.batches + 1)
    frames = [(0, k * len(dataset) // count) for k in range(count)]
    graphs = GraphDataset([dataset], frames, 3.4)
    batches = [range(start, start + BATCH) for start in range(0, count, BATCH)]

    def model() -> GamdModel:
        torch.manual_seed(0)
        return GamdModel(GamdSettings(), 2).train()

    plain, ours, rounding = model(), model(), model()
    for part in rounding.modules():
        if isinstance(part, Perceptron):
            part.round_gradients = True
    plain_step = make_step(lambda graph: literal_forces(plain, graph), plain)
    our_step = make_step(lambda graph: ours(graph).forces, ours)
    rounding_step = make_step(lambda graph: rounding(graph).forces, rounding)
    rounded = "blocks of bfloat16 numbers" if has_products() else "gradients from bfloat16 numbers"
    variants = {
        "as the equations stand, whole batch, float32": ("highest", plain_step, True),
        "as the equations stand, frame by frame": ("highest", plain_step, False),
        "product, its default (float32 products)": ("highest", our_step, True),
        f"product, {rounded}": ("highest", rounding_step, True),
    }
    seconds = {name: [] for name in variants}
    for number, batch in enumerate(batches):
        for name, (precision, step, whole) in variants.items():
            settings = TrainingSettings(threads=options.threads, matmul_precision=precision)
            with computing(settings):
                start = time.process_time()
                step([graphs.batch(batch)] if whole else [graphs.batch([k]) for k in batch])
                if number:  # the first batch prepares
                    seconds[name].append(time.process_time() - start)
    base = None
    print(f"{'':46s} frames/s   ratio   ({options.threads} threads, {graphs[0].atom_count} atoms)")
    for name, times in seconds.items():
        rate = BATCH * options.threads / (sum(times) / len(times))
        base = base or rate
        print(f"{name:46s} {rate:8.2f} {rate / base:7.2f}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
