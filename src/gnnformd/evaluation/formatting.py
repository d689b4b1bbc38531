"""Numbers as text, for the report, the figures and the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["count", "joined", "number", "percent", "with_error"]


def number(value: Any, digits: int = 3) -> str:
    r"""Write some digits, no exponent for everyday sizes; a dash for what is missing or not finite.

    >>> number(16993.4), number(0.01234), number(None), number(2), number(1.5e-7)
    ('16\u202f993', '0.0123', '–', '2', '1.5e-07')
    """
    if value is None or isinstance(value, str) or not math.isfinite(value):
        return "–"
    if isinstance(value, int) or abs(value) >= 10**digits:
        return count(round(value))
    return f"{value:.{digits}g}"


def count(value: int) -> str:
    r"""Write a whole number with its thousands separated.

    >>> count(10100)
    '10\u202f100'
    """
    return f"{value:,}".replace(",", "\u202f")


def percent(value: Any) -> str:
    """Write a share as per cent with three digits.

    >>> percent(0.1234), percent(2.5), percent(0.000681), percent(0.002)
    ('12.3 %', '250 %', '0.0681 %', '0.200 %')
    """
    if value is None or not math.isfinite(value):
        return "–"
    share = 100 * value
    return f"{share:#.3g}".rstrip(".") + " %" if 1e-4 <= share < 999.5 else f"{share:.3g} %"


def joined(parts: Sequence[str]) -> str:
    """Write a list as part of a sentence.

    >>> joined(["a"]), joined(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def with_error(value: float | None, standard_error: float | None) -> str:
    """Write a number with its standard error in units of the last digit, without one where it is not known.

    >>> with_error(0.99712, 0.0034), with_error(300.41, 0.89), with_error(2284.0, 131.0), with_error(1.5, None)
    ('0.997(3)', '300.4(9)', '2280(130)', '1.5')
    """
    if value is None or not math.isfinite(value):
        return "-"
    if not standard_error or not 1e-6 < standard_error < 1e9:
        return f"{value:.4g}"
    places = -math.floor(math.log10(standard_error))
    if round(standard_error, places) * 10**places < 2 or places < 0:
        places += 1  # one digit of an error such as 1.4 is too few
    shown = round(standard_error * 10**places) if places > 0 else round(standard_error, places)
    return f"{round(value, places):.{max(places, 0)}f}({shown:.0f})"
