"""Diffusion and velocity autocorrelation, with errors from independent time segments."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gnnformd.evaluation.liquid.md_curves import MeasuredCurve
from gnnformd.evaluation.liquid.motion import Motion
from gnnformd.evaluation.liquid.statistics import MAX_BLOCKS, Estimate, mean_of_blocks

__all__ = [
    "A2_PER_PS",
    "diffusion",
    "displacement_blocks",
    "segment_ps",
    "spectrum",
    "spectrum_interval_fs",
    "velocity_blocks",
]

Float = NDArray[np.float64]

A2_PER_PS = 10.0
"""One angstrom^2/ps in 1e-9 m^2/s."""

LIGHT_CM_PER_PS = 0.0299792458
LONGEST_LAG_PS = 2.0
_SEGMENTS = 8
_FIT = (0.2, 0.5)
_MIN_LAGS = 4
_MAX_CURVATURE = 0.1
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


def diffusion(lags_ps: Float, blocks: Float) -> Estimate:
    """Diffusion coefficient by Einstein's relation, ``D = (d MSD / dt) / 6``, in 1e-9 m^2/s.

    The slope is fitted from 20 to 50 % of the segment. It has no error for fewer than five segments or four lags,
    or where the slopes of its two halves differ by more than a tenth and significantly: the motion is not diffusive
    yet. It is the value in this box; Yeh and Hummer, J. Phys. Chem. B 108, 15873 (2004), correct for its
    size, an effect that cancels between a run and a reference of equal size.

    Parameters
    ----------
    lags_ps
        (n,).
    blocks
        Mean squared displacement of each segment, angstrom^2, (B, n).
    """
    inside = (lags_ps >= _FIT[0] * lags_ps[-1] - 1e-9) & (lags_ps <= _FIT[1] * lags_ps[-1] + 1e-9)
    fitted = np.flatnonzero(inside)
    if len(fitted) < _MIN_LAGS:
        return Estimate(math.nan)
    whole = mean_of_blocks(_slopes(lags_ps, blocks, fitted) / 6.0 * A2_PER_PS)
    middle = len(fitted) // 2
    early, late = (_slopes(lags_ps, blocks, part) for part in (fitted[: middle + 1], fitted[middle:]))
    curvature = mean_of_blocks((late - early) / 6.0 * A2_PER_PS)
    diffusive = abs(curvature.value) <= max(_MAX_CURVATURE * abs(whole.value), 3.0 * curvature.standard_error)
    return whole if diffusive else Estimate(whole.value)


def _slopes(lags: Float, blocks: Float, fitted: NDArray[np.int64]) -> Float:
    x = lags[fitted] - lags[fitted].mean()
    slopes: Float = blocks[:, fitted] @ x / (x @ x)
    return slopes


def velocity_blocks(motion: Motion, atom: str, segment: float) -> tuple[Float, Float]:
    """Normalised velocity autocorrelation in each time segment, up to half of it and at most 2 ps.

    ``C(t) = < v(t0) . v(t0 + t) > / < v^2 >`` over atoms and all time origins t0 within the segment.

    Parameters
    ----------
    motion
        The run, with velocities.
    atom
        Name of the type of atom.
    segment
        Length of the segments, ps; at most the last 16 are used.

    Returns
    -------
    lags_ps, blocks
        (n,), and (B, n).
    """
    if motion.velocities is None:
        raise ValueError("the trajectory has no velocities")
    parts = _segments(motion.velocities[atom], motion, segment)
    length = len(parts[0])
    kept = 1 + min((length - 1) // 2, int(LONGEST_LAG_PS / motion.interval_ps + 1e-9))
    blocks = []
    for part in parts:
        series = part.reshape(length, -1)  # (L, 3 n)
        spectrum = np.fft.rfft(series, 2 * length, axis=0)
        correlation = np.fft.irfft((np.abs(spectrum) ** 2).sum(axis=1), 2 * length)[:kept]
        correlation /= np.arange(length, length - kept, -1)
        blocks.append(correlation / correlation[0])
    lags: Float = np.arange(kept, dtype=np.float64) * motion.interval_ps
    return lags, np.array(blocks)


def spectrum_interval_fs(motion: Motion) -> float:
    """Longest time between frames for which a spectrum is free of aliasing, fs.

    The Nyquist frequency of the frames, ``pi / interval``, has to be twice the root mean square frequency of the
    fastest atoms (for hydrogen in water that takes 4 fs, which also resolves its fastest vibration). NaN where
    the frequency is unknown.
    """
    if motion.frequency is None:
        return math.nan
    return math.pi / (2.0 * motion.frequency) if motion.frequency > 0 else math.inf


def spectrum(lags_ps: Float, blocks: Float) -> MeasuredCurve:
    """Vibrational density of states: cosine transform of the autocorrelation.

    ``S(k) = 4 c integral_0^T C(t) cos(2 pi c k t) cos^2(pi t / 2 T) dt`` over the wavenumber k in 1/cm, in cm; it
    integrates to 1.

    Parameters
    ----------
    lags_ps
        (n,), up to T.
    blocks
        Normalised autocorrelation of each segment, (B, n).
    """
    interval, longest = lags_ps[1], lags_ps[-1]
    highest = min(_MAX_WAVENUMBER, 1.0 / (2.0 * LIGHT_CM_PER_PS * interval))
    step = 1.0 / (4.0 * LIGHT_CM_PER_PS * longest)
    wavenumbers = np.linspace(0.0, highest, min(_MAX_POINTS, 1 + int(highest / step)))
    weights = np.full(len(lags_ps), interval)
    weights[[0, -1]] /= 2.0
    window = np.cos(np.pi * lags_ps / (2.0 * longest)) ** 2
    waves = np.cos(2.0 * np.pi * LIGHT_CM_PER_PS * np.outer(lags_ps, wavenumbers))  # (n, K)
    return MeasuredCurve.of_blocks(wavenumbers, 4.0 * LIGHT_CM_PER_PS * (blocks * window * weights) @ waves)


def _segments(series: Float, motion: Motion, segment: float) -> list[Float]:
    """Cut a series into consecutive segments of equal length that end with it; at least one."""
    length = max(2, round(segment / motion.interval_ps))
    count = max(1, min(MAX_BLOCKS, len(series) // length))
    start = max(0, len(series) - count * length)
    return [series[start + k * length : start + (k + 1) * length] for k in range(count)]
