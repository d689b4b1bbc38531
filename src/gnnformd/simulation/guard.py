"""When a simulation has to stop: forces that are no numbers, atoms that are too hot, a model that fails or guesses."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.inference.training_range import Unstable
from gnnformd.units import BOLTZMANN, VELOCITY_SQUARED_TO_ENERGY

__all__ = [
    "Departures",
    "Guard",
    "ModelFailure",
    "failure_of",
    "kinetic_temperature",
    "temperature_of",
    "twice_kinetic_energy",
]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_IDS_NAMED = 8
_MOST_FRAMES = 100


class ModelFailure(RuntimeError):
    """The model raised an exception while it was asked for forces; the cause is chained.

    Attributes
    ----------
    step
        Step at which it happened.
    """

    def __init__(self, step: int, cause: BaseException | str) -> None:
        text = cause if isinstance(cause, str) else f"{type(cause).__name__}: {cause}"
        super().__init__(f"the model failed at step {step}: {text}")
        self.step, self._text = step, text

    def __reduce__(self) -> tuple[type[ModelFailure], tuple[int, str]]:
        """Travel from one rank to another, without the cause, which may not be able to."""
        return ModelFailure, (self.step, self._text)


@dataclass(frozen=True)
class Guard:
    """Limits that a sound simulation never reaches, and what to do where the model extrapolates.

    Attributes
    ----------
    hottest
        Highest kinetic temperature, K; infinite for no limit.
    stop_outside
        Whether the run ends where it leaves what the model was trained on (see
        `gnnformd.inference.training_range.TrainingRange`); if not, the first such step is warned of.
    """

    hottest: float = float("inf")
    stop_outside: bool = False

    @classmethod
    def around(cls, temperature: float, *, stop_outside: bool = False) -> Guard:
        """Limits for a run at a temperature in K: ten times as hot, and never below 1000 K."""
        return cls(max(10.0 * temperature, 1000.0), stop_outside)

    def check_finite(self, step: int, quantity: str, ids: Int, values: Float) -> None:
        """Stop when a row of ``values`` (N, 3) is not finite; ``quantity`` names it, ``ids`` (N,) name the rows.

        Raises
        ------
        Unstable
            With the ids of the atoms.
        """
        if np.isfinite(values).all():
            return
        wrong = ids[~np.isfinite(values).all(axis=1)]
        named = ", ".join(str(i) for i in np.sort(wrong)[:_IDS_NAMED])
        more = f" and {len(wrong) - _IDS_NAMED} more" if len(wrong) > _IDS_NAMED else ""
        raise Unstable(step, f"the {quantity} of atom {named}{more} is not finite.")

    def check_temperature(self, step: int, masses: Float, velocities: Float) -> None:
        """Stop when the kinetic temperature is beyond the limit; masses (N,) in g/mol, velocities (N, 3) in A/fs.

        Raises
        ------
        Unstable
            With the temperature.
        """
        self.check_heat(step, twice_kinetic_energy(masses, velocities), len(masses))

    def check_heat(self, step: int, twice_kinetic: float, count: int) -> None:
        """Do as `check_temperature`, from `twice_kinetic_energy` of ``count`` atoms, as ranks sum it up.

        Raises
        ------
        Unstable
            With the temperature.
        """
        temperature = temperature_of(twice_kinetic, count)
        if not temperature <= self.hottest:  # also true of NaN
            raise Unstable(step, f"the temperature is {temperature:.4g} K, above the limit of {self.hottest:.4g} K.")


@dataclass
class Departures:
    """Steps at which a run was outside of what its model was trained on.

    Attributes
    ----------
    steps
        How many.
    first_step, reason
        The first of them and what was outside, one sentence; None if there is none.
    """

    steps: int = 0
    first_step: int | None = None
    reason: str | None = None
    _last: int | None = None

    def note(self, step: int, reason: str, *, aloud: bool) -> None:
        """Count a step, once if it is evaluated twice; the first is warned of if ``aloud``."""
        if step == self._last:
            return
        self.steps, self._last = self.steps + 1, step
        if self.first_step is None:
            self.first_step, self.reason = step, reason
            if aloud:
                warnings.warn(f"step {step}: {reason} The model extrapolates; further steps are counted.", stacklevel=2)

    @property
    def to_be_written(self) -> bool:
        """Whether the frame of the last step noted is among the first, which are written where frames are wanted."""
        return self.steps <= _MOST_FRAMES


def kinetic_temperature(masses: Float, velocities: Float) -> float:
    """``sum m v^2 / ((3 N - 3) k_B)`` in K; masses (N,) in g/mol, velocities (N, 3) in angstrom/fs."""
    return temperature_of(twice_kinetic_energy(masses, velocities), len(masses))


def failure_of(step: int, error: BaseException) -> BaseException:
    """Make of an exception in the callback what `Coupling.run` raises: of a KeyboardInterrupt nothing else."""
    if isinstance(error, Unstable | InputError) or not isinstance(error, Exception):
        return error
    failure = ModelFailure(step, error)
    failure.__cause__ = error
    return failure


def twice_kinetic_energy(masses: Float, velocities: Float) -> float:
    """``sum m v^2`` in kcal/mol; masses (N,) in g/mol, velocities (N, 3) in angstrom/fs."""
    return VELOCITY_SQUARED_TO_ENERGY * float(masses @ (velocities * velocities).sum(axis=1))


def temperature_of(twice_kinetic: float, count: int) -> float:
    """``sum m v^2 / ((3 N - 3) k_B)`` in K, from `twice_kinetic_energy` of all N atoms."""
    return twice_kinetic / (max(3 * count - 3, 1) * BOLTZMANN)
