"""Diffusion and velocity autocorrelation, with errors from independent time segments."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gnnformd.evaluation.formatting import number
from gnnformd.evaluation.liquid.md_curves import MeasuredCurve
from gnnformd.evaluation.liquid.motion import Motion
from gnnformd.evaluation.liquid.statistics import MAX_BLOCKS, MIN_BLOCKS, Estimate, mean_of_blocks

__all__ = [
    "A2_PER_PS",
    "Diffusion",
    "VelocityCorrelation",
    "diffusion",
    "displacement_blocks",
    "segment_ps",
    "spectrum",
    "spectrum_interval_fs",
    "velocity_correlation",
    "velocity_curve",
]

Float = NDArray[np.float64]

A2_PER_PS = 10.0
"""One angstrom^2/ps in 1e-9 m^2/s."""

LIGHT_CM_PER_PS = 0.0299792458
LONGEST_LAG_PS = 2.0
_SEGMENTS = 8
_LONGEST_LAG = 0.8
_DECADE = 10.0
_MIN_LAGS = 5
_SLOPE_TOLERANCE = 0.1
_BOUND_SLOPE = 0.25
_DECAYED, _NOISE = 0.05, 4.0
_STANDSTILL = 1e-12
_MAX_POINTS = 500
_MAX_WAVENUMBER = 5000.0


def segment_ps(*durations_ps: float) -> float:
    """Length of the time segments into which runs are cut: an eighth of the shortest, ps."""
    return min(durations_ps) / _SEGMENTS


def displacement_blocks(motion: Motion, body: str, segment: float) -> tuple[Float, Float]:
    """Mean squared displacement in each time segment.

    ``< |x(t0 + t) - x(t0)|^2 >`` over bodies and all time origins t0 within the segment, relative to the center of mass
    of the system.

    Parameters
    ----------
    motion
        The run.
    body
        Name of the molecule or atom.
    segment
        Length of the segments, ps; at most the last 16 are used.

    Returns
    -------
    lags_ps, blocks
        (n,), and angstrom^2, (B, n).
    """
    import freud

    blocks = []
    for path in _segments(motion.paths[body], motion, segment):
        centered = path - path.mean(axis=0)  # freud subtracts large sums: keep the numbers small
        blocks.append(np.asarray(freud.msd.MSD(mode="window").compute(centered).msd, dtype=np.float64))
    lags: Float = np.arange(len(blocks[0]), dtype=np.float64) * motion.interval_ps
    return lags, np.array(blocks)


@dataclass(frozen=True)
class Diffusion:
    """A diffusion coefficient, or why there is none.

    Attributes
    ----------
    coefficient
        1e-9 m^2/s; None where the mean squared displacement is not that of diffusion.
    reason
        Why there is none: the end of a sentence that begins with "no number:". None where there is one.
    needed_ps
        Length of a run that would do, about; NaN where there is a number or no such length can be told.
    bound
        Whether atoms stay where they are, as in a crystal.
    """

    coefficient: Estimate | None
    reason: str | None = None
    needed_ps: float = math.nan
    bound: bool = False


def diffusion(lags_ps: Float, blocks: Float) -> Diffusion:
    """Diffusion coefficient by Einstein's relation, ``D = (d MSD / dt) / 6``.

    The slope is fitted over the decade of time that ends at 80 % of a segment. There is a number only where this decade

    - begins after the decay of the autocorrelation of the velocities, and
    - is linear: ``d log MSD / d log t`` lies within 0.1 of 1 in both of its halves.

    The velocities are the displacements from frame to frame over the time between them, and their autocorrelation
    follows from the mean squared displacement, ``(MSD(t + dt) - 2 MSD(t) + MSD(t - dt)) / (2 MSD(dt))``. It has decayed
    after the last time at which it is above 0.05 (and above its noise). Where a logarithmic slope after that is below
    0.25, atoms stay where they are, as in a crystal.

    The coefficient has no error for fewer than five segments. It is the value in this box; Yeh and Hummer, J. Phys.
    Chem. B 108, 15873 (2004), correct for its size, an effect that cancels between a run and a reference of equal size.

    Parameters
    ----------
    lags_ps
        Of one segment, (n,); a run is at least eight segments long.
    blocks
        Mean squared displacement of each segment, angstrom^2, (B, n).
    """
    if len(lags_ps) < 2:
        return Diffusion(None, "there are too few frames; dump more often or run more steps")
    interval, last = float(lags_ps[1]), _LONGEST_LAG * float(lags_ps[-1])
    ends = [round(last / factor / interval) for factor in (_DECADE, math.sqrt(_DECADE), 1.0)]
    if ends[0] < 1 or ends[2] - ends[0] < _MIN_LAGS:
        shortest = math.ceil(_DECADE / _LONGEST_LAG) * interval
        return Diffusion(None, "there are too few frames; dump more often or run more steps", _run_ps(shortest))
    mean = blocks.mean(axis=0)
    if not mean[ends[0]] > _STANDSTILL:
        return Diffusion(None, "nothing moves", bound=True)
    early, late = (_logarithmic_slope(lags_ps, mean, a, b) for a, b in pairwise(ends))
    if late < _BOUND_SLOPE:
        return Diffusion(None, f"no diffusion on this time scale, {number(last, 2)} ps (a part of the run)", bound=True)
    first, decay = ends[0] * interval, _velocity_decay(blocks) * interval
    if decay > first:
        return Diffusion(
            None,
            f"velocities are correlated for {number(decay, 2)} ps, and displacements are needed over more than ten "
            f"times as long, but known over {number(last, 2)} ps only, as the mean over {_SEGMENTS} parts of the run",
            _run_ps(max(decay, _linear_from(lags_ps, mean, ends)) * _DECADE / _LONGEST_LAG),
        )
    if max(abs(early - 1.0), abs(late - 1.0)) > _SLOPE_TOLERANCE:
        return Diffusion(
            None,
            f"the mean squared displacement is not linear yet: it grows as t^{early:.2f} and then as t^{late:.2f} "
            f"between {number(first, 2)} and {number(last, 2)} ps",
            _run_ps(_linear_from(lags_ps, mean, ends) * _DECADE / _LONGEST_LAG),
        )
    fitted = np.arange(ends[0], ends[2] + 1)
    return Diffusion(mean_of_blocks(_slopes(lags_ps, blocks, fitted) / 6.0 * A2_PER_PS))


def _run_ps(segment: float) -> float:
    """Length of a run whose segments have this length."""
    return _SEGMENTS * segment


def _velocity_decay(blocks: Float) -> int:
    """Last lag at which velocities, taken from successive frames, are correlated.

    The noise of a lag grows as its time origins get fewer; how large it is, is the median over all lags.
    """
    correlation = np.diff(blocks, 2, axis=1) / (2.0 * blocks[:, 1:2].mean())  # at lags 1, 2, ... n - 2
    used = correlation[:, : max(1, int(_LONGEST_LAG * blocks.shape[1]) - 2)]
    noise = np.zeros(used.shape[1])
    if len(used) > 1:
        origins = blocks.shape[1] - 1.0 - np.arange(used.shape[1])
        of_one = float(np.median(used.std(axis=0, ddof=1) * np.sqrt(origins)))
        noise = _NOISE * of_one / np.sqrt(len(used) * origins)
    correlated = np.flatnonzero(np.abs(used.mean(axis=0)) > np.maximum(_DECAYED, noise))
    return int(correlated[-1]) + 1 if len(correlated) else 0


def _slopes(lags: Float, blocks: Float, fitted: NDArray[np.int64]) -> Float:
    x = lags[fitted] - lags[fitted].mean()
    slopes: Float = blocks[:, fitted] @ x / (x @ x)
    return slopes


def _logarithmic_slope(lags: Float, mean: Float, first: int, last: int) -> float:
    """``d log MSD / d log t`` from end to end, each the mean over a tenth around it; far from 1 where MSD is 0."""
    points = []
    for middle in (first, last):
        around = slice(max(1, math.ceil(0.9 * middle)), min(len(lags) - 1, math.floor(1.1 * middle)) + 1)
        points.append((math.log(lags[around].mean()), math.log(max(float(mean[around].mean()), 1e-300))))
    (x0, y0), (x1, y1) = points
    return (y1 - y0) / (x1 - x0)


def _linear_from(lags: Float, mean: Float, ends: list[int]) -> float:
    """Time from which the logarithmic slope is within 0.1 of 1 if the late half is linear, ps; 0 if not rising."""
    late = np.arange(ends[1], ends[2] + 1)
    slope = float(_slopes(lags, mean[None], late)[0])
    if slope <= 0.0:
        return 0.0
    offset = float(mean[late].mean()) - slope * float(lags[late].mean())
    tolerance = _SLOPE_TOLERANCE
    factor = (1.0 - tolerance) / tolerance if offset > 0 else (1.0 + tolerance) / tolerance
    return max(factor * abs(offset) / slope, 1.5 * float(lags[ends[0]]))


@dataclass(frozen=True)
class VelocityCorrelation:
    """Products of velocities of one type of atom at two times.

    Attributes
    ----------
    lags_ps
        Time between the two, (n,).
    blocks
        Normalised autocorrelation of each time segment, (B, n).
    molecules
        Sum over the atoms of each molecule, mean over the segments, angstrom^2/fs^2, (n, G).
    atoms
        Number of atoms of the type.
    """

    lags_ps: Float
    blocks: Float
    molecules: Float
    atoms: int


def velocity_correlation(motion: Motion, atom: str, segment: float) -> VelocityCorrelation:
    """Correlate velocities: ``< v(t0) . v(t0 + t) >`` over all time origins t0 within a time segment.

    Times go up to half of a segment and at most 2 ps.

    Parameters
    ----------
    motion
        The run, with velocities.
    atom
        Name of the type of atom.
    segment
        Length of the segments, ps; at most the last 16 are used.
    """
    lags, found = _velocity_products(motion, atom, segment)
    total = found.sum(axis=2)  # (B, n)
    per_atom = found.mean(axis=0)  # (n, A)
    _, index = np.unique(motion.molecules.get(atom, np.arange(per_atom.shape[1])), return_inverse=True)
    molecules: Float = np.stack([np.bincount(index, weights=row) for row in per_atom])
    return VelocityCorrelation(lags, total / total[:, :1], molecules, found.shape[2])


def velocity_curve(found: VelocityCorrelation, *, bound: bool = False) -> MeasuredCurve:
    """Normalised velocity autocorrelation ``C(t) = < v(t0) . v(t0 + t) > / < v^2 >`` with its standard error.

    The error is the larger of two: that of the time segments, and that among molecules. A stiff bond keeps its
    vibrational energy for many ps; segments of a shorter run are then alike, but its molecules are not.

    Atoms that are bound to their places, as in a crystal, share normal modes, each of which may keep its energy for the
    whole run: neither segments nor atoms are independent then. The energies of modes at equilibrium spread as much as
    their mean, so that ``C(t) = sum_k E_k cos(w_k t) / sum_k E_k`` has the variance ``[(1 + C(2t)) / 2 - C(t)^2] / M``
    between runs, for the M = 3 N modes of N atoms, and this is the least error.

    Parameters
    ----------
    found
        From `velocity_correlation`.
    bound
        Whether the atoms stay where they are.
    """
    curve = MeasuredCurve.of_blocks(found.lags_ps, found.blocks)
    curve = _with_error_among_molecules(curve, found.molecules, found.molecules[0])
    if not bound:
        return curve
    modes = 3 * found.atoms
    error = np.fmax(curve.error, _error_of_modes(curve.value, modes))
    return replace(curve, error=error, degrees_of_freedom=float(modes))


def _error_of_modes(values: Float, modes: int) -> Float:
    """Compute the standard error of an autocorrelation, (n,), where modes keep their energies; see `velocity_curve`."""
    twice = np.zeros_like(values)  # long after the start
    half = values[::2]
    twice[: len(half)] = half
    error: Float = np.sqrt(np.clip((1.0 + twice) / 2.0 - values**2, 0.0, None) / modes)
    return error


def _velocity_products(motion: Motion, atom: str, segment: float) -> tuple[Float, Float]:
    """``< v(t0) . v(t0 + t) >`` of each atom in each time segment: lags (n,), products (B, n, A)."""
    if motion.velocities is None:
        raise ValueError("the trajectory has no velocities")
    parts = _segments(motion.velocities[atom], motion, segment)
    length = len(parts[0])
    kept = 1 + min((length - 1) // 2, int(LONGEST_LAG_PS / motion.interval_ps + 1e-9))
    origins = np.arange(length, length - kept, -1)
    found = []
    for part in parts:  # (L, A, 3)
        power = (np.abs(np.fft.rfft(part, 2 * length, axis=0)) ** 2).sum(axis=2)
        found.append(np.fft.irfft(power, 2 * length, axis=0)[:kept] / origins[:, None])
    lags: Float = np.arange(kept, dtype=np.float64) * motion.interval_ps
    return lags, np.array(found)


def _with_error_among_molecules(curve: MeasuredCurve, values: Float, weights: Float) -> MeasuredCurve:
    """Return the curve ``C = sum_g values_g / sum_g weights_g`` with the error among molecules g where that is larger.

    It is ``sqrt(G / (G - 1) sum_g (values_g - C weights_g)^2) / sum_g weights_g``, and unknown for fewer than five.

    Parameters
    ----------
    curve
        With its error from time segments, (n,).
    values, weights
        Of each molecule, (n, G) and (G,).
    """
    count, total = len(weights), weights.sum()
    if count < MIN_BLOCKS:
        return curve
    left = values - (values.sum(axis=1) / total)[:, None] * weights
    error = np.sqrt(count / (count - 1) * np.square(left).sum(axis=1)) / total
    return replace(curve, error=np.fmax(curve.error, error))


def spectrum_interval_fs(motion: Motion) -> float:
    """Longest time between frames for which a spectrum is free of aliasing, fs.

    The Nyquist frequency of the frames, ``pi / interval``, has to be twice the root mean square frequency of the
    fastest atoms (for hydrogen in water that takes 4 fs, which also resolves its fastest vibration). NaN where
    the frequency is unknown.
    """
    if motion.frequency is None:
        return math.nan
    return math.pi / (2.0 * motion.frequency) if motion.frequency > 0 else math.inf


def spectrum(found: VelocityCorrelation) -> MeasuredCurve:
    """Vibrational density of states: cosine transform of the autocorrelation.

    ``S(k) = 4 c integral_0^T C(t) cos(2 pi c k t) cos^2(pi t / 2 T) dt`` over the wavenumber k in 1/cm, in cm, with T
    the longest time; it integrates to 1. Its error is the larger of two, as that of `velocity_curve`.
    """
    lags_ps = found.lags_ps
    interval, longest = lags_ps[1], lags_ps[-1]
    highest = min(_MAX_WAVENUMBER, 1.0 / (2.0 * LIGHT_CM_PER_PS * interval))
    step = 1.0 / (4.0 * LIGHT_CM_PER_PS * longest)
    wavenumbers = np.linspace(0.0, highest, min(_MAX_POINTS, 1 + int(highest / step)))
    weights = np.full(len(lags_ps), interval)
    weights[[0, -1]] /= 2.0
    window = np.cos(np.pi * lags_ps / (2.0 * longest)) ** 2
    waves = np.cos(2.0 * np.pi * LIGHT_CM_PER_PS * np.outer(lags_ps, wavenumbers))  # (n, K)
    transform = 4.0 * LIGHT_CM_PER_PS * (window * weights)[:, None] * waves
    curve = MeasuredCurve.of_blocks(wavenumbers, found.blocks @ transform)
    return _with_error_among_molecules(curve, transform.T @ found.molecules, found.molecules[0])


def _segments(series: Float, motion: Motion, segment: float) -> list[Float]:
    """Cut a series into consecutive segments of equal length that end with it; at least one."""
    length = max(2, round(segment / motion.interval_ps))
    count = max(1, min(MAX_BLOCKS, len(series) // length))
    start = max(0, len(series) - count * length)
    return [series[start + k * length : start + (k + 1) * length] for k in range(count)]
