"""Errors of forces in per cent of the forces, where there are forces to speak of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

from gnnformd.evaluation.formatting import percent

__all__ = ["NEARLY_ZERO", "has_forces", "mean_force", "relative_error"]

SMALL = 0.05
"""Share of the mean force of all frames below which those of a set are nearly zero, as in relaxed structures."""

SMALLEST = 0.07
"""kcal/mol/angstrom, 1 meV/angstrom along each axis: no more than the noise of electronic structure codes."""

NEARLY_ZERO = "forces nearly zero, or small beside those of other sets, so that a percentage says nothing"


class Errors(Protocol):
    """Errors of forces as ``evaluate`` has them."""

    @property
    def l1_per_atom(self) -> float | None:
        """Mean over atoms of ``|dFx| + |dFy| + |dFz|``, kcal/mol/angstrom."""

    @property
    def relative_l1(self) -> float | None:
        """The same over the mean of ``|Fx| + |Fy| + |Fz|``; None or infinite where the forces are zero."""


def mean_force(sets: Iterable[Errors]) -> float:
    """Largest mean over atoms of ``|Fx| + |Fy| + |Fz|`` of several sets of frames, kcal/mol/angstrom."""
    return max((size for size in map(_size, sets) if math.isfinite(size)), default=0.0)


def has_forces(errors: Errors, usual: float) -> bool:
    """Whether the forces of a set are large enough to compare errors with.

    Parameters
    ----------
    errors
        Of the set.
    usual
        `mean_force` of all sets.
    """
    return _size(errors) >= max(SMALL * usual, SMALLEST)


def relative_error(errors: Errors, usual: float) -> str:
    """Write the error of a set in per cent; ``F ~ 0`` where its forces are nearly zero (see `has_forces`)."""
    return percent(errors.relative_l1) if has_forces(errors, usual) else "F ~ 0"


def _size(errors: Errors) -> float:
    if not errors.l1_per_atom or not errors.relative_l1:  # no errors at all, which are 0 %
        return math.inf if errors.relative_l1 == 0 else 0.0
    return errors.l1_per_atom / errors.relative_l1
