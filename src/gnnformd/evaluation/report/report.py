"""One self-contained HTML page about a run or a folder of runs; it shows nothing from outside the folder."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import gnnformd
from gnnformd.evaluation.report.dynamics import simulation_section
from gnnformd.evaluation.report.files import ResultFolder, read_folder, units_of
from gnnformd.evaluation.report.page import Page
from gnnformd.evaluation.report.sections import (
    accuracy_section,
    curves_section,
    data_section,
    making_section,
    next_section,
    training_section,
)
from gnnformd.evaluation.report.stability import stability_section
from gnnformd.evaluation.report.summary import summary
from gnnformd.files import write_text
from gnnformd.units import SHOWN, ShownUnits

__all__ = ["write_report"]


def write_report(folder: Path, out: Path | None = None, units: ShownUnits | None = None) -> Path:
    """Write a report about everything in a folder.

    Parameters
    ----------
    folder
        A run folder, or a folder with several run folders, reference runs and the JSON files of ``evaluate``,
        ``curves`` and ``simulate`` (names that start so), at most four levels deep.
    out
        The HTML file; ``report.html`` in the folder by default. It is written whole or not at all.

    units
        That forces and energies are shown in; by default those of the data, as far as they can be shown.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    InputError
        The folder holds nothing to report, a file in it is damaged, or the page cannot be written.
    """
    folder = Path(folder)
    found = read_folder(folder)
    path = folder / "report.html" if out is None else Path(out)
    write_text(path, _render(found, units or SHOWN.get(units_of(found), SHOWN["real"])))
    return path


def _render(found: ResultFolder, units: ShownUnits) -> str:
    from plotly.offline import get_plotlyjs

    page = Page(units)
    original = any(run.original for run in found.runs)
    sections = [
        ("dynamics", "Molecular dynamics", simulation_section(found, page)),
        ("accuracy", "Accuracy", accuracy_section(found.evaluations, page, original=original)),
        ("curves", "Two atoms", curves_section(found.curves, page)),
        ("training", "Training", training_section(found, page)),
        ("stability", "Stability", stability_section(found)),
        ("data", "Data", data_section(found, page)),
        ("next", "What next", next_section(found, page)),
        ("making", "How it was made", making_section(found, page)),
    ]
    shown = [(name, title, text) for name, title, text in sections if text]
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in shown)
    texts = "\n".join(f'<section id="{name}"><h2>{title}</h2>\n{text}</section>' for name, title, text in shown)
    heading = found.folder.resolve().name
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    body = (
        f'<header><p class="kicker">GNNforMD report</p><h1>{escape(heading)}</h1>{summary(found, units)}</header>\n'
        f"<nav>{links}</nav>\n{texts}\n"
        f"<footer>Written by gnnformd {escape(gnnformd.__version__)}, {made}, from the files in "
        f"<code>{escape(heading)}/</code>. Forces are in {units.force_symbol}.</footer>"
    )
    template = Template((files("gnnformd.evaluation.report") / "report.html").read_text(encoding="utf-8"))
    title = escape(f"{heading} · GNNforMD")
    return template.substitute(
        title=title, body=body, plotly=get_plotlyjs(), plots=page.specs_json(), views=page.views_json()
    )
