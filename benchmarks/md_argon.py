"""Argon at constant volume and 90 K with learned forces, against Lennard-Jones in LAMMPS.

python -m benchmarks.md_argon [--model argon] [--ps 1000] [--reference-ps 1000] [--out DIR]

Prints the row of docs/results.md: stable for how long, largest difference of g(r) (goal 0.02), and every observable
beside that of the reference with its standard error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.md_table import compared, show
from gnnformd.model.files.model_file import load_model
from gnnformd.reference.generate import generate
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate

TIMESTEP = 4.0
SPACING = 20


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="argon", help="model file or name")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ps", type=float, default=1000.0, help="length of the run")
    parser.add_argument("--reference-ps", type=float, default=1000.0, help="length of the reference run")
    parser.add_argument(
        "--equilibration", type=int, default=12000, help="steps of the reference before its first frame"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/md-argon"), help="folder to write")
    options = parser.parse_args(arguments)

    reference = generate(
        Path(__file__).with_name("argon_nvt.lmp"),
        options.out / "reference",
        frames=1 + round(options.reference_ps * 1000 / TIMESTEP / SPACING),
        variables={"spacing": str(SPACING), "equilibration": str(options.equilibration)},
        overwrite=True,
    )
    settings = SimulationSettings(
        temperature=90.0,
        timestep=TIMESTEP,
        steps=round(options.ps * 1000 / TIMESTEP),
        dump_every=SPACING,
    )
    model = load_model(options.model, device=options.device)
    run = simulate(model, reference.topology, settings, options.out / "nvt", compare=reference.folder)
    show(f"Argon, NVT 90 K, {options.ps:g} ps, model {options.model}; goal: largest gap of g(r) 0.02", compared(run))


if __name__ == "__main__":
    main()
