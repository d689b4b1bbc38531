"""MDRun: what a molecular dynamics run gave."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["EngineRun", "MDRun", "Observable"]


@dataclass(frozen=True)
class EngineRun:
    """How the run of an engine ended.

    Attributes
    ----------
    steps
        Steps done with sound forces.
    atoms
        N.
    seconds_per_step
        Wall time of one step, start-up not counted; NaN if not one was done.
    stopped_at_step, reason
        Where and why the run left physics, in one sentence; None if it is sound.
    interrupted
        Whether Ctrl-C ended it early.
    """

    steps: int
    atoms: int
    seconds_per_step: float
    stopped_at_step: int | None = None
    reason: str | None = None
    interrupted: bool = False


@dataclass(frozen=True)
class Observable:
    """A number of the run beside that of the reference.

    Attributes
    ----------
    value, reference
        In the unit that the name says.
    error
        Standard error of ``value - reference``.
    """

    value: float
    reference: float
    error: float

    def to_dict(self) -> dict[str, float]:
        """Make a mapping for JSON; ``difference`` is in standard errors."""
        difference = (self.value - self.reference) / self.error if self.error > 0 else math.nan
        return {"value": self.value, "reference": self.reference, "error": self.error, "difference": difference}


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
    energy_drift_per_atom_per_ns
        Slope of the conserved energy, kcal/mol; NaN where nothing is conserved.
    temperature, temperature_error
        Mean over the run and its standard error from block averages, K.
    stable, stopped_at_step, reason
        The verdict; step and sentence are None for a stable run.
    interrupted
        Whether Ctrl-C ended it early.
    observables
        By name, where a reference was named.
    rdf
        Per pair of types: ``r`` (angstrom), ``g`` and ``reference`` (None without one); between molecules only, where
        there are bonds.
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
    energy_drift_per_atom_per_ns: float
    temperature: float
    temperature_error: float
    stable: bool
    stopped_at_step: int | None
    reason: str | None
    interrupted: bool
    observables: Mapping[str, Observable] = field(default_factory=dict)
    rdf: Mapping[str, Mapping[str, list[float] | None]] = field(default_factory=dict)
    thermo: Mapping[str, list[float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Make a mapping for JSON; what is not finite is None."""
        data = {
            "model": self.model,
            "settings": dict(self.settings),
            "steps": self.steps,
            "atoms": self.atoms,
            "ranks": self.ranks,
            "microseconds_per_atom_step": self.microseconds_per_atom_step,
            "energy_drift_per_atom_per_ns": self.energy_drift_per_atom_per_ns,
            "temperature": {"mean": self.temperature, "standard_error": self.temperature_error},
            "stable": self.stable,
            "stopped_at_step": self.stopped_at_step,
            "reason": self.reason,
            "interrupted": self.interrupted,
            "observables": {name: o.to_dict() for name, o in self.observables.items()},
            "rdf": {pair: dict(curve) for pair, curve in self.rdf.items()},
            "thermo": dict(self.thermo),
            "units": {"energy": "kcal/mol", "temperature": "K", "distance": "angstrom", "time": "fs"},
        }
        finite: dict[str, Any] = _finite(data)
        return finite


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: None stands for both."""
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
