"""The section of the report on short simulations after a training."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from gnnformd.evaluation.formatting import number
from gnnformd.evaluation.report.files import ResultFolder
from gnnformd.evaluation.report.page import Raw, table

if TYPE_CHECKING:
    from gnnformd.model.files.stability import CheckedRun, StabilityCheck

__all__ = ["stability_section"]

INTRO = (
    "Short simulations from frames of the training data, right after the training. A run passes where no two atoms "
    "come closer than 0.9 times the closest such pair in training, the energy of NVE drifts by at most 1 % of kT per "
    "atom and ps, the temperature stays, and molecules in a vacuum do not come apart."
)
OUTCOMES = {"passed": "passed", "outside": "closer than the data", "broke": "broke"}


def stability_section(found: ResultFolder) -> Raw:
    """Verdict, what went wrong first, and a table of the runs, for each training that was checked."""
    parts = [_one(run.name, run.stability) for run in found.runs if run.stability is not None]
    return Raw(f"<p>{INTRO}</p>{''.join(parts)}") if parts else Raw("")


def _one(name: str, found: StabilityCheck) -> str:
    verdict = found.verdict.removeprefix("Stability: ")
    text = f"<p><b>{escape(name)}</b>: {escape(' '.join([verdict, *found.details]))}</p>"
    if not found.runs:
        return text
    columns = ("ensemble", "temperature, K", "from", "ps", "energy drift, % of kT per atom and ps", "outcome", "at, ps")
    return f"{text}{table(columns, [_row(run) for run in found.runs], text=(0, 2, 5))}"


def _row(run: CheckedRun) -> tuple[str, ...]:
    size = (number(run.temperature_K), run.frame, number(run.picoseconds, 3))
    return (
        run.ensemble.upper(),
        *size,
        number(run.drift_percent, 2),
        OUTCOMES[run.outcome],
        number(run.at_picoseconds, 3),
    )
