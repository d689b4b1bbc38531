"""The sections of the report, each an HTML fragment, empty where there is nothing to show."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from gnnformd.evaluation.forces.extrapolation import name_of_grades
from gnnformd.evaluation.forces.relative_error import NEARLY_ZERO, mean_force, relative_error
from gnnformd.evaluation.formatting import count, number, percent
from gnnformd.evaluation.report.commands import commands, next_commands
from gnnformd.evaluation.report.data_summary import DataSummary, summarize
from gnnformd.evaluation.report.files import Reference, Result, ResultFolder, TrainingRun, short_name
from gnnformd.evaluation.report.page import Page, Raw, grid, table
from gnnformd.evaluation.report.plots import (
    curve_plot,
    error_plot,
    histogram_plot,
    learning_rate_plot,
    loss_plot,
    parity_plot,
    validation_plot,
)
from gnnformd.evaluation.results import CurvesResult, EvaluationResult, ForceErrors
from gnnformd.units import ShownUnits

__all__ = [
    "accuracy_section",
    "curves_section",
    "data_section",
    "making_section",
    "next_section",
    "training_section",
]

IMAGE_BYTES = 900_000
"""Figures are embedded in the page up to this total size; the others are listed by name."""

ACCURACY = (
    "<b>MAE</b> and <b>RMSE</b> are per component, <b>L1 per atom</b> is the mean over atoms of "
    '<span class="nowrap">|ΔFx| + |ΔFy| + |ΔFz|</span>, '
    "<b>of the force</b> the sum of the errors over the sum of the forces."
)
ORIGINAL = (
    " The original study reports 4.18 per atom for 216 waters, 4.24 for 1600, and over 100 % for argon with a network "
    "trained on water."
)
CURVES = (
    "Two isolated atoms, one at the origin and one at (d, 0, 0): the force on the second. Along x it should follow the "
    "force field; y and z must vanish."
)
TRANSVERSE = 1e-3  # of the largest force along x: below it, y and z are not drawn
KEY = (
    '<p class="key"><span><i style="height:6px;background:var(--reference)"></i>force field</span>'
    '<span><i style="height:3px;background:var(--model)"></i>model</span></p>'
)


def data_section(found: ResultFolder, page: Page) -> Raw:
    """Table of the LAMMPS runs, and what their data is like."""
    if not found.references:
        return Raw("")
    units = page.units
    rows = [
        (
            r.name,
            _text(r.manifest, "system"),
            _count(r, "atoms"),
            _count(r, "frames"),
            _text(r.manifest, "lammps_version"),
            _text(r.manifest, "description"),
        )
        for r in found.references
    ]
    intro = "<p>Positions and forces that LAMMPS wrote. The configuration of each run is at the end of the page.</p>"
    parts = [intro, table(("run", "system", "atoms", "frames", "LAMMPS", "description"), rows, text=(0, 1, 4), wrap=5)]
    known = [(r.name, s) for r in found.references if (s := summarize(found.folder / r.path)) is not None]
    if known:
        parts.append(_summaries(known, units))
        plots = [
            page.plot(
                histogram_plot(
                    {kind: (units.force * middle, 100 * share) for kind, (middle, share) in summary.forces.items()},
                    f"force on an atom ({units.force_symbol})",
                    "atoms (%)",
                    log=True,
                ),
                f"Forces, {name}",
                height=260,
            )
            for name, summary in known
            if summary.forces
        ]
        parts.append(grid(plots, 2 if len(plots) in (2, 4) else len(plots)))
    return Raw("".join(parts))


def _summaries(known: Sequence[tuple[str, DataSummary]], units: ShownUnits) -> Raw:
    """Temperature, density, forces and closest pairs of each run."""
    rows = []
    for name, summary in known:
        heat, density = summary.temperature, summary.density
        temperature = "–" if heat is None else f"{number(heat[0], 4)} ({number(heat[1], 3)} to {number(heat[2], 3)})"
        shown = "–" if density is None else " to ".join(dict.fromkeys(number(v, 4) for v in density))
        forces = ", ".join(f"{kind} {number(units.force * rms)}" for kind, rms in summary.force_rms.items())
        pairs = ", ".join(f"{pair} {number(distance)}" for pair, distance in summary.closest.items())
        rows.append((name, temperature, shown, forces or "–", pairs or "–"))
    columns = ("run", "temperature, K", "density, g/cm³", f"rms force, {units.force_symbol}", "closest pairs, Å")
    return table(columns, rows, text=(0, 1, 2, 3), wrap=4)


def training_section(found: ResultFolder, page: Page) -> Raw:
    """Best epoch of each run, and its curves."""
    parts = [_training_table(found.runs, page.units)] if found.runs else []
    parts += [
        Raw(f'<p><b>{escape(run.name)}</b>: <b class="bad">{escape(reason)}</b></p>')
        for run in found.runs
        for reason in run.problems
    ]
    for run in found.runs:
        history = run.history
        if len(history.epoch) < 2:
            continue
        plots = []
        if any(v == v for v in history.validation_l1_per_atom):
            axes = run.model_kind in ("gamd", "seed")
            spec = validation_plot(history, page.units, along_axes=axes, with_original=run.original)
            plots.append(page.plot(spec, "Error of the forces", "L1: |ΔFx| + |ΔFy| + |ΔFz|, mean over atoms"))
        if any(v == v for v in history.train_loss):
            spec = loss_plot(history, page.units, with_validation=run.loss_of_validation)
            plots.append(page.plot(spec, "Loss" if run.loss_of_validation else "Loss of the training"))
        if any(v == v for v in history.learning_rate):
            plots.append(page.plot(learning_rate_plot(history), "Learning rate"))
        parts.append(Raw(f"<h3>{escape(run.name)}</h3>{grid(plots, len(plots))}"))
    return Raw("".join(parts))


def _training_table(runs: Sequence[TrainingRun], units: ShownUnits) -> Raw:
    rows = []
    for run in runs:
        h = run.history
        minutes = max((s for s in h.seconds if s == s), default=0.0) / 60
        rows.append(
            (
                run.name,
                run.model_kind or "–",
                max(h.epoch),
                h.epoch[h.best],
                number(units.force * h.validation_l1_per_atom[h.best]),
                *(number(units.force * _axis_per_atom(run, axis)) for axis in "xyz"),
                number(units.force * h.validation_rmse[h.best]),
                number(minutes) if minutes else "–",
            )
        )
    columns = ("run", "network", "epochs", "best epoch", "L1 per atom", "x", "y", "z", "RMSE", "minutes")
    text = (
        f"Errors of the validation forces at the best epoch, {units.force_symbol}: <b>RMSE</b> of a component; "
        '<b>L1 per atom</b>, the mean over atoms of <span class="nowrap">|ΔFx| + |ΔFy| + |ΔFz|</span>, and its parts.'
    )
    return Raw(f"<p>{text}</p>{table(columns, rows, text=(0, 1))}")


def _axis_per_atom(run: TrainingRun, axis: str) -> float:
    return run.history.per_axis[axis][run.history.best] / run.history.atoms


def accuracy_section(results: Sequence[Result[EvaluationResult]], page: Page, *, original: bool) -> Raw:
    """Tables of errors on each dataset, per type and kind of configuration, parity plots, histograms of errors."""
    if not results:
        return Raw("")
    rows: list[tuple[str, ...]] = []
    plots = []
    usual = mean_force(entry.force for result in results for entry in result.content.datasets)
    for result in results:
        model = short_name(result.content.model)
        for entry in result.content.datasets:
            name, force, seconds = short_name(entry.path), entry.force, entry.seconds_per_frame
            most = entry.most_atoms or entry.atoms
            atoms = count(most) if most == entry.atoms else f"{count(entry.atoms)} to {count(most)}"
            counts = (count(entry.frames), atoms)
            milliseconds = number(None if seconds is None else 1000 * seconds)
            rows.append((model, name, *counts, *_errors(force, page.units, usual), milliseconds))
            kinds = force.per_type if len(force.per_type) > 1 else {}
            rows += [(f"\t{kind}", "", "", "", *_errors(part, page.units, usual), "") for kind, part in kinds.items()]
            rows += [
                (f"\t{kind}", "", count(part.frames), "", *_errors(part.force, page.units, usual), "")
                for kind, part in entry.per_config_type.items()
                if part.force is not None
            ]
            if entry.parity is not None and entry.parity.reference:
                spec = parity_plot(entry.parity.reference, entry.parity.predicted, page.units)
                aside = f"darker: more components; error {relative_error(force, usual)}"
                plots.append(page.plot(spec, f"{model} on {name}", aside, height=380))
                spec = error_plot(entry.parity.reference, entry.parity.predicted, page.units)
                plots.append(page.plot(spec, f"Errors of {model} on {name}", height=380))
    columns = ("model", "data", "frames", "atoms", "MAE", "RMSE", "L1 per atom", "of the force", "ms/frame")
    text = ACCURACY + (ORIGINAL if original else "")
    if any("F ~ 0" in row for row in rows):
        text += f" <b>F ~ 0</b>: {NEARLY_ZERO}."
    others = _energies(results, page.units) + _stresses(results, page.units) + _extrapolation(results, page.units)
    return Raw(f"<p>{text}</p>{table(columns, rows, text=(0, 1))}{others}{grid(plots, 2)}")


def _energies(results: Sequence[Result[EvaluationResult]], units: ShownUnits) -> Raw:
    """Table of the errors of energies, empty where there are none."""
    rows: list[tuple[str, ...]] = []
    for result in results:
        for entry in result.content.datasets:
            parts = {kind: part.energy for kind, part in entry.per_config_type.items()}
            names = [(short_name(result.content.model), short_name(entry.path)), *((f"\t{kind}", "") for kind in parts)]
            for name, energy in zip(names, [entry.energy, *parts.values()], strict=True):
                if energy is not None:
                    sizes = (energy.mae_per_atom, energy.rmse_per_atom, energy.mean_per_atom)
                    shown = (number(None if size is None else units.per_atom * size) for size in sizes)
                    rows.append((*name, "–" if energy.frames is None else count(energy.frames), *shown))
    if not rows:
        return Raw("")
    text = (
        f"Errors of the energies, up to a constant, {units.per_atom_symbol} per atom; mean: of the model's less the "
        "data's, and MAE and RMSE are about that of all frames of the data."
    )
    return Raw(f"<p>{text}</p>{table(('model', 'data', 'frames', 'MAE', 'RMSE', 'mean'), rows, text=(0, 1))}")


def _stresses(results: Sequence[Result[EvaluationResult]], units: ShownUnits) -> Raw:
    """Table of the errors of stresses, empty where there are none."""
    rows: list[tuple[str, ...]] = []
    for result in results:
        for entry in result.content.datasets:
            parts = {kind: part.stress for kind, part in entry.per_config_type.items()}
            names = [(short_name(result.content.model), short_name(entry.path)), *((f"\t{kind}", "") for kind in parts)]
            for name, stress in zip(names, [entry.stress, *parts.values()], strict=True):
                if stress is not None:
                    sizes = (stress.mae, stress.rmse, stress.pressure_offset)
                    rows.append((*name, count(stress.frames), *(number(units.stress * size) for size in sizes)))
    if not rows:
        return Raw("")
    text = (
        f"Errors of the stresses (virial over volume), {units.stress_unit}; pressure: mean of the model's less that of "
        "the data."
    )
    return Raw(f"<p>{text}</p>{table(('model', 'data', 'frames', 'MAE', 'RMSE', 'pressure'), rows, text=(0, 1))}")


def _extrapolation(results: Sequence[Result[EvaluationResult]], units: ShownUnits) -> Raw:
    """Table of the errors of forces by extrapolation grade, empty where no grades are known."""
    rows: list[tuple[str, ...]] = []
    for result in results:
        for entry in result.content.datasets:
            found, names = entry.extrapolation, (short_name(result.content.model), short_name(entry.path))
            for number_of_part, part in enumerate(() if found is None else found.by_grade):
                grades = name_of_grades(part.above, part.up_to)
                rmse = number(None if part.rmse is None else units.force * part.rmse)
                rows.append((*(("", "") if number_of_part else names), grades, count(part.atoms), rmse))
    if not rows:
        return Raw("")
    text = (
        f"Errors of the forces by extrapolation grade, {units.force_symbol}. The grade tells how unlike all in "
        "training the surroundings of an atom are; there it is about 1 at most."
    )
    return Raw(f"<p>{text}</p>{table(('model', 'data', 'grade', 'atoms', 'RMSE'), rows, text=(0, 1, 2))}")


def _errors(force: ForceErrors, units: ShownUnits, usual: float) -> tuple[str, ...]:
    sizes = (None if size is None else units.force * size for size in (force.mae, force.rmse, force.l1_per_atom))
    return *map(number, sizes), relative_error(force, usual)


def curves_section(results: Sequence[Result[CurvesResult]], page: Page) -> Raw:
    """Plot each curve along x; along y and z where there is anything to see."""
    if not results:
        return Raw("")
    parts = [f"<p>{CURVES}</p>{KEY}"]
    for result in results:
        model = short_name(result.content.model)
        alone = []
        for curve in result.content.curves:
            aside = f"{curve.detail}; rms error {percent(curve.relative_rms_error)}".removeprefix("; ")
            if curve.relative_rms_error_in_data is not None:
                aside += f", within the range of the data {percent(curve.relative_rms_error_in_data)}"
            straight = curve.max_transverse <= TRANSVERSE * max(map(abs, curve.reference.x), default=0.0)
            if straight:
                alone.append(page.plot(curve_plot(curve, "x", page.units), f"{model}: {curve.name}", aside, height=260))
                continue
            plots = [page.plot(curve_plot(curve, "x", page.units), "Fx", aside, height=220)]
            across = {axis: curve_plot(curve, axis, page.units) for axis in "yz"}
            plots += [page.plot(spec, f"F{axis}", "should be zero", height=220) for axis, spec in across.items()]
            parts.append(f"<h3>{escape(f'{model}: {curve.name}')}</h3>{grid(plots, 3)}")
        if alone:
            parts.append(grid(alone, 2 if len(alone) in (2, 4) else len(alone)))
            largest = max(curve.max_transverse for curve in result.content.curves)
            most = f"{number(page.units.force * largest, 2)} {page.units.force_symbol}"
            parts.append(f'<p class="quiet">{escape(model)}: along y and z at most {most}.</p>')
    return Raw("".join(parts))


def next_section(found: ResultFolder, page: Page) -> Raw:
    """Commands for what can be done next."""
    lines = next_commands(found)
    if not lines:
        return Raw("")
    parts = [f'<p>{escape(what)}</p><pre class="command">{escape(command)}</pre>' for what, command in lines]
    return Raw("".join(parts))


def making_section(found: ResultFolder, page: Page) -> Raw:
    """List the steps with their time, the configuration of each run, what each reference run is, and figures."""
    parts: list[str] = []
    if found.steps:
        rows = [
            (name, number(s.get("seconds")), str(s.get("result", "")))
            for name, s in found.steps.items()
            if isinstance(s, Mapping)
        ]
        parts.append(table(("step", "seconds", "result"), rows, text=(0,), wrap=2))
    parts.append(_folded("Commands", commands(found)))
    parts += [_folded(f"Configuration of {r.name}", r.config_text) for r in found.runs if r.config_text]
    parts += [_folded(f"Reference run {r.name}", _variables(r)) for r in found.references]
    parts.append(_gallery(found))
    return Raw("".join(parts))


def _variables(reference: Reference) -> str:
    keys = ("system", "input", "seed", "ranks", "timestep_fs", "lammps_version", "gnnformd_version")
    lines = [f"{key}: {reference.manifest[key]}" for key in keys if key in reference.manifest]
    variables = reference.manifest.get("variables") or {}
    return "\n".join([*lines, *(f"variable {name} = {value}" for name, value in variables.items())])


def _gallery(found: ResultFolder) -> str:
    shown, named, left = [], [], IMAGE_BYTES
    for path in found.images:
        size = path.stat().st_size
        name = escape(str(path.relative_to(found.folder)), quote=True)
        if size > left:
            named.append(f"<li><code>{name}</code></li>")
            continue
        left -= size
        kind = "svg+xml" if path.suffix == ".svg" else "png"
        shown.append(f'<img alt="{name}" src="data:image/{kind};base64,{_base64(path)}">')
    if not shown and not named:
        return ""
    others = f"<ul>{''.join(named)}</ul>" if named else ""
    return f'<details><summary>Figures for print</summary><div class="gallery">{"".join(shown)}</div>{others}</details>'


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def _text(manifest: Mapping[str, Any], key: str) -> str:
    value = manifest.get(key)
    return "–" if value is None else str(value)


def _count(reference: Reference, key: str) -> str:
    value = reference.manifest.get(key)
    return count(value) if isinstance(value, int) else "–"
