"""Time of the forces of atoms that move, through ASE. It runs with the python of a peer, too."""

from __future__ import annotations

import statistics
import time
from typing import Any

__all__ = ["microseconds"]

EVALUATIONS = 10


def microseconds(atoms: Any) -> float:
    """Median time of energy and forces by the calculator of some atoms, which are moved before each, per atom."""
    times = []
    for seed in range(EVALUATIONS + 1):
        atoms.rattle(0.01, seed=seed)
        begun = time.perf_counter()
        atoms.get_forces()
        times.append(time.perf_counter() - begun)
    return 1e6 * statistics.median(times[1:]) / len(atoms)
