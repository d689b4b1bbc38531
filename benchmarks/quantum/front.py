"""Error against cost on silicon and molybdenum: sizes of this program beside SNAP, qSNAP and POD.

Usage: python -m benchmarks.quantum.front [RESULTS] [--peer ELEMENT:NAME:MICROSECONDS:ERROR]... --figure FILE.png

Reads the rows ``| Si, NAME | RMSE / MAE | ... | MICROSECONDS |`` of the table in RESULTS (``docs/results.md``) whose
numbers ``benchmarks.quantum.errors`` and ``benchmarks.quantum.linear`` print. Peers are points measured elsewhere, with
the root mean square error of the forces in meV/angstrom.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import NamedTuple

from gnnformd.evaluation.figures.force_figures import save_figure
from gnnformd.evaluation.figures.style import COLORS, panels, styled

ELEMENTS = {"Si": "silicon", "Mo": "molybdenum"}
COSTS, ERRORS = (3, 10, 30, 100, 300), (50, 100, 200, 400)
ROW = re.compile(r"\| (Si|Mo), ([^|]+?) \| ([\d.]+) / [^|]*\|[^|]*\| ([\d.]+) \|")


class Point(NamedTuple):
    """One program or size: microseconds per atom and step, and the error of its forces."""

    element: str
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
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--figure", type=Path, required=True)
    chosen = parser.parse_args()
    points = [
        Point(element, name.replace("`", ""), float(cost), float(error))
        for element, name, error, cost in ROW.findall(chosen.results.read_text())
    ]
    for text in chosen.peer:
        element, name, cost, error = text.split(":")
        points.append(Point(element, name, float(cost), float(error)))
    for point in points:
        print(f"{point.element:4s}{point.name:20s}{point.cost:8.1f} us{point.error:8.1f} meV/A")
    draw(points, chosen.figure)


@styled
def draw(points: list[Point], path: Path) -> None:
    """One panel for each element, in logarithmic scales."""
    figure, axes = panels(1, len(ELEMENTS), (10.4, 3.6))
    for axis, (element, title) in zip(axes[0], ELEMENTS.items(), strict=True):
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(title)
        mine = [point for point in points if point.element == element]
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
        axis.set_xlabel("whole step of LAMMPS on one core, µs per atom")
        axis.set_ylabel("RMSE of the forces, meV/Å")
        axis.set_xticks(COSTS, [str(cost) for cost in COSTS])
        axis.set_yticks(ERRORS, [str(error) for error in ERRORS])
        axis.minorticks_off()
        axis.set_xlim(2, 500)
        axis.set_ylim(50, 500)
    save_figure(figure, path)


def _is_above(other: Point, point: Point) -> bool:
    """Whether a name above the point would be written over another point."""
    return 1.0 < other.error / point.error < 1.3 and 0.5 < other.cost / point.cost < 2.0


if __name__ == "__main__":
    main()
