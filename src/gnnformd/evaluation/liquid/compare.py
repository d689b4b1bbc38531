"""Judge: everything that the files of a run say, beside those of the reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.evaluation.liquid.observables import GRAMS_PER_CM3, energy_drift
from gnnformd.evaluation.liquid.observed_run import Side
from gnnformd.evaluation.liquid.statistics import Estimate, estimate
from gnnformd.evaluation.liquid.structure import structure
from gnnformd.evaluation.liquid.transport import HEAT_OF_CENTER, transport
from gnnformd.evaluation.liquid.verdict import Observable, Verdict, overall
from gnnformd.units import BOLTZMANN

__all__ = ["Judgment", "Stability", "judge"]

Float = NDArray[np.float64]

_DRIFT_PERCENT = 1.0
"""Allowed drift of a conserved energy per atom and ns, per cent of kT."""

_SAME_VOLUME = 1e-3


@dataclass(frozen=True)
class Stability:
    """For how long the run stayed within the band around the reference (Fu et al., arXiv 2210.07237).

    Attributes
    ----------
    stable_ps
        Until it left the band, or until its end.
    reason
        What left the band, in a few words; None if nothing did.
    """

    stable_ps: float
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """Make a mapping for JSON."""
        return {"stable_ps": self.stable_ps, "reason": self.reason}


@dataclass(frozen=True)
class Judgment:
    """What came out of a run.

    Attributes
    ----------
    verdict
        On all observables; None without a reference.
    observables
        By name, which has the unit.
    curves
        By family (see `gnnformd.evaluation.liquid.md_curves.FAMILIES`) and name.
    stability
        None where there is nothing to measure it by.
    equilibration_ps
        Time at the start that means leave out.
    temperature
        K.
    energy_drift
        Slope of the conserved energy, kcal/mol per atom and ns; NaN where nothing is conserved.
    notes
        What could not be told, a sentence each.
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


def judge(
    run: Side,
    reference: Side | None,
    masses: Float,
    names: Sequence[str],
    *,
    ensemble: str,
    center_held: bool = False,
) -> Judgment:
    """Compare a run with a reference.

    Means leave out the start of either side, as far as its potential energy drifts there.

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
        Whether the momentum of the whole system was taken out, so that it says nothing.
    """
    temperature = estimate(run.column("temperature_K"))
    columns = run.thermo.columns
    drift = energy_drift(columns["time_fs"], columns["conserved_energy"], len(run.topology.ids))
    notes = _other_timestep(run, reference)
    observables = _from_thermo(run, reference, ensemble, masses, notes)
    if ensemble == "nve" and math.isfinite(drift.value):
        share = 100.0 / (BOLTZMANN * temperature.value)
        found = Estimate(share * drift.value, share * drift.standard_error, drift.degrees_of_freedom)
        observables["drift, % of kT per atom and ns"] = Observable(found, Estimate.exactly(0.0), bound=_DRIFT_PERCENT)
    shape = structure(run, reference, names)
    motion = transport(run, reference, masses, names, temperature.value)
    observables |= shape.observables | motion.observables
    if center_held:
        observables.pop(HEAT_OF_CENTER, None)
    stability = None
    if shape.checked_ps is not None:
        gone = shape.departure
        stability = Stability(shape.checked_ps, None) if gone is None else Stability(gone.time_ps, gone.reason)
    return Judgment(
        temperature=temperature,
        energy_drift=drift,
        verdict=None if reference is None else overall(observables),
        observables=observables,
        curves=shape.curves | motion.curves,
        stability=stability,
        equilibration_ps=run.first_step * (run.timestep_fs or 0.0) * 1e-3,
        notes=(*notes, *motion.notes),
    )


def _from_thermo(
    run: Side, reference: Side | None, ensemble: str, masses: Float, notes: list[str]
) -> dict[str, Observable]:
    """Temperature, pressure and density."""
    observables = {"temperature, K": _compared(run, reference, "temperature_K")}
    volumes = [side.column("volume_A3") for side in (run, reference) if side is not None]
    if ensemble == "npt":
        observables["pressure, atm"] = _compared(run, reference, "pressure_atm")
        fluctuates = len(volumes) > 1 and len(volumes[1]) > 1 and np.ptp(volumes[1]) > 0
        mass = float(masses[run.topology.types - 1].sum())
        found = [estimate(GRAMS_PER_CM3 * mass / volume) for volume in volumes]
        observables["density, g/cm3"] = Observable(found[0], found[1] if fluctuates else None)
    elif len(run.column("pressure_atm")):
        known = reference
        if len(volumes) > 1 and len(volumes[0]) and len(volumes[1]):
            larger = float(volumes[0].mean() / volumes[1].mean()) - 1.0
            if abs(larger) > _SAME_VOLUME:
                known = None
                notes.append(
                    f"the box is {100 * abs(larger):.2g} % {'larger' if larger > 0 else 'smaller'} than the mean of "
                    "the reference, so pressures are not compared; run npt, or start from a box of the mean size."
                )
        observables["pressure, atm"] = _compared(run, known, "pressure_atm")
    return observables


def _other_timestep(run: Side, reference: Side | None) -> list[str]:
    """Point out that the two integrate differently; at 1 fs an O-H bond swings 6 % wider than it should."""
    known = None if reference is None else reference.timestep_fs
    if known is None or known == run.timestep_fs:
        return []
    return [
        f"the reference was integrated with steps of {known:g} fs, this run with {run.timestep_fs:g} fs: fast "
        "vibrations differ by that alone."
    ]


def _compared(run: Side, reference: Side | None, column: str) -> Observable:
    known = None if reference is None else reference.column(column)
    return Observable(estimate(run.column(column)), estimate(known) if known is not None and len(known) else None)
