"""MDRun: the results of a molecular dynamics run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gnnformd.evaluation.liquid.compare import RunComparison
from gnnformd.evaluation.liquid.md_curves import FAMILIES
from gnnformd.simulation.guard import Departures

__all__ = ["OUTSIDE", "EngineRun", "Interrupted", "MDRun"]

OUTSIDE = "outside.dump"
"""File of the frames outside the range of the training data."""


@dataclass(frozen=True)
class EngineRun:
    """How the run of an engine ended.

    Attributes
    ----------
    steps
        Steps done with finite forces.
    atoms
        N.
    seconds_per_step
        Wall time of one step, without start-up; NaN if there was none.
    stopped_at_step, reason
        Where and why the run became unphysical, in one sentence; None if it did not.
    interrupted
        Whether Ctrl-C ended it early.
    center_held
        Whether the momentum of the whole system was set to zero.
    departures
        Steps outside the range of the training data.
    """

    steps: int
    atoms: int
    seconds_per_step: float
    stopped_at_step: int | None = None
    reason: str | None = None
    interrupted: bool = False
    center_held: bool = False
    departures: Departures = field(default_factory=Departures)


@dataclass(frozen=True)
class MDRun:
    """A finished run and its folder.

    Attributes
    ----------
    folder
        Holds ``trajectory.dump``, ``thermo.csv``, ``simulate.json``, ``simulate.yaml`` and the log.
    settings
        As used.
    model
        File or name of the model.
    steps, atoms, ranks
        Counts.
    microseconds_per_atom_step
        Wall time.
    stable, stopped_at_step, reason
        Whether the run was completed and stayed physical; step and sentence are None if it did.
    interrupted
        Whether Ctrl-C ended it early.
    departures
        Steps outside the range of the training data.
    comparison
        Observables, curves and verdicts.
    shown_units
        Unit style that results are shown in, that of the model's data: ``real`` or ``metal``.
    thermo
        Series ``step, temperature, potential_energy, total_energy`` of at most 500 points.
    """

    folder: Path
    settings: Mapping[str, Any]
    model: str
    steps: int
    atoms: int
    ranks: int
    microseconds_per_atom_step: float
    stable: bool
    stopped_at_step: int | None
    reason: str | None
    interrupted: bool
    departures: Departures
    comparison: RunComparison
    shown_units: str = "real"
    thermo: Mapping[str, list[float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Make a mapping for JSON; what is not finite is None."""
        found = self.comparison
        data = {
            "model": self.model,
            "settings": dict(self.settings),
            "steps": self.steps,
            "atoms": self.atoms,
            "ranks": self.ranks,
            "microseconds_per_atom_step": self.microseconds_per_atom_step,
            "energy_drift_per_atom_per_ns": found.energy_drift.value,
            "energy_drift_standard_error": found.energy_drift.standard_error,
            "energy_drift_percent_of_kT_per_atom_per_ns": found.drift_percent,
            "temperature": {"mean": found.temperature.value, "standard_error": found.temperature.standard_error},
            "stable": self.stable,
            "stopped_at_step": self.stopped_at_step,
            "reason": self.reason,
            "interrupted": self.interrupted,
            "outside_training": {
                "steps": self.departures.steps,
                "first_step": self.departures.first_step,
                "reason": self.departures.reason,
                "unusual_steps": self.departures.unusual,
                "unusual_atoms": self.departures.unusual_atoms,
            },
            "verdict": None if found.verdict is None else {"answer": found.verdict.answer, "text": found.verdict.text},
            "stability": None if found.stability is None else found.stability.to_dict(),
            "equilibration_ps": found.equilibration_ps,
            "notes": list(found.notes),
            "observables": {name: o.to_dict() for name, o in found.observables.items()},
            **{family: found.curves.get(family, {}) for family in FAMILIES},
            "thermo": dict(self.thermo),
            "shown_units": self.shown_units,
            "units": {"energy": "kcal/mol", "temperature": "K", "distance": "angstrom", "time": "fs"},
        }
        finite: dict[str, Any] = _finite(data)
        return finite


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended a run early; a note says how far it came and how to go on.

    Attributes
    ----------
    run
        What was done until then; None on all MPI ranks but the first.
    """

    def __init__(self, run: MDRun | None) -> None:
        super().__init__(run)
        self.run = run


def _finite(value: Any) -> Any:
    """Replace NaN and infinity by None; JSON has neither."""
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
