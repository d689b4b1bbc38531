"""Figures for papers: arrays in, a matplotlib Figure out, all in one style (see `style`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnformd.evaluation.figures.style import AXIS_COLORS, COLORS, FORCE, note, panels, save_figure, styled
from gnnformd.evaluation.formatting import percent
from gnnformd.units import SHOWN, ShownUnits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gnnformd.evaluation.forces.curves import Curve

__all__ = [
    "force_curve_figure",
    "learning_curve_figure",
    "molecular_dynamics_figure",
    "parity_figure",
    "save_figure",
]

Float = NDArray[np.float64]


@styled
def parity_figure(reference: Float, predicted: Float) -> Figure:
    """Predicted against reference forces, one panel per axis; colour is the density of points.

    Parameters
    ----------
    reference, predicted
        kcal/mol/angstrom, (M, 3).
    """
    from matplotlib.colors import LinearSegmentedColormap

    reference, predicted = np.asarray(reference), np.asarray(predicted)
    figure, axes = panels(1, 3, (9.6, 3.5), sharex=True, sharey=True)
    limit = 1.04 * float(np.abs([reference, predicted]).max(initial=1e-12))
    shades = LinearSegmentedColormap.from_list("density", ["#d5e5ee", COLORS["model"], "#0b2b40"])
    for k, (axis, name) in enumerate(zip(axes[0], "xyz", strict=True)):
        axis.plot([-limit, limit], [-limit, limit], color=COLORS["second"], linewidth=0.9, zorder=3)
        extent = (-limit, limit, -limit, limit)
        bins = axis.hexbin(
            reference[:, k],
            predicted[:, k],
            gridsize=70,
            bins="log",
            mincnt=1,
            extent=extent,
            cmap=shades,
            linewidths=0.1,
        )
        mae = float(np.abs(predicted[:, k] - reference[:, k]).mean())
        note(axis, [f"MAE {mae:.3g} {FORCE}"])
        axis.set(
            title=f"$\\mathbf{{F_{name}}}$",
            xlabel=f"reference ({FORCE})",
            xlim=extent[:2],
            ylim=extent[:2],
            aspect="equal",
        )
    axes[0, 0].set_ylabel(f"predicted ({FORCE})")
    bar = figure.colorbar(bins, ax=axes[0].tolist(), shrink=0.8, pad=0.02)
    bar.set_label("components per hexagon")
    bar.outline.set_visible(False)
    return figure


@styled
def learning_curve_figure(
    epochs: Sequence[int],
    train: Sequence[float],
    validation: Sequence[float],
    learning_rate: Sequence[float],
    *,
    per_axis: Mapping[str, Sequence[float]] | None = None,
    original_epochs: Sequence[int] | None = None,
    original_validation: Sequence[float] | None = None,
    label: str = f"loss per frame, Σ|ΔF| ({FORCE})",
) -> Figure:
    """Errors and learning rate over the epochs.

    Parameters
    ----------
    epochs, train, validation, learning_rate
        One entry per epoch; the two errors in the same unit.
    per_axis
        Validation error along ``x``, ``y`` and ``z``.
    original_epochs, original_validation
        Another run's validation error to compare with (the log printed on the original slide).
    label
        What the errors are, with the unit.
    """
    figure, axes = panels(2, 1, (6.4, 4.8), sharex=True, height_ratios=[3.2, 1])
    loss, rate = axes[:, 0]
    marker = {"marker": "o", "markersize": 3.2} if len(epochs) < 25 else {}
    for name, values in (per_axis or {}).items():
        loss.plot(epochs, values, color=AXIS_COLORS[name], linewidth=1, alpha=0.7, label=f"validation, {name}")
    loss.plot(epochs, train, color=COLORS["reference"], label="training", **marker)
    loss.plot(epochs, validation, color=COLORS["model"], label="validation", **marker)
    if original_epochs is not None and original_validation is not None:
        style = {"linestyle": "none", "marker": "D", "markersize": 4.5, "markerfacecolor": "white"}
        loss.plot(
            original_epochs, original_validation, color=COLORS["second"], label="validation, original log", **style
        )
    best = int(np.nanargmin(validation))
    loss.plot(
        epochs[best], validation[best], "o", color=COLORS["model"], markersize=7, markerfacecolor="white", zorder=4
    )
    loss.set(yscale="log", ylabel=label, title=f"Best epoch {epochs[best]}: {validation[best]:.4g}")
    loss.legend(ncols=2, loc="best")
    _plain_log_ticks(loss)
    rate.plot(epochs, learning_rate, color=COLORS["fourth"], **marker)
    rate.set(xlabel="epoch", ylabel="learning rate", ylim=(0, None))
    rate.xaxis.get_major_locator().set_params(integer=True)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    return figure


@styled
def force_curve_figure(curves: Sequence[Curve], units: ShownUnits = SHOWN["real"]) -> Figure:
    """Force on the second of two atoms, one row per curve (Lennard-Jones, Coulomb, bond), columns x, y and z.

    The y and z panels of a row share a scale: any force along them is an error.

    Parameters
    ----------
    curves
        Result of `gnnformd.evaluation.forces.curves.force_curves`.
    units
        That forces are shown in.
    """
    figure, axes = panels(len(curves), 3, (9.6, 0.6 + 2.5 * len(curves)))
    for row, curve in zip(axes, curves, strict=True):
        transverse = 1.25 * units.force * max(curve.max_transverse, 1e-3)
        reference, predicted = units.force * curve.reference, units.force * curve.predicted
        for k, (axis, name) in enumerate(zip(row, "xyz", strict=True)):
            force = f"$\\mathbf{{F_{name}}}$"
            axis.plot(curve.distance, reference[:, k], color=COLORS["reference"], linewidth=4, label="force field")
            axis.plot(curve.distance, predicted[:, k], color=COLORS["model"], label="model")
            axis.set(xlabel="distance (Å)", title=f"{curve.name}, {force}" if k == 0 else force)
            axis.set_xlim(curve.distance[0], curve.distance[-1])
            if curve.data_from is not None and curve.data_from > curve.distance[0]:
                shortest = min(curve.data_from, curve.distance[-1])
                axis.axvspan(curve.distance[0], shortest, color=COLORS["grid"], label="shorter than in the data")
            if k > 0:
                axis.set_ylim(-transverse, transverse)
        row[0].set_ylabel(f"force ({units.force_symbol})")
        corner = "upper right" if curve.reference[0, 0] > curve.reference[-1, 0] else "lower right"
        lines = [f"rms error {percent(curve.relative_rms_error)}"]
        if curve.relative_rms_error_in_data is not None:
            lines.append(f"within the data {percent(curve.relative_rms_error_in_data)}")
        note(row[0], lines, corner)
    entries = {
        name: handle for axis in axes[:, 0] for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(entries.values(), entries.keys(), loc="outside upper right", ncols=3)
    return figure


@styled
def molecular_dynamics_figure(
    time: Float,
    temperature: Float,
    energy_per_atom: Float | None = None,
    *,
    units: ShownUnits = SHOWN["real"],
    target: float | None = None,
) -> Figure:
    """Temperature and drift of the energy along a run.

    Parameters
    ----------
    time
        fs, (n,).
    temperature
        K, (n,).
    energy_per_atom
        Total energy per atom, kcal/mol, (n,); drawn as the change since the start.
    units
        That energies are shown in.
    target
        Temperature of the thermostat, K.
    """
    figure, axes = panels(
        1 if energy_per_atom is None else 2, 1, (6.4, 2.6 if energy_per_atom is None else 4.4), sharex=True
    )
    time, upper = np.asarray(time) / 1000, axes[0, 0]
    upper.plot(time, temperature, color=COLORS["second"], linewidth=1.1)
    if target is not None:
        upper.axhline(target, color=COLORS["ink"], linewidth=0.8, linestyle=(0, (4, 3)))
    thermostat = "" if target is None else f" (thermostat {target:g} K, dashed)"
    title = f"Mean temperature {np.mean(temperature):.1f} K{thermostat}"
    upper.set(ylabel="temperature (K)", title=title, xlim=(time[0], time[-1]))
    if energy_per_atom is not None:
        change = units.per_atom * (np.asarray(energy_per_atom) - energy_per_atom[0])
        axes[1, 0].plot(time, change, color=COLORS["model"], linewidth=1.1)
        axes[1, 0].set_ylabel(f"change of total energy\n({units.per_atom_symbol} per atom)")
    axes[-1, 0].set_xlabel("time (ps)")
    return figure


def _plain_log_ticks(axes: Axes) -> None:
    """Write 2000 and not 2 x 10^3 where the range spans less than a few decades."""
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(StrMethodFormatter(""))
