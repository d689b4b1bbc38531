"""The head of the report: three sentences and a few large numbers."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from gnnformd.evaluation.report.files import ResultFolder, TrainingRun, short_name
from gnnformd.evaluation.report.page import Raw, count, joined, number, percent

__all__ = ["summary"]

UNIT = "kcal mol⁻¹ Å⁻¹"


def summary(found: ResultFolder) -> Raw:
    """Sentences on training, accuracy and molecular dynamics, as far as there is something to say, and tiles."""
    sentences = [s for s in (_training(found), _accuracy(found), _dynamics(found)) if s]
    if not sentences:
        sentences = ["The folder holds reference data; nothing has been trained or judged here yet."]
    return Raw(f'<p class="lead">{escape(" ".join(sentences))}</p><div class="tiles">{"".join(_tiles(found))}</div>')


def _training(found: ResultFolder) -> str:
    if not found.runs:
        return ""
    errors = joined([f"{number(_best_error(r))} (“{r.name}”, epoch {_best_epoch(r)})" for r in found.runs])
    if len(found.runs) == 1:
        run = found.runs[0]
        where = f"(“{run.name}”, epoch {_best_epoch(run)})"
        return (
            f"One network was trained; its best validation error is {number(_best_error(run))} {UNIT} per atom {where}."
        )
    many = _in_words(len(found.runs))
    return f"{many} networks were trained; their best validation errors are {errors} {UNIT} per atom."


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
    data = found.simulations[0].data
    temperature = data.get("temperature") or {}
    name = short_name(str(data.get("model", "")))
    length = _picoseconds(data)
    start = f"In {length} of molecular dynamics of {_count(data.get('atoms'))} atoms with “{name}”"
    if data.get("stable") is False:
        return f"{start} the run stopped at step {_count(data.get('stopped_at_step'))}."
    text = f"{start} the temperature was {_with_error(temperature)} K"
    target = (data.get("settings") or {}).get("temperature")
    if target is not None and (data.get("settings") or {}).get("ensemble") != "nve":
        text += f" (thermostat: {number(target)} K)"
    gap, verdict = _largest_gap(data), data.get("verdict")
    if gap is not None:
        text += f", and g(r) differs from the reference by at most {number(gap, 2)}"
    return f"{text}. Compared with the reference: {verdict['text']}." if verdict is not None else f"{text}."


def _tiles(found: ResultFolder) -> list[str]:
    tiles = []
    if found.references:
        known = (r.manifest.get("frames") for r in found.references)
        frames = sum(n for n in known if isinstance(n, int))
        what = "one LAMMPS run" if len(found.references) == 1 else f"{len(found.references)} LAMMPS runs"
        tiles.append(_tile(count(frames), "frames", f"of reference data, from {what}"))
    if found.runs:
        run = min(found.runs, key=_best_error)
        tiles.append(_tile(number(_best_error(run)), UNIT, f"lowest validation error per atom (“{run.name}”)"))
    rows = _relative_errors(found)
    if rows:
        tiles.append(_tile(percent(rows[0][0]), "", f"of the force: error of “{rows[0][1]}” on “{rows[0][2]}”"))
    if found.simulations:
        data = found.simulations[0].data
        word, mood = _word(data)
        text = f"molecular dynamics, {_picoseconds(data)} with “{short_name(str(data.get('model', '')))}”"
        tiles.append(_tile(Raw(f'<span class="{mood}">{word}</span>'), "", text))
    return tiles


def _word(data: Mapping[str, Any]) -> tuple[str, str]:
    """Say in a word what came out of a simulation, and its mood."""
    answer = (data.get("verdict") or {}).get("answer")
    if data.get("stable") is False or (data.get("stability") or {}).get("reason") is not None:
        return "unstable", "bad"
    return {"same": ("same liquid", "good"), "differs": ("differs", "bad")}.get(str(answer), ("stable", "good"))


def _tile(value: str, unit: str, text: str) -> str:
    shown = value if isinstance(value, Raw) else escape(value)
    return f'<div class="tile"><b>{shown} <small>{escape(unit)}</small></b><span>{escape(text)}</span></div>'


def _relative_errors(found: ResultFolder) -> list[tuple[float, str, str]]:
    """(relative error, model, data), the smallest first."""
    rows = []
    for result in found.evaluations:
        for entry in result.data["datasets"]:
            value = entry["force"]["relative_l1"]
            if value is not None:
                rows.append((float(value), short_name(str(result.data["model"])), short_name(str(entry["path"]))))
    return sorted(rows)


def _best_epoch(run: TrainingRun) -> int:
    return run.history.epoch[run.history.best]


def _best_error(run: TrainingRun) -> float:
    history = run.history
    return history.validation_l1_per_atom[history.best]


def _largest_gap(data: Mapping[str, Any]) -> float | None:
    gaps = [
        max((abs(a - b) for a, b in zip(c["g"], c["reference"], strict=False)), default=0.0)
        for c in (data.get("rdf") or {}).values()
        if c.get("reference")
    ]
    return max(gaps, default=None)


def _picoseconds(data: Mapping[str, Any]) -> str:
    timestep = (data.get("settings") or {}).get("timestep")
    steps = data.get("steps")
    if timestep is None or steps is None:
        return f"{_count(steps)} steps"
    return f"{number(steps * timestep / 1000, 3)} ps"


def _with_error(value: Mapping[str, Any]) -> str:
    error = value.get("standard_error")
    return number(value.get("mean"), 4) + (f" ± {number(error, 2)}" if error is not None else "")


def _count(value: Any) -> str:
    return "?" if value is None else count(int(value))


def _in_words(value: int) -> str:
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
    return words[value] if value < len(words) else str(value)
