"""Time of the neighbor search and of a training batch, each beside another way measured in the same run.

Run ``python benchmarks/neighbors.py`` (half a minute on one core). Atoms are placed at random at the density of water.
"""

import argparse
import time
from collections.abc import Callable

import ase
import numpy as np
import torch
from ase.neighborlist import neighbor_list

from gnnformd.graph.build import collate
from gnnformd.graph.dataset import GraphDataset
from gnnformd.neighbors import neighbor_pairs
from gnnformd.trajectory.frame import Frame

DENSITY = 0.1003  # atoms per cubic angstrom: water at 1 g/cm^3


class Frames(list[Frame]):
    """Frames in memory, without a force field."""

    force_field = None


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of one call, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def random_frame(atoms: int, rng: np.random.Generator) -> Frame:
    """Molecules of three bonded atoms at random in a periodic cube at the density of water."""
    side = (atoms / DENSITY) ** (1 / 3)
    molecules = rng.uniform(0, side, (atoms // 3, 1, 3)) + rng.uniform(-1, 1, (atoms // 3, 3, 3))
    return Frame(
        timestep=0,
        cell=np.eye(3) * side,
        origin=np.zeros(3),
        periodic=(True, True, True),
        ids=np.arange(1, atoms + 1),
        types=np.tile([1, 2, 2], atoms // 3),
        positions=molecules.reshape(-1, 3),
        forces=np.zeros((atoms, 3)),
        bonds=np.array([[3 * m, 3 * m + h] for m in range(atoms // 3) for h in (1, 2)]),
    )


def time_search() -> None:
    rng = np.random.default_rng(0)
    print("neighbor_pairs beside ASE's neighbor_list")
    print(f"{'atoms':>7} {'cutoff':>7} {'pairs/atom':>11} {'us/atom':>8} {'ASE us/atom':>12} {'ASE/ours':>9}")
    for atoms in (648, 5184, 41472):
        frame = random_frame(atoms, rng)
        system = ase.Atoms(np.ones(atoms), positions=frame.positions, cell=frame.cell, pbc=True)
        for cutoff in (3.4, 6.0, 10.5) if atoms < 1000 else (3.4, 6.0):

            def ours(frame: Frame = frame, cutoff: float = cutoff) -> tuple[np.ndarray, ...]:
                return neighbor_pairs(frame.positions, frame.cell, frame.periodic, cutoff)

            one = seconds(ours, repeats=5) / atoms * 1e6
            start = time.perf_counter()
            neighbor_list("ijS", system, cutoff)
            other = (time.perf_counter() - start) / atoms * 1e6
            pairs = len(ours()[0]) / atoms
            print(f"{atoms:7d} {cutoff:7.1f} {pairs:11.1f} {one:8.2f} {other:12.2f} {other / one:9.1f}")


def time_batches() -> None:
    rng = np.random.default_rng(0)
    frames = Frames(random_frame(648, rng) for _ in range(16))
    dataset = GraphDataset([frames], [(0, k) for k in range(16)], 3.4)
    start = time.perf_counter()
    dataset.prepare()
    print(f"\nfinding the edges of a frame of 648 atoms: {(time.perf_counter() - start) / 16 * 1e3:.2f} ms")
    graphs = [dataset[k] for k in range(16)]
    batch = seconds(lambda: dataset.batch(range(16)), repeats=30)
    joined = seconds(lambda: collate([dataset[k] for k in range(16)]), repeats=30)
    edges = collate(graphs).edge_count
    print(
        f"a batch of 16 frames of 648 atoms, {edges} edges, float32: {batch * 1e3:.2f} ms; "
        f"graph by graph and collated: {joined * 1e3:.2f} ms ({joined / batch:.1f} times)"
    )


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    time_search()
    time_batches()


if __name__ == "__main__":
    main()
