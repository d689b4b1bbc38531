"""Figures of a simulation: its curves and those of the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnformd.evaluation.figures.style import COLORS, note, panels, styled
from gnnformd.evaluation.liquid.md_curves import FAMILIES
from gnnformd.evaluation.results import ComparedCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curves_figure"]

Float = NDArray[np.float64]


@styled
def curves_figure(family: str, curves: Mapping[str, ComparedCurve]) -> Figure:
    """Curves of one family, a panel each, with a band of two standard errors of the difference around the reference.

    Parameters
    ----------
    family
        Key of `gnnformd.evaluation.liquid.md_curves.FAMILIES`.
    curves
        By name.
    """
    keys = FAMILIES[family]
    rows, columns = -(-len(curves) // 3), min(3, len(curves))
    figure, axes = panels(rows, columns, (max(4.2, 3.2 * columns), 0.4 + 2.7 * rows))
    for axis in axes.flat[len(curves) :]:
        axis.set_visible(False)
    for axis, (name, curve) in zip(axes.flat, curves.items(), strict=False):
        x, y = np.array(curve.x), _array(curve.y)
        reference = None if curve.reference is None else _array(curve.reference)
        if reference is not None:
            _draw_reference(axis, x, y, reference, _band(curve))
        axis.plot(x, y, color=COLORS["model"], label="model", zorder=3)
        axis.set(title=name, xlabel=keys.x_label, xlim=(x[0], x[-1]))
        if keys.from_zero:
            highest = max(float(np.nanmax(v)) for v in (y, reference) if v is not None)
            axis.set_ylim(0, 1.3 * highest or 1.0)  # zero everywhere: g(r) of a box thinner than two bonds
    for row in axes:
        row[0].set_ylabel(keys.y_label)
    handles, names = axes.flat[0].get_legend_handles_labels()
    if len(names) > 1:
        figure.legend(handles, names, loc="outside upper right", ncols=3)
    return figure


def _draw_reference(axis: Axes, x: Float, y: Float, reference: Float, band: Float | None) -> None:
    known = np.isfinite(reference)
    if band is not None:
        axis.fill_between(
            x[known],
            (reference - band)[known],
            (reference + band)[known],
            color=COLORS["reference"],
            alpha=0.35,
            linewidth=0,
            label="2 standard errors",
        )
    line = axis.plot(x[known], reference[known], color=COLORS["reference"], linewidth=4, label="reference")[0]
    if (np.diff(known.astype(int)) > 0).any():  # known at some points only
        line.set(linestyle="none", marker="o", markersize=5)
    gap = float(np.nanmax(np.abs(y - reference))) if known.any() else float("nan")
    note(axis, [f"largest difference {gap:.2g}"], "upper right")


def _band(curve: ComparedCurve) -> Float | None:
    """Two standard errors of the difference; None where they are unknown."""
    if curve.error is None or curve.reference_error is None:
        return None
    error, other = _array(curve.error), _array(curve.reference_error)
    if not (np.isfinite(error) & np.isfinite(other)).any():
        return None
    return 2.0 * np.hypot(np.nan_to_num(error), np.nan_to_num(other))


def _array(values: Sequence[float | None]) -> Float:
    """Numbers, NaN for what JSON has as null."""
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
