"""Diffusion and velocities of a run compared with the reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.evaluation.formatting import number
from gnnformd.evaluation.liquid.dynamics import (
    Diffusion,
    diffusion,
    displacement_blocks,
    segment_ps,
    spectrum,
    spectrum_interval_fs,
    velocity_correlation,
    velocity_curve,
)
from gnnformd.evaluation.liquid.md_curves import MeasuredCurve, curve_to_dict, largest_difference
from gnnformd.evaluation.liquid.motion import Motion, follow, molecules
from gnnformd.evaluation.liquid.observed_run import ObservedRun
from gnnformd.evaluation.liquid.statistics import Estimate
from gnnformd.evaluation.liquid.verdict import Observable, picoseconds

__all__ = ["CENTER_OF_MASS_TEMPERATURE", "Transport", "transport"]

Float = NDArray[np.float64]

_FRAMES_PER_SEGMENT = 4
_MIN_POINTS = 20
"""Points of a curve of the mean squared displacement."""

CENTER_OF_MASS_TEMPERATURE = "center-of-mass temperature, K"
_CENTER_OF_MASS_SHARE = 0.01
"""Largest temperature of the center of mass allowed, as a share of the temperature."""


@dataclass
class Transport:
    """Comparison of the motion.

    Attributes
    ----------
    observables
        Diffusion coefficients, velocity autocorrelations, temperature of the center of mass.
    curves
        By family and name, as written to JSON.
    notes
        What could not be compared and what to do about it, a sentence each.
    """

    observables: dict[str, Observable] = field(default_factory=dict)
    curves: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def transport(
    run: ObservedRun, reference: ObservedRun | None, masses: Float, names: Sequence[str], temperature: float
) -> Transport:
    """Compare diffusion, velocity autocorrelation and its spectrum.

    Both runs are cut into time segments of equal length, an eighth of the shorter run.

    Parameters
    ----------
    run, reference
        The reference may be None.
    masses
        g/mol per type.
    names
        ``names[t - 1]`` names type t.
    temperature
        Of the run, K.
    """
    found = Transport()
    ours = _motion(run, masses, names, found.notes, "the run")
    theirs = None if reference is None else _motion(reference, masses, names, found.notes, "the reference")
    if ours is None:
        return found
    if ours.center_temperature is not None:
        highest = Estimate.exactly(float(ours.center_temperature.max()))
        bound = _CENTER_OF_MASS_SHARE * temperature
        known = None if theirs is None or theirs.center_temperature is None else float(theirs.center_temperature.max())
        if known is not None and known > bound:
            found.notes.append(
                f"the center of mass of the reference moves (up to {known:.3g} K), so that of the run is not judged; "
                "take its momentum away with 'velocity all zero linear' and 'fix momentum'."
            )
        else:
            found.observables[CENTER_OF_MASS_TEMPERATURE] = Observable(highest, Estimate.exactly(0.0), bound=bound)
    segment = segment_ps(*(motion.duration_ps for motion in (ours, theirs) if motion is not None))
    coarse = [m for m in (ours, theirs) if m is not None and segment < _FRAMES_PER_SEGMENT * m.interval_ps]
    if coarse:
        found.notes.append("there are too few frames for diffusion and velocities; run more steps or dump more often.")
        return found
    bound = _diffuse(found, ours, theirs, segment)
    if ours.velocities is not None:
        _autocorrelate(found, ours, theirs, segment, bound=bound)
    return found


def _motion(run: ObservedRun, masses: Float, names: Sequence[str], notes: list[str], which: str) -> Motion | None:
    """Follow the atoms of one run; where that is impossible, note why."""
    if run.timestep_fs is None:
        notes.append(f"the timestep of {which} is unknown, so its motion is not compared.")
        return None
    if not run.steps:
        return None
    types = run.topology.types
    bodies = molecules(types, run.topology.bonds, names)
    try:
        return follow(run.frames(), run.timestep_fs, masses[types - 1], bodies, names, count=len(run.steps))
    except InputError as error:
        notes.append(f"the motion of {which} cannot be followed: {error}")
        return None


def _diffuse(found: Transport, ours: Motion, theirs: Motion | None, segment: float) -> bool:
    """Compare displacements; whether some atoms stay where they are."""
    family, bound = "mean_squared_displacement", False
    unknown: dict[tuple[str, str], list[str]] = {}
    # Of short runs a curve without errors is shown, from all their starts.
    whole = segment / 2 < _MIN_POINTS * ours.interval_ps
    durations = [m.duration_ps + m.interval_ps for m in (ours, theirs) if m is not None]
    drawn = min(durations) if whole else segment
    for body in ours.paths:
        lags, blocks = displacement_blocks(ours, body, drawn)
        shown = lags <= lags[-1] / (4 if whole else 2)  # at longer lags there are few time origins
        mine = MeasuredCurve.of_blocks(lags[shown], blocks[:, shown])
        known: MeasuredCurve | None = None
        diffusions = {"the run": _diffusion(ours, body, segment)}
        reference: Diffusion | None = None
        if theirs is not None and body in theirs.paths:
            reference = diffusions["the reference"] = _diffusion(theirs, body, segment)
            known = _interpolated(mine.x, MeasuredCurve.of_blocks(*displacement_blocks(theirs, body, drawn)))
        found.curves.setdefault(family, {})[body] = curve_to_dict(family, mine, known)
        observable = _diffusion_observable(diffusions["the run"], reference)
        if observable is not None:
            found.observables[f"diffusion of {body}, 1e-9 m2/s"] = observable
        bound = bound or any(d.bound for d in diffusions.values())
        for which, d in diffusions.items():
            if d.coefficient is None:
                unknown.setdefault((which, f"{d.reason}{_would_do(d.needed_ps)}"), []).append(body)
    found.notes += [f"diffusion of {', '.join(bodies)} in {which}: {why}." for (which, why), bodies in unknown.items()]
    return bound


def _diffusion(motion: Motion, body: str, segment: float) -> Diffusion:
    """Diffusion coefficient; atoms in empty space stay together and turn, which looks like diffusion for a while."""
    if not motion.periodic:
        return Diffusion(None, "no diffusion, because the atoms are in empty space and turn together", bound=True)
    return diffusion(*displacement_blocks(motion, body, segment))


def _diffusion_observable(run: Diffusion, reference: Diffusion | None) -> Observable | None:
    """Compare two coefficients; None where the run has none and a longer one would have none."""
    if run.coefficient is None and math.isnan(run.needed_ps):
        return None
    unknown = Estimate(math.nan)
    if reference is None or (reference.coefficient is None and math.isnan(reference.needed_ps)):
        return Observable(run.coefficient or unknown)
    return Observable(
        run.coefficient or unknown,
        reference.coefficient or unknown,
        needed_ps=run.needed_ps,
        reference_needed_ps=reference.needed_ps,
    )


def _would_do(needed_ps: float) -> str:
    return f"; a run of about {picoseconds(needed_ps)} would do for it" if math.isfinite(needed_ps) else ""


def _autocorrelate(found: Transport, ours: Motion, theirs: Motion | None, segment: float, *, bound: bool) -> None:
    comparable = theirs is not None and theirs.velocities is not None
    if theirs is not None and not comparable:
        found.notes.append("the reference has no velocities to compare; add 'vx vy vz' to its dump.")
    both = [ours, theirs] if theirs is not None and comparable else [ours]
    fine = all(1000.0 * m.interval_ps <= spectrum_interval_fs(m) for m in both)
    if not fine:
        needed = min(spectrum_interval_fs(m) for m in both)
        found.notes.append(
            f"frames {number(1000.0 * max(m.interval_ps for m in both))} fs apart are too far apart for a spectrum of "
            f"the velocities; dump every {number(needed, 2)} fs or more often."
            if needed > 0
            else "a spectrum of the velocities also needs the forces; add 'fx fy fz' to the dump."
        )
    for atom in ours.velocities or {}:
        correlation = velocity_correlation(ours, atom, segment)
        mine, known = velocity_curve(correlation, bound=bound), None
        mine_spectrum, known_spectrum = spectrum(correlation) if fine else None, None
        if theirs is not None and comparable:
            correlation = velocity_correlation(theirs, atom, segment)
            known = _at_lags(mine.x, velocity_curve(correlation, bound=bound))
            found.observables[f"largest gap of v(0).v(t), {atom}"] = largest_difference(mine, known)
            known_spectrum = spectrum(correlation) if fine else None
        family = "velocity_autocorrelation"
        found.curves.setdefault(family, {})[atom] = curve_to_dict(family, mine, known)
        if mine_spectrum is not None:
            family = "velocity_spectrum"
            if known_spectrum is not None:
                known_spectrum = _interpolated(mine_spectrum.x, known_spectrum)
            found.curves.setdefault(family, {})[atom] = curve_to_dict(family, mine_spectrum, known_spectrum)


def _at_lags(lags: Float, curve: MeasuredCurve) -> MeasuredCurve:
    """Take the curve at the lags shared with ``lags``, NaN at the others."""
    value, error = np.full(len(lags), np.nan), np.full(len(lags), np.nan)
    nearest = np.abs(curve.x[None, :] - lags[:, None]).argmin(axis=1)
    shared = np.isclose(curve.x[nearest], lags, rtol=0, atol=1e-6)
    value[shared], error[shared] = curve.value[nearest[shared]], curve.error[nearest[shared]]
    return MeasuredCurve(lags, value, error, curve.degrees_of_freedom)


def _interpolated(x: Float, curve: MeasuredCurve) -> MeasuredCurve:
    value, error = (np.interp(x, curve.x, y, right=np.nan) for y in (curve.value, curve.error))
    return MeasuredCurve(x, value, error, curve.degrees_of_freedom)
