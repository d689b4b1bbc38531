"""Commands that generate and inspect data: ``generate`` and ``inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gnnformd.cli.app import app
from gnnformd.cli.show import progress, say, show_facts
from gnnformd.errors import InputError

__all__: list[str] = []


def _list_systems(wanted: bool) -> None:
    if wanted:
        from gnnformd.reference.systems import SYSTEMS

        show_facts("Built-in systems", [(name, system.description) for name, system in SYSTEMS.items()])
        raise typer.Exit


@app.command()
def generate(
    system: Annotated[str, typer.Argument(help="A built-in system (see --list) or your own LAMMPS input file.")],
    out: Annotated[Path, typer.Option(help="Folder to write: trajectory, topology, thermo table, log.")],
    seed: Annotated[int | None, typer.Option(help="Seed of the starting positions and velocities.")] = None,
    frames: Annotated[int | None, typer.Option(help="Frames to write instead of the system's default.")] = None,
    var: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, a LAMMPS variable; repeatable.")] = None,
    lj_scales: Annotated[
        str | None,
        typer.Option(
            help="What 'units lj' stand for: epsilon=0.238,sigma=3.405,mass=39.948 (kcal/mol, angstrom, g/mol)."
        ),
    ] = None,
    names: Annotated[str | None, typer.Option(help="Names of the atom types in their order, such as Na,Cl.")] = None,
    ranks: Annotated[int, typer.Option(min=1, help="MPI ranks.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in the folder.")] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="List the built-in systems.", callback=_list_systems, is_eager=True)
    ] = False,
) -> None:
    """Run a simulation with LAMMPS and write positions and forces."""
    from gnnformd.reference.generate import generate as run_lammps

    variables: dict[str, str] = {}
    for entry in var or []:
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise InputError(f"--var {entry}: is not of the form NAME=VALUE; write for example --var T=300.")
        variables[name] = value
    with progress(f"LAMMPS, {system}", "step") as report:
        run = run_lammps(
            system,
            out,
            seed=seed,
            frames=frames,
            variables=variables,
            lj_scales=lj_scales,
            names=[name.strip() for name in names.split(",")] if names else (),
            ranks=ranks,
            overwrite=overwrite,
            progress=report,
        )
    if found := run.manifest["potentials_of_lammps"]:
        from gnnformd.reference.library import potentials_folder

        say(
            f"Not beside the input, and taken from the potentials of LAMMPS ({potentials_folder()}): {', '.join(found)}"
        )
    say(f"Wrote {run.folder}: {run.trajectory.name}, {run.topology.name}, {run.thermo.name}")


@app.command()
def inspect(
    path: Annotated[str, typer.Argument(help="A dump, reference run, run folder, data file, or model file or name.")],
) -> None:
    """Summarize a dump, dataset, run or model file."""
    from gnnformd.cli.inspection import describe

    for title, rows in describe(path):
        show_facts(title, rows)
