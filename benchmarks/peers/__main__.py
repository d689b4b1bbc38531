"""The project's water model beside packages a user might pick instead: same frames, same minutes, same cores.

Usage: python -m benchmarks.peers TRAIN TEST [--minutes 5] [--only NAME]... [--threads 1] [--environments .peers]

TRAIN and TEST are runs of water made by ``gnnformd generate water``. Of TRAIN, 310 evenly spaced frames are used, 10 of
them for validation; of TEST, up to 30 tell the errors. All learn from forces only, one frame a step. Each peer has an
environment of its own, made from ``requirements-NAME.txt`` when it is first asked for; its network is described
in ``run_NAME.py``, its training in ``driver.py``.

Microseconds per atom are those of one evaluation of the forces with the search for neighbors: for the peers on a frame
of TEST and on one doubled along each axis, for this project as `gnnformd benchmark` measures them, along a simulation.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gnnformd.model.files.model_file import load_model
from gnnformd.trajectory.packed.dataset import PackedDataset, open_dataset
from gnnformd.trajectory.split import split_frames

HERE = Path(__file__).parent
PEERS = ("schnetpack", "mace")
TRAIN, VALIDATION, TEST = 300, 10, 30
SPLIT = {"frames": TRAIN + VALIDATION, "validation_fraction": VALIDATION / (TRAIN + VALIDATION)}
ATOMIC_NUMBERS = {"O": 8, "H": 1}
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "17179869184"}
"""For the peers: glibc keeps large blocks of memory in the process, which makes some of them faster."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--only", action="append", choices=("gnnformd", *PEERS), help="repeatable")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--environments", type=Path, default=Path(".peers"))
    arguments = parser.parse_args()
    chosen = arguments.only or ["gnnformd", *PEERS]
    pythons = {name: environment(arguments.environments / name, name) for name in PEERS if name in chosen}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder) / "frames.npz"
        write_frames(frames, open_dataset(arguments.train), open_dataset(arguments.test))
        if "gnnformd" in chosen:
            rows.append(own(arguments.train, arguments.test, arguments.minutes, arguments.threads, Path(folder)))
        rows += [peer(python, name, frames, arguments) for name, python in pythons.items()]
    show(rows)


def environment(folder: Path, name: str) -> Path:
    """Make the environment of a peer, unless it is there and up to date, and return its python."""
    requirements = HERE / f"requirements-{name}.txt"
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    if not stamp.is_file() or stamp.read_text() != requirements.read_text():
        print(f"{name}: installing into {folder}", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        pip = [python, "-m", "pip", "install", "-q"]
        subprocess.run(
            [*pip, "-c", requirements, "torch"], check=True
        )  # with what it needs, which depends on the build
        subprocess.run([*pip, "--no-deps", "-r", requirements], check=True)  # some pins of the packages are too narrow
        stamp.write_text(requirements.read_text())
    return python.absolute()


def write_frames(path: Path, train: PackedDataset, test: PackedDataset) -> None:
    """Write the frames of the three sets for the peers; positions are wrapped into the cell."""
    kept, validation = split_frames([len(train)], **SPLIT)
    count = min(TEST, len(test))
    sets = {
        "train": [train[k] for _, k in kept],
        "validation": [train[k] for _, k in validation],
        "test": [test[(2 * k + 1) * len(test) // (2 * count)] for k in range(count)],  # as `gnnformd evaluate` does
    }
    names = train.type_names or ()
    arrays = {"numbers": np.array([ATOMIC_NUMBERS[names[t - 1]] for t in train[0].types])}
    for name, frames in sets.items():
        arrays[f"{name}_cells"] = np.stack([f.cell for f in frames])
        arrays[f"{name}_forces"] = np.stack([f.forces for f in frames if f.forces is not None])
        fractions = [np.linalg.solve(f.cell.T, (f.positions - f.origin).T).T % 1.0 for f in frames]
        arrays[f"{name}_positions"] = np.stack([x @ f.cell for x, f in zip(fractions, frames, strict=True)])
    np.savez(path, **arrays)


def variables(threads: int) -> dict[str, str]:
    """Return the environment variables of everything that is measured."""
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads))
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | counts


def own(train: Path, test: Path, minutes: float, threads: int, folder: Path) -> dict[str, Any]:
    """Train, judge and time this project's model by its own commands."""
    command = Path(sys.executable).with_name("gnnformd")
    env = variables(threads) | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}

    def run(*words: object) -> str:
        print("gnnformd", *words, file=sys.stderr)
        return subprocess.run([command, *map(str, words)], check=True, env=env, capture_output=True, text=True).stdout

    settings = {f"data.{key}": value for key, value in SPLIT.items()} | {
        "training.threads": threads,
        "training.virial_weight": 0.0,
        "training.stability_check": False,
    }
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    log = run("train", "water", "--data", train, "--out", folder / "run", "--max-minutes", minutes, *options)
    model = folder / "run" / "model.safetensors"
    steps, seconds = re.findall(r"(\d+) of \d+, (\d+) s", log)[-1]
    run("evaluate", model, test, "--frames", TEST, "--threads", threads, "--json", folder / "evaluate.json")
    force = json.loads((folder / "evaluate.json").read_text())["datasets"][0]["force"]
    speeds = []
    for atoms in (648, 5184):
        run("benchmark", model, "--atoms", atoms, "--threads", threads, "--json", folder / "speed.json")
        speed = json.loads((folder / "speed.json").read_text())
        speeds.append(speed["microseconds_per_atom_step"]["with_neighbor_search"])
    return {
        "package": "GNNforMD density",
        "parameters": sum(p.numel() for p in load_model(model).model.parameters()),
        "train_frames_per_second": int(steps) / int(seconds),
        "l1_per_atom": force["l1_per_atom"],
        "relative_l1": force["relative_l1"],
        "us_per_atom_small": speeds[0],
        "us_per_atom_large": speeds[1],
    }


def peer(python: Path, name: str, frames: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the driver of a peer and return its last line; its messages go to a log in its environment."""
    print(f"{name}: {arguments.minutes:g} minutes of training", file=sys.stderr)
    words = [python, HERE / f"run_{name}.py", frames, str(arguments.minutes), str(arguments.threads)]
    with (python.parent.parent / "log.txt").open("w") as log:
        env = variables(arguments.threads) | ALLOCATOR
        ended = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
    lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return {"package": name, "reason": f"failed, see {log.name}"}
    result: dict[str, Any] = json.loads(lines[-1])
    print(lines[-1], file=sys.stderr)
    if ended.returncode:
        result["reason"] = f"signal {-ended.returncode}" if ended.returncode != -14 else "over 60 s"
    return result


COLUMNS = {
    "parameters": "{:.0f}",
    "train_frames_per_second": "{:.2f}",
    "l1_per_atom": "{:.3f}",
    "relative_l1": "{:.2%}",
    "us_per_atom_small": "{:.1f}",
    "us_per_atom_large": "{:.1f}",
}


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print a Markdown table, each number with its ratio to that of the first row in brackets, and what went wrong."""
    heads = (
        "parameters",
        "training frames/s",
        "l1_per_atom, kcal/mol/A",
        "relative_l1",
        "us/atom, 648",
        "us/atom, 5184",
    )
    print(f"| package | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|", sep="\n")
    for row in rows:
        cells = [row["package"]]
        for key, form in COLUMNS.items():
            value, first = row.get(key), rows[0].get(key)
            text = "-" if value is None else form.format(value)
            cells.append(f"{text} ({value / first:.2g}x)" if value and first and row is not rows[0] else text)
        print(f"| {' | '.join(cells)} |")
    for row in rows:
        if row.get("reason"):
            print(f"\n{row['package']}: {row['reason']}")


if __name__ == "__main__":
    main()
