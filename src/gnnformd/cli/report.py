"""Commands that write a report: ``report`` and ``demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gnnformd.cli.app import app
from gnnformd.cli.options import UnitsOption, use_threads
from gnnformd.cli.show import progress, say

__all__: list[str] = []


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN|DIR", help="Run folder, or folder with results.")],
    out: Annotated[Path | None, typer.Option(help="HTML file; report.html in the folder if not given.")] = None,
    units: UnitsOption = None,
) -> None:
    """Write one self-contained HTML page about a run."""
    from gnnformd.evaluation.report.report import write_report
    from gnnformd.units import SHOWN

    say(f"Wrote {write_report(folder, out, SHOWN[units.value] if units else None)}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write; finished steps in it are kept.")] = Path("demo"),
) -> None:
    """Generate data, train, evaluate, simulate and report in five minutes."""
    use_threads(1)  # the systems are small: on a busy machine several threads would mostly wait for each other
    from gnnformd.demo import Demo

    demo = Demo(out, say=say, progress=progress)
    say(str(demo.run()))
