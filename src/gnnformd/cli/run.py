"""The command that runs molecular dynamics: ``simulate``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gnnformd.cli.app import app
from gnnformd.cli.judge import DeviceOption, JsonOption, ModelArgument, ThreadsOption, use_threads
from gnnformd.cli.show import number, progress, save_json, say, show_facts, show_table

__all__ = ["show_simulation"]


class Engine(StrEnum):
    """Who integrates the equations of motion."""

    lammps = "lammps"
    ase = "ase"


class Ensemble(StrEnum):
    """What is held constant."""

    nve = "nve"
    nvt = "nvt"
    npt = "npt"


@app.command()
def simulate(
    model: ModelArgument,
    topology: Annotated[Path, typer.Argument(metavar="TOPOLOGY.data", help="LAMMPS data file to start from.")],
    out: Annotated[Path, typer.Option(help="Folder to write: trajectory, thermo table, observables.")],
    engine: Annotated[Engine, typer.Option(help="Who integrates.")] = Engine.lammps,
    ensemble: Annotated[Ensemble, typer.Option(help="What is held constant.")] = Ensemble.nvt,
    temperature: Annotated[float, typer.Option(help="K.")] = 300.0,
    pressure: Annotated[float, typer.Option(help="atm, for npt.")] = 1.0,
    timestep: Annotated[float, typer.Option(help="fs.")] = 1.0,
    steps: Annotated[int, typer.Option(help="Steps to run.")] = 1000,
    ranks: Annotated[int, typer.Option(help="MPI ranks.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the starting velocities.")] = 1,
    compare: Annotated[Path | None, typer.Option(help="Reference run whose structure to compare with.")] = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    json_file: JsonOption = None,
) -> None:
    """Run molecular dynamics with the learned forces."""
    use_threads(threads)
    from gnnformd.model.file import load_model
    from gnnformd.simulation.settings import SimulationSettings
    from gnnformd.simulation.simulate import simulate as run

    settings = SimulationSettings.from_options(
        engine=engine.value,
        ensemble=ensemble.value,
        temperature=temperature,
        pressure=pressure,
        timestep=timestep,
        steps=steps,
        ranks=ranks,
        seed=seed,
    )
    loaded = load_model(model, device=device)
    with progress("Simulating") as report:
        result = run(loaded, topology, settings, out, compare=compare, progress=report).to_dict()
    show_simulation(result)
    say(f"Wrote {out}")
    save_json(json_file, result)


def _with_error(mean: float, standard_error: float | None) -> str:
    return f"{number(mean)} +- {number(standard_error, 2)}"


def show_simulation(result: dict[str, Any]) -> None:
    """Speed, conservation, temperature, and each observable beside its reference."""
    temperature = result["temperature"]
    drift = result.get("energy_drift_per_atom_per_ns")
    rows: list[tuple[str, Any]] = [
        ("atoms", result["atoms"]),
        ("steps", result["steps"]),
        ("microseconds per atom and step", result["microseconds_per_atom_step"]),
        ("mean temperature, K", None if temperature["mean"] is None else _with_error(**temperature)),
        ("energy drift, kcal/mol per atom and ns", drift),
    ]
    if not result["stable"]:
        rows.append(("unstable", f"stopped at step {result['stopped_at_step']}: {result['reason']}"))
    show_facts("Molecular dynamics with learned forces", rows)
    if result.get("observables"):
        columns = ("observable", "value", "reference", "error", "difference/error")
        keys = ("value", "reference", "error", "difference")
        table = [(name, *(entry.get(key) for key in keys)) for name, entry in result["observables"].items()]
        show_table("Compared with the reference run", columns, table)
