"""Load the readers with large data and tell memory and seconds: python -m tests.robustness.load.

Two dumps are written into a folder for the time being: one of 2 GB with 10 000 frames, and one whose frames have a
million atoms. Each piece of work runs in a process of its own, of which the most memory is told: without the pages of
mapped files, which the system takes back when it needs them, and with them. Seconds are those of the processor.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

from gnnformd.trajectory.inspect import inspect_data
from gnnformd.trajectory.packed.dataset import open_dataset

BODIES = 24  # texts of which frames are put together
PIECES = 3
MOST_MEGABYTES = 1000


def write_dump(path: Path, atoms: int, frames: int) -> None:
    """Write frames of different positions near a lattice in a cube; each is put together of pieces of a few texts."""
    random = np.random.default_rng(0)
    edge = -(-round(atoms ** (1 / 3) * 1000) // 1000)
    sites = 3.5 * np.indices((edge,) * 3).reshape(3, -1).T[:atoms]
    kinds = 1 + np.arange(atoms) % 2
    cuts = np.linspace(0, atoms, PIECES + 1).astype(int)
    bodies = []
    for _ in range(min(BODIES, frames)):
        x, forces = sites + random.normal(0, 0.2, sites.shape), random.normal(0, 10, sites.shape)
        for a, b in pairwise(cuts):
            forces[a:b] -= forces[a:b].mean(axis=0)
        rows = zip(kinds.tolist(), x.tolist(), forces.tolist(), strict=True)
        lines = [f"{k} {t} {' '.join(map(repr, a + f))}\n" for k, (t, a, f) in enumerate(rows, start=1)]
        bodies.append(["".join(lines[a:b]).encode() for a, b in pairwise(cuts)])
    head = f"ITEM: NUMBER OF ATOMS\n{atoms}\nITEM: BOX BOUNDS pp pp pp\n" + f"0 {3.5 * edge}\n" * 3
    head += "ITEM: ATOMS id type x y z fx fy fz\n"
    with path.open("wb") as file:
        for frame in range(frames):
            file.write(f"ITEM: TIMESTEP\n{10 * frame}\n{head}".encode())
            for piece in range(PIECES):
                file.write(bodies[frame // len(bodies) ** piece % len(bodies)][piece])


def inspect(path: Path) -> str:
    """Look at all frames."""
    found = inspect_data(path)
    assert not found["warnings"], found["warnings"]
    return f"{found['frames']} frames of {found['atoms'][0]} atoms"


def pack(path: Path) -> str:
    """Make the packed dataset."""
    return f"{len(open_dataset(path))} frames packed"


def read_back(path: Path) -> str:
    """Read every frame of the packed dataset."""
    total, count = 0.0, 0
    for frame in open_dataset(path):
        total += float(np.abs(frame.forces).sum()) + float(frame.positions[0, 0])
        count += 1
    return f"{count} frames read, mean force {total / count / len(frame.types) / 3:.3g}"


def measured(name: str, path: Path) -> tuple[str, float, float, float]:
    """Do it in a process of its own and tell what it said, its megabytes without and with mapped files, and seconds."""
    command = [sys.executable, "-m", "tests.robustness.load", "--only", name, str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    said, *numbers = done.stdout.strip().rsplit("|", 3)
    own, whole, seconds = map(float, numbers)
    return said, own, whole, seconds


def only(name: str, path: Path) -> None:
    """Do one piece of work and say what it took."""
    threading.Thread(target=_watch, daemon=True).start()
    said = WORKS[name](path)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    most = max([*_seen, _megabytes("RssAnon")])
    print(said, most, _megabytes("VmHWM"), usage.ru_utime + usage.ru_stime, sep="|")


WORKS: dict[str, Callable[[Path], str]] = {"inspect": inspect, "pack": pack, "read back": read_back}

_seen: list[float] = []


def _watch() -> None:
    """Note the most memory that belongs to no file, every hundredth of a second."""
    pause = threading.Event()
    while not pause.wait(0.01):
        _seen[:] = [max([_megabytes("RssAnon"), *_seen])]


def _megabytes(name: str) -> float:
    words = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(words.split()[1]) / 1e3


def main() -> int:
    """Print a line per piece of work; 1 if one of them needed too much memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the size of the dumps, for a quick try")
    parser.add_argument("--only", nargs=2, metavar=("WORK", "DUMP"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        only(options.only[0], Path(options.only[1]))
        return 0
    share = options.share
    too_much = 0
    with tempfile.TemporaryDirectory(prefix="load-") as top:
        free = shutil.disk_usage(top).free
        if free < 6e9 * share:
            print(
                f"{top}: {free / 1e9:.1f} GB are free and {6 * share:.1f} GB are needed; set TMPDIR to a larger disk."
            )
            return 2
        for name, atoms, frames in (
            ("many frames", round(1700 * share ** (1 / 2)), round(10_000 * share ** (1 / 2))),
            ("many atoms", round(1_000_000 * share), 2),
        ):
            path = Path(top) / f"{name.replace(' ', '-')}.dump"
            write_dump(path, atoms, frames)
            print(f"{name}: {path.stat().st_size / 1e9:.2f} GB", flush=True)
            for work in WORKS:
                said, own, whole, seconds = measured(work, path)
                print(f"  {work}: {said}; {own:.0f} MB, {whole:.0f} MB with mapped files, {seconds:.1f} s", flush=True)
                too_much += own > MOST_MEGABYTES
            size = sum(file.stat().st_size for file in path.parent.rglob("*.npy"))
            print(f"  packed: {size / 1e9:.2f} GB", flush=True)
            path.unlink()
            shutil.rmtree(path.parent / ".gnnformd-cache")
    print(f"{too_much} of 6 needed more than {MOST_MEGABYTES} MB")
    return 1 if too_much else 0


if __name__ == "__main__":
    sys.exit(main())
