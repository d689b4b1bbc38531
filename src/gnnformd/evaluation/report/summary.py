"""The top of the report: three sentences and a few large numbers."""

from __future__ import annotations

from html import escape

from gnnformd.evaluation.forces.relative_error import has_forces, mean_force
from gnnformd.evaluation.formatting import count, joined, number, percent
from gnnformd.evaluation.report.files import Result, ResultFolder, TrainingRun, short_name, simulation_name
from gnnformd.evaluation.report.page import Raw
from gnnformd.evaluation.results import SimulationResult
from gnnformd.units import ShownUnits

__all__ = ["summary"]

STYLES = {
    "unstable": "bad",
    "differs": "bad",
    "too close": "bad",
    "too short": "",
    "stable": "good",
    "same": "good",
    "passed": "good",
}
"""Outcomes of simulations and of checks after trainings, the worst first, and the style classes they are shown in."""

SEVERITY = tuple(STYLES)
SUM = "summed over x, y and z and averaged over atoms"


def summary(found: ResultFolder, units: ShownUnits) -> Raw:
    """Sentences on training, accuracy and molecular dynamics, where there are results, and tiles."""
    sentences = [s for s in (_training(found, units), _accuracy(found), _dynamics(found)) if s]
    if not sentences:
        sentences = ["The folder contains reference data; no network has been trained or evaluated here yet."]
    tiles = "".join(_tiles(found, units))
    return Raw(f'<p class="lead">{escape(" ".join(sentences))}</p><div class="tiles">{tiles}</div>')


def _training(found: ResultFolder, units: ShownUnits) -> str:
    if not found.runs:
        return ""
    errors = [number(units.force * _best_error(run)) for run in found.runs]
    names = [f"(“{run.name}”, epoch {_best_epoch(run)})" for run in found.runs]
    unit = f"{units.force_symbol} per atom"
    if len(found.runs) == 1:
        text = f"One network was trained; its best validation error is {errors[0]} {unit} {names[0]}, {SUM}."
        reason = found.runs[0].history.why_unusable
        return text if reason is None else f"{text} {reason}"
    listed = joined([f"{error} {name}" for error, name in zip(errors, names, strict=True)])
    many = _in_words(len(found.runs))
    text = f"{many} networks were trained; their best validation errors are {listed} {unit}, {SUM}."
    useless = [f"“{run.name}”" for run in found.runs if run.history.why_unusable is not None]
    return text if not useless else f"{text} Not usable, with errors about as large as the forces: {joined(useless)}."


def _accuracy(found: ResultFolder) -> str:
    rows = _relative_errors(found)
    if not rows:
        return ""
    (low, model, data), (high, other, elsewhere) = rows[0], rows[-1]
    text = f"The forces of “{model}” are wrong by {percent(low)} on “{data}”"
    if len(rows) > 1:
        text += f", the best of {len(rows)} tests; the worst is “{other}” on “{elsewhere}” with {percent(high)}"
    return text + " (sum of the errors over sum of the forces)."


def _dynamics(found: ResultFolder) -> str:
    if not found.simulations:
        return ""
    worst = _worst_simulation(found)
    run = worst.content
    start = f"In {_picoseconds(run)} of molecular dynamics of {count(run.atoms)} atoms with “{short_name(run.model)}”"
    start += _among_others(worst, found)
    if not run.stable:
        step = "?" if run.stopped_at_step is None else count(run.stopped_at_step)
        return f"{start} the run stopped at step {step}."
    text = f"{start} the temperature was {_mean_temperature(run)} K"
    target = run.settings.temperature
    if target is not None and run.settings.ensemble != "nve":
        text += f" (thermostat: {number(target)} K)"
    gap = _largest_gap(run)
    if gap is not None:
        text += f", and g(r) differs from the reference by at most {number(gap, 2)}"
    return f"{text}. Compared with the reference: {run.verdict.text}." if run.verdict is not None else f"{text}."


def _tiles(found: ResultFolder, units: ShownUnits) -> list[str]:
    tiles = []
    if found.references:
        known = (r.manifest.get("frames") for r in found.references)
        frames = sum(n for n in known if isinstance(n, int))
        what = "one LAMMPS run" if len(found.references) == 1 else f"{len(found.references)} LAMMPS runs"
        tiles.append(_tile(count(frames), "frames", f"of reference data, from {what}"))
    if found.runs:
        run = min(found.runs, key=_best_error)
        error = number(units.force * _best_error(run))
        tiles.append(
            _tile(error, units.force_symbol, f"lowest validation error per atom, summed over x, y and z (“{run.name}”)")
        )
    rows = _relative_errors(found)
    if rows:
        tiles.append(_tile(percent(rows[0][0]), "", f"of the force: error of “{rows[0][1]}” on “{rows[0][2]}”"))
    outcomes = _of_simulations(found)
    outcomes += [check for check in _of_checks(found) if not outcomes or STYLES[check[0]] == "bad"]
    return tiles + [_tile(Raw(f'<span class="{STYLES[word]}">{word}</span>'), "", text) for word, text in outcomes]


def _of_simulations(found: ResultFolder) -> list[tuple[str, str]]:
    """Outcome of the worst simulation, and what it was; nothing where there is none."""
    if not found.simulations:
        return []
    worst = _worst_simulation(found)
    run = worst.content
    beside = "" if run.verdict is None else " beside the reference"
    text = (
        f"molecular dynamics{beside}, {_picoseconds(run)} with “{short_name(run.model)}”{_among_others(worst, found)}"
    )
    exceeded = [f"{name} ({verdict.removeprefix('differs: ')})" for name, verdict in _different(run).items()]
    return [(_outcome(run), text if run.verdict is not None or not exceeded else f"{text}: {'; '.join(exceeded)}")]


def _of_checks(found: ResultFolder) -> list[tuple[str, str]]:
    """Outcome of the worst check after a training, and what it showed; nothing where there is none."""
    words = {"broke": "unstable", "outside": "too close", "passed": "passed"}
    outcomes = [
        (words[check.outcome], f"after the training of “{run.name}”: {check.verdict.removeprefix('Stability: ')[:-1]}")
        for run in found.runs
        if (check := run.stability) is not None and check.outcome is not None
    ]
    return sorted(outcomes, key=lambda outcome: SEVERITY.index(outcome[0]))[:1]


def _worst_simulation(found: ResultFolder) -> Result[SimulationResult]:
    return min(found.simulations, key=lambda result: SEVERITY.index(_outcome(result.content)))


def _among_others(result: Result[SimulationResult], found: ResultFolder) -> str:
    """Name the worst simulation where there are several."""
    many = len(found.simulations)
    return f" ({simulation_name(result.path, found.folder)}, the worst of {many} simulations)" if many > 1 else ""


def _outcome(run: SimulationResult) -> str:
    """Outcome of a simulation in one or two words."""
    if not run.stable or (run.stability is not None and run.stability.reason is not None):
        return "unstable"
    if run.verdict is not None:
        return run.verdict.answer if run.verdict.answer in SEVERITY else "stable"
    return "differs" if _different(run) else "stable"


def _different(run: SimulationResult) -> dict[str, str]:
    """Verdicts of what differs, without a reference what exceeds its bound, by observable."""
    rows = {name: observable.verdict or "" for name, observable in run.observables.items()}
    return {name: verdict for name, verdict in rows.items() if verdict.startswith("differs")}


def _tile(value: str, unit: str, text: str) -> str:
    shown = value if isinstance(value, Raw) else escape(value)
    return f'<div class="tile"><b>{shown} <small>{escape(unit)}</small></b><span>{escape(text)}</span></div>'


def _relative_errors(found: ResultFolder) -> list[tuple[float, str, str]]:
    """(relative error, model, data) where there are forces to speak of, the smallest first."""
    rows = []
    usual = mean_force(entry.force for result in found.evaluations for entry in result.content.datasets)
    for result in found.evaluations:
        for entry in result.content.datasets:
            value = entry.force.relative_l1
            if value is not None and has_forces(entry.force, usual):
                rows.append((value, short_name(result.content.model), short_name(entry.path)))
    return sorted(rows)


def _best_epoch(run: TrainingRun) -> int:
    return run.history.epoch[run.history.best]


def _best_error(run: TrainingRun) -> float:
    history = run.history
    return history.validation_l1_per_atom[history.best]


def _largest_gap(run: SimulationResult) -> float | None:
    """Largest difference of any g(r) from that of the reference; None where no run is long enough to tell one."""
    gaps: list[float] = []
    for name, curve in run.curves.get("rdf", {}).items():
        observable = run.observables.get(f"largest gap of g(r), {name}")
        if observable is not None and observable.value is not None:
            gaps += [] if observable.difference is None else [observable.value]
        elif curve.reference:
            both = zip(curve.y, curve.reference, strict=False)
            gaps.append(max((abs(a - b) for a, b in both if a is not None and b is not None), default=0.0))
    return max(gaps, default=None)


def _picoseconds(run: SimulationResult) -> str:
    """Length of the run; in steps where the timestep is not known."""
    timestep = run.settings.timestep
    return f"{count(run.steps)} steps" if timestep is None else f"{number(run.steps * timestep / 1000, 3)} ps"


def _mean_temperature(run: SimulationResult) -> str:
    error = run.temperature.standard_error
    return number(run.temperature.mean, 4) + (f" ± {number(error, 2)}" if error is not None else "")


def _in_words(value: int) -> str:
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
    return words[value] if value < len(words) else str(value)
