"""Diffusion and velocities of a run beside those of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.evaluation.liquid.dynamics import (
    diffusion,
    displacement_blocks,
    spectrum,
    spectrum_interval_fs,
    stretch_ps,
    velocity_blocks,
)
from gnnformd.evaluation.liquid.md_curves import MeasuredCurve, curve_to_dict, largest_difference
from gnnformd.evaluation.liquid.motion import Motion, follow, molecules
from gnnformd.evaluation.liquid.observed_run import Side
from gnnformd.evaluation.liquid.statistics import Estimate
from gnnformd.evaluation.liquid.verdict import Observable

__all__ = ["HEAT_OF_CENTER", "Transport", "transport"]

Float = NDArray[np.float64]

_FRAMES_PER_STRETCH = 4
HEAT_OF_CENTER = "heat of the common center, K"
_HOT_CENTER = 0.01
"""The common center of mass may hold this part of the heat of one atom."""


@dataclass
class Transport:
    """What the motion says.

    Attributes
    ----------
    observables
        Diffusion coefficients, velocity autocorrelations, heat of the center of mass.
    curves
        By family and name, as written to JSON.
    notes
        What could not be told, and how to have it told, a sentence each.
    """

    observables: dict[str, Observable] = field(default_factory=dict)
    curves: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def transport(run: Side, reference: Side | None, masses: Float, names: Sequence[str], temperature: float) -> Transport:
    """Compare diffusion, velocity autocorrelation and its spectrum.

    Both sides are cut into stretches of time of equal length, an eighth of the shorter side.

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
        hottest = Estimate.exactly(float(ours.center_temperature.max()))
        found.observables[HEAT_OF_CENTER] = Observable(hottest, Estimate.exactly(0.0), bound=_HOT_CENTER * temperature)
    stretch = stretch_ps(*(motion.duration_ps for motion in (ours, theirs) if motion is not None))
    coarse = [m for m in (ours, theirs) if m is not None and stretch < _FRAMES_PER_STRETCH * m.interval_ps]
    if coarse:
        found.notes.append("there are too few frames for diffusion and velocities; run more steps or dump more often.")
        return found
    _diffuse(found, ours, theirs, stretch)
    if ours.velocities is not None:
        _autocorrelate(found, ours, theirs, stretch)
    return found


def _motion(side: Side, masses: Float, names: Sequence[str], notes: list[str], which: str) -> Motion | None:
    """Follow one side, or note why it cannot be followed."""
    if side.timestep_fs is None:
        notes.append(f"the timestep of {which} is not known, so its motion is not compared.")
        return None
    if not side.steps:
        return None
    types = side.topology.types
    bodies = molecules(types, side.topology.bonds, names)
    try:
        return follow(side.frames(), side.timestep_fs, masses[types - 1], bodies, names, count=len(side.steps))
    except InputError as error:
        notes.append(f"the motion of {which} is not known: {error}")
        return None


def _diffuse(found: Transport, ours: Motion, theirs: Motion | None, stretch: float) -> None:
    family = "mean_squared_displacement"
    for body in ours.paths:
        lags, blocks = displacement_blocks(ours, body, stretch)
        shown = lags <= lags[-1] / 2  # beyond, few starts are left
        mine = MeasuredCurve.of_blocks(lags[shown], blocks[:, shown])
        known: MeasuredCurve | None = None
        reference: Estimate | None = None
        if theirs is not None and body in theirs.paths:
            other_lags, other_blocks = displacement_blocks(theirs, body, stretch)
            reference = diffusion(other_lags, other_blocks)
            known = _interpolated(mine.x, MeasuredCurve.of_blocks(other_lags, other_blocks))
        found.curves.setdefault(family, {})[body] = curve_to_dict(family, mine, known)
        found.observables[f"diffusion of {body}, 1e-9 m2/s"] = Observable(diffusion(lags, blocks), reference)


def _autocorrelate(found: Transport, ours: Motion, theirs: Motion | None, stretch: float) -> None:
    comparable = theirs is not None and theirs.velocities is not None
    if theirs is not None and not comparable:
        found.notes.append("the reference has no velocities to compare; add 'vx vy vz' to its dump.")
    sides = [ours, theirs] if theirs is not None and comparable else [ours]
    fine = all(1000.0 * m.interval_ps <= spectrum_interval_fs(m) for m in sides)
    if not fine:
        asked = min(spectrum_interval_fs(m) for m in sides)
        found.notes.append(
            f"frames {1000.0 * max(m.interval_ps for m in sides):.3g} fs apart are too far apart for a spectrum of the "
            f"velocities; dump every {asked:.2g} fs or more often."
            if asked > 0
            else "a spectrum of the velocities needs the forces, too; add 'fx fy fz' to the dump."
        )
    for atom in ours.velocities or {}:
        lags, blocks = velocity_blocks(ours, atom, stretch)
        mine, known = MeasuredCurve.of_blocks(lags, blocks), None
        mine_spectrum, known_spectrum = spectrum(lags, blocks) if fine else None, None
        if theirs is not None and comparable:
            other_lags, other_blocks = velocity_blocks(theirs, atom, stretch)
            known = _at_lags(lags, MeasuredCurve.of_blocks(other_lags, other_blocks))
            found.observables[f"largest gap of v(0).v(t), {atom}"] = largest_difference(mine, known)
            known_spectrum = spectrum(other_lags, other_blocks) if fine else None
        family = "velocity_autocorrelation"
        found.curves.setdefault(family, {})[atom] = curve_to_dict(family, mine, known)
        if mine_spectrum is not None:
            family = "velocity_spectrum"
            if known_spectrum is not None:
                known_spectrum = _interpolated(mine_spectrum.x, known_spectrum)
            found.curves.setdefault(family, {})[atom] = curve_to_dict(family, mine_spectrum, known_spectrum)


def _at_lags(lags: Float, curve: MeasuredCurve) -> MeasuredCurve:
    """Take the curve at the lags it has in common with ``lags``, NaN at the others."""
    value, error = np.full(len(lags), np.nan), np.full(len(lags), np.nan)
    nearest = np.abs(curve.x[None, :] - lags[:, None]).argmin(axis=1)
    shared = np.isclose(curve.x[nearest], lags, rtol=0, atol=1e-6)
    value[shared], error[shared] = curve.value[nearest[shared]], curve.error[nearest[shared]]
    return MeasuredCurve(lags, value, error, curve.degrees_of_freedom)


def _interpolated(x: Float, curve: MeasuredCurve) -> MeasuredCurve:
    value, error = (np.interp(x, curve.x, y, right=np.nan) for y in (curve.value, curve.error))
    return MeasuredCurve(x, value, error, curve.degrees_of_freedom)
