"""Observables that are one number of a run: what a new one promises, and the list of those there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnnformd.evaluation.liquid.observed_run import ObservedRun
from gnnformd.evaluation.liquid.statistics import Estimate, estimate
from gnnformd.evaluation.liquid.verdict import Observable

__all__ = ["OBSERVABLES", "System", "compare_observables"]

Float = NDArray[np.float64]


class System(NamedTuple):
    """What is known of the atoms of both runs.

    Attributes
    ----------
    masses
        g/mol per type, (T,).
    names
        Name of each type.
    """

    masses: Float
    names: tuple[str, ...]


def temperature(run: ObservedRun, system: System) -> Estimate | None:
    """Mean of the thermo table."""
    values = run.column("temperature_K")
    return estimate(values) if len(values) else None


def _of_box(column: str) -> Callable[[ObservedRun, System], Estimate | None]:
    """Measure an edge or an angle of the box where its shape changes; its size alone is in the density."""

    def measure(run: ObservedRun, system: System) -> Estimate | None:
        values, edges = run.column(column), [run.column(name) for name in _EDGES]
        angles = [run.column(name) for name in _ANGLES]
        if not len(values) or any(len(series) != len(values) for series in (*edges, *angles)):
            return None
        if column in _ANGLES:
            return estimate(values) if _changes(values) else None
        return estimate(values) if any(map(_changes, (edges[1] / edges[0], edges[2] / edges[0], *angles))) else None

    return measure


def _changes(values: Float) -> bool:
    return float(np.ptp(values)) > _SAME * float(np.abs(values).max())


_SAME = 1e-9  # rounding of numbers with 15 digits, and of the barostat
_EDGES = {f"length_{axis}_A": f"box length {axis}, angstrom" for axis in "abc"}
_ANGLES = {f"{name}_degrees": f"box angle {name}, degrees" for name in ("alpha", "beta", "gamma")}

OBSERVABLES: dict[str, Callable[[ObservedRun, System], Estimate | None]] = {
    "temperature, K": temperature,
    **{name: _of_box(column) for column, name in (_EDGES | _ANGLES).items()},
}
"""Name, with the unit, of each observable and what measures it in the equilibrated part of a run.

None where a run does not have it. Structure, transport, pressure and density, which need more than one number or both
runs, are in modules of their own.
"""


def compare_observables(run: ObservedRun, reference: ObservedRun | None, system: System) -> dict[str, Observable]:
    """Measure every observable in the run and, where there is one, in the reference."""
    found = {}
    for name, measure in OBSERVABLES.items():
        value = measure(run, system)
        if value is not None:
            found[name] = Observable(value, None if reference is None else measure(reference, system))
    return found
