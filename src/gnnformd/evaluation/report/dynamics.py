"""The section of the report on molecular dynamics: verdicts, observables, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from gnnformd.evaluation.liquid.md_curves import FAMILIES
from gnnformd.evaluation.liquid.statistics import with_error
from gnnformd.evaluation.report.files import Result, short_name
from gnnformd.evaluation.report.page import Page, Raw, count, grid, number, table
from gnnformd.evaluation.report.plots import energy_plot, md_plot, temperature_plot

__all__ = ["simulation_section"]

METHOD = (
    "Standard errors, in brackets in units of the last digit, come from blocks of time longer than the correlation. "
    "<b>Apart</b> counts standard errors of the difference; two equal liquids are more than 2 apart in one of twenty "
    "rows. Where a run is too short for an error, nothing is said. The shaded band in a plot is two standard errors of "
    "the difference wide to either side of the reference."
)
MOODS = {"same": "good", "differs": "bad"}


def simulation_section(results: Sequence[Result], page: Page) -> Raw:
    """Verdict, observables, curves, temperature and energy of each run."""
    compared = any(result.data.get("verdict") for result in results)
    method = f"<p>{METHOD}</p>" if compared else ""
    return Raw(method + "".join(_simulation(result.data, page) for result in results))


def _simulation(data: Mapping[str, Any], page: Page) -> str:
    settings = data.get("settings") or {}
    ensemble = str(settings.get("ensemble", "")).upper()
    parts = [f"<h3>{escape(short_name(str(data['model'])))}</h3><p>{_run(data)}</p>"]
    parts += [f"<p>{sentence}</p>" for sentence in _verdicts(data)]
    parts.append(_observables(data))
    plots = []
    for family, keys in FAMILIES.items():
        plots += [page.plot(md_plot(family, c), f"{keys.title}, {name}") for name, c in data.get(family, {}).items()]
    thermo = data["thermo"]
    if thermo.get("step"):
        times = [s * settings.get("timestep", 1.0) / 1000 for s in thermo["step"]]
        target = settings.get("temperature") if ensemble != "NVE" else None
        plots.append(page.plot(temperature_plot(times, thermo["temperature"], target), "Temperature"))
        energies = thermo.get("total_energy") or []
        if any(e is not None for e in energies):
            per_atom = [None if e is None else e / data["atoms"] for e in energies]
            plots.append(page.plot(energy_plot(times, per_atom), "Total energy", "change since the start"))
    parts.append(grid(plots, 2 if len(plots) in (2, 4) else len(plots)))
    return "".join(parts)


def _run(data: Mapping[str, Any]) -> str:
    """Say what was run, and whether it came to its end."""
    settings = data.get("settings") or {}
    told = [f"{count(data['steps'])} steps", f"{count(data['atoms'])} atoms"]
    if "timestep" in settings:
        told[0] += f" of {number(settings['timestep'])} fs"
    if "ensemble" in settings:
        told.append(str(settings["ensemble"]).upper())
    told.append(f"{number(data['microseconds_per_atom_step'])} µs per atom and step")
    drift = data.get("energy_drift_per_atom_per_ns")
    if drift is not None:
        found = with_error(drift, data.get("energy_drift_standard_error"))
        told.append(f"energy drift {found} kcal/mol per atom and ns")
    if data.get("stable") is False:
        return f'<b class="bad">Unstable.</b> {escape(str(data.get("reason")))} {escape(", ".join(told))}.'
    return f'<b class="good">Came to its end.</b> {escape(", ".join(told))}.'


def _verdicts(data: Mapping[str, Any]) -> list[str]:
    """Sentences on the whole: the same liquid or not, for how long, and what could not be told."""
    sentences = []
    verdict = data.get("verdict")
    if verdict is not None:
        mood = MOODS.get(verdict["answer"], "")
        text = str(verdict["text"])
        sentences.append(f'Compared with the reference: <b class="{mood}">{escape(text)}</b>.')
    stability = data.get("stability")
    if stability is not None:
        length = f"{number(stability['stable_ps'])} ps"
        left = stability.get("reason")
        sentences.append(
            f"It stayed within the band around the reference for all of its {length}."
            if left is None
            else f'It left the band around the reference <b class="bad">after {length}</b>: {escape(str(left))}.'
        )
    notes = [str(note) for note in data.get("notes") or []]
    return sentences + [
        f'<span style="color:var(--muted)">{escape(note[:1].upper() + note[1:])}</span>' for note in notes
    ]


def _observables(data: Mapping[str, Any]) -> Raw:
    if not data["observables"]:
        return Raw("")
    rows = [
        (
            name,
            with_error(o["value"], o.get("standard_error")),
            with_error(o["reference"], o.get("reference_standard_error")),
            number(o["difference"], 2),
            _mood(o.get("verdict")),
        )
        for name, o in data["observables"].items()
    ]
    return table(("observable", "model", "reference", "apart", "verdict"), rows, text=(0, 4))


def _mood(verdict: Any) -> str:
    if verdict is None:
        return "–"
    mood = "bad" if str(verdict).startswith("differs") else "good"
    text = escape(str(verdict))
    return text if text.startswith("too") else Raw(f'<span class="{mood}">{text}</span>')
