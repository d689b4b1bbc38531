"""Commands that run molecular dynamics or export a model for it: ``simulate`` and ``export``."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnformd.cli.app import app
from gnnformd.cli.options import (
    DeviceOption,
    JsonOption,
    ModelArgument,
    ThreadsOption,
    TorchOption,
    UnitsOption,
    shown_units,
    use_threads,
)
from gnnformd.cli.show import check_writable, number, progress, save_json, say, show_facts, show_table
from gnnformd.errors import InputError

if TYPE_CHECKING:
    from gnnformd.evaluation.results import ObservableResult, SimulationResult
    from gnnformd.model.files.model_file import LoadedModel
    from gnnformd.simulation.lammps.ranks import Ranks
    from gnnformd.simulation.md_run import MDRun
    from gnnformd.simulation.settings import SimulationSettings
    from gnnformd.units import ShownUnits

__all__: list[str] = []


class Engine(StrEnum):
    """Program that integrates the equations of motion."""

    lammps = "lammps"
    ase = "ase"


class Ensemble(StrEnum):
    """The thermodynamic ensemble."""

    nve = "nve"
    nvt = "nvt"
    npt = "npt"


class Barostat(StrEnum):
    """What the barostat changes, by LAMMPS's names."""

    iso = "iso"
    aniso = "aniso"
    tri = "tri"


class GuardMode(StrEnum):
    """What to do where the model extrapolates."""

    warn = "warn"
    dump = "dump"
    stop = "stop"


class Velocities(StrEnum):
    """Where the velocities at the start come from."""

    create = "create"
    file = "file"


@app.command()
def simulate(
    model: ModelArgument,
    topology: Annotated[
        Path, typer.Argument(metavar="START", help="LAMMPS data or restart file, or a structure that ASE reads.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write: trajectory, thermo table, observables.")],
    engine: Annotated[Engine, typer.Option(help="Program that integrates.")] = Engine.lammps,
    ensemble: Annotated[Ensemble, typer.Option(help="Thermodynamic ensemble.")] = Ensemble.nvt,
    temperature: Annotated[float, typer.Option(help="K.")] = 300.0,
    pressure: Annotated[float, typer.Option(help="atm, for npt.")] = 1.0,
    barostat: Annotated[
        Barostat, typer.Option(help="npt changes the size of the box, its three lengths, or lengths and angles.")
    ] = Barostat.iso,
    timestep: Annotated[float, typer.Option(help="fs.")] = 1.0,
    steps: Annotated[int, typer.Option(help="Steps to run.")] = 1000,
    ranks: Annotated[
        int | None, typer.Option(help="MPI ranks; not needed under mpiexec. [default: 1]", show_default=False)
    ] = None,
    dump_every: Annotated[int, typer.Option(help="Steps between two frames of the trajectory.")] = 10,
    restart_every: Annotated[
        int | None, typer.Option(help="Steps between two restart files. [default: one at the end]", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the restart file in --out, to --steps in total.")
    ] = False,
    repeat: Annotated[
        tuple[int, int, int], typer.Option(metavar="NX NY NZ", help="Copies of the box along its lattice vectors.")
    ] = (1, 1, 1),
    velocities: Annotated[
        Velocities, typer.Option(help="Drawn at the temperature, or those of the data file.")
    ] = Velocities.create,
    guard: Annotated[
        GuardMode,
        typer.Option(help="Outside the training data: warn once, also dump the frames, or stop."),
    ] = GuardMode.warn,
    seed: Annotated[int, typer.Option(help="Seed of velocities and of ASE's thermostat.")] = 1,
    compare: Annotated[Path | None, typer.Option(help="Reference run to compare with.")] = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    torch: TorchOption = False,
    units: UnitsOption = None,
    json_file: JsonOption = None,
) -> None:
    """Run molecular dynamics with the learned forces."""
    from gnnformd.simulation.lammps.ranks import Ranks
    from gnnformd.simulation.settings import SimulationSettings

    with _first_rank_prints(Ranks() if engine == Engine.ase else Ranks.world()) as world:
        settings = SimulationSettings.from_options(
            engine=engine.value,
            ensemble=ensemble.value,
            temperature=temperature,
            pressure=pressure,
            barostat=barostat.value,
            timestep=timestep,
            steps=steps,
            ranks=ranks or world.size,
            dump_every=dump_every,
            restart_every=restart_every,
            repeat=repeat,
            velocities=velocities.value,
            guard=guard.value,
            seed=seed,
        )
        if settings.ranks > 1 and world.size == 1:
            options = {"compare": compare, "device": device, "threads": threads, "json": json_file, "out": out}
            options["units"] = units and units.value
            flags = [f"--{name}" for name, wanted in {"resume": resume, "torch": torch}.items() if wanted]
            raise typer.Exit(_start_ranks(model, topology, settings, options, flags))
        use_threads(1 if threads is None and world.size > 1 else threads)
        from gnnformd.simulation.simulate import simulate as run

        with world.together():
            loaded = _load(model, topology, settings.temperature, device, compiled=not torch)
        from gnnformd.simulation.md_run import Interrupted

        try:
            with progress("Simulating", "step") as report:
                done = run(loaded, topology, settings, out, compare=compare, resume=resume, progress=report)
        except Interrupted as interrupt:
            if world.first and interrupt.run is not None and interrupt.run.steps:
                _show_simulation(_result(interrupt.run), shown_units(units, interrupt.run.shown_units))
            raise
        if world.first:
            result, shown = _result(done), shown_units(units, done.shown_units)
            _show_simulation(result, shown)
            _write_figures(result, out / "figures", shown)
            say(f"Wrote {out}")
            save_json(json_file, done.to_dict())


def _result(run: MDRun) -> SimulationResult:
    from gnnformd.evaluation.results import SimulationResult

    return SimulationResult.from_dict(run.to_dict(), str(run.folder / "simulate.json"))


def _load(model: str, start: Path, temperature: float, device: str, *, compiled: bool) -> LoadedModel:
    """Load a model file; a model for many liquids becomes that of the liquid in the start file."""
    from gnnformd.model.files.model_file import load_model
    from gnnformd.model.fluids.functions import is_for_many_liquids

    if not is_for_many_liquids(model):
        return load_model(model, device=device, compiled=compiled)
    from gnnformd.model.fluids.load import load_for

    return load_for(model, start, temperature=temperature, device=device, compiled=compiled)


class Target(StrEnum):
    """Program that will run the model."""

    mliap = "mliap"


@app.command()
def export(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="File to write.", callback=check_writable)],
    target: Annotated[Target, typer.Option(help="LAMMPS's 'pair_style mliap unified'.")] = Target.mliap,
) -> None:
    """Write a model for your own LAMMPS, with Kokkos on accelerators."""
    from gnnformd.interfaces.lammps_mliap import export_mliap
    from gnnformd.model.files.model_file import load_model

    loaded = load_model(model)
    export_mliap(loaded, out)
    names = " ".join(loaded.card.type_names)
    say(f"Wrote {out}. In LAMMPS: pair_style mliap unified {out.name} 0, then pair_coeff * * {names}")


def _start_ranks(
    model: str, topology: Path, settings: SimulationSettings, options: Mapping[str, Any], flags: list[str]
) -> int:
    """Run the same command under mpiexec and return its exit status."""
    from gnnformd.reference.launch import run_on_ranks

    values = {**settings.model_dump(exclude={"thermo_every"}), **options}
    given = ["--repeat", *map(str, values.pop("repeat"))]
    # '=' and '--': a pressure may be negative, and a file may have any name
    given += [f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value is not None]
    given += flags
    return run_on_ranks(["simulate", *given, "--", model, str(topology)], settings.ranks)


@contextmanager
def _first_rank_prints(ranks: Ranks) -> Iterator[Ranks]:
    """Let only the first rank print and handle signals, and end all ranks when one of them fails."""
    if ranks.size == 1:
        yield ranks
        return
    from gnnformd.simulation.guard import ModelFailure

    signal.signal(signal.SIGUSR1, (lambda *_: signal.raise_signal(signal.SIGINT)) if ranks.first else signal.SIG_IGN)
    if not ranks.first:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
    try:
        yield ranks
    except (InputError, ModelFailure, KeyboardInterrupt):
        raise  # raised on every rank
    except Exception:
        ranks.abort(traceback.format_exc())


def _write_figures(result: SimulationResult, folder: Path, units: ShownUnits) -> None:
    """Draw a file for each family of curves, and one of temperature and energy."""
    import numpy as np

    from gnnformd.evaluation.figures.force_figures import molecular_dynamics_figure, save_figure
    from gnnformd.evaluation.figures.md_figures import curves_figure

    for family, curves in result.curves.items():
        save_figure(curves_figure(family, curves), folder / f"{family}.png")
    thermo, settings = result.thermo, result.settings
    if len(thermo.step) > 1:
        figure = molecular_dynamics_figure(
            np.array(thermo.step) * (settings.timestep or 1.0),
            np.array(thermo.temperature, dtype=np.float64),
            None if None in thermo.total_energy else np.array(thermo.total_energy) / result.atoms,
            units=units,
            target=None if settings.ensemble == "nve" else settings.temperature,
        )
        save_figure(figure, folder / "thermo.png")


def _show_simulation(result: SimulationResult, units: ShownUnits) -> None:
    """Speed, energy conservation, temperature, each observable and its reference, and the verdicts."""
    from gnnformd.evaluation.formatting import with_error

    temperature, outside = result.temperature, result.outside_training
    sizes = (result.energy_drift_per_atom_per_ns, result.energy_drift_standard_error)
    drift = with_error(*(None if size is None else units.per_atom * size for size in sizes))
    rows: list[tuple[str, Any]] = [
        ("atoms", result.atoms),
        ("steps", result.steps),
        ("microseconds per atom and step", result.microseconds_per_atom_step),
        ("mean temperature, K", with_error(temperature.mean, temperature.standard_error)),
    ]
    if result.energy_drift_per_atom_per_ns is not None:
        rows.append((f"{result.drift_name}, {units.per_atom_unit} per atom and ns", drift))
    if outside.steps:
        rows.append(("steps outside the training data", outside.steps))
        rows.append(("the first of them", f"step {outside.first_step}: {outside.reason}"))
    if outside.unusual_steps:
        share = f"{100 * outside.unusual_steps / (result.steps + 1):.2g} %"
        rows.append(("steps with surroundings unlike the data", f"{outside.unusual_steps} ({share})"))
        rows.append(("atoms with such surroundings, on average", f"{100 * result.unusual_share:.2g} %"))
    if not result.stable:
        rows.append(("unstable", f"stopped at step {result.stopped_at_step}: {result.reason}"))
    show_facts("Molecular dynamics with learned forces", rows)
    compared = result.verdict is not None
    columns = ("observable", "model", *(("reference", "apart", "verdict") if compared else ()))
    table = []
    for name, observable in result.observables.items():
        cells = [name, with_error(observable.value, observable.standard_error)]
        if compared:
            cells.append(with_error(observable.reference, observable.reference_standard_error))
            cells += [number(observable.difference, 2), _short_verdict(observable)]
        table.append(cells)
    show_table("Observables; 'apart' in standard errors" if compared else "Observables", columns, table)
    if result.verdict is not None:
        say(f"Compared with the reference: {result.verdict.text}.")
    if result.stability is not None:
        say(result.stability.sentence(compared=compared))
    if result.extrapolation is not None:
        say(result.extrapolation)
    for note in result.notes:
        say(f"Note: {note}")


def _short_verdict(observable: ObservableResult) -> str:
    """Shorten a verdict for a table that shows the numbers beside it."""
    from gnnformd.evaluation.liquid.verdict import picoseconds

    verdict = observable.verdict
    if verdict is None:
        return "-"
    run, reference = observable.needed_ps, observable.reference_needed_ps
    if verdict.startswith("too short") and (run or reference):
        who = "needs" if not reference else "both need" if run else "ref. needs"
        return f"{who} {picoseconds(max(run or 0.0, reference or 0.0))}"
    return next((word for word in ("same", "differs", "too short") if verdict.startswith(word)), verdict)
