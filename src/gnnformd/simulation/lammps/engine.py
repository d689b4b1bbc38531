"""Molecular dynamics by LAMMPS with the forces of a model."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnnformd.errors import InputError
from gnnformd.evaluation.liquid.thermo_table import (
    BOX_COLUMNS,
    ENERGY_COLUMNS,
    THERMO_COLUMNS,
    VIRIAL_COLUMNS,
    ThermoSeries,
)
from gnnformd.graph.type_matching import TypeMap
from gnnformd.inference.training_range import Unstable
from gnnformd.reference.convert import say_names
from gnnformd.reference.library import lammps_errors, open_lammps
from gnnformd.simulation.clock import Clock
from gnnformd.simulation.guard import Departures, Guard
from gnnformd.simulation.interrupt import stop_on_interrupt
from gnnformd.simulation.lammps.coupling import Coupling
from gnnformd.simulation.lammps.neighbor_source import without_forces
from gnnformd.simulation.lammps.ranks import Ranks, heat_of_rank
from gnnformd.simulation.lammps.restart import RESTART, Restarts, cut_back, departures_until
from gnnformd.simulation.md_run import OUTSIDE, EngineRun
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.start import Start
from gnnformd.trajectory.formats.data_file import velocity_unit
from gnnformd.trajectory.temperature import temperature_of

if TYPE_CHECKING:
    from lammps import lammps

    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["read_start", "run_lammps", "set_ensemble"]

NVE_ACCURACY = 5e-6
"""Of PPPM, where nothing takes out the heat of its errors: with 1e-5 water drifts by 1 % of kT per atom and ns."""

LOG = "log.lammps"

THERMOSTAT_STEPS = 100
"""Relaxation time of the thermostat in steps, as LAMMPS's manual advises; the barostat takes ten times as long."""


CONSERVED = f"etotal+{'+'.join(f'f_ensemble[{number}]' for number in range(15, 29))}"
"""Formula of the conserved energy of an isotropic barostat.

With ``iso``, LAMMPS's ``econserve`` (as of 22 Jul 2025) counts 3 kT for the first variable of the barostat's
thermostat, which moves as one of kT; the energies that ``fix npt`` has one by one, from element 15 on, are right.
"""


def run_lammps(
    loaded: LoadedModel,
    start: Start,
    types: TypeMap,
    settings: SimulationSettings,
    out: Path,
    ranks: Ranks,
    begin: Callable[[], None],
    *,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> EngineRun:
    """Run and write ``trajectory.dump``, ``thermo.csv``, ``log.lammps`` and, if all went well, the state at the end.

    That is ``final.data`` and ``restart.lammps``.

    Every rank calls it and gets the same.

    Velocity Verlet; with ``nvt`` and ``npt`` the Nosé-Hoover thermostat (and barostat) of LAMMPS. Where forces do not
    sum to zero (see `Coupling.keeps_momentum`), the momentum of the whole system is taken out at every step.

    Parameters
    ----------
    loaded
        The model.
    start
        The data file.
    types
        The model's type of each type of the file.
    settings
        What to run.
    out
        Existing folder.
    ranks
        The processes that run LAMMPS.
    begin
        Called once before anything is written, when the first forces are known; on every rank.
    resume
        Go on from ``restart.lammps`` in the folder, up to ``settings.steps`` in all.
    progress
        Called with steps done and steps to do.

    Raises
    ------
    InputError
        LAMMPS cannot read the data file or the restart file, or the model does not fit it or the ensemble.
    ModelFailure
        The model raised an exception.
    """
    log = out / f".{LOG}"  # it gets its name when the run begins
    lmp = open_lammps([] if resume else ["-log", str(log)])

    def begin_files() -> None:
        begin()
        with ranks.together():
            if ranks.first and not resume:
                log.replace(out / LOG)

    try:
        first = _read_restart(lmp, out, settings) if resume else read_start(lmp, start, types, loaded, settings)
        clock = Clock(progress, settings.steps, first)
        departures = Departures()
        if resume:
            departures = ranks.share(departures_until(out, first) if ranks.first else departures)
        restarts = Restarts(lmp, ranks, out, settings.restart_every, departures)

        def on_step(step: int) -> None:
            restarts.begin(step)
            clock.tick(step)

        coupling = Coupling(
            lmp,
            loaded,
            guard=_guard(lmp, settings, ranks),
            on_step=on_step,
            kspace_accuracy=NVE_ACCURACY if settings.ensemble == "nve" else 1e-5,
            forget_every=settings.restart_every,
            allow=("hybrid",),  # a restart file of a model with charges names its own pair styles
            types=types,
            goes_on=resume,
        )
        coupling.departures = departures
        unstable = None
        began = False
        asked: list[bool] = []  # each run of LAMMPS takes back an earlier stop

        def stop() -> None:
            asked.append(True)
            coupling.stop()

        with stop_on_interrupt(stop):
            try:
                set_ensemble(
                    lmp, settings, keeps_momentum=coupling.keeps_momentum
                )  # before LAMMPS drops what a restart file says of the thermostat
                coupling.run(0)  # the first forces, before any output: what is wrong at once leaves no files
                _check_virial(coupling, loaded, settings)
                began = True
                begin_files()
                _set_up(lmp, coupling, restarts, settings, out, first if resume else None)
                coupling.run(0 if ranks.share(bool(asked)) else settings.steps - first)
            except Unstable as error:
                unstable = error
                if not began:
                    begin_files()
        if unstable is None:
            # else PPPM would start anew for each of these files
            for command in without_forces(loaded.model.cutoff):
                lmp.command(command)
            restarts.end(clock.step)
            _write_final(lmp, out / "final.data", start, types.names(loaded.card.type_names), ranks)
        restarts.tidy()
        return EngineRun(
            steps=clock.step,
            atoms=len(start.topology.ids),
            seconds_per_step=clock.seconds_per_step,
            stopped_at_step=unstable.step if unstable else None,
            reason=unstable.reason if unstable else None,
            interrupted=ranks.share(bool(asked)),
            center_held=not coupling.keeps_momentum,
            departures=coupling.departures,
        )
    except InputError as error:
        if ranks.size > 1 and type(error.__cause__).__name__ == "MPIAbortException":  # of this rank alone
            ranks.abort(f"Error: {error}", code=2)
        raise
    finally:
        lmp.close()
        if ranks.first:
            log.unlink(missing_ok=True)


def read_start(lmp: lammps, start: Start, types: TypeMap, loaded: LoadedModel, settings: SimulationSettings) -> int:
    """Read the data file and give the atoms masses and velocities; return the step."""
    commands = [
        "units real",
        f"atom_style {start.atom_style}",
        f"boundary {' '.join(start.boundary)}",
        f"timestep {settings.timestep!r}",
    ]
    commands.append(f"pair_style zero {loaded.model.cutoff!r} nocoeff")
    # coefficients of the classical force field in the file are read over
    commands += [f"{kind}_style zero nocoeff" for kind in start.bonded_styles]
    commands.append(f'read_data "{start.path}"')
    if settings.barostat == "tri":
        commands.append("change_box all triclinic")
    commands += [f"mass {t + 1} {mass}" for t, mass in enumerate(start.masses(loaded.card.force_field, types).tolist())]
    if settings.velocities == "create":
        t, seed = settings.temperature, settings.seed
        ids = start.topology.ids
        loop = "all" if ids[-1] == len(ids) else "geom"  # 'all' needs ids without gaps
        commands.append(f"velocity all create {t!r} {seed} mom yes rot no dist gaussian loop {loop}")
    elif (unit := velocity_unit(start.path)) not in (None, 1.0):
        scaled = [f"v_gnnformd_v{axis}" for axis in "xyz"]
        commands += [f"variable {name[2:]} atom {unit!r}*v{axis}" for name, axis in zip(scaled, "xyz", strict=True)]
        commands += [f"velocity all set {' '.join(scaled)} sum no units box"]
        commands += [f"variable {name[2:]} delete" for name in scaled]
    with lammps_errors(str(start.source)):
        for command in commands:
            lmp.command(command)
    return 0


def _read_restart(lmp: lammps, out: Path, settings: SimulationSettings) -> int:
    """Read the restart file, log where the run logged before, and return the step."""
    with lammps_errors(str(out / RESTART)):
        for command in (f'log "{out / LOG}" append', f'read_restart "{out / RESTART}"'):
            lmp.command(command)
    step = int(lmp.extract_global("ntimestep"))
    lmp.command(f"timestep {settings.timestep!r}")
    lmp.command(f"reset_timestep {step} time {step * settings.timestep!r}")
    if step > settings.steps:
        raise InputError(f"--steps: the run in {out} has done {step} steps, not {settings.steps}; ask for more.")
    return step


def _guard(lmp: lammps, settings: SimulationSettings, ranks: Ranks) -> Guard:
    heat = ranks.sum(np.array([heat_of_rank(lmp)]))
    now = temperature_of(float(heat[0]), int(lmp.get_natoms()))
    return Guard.around(max(settings.temperature, now), stop_outside=settings.guard == "stop")


def set_ensemble(lmp: lammps, settings: SimulationSettings, *, keeps_momentum: bool) -> None:
    """Set the ensemble up."""
    t, p = settings.temperature, settings.pressure
    damp = THERMOSTAT_STEPS * settings.timestep
    ensemble = {
        "nve": "nve",
        "nvt": f"nvt temp {t!r} {t!r} {damp!r}",
        "npt": f"npt temp {t!r} {t!r} {damp!r} {settings.barostat} {p!r} {p!r} {10 * damp!r}",
    }[settings.ensemble]
    commands = [f"fix ensemble all {ensemble}"]
    if not keeps_momentum:
        commands.append("fix momentum all momentum 1 linear 1 1 1")
    with lammps_errors():
        for command in commands:
            lmp.command(command)


def _check_virial(coupling: Coupling, loaded: LoadedModel, settings: SimulationSettings) -> None:
    """Refuse a constant pressure where the pressure is not known, and warn where it was not learned."""
    if settings.ensemble != "npt":
        return
    if not coupling.has_virial:
        raise InputError(
            f"--ensemble npt: the model {loaded.path} has no virial, so its pressure is not known; choose nvt or nve."
        )
    if loaded.card.learned_virials is False and coupling.ranks.first:
        warnings.warn(
            f"--ensemble npt: the model {loaded.path} was trained without virials, so that its pressure follows from "
            "forces alone; if it matters, compare the density with a known one.",
            stacklevel=2,
        )


def _set_up(
    lmp: lammps,
    coupling: Coupling,
    restarts: Restarts,
    settings: SimulationSettings,
    out: Path,
    going_on_from: int | None,
) -> None:
    """Set the output up."""
    title, names = None, list(THERMO_COLUMNS)
    if going_on_from is not None:
        with coupling.ranks.together():
            if coupling.ranks.first:
                title = cut_back(out, going_on_from)
                names = ThermoSeries.names_in(out / "thermo.csv")  # a run of an earlier version has fewer
        title, names = coupling.ranks.share((title, names))
    with lammps_errors():
        for command in [*restarts.commands(), *_output(lmp, coupling, settings, out, title, names)]:
            lmp.command(command)
    ctypes.CDLL(None).fflush(None)  # a line that was taken out of the table is back there at once


def _output(
    lmp: lammps, coupling: Coupling, settings: SimulationSettings, out: Path, title: str | None, names: Sequence[str]
) -> list[str]:
    """Commands for the thermo table and the trajectory; with a title, the last line there, both are gone on with."""
    unknown = (() if coupling.has_energy else ENERGY_COLUMNS) + (() if coupling.has_virial else VIRIAL_COLUMNS)
    if not all(lmp.extract_box()[5]):
        unknown += BOX_COLUMNS
    isotropic = settings.ensemble == "npt" and settings.barostat == "iso"
    formulas = {**THERMO_COLUMNS, **({"conserved_energy": "v_conserved"} if isotropic else {})}
    values = ("nan" if name in unknown else f"$({formulas[name]}:%.15g)" for name in names)
    molecule = "mol " if lmp.extract_setting("molecule_flag") == 1 else ""
    append = title is not None
    columns, form = f"id {molecule}type xu yu zu fx fy fz vx vy vz", "sort id format float %.17g"
    form += f" append {'yes' if append else 'no'}"
    outside = [
        f'dump outside all custom 1 "{out / OUTSIDE}" {columns}',
        f"dump_modify outside {form} skip v_gnnformd_inside",
    ]
    return [
        *([f"variable conserved equal {CONSERVED}"] if isotropic else []),
        *(outside if settings.guard == "dump" else []),
        # the table opens itself with a title, and is flushed at each row
        f'fix thermo all print {settings.thermo_every} "{",".join(values)}" {"append" if append else "file"} '
        f'"{out / "thermo.csv"}" screen no title "{title or ",".join(names)}"',
        f'dump trajectory all custom {settings.dump_every} "{out / "trajectory.dump"}" {columns}',
        f"dump_modify trajectory {form}",
        f"thermo {settings.thermo_every}",
        f"thermo_style custom step temp pe etotal {formulas['conserved_energy']} press vol",
    ]


def _write_final(lmp: lammps, path: Path, start: Start, names: Sequence[str], ranks: Ranks) -> None:
    """Write the state at the end as a data file; types have the names of the start, else those of the model."""
    beside, boundary = path.with_name(f".{path.name}"), start.boundary
    lmp.command(f'write_data "{beside}" nocoeff')
    if ranks.first:
        own = start.topology.type_names or ()
        count = int(lmp.extract_setting("ntypes"))
        pairs = islice(zip_longest(own, names), count)
        say_names(beside, [one or other or "" for one, other in pairs])
        if boundary != ("p", "p", "p"):  # of which LAMMPS says nothing
            title, _, rest = beside.read_text().partition("\n")
            beside.write_text(f"{title}, boundary = {' '.join(boundary)}\n{rest}")
        beside.replace(path)
