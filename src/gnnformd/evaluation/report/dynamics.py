"""The section of the report on molecular dynamics: verdicts, observables, curves."""

from __future__ import annotations

from html import escape

from gnnformd.evaluation.formatting import count, number, with_error
from gnnformd.evaluation.liquid.md_curves import FAMILIES
from gnnformd.evaluation.liquid.verdict import TOO_SHORT
from gnnformd.evaluation.report.files import Result, ResultFolder, short_name, simulation_name
from gnnformd.evaluation.report.page import Page, Raw, grid, table
from gnnformd.evaluation.report.plots import energy_plot, md_plot, temperature_plot
from gnnformd.evaluation.report.trajectory_view import trajectory_view
from gnnformd.evaluation.results import SimulationResult
from gnnformd.units import ShownUnits

__all__ = ["simulation_section"]

METHOD = (
    "Standard errors, in brackets in units of the last digit, come from blocks of time longer than the correlation "
    "time. <b>Apart</b> is the difference in standard errors; for two equal liquids it is above 2 in one of twenty "
    "rows. A row differs where it is farther apart than chance explains among so many rows. Where a run is too short "
    "for a standard error, there is no verdict. The shaded band in a plot extends two standard errors of the "
    "difference to either side of the reference."
)
STYLES = {"same": "good", "differs": "bad"}


def simulation_section(found: ResultFolder, page: Page) -> Raw:
    """Verdict, observables, curves, temperature and energy of each run."""
    results = found.simulations
    method = f"<p>{METHOD}</p>" if any(result.content.verdict is not None for result in results) else ""
    return Raw(method + "".join(_simulation(r, simulation_name(r.path, found.folder), page) for r in results))


def _simulation(result: Result[SimulationResult], name: str, page: Page) -> str:
    run = result.content
    model = f'<span class="quiet">with “{escape(short_name(run.model))}”</span>'
    parts = [f"<h3>{escape(name)}{model}</h3><p>{_summary(run, page.units)}</p>"]
    parts += [f"<p>{sentence}</p>" for sentence in _verdicts(run)]
    structure = [_curve(run, "rdf", name, page) for name in run.curves.get("rdf", {}) if _drawn(run, "rdf", name)]
    view = trajectory_view(result.path.parent, run)
    if view is not None:
        structure.append(page.view(view, "Trajectory", "drag to turn, scroll to zoom", height=284))
    parts.append(grid(structure, 2))
    parts.append(_observables(run))
    plots = [
        _curve(run, family, name, page)
        for family in FAMILIES
        if family != "rdf"
        for name in run.curves.get(family, {})
        if _drawn(run, family, name)
    ]
    thermo, settings = run.thermo, run.settings
    times = [step * (settings.timestep or 1.0) / 1000 for step in thermo.step]
    if sum(value is not None for value in thermo.temperature) > 1:
        target = None if settings.ensemble == "nve" else settings.temperature
        plots.append(page.plot(temperature_plot(times, thermo.temperature, target), "Temperature"))
    if sum(energy is not None for energy in thermo.total_energy) > 1:
        per_atom = [None if energy is None else energy / run.atoms for energy in thermo.total_energy]
        plots.append(page.plot(energy_plot(times, per_atom, page.units), "Total energy", "change since the start"))
    parts.append(grid(plots, 2 if len(plots) in (2, 4) else len(plots)))
    return "".join(parts)


def _curve(run: SimulationResult, family: str, name: str, page: Page) -> Raw:
    return page.plot(md_plot(family, run.curves[family][name]), f"{FAMILIES[family].title}, {name}")


def _drawn(run: SimulationResult, family: str, name: str) -> bool:
    """Whether a curve has at least two points."""
    return sum(value is not None for value in run.curves[family][name].y) > 1


def _summary(run: SimulationResult, units: ShownUnits) -> str:
    """Say what was run, and whether it was completed."""
    settings = run.settings
    facts = [f"{count(run.steps)} steps", f"{count(run.atoms)} atoms"]
    if settings.timestep is not None:
        facts[0] += f" of {number(settings.timestep)} fs"
    if settings.ensemble is not None:
        facts.append(settings.ensemble.upper())
    facts.append(f"{number(run.microseconds_per_atom_step)} µs per atom and step")
    drift = run.energy_drift_per_atom_per_ns
    if drift is not None:
        error = run.energy_drift_standard_error
        value = with_error(units.per_atom * drift, None if error is None else units.per_atom * error)
        facts.append(f"{run.drift_name} {value} {units.per_atom_unit} per atom and ns")
    if not run.stable:
        return f'<b class="bad">Unstable.</b> {escape(str(run.reason))} {escape(", ".join(facts))}.'
    return f'<b class="good">Completed.</b> {escape(", ".join(facts))}.'


def _verdicts(run: SimulationResult) -> list[str]:
    """Sentences on the whole run: the same liquid or not, for how long, and what could not be compared."""
    sentences = []
    if run.verdict is not None:
        style = STYLES.get(run.verdict.answer, "")
        answer, separator, undecided = run.verdict.text.partition(f"; {TOO_SHORT}")  # what is undecided is not green
        text = f'<b class="{style}">{escape(answer)}</b>{escape(separator + undecided)}'
        sentences.append(f"Compared with the reference: {text}.")
    if run.stability is not None:
        sentence = escape(run.stability.sentence(compared=run.verdict is not None))
        sentences.append(sentence if run.stability.reason is None else f'<b class="bad">{sentence}</b>')
    outside = run.outside_training
    if outside.steps:
        first = f"step {outside.first_step}: {outside.reason}"
        many = f"{count(outside.steps)} steps were outside the range of the training data; the first, {first}"
        sentences.append(escape(many if outside.steps > 1 else f"Outside the range of the training data was {first}"))
    if run.extrapolation is not None:
        sentences.append(f'<b class="bad">{escape(run.extrapolation)}</b>')
    return sentences + [
        f'<span style="color:var(--muted)">{escape(note[:1].upper() + note[1:])}</span>' for note in run.notes
    ]


def _observables(run: SimulationResult) -> Raw:
    if not run.observables:
        return Raw("")
    compared = run.verdict is not None or any(o.difference is not None for o in run.observables.values())
    rows = []
    for name, o in run.observables.items():
        reference = (with_error(o.reference, o.reference_standard_error), number(o.difference, 2)) if compared else ()
        rows.append((name, with_error(o.value, o.standard_error), *reference, _verdict(o.verdict)))
    columns = ("observable", "model", *(("reference", "apart") if compared else ()), "verdict")
    return table(columns, rows, text=(0, len(columns) - 1), wrap=len(columns) - 1)


def _verdict(verdict: str | None) -> str:
    if verdict is None:
        return "–"
    style = "bad" if verdict.startswith("differs") else "good"
    text = escape(verdict)
    return text if text.startswith("too") else Raw(f'<span class="{style}">{text}</span>')
