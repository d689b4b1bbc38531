"""Some thousand frames of some hundred different liquids, and of the liquids that are held out.

Usage: python -m benchmarks.fluids.make_data [--out data/fluids] [--processes 2] [--only training|held-out]

Each liquid is a reference run in ``training/`` or ``held-out/`` below the folder (see `benchmarks.fluids.liquids`);
those that are there already are left alone, so that the command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.fluids.liquids import HELD_OUT, TRAINING, Liquid
from gnnformd.reference.generate import generate


def make(liquid: Liquid, folder: Path) -> str:
    """Make one liquid, if it is not there; say what was done."""
    out = folder / liquid.name
    if (out / "reference.yaml").exists():
        return f"{out}: is there"
    began = time.perf_counter()
    run = generate(liquid.system, out, seed=liquid.seed, frames=liquid.frames, variables=liquid.variables)
    frames, atoms, seconds = run.manifest["frames"], run.manifest["atoms"], time.perf_counter() - began
    return f"{out}: {frames} frames of {atoms} atoms in {seconds:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("data/fluids"))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", choices=["training", "held-out"])
    options = parser.parse_args()
    parts = {"training": TRAINING, "held-out": HELD_OUT}
    with ThreadPoolExecutor(options.processes) as pool:  # each run of LAMMPS is a process of its own
        for part, liquids in parts.items():
            if options.only in (None, part):
                folder = options.out / part
                folder.mkdir(parents=True, exist_ok=True)
                for line in pool.map(lambda liquid, folder=folder: make(liquid, folder), liquids):
                    print(line, flush=True)


if __name__ == "__main__":
    main()
