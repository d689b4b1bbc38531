"""Time and memory of the forces of large systems: copies of one frame of water side by side.

Usage: python -m benchmarks.large_systems MODEL DATA [--copies 2 5 12] [--threads 1]

DATA is a reference run of 216 waters; 2, 5 and 12 copies along each direction are 5 184, 81 000 and 1 119 744 atoms.
Each size runs in a process of its own, whose peak memory is printed. Microseconds per atom, float32; the neighbor list
reaches 1 angstrom farther than the cutoff and serves for many steps.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import torch

from gnnformd.inference.system import Evaluator
from gnnformd.model.density.numba_engine.system import NumbaEngine
from gnnformd.model.files.model_file import load_model
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.packed.dataset import open_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--copies", type=int, nargs="+", default=[2, 5, 12])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options, options.child)))
        return
    print("  atoms   short range   all forces   search   peak memory, GB   list, bytes an atom")
    for copies in options.copies:
        command = [sys.executable, "-m", "benchmarks.large_systems", options.model, options.data]
        command += ["--threads", str(options.threads), "--child", str(copies)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        print(
            f"{row['atoms']:8d}{row['short_range']:12.2f}{row['forces']:13.2f}{row['search']:9.2f}{row['memory']:14.2f}"
            f"{row['list']:18.0f}",
            flush=True,
        )


def copied(frame: Frame, copies: int) -> Frame:
    """Put the frame side by side ``copies`` times along each direction."""
    shifts = np.array(list(np.ndindex(copies, copies, copies))) @ frame.cell
    count, total = len(frame.ids), copies**3
    assert frame.bonds is not None
    return replace(
        frame,
        cell=copies * frame.cell,
        ids=np.arange(1, count * total + 1),
        types=np.tile(frame.types, total),
        positions=(shifts[:, None] + frame.positions).reshape(-1, 3),
        bonds=(np.arange(total)[:, None, None] * count + frame.bonds).reshape(-1, 2),
        charges=None if frame.charges is None else np.tile(frame.charges, total),
        forces=None,
        molecule_ids=None,
    )


def measure(options: argparse.Namespace, copies: int) -> dict[str, float]:
    torch.set_num_threads(options.threads)
    loaded = load_model(options.model)
    frame = copied(open_dataset(options.data)[0], copies)
    evaluator = Evaluator(loaded, frame)
    where = frame.positions, frame.cell, frame.periodic
    begin = time.perf_counter()
    engine, positions, cell = evaluator.at(*where)
    search = time.perf_counter() - begin
    assert isinstance(engine, NumbaEngine)
    parts, atoms = engine.parts(positions, cell), len(frame.ids)
    times = {}
    for name, work in (
        ("short_range", parts["short_range"]),
        ("forces", lambda: evaluator.evaluate(*where)),
    ):
        work()
        seconds = []
        for _ in range(3 if atoms > 100_000 else 10):
            begin = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - begin)
        times[name] = 1e6 * min(seconds) / atoms
    assert engine._ghosts is not None
    return {
        "atoms": atoms,
        **times,
        "search": 1e6 * search / atoms,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "list": engine._ghosts.neighbor.nbytes / atoms,
    }


if __name__ == "__main__":
    main()
