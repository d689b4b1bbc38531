"""Water with learned forces, against SPC/Fw in LAMMPS: conservation, the liquid at 300 K, and ten temperatures.

python -m benchmarks.md_water [--model water] [--rows nve npt starts] [--nve-ps 20] [--npt-ps 100]
                              [--temperatures 280 289 ...] [--starts-ps 50] [--timestep 0.5] [--out DIR]

nve     drift of the energy in float32 and float64; goal: under 1 % of kT per atom and ns
npt     300 K, 1 atm: density, g(r), diffusion and the rest beside LAMMPS with the same timestep; goals: the same within
        2 standard errors, largest gap of g(r) 0.05
starts  NVT runs from boxes equilibrated at 280 K to 360 K; goal: all stable
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import torch

from benchmarks.md_table import compared, show, stable
from gnnformd.evaluation.formatting import with_error
from gnnformd.model.files.model_file import load_model
from gnnformd.reference.generate import generate
from gnnformd.reference.run import ReferenceRun
from gnnformd.reference.systems import SYSTEMS
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate

FRAME_FS = 20.0


def reference(
    out: Path, name: str, options: argparse.Namespace, temperature: float, seed: int, ps: float
) -> ReferenceRun:
    """LAMMPS with SPC/Fw: the built-in input with this timestep, velocities in its dump, and frames every 20 fs."""
    inputs = out / "inputs"
    shutil.copytree(SYSTEMS["water"].input.parent, inputs, dirs_exist_ok=True)
    path = inputs / "water.lmp"
    text = path.read_text()
    changed = text.replace("\ntimestep 1\n", f"\ntimestep {options.timestep}\n").replace(
        "fx fy fz", "fx fy fz vx vy vz"
    )
    assert changed.count("vx vy vz") == 1
    assert f"\ntimestep {options.timestep}\n" in changed
    path.write_text(changed)
    variables = {
        "molecules": str(options.molecules),
        "edge": f"{18.64 * (options.molecules / 216) ** (1 / 3):.4f}",
        "temperature": f"{temperature:g}",
        "equilibration": str(options.equilibration),
        "melting": str(min(2000, options.equilibration)),
        "spacing": str(round(FRAME_FS / options.timestep)),
    }
    frames = 1 + round(ps * 1000 / FRAME_FS)
    return generate(path, out / name, seed=seed, frames=frames, variables=variables, overwrite=True)


def settings(options: argparse.Namespace, ps: float, **others: object) -> SimulationSettings:
    return SimulationSettings(
        timestep=options.timestep,
        steps=round(ps * 1000 / options.timestep),
        dump_every=round(FRAME_FS / options.timestep),
        **others,
    )


def nve(options: argparse.Namespace, start: ReferenceRun) -> None:
    rows: list[tuple[str, ...]] = [("precision", "drift, % of kT per atom and ns", "goal 1 %", "stable")]
    for dtype in (torch.float32, torch.float64):
        name = str(dtype).removeprefix("torch.")
        model = load_model(options.model, device=options.device, dtype=dtype)
        run = simulate(
            model, start.topology, settings(options, options.nve_ps, ensemble="nve"), options.out / f"nve-{name}"
        )
        drift = run.comparison.observables["drift, % of kT per atom and ns"]
        value = with_error(drift.value.value, drift.value.standard_error)
        rows.append((name, value, drift.verdict.text if drift.verdict else "-", stable(run)))
    show(f"Water, NVE, {options.nve_ps:g} ps of {options.timestep:g} fs, model {options.model}", rows)


def npt(options: argparse.Namespace, known: ReferenceRun) -> None:
    run = simulate(
        load_model(options.model, device=options.device),
        known.topology,
        settings(options, options.npt_ps, ensemble="npt", temperature=300.0),
        options.out / "npt",
        compare=known.folder,
    )
    show(f"Water, NPT 300 K, {options.npt_ps:g} ps, model {options.model}", compared(run))


def starts(options: argparse.Namespace) -> None:
    rows: list[tuple[str, ...]] = [("temperature, K", "mean of the run, K", "stable")]
    model = load_model(options.model, device=options.device)
    for temperature in options.temperatures:
        seed = round(temperature)
        known = reference(options.out, f"reference-{temperature:.0f}", options, temperature, seed, options.short_ps)
        run = simulate(
            model,
            known.topology,
            settings(options, options.starts_ps, temperature=temperature, seed=seed),
            options.out / f"start-{temperature:.0f}",
            compare=known.folder,
        )
        mean = run.comparison.temperature
        rows.append((f"{temperature:.0f}", with_error(mean.value, mean.standard_error), stable(run)))
    count = len(options.temperatures)
    show(f"Water, {count} NVT runs of {options.starts_ps:g} ps, model {options.model}; goal: all stable", rows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="water", help="model file or name")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rows", nargs="+", choices=("nve", "npt", "starts"), default=["nve", "npt", "starts"])
    parser.add_argument("--molecules", type=int, default=216)
    parser.add_argument("--timestep", type=float, default=0.5, help="fs, of LAMMPS too")
    parser.add_argument("--equilibration", type=int, default=20000, help="steps of LAMMPS before the first frame")
    parser.add_argument("--nve-ps", type=float, default=20.0)
    parser.add_argument("--npt-ps", type=float, default=100.0)
    ten = [round(t) for t in np.linspace(280, 360, 10)]
    parser.add_argument("--temperatures", nargs="+", type=float, default=ten, help="of the starts, K")
    parser.add_argument("--starts-ps", type=float, default=50.0)
    parser.add_argument("--short-ps", type=float, default=10.0, help="length of the reference at each start")
    parser.add_argument("--out", type=Path, default=Path("runs/md-water"), help="folder to write")
    options = parser.parse_args(arguments)

    if {"nve", "npt"} & set(options.rows):
        ps = options.npt_ps if "npt" in options.rows else FRAME_FS / 1000
        known = reference(options.out, "reference", options, 300.0, 1, ps)
        if "nve" in options.rows:
            nve(options, known)
        if "npt" in options.rows:
            npt(options, known)
    if "starts" in options.rows:
        starts(options)


if __name__ == "__main__":
    main()
