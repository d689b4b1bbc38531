"""The style of all figures: palette, fonts, grid, and writing to a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from gnnformd.errors import InputError
from gnnformd.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["AXIS_COLORS", "COLORS", "FORCE", "STYLE", "note", "panels", "save_figure", "styled"]

P = ParamSpec("P")

FORCE = "kcal mol⁻¹ Å⁻¹"

COLORS = {
    "ink": "#1f2933",
    "muted": "#66727f",
    "grid": "#e3e7eb",
    "reference": "#9aa5b1",
    "model": "#1f6f9c",
    "second": "#c4622d",
    "third": "#5a8a55",
    "fourth": "#8a6bab",
}
"""Distinguishable with red-green color blindness, and in black-and-white print by their brightness."""

AXIS_COLORS = {"x": COLORS["model"], "y": COLORS["second"], "z": COLORS["third"]}

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "mathtext.fontset": "dejavusans",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 9,
    "axes.labelcolor": COLORS["ink"],
    "axes.edgecolor": COLORS["muted"],
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLORS["grid"],
    "grid.linewidth": 0.7,
    "text.color": COLORS["ink"],
    "xtick.color": COLORS["muted"],
    "ytick.color": COLORS["muted"],
    "xtick.labelcolor": COLORS["ink"],
    "ytick.labelcolor": COLORS["ink"],
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.7,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.6,
    "figure.facecolor": "white",
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let a figure function draw in `STYLE`, and leave matplotlib's settings as they were."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def panels(rows: int, columns: int, size: tuple[float, float], **kwargs: Any) -> tuple[Figure, Any]:
    """Figure of ``size`` inches with rows and columns of axes, an array of (rows, columns)."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.07, h_pad=0.07, hspace=0.04, wspace=0.04))
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def note(axes: Axes, lines: Sequence[str], corner: str = "upper left") -> None:
    """Write lines of text into a corner of the axes."""
    right, top = "right" in corner, "upper" in corner
    axes.text(
        0.97 if right else 0.03,
        0.97 if top else 0.03,
        "\n".join(lines),
        transform=axes.transAxes,
        ha="right" if right else "left",
        va="top" if top else "bottom",
        fontsize=8,
        color=COLORS["ink"],
        linespacing=1.45,
        bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure whole or not at all; the suffix of the name sets the format.

    Parameters
    ----------
    figure
        What to write.
    path
        ``.png`` (200 dots an inch), ``.pdf`` or ``.svg``.

    Raises
    ------
    InputError
        The suffix is none of these, or the file cannot be written.
    """
    import matplotlib

    kind = path.suffix.lower().lstrip(".")
    if kind not in ("png", "pdf", "svg"):
        raise InputError(f"{path}: figures are written as .png, .pdf or .svg; give the file one of these suffixes.")
    with replacing(path) as beside, matplotlib.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42}):
        figure.savefig(beside, format=kind, dpi=200)
