"""Errors of what `gnnformd train auto` chooses beside those of the presets, after the same minutes.

python -m benchmarks.automatic DATA TEST [--presets fast accurate ...] [--minutes 2] [--seeds 0 1 2]

Each model is trained on DATA by a command of its own with nothing else set and tested on TEST by ``gnnformd
evaluate``. A preset that refuses the data is left out with its sentence.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean

from gnnformd.units import KCAL_PER_MOL_PER_EV

PRESETS = ("fast", "accurate", "water", "argon")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def main() -> None:
    """Train, evaluate and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    print(f"{options.data.name}, {options.minutes:g} minutes, one thread, seeds {options.seeds}")
    print("preset      forces, per cent   RMSE, meV/A   energies, meV/atom", flush=True)
    for preset in ("auto", *options.presets):
        found = []
        for seed in options.seeds:
            numbers = errors(options, preset, seed)
            if isinstance(numbers, str):
                print(f"{preset:10s}  {numbers}")
                break
            found.append(numbers)
        else:
            shares, forces, energies = (mean(column) for column in zip(*found, strict=True))
            print(f"{preset:10s} {100 * shares:17.3g} {forces:13.4g} {energies:20.3g}", flush=True)


def errors(options: argparse.Namespace, preset: str, seed: int) -> tuple[float, float, float] | str:
    """Train one model and evaluate it.

    Returns
    -------
    tuple or str
        The sum of the force errors over that of the forces, the RMSE of the forces in meV/angstrom and of the energies
        in meV per atom; or the sentence with which the data were refused.
    """
    with tempfile.TemporaryDirectory() as folder:
        run, written = Path(folder) / "run", Path(folder) / "errors.json"
        command = ["train", preset, "--out", str(run), "--max-minutes", str(options.minutes)]
        command += ["--data", str(options.data)] if preset == "auto" else ["--set", f"data.paths=[{options.data}]"]
        for change in (
            f"training.seed={seed}",
            "training.threads=1",
            "training.loggers=[]",
            "training.stability_check=false",
        ):
            command += ["--set", change]
        trained = gnnformd(command)
        if trained.returncode == 2:
            return " ".join(trained.stderr.split())
        trained.check_returncode()
        model = str(run / "model.safetensors")
        gnnformd(["evaluate", model, str(options.test), "--threads", "1", "--json", str(written)]).check_returncode()
        (result,) = json.loads(written.read_text())["datasets"]
        unit = 1000 / KCAL_PER_MOL_PER_EV
        energies = result["energy"]["rmse_per_atom"] if result.get("energy") else float("nan")
        return result["force"]["relative_l1"], unit * result["force"]["rmse"], unit * energies


def gnnformd(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command of the program."""
    command = [sys.executable, "-m", "gnnformd", *words]
    return subprocess.run(command, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
