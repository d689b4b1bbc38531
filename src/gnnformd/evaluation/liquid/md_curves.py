"""Curves of a run compared with the reference: g(r), distributions, correlation functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.evaluation.liquid.statistics import Estimate, block_count, block_means, deviation, lengths_needed
from gnnformd.evaluation.liquid.verdict import Observable

__all__ = ["FAMILIES", "Family", "MeasuredCurve", "curve_to_dict", "largest_difference"]

Float = NDArray[np.float64]

_MIN_COUNT = 10.0


@dataclass(frozen=True)
class Family:
    """How a kind of curve is written to JSON and drawn.

    Attributes
    ----------
    title
        Title of the plot of one curve, followed by the name of the curve.
    x_key, y_key
        Names of the two series in JSON, with their units.
    x_label, y_label
        Of the axes.
    from_zero
        Whether the y axis begins at zero.
    """

    title: str
    x_key: str
    y_key: str
    x_label: str
    y_label: str
    from_zero: bool = True


FAMILIES: Mapping[str, Family] = {
    "rdf": Family("g(r)", "r", "g", "r (Å)", "g(r)"),
    "bond_lengths": Family("Bond", "length_A", "density_per_A", "length (Å)", "density (Å⁻¹)"),
    "angles": Family("Angle", "angle_degrees", "density_per_degree", "angle (degrees)", "density (degree⁻¹)"),
    "dihedrals": Family("Dihedral", "angle_degrees", "density_per_degree", "dihedral (degrees)", "density (degree⁻¹)"),
    "mean_squared_displacement": Family(
        "Mean squared displacement", "time_ps", "value_A2", "time (ps)", "displacement² (Å²)"
    ),
    "velocity_autocorrelation": Family(
        "Velocity autocorrelation", "time_ps", "value", "time (ps)", "⟨v(0)·v(t)⟩ / ⟨v²⟩", from_zero=False
    ),
    "velocity_spectrum": Family(
        "Spectrum of the velocities",
        "wavenumber_per_cm",
        "value_cm",
        "wavenumber (cm⁻¹)",
        "density (cm)",
        from_zero=False,
    ),
}
"""The kinds of curve, by their key in ``simulate.json``."""


@dataclass(frozen=True)
class MeasuredCurve:
    """A curve and its standard error.

    Attributes
    ----------
    x, value
        (n,).
    error
        (n,); NaN where the run is too short to estimate it.
    degrees_of_freedom
        Of the error.
    counts
        Events behind each value, (n,); None where it is no histogram.
    lengths
        How many times as long the run would have to be for an error, about; NaN where there is one.
    """

    x: Float
    value: Float
    error: Float
    degrees_of_freedom: float
    counts: Float | None = None
    lengths: float = math.nan

    @classmethod
    def of_blocks(cls, x: Float, blocks: Float) -> MeasuredCurve:
        """Average independent curves, (B, n)."""
        few = len(blocks) < 2
        error = np.full(len(x), np.nan) if few else blocks.std(axis=0, ddof=1) / math.sqrt(len(blocks))
        return cls(x, blocks.mean(axis=0), error, len(blocks) - 1.0)

    @classmethod
    def of_histograms(cls, x: Float, density: Float, ideal: Float) -> MeasuredCurve:
        """Average the histograms of successive frames.

        The length of the blocks follows from the slowest fluctuation of the curve, the projection of each frame on the
        mean curve. The error is never below the counting error, ``sqrt(density / (ideal T))``.

        Parameters
        ----------
        x
            Middle of each bin, (n,).
        density
            Of each frame, (T, n).
        ideal
            Events per frame in a bin of density 1, (n,).
        """
        value, frames = density.mean(axis=0), len(density)
        weight = ideal * (value - value.mean())
        projection = density @ weight
        count = block_count(projection)
        if count == 0:
            unknown = np.full(len(x), np.nan)
            return cls(x, value, unknown, 0.0, value * ideal * frames, lengths_needed(projection))
        found = cls.of_blocks(x, block_means(density, count))
        error = np.maximum(found.error, np.sqrt(value / (ideal * frames)))
        return cls(x, value, error, found.degrees_of_freedom, value * ideal * frames)


def largest_difference(ours: MeasuredCurve, theirs: MeasuredCurve) -> Observable:
    """Largest difference of two curves over the same x, and the deviation of the most significant point.

    Left out are bins with fewer than ten events in both together, and points where one of the two is unknown (NaN).

    Parameters
    ----------
    ours, theirs
        Of the run and of the reference, (n,) each.
    """
    gap = np.abs(ours.value - theirs.value)
    error = np.hypot(ours.error, theirs.error)
    usable = np.isfinite(gap)
    if ours.counts is not None and theirs.counts is not None:
        usable &= ours.counts + theirs.counts >= _MIN_COUNT
    worst = int(np.where(usable, gap, -1.0).argmax())
    significant = usable & (error > 0)
    largest_deviation = math.nan
    if significant.any():
        point = int(np.where(significant, gap / np.where(error > 0, error, 1.0), -1.0).argmax())
        pair = (_at(ours, point), _at(theirs, point))
        largest_deviation = abs(deviation(*pair, comparisons=int(significant.sum())))
    ours_error, theirs_error = float(ours.error[worst]), float(theirs.error[worst])
    return Observable(
        Estimate(float(gap[worst]), ours_error, ours.degrees_of_freedom, ours.lengths),
        Estimate(0.0, theirs_error, theirs.degrees_of_freedom, theirs.lengths),
        largest_deviation=largest_deviation,
    )


def curve_to_dict(family: str, ours: MeasuredCurve, theirs: MeasuredCurve | None) -> dict[str, Any]:
    """Make a mapping for JSON under the family's keys, with ``error``, ``reference`` and ``reference_error``."""
    keys = FAMILIES[family]
    return {
        keys.x_key: ours.x.tolist(),
        keys.y_key: ours.value.tolist(),
        "error": ours.error.tolist(),
        "reference": None if theirs is None else theirs.value.tolist(),
        "reference_error": None if theirs is None else theirs.error.tolist(),
    }


def _at(curve: MeasuredCurve, point: int) -> Estimate:
    return Estimate(float(curve.value[point]), float(curve.error[point]), curve.degrees_of_freedom)
