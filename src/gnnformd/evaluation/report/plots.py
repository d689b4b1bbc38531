"""Interactive plots of the report: results in, a plotly specification (data and layout) out.

Colors are names of style variables of the page (``--model``), which the page replaces by the colors of its light or
dark theme. Numbers are rounded to five digits to keep the page small. Forces and energies are
given in kcal/mol/angstrom and kcal/mol, and drawn in the units that a function takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gnnformd.evaluation.liquid.md_curves import FAMILIES
from gnnformd.evaluation.report.history import ORIGINAL_ATOMS, ORIGINAL_LOG, History
from gnnformd.evaluation.results import ComparedCurve, CurveResult
from gnnformd.units import ShownUnits

__all__ = [
    "Spec",
    "curve_plot",
    "energy_plot",
    "error_plot",
    "histogram_plot",
    "learning_rate_plot",
    "loss_plot",
    "md_plot",
    "parity_plot",
    "temperature_plot",
    "validation_plot",
]

Spec = dict[str, Any]

PARITY_BINS = 90
AXES = {"x": "--model", "y": "--second", "z": "--third"}


def validation_plot(history: History, units: ShownUnits, *, along_axes: bool, with_original: bool) -> Spec:
    """Draw the error per atom of training and validation over the epochs.

    Parameters
    ----------
    history
        Errors by epoch.
    units
        That are shown.
    along_axes
        Whether to show its parts along x, y and z, which are equal for a model that is invariant.
    with_original
        Whether to show the log of the original study.
    """
    traces = []
    if along_axes:
        scale = [
            a / b if b else math.nan
            for a, b in zip(history.validation_l1_per_atom, history.validation_loss, strict=True)
        ]
        traces += [
            _line(
                history.epoch,
                [units.force * v * s for v, s in zip(values, scale, strict=True)],
                axis,
                AXES[axis],
                width=1.2,
            )
            for axis, values in history.per_axis.items()
        ]
    if any(v == v for v in history.train_l1_per_atom):
        traces.append(_epochs(history, _scaled(history.train_l1_per_atom, units), "training", "--reference"))
    traces.append(_epochs(history, _scaled(history.validation_l1_per_atom, units), "validation", "--ink"))
    if with_original:
        known = [units.force * loss / ORIGINAL_ATOMS for loss in ORIGINAL_LOG["validation_loss"]]
        trace = _line(ORIGINAL_LOG["epoch"], known, "original", "--fourth", mode="markers")
        traces.append(trace | {"marker": {"color": "--fourth", "symbol": "diamond-open", "size": 9}})
    return _plot(traces, "epoch", f"error per atom ({units.force_symbol})", log=True)


def loss_plot(history: History, units: ShownUnits, *, with_validation: bool) -> Spec:
    """Loss over the epochs; that of the validation only where it is the same quantity."""
    color = "--reference" if with_validation else "--model"
    traces = [_epochs(history, _scaled(history.train_loss, units), "training", color)]
    if with_validation:
        traces.append(_epochs(history, _scaled(history.validation_loss, units), "validation", "--model"))
    return _plot(traces, "epoch", f"loss per frame ({units.force_symbol})", log=True) | {"legend": with_validation}


def _scaled(forces: Iterable[float], units: ShownUnits) -> list[float]:
    return [units.force * force for force in forces]


def _epochs(history: History, values: Sequence[float], name: str, color: str) -> Spec:
    """Line over the epochs, with a mark at each where there are few."""
    few = len(history.epoch) < 40
    return _line(history.epoch, values, name, color, mode="lines+markers" if few else "lines")


def learning_rate_plot(history: History) -> Spec:
    """Learning rate over the epochs."""
    line = _epochs(history, history.learning_rate, "learning rate", "--fourth")
    spec = _plot([line], "epoch", "learning rate")
    spec["layout"]["yaxis"] |= {"rangemode": "tozero", "exponentformat": "power"}
    return spec | {"legend": False}


def parity_plot(reference: Sequence[Sequence[float]], predicted: Sequence[Sequence[float]], units: ShownUnits) -> Spec:
    """Density of predicted over reference components, all three axes together, with the diagonal."""
    import numpy as np

    known, found = (units.force * np.array(forces, dtype=float).ravel() for forces in (reference, predicted))
    limit = 1.05 * float(np.abs([known, found]).max())
    counts, edges, _ = np.histogram2d(found, known, bins=PARITY_BINS, range=[(-limit, limit)] * 2)
    middle = [_short(float(v)) for v in (edges[1:] + edges[:-1]) / 2]
    shade = [[None if n == 0 else _short(math.log10(n)) for n in row] for row in counts.tolist()]
    density: Spec = {
        "type": "heatmap",
        "x": middle,
        "y": middle,
        "z": shade,
        "customdata": [[int(n) for n in row] for row in counts.tolist()],
        "hovertemplate": "reference %{x}<br>predicted %{y}<br>%{customdata} components<extra></extra>",
        "colorscale": [[0, "--faint"], [1, "--strong"]],
        "zmin": 0,
        "zmax": _short(max(math.log10(counts.max()), 0.3)),
        "showscale": False,
    }
    diagonal = _line([-limit, limit], [-limit, limit], "", "--second", width=1)
    unit = units.force_symbol
    spec = _plot([diagonal | {"hoverinfo": "skip"}], f"reference ({unit})", f"predicted ({unit})")
    spec["data"].insert(0, density)
    spec["layout"]["xaxis"]["range"] = spec["layout"]["yaxis"]["range"] = [-limit, limit]
    spec["layout"]["hovermode"] = "closest"
    spec["layout"]["xaxis"]["nticks"] = 5
    return spec | {"legend": False}


def error_plot(reference: Sequence[Sequence[float]], predicted: Sequence[Sequence[float]], units: ShownUnits) -> Spec:
    """Histogram of the errors of all components, up to that which one of five hundred exceeds."""
    import numpy as np

    errors = units.force * (np.array(predicted, dtype=float) - np.array(reference, dtype=float)).ravel()
    limit = max(float(np.quantile(np.abs(errors), 0.998)), 1e-12)
    counts, edges = np.histogram(errors, bins=60, range=(-limit, limit))
    return histogram_plot(
        {"error": ((edges[1:] + edges[:-1]) / 2, 100 * counts / len(errors))},
        f"predicted − reference ({units.force_symbol})",
        "components (%)",
    )


def histogram_plot(parts: Mapping[str, tuple[Any, Any]], x: str, y: str, *, log: bool = False) -> Spec:
    """Draw steps over the middles of bins, a color for each part."""
    colors = ("--model", "--second", "--third", "--fourth", "--ink")
    traces = []
    for k, (name, (middle, heights)) in enumerate(parts.items()):
        heights = [h if h > 0 or not log else None for h in map(float, heights)]
        trace = _line([float(m) for m in middle], heights, name, colors[k % len(colors)], width=1.6)
        trace["line"]["shape"] = "hvh"
        traces.append(trace if log or len(parts) > 1 else trace | {"fill": "tozeroy", "fillcolor": "--area"})
    return _plot(traces, x, y, log=log) | {"legend": len(parts) > 1}


def curve_plot(curve: CurveResult, axis: str, units: ShownUnits) -> Spec:
    """One component of the force of two atoms over their distance.

    Parameters
    ----------
    curve
        As ``curves`` writes it.
    axis
        ``x``, ``y`` or ``z``.
    units
        That are shown.
    """
    x = curve.distance
    spec = _plot(
        [
            _line(x, _scaled(getattr(curve.reference, axis), units), "force field", "--reference", width=5),
            _line(x, _scaled(getattr(curve.predicted, axis), units), "model", "--model"),
        ],
        "distance (Å)",
        units.force_symbol if axis == "x" else "",
    )
    if axis != "x":  # y and z share a scale: any force along them is an error
        limit = 1.25 * units.force * max(curve.max_transverse, 1e-3)
        spec["layout"]["yaxis"]["range"] = [-limit, limit]
    return spec | {"legend": False}


def md_plot(family: str, curve: ComparedCurve) -> Spec:
    """One curve of a simulation and that of the reference, with a band of two standard errors where they are known.

    Parameters
    ----------
    family
        Key of `gnnformd.evaluation.liquid.md_curves.FAMILIES`.
    curve
        As ``simulate`` writes it.
    """
    keys = FAMILIES[family]
    x, traces, reference = curve.x, [], curve.reference
    if reference is not None:
        pairs = zip(curve.error or [], curve.reference_error or [], strict=False)
        band = [None if a is None or b is None else 2 * math.hypot(a, b) for a, b in pairs]
        if any(b is not None for b in band):
            traces += _band(x, reference, band)
        gaps = [k for k, v in enumerate(reference) if v is None]
        sparse = any(reference[k + 1] is not None for k in gaps if k + 1 < len(reference))
        traces.append(_line(x, reference, "reference", "--reference", mode="markers" if sparse else "lines", width=4))
    traces.append(_line(x, curve.y, "model", "--model"))
    spec = _plot(traces, keys.x_label, keys.y_label)
    if keys.from_zero:
        spec["layout"]["yaxis"]["rangemode"] = "tozero"
    return spec | {"legend": reference is not None}


def _band(x: Sequence[float], middle: Sequence[Any], width: Sequence[Any]) -> list[Spec]:
    """Two invisible lines with the area between them."""
    known = [(a, m, w) for a, m, w in zip(x, middle, width, strict=False) if m is not None and w is not None]
    inside = [a for a, _, _ in known]
    lower = _line(inside, [m - w for _, m, w in known], "", "--area", width=0)
    upper = _line(inside, [m + w for _, m, w in known], "2 standard errors", "--area", width=0)
    quiet = {"hoverinfo": "skip", "showlegend": False}
    return [lower | quiet, upper | quiet | {"fill": "tonexty", "fillcolor": "--area"}]


def temperature_plot(picoseconds: Sequence[float], temperature: Sequence[Any], target: float | None) -> Spec:
    """Temperature over time, and that of the thermostat."""
    traces = [_line(picoseconds, temperature, "temperature", "--second", width=1.4)]
    if target is not None:
        ends = [picoseconds[0], picoseconds[-1]]
        traces.append(_line(ends, [target, target], "thermostat", "--ink", width=1.2, dash="dash"))
    return _plot(traces, "time (ps)", "temperature (K)")


def energy_plot(picoseconds: Sequence[float], energy_per_atom: Sequence[Any], units: ShownUnits) -> Spec:
    """Change of the total energy per atom since the start."""
    first = next((e for e in energy_per_atom if e is not None), 0.0)
    change = [None if e is None else units.per_atom * (e - first) for e in energy_per_atom]
    line = _line(picoseconds, change, "total energy", "--model", width=1.4)
    spec = _plot([line], "time (ps)", f"{units.per_atom_symbol} per atom")
    return spec | {"legend": False}


def _line(
    x: Iterable[Any],
    y: Iterable[Any],
    name: str,
    color: str,
    *,
    mode: str = "lines",
    width: float = 2,
    dash: str = "solid",
) -> Spec:
    line = {"color": color, "width": width, "dash": dash}
    trace: Spec = {"type": "scatter", "mode": mode, "name": name, "line": line, "marker": {"color": color, "size": 6}}
    return trace | {"x": [_short(v) for v in x], "y": [_short(v) for v in y]}


def _plot(traces: Sequence[Spec], x: str, y: str, *, log: bool = False) -> Spec:
    across: Spec = {"title": {"text": x}}
    up: Spec = {"title": {"text": y}}
    values = [v for t in traces for v in t["y"] if v is not None and v > 0]
    if log and values and max(values) > 3 * min(values):
        ticks = _log_ticks(min(values), max(values))
        up |= {"type": "log", "tickvals": ticks, "ticktext": [f"{t:,.10g}".replace(",", "\u202f") for t in ticks]}
    if x == "epoch":
        epochs = [e for t in traces for e in t["x"]]
        across |= {"range": [min(epochs) - 0.5, max(epochs) + 0.5]} | ({"dtick": 1} if max(epochs) < 9 else {})
    return {"data": list(traces), "layout": {"xaxis": across, "yaxis": up}, "legend": True}


def _log_ticks(low: float, high: float) -> list[float]:
    """Choose 1, 2, 5, 10, ... over the range, all digits where that is less than three; of many, powers of ten."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)

    def within(digits: Iterable[int]) -> list[float]:
        return [m * 10.0**d for d in decades for m in digits if 0.8 * low <= m * 10.0**d <= 1.25 * high]

    fine = within((1, 2, 5))
    if len(fine) < 3:
        return within(range(1, 10))
    return fine if len(fine) <= 8 else [10.0**d for d in decades]


def _short(value: Any) -> Any:
    """Five digits; what is not a finite number leaves a gap."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return float(f"{value:.5g}") if isinstance(value, float) else value
