"""Errors over the number of training frames, as they come, and with pair and angle potentials fitted at the start.

Usage: python -m benchmarks.quantum.learning_curves FOLDER {acac,Si,Mo} [--frames 10 30 100 450] [--preset accurate]
                                                    [--minutes 2] [--threads 1] [--out DIR]

FOLDER is that of `benchmarks.quantum.errors`. The frames are evenly spaced in the training file. Potentials are fitted
in every training, and left out where they leave more than a twentieth of the forces that were kept back; the last
columns are of trainings that keep them however much they leave (where they leave less than no potentials do).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.quantum.errors import FILES, errors_of, file_of, train

KEPT = """
from gnnformd.model.density import model
model.NEARLY_CLASSICAL = 1.0
from gnnformd.cli import app
app()
"""


def main() -> None:
    """Train and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("data", choices=FILES)
    parser.add_argument("--frames", type=int, nargs="+", default=[10, 30, 100, 450])
    parser.add_argument("--preset", default="accurate")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    out = chosen.out or Path(tempfile.mkdtemp())
    training, tests = FILES[chosen.data]
    print(f"{chosen.data}, preset {chosen.preset}, {chosen.minutes:g} minutes, {chosen.threads} threads")
    print("frames  test file            as it comes      potentials kept  (force RMSE meV/A / energy RMSE meV/atom)")
    for frames in chosen.frames:
        models = [
            train(
                chosen.preset,
                file_of(chosen.folder, training),
                out / f"{chosen.data}-{frames}-{name}",
                minutes=chosen.minutes,
                threads=chosen.threads,
                changes=(f"data.frames={frames}",),
                program=program,
            )
            for name, program in (("plain", ("-m", "gnnformd")), ("kept", ("-c", KEPT)))
        ]
        for name in tests:
            cells = []
            for model in models:
                forces, energies = errors_of(model, file_of(chosen.folder, name))
                cells.append(f"{np.sqrt(np.square(forces).mean()):8.1f} / {np.sqrt(np.square(energies).mean()):5.2f}")
            print(f"{frames:6d}  {name:20s} {'   '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
