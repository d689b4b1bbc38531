"""A whole step of molecular dynamics of water with learned forces: beside LAMMPS's own, what it consists of, two ranks.

python -m benchmarks.md_step data/water/topology.data [--model water] [--copies 1 2 4] [--steps 200] [--ranks 2]

Boxes are copies of the one given, side by side. Both sides run NVT with steps of 1 fs and PPPM at 1e-5. Goals: a step
1.5 times that of SPC/Fw in LAMMPS; coupling, which is the step less forces and PPPM, under 10 %; efficiency of two
ranks 85 % from 5 000 atoms on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.md_table import show
from gnnformd.model.density.numba_engine.one_layer import OneLayer
from gnnformd.model.files.model_file import load_model
from gnnformd.reference.library import open_lammps
from gnnformd.reference.systems import SYSTEMS
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate

STYLES = (
    "units real",
    "atom_style full",
    "pair_style lj/cut/coul/long 10",
    "bond_style harmonic",
    "angle_style harmonic",
)
TURNS = 3


@contextlib.contextmanager
def water(path: Path, copies: int) -> Iterator[Any]:
    """LAMMPS with SPC/Fw and so many copies of a box in each direction."""
    lmp = open_lammps()
    with contextlib.chdir(SYSTEMS["water"].input.parent):
        for command in (*STYLES, f'read_data "{path}"', f"replicate {copies} {copies} {copies}", "include spcfw.lmp"):
            lmp.command(command)
    try:
        yield lmp
    finally:
        lmp.close()


def classical(lmp: Any, steps: int) -> float:
    """Seconds of a step with LAMMPS's own force field."""
    begin = time.perf_counter()
    lmp.command(f"run {steps} pre no post no")
    return (time.perf_counter() - begin) / steps


def learned(model: str, topology: Path, steps: int, out: Path) -> dict[str, float]:
    """Seconds of a step, and of it those of forces and of PPPM."""
    spent: list[float] = []
    evaluate = OneLayer.evaluate

    def timed(self: OneLayer, positions: Any, coulomb: Any = None) -> Any:
        begin = time.perf_counter()
        found = evaluate(self, positions, coulomb)
        spent.append(time.perf_counter() - begin)
        return found

    OneLayer.evaluate = timed  # type: ignore[method-assign]
    try:
        settings = SimulationSettings(steps=steps, dump_every=steps, thermo_every=steps, velocities="file")
        run = simulate(load_model(model), topology, settings, out).to_dict()
    finally:
        OneLayer.evaluate = evaluate  # type: ignore[method-assign]
    mesh = re.findall(r"^Kspace *\| *\S+ *\| *(\S+)", (out / "log.lammps").read_text(), re.MULTILINE)[-1]
    step = 1e-6 * run["microseconds_per_atom_step"] * run["atoms"]
    return {"step": step, "forces": sum(spent[-steps:]) / steps, "PPPM": float(mesh) / steps}


def on_ranks(options: argparse.Namespace, topology: Path, ranks: int, out: Path) -> float:
    """Microseconds per atom and step of the command on so many ranks."""
    steps, result = str(options.steps), out.with_suffix(".json")
    words = ["simulate", options.model, str(topology), "--velocities", "file", "--steps", steps, "--dump-every", steps]
    words += ["--ranks", str(ranks), "--threads", "1", "--out", str(out), "--json", str(result)]
    subprocess.run([Path(sys.executable).with_name("gnnformd"), *words], check=True, stdout=subprocess.DEVNULL)
    return float(json.loads(result.read_text())["microseconds_per_atom_step"])


def alone(lmp: Any, options: argparse.Namespace, topology: Path, out: Path) -> list[str]:
    """Both sides in turns in this process; of the turns the one with the median ratio."""
    lmp.command("fix ensemble all nvt temp 300 300 100")
    lmp.command("run 10 post no")
    turns = [
        (classical(lmp, options.steps), learned(options.model, topology, options.steps, out)) for _ in range(TURNS)
    ]
    own, parts = sorted(turns, key=lambda turn: turn[1]["step"] / turn[0])[TURNS // 2]
    step, forces, mesh = (1e6 / lmp.get_natoms() * parts[name] for name in ("step", "forces", "PPPM"))
    own *= 1e6 / lmp.get_natoms()
    rest = step - forces - mesh
    times = [f"{value:.2f}" for value in (own, step, step / own, forces, mesh)]
    return [*times, f"{rest:.2f} ({100 * rest / step:.0f} %)"]


def shared(lmp: Any, options: argparse.Namespace, topology: Path, out: Path) -> list[str]:
    """Run the command on one rank and on many in turns, and keep the fastest of each."""
    one, many = (
        min(times)
        for times in zip(
            *[[on_ranks(options, topology, ranks, out) for ranks in (1, options.ranks)] for _ in range(TURNS)],
            strict=True,
        )
    )
    return [f"{one:.2f}", f"{many:.2f}", f"{100 * one / many / options.ranks:.0f} %"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topology", type=Path)
    parser.add_argument("--model", default="water")
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 2, 4], help="of the box, in each direction")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--ranks", type=int, default=1, help="measure the command on so many ranks and on one instead")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)

    heads = ("atoms", "LAMMPS", "learned", "ratio", "forces", "PPPM", "coupling and the rest")
    if options.ranks > 1:
        heads = ("atoms", "1 rank", f"{options.ranks} ranks", "efficiency")
    rows = [heads]
    with tempfile.TemporaryDirectory() as folder:
        for copies in options.copies:
            topology, out = Path(folder) / f"{copies}.data", Path(folder) / "md"
            with water(options.topology.resolve(), copies) as lmp:
                lmp.command(f'write_data "{topology}" nocoeff')
                atoms = int(lmp.get_natoms())
                measure = shared if options.ranks > 1 else alone
                rows.append((f"{atoms}", *measure(lmp, options, topology, out)))
    show(f"Water, a step with the model {options.model}, microseconds per atom", rows)


if __name__ == "__main__":
    main()
