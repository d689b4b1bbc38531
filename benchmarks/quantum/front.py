"""Error against cost on silicon, molybdenum and acetylacetone: sizes of this program beside others.

Usage: python -m benchmarks.quantum.front [RESULTS] --figure FILE.png

Reads the rows ``| Si, NAME | RMSE / MAE | ... | MICROSECONDS |`` of the tables in RESULTS (``docs/results.md``) whose
numbers ``benchmarks.quantum.errors``, ``benchmarks.quantum.linear`` and ``benchmarks.quantum.peers`` print, and those
with ``Mo`` and ``acac``.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import NamedTuple

from gnnformd.evaluation.figures.force_figures import save_figure
from gnnformd.evaluation.figures.style import COLORS, panels, styled


class Panel(NamedTuple):
    """One set of data: title, what a cost is, and ranges and ticks of costs and errors."""

    title: str
    step: str
    costs: tuple[float, float]
    errors: tuple[float, float]
    cost_ticks: tuple[int, ...]
    error_ticks: tuple[int, ...]


STEP = "step on one core, µs per atom"
PANELS = {
    "Si": Panel(
        "silicon",
        f"{STEP} (MACE, NequIP: a call through ASE)",
        (2, 5000),
        (50, 500),
        (3, 10, 30, 100, 300, 1000, 3000),
        (50, 100, 200, 400),
    ),
    "Mo": Panel("molybdenum", STEP, (2, 500), (50, 500), (3, 10, 30, 100, 300), (50, 100, 200, 400)),
    "acac": Panel(
        "acetylacetone at 300 K",
        "forces on one core, µs per atom",
        (10, 9000),
        (4, 50),
        (10, 100, 1000),
        (5, 10, 20, 40),
    ),
}
ROW = re.compile(r"\| (Si|Mo|acac), ([^|]+?) \| ([\d.]+) / [^|]*\|[^|]*\| ([\d.]+) \|")


class Point(NamedTuple):
    """One program or size: microseconds per atom and step, and the error of its forces."""

    data: str
    name: str
    cost: float
    error: float

    @property
    def own(self) -> bool:
        """Whether it is a size of this program."""
        return self.name.startswith("preset")


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=Path("docs/results.md"))
    parser.add_argument("--figure", type=Path, required=True)
    chosen = parser.parse_args()
    points = [
        Point(data, name.replace("`", ""), float(cost), float(error))
        for data, name, error, cost in ROW.findall(chosen.results.read_text())
    ]
    for point in points:
        print(f"{point.data:5s}{point.name:30s}{point.cost:8.1f} us{point.error:8.1f} meV/A")
    draw(points, chosen.figure)


@styled
def draw(points: list[Point], path: Path) -> None:
    """One panel for each set of data, in logarithmic scales."""
    figure, axes = panels(2, 2, (10.4, 7.2))
    axes[1, 1].remove()
    for axis, (data, panel) in zip(axes.flat, PANELS.items(), strict=False):
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(panel.title)
        mine = [point for point in points if point.data == data]
        for point in mine:
            below = point.own or any(_is_above(other, point) for other in mine)  # others lie above ours
            axis.plot(
                point.cost,
                point.error,
                "o" if point.own else "s",
                color=COLORS["model" if point.own else "second"],
            )
            axis.annotate(
                point.name,
                (point.cost, point.error),
                (0, -8 if below else 8),
                textcoords="offset points",
                fontsize=7,
                ha="center",
                va="top" if below else "bottom",
            )
        axis.set_xlabel(panel.step)
        axis.set_ylabel("RMSE of the forces, meV/Å")
        axis.set_xticks(panel.cost_ticks, [str(cost) for cost in panel.cost_ticks])
        axis.set_yticks(panel.error_ticks, [str(error) for error in panel.error_ticks])
        axis.minorticks_off()
        axis.set_xlim(*panel.costs)
        axis.set_ylim(*panel.errors)
    save_figure(figure, path)


def _is_above(other: Point, point: Point) -> bool:
    """Whether a name above the point would be written over another point."""
    return 1.0 < other.error / point.error < 1.3 and 0.5 < other.cost / point.cost < 2.0


if __name__ == "__main__":
    main()
