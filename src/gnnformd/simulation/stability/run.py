"""One short simulation, and what is wrong with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculationFailed
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from ase.md.nptberendsen import NPTBerendsen
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.evaluation.liquid.energy_drift import energy_drift
from gnnformd.graph.distances import CONTACT_SHARE
from gnnformd.inference.training_range import TrainingRange, Unstable
from gnnformd.interfaces.ase import Calculator
from gnnformd.model.engine import ClosePair
from gnnformd.model.files.stability import CheckedRun
from gnnformd.simulation.guard import Guard
from gnnformd.simulation.stability.pieces import count_pieces
from gnnformd.simulation.stability.starts import Start
from gnnformd.trajectory.temperature import kinetic_temperature
from gnnformd.units import BOLTZMANN, KCAL_PER_MOL_PER_EV

if TYPE_CHECKING:
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["Ensemble", "Finished", "Judge", "seconds_per_step", "short_run"]

Float = NDArray[np.float64]
Ensemble = Literal["nve", "nvt", "npt"]

RELAXATION = 100.0
"""Of the thermostats, fs: short, so that the temperature is that of the thermostat within the run."""

BAROSTAT_RELAXATION = 1000.0
"""fs, for a liquid as compressible as water; a crystal relaxes sooner."""

COMPRESSIBILITY = 4.57e-5 / (1e5 * units.Pascal)
"""Of water, angstrom^3/eV."""

MAX_DRIFT = 1.0
"""Percent of kT per atom and ps."""

SHORTEST_JUDGED = 0.2
"""A drift of a shorter run is not judged, ps."""

EQUILIBRATED = 1.0
"""Runs as long as this have the temperature of their thermostat in their second half, ps."""

MAX_TEMPERATURE_ERROR = {"nvt": 0.1, "npt": 0.1, "nve": 0.5}
"""Relative, beyond three standard errors; in NVE, where atoms may relax from a frame that is not at equilibrium, only
a rise counts."""

MAX_VOLUME_CHANGE = 0.3
"""Relative, beyond the volumes of the data."""

ATMOSPHERE = 101325 * units.Pascal

BETWEEN_COUNTS, APART = 10.0, 100.0
"""Pieces are counted at such intervals, fs; atoms that are apart for so long, fs, do not vibrate."""


@dataclass(frozen=True)
class Finished:
    """A run, and the configuration in which something was wrong first."""

    run: CheckedRun
    configuration: Atoms | None


class _WrongVolume(Exception):
    """The volume has left those of the data; the message is a sentence."""


class _CameApart(Exception):
    """Atoms in a vacuum are in more pieces than in the data; the message is a sentence."""


class _Barostat(NPTBerendsen):  # type: ignore[misc]
    """Stops before forces are computed in a box that is much too small, where each atom has neighbors without end."""

    volumes = (0.0, np.inf)

    def scale_positions_and_cell(self) -> None:
        """Scale the box, and compare its volume with those of the data, angstrom^3.

        Raises
        ------
        _WrongVolume
            It is far from them.
        """
        before = np.linalg.det(self.atoms.cell.array)
        super().scale_positions_and_cell()
        after = np.linalg.det(self.atoms.cell.array)
        volume, (smallest, largest) = abs(after), self.volumes
        if not after / before > 0:
            raise _WrongVolume("the pressure turned the box inside out.")
        if not (1 - MAX_VOLUME_CHANGE) * smallest <= volume <= (1 + MAX_VOLUME_CHANGE) * largest:
            beyond, limit = ("above the largest", largest) if volume > largest else ("below the smallest", smallest)
            raise _WrongVolume(
                f"the volume is {volume:.4g} angstrom^3, {100 * (volume / limit - 1):+.0f} % {beyond} of the data."
            )


class Judge:
    """Watches a run step by step.

    Parameters
    ----------
    loaded
        The model.
    start
        The frame.
    ensemble, temperature
        Of the run, K.
    """

    def __init__(self, loaded: LoadedModel, start: Start, ensemble: Ensemble, temperature: float) -> None:
        self._range = TrainingRange.of(loaded)
        self._guard = Guard.around(temperature)
        self._start, self._ensemble, self._temperature = start, ensemble, temperature
        self._names = start.types.names(loaded.card.type_names)
        self.temperatures: list[float] = []
        self.energies: list[float] = []
        self.outside: tuple[float, str] | None = None
        self.configuration: Atoms | None = None
        self._apart_since: int | None = None

    def look(self, step: int, atoms: Atoms) -> None:
        """Check one step.

        Raises
        ------
        Unstable
            It is not physical.
        _CameApart
            Atoms have been in more pieces than in the data for some time.
        """
        velocities = atoms.get_velocities() * units.fs
        self._guard.check_temperature(step, self._start.masses, velocities)
        self.temperatures.append(kinetic_temperature(self._start.masses, velocities))
        nearest = atoms.calc.nearest
        if nearest is not None:
            self._look_at(step, atoms, nearest)
        if atoms.calc.unseen is not None:
            self._left(step, atoms, f"{atoms.calc.unseen}, but no such pair was in training.")
        if self._start.pieces is not None and step % max(1, round(BETWEEN_COUNTS / self._start.timestep)) == 0:
            self._count(step, atoms, self._start.pieces)
        if self._ensemble == "nve":
            kinetic = atoms.get_kinetic_energy()
            self.energies.append((atoms.calc.results["energy"] + kinetic) * KCAL_PER_MOL_PER_EV)

    def _look_at(self, step: int, atoms: Atoms, nearest: ClosePair) -> None:
        ids, frame = self._start.frame.ids, self._start.frame
        types, none = self._start.types.of(frame.types), np.zeros_like(atoms.positions)
        left = self._range.leaves(ids, types, none, nearest, None)
        if left is not None:
            closest = nearest.contact / CONTACT_SHARE
            self._left(
                step, atoms, f"{self._describe(nearest)}, in training such atoms were at least {closest:.3g} apart."
            )
        if nearest.distance < self._range.blind_below * nearest.contact:
            raise Unstable(step, f"{self._describe(nearest)}, so close that the model cannot judge their distance.")

    def _left(self, step: int, atoms: Atoms, sentence: str) -> None:
        """Note where the range of the training data was left first."""
        if self.outside is None:
            self.outside = step * self._start.timestep / 1000, sentence
            self.configuration = atoms.copy()

    def _count(self, step: int, atoms: Atoms, most: int) -> None:
        pieces = count_pieces(atoms)
        if pieces <= most:
            self._apart_since = None
            return
        self._apart_since = step if self._apart_since is None else self._apart_since
        if (step - self._apart_since) * self._start.timestep >= APART:
            raise _CameApart(f"the atoms came apart: they are in {pieces} pieces, in the data in at most {most}.")

    def _describe(self, pair: ClosePair) -> str:
        frame = self._start.frame
        one, other = sorted((pair.one, pair.other))
        a, b = (f"{frame.ids[row]} ({self._names[int(frame.types[row]) - 1]})" for row in (one, other))
        return f"atoms {a} and {b} are {pair.distance:.3g} angstrom apart"

    def drift(self) -> tuple[float, float] | None:
        """Drift of the total energy and its error, percent of kT per atom and ps; None where it is not known."""
        timestep = self._start.timestep
        if len(self.energies) * timestep / 1000 < SHORTEST_JUDGED:
            return None
        time_fs = timestep * np.arange(len(self.energies), dtype=np.float64)
        slope = energy_drift(time_fs, np.array(self.energies), len(self._start.masses))
        if not np.isfinite([slope.value, slope.standard_error]).all():
            return None
        share = 100 / (1000 * BOLTZMANN * self._temperature)  # ns to ps
        return slope.value * share, slope.standard_error * share

    def verdict(self, picoseconds: float) -> tuple[str | None, str]:
        """Cause and sentence of what is wrong with the run as a whole; None and '' if nothing is."""
        drift = self.drift()
        if drift is not None and abs(drift[0]) > MAX_DRIFT + 3 * drift[1]:
            return "energy", f"the total energy drifts by {drift[0]:.2g} % of kT per atom and ps."
        wrong = self._temperature_verdict(picoseconds)
        if wrong:
            return "temperature", wrong
        return None, ""

    def _temperature_verdict(self, picoseconds: float) -> str:
        second = np.array(self.temperatures[len(self.temperatures) // 2 :])
        if picoseconds < EQUILIBRATED or not len(second):
            return ""
        independent = max(500 * picoseconds / (2 * RELAXATION), 1.0)
        error = np.sqrt(2 / max(3 * len(self._start.masses) - 3, 1) / independent)
        ratio = float(second.mean()) / self._temperature
        limit = MAX_TEMPERATURE_ERROR[self._ensemble] + 3 * error
        if ratio > 1 + limit or (ratio < 1 - limit and self._ensemble != "nve"):
            return f"the temperature was {second.mean():.4g} K in its second half."
        return ""


def short_run(
    loaded: LoadedModel,
    calculator: Calculator,
    start: Start,
    ensemble: Ensemble,
    temperature: float,
    *,
    seed: int,
    picoseconds: float,
    seconds: float,
) -> Finished:
    """Run until a length or a time is reached, or until atoms or temperature are not physical.

    Parameters
    ----------
    loaded
        The model.
    calculator
        Of the model, for atoms like these.
    start
        The frame.
    ensemble
        ``nve``, ``nvt`` (Langevin) or ``npt`` (Berendsen, at the pressure of the data; at 1 atm where it is lower or
        not known).
    temperature
        Of velocities and thermostat, K.
    seed
        Of velocities and thermostat.
    picoseconds
        Longest run.
    seconds
        Longest time, from the first step on.
    """
    atoms = _atoms(loaded, calculator, start, ensemble, temperature, seed)
    judge, timestep = Judge(loaded, start, ensemble, temperature), start.timestep
    steps, done, cause, reason, at = max(1, round(1000 * picoseconds / timestep)), 0, None, "", None
    try:
        forces = atoms.get_forces(md=True)
        dynamics = _dynamics(atoms, start, ensemble, temperature, seed)
        begin = time.monotonic()
        for done in range(1, steps + 1):
            forces = dynamics.step(forces)
            judge.look(done, atoms)
            if time.monotonic() - begin > seconds:
                break
    except Unstable as error:
        cause, reason, at = "distance" if judge.outside else "temperature", error.reason, done * timestep / 1000
    except CalculationFailed as error:
        cause, reason, at = "forces", str(error), done * timestep / 1000
    except (_WrongVolume, InputError) as error:  # what the calculator refuses is a box that has become too small
        cause, reason, at = "volume", str(error), done * timestep / 1000
    except _CameApart as error:
        cause, reason, at = "pieces", str(error), done * timestep / 1000
    length = done * timestep / 1000
    if cause is None:
        cause, reason = judge.verdict(length)
    drift = judge.drift() if ensemble == "nve" else None
    if cause is not None and judge.outside is not None and at is not None and judge.outside[0] < at:
        reason += f" Before, at {judge.outside[0]:.3g} ps, {judge.outside[1]}"
    outcome: Literal["passed", "outside", "broke"] = "passed" if cause is None else "broke"
    if cause is None and judge.outside is not None:
        outcome, cause, (at, reason) = "outside", "distance", judge.outside
    run = CheckedRun(
        start.name,
        ensemble,
        temperature,
        length,
        outcome,
        cause,  # type: ignore[arg-type]
        at,
        reason or None,
        None if drift is None else drift[0],
    )
    return Finished(run, None if outcome == "passed" else judge.configuration or _finite(atoms))


def seconds_per_step(loaded: LoadedModel, calculator: Calculator, start: Start, temperature: float) -> float:
    """Measure the time of a step after the first, in which loops are compiled and tables made."""
    ensemble: Ensemble = "nve" if loaded.model.conservative else "nvt"
    atoms = _atoms(loaded, calculator, start, ensemble, temperature, 1)
    forces, dynamics = atoms.get_forces(md=True), _dynamics(atoms, start, ensemble, temperature, 1)
    forces = dynamics.step(forces)
    begin, steps = time.monotonic(), 0
    while steps < 3 or (steps < 30 and time.monotonic() - begin < 0.1):
        forces, steps = dynamics.step(forces), steps + 1
    return (time.monotonic() - begin) / steps


def _atoms(
    loaded: LoadedModel, calculator: Calculator, start: Start, ensemble: Ensemble, temperature: float, seed: int
) -> Atoms:
    atoms = start.atoms
    atoms.calc = calculator
    MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=np.random.default_rng(seed))
    Stationary(atoms, preserve_temperature=False)
    now = kinetic_temperature(start.masses, atoms.get_velocities() * units.fs)
    if now > 0:
        atoms.set_velocities(atoms.get_velocities() * np.sqrt(temperature / now))
    if ensemble == "nvt" or not loaded.model.conservative:
        atoms.set_constraint(FixCom())
    return atoms


def _dynamics(atoms: Atoms, start: Start, ensemble: Ensemble, temperature: float, seed: int) -> Any:
    timestep = start.timestep * units.fs
    if ensemble == "nve":
        return VelocityVerlet(atoms, timestep)
    if ensemble == "nvt":
        random = np.random.default_rng(seed)
        friction = 1 / (RELAXATION * units.fs)
        return Langevin(atoms, timestep, temperature_K=temperature, friction=friction, fixcm=False, rng=random)
    pressure = start.pressure(temperature)
    barostat = _Barostat(
        atoms,
        timestep,
        temperature_K=temperature,
        # under tension, as in frames with stretched cells, matter is not stable
        pressure_au=ATMOSPHERE if pressure is None else max(pressure / KCAL_PER_MOL_PER_EV, ATMOSPHERE),
        taut=RELAXATION * units.fs,
        taup=BAROSTAT_RELAXATION * units.fs,
        compressibility_au=COMPRESSIBILITY,
    )
    smallest, largest = (abs(float(np.linalg.det(start.frame.cell))) * share for share in start.volumes)
    barostat.volumes = smallest, largest
    return barostat


def _finite(atoms: Atoms) -> Atoms | None:
    return atoms.copy() if np.isfinite(atoms.positions).all() else None
