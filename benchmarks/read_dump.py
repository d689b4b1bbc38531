"""How fast dumps are read, against ASE's reader on the same file.

python benchmarks/read_dump.py [--frames 200] [--atoms 648] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gnnformd.trajectory.formats.dump import read_dump


def write_dump(path: Path, frames: int, atoms: int) -> None:
    """Write a dump like that of a water box: full precision, rows in no order, a box that changes."""
    generator = np.random.default_rng(0)
    with path.open("w") as file:
        for frame in range(frames):
            edge = 18.64 + 0.01 * generator.normal()
            file.write(f"ITEM: TIMESTEP\n{50 * frame}\nITEM: NUMBER OF ATOMS\n{atoms}\nITEM: BOX BOUNDS pp pp pp\n")
            file.write(f"0.0 {edge:.16e}\n" * 3 + "ITEM: ATOMS id mol type x y z fx fy fz\n")
            rows = np.hstack([generator.uniform(0, edge, (atoms, 3)), generator.normal(0, 20, (atoms, 3))]).tolist()
            for k, row in zip(generator.permutation(atoms).tolist(), rows, strict=True):
                numbers = " ".join(f"{value:.17g}" for value in row)
                file.write(f"{k + 1} {k // 3 + 1} {1 if k % 3 == 0 else 2} {numbers} \n")


def best_time(read: Callable[[], int], repeats: int) -> float:
    """Shortest of several runs, in seconds of this process's CPU."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        read()
        times.append(time.process_time() - begin)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--atoms", type=int, default=648)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    from ase.io import read

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trajectory.dump"
        write_dump(path, options.frames, options.atoms)
        megabytes = path.stat().st_size / 1e6
        begin = time.process_time()
        next(read_dump(path))
        first = time.process_time() - begin
        ours = best_time(lambda: sum(1 for _ in read_dump(path)), 7)
        theirs = best_time(lambda: len(read(path, format="lammps-dump-text", index=":")), 3)
        for mine, other in zip(read_dump(path), read(path, format="lammps-dump-text", index=":"), strict=True):
            assert np.array_equal(mine.forces, other.get_forces()), "the readers disagree"
    result = {
        "megabytes": megabytes,
        "frames": options.frames,
        "atoms": options.atoms,
        "gnnformd_megabytes_per_second": megabytes / ours,
        "ase_megabytes_per_second": megabytes / theirs,
        "ratio": theirs / ours,
        "seconds_to_first_frame": first,
    }
    print(f"{megabytes:.1f} MB, {options.frames} frames of {options.atoms} atoms, one core")
    print(f"gnnformd {megabytes / ours:7.1f} MB/s   (first frame, with loading of the parser, after {first:.2f} s)")
    print(f"ASE      {megabytes / theirs:7.1f} MB/s")
    print(f"ratio    {theirs / ours:7.1f}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
