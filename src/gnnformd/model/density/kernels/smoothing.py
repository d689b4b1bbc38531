"""Smooth steps, and the softened distance; the same functions as in `gnnformd.model.density.radial`."""

from __future__ import annotations

from typing import TypeVar

from gnnformd.model.density.kernels.simd import Vector
from gnnformd.numba_jit import kernel

__all__ = ["smoothstep", "smoothstep_slope", "softened"]

INNER = 0.8  # below this share of the contact distance the softened distance no longer changes

T = TypeVar("T", float, Vector)


@kernel
def smoothstep(t: T) -> T:
    """``6 t^5 - 15 t^4 + 10 t^3``, from 0 at 0 to 1 at 1."""
    return t * t * t * (10.0 + t * (6.0 * t - 15.0))


@kernel
def smoothstep_slope(t: T) -> T:
    """Differentiate `smoothstep`: ``30 t^2 (1 - t)^2``."""
    product = t * (1.0 - t)
    return product * product * 30.0


@kernel
def softened(r: float, contact: float) -> tuple[float, float]:
    """Softened distance and its derivative, for r below the contact distance."""
    t = max((r / contact - INNER) / (1.0 - INNER), 0.0)
    integral = t**4 * (2.5 + t * (t - 3.0))  # of the derivative
    return contact * (INNER + 0.5 * (1.0 - INNER) + (1.0 - INNER) * integral), smoothstep(t)
