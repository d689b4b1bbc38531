"""HTML elements; all text from files is escaped here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from gnnformd.evaluation.report.plots import Spec
from gnnformd.units import SHOWN, ShownUnits

__all__ = ["Page", "Raw", "grid", "table"]


class Raw(str):
    """Text that is already HTML."""

    __slots__ = ()


class Page:
    """Collects the plots of a page by the names that the HTML uses for them.

    Parameters
    ----------
    units
        That forces and energies are shown in.
    """

    def __init__(self, units: ShownUnits = SHOWN["real"]) -> None:
        self.units = units
        self._specs: dict[str, Spec] = {}
        self._views: dict[str, Spec] = {}

    def plot(self, spec: Spec, title: str, aside: str = "", *, height: int = 320) -> Raw:
        """Card with a plot, its title and a short text beside it."""
        name = f"plot-{len(self._specs) + 1}"
        self._specs[name] = spec
        beside = f" <span>{escape(aside)}</span>" if aside else ""
        label = escape(f"{title} {aside}".strip(), quote=True)
        return Raw(
            f"<figure><figcaption>{escape(title)}{beside}</figcaption>"
            f'<div class="chart" id="{name}" data-height="{height}" style="height:{height}px" role="img" '
            f'aria-label="{label}"></div></figure>'
        )

    def view(self, spec: Spec, title: str, aside: str = "", *, height: int = 420) -> Raw:
        """Card with atoms in three dimensions, a slider over the time and a button that plays it."""
        name = f"view-{len(self._views) + 1}"
        self._views[name] = spec
        beside = f" <span>{escape(aside)}</span>" if aside else ""
        return Raw(
            f"<figure><figcaption>{escape(title)}{beside}</figcaption>"
            f'<div class="view" id="{name}" data-height="{height}" style="height:{height}px" role="img" '
            f'aria-label="{escape(title, quote=True)}"></div>'
            f'<div class="player"><button type="button" data-play="{name}" aria-label="play">▶</button>'
            f'<input type="range" min="0" max="{len(spec["frames"]) - 1}" value="0" data-time="{name}" '
            f'aria-label="time"><output data-at="{name}"></output></div></figure>'
        )

    def views_json(self) -> str:
        """All views as JSON that cannot close the script element around it."""
        return _as_json(self._views)

    def specs_json(self) -> str:
        """All plots as JSON that cannot close the script element around it."""
        return _as_json(self._specs)


def _as_json(specs: dict[str, Spec]) -> str:
    return json.dumps(specs, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, text: Sequence[int] = (0,), wrap: int | None = None
) -> Raw:
    """Table of numbers.

    Parameters
    ----------
    columns
        Column titles.
    rows
        Cells; a row that starts with a tab is part of the one above.
    text
        Numbers of the columns that are text.
    wrap
        Number of a column of text that may take several lines.
    """
    mark = dict.fromkeys(text, ' class="text"')
    if wrap is not None:
        mark[wrap] = ' class="text wrap"'
    head = "".join(f"<th{mark.get(k, '')}>{_cell(c)}</th>" for k, c in enumerate(columns))
    body = []
    for row in rows:
        part = ' class="part"' if str(row[0]).startswith("\t") else ""
        cells = "".join(f"<td{mark.get(k, '')}>{_cell(c)}</td>" for k, c in enumerate(row))
        body.append(f"<tr{part}>{cells}</tr>")
    return Raw(f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>')


def grid(plots: Sequence[Raw], columns: int) -> Raw:
    """Cards side by side, at most three in a row."""
    return Raw(
        f'<div class="plots" style="--columns:{max(1, min(columns, 3))}">{"".join(plots)}</div>' if plots else ""
    )


def _cell(value: Any) -> str:
    return value if isinstance(value, Raw) else escape(str(value).lstrip("\t"))
