"""How long a run stays within the band around its reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnformd.evaluation.liquid.md_curves import MeasuredCurve
from gnnformd.evaluation.liquid.radial import RadialDistribution

__all__ = ["BOND_BAND", "WINDOW_PS", "Departure", "bonds_leave", "earliest", "rdf_leaves"]

Float = NDArray[np.float64]

WINDOW_PS = 1.0
"""g(r) is averaged over windows of this length, ps."""

BOND_BAND, BOND_SHARE = 0.5, 0.3
"""Largest difference of a bond from the mean length of its kind in the reference, angstrom, and of long bonds (between
beads) as a share of that."""


@dataclass(frozen=True)
class Departure:
    """The first time outside the band.

    Attributes
    ----------
    time_ps
        Since the start of the run.
    reason
        What left it, in a few words.
    """

    time_ps: float
    reason: str


def rdf_leaves(
    times_ps: Float,
    curves: Mapping[str, RadialDistribution],
    references: Mapping[str, MeasuredCurve],
    band: float,
) -> Departure | None:
    """First window of 1 ps in which ``integral |g - g_reference| dr`` exceeds the band, for any pair of types.

    The counting error is added to the band; otherwise small boxes would leave it at once. Source: Fu et al.,
    Forces are not enough, arXiv 2210.07237, the criterion for condensed systems.

    Parameters
    ----------
    times_ps
        Of the frames, (T,).
    curves
        g(r) of each frame of the run, by pair.
    references
        The mean of the reference over the same r.
    band
        angstrom; Fu et al. take 3 for water and 1 for a solid.
    """
    windows = np.floor((times_ps - times_ps[0]) / WINDOW_PS).astype(np.int64)
    for window in np.unique(windows):
        rows = np.flatnonzero(windows == window)
        for pair, curve in curves.items():
            known = references[pair].value
            width = np.gradient(curve.r)
            gap = float((np.abs(curve.g[rows].mean(axis=0) - known) * width).sum())
            # |x| of a normal x is sqrt(2 / pi) of its deviation in the mean
            noise = float((np.sqrt(2 / np.pi * np.maximum(known, 0.0) / (curve.ideal * len(rows))) * width).sum())
            if gap > band + noise:
                reason = f"the difference of g(r), {pair}, integrates to {gap:.2g} angstrom ({band:g} is allowed)"
                return Departure(float(times_ps[rows[0]]), reason)
    return None


def bonds_leave(times_ps: Float, lengths: Mapping[str, Float], means: Mapping[str, float]) -> Departure | None:
    """First frame with a bond that differs by over 0.5 angstrom (Fu et al.) and 30 % from the mean of its kind.

    Parameters
    ----------
    times_ps
        Of the frames, (T,).
    lengths
        By kind of bond, angstrom, (T, M).
    means
        Mean length of each kind in the reference, angstrom.
    """
    found = []
    for kind, of_kind in lengths.items():
        off = np.abs(of_kind - means[kind]).max(axis=1)  # (T,)
        allowed = max(BOND_BAND, BOND_SHARE * means[kind])
        if (off > allowed).any():
            first = int((off > allowed).argmax())
            found.append(Departure(float(times_ps[first]), f"a bond {kind} is off by {off[first]:.2g} angstrom"))
    return earliest(found)


def earliest(departures: Sequence[Departure | None]) -> Departure | None:
    """Pick the first of several, None if there are none."""
    known = [d for d in departures if d is not None]
    return min(known, key=lambda d: d.time_ps, default=None)
