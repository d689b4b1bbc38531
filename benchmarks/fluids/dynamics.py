"""Molecular dynamics with the model for many liquids, without training, beside LAMMPS with the force fields.

Usage: python -m benchmarks.fluids.dynamics [--model fluids] [--rows argon-nvt argon-npt water-nvt water-npt]
                                            [--argon-ps 100] [--water-nvt-ps 100] [--water-npt-ps 50] [--out DIR]

argon-nvt   500 atoms, 90 K, 1.374 g/cm3 (``argon-liquid`` of ``generate``), 4 fs
argon-npt   500 atoms, 90 K, 1 atm (``argon_npt.lmp``), 4 fs
water-nvt   216 molecules of SPC/Fw, 300 K, the last box of the reference of water-npt, 1 fs
water-npt   the same at 1 atm (``water`` of ``generate``), 1 fs

Prints for each whether it is stable, every observable beside that of the reference with its standard error, and the
verdict.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.md_table import compared, show
from gnnformd.model.fluids.load import load_for
from gnnformd.reference.generate import generate
from gnnformd.reference.run import ReferenceRun
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate

ARGON = {"timestep": 4.0, "temperature": 90.0, "dump_every": 20, "velocities": "create"}
WATER = {"timestep": 1.0, "temperature": 300.0, "dump_every": 50, "velocities": "create"}


def reference(system: str | Path, out: Path, ps: float, timestep: float, spacing: int) -> ReferenceRun:
    """LAMMPS with the force field; a run that is there is taken as it is."""
    if (out / "reference.yaml").exists():
        return ReferenceRun.open(out)
    frames = 1 + round(ps * 1000 / timestep / spacing)
    return generate(system, out, seed=1, frames=frames, variables={"spacing": str(spacing)})


def row(name: str, known: ReferenceRun, options: argparse.Namespace, ps: float, **chosen: object) -> None:
    settings = SimulationSettings.from_options(**chosen)
    settings = settings.model_copy(update={"steps": round(ps * 1000 / settings.timestep)})
    model = load_for(options.model, known.folder)
    run = simulate(model, known.topology, settings, options.out / name, compare=known.folder)
    show(f"{name}, {ps:g} ps, {run.microseconds_per_atom_step:.3g} us per atom and step", compared(run))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fluids", help="'fluids', or a file of such a model")
    rows = ["argon-nvt", "argon-npt", "water-nvt", "water-npt"]
    parser.add_argument("--rows", nargs="+", choices=rows, default=rows)
    parser.add_argument("--argon-ps", type=float, default=100.0)
    parser.add_argument("--water-nvt-ps", type=float, default=100.0)
    parser.add_argument("--water-npt-ps", type=float, default=50.0)
    parser.add_argument("--out", type=Path, default=Path("runs/fluids"), help="folder to write")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    here = Path(__file__).parent
    if "argon-nvt" in options.rows:
        known = reference("argon-liquid", options.out / "argon-nvt-reference", options.argon_ps, 4.0, 20)
        row("argon-nvt", known, options, options.argon_ps, ensemble="nvt", **ARGON)
    if "argon-npt" in options.rows:
        known = reference(here / "argon_npt.lmp", options.out / "argon-npt-reference", options.argon_ps, 4.0, 20)
        row("argon-npt", known, options, options.argon_ps, ensemble="npt", pressure=1.0, **ARGON)
    if {"water-nvt", "water-npt"} & set(options.rows):
        known = reference("water", options.out / "water-reference", options.water_npt_ps, 1.0, 50)
        if "water-nvt" in options.rows:
            row("water-nvt", known, options, options.water_nvt_ps, ensemble="nvt", **WATER)
        if "water-npt" in options.rows:
            row("water-npt", known, options, options.water_npt_ps, ensemble="npt", pressure=1.0, **WATER)


if __name__ == "__main__":
    main()
