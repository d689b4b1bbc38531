"""Functions of the distance: what tells neighbors at different distances apart, and where they fade out."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["fade", "radial_functions", "radial_values", "smoothstep", "smoothstep_slope", "softened"]

T = TypeVar("T", Tensor, NDArray[np.float64])

INNER = 0.8  # below this share of the contact distance the softened distance no longer changes


def smoothstep(t: T) -> T:
    """``6 t^5 - 15 t^4 + 10 t^3``: from 0 at 0 to 1 at 1, with two continuous derivatives if t is clipped there."""
    return t * t * t * (10.0 + t * (6.0 * t - 15.0))


def smoothstep_slope(t: T) -> T:
    """Differentiate `smoothstep`: ``30 t^2 (1 - t)^2``."""
    return 30.0 * t**2 * (1.0 - t) ** 2


def softened(distance: Tensor, contact: Tensor) -> tuple[Tensor, Tensor]:
    """Distance that stops shrinking below the closest approach seen in the data, and its derivative.

    Equal to ``r`` above the contact distance ``c``, constant (0.9 c) below 0.8 c; between them the derivative is
    a `smoothstep` of ``t = (r/c - 0.8) / 0.2``, so that the second derivative is continuous. What is a
    function of it exerts no force on two atoms that are pushed into each other.

    Parameters
    ----------
    distance, contact
        angstrom, of one shape.
    """
    span = 1.0 - INNER
    t = ((distance / contact - INNER) / span).clamp(0.0, 1.0)
    integral = t**4 * (2.5 + t * (t - 3.0))  # of the derivative, 1/2 at t = 1
    soft = contact * (INNER + span / 2 + span * integral) + (distance - contact).clamp(min=0.0)
    return soft, smoothstep(t)


def fade(distance: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    """``1 - 28 x^6 + 48 x^7 - 21 x^8`` with ``x = r/cutoff``, zero from the cutoff on, and its derivative in r.

    Value, first and second derivative vanish at the cutoff. Source: Gasteiger et al., arXiv:2003.03123.
    """
    x = (distance / cutoff).clamp(max=1.0)
    x5 = x**5
    value = 1.0 - x5 * x * (28.0 - x * (48.0 - 21.0 * x))
    slope = -168.0 * x5 * (1.0 - x) ** 2 / cutoff
    return value, slope


def radial_functions(distance: Tensor, soft_slope: Tensor, cutoff: float, count: int) -> tuple[Tensor, Tensor]:
    """``B_k(r) = sqrt(2/cutoff) sin(k pi s/cutoff) / s * fade(s)``, k = 1..count, and their derivatives in r.

    Parameters
    ----------
    distance
        Softened distance ``s`` (see `softened`), angstrom, (E,).
    soft_slope
        ``ds/dr``, (E,).
    cutoff
        angstrom.
    count
        K.

    Returns
    -------
    values, slopes
        (K, E) each; zero from the cutoff on.
    """
    s = distance.clamp(max=cutoff)
    envelope, envelope_slope = fade(s, cutoff)
    wave, over = _waves(s, cutoff, count)
    angle = wave * s
    bare = torch.sin(angle) * over
    slopes = torch.cos(angle) * wave * (over * envelope * soft_slope)
    slopes += bare * ((envelope_slope - envelope / s) * soft_slope)
    return bare * envelope, slopes


def radial_values(distance: Tensor, cutoff: float, count: int) -> Tensor:
    """``B_k`` alone, (K, E), differentiable by the softened distance; parameters as for `radial_functions`."""
    s = distance.clamp(max=cutoff)
    wave, over = _waves(s, cutoff, count)
    return torch.sin(wave * s) * over * fade(s, cutoff)[0]


def _waves(s: Tensor, cutoff: float, count: int) -> tuple[Tensor, Tensor]:
    """Wave numbers, 1/angstrom, (K, 1), and ``sqrt(2/cutoff) / s``, (E,)."""
    wave = math.pi / cutoff * torch.arange(1, count + 1, dtype=s.dtype, device=s.device)[:, None]
    return wave, math.sqrt(2.0 / cutoff) / s
