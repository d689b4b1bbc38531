"""Tables of the molecular dynamics scripts."""

from __future__ import annotations

from collections.abc import Sequence

from gnnformd.evaluation.formatting import with_error
from gnnformd.simulation.md_run import MDRun

__all__ = ["compared", "show", "stable"]


def show(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table, the first row its head."""
    print(f"\n{title}\n")
    for number, row in enumerate(rows):
        print(f"| {' | '.join(row)} |")
        if number == 0:
            print("|---" * len(row) + "|")


def compared(run: MDRun) -> list[tuple[str, ...]]:
    """Each observable of a run beside that of the reference, and the verdicts."""
    rows: list[tuple[str, ...]] = [("observable", "model", "reference", "apart", "verdict")]
    for name, observable in run.comparison.observables.items():
        data, verdict = observable.to_dict(), observable.verdict
        rows.append(
            (
                name,
                with_error(data["value"], data["standard_error"]),
                with_error(data["reference"], data["reference_standard_error"]),
                with_error(data["difference"], None),
                "-" if verdict is None else verdict.text,
            )
        )
    verdict = run.comparison.verdict
    rows.append(("all", "", "", "", "-" if verdict is None else verdict.text))
    rows.append(("stable", stable(run), "", "", ""))
    return rows


def stable(run: MDRun) -> str:
    """For how long the run stayed sound and within the band around its reference."""
    if run.reason is not None:
        return f"stopped at step {run.stopped_at_step}: {run.reason}"
    stability = run.comparison.stability
    if stability is None:
        return "came to its end"
    length = f"{stability.stable_ps:.3g} ps"
    return f"all of {length}" if stability.reason is None else f"{length}, then {stability.reason}"
