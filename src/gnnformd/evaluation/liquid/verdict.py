"""Observables of a run beside those of the reference, and what the comparison says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gnnformd.evaluation.liquid.statistics import Estimate, deviation

__all__ = ["Observable", "Verdict", "overall"]

TOO_SHORT = "too short to say"
SAME = "same within 2 standard errors"
LIMIT = 2.0
FALSE_ALARMS = 0.0455
"""Share of comparisons of equals that are more than two standard errors apart."""

Answer = Literal["same", "differs", "too short"]


@dataclass(frozen=True)
class Verdict:
    """An answer and the sentence to print.

    Attributes
    ----------
    answer
        In one word.
    text
        In a few.
    """

    answer: Answer
    text: str


@dataclass(frozen=True)
class Observable:
    """A number of the run beside that of the reference; the unit is in its name.

    Attributes
    ----------
    value
        Of the run.
    reference
        Of the reference, None where there is none.
    stands_out
        Where the number is the largest of many differences: how far the most significant of them is off (`deviation`).
    bound
        For what must vanish: as much is allowed. The reference is then zero.
    """

    value: Estimate
    reference: Estimate | None = None
    stands_out: float | None = None
    bound: float | None = None

    @property
    def error(self) -> float:
        """Standard error of the difference, NaN where not known."""
        return math.nan if self.reference is None else math.hypot(*self._errors)

    @property
    def _errors(self) -> tuple[float, float]:
        return self.value.standard_error, math.nan if self.reference is None else self.reference.standard_error

    @property
    def difference(self) -> float:
        """Value less reference in standard errors (see `deviation`), NaN where not known or where a bound is set."""
        if self.stands_out is not None:
            return self.stands_out
        return math.nan if self.reference is None or self.bound is not None else deviation(self.value, self.reference)

    @property
    def verdict(self) -> Verdict | None:
        """What the comparison says; None without a reference."""
        if self.bound is not None:
            return self._within_bound(self.bound)
        if self.reference is None:
            return None
        z = self.difference
        if math.isnan(z):
            return Verdict("too short", TOO_SHORT)
        if abs(z) <= LIMIT:
            return Verdict("same", SAME)
        return Verdict("differs", f"differs: {_size(z)}")

    def _within_bound(self, bound: float) -> Verdict:
        size, margin = abs(self.value.value), LIMIT * self.value.standard_error
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

    Of twenty comparisons of equals one is more than two standard errors apart. The run as a whole differs where one
    of its observables is further off than the largest of so many would be in 4.6 % of all runs (Sidak), or beyond its
    bound. Where less than half of them can be compared, nothing is said of the whole.

    Parameters
    ----------
    observables
        By name.
    """
    verdicts = {name: v for name, o in observables.items() if (v := o.verdict) is not None}
    if not verdicts:
        return None
    spoken = [name for name, v in verdicts.items() if v.answer != "too short"]
    silent = [name for name, v in verdicts.items() if v.answer == "too short"]
    limit = _limit_for(sum(observables[name].bound is None for name in spoken))
    off = [name for name in spoken if verdicts[name].answer == "differs" and _beyond(observables[name], limit)]
    if off:
        told = (f"{name} ({verdicts[name].text.removeprefix('differs: ')})" for name in off)
        return Verdict("differs", f"differs: {'; '.join(told)}")
    told_of = f"{len(spoken)} of {len(verdicts)} observables"
    if 2 * len(spoken) < len(verdicts):
        return Verdict("too short", f"{TOO_SHORT}: only {told_of} can be compared")
    rest = f"; {TOO_SHORT}: {', '.join(silent)}" if silent else ""
    return Verdict("same", f"{SAME}, {told_of}{rest}")


def _limit_for(comparisons: int) -> float:
    """Deviation that the largest of so many comparisons of equals passes in 4.55 % of all runs."""
    from scipy.special import ndtri

    each = 1.0 - (1.0 - FALSE_ALARMS) ** (1.0 / max(comparisons, 1))
    return -float(ndtri(each / 2.0))


def _beyond(observable: Observable, limit: float) -> bool:
    return observable.bound is not None or abs(observable.difference) > limit


def _size(z: float) -> str:
    return f"{abs(z):.1f} standard errors" if abs(z) < 100 else "over 100 standard errors"
