"""Molecular dynamics by ASE with the forces of a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculationFailed
from ase.constraints import FixCom
from ase.data import atomic_numbers
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet

from gnnformd.errors import InputError
from gnnformd.evaluation.liquid.thermo_table import BOX_COLUMNS, THERMO_COLUMNS
from gnnformd.graph.type_matching import TypeMap
from gnnformd.inference.training_range import UNUSUAL, TrainingRange, Unstable
from gnnformd.interfaces.ase import Calculator
from gnnformd.model.engine import ClosePair
from gnnformd.simulation.ase.dump_file import write_dump_frame
from gnnformd.simulation.clock import Clock
from gnnformd.simulation.guard import Departures, Guard, ModelFailure
from gnnformd.simulation.interrupt import stop_on_interrupt
from gnnformd.simulation.md_run import OUTSIDE, EngineRun
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.start import Start
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.temperature import kinetic_temperature
from gnnformd.units import KCAL_PER_MOL_PER_EV

if TYPE_CHECKING:
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["run_ase"]

FRICTION_PER_FS = 0.001
"""Of the Langevin thermostat: a relaxation time of 1 ps, so weak that diffusion in a liquid is hardly affected."""


class _Run:
    """State of one run."""

    def __init__(
        self,
        loaded: LoadedModel,
        start: Start,
        types: TypeMap,
        settings: SimulationSettings,
        clock: Clock,
        out: Path,
    ) -> None:
        self.interrupted = False
        self.settings = settings
        self.start, self.types = start, types
        self.clock = clock
        self.atoms = _atoms(loaded, start, types, settings)
        self.masses = self.atoms.get_masses()
        self.guard = Guard.around(max(settings.temperature, self.temperature()), stop_outside=settings.guard == "stop")
        self.range = TrainingRange.of(loaded)
        self.departures = Departures()
        self.out = out

    def interrupt(self) -> None:
        """Stop after the current step."""
        self.interrupted = True

    def temperature(self) -> float:
        """K."""
        return kinetic_temperature(self.masses, self.atoms.get_velocities() * units.fs)

    def integrate(self, begin: Callable[[], None]) -> None:
        """Run to the end, to an interrupt, or to an exception; ``begin`` is called before anything is written."""
        atoms, settings = self.atoms, self.settings
        try:
            atoms.get_forces()  # an error at the first evaluation leaves no files
        except (Unstable, CalculationFailed):
            begin()  # that is a result
            raise
        begin()
        with (self.out / "trajectory.dump").open("w") as dump, (self.out / "thermo.csv").open("w") as thermo:
            thermo.write(",".join(THERMO_COLUMNS) + "\n")
            for step, _ in enumerate(self._dynamics().irun(settings.steps)):
                self.guard.check_temperature(step, self.masses, atoms.get_velocities() * units.fs)
                self._check_range(step)
                if step % settings.dump_every == 0:
                    write_dump_frame(dump, self._frame(step))
                if step % settings.thermo_every == 0:
                    row = self._row(step)
                    thermo.write(",".join(f"{row[name]:.15g}" for name in THERMO_COLUMNS) + "\n")
                    thermo.flush()
                self.clock.tick(step)
                if self.interrupted:
                    return

    def cause_of(self, failure: CalculationFailed) -> str:
        """Return why forces are not finite: overlapping atoms, or the message of the calculator."""
        try:
            self.range.check_sight(0, self._nearest())
        except Unstable as cause:
            return cause.reason
        return str(failure)

    def _nearest(self) -> ClosePair | None:
        nearest: ClosePair | None = self.atoms.calc.nearest
        return None if nearest is None else nearest.named(self.start.topology.ids)

    def _check_range(self, step: int) -> None:
        """Check whether the model extrapolates.

        Raises
        ------
        Unstable
            It does, and the run has to stop there; or two atoms are too close for the model.
        """
        topology, nearest = self.start.topology, self._nearest()
        self.range.check_sight(step, nearest)
        forces = self.atoms.get_forces(apply_constraint=False) * KCAL_PER_MOL_PER_EV
        calculator = self.atoms.calc
        if calculator.grades is not None:
            self.departures.note_unusual(step, int(np.count_nonzero(calculator.grades > UNUSUAL)))
        reason = self.range.leaves(topology.ids, self.types.of(topology.types), forces, nearest, calculator.unseen)
        if reason is None:
            return
        self.departures.note(step, reason, warn=not self.guard.stop_outside)
        if self.guard.stop_outside:
            raise Unstable(step, reason)
        if self.settings.guard == "dump" and self.departures.to_be_written:
            with (self.out / OUTSIDE).open("a") as file:
                write_dump_frame(file, self._frame(step))

    def _dynamics(self) -> Any:
        timestep = self.settings.timestep * units.fs
        if self.settings.ensemble == "nve":
            return VelocityVerlet(self.atoms, timestep)
        return Langevin(
            self.atoms,
            timestep,
            temperature_K=self.settings.temperature,
            friction=FRICTION_PER_FS / units.fs,
            fixcm=False,  # FixCom preserves the distribution
            rng=np.random.default_rng(self.settings.seed),
        )

    def _frame(self, step: int) -> Frame:
        topology = self.start.topology
        return Frame(
            timestep=step,
            cell=np.asarray(self.atoms.cell),
            origin=topology.origin,
            periodic=self.start.periodic,
            ids=topology.ids,
            types=topology.types,
            positions=self.atoms.positions,
            forces=self.atoms.get_forces(apply_constraint=False) * KCAL_PER_MOL_PER_EV,
            molecule_ids=topology.molecule_ids,
            velocities=self.atoms.get_velocities() * units.fs,
        )

    def _row(self, step: int) -> dict[str, float]:
        """Values of the columns of ``thermo.csv``."""
        results = self.atoms.calc.results
        potential = results.get("energy", float("nan")) * KCAL_PER_MOL_PER_EV
        kinetic = self.atoms.get_kinetic_energy() * KCAL_PER_MOL_PER_EV
        pressure = float("nan")
        if "stress" in results:
            pressure = -float(np.mean(self.atoms.get_stress(include_ideal_gas=True)[:3])) / _ATMOSPHERE
        row = {
            "step": step,
            "time_fs": step * self.settings.timestep,
            "temperature_K": self.temperature(),
            "pressure_atm": pressure,
            "potential_energy": potential,
            "kinetic_energy": kinetic,
            "total_energy": potential + kinetic,
            "conserved_energy": potential + kinetic if self.settings.ensemble == "nve" else float("nan"),
            "volume_A3": self.atoms.get_volume(),
            **dict(zip(list(THERMO_COLUMNS)[-6:], self.atoms.cell.cellpar().tolist(), strict=True)),
        }
        return row if all(self.start.periodic) else row | dict.fromkeys(BOX_COLUMNS, float("nan"))


_ATMOSPHERE = 101325.0 * units.Pascal  # eV/angstrom^3


def run_ase(
    loaded: LoadedModel,
    start: Start,
    types: TypeMap,
    settings: SimulationSettings,
    out: Path,
    begin: Callable[[], None],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> EngineRun:
    """Run and write ``trajectory.dump`` and ``thermo.csv``.

    Velocity Verlet, or Langevin dynamics for ``nvt``. The center of mass is held where the thermostat, or forces that
    do not sum to zero (see `ForceModel.keeps_momentum`), would change its momentum.

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
    begin
        Called once before anything is written, when the first forces are known.
    progress
        Called with steps done and steps to do.

    Raises
    ------
    InputError
        The model does not fit the data file.
    ModelFailure
        The model raised an exception.
    """
    clock = Clock(progress, settings.steps)
    run = _Run(loaded, start, types, settings, clock, out)
    stopped: int | None = None
    reason = None
    with stop_on_interrupt(run.interrupt):
        try:
            run.integrate(begin)
        except Unstable as error:
            stopped, reason = error.step, error.reason
        except CalculationFailed as error:
            stopped, reason = clock.next_step, run.cause_of(error)
        except InputError:
            raise
        except Exception as error:
            raise ModelFailure(clock.next_step, error) from error
    return EngineRun(
        steps=clock.step,
        atoms=len(run.atoms),
        seconds_per_step=clock.seconds_per_step,
        stopped_at_step=stopped,
        reason=reason,
        interrupted=run.interrupted,
        center_held=bool(run.atoms.constraints),
        departures=run.departures,
    )


def _atoms(loaded: LoadedModel, start: Start, types: TypeMap, settings: SimulationSettings) -> Atoms:
    """Make ASE's atoms of the data file, with the model and velocities."""
    topology = start.topology
    names = [*loaded.card.type_names, *["X"] * int(topology.types.max(initial=0))]
    kinds = types.of(topology.types)
    atoms = Atoms(
        numbers=[atomic_numbers.get(names[t - 1], 0) for t in kinds],
        positions=topology.positions,
        cell=topology.cell,
        pbc=start.periodic,
        masses=start.masses(loaded.card.force_field, types)[topology.types - 1],
    )
    atoms.calc = Calculator(loaded, topology=topology, types=types)
    atoms.calc.warns = False  # see `_Run._check_range`
    if settings.velocities == "file":
        atoms.set_velocities(start.velocities() / units.fs)
    else:
        rng = np.random.default_rng(settings.seed)
        MaxwellBoltzmannDistribution(atoms, temperature_K=settings.temperature, rng=rng)
        Stationary(atoms, preserve_temperature=False)
        now = kinetic_temperature(atoms.get_masses(), atoms.get_velocities() * units.fs)
        atoms.set_velocities(atoms.get_velocities() * np.sqrt(settings.temperature / now))
    whole = loaded.model.keeps_momentum(len(atoms), periodic=all(start.periodic))
    if settings.ensemble == "nvt" or not whole:
        atoms.set_constraint(FixCom())
    return atoms
