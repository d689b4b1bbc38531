"""Checks that stop a simulation: non-finite forces, too high a temperature, a failing or extrapolating model."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.inference.training_range import Unstable
from gnnformd.trajectory.temperature import temperature_of, twice_kinetic_energy

__all__ = ["Departures", "Guard", "ModelFailure", "failure_of"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_IDS_NAMED = 8
_MAX_FRAMES = 100


class ModelFailure(RuntimeError):
    """The model raised an exception while it computed forces; the cause is chained.

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
        """Pickle it for other ranks without the cause, which may not support that."""
        return ModelFailure, (self.step, self._text)


@dataclass(frozen=True)
class Guard:
    """Limits that a physical simulation never reaches, and what to do where the model extrapolates.

    Attributes
    ----------
    max_temperature
        Highest kinetic temperature, K; infinite for no limit.
    stop_outside
        Whether the run ends where it leaves the range of the training data (see
        `gnnformd.inference.training_range.TrainingRange`); if not, there is a warning at the first such step.
    """

    max_temperature: float = float("inf")
    stop_outside: bool = False

    @classmethod
    def around(cls, temperature: float, *, stop_outside: bool = False) -> Guard:
        """Limits for a run at a temperature in K: ten times that temperature, and at least 1000 K."""
        return cls(max(10.0 * temperature, 1000.0), stop_outside)

    def check_finite(self, step: int, quantity: str, ids: Int, values: Float) -> None:
        """Stop where a row of ``values`` (N, 3) is not finite; ``quantity`` names it, ``ids`` (N,) name the rows.

        Raises
        ------
        Unstable
            With the ids of the atoms.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            if np.isfinite(values.sum()) or np.isfinite(values).all():  # a sum is one pass, but may overflow
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
        self.check_kinetic_energy(step, twice_kinetic_energy(masses, velocities), len(masses))

    def check_kinetic_energy(self, step: int, twice_kinetic: float, count: int) -> None:
        """As `check_temperature`, from `twice_kinetic_energy` of ``count`` atoms, summed over ranks.

        Raises
        ------
        Unstable
            With the temperature.
        """
        temperature = temperature_of(twice_kinetic, count)
        if not temperature <= self.max_temperature:  # also true of NaN
            raise Unstable(
                step, f"the temperature is {temperature:.4g} K, above the limit of {self.max_temperature:.4g} K."
            )


@dataclass
class Departures:
    """Steps at which a run was outside the range of the training data.

    Attributes
    ----------
    steps
        Number of them.
    first_step, reason
        The first of them and what was outside, one sentence; None if there are none.
    unusual
        Number of steps at which an atom had surroundings like none in training (an extrapolation grade above 2).
    unusual_atoms
        Number of such atoms, summed over steps.
    """

    steps: int = 0
    first_step: int | None = None
    reason: str | None = None
    unusual: int = 0
    unusual_atoms: int = 0
    _last: int | None = None
    _last_unusual: int | None = None

    def note(self, step: int, reason: str, *, warn: bool) -> None:
        """Count a step, once if it is evaluated twice; with ``warn`` there is a warning at the first."""
        if step == self._last:
            return
        self.steps, self._last = self.steps + 1, step
        if self.first_step is None:
            self.first_step, self.reason = step, reason
            if warn:
                warnings.warn(f"step {step}: {reason} The model extrapolates; further steps are counted.", stacklevel=2)

    def note_unusual(self, step: int, atoms: int) -> None:
        """Count a step at which so many atoms had surroundings like none in training, once if it is evaluated twice."""
        if atoms and step != self._last_unusual:
            self.unusual, self.unusual_atoms, self._last_unusual = self.unusual + 1, self.unusual_atoms + atoms, step

    @property
    def to_be_written(self) -> bool:
        """Whether the last step noted is among the first hundred, whose frames are written with ``--guard dump``."""
        return self.steps <= _MAX_FRAMES


def failure_of(step: int, error: BaseException) -> BaseException:
    """Convert an exception in the callback to what `Coupling.run` raises; that, and a KeyboardInterrupt, stay."""
    if isinstance(error, Unstable | InputError | ModelFailure) or not isinstance(error, Exception):
        return error
    failure = ModelFailure(step, error)
    failure.__cause__ = error
    return failure
