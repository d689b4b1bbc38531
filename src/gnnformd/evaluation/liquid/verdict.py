"""Observables of a run compared with the reference, and verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gnnformd.evaluation.liquid.statistics import Estimate, deviation

__all__ = ["TOO_SHORT", "Observable", "Verdict", "judged_together", "overall", "picoseconds"]

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
    needed_ps, reference_needed_ps
        Length of the run and of the reference that would do for a verdict, about; NaN where each is long enough, or
        where no length can be told.
    comparisons
        Number of observables that are compared together. It differs where the deviation exceeds what the largest of so
        many exceeds in 4.55 % of all runs of equal liquids (Sidak).
    asked_first
        What is asked of a run before all else and this observable answers, ``density`` or ``g(r)``; '' for the others.
        One answer is enough where several observables have the same (see `overall`).
    """

    value: Estimate
    reference: Estimate | None = None
    largest_deviation: float | None = None
    bound: float | None = None
    needed_ps: float = math.nan
    reference_needed_ps: float = math.nan
    comparisons: int = 1
    asked_first: str = ""

    @property
    def lengths(self) -> float:
        """How many times as long the run would have to be for a verdict, about; NaN where it is long enough."""
        if self.bound is None or math.isnan(self.value.standard_error):
            return self.value.lengths
        margin, distance = MAX_DEVIATION * self.value.standard_error, abs(abs(self.value.value) - self.bound)
        return (margin / distance) ** 2 if margin > distance > 0.0 else math.nan  # the error falls as 1 / sqrt(length)

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
            return self._too_short()
        if abs(z) <= MAX_DEVIATION:
            return Verdict("same", SAME)
        if abs(z) <= _largest_of(self.comparisons):
            return Verdict("same", f"same: {_size(z)}, chance among {self.comparisons} observables")
        return Verdict("differs", f"differs: {_size(z)}")

    def _within_bound(self, bound: float) -> Verdict:
        size, margin = abs(self.value.value), MAX_DEVIATION * self.value.standard_error
        if size + margin <= bound:
            return Verdict("same", f"below {bound:.3g}")
        if size - margin > bound:
            return Verdict("differs", f"differs: above {bound:.3g}")
        return self._too_short()

    def _too_short(self) -> Verdict:
        needs = {"a run": self.needed_ps, "a reference": self.reference_needed_ps}
        enough = [f"{which} of about {picoseconds(needed)}" for which, needed in needs.items() if math.isfinite(needed)]
        return Verdict("too short", f"{TOO_SHORT}; {' and '.join(enough)} would do" if enough else TOO_SHORT)

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
            "needed_ps": _if_too_short(verdict, self.needed_ps),
            "reference_needed_ps": _if_too_short(verdict, self.reference_needed_ps),
        }


def _if_too_short(verdict: Verdict | None, needed_ps: float) -> float:
    return needed_ps if verdict is not None and verdict.answer == "too short" else math.nan


def picoseconds(length: float) -> str:
    """Write a length of time with two digits, rounded up.

    >>> picoseconds(1.23), picoseconds(12.0), picoseconds(1201.0)
    ('1.3 ps', '12 ps', '1300 ps')
    """
    unit = 10.0 ** (math.floor(math.log10(length)) - 1)
    rounded = math.ceil(length / unit - 1e-9) * unit
    return f"{rounded:.0f} ps" if rounded >= 10 else f"{rounded:.2g} ps"


def judged_together(observables: Mapping[str, Observable]) -> dict[str, Observable]:
    """Let the verdict on each observable allow for the number of those that are compared."""
    compared = sum(not math.isnan(o.difference) for o in observables.values())
    return {name: replace(o, comparisons=max(compared, 1)) for name, o in observables.items()}


def overall(observables: Mapping[str, Observable]) -> Verdict | None:
    """One verdict on all observables; None where none has a reference.

    One of twenty comparisons of equal quantities is more than two standard errors apart. The run as a whole differs
    where one observable differs by more than chance among so many, or exceeds its bound (see `judged_together`). The
    run is too short for a verdict where fewer than half of them can be compared, or where what is asked first has no
    answer: bonds and temperature are soon known to be the same, but do not tell two liquids apart. The sentence says
    how long a run would do.

    Parameters
    ----------
    observables
        By name.
    """
    observables = judged_together(observables)
    verdicts = {name: v for name, o in observables.items() if (v := o.verdict) is not None}
    if not verdicts:
        return None
    too_short = [name for name, v in verdicts.items() if v.answer == "too short"]
    different = [name for name, v in verdicts.items() if v.answer == "differs"]
    if different:
        parts = (f"{name} ({verdicts[name].text.removeprefix('differs: ')})" for name in different)
        return Verdict("differs", f"differs: {'; '.join(parts)}")
    bounded = {name for name, o in observables.items() if o.bound is not None} - set(too_short)
    total = len(verdicts) - len(bounded)  # what is within its bound is not compared with the reference
    if not total:
        return None
    compared = total - len(too_short)
    counted = f"{compared} of {total} observables"
    few, undecided = 2 * compared < total, _undecided(observables, too_short)
    if few or undecided:
        missing = too_short if few else [name for name in too_short if observables[name].asked_first in undecided]
        would_do = _would_do(observables, missing)
        first = f"{' and '.join(undecided)} {'are' if len(undecided) > 1 else 'is'} undecided, " if undecided else ""
        can = f"{'only ' if few else ''}{counted} can be compared"
        return Verdict("too short", f"{TOO_SHORT}: {first}{can}{would_do and f'; {would_do}'}")
    would_do = _would_do(observables, too_short)
    apart = [f"{name}, {abs(z):.1f}" for name, o in observables.items() if abs(z := o.difference) > MAX_DEVIATION]
    chance = f" (more than 2 standard errors apart, no more than by chance: {'; '.join(apart)})" if apart else ""
    rest = f"; {TOO_SHORT}: {'; '.join(too_short)}{would_do and f' ({would_do})'}" if too_short else ""
    return Verdict("same", f"{'same' if apart else SAME}, {counted}{chance}{rest}")


def _undecided(observables: Mapping[str, Observable], too_short: Sequence[str]) -> list[str]:
    """List what is asked first that none of the compared observables answers."""
    compared = {name: o.asked_first for name, o in observables.items() if o.asked_first and o.verdict is not None}
    answered = {first for name, first in compared.items() if name not in too_short}
    return [first for first in dict.fromkeys(compared.values()) if first not in answered]


def _would_do(observables: Mapping[str, Observable], too_short: Sequence[str]) -> str:
    """Name the run, and where it is too short the reference, that would do for these observables."""
    found = []
    for which in ("needed_ps", "reference_needed_ps"):
        needs = [need for name in too_short if math.isfinite(need := getattr(observables[name], which))]
        if needs:
            found.append(f"{'a run' if which == 'needed_ps' else 'a reference'} of about {picoseconds(max(needs))}")
    return f"{' and '.join(found)} would do" if found else ""


def _largest_of(comparisons: int) -> float:
    """Deviation that the largest of so many comparisons of equal quantities exceeds in 4.55 % of all runs."""
    from scipy.special import ndtri

    each = 1.0 - (1.0 - FALSE_POSITIVE_RATE) ** (1.0 / max(comparisons, 1))
    return -float(ndtri(each / 2.0))


def _size(z: float) -> str:
    return f"{abs(z):.1f} standard errors" if abs(z) < 100 else "over 100 standard errors"
