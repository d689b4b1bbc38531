"""Learn the functions that many liquids share.

Usage: python -m benchmarks.fluids.train [--data data/fluids] [--out fluids.json]

Reads the training liquids of ``python -m benchmarks.fluids.make_data`` and fits four frames in five of each;
``python -m benchmarks.fluids.judge`` shows the errors on the others.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gnnformd.force_field import ForceField
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.build import build_graph
from gnnformd.model.fluids.fit import cutoff_for, fit_fluids
from gnnformd.model.fluids.specialize import state_of
from gnnformd.reference.run import ReferenceRun
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.packed.dataset import open_dataset


def graphs(folder: Path) -> Iterator[tuple[int, AtomicGraph, ForceField]]:
    """Graphs of four frames in five of all liquids."""
    for number, manifest in enumerate(sorted(folder.glob("*/reference.yaml"))):
        liquid = open_dataset(manifest.parent)
        field = liquid.force_field
        assert field is not None
        for k in range(len(liquid)):
            if k % 5 < 4:
                yield number, build_graph(liquid[k], cutoff_for(field), field), field


def states(folder: Path) -> dict[str, tuple[float, float]]:
    """Lowest and highest density and temperature of all liquids, in units of their Lennard-Jones parameters."""
    found: dict[str, list[float]] = {"density": [], "temperature": []}
    for manifest in sorted(folder.glob("*/reference.yaml")):
        run = ReferenceRun.open(manifest.parent)
        assert run.force_field is not None
        topology = read_topology(run.topology)
        for temperature in np.genfromtxt(run.thermo, delimiter=",", names=True)["temperature_K"].tolist():
            for name, values in state_of(run.force_field, topology, temperature).items():
                found[name] += values
    return {name: (min(values), max(values)) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/fluids"))
    parser.add_argument("--out", type=Path, default=Path("fluids.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    functions = fit_fluids(graphs(options.data / "training"))
    functions = replace(functions, ranges=functions.ranges | states(options.data / "training"))
    functions.save(options.out)
    seconds = time.perf_counter() - began
    print(f"{options.out}: {functions.frames} frames of {functions.liquids} liquids in {seconds:.0f} s")
    print("bond ", *(f"{c:9.5f}" for c in functions.bond))
    print("angle", *(f"{c:9.5f}" for c in functions.angle))


if __name__ == "__main__":
    main()
