"""Observables of a run compared with the reference, and verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gnnformd.evaluation.liquid.statistics import Estimate, deviation

__all__ = ["Observable", "Verdict", "overall"]

TOO_SHORT = "too short to say"
SAME = "same within 2 standard errors"
MAX_DEVIATION = 2.0
FALSE_POSITIVE_RATE = 0.0455
"""Share of comparisons of equal quantities that are more than two standard errors apart."""

Answer = Literal["same", "differs", "too short"]


@dataclass(frozen=True)
class Verdict:
    """An answer and the sentence to print.

    Attributes
    ----------
    answer
        ``same``, ``differs`` or ``too short``.
    text
        The answer with numbers.
    """

    answer: Answer
    text: str


@dataclass(frozen=True)
class Observable:
    """A number of the run and that of the reference; the unit is part of its name.

    Attributes
    ----------
    value
        Of the run.
    reference
        Of the reference, None without one.
    largest_deviation
        Where the number is the largest of many differences: the `deviation` of the most significant of them.
    bound
        Largest value allowed for a quantity that must vanish; the reference is then zero.
    """

    value: Estimate
    reference: Estimate | None = None
    largest_deviation: float | None = None
    bound: float | None = None

    @property
    def error(self) -> float:
        """Standard error of the difference, NaN where unknown."""
        return math.nan if self.reference is None else math.hypot(*self._errors)

    @property
    def _errors(self) -> tuple[float, float]:
        return self.value.standard_error, math.nan if self.reference is None else self.reference.standard_error

    @property
    def difference(self) -> float:
        """Value minus reference in standard errors (see `deviation`), NaN where unknown or where a bound is set."""
        if self.largest_deviation is not None:
            return self.largest_deviation
        return math.nan if self.reference is None or self.bound is not None else deviation(self.value, self.reference)

    @property
    def verdict(self) -> Verdict | None:
        """Verdict of the comparison; None without a reference."""
        if self.bound is not None:
            return self._within_bound(self.bound)
        if self.reference is None:
            return None
        z = self.difference
        if math.isnan(z):
            return Verdict("too short", TOO_SHORT)
        if abs(z) <= MAX_DEVIATION:
            return Verdict("same", SAME)
        return Verdict("differs", f"differs: {_size(z)}")

    def _within_bound(self, bound: float) -> Verdict:
        size, margin = abs(self.value.value), MAX_DEVIATION * self.value.standard_error
        if size + margin <= bound:
            return Verdict("same", f"below {bound:.3g}")
        if size - margin > bound:
            return Verdict("differs", f"differs: above {bound:.3g}")
        return Verdict("too short", TOO_SHORT)

    def to_dict(self) -> dict[str, Any]:
        """Make a mapping for JSON."""
        verdict = self.verdict
        return {
            "value": self.value.value,
            "standard_error": self.value.standard_error,
            "reference": None if self.reference is None else self.reference.value,
            "reference_standard_error": None if self.reference is None else self.reference.standard_error,
            "error": self.error,
            "difference": self.difference,
            "verdict": None if verdict is None else verdict.text,
        }


def overall(observables: Mapping[str, Observable]) -> Verdict | None:
    """One verdict on all observables; None where none has a reference.

    One of twenty comparisons of equal quantities is more than two standard errors apart. The run as a whole differs
    where the deviation of one observable exceeds what the largest of so many exceeds in 4.6 % of all runs (Sidak), or
    where a bound is exceeded. Where fewer than half of them can be compared, the run is too short for a verdict.

    Parameters
    ----------
    observables
        By name.
    """
    verdicts = {name: v for name, o in observables.items() if (v := o.verdict) is not None}
    if not verdicts:
        return None
    compared = [name for name, v in verdicts.items() if v.answer != "too short"]
    too_short = [name for name, v in verdicts.items() if v.answer == "too short"]
    limit = _largest_of(sum(observables[name].bound is None for name in compared))
    different = [name for name in compared if verdicts[name].answer == "differs" and _exceeds(observables[name], limit)]
    if different:
        parts = (f"{name} ({verdicts[name].text.removeprefix('differs: ')})" for name in different)
        return Verdict("differs", f"differs: {'; '.join(parts)}")
    counted = f"{len(compared)} of {len(verdicts)} observables"
    if 2 * len(compared) < len(verdicts):
        return Verdict("too short", f"{TOO_SHORT}: only {counted} can be compared")
    rest = f"; {TOO_SHORT}: {', '.join(too_short)}" if too_short else ""
    return Verdict("same", f"{SAME}, {counted}{rest}")


def _largest_of(comparisons: int) -> float:
    """Deviation that the largest of so many comparisons of equal quantities exceeds in 4.55 % of all runs."""
    from scipy.special import ndtri

    each = 1.0 - (1.0 - FALSE_POSITIVE_RATE) ** (1.0 / max(comparisons, 1))
    return -float(ndtri(each / 2.0))


def _exceeds(observable: Observable, limit: float) -> bool:
    return observable.bound is not None or abs(observable.difference) > limit


def _size(z: float) -> str:
    return f"{abs(z):.1f} standard errors" if abs(z) < 100 else "over 100 standard errors"
