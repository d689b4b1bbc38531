"""StabilityCheck: short simulations with a model after its training, as its file and the report have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import ConfigDict, FiniteFloat, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from gnnformd.errors import fault_of

__all__ = ["CheckedRun", "StabilityCheck"]

Outcome = Literal["passed", "outside", "broke"]
Cause = Literal["distance", "energy", "temperature", "volume", "forces", "pieces"]

_EXTRA = ConfigDict(extra="ignore")


@dataclass(frozen=True, config=_EXTRA)
class CheckedRun:
    """One short simulation.

    Attributes
    ----------
    frame
        The frame it began with, in words.
    ensemble
        ``nve``, ``nvt`` or ``npt``.
    temperature_K
        Of the first velocities and of the thermostat.
    picoseconds
        How long it was.
    outcome
        ``passed``; ``outside``, two atoms came closer than all such pairs in training; or ``broke``.
    cause
        What was wrong; None where it passed.
    at_picoseconds, reason
        When that was noticed, and one sentence; None where it passed.
    drift_percent
        Drift of the total energy in NVE, percent of kT per atom and ps; None elsewhere and where it is not known.
    """

    frame: str
    ensemble: Literal["nve", "nvt", "npt"]
    temperature_K: FiniteFloat
    picoseconds: FiniteFloat
    outcome: Outcome
    cause: Cause | None = None
    at_picoseconds: FiniteFloat | None = None
    reason: str | None = None
    drift_percent: FiniteFloat | None = None

    @property
    def where(self) -> str:
        """Ensemble, temperature, frame and time of what went wrong."""
        start = f"{self.ensemble.upper()} at {self.temperature_K:.4g} K from {self.frame}"
        return start if self.at_picoseconds is None else f"{start}, after {self.at_picoseconds:.3g} ps"


_ADVICE: Mapping[Cause, str] = {
    "distance": "Train longer, or compute the forces of such configurations (stability.xyz) and add them to the data.",
    "energy": "Simulate with a smaller timestep than {timestep:g} fs, or train longer.",
    "temperature": "Train longer, add frames at this temperature, or simulate with a smaller timestep than "
    "{timestep:g} fs.",
    "volume": "Learn virials (training.virial_weight) where the data have them, or add frames of other densities to "
    "them.",
    "forces": "Train longer, or add frames at this temperature to the data.",
    "pieces": "Train longer, or compute the forces of such configurations (stability.xyz) and add them to the data.",
}


@dataclass(frozen=True, config=_EXTRA)
class StabilityCheck:
    """What short simulations with a model showed.

    Attributes
    ----------
    runs
        What was run.
    planned
        Number of runs of the whole check.
    full_picoseconds
        Length of each of them.
    timesteps_fs
        Timesteps that were used, ascending.
    temperature_source
        Where the temperature of the data is from.
    notes
        What was left out or shortened, a sentence each.
    skipped
        Why nothing was run, a clause; None where something was.
    """

    runs: tuple[CheckedRun, ...] = ()
    planned: int = 0
    full_picoseconds: FiniteFloat = 2.0
    timesteps_fs: tuple[FiniteFloat, ...] = ()
    temperature_source: str = ""
    notes: tuple[str, ...] = ()
    skipped: str | None = None

    @property
    def outcome(self) -> Outcome | None:
        """That of the worst run; None where nothing was run."""
        found = {run.outcome for run in self.runs}
        worst: Sequence[Outcome] = ("broke", "outside", "passed")
        return next((outcome for outcome in worst if outcome in found), None)

    @property
    def verdict(self) -> str:
        """One sentence; of a shortened check it says so, and `details` have ensembles and temperatures."""
        if self.outcome is None:
            return f"Stability: not checked: {self.skipped or 'there was no time'}."
        count, number = len(self.runs), sum(run.outcome == self.outcome for run in self.runs)
        what = {
            "passed": f"of {self._lengths} passed",
            "outside": "came closer than the data",
            "broke": "broke",
        }[self.outcome]
        if self.shortened:
            return f"Stability: shortened check, {number} of {count} runs {what}."
        return f"Stability: {number} of {count} runs {what} ({self._conditions})."

    @property
    def shortened(self) -> bool:
        """Whether runs were left out or ended before their time, though nothing was wrong."""
        early = (run.picoseconds < self.full_picoseconds - 1e-6 and run.outcome != "broke" for run in self.runs)
        return len(self.runs) < self.planned or any(early)

    @property
    def _lengths(self) -> str:
        shortest, longest = (choose(run.picoseconds for run in self.runs) for choose in (min, max))
        found = f"{longest:.2g} ps" if shortest > 0.95 * longest else f"{shortest:.2g} to {longest:.2g} ps"
        return found if shortest > 0.95 * self.full_picoseconds else f"{found} (not {self.full_picoseconds:g} ps)"

    @property
    def _conditions(self) -> str:
        ensembles = [name.upper() for name in ("nve", "nvt", "npt") if any(run.ensemble == name for run in self.runs)]
        temperatures = sorted({run.temperature_K for run in self.runs})
        about = "about " if self.temperature_source.startswith("estimated") else ""
        return f"{'/'.join(ensembles)}; {about}{' and '.join(f'{value:.4g}' for value in temperatures)} K"

    @property
    def first_failure(self) -> CheckedRun | None:
        """The first run of the worst outcome; None where all passed."""
        if self.outcome in (None, "passed"):
            return None
        return next(run for run in self.runs if run.outcome == self.outcome)

    @property
    def details(self) -> list[str]:
        """Sentences about the first run that went wrong, what helps, and what was left out."""
        failed = self.first_failure
        found = []
        if failed is not None:
            found.append(f"{failed.where}: {failed.reason}")
            if failed.cause is not None:
                found.append(_ADVICE[failed.cause].format(timestep=max(self.timesteps_fs, default=1.0)))
        if self.shortened and self.runs:
            found.append(f"Runs: {self._conditions}.")
        return [*found, *self.notes]

    def to_dict(self) -> dict[str, Any]:
        """Make a plain mapping for JSON."""
        found: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return found

    @classmethod
    def from_dict(cls, data: Any) -> StabilityCheck:
        """Inverse of `to_dict`.

        Raises
        ------
        ValueError
            The mapping has another form; the message is a clause.
        """
        try:
            return _ADAPTER.validate_python(data)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"'{'.'.join(map(str, first['loc']))}' {fault_of(first)}") from error


_ADAPTER = TypeAdapter(StabilityCheck)
