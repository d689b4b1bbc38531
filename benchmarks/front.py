"""Error against cost: water by density models of several sizes, each trained as long, with peers beside them.

Usage: python -m benchmarks.front TRAIN TEST [--minutes 3] [--atoms 648] [--peer NAME:MICROSECONDS:ERROR]...
                                  [--figure FILE.svg] [--out DIR]

TRAIN and TEST are runs of water made by ``gnnformd generate water``. Each model is trained on one core, judged by
``gnnformd evaluate`` and timed by ``gnnformd benchmark``: microseconds per atom for all forces and the search for
neighbors when it is due, beside those of LAMMPS in the same minutes. Peers are points measured elsewhere
(``benchmarks.peers``): microseconds per atom, with their search, and ``l1_per_atom``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from gnnformd.evaluation.figures.force_figures import save_figure
from gnnformd.evaluation.figures.style import COLORS, FORCE, panels, styled

SIZES: dict[str, tuple[str, dict[str, object]]] = {
    "water-fast, no charges": ("water-fast", {"electrostatics": "none"}),
    "water-fast": ("water-fast", {}),
    "three bodies": ("water", {"body_order": 3, "l_max": 1, "features": 8, "width": 16}),
    "water": ("water", {}),
    "twice as wide": ("water", {"features": 32, "width": 64}),
}
Point = tuple[str, float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--atoms", type=int, default=648)
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/front"))
    options = parser.parse_args()
    peers = [(name, float(cost), float(error)) for name, cost, error in (text.rsplit(":", 2) for text in options.peer)]
    print("model                       with search   forces   short range   LAMMPS   l1_per_atom")
    found, lammps = [], []
    for name, (preset, settings) in SIZES.items():
        point, own = measured(name, preset, settings, options)
        found.append(point)
        lammps.append(own)
    if options.figure is not None:
        draw(found, peers, sum(lammps) / len(lammps), options.figure)


def measured(name: str, preset: str, settings: dict[str, object], options: argparse.Namespace) -> tuple[Point, float]:
    """Train, judge and time one size; also what LAMMPS took."""
    folder = options.out / name.replace(",", "").replace(" ", "-")
    changes = [word for key, value in settings.items() for word in ("--set", f"model.{key}={value}")]
    changes += ["--set", "training.stability_check=false"]
    if not (folder / "model.safetensors").exists():
        run("train", preset, "--data", options.train, "--out", folder, "--max-minutes", options.minutes, *changes)
    run("evaluate", folder, options.test, "--json", folder / "evaluate.json")
    run("benchmark", folder, "--atoms", options.atoms, "--threads", 1, "--json", folder / "speed.json")
    error = json.loads((folder / "evaluate.json").read_text())["datasets"][0]["force"]["l1_per_atom"]
    speed = json.loads((folder / "speed.json").read_text())
    cost, lammps = speed["microseconds_per_atom_step"], speed["lammps"]["microseconds_per_atom_step"]
    whole, forces, short = cost["with_neighbor_search"], cost["forces"], cost["short_range"]
    print(f"{name:26s}{whole:13.2f}{forces:9.2f}{short:14.2f}{lammps:9.2f}{error:14.4f}", flush=True)
    return (name, whole, error), lammps


def run(*words: object) -> None:
    command = Path(sys.executable).with_name("gnnformd")
    subprocess.run(
        [command, *map(str, words)], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True
    )


@styled
def draw(found: list[Point], peers: list[Point], lammps: float, path: Path) -> None:
    """Draw all points in logarithmic scales, and what the classical force field costs."""
    figure, axes = panels(1, 1, (6.0, 4.0))
    axis = axes[0, 0]
    axis.set_xscale("log")
    axis.set_yscale("log")
    line = {"arrowstyle": "-", "color": COLORS["grid"]}
    # they are close together: names stand in a column of their own
    for k, (name, cost, error) in enumerate(sorted(found, key=lambda point: -point[2])):
        axis.plot(cost, error, "o", color=COLORS["model"])
        axis.annotate(name, (cost, error), (60, 30 - 15 * k), textcoords="offset points", fontsize=8, arrowprops=line)
    for name, cost, error in peers:
        axis.plot(cost, error, "s", color=COLORS["second"])
        axis.annotate(name, (cost, error), (-6, 7), textcoords="offset points", fontsize=8, ha="right")
    axis.axvline(lammps, color=COLORS["reference"], linestyle="--", linewidth=1)
    place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    axis.annotate("SPC/Fw in LAMMPS", (lammps, 1.0), (4, -10), fontsize=8, color=COLORS["muted"], **place)
    axis.set_xlabel("forces and search for neighbors, µs per atom and step on one core")
    axis.set_ylabel(f"error of the forces per atom (l1), {FORCE}")
    axis.margins(0.2)
    save_figure(figure, path)


if __name__ == "__main__":
    main()
