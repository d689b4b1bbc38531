"""Compare a run with a reference: observables, curves and verdicts from the files of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.evaluation.liquid.energy_drift import GRAMS_PER_CM3, energy_drift
from gnnformd.evaluation.liquid.observables import System, compare_observables
from gnnformd.evaluation.liquid.observed_run import ObservedRun
from gnnformd.evaluation.liquid.statistics import MIN_BLOCKS, Estimate, change_along, estimate
from gnnformd.evaluation.liquid.structure import structure
from gnnformd.evaluation.liquid.transport import CENTER_OF_MASS_TEMPERATURE, transport
from gnnformd.evaluation.liquid.verdict import Observable, Verdict, judged_together, overall
from gnnformd.units import BOLTZMANN

__all__ = ["RunComparison", "Stability", "compare_runs"]

Float = NDArray[np.float64]

_MAX_DRIFT_PERCENT = 1.0
"""Allowed drift of a conserved energy per atom and ns, per cent of kT."""

_SHORTEST_DRIFT_PS, _SMALL_CHANGE = 10.0, 0.01
"""In less time the energy of an integrator changes by a small share of kT while potential and kinetic energy come into
balance, and what seems a drift ends with it."""

_MIN_CHANGE_OF_DENSITY, _MIN_DEVIATION = 0.02, 4.0
"""Change of the density along a run that is told: as a share, and in standard errors."""

_VOLUME_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Stability:
    """How long the run stayed within the band around the reference (Fu et al., arXiv 2210.07237).

    Attributes
    ----------
    stable_ps
        Time until it left the band, or its whole length.
    reason
        What left the band, in a few words; None if it never did.
    """

    stable_ps: float
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """Make a mapping for JSON."""
        return {"stable_ps": self.stable_ps, "reason": self.reason}


@dataclass(frozen=True)
class RunComparison:
    """Observables of a run, compared with a reference where there is one.

    Attributes
    ----------
    verdict
        On all observables; None without a reference that has means.
    observables
        By name, which includes the unit.
    curves
        By family (see `gnnformd.evaluation.liquid.md_curves.FAMILIES`) and name.
    stability
        None where there is neither a reference nor a bond.
    equilibration_ps
        Time at the start that is left out of means.
    temperature
        K.
    energy_drift
        Slope of the conserved energy, kcal/mol per atom and ns; NaN where nothing is conserved.
    notes
        What could not be compared, a sentence each.
    """

    temperature: Estimate
    energy_drift: Estimate
    verdict: Verdict | None = None
    observables: dict[str, Observable] = field(default_factory=dict)
    curves: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    stability: Stability | None = None
    equilibration_ps: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def drift_percent(self) -> float:
        """The drift in per cent of kT per atom and ns."""
        return 100.0 * self.energy_drift.value / (BOLTZMANN * self.temperature.value)


def compare_runs(
    run: ObservedRun,
    reference: ObservedRun | None,
    masses: Float,
    names: Sequence[str],
    *,
    ensemble: str,
    center_held: bool = False,
) -> RunComparison:
    """Compare a run with a reference.

    Means leave out the start of either run, as long as its potential energy drifts there. With a reference that drifts
    all along (see `ObservedRun.drift`) nothing is compared, and a note says so.

    Parameters
    ----------
    run, reference
        The reference may be None.
    masses
        g/mol per type.
    names
        ``names[t - 1]`` names type t.
    ensemble
        Of the run: nve, nvt or npt.
    center_held
        Whether the momentum of the whole system was set to zero, so that its temperature is meaningless.
    """
    temperature = estimate(run.column("temperature_K"))
    columns = run.thermo.columns
    drift = energy_drift(columns["time_fs"], columns["conserved_energy"], len(run.topology.ids))
    notes = _timestep_notes(run, reference)
    changing = None if reference is None else reference.drift()
    if changing is not None:
        reference = None
        notes = [
            f"nothing is compared, because the reference has no stationary mean: {changing}; compare with a run at "
            "constant temperature that is equilibrated."
        ]
    observables = compare_observables(run, reference, System(masses, tuple(names)))
    observables |= _from_thermo(run, reference, ensemble, masses, notes)
    if ensemble == "nve" and math.isfinite(drift.value):
        per_kt = 100.0 / (BOLTZMANN * temperature.value)
        found = Estimate(per_kt * drift.value, per_kt * drift.standard_error, drift.degrees_of_freedom)
        duration = float(np.ptp(columns["time_fs"])) * 1e-3
        change = abs(drift.value) * duration * 1e-3 / (BOLTZMANN * temperature.value)
        if duration < _SHORTEST_DRIFT_PS and change < _SMALL_CHANGE:
            found = Estimate(found.value, lengths=_SHORTEST_DRIFT_PS / duration)
        observables["drift, % of kT per atom and ns"] = Observable(
            found, Estimate.exactly(0.0), bound=_MAX_DRIFT_PERCENT
        )
    structural = structure(run, reference, names)
    motion = transport(run, reference, masses, names, temperature.value)
    observables |= structural.observables | motion.observables
    if center_held:
        observables.pop(CENTER_OF_MASS_TEMPERATURE, None)
    observables = {name: _with_lengths(observable, run, reference) for name, observable in observables.items()}
    observables = judged_together(observables)
    stability = None
    if structural.checked_ps is not None:
        left = structural.departure
        stability = Stability(structural.checked_ps, None) if left is None else Stability(left.time_ps, left.reason)
    return RunComparison(
        temperature=temperature,
        energy_drift=drift,
        verdict=None if reference is None else overall(observables),
        observables=observables,
        curves=structural.curves | motion.curves,
        stability=stability,
        equilibration_ps=run.first_step * (run.timestep_fs or 0.0) * 1e-3,
        notes=(*notes, *motion.notes),
    )


def _with_lengths(observable: Observable, run: ObservedRun, reference: ObservedRun | None) -> Observable:
    """Add the lengths of the runs that would do, where they are not known better."""
    if math.isnan(observable.needed_ps):
        observable = replace(observable, needed_ps=run.needed_ps(observable.lengths))
    if reference is not None and observable.reference is not None and math.isnan(observable.reference_needed_ps):
        needed = reference.needed_ps(observable.reference.lengths)
        observable = replace(observable, reference_needed_ps=needed)
    return observable


def _from_thermo(
    run: ObservedRun, reference: ObservedRun | None, ensemble: str, masses: Float, notes: list[str]
) -> dict[str, Observable]:
    """Pressure and density."""
    observables = {}
    volumes = [observed.column("volume_A3") for observed in (run, reference) if observed is not None]
    if ensemble == "npt":
        observables["pressure, atm"] = _compared(run, reference, "pressure_atm")
        fluctuates = len(volumes) > 1 and len(volumes[1]) > 1 and np.ptp(volumes[1]) > 0
        mass = float(masses[run.topology.types - 1].sum())
        found = [estimate(GRAMS_PER_CM3 * mass / volume) for volume in volumes]
        known_density = found[1] if fluctuates else None
        observables["density, g/cm3"] = Observable(found[0], known_density, asked_first="density")
        notes += [
            f"the density of {which} {'rises' if change > 0 else 'falls'} by {100 * abs(change):.2g} % along it, so "
            "it may not be equilibrated yet; run longer."
            for which, volume in zip(("the run", "the reference"), volumes, strict=False)
            if (change := _change_of_density(volume)) != 0.0
        ]
    elif len(run.column("pressure_atm")):
        known = reference
        if len(volumes) > 1 and len(volumes[0]) and len(volumes[1]):
            larger = float(volumes[0].mean() / volumes[1].mean()) - 1.0
            if abs(larger) > _VOLUME_TOLERANCE:
                known = None
                notes.append(
                    f"the box is {100 * abs(larger):.2g} % {'larger' if larger > 0 else 'smaller'} than the mean of "
                    "the reference, so pressures are not compared; run npt, or start from a box of the mean volume."
                )
        observables["pressure, atm"] = _compared(run, known, "pressure_atm")
    return observables


def _change_of_density(volume: Float) -> float:
    """Change of the density along a run, over that at its start; 0 where it is small or may be chance."""
    if len(volume) < MIN_BLOCKS:
        return 0.0
    density = volume.mean() / volume
    change, error = change_along(density)
    if abs(change) <= max(_MIN_CHANGE_OF_DENSITY, _MIN_DEVIATION * error):
        return 0.0
    return change / max(float(density.mean()) - change / 2, float(density.min()))  # the straight line at its start


def _timestep_notes(run: ObservedRun, reference: ObservedRun | None) -> list[str]:
    """Note that the timesteps differ; at 1 fs the distribution of an O-H bond is 6 % too wide."""
    known = None if reference is None else reference.timestep_fs
    if known is None or known == run.timestep_fs:
        return []
    return [
        f"the reference was integrated with steps of {known:g} fs, this run with {run.timestep_fs:g} fs: fast "
        "vibrations differ for that reason alone."
    ]


def _compared(run: ObservedRun, reference: ObservedRun | None, column: str) -> Observable:
    known = None if reference is None else reference.column(column)
    return Observable(estimate(run.column(column)), estimate(known) if known is not None and len(known) else None)
