"""Diffusion and velocity autocorrelation, with errors from independent stretches of time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gnnformd.evaluation.liquid.md_curves import MeasuredCurve
from gnnformd.evaluation.liquid.motion import Motion
from gnnformd.evaluation.liquid.statistics import MOST_BLOCKS, Estimate, mean_of_blocks

__all__ = [
    "A2_PER_PS",
    "diffusion",
    "displacement_blocks",
    "spectrum",
    "spectrum_interval_fs",
    "stretch_ps",
    "velocity_blocks",
]

Float = NDArray[np.float64]

A2_PER_PS = 10.0
"""One angstrom^2/ps in 1e-9 m^2/s."""

LIGHT_CM_PER_PS = 0.0299792458
LONGEST_LAG_PS = 2.0
_STRETCHES = 8
_FIT = (0.2, 0.5)
_LEAST_LAGS = 4
_STRAIGHT = 0.1
_POINTS = 500
_HIGHEST = 5000.0


def stretch_ps(*durations_ps: float) -> float:
    """Length of the stretches of time into which runs are cut: an eighth of the shortest, ps."""
    return min(durations_ps) / _STRETCHES


def displacement_blocks(motion: Motion, body: str, stretch: float) -> tuple[Float, Float]:
    """Mean squared displacement in each stretch of time.

    ``< |x(t0 + t) - x(t0)|^2 >`` over bodies and all starts t0 within the stretch, relative to the common center of
    mass.

    Parameters
    ----------
    motion
        The run.
    body
        Name of what moves.
    stretch
        Length of the stretches, ps; at most 16, the last ones.

    Returns
    -------
    lags_ps, blocks
        (n,), and angstrom^2, (B, n).
    """
    import freud

    blocks = []
    for path in _stretches(motion.paths[body], motion, stretch):
        centered = path - path.mean(axis=0)  # small numbers: freud takes differences of large sums
        blocks.append(np.asarray(freud.msd.MSD(mode="window").compute(centered).msd, dtype=np.float64))
    lags: Float = np.arange(len(blocks[0]), dtype=np.float64) * motion.interval_ps
    return lags, np.array(blocks)


def diffusion(lags_ps: Float, blocks: Float) -> Estimate:
    """Diffusion coefficient by Einstein's relation, ``D = (d MSD / dt) / 6``, in 1e-9 m^2/s.

    The slope is fitted from 20 to 50 % of the stretch. It has no error where there are fewer than five stretches or
    four lags, or where its two halves differ by more than a tenth and more than chance allows: the motion is not
    diffusive yet. It is the value in this box; Yeh and Hummer, J. Phys. Chem. B 108, 15873 (2004), correct for its
    size, which cancels between a run and a reference of equal size.

    Parameters
    ----------
    lags_ps
        (n,).
    blocks
        Mean squared displacement of each stretch, angstrom^2, (B, n).
    """
    inside = (lags_ps >= _FIT[0] * lags_ps[-1] - 1e-9) & (lags_ps <= _FIT[1] * lags_ps[-1] + 1e-9)
    places = np.flatnonzero(inside)
    if len(places) < _LEAST_LAGS:
        return Estimate(math.nan)
    whole = mean_of_blocks(_slopes(lags_ps, blocks, places) / 6.0 * A2_PER_PS)
    middle = len(places) // 2
    early, late = (_slopes(lags_ps, blocks, part) for part in (places[: middle + 1], places[middle:]))
    bend = mean_of_blocks((late - early) / 6.0 * A2_PER_PS)
    straight = abs(bend.value) <= max(_STRAIGHT * abs(whole.value), 3.0 * bend.standard_error)
    return whole if straight else Estimate(whole.value)


def _slopes(lags: Float, blocks: Float, places: NDArray[np.int64]) -> Float:
    x = lags[places] - lags[places].mean()
    slopes: Float = blocks[:, places] @ x / (x @ x)
    return slopes


def velocity_blocks(motion: Motion, atom: str, stretch: float) -> tuple[Float, Float]:
    """Normalised velocity autocorrelation in each stretch of time, up to half of it and at most 2 ps.

    ``C(t) = < v(t0) . v(t0 + t) > / < v^2 >`` over atoms and all starts t0 within the stretch.

    Parameters
    ----------
    motion
        The run, with velocities.
    atom
        Name of the type of atom.
    stretch
        Length of the stretches, ps; at most 16, the last ones.

    Returns
    -------
    lags_ps, blocks
        (n,), and (B, n).
    """
    if motion.velocities is None:
        raise ValueError("the trajectory has no velocities")
    parts = _stretches(motion.velocities[atom], motion, stretch)
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
    """Longest time between frames for which a spectrum is not falsified by aliasing, fs.

    The highest frequency that frames show, ``pi / interval``, has to be twice the root mean square frequency of the
    fastest atoms (for hydrogen in water this asks for 4 fs, and its fastest vibration is then inside). NaN where the
    frequency is not known.
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
        Normalised autocorrelation of each stretch, (B, n).
    """
    interval, longest = lags_ps[1], lags_ps[-1]
    highest = min(_HIGHEST, 1.0 / (2.0 * LIGHT_CM_PER_PS * interval))
    step = 1.0 / (4.0 * LIGHT_CM_PER_PS * longest)
    wavenumbers = np.linspace(0.0, highest, min(_POINTS, 1 + int(highest / step)))
    weights = np.full(len(lags_ps), interval)
    weights[[0, -1]] /= 2.0
    window = np.cos(np.pi * lags_ps / (2.0 * longest)) ** 2
    waves = np.cos(2.0 * np.pi * LIGHT_CM_PER_PS * np.outer(lags_ps, wavenumbers))  # (n, K)
    return MeasuredCurve.of_blocks(wavenumbers, 4.0 * LIGHT_CM_PER_PS * (blocks * window * weights) @ waves)


def _stretches(series: Float, motion: Motion, stretch: float) -> list[Float]:
    """Consecutive parts of the time axis, the last ones; at least one."""
    length = max(2, round(stretch / motion.interval_ps))
    count = max(1, min(MOST_BLOCKS, len(series) // length))
    start = max(0, len(series) - count * length)
    return [series[start + k * length : start + (k + 1) * length] for k in range(count)]
