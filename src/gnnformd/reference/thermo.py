"""The table of energies and pressures of a trajectory."""

from __future__ import annotations

import mmap
import re
from collections.abc import Sequence
from pathlib import Path

from gnnformd.reference.instrument import THERMO_COLUMNS

__all__ = ["dumped_steps", "write_thermo"]


def dumped_steps(trajectory: Path) -> list[int]:
    """Time step of each frame of a dump, without reading the frames."""
    if not trajectory.exists() or trajectory.stat().st_size == 0:
        return []
    with trajectory.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return [int(match.group(1)) for match in re.finditer(rb"ITEM: TIMESTEP\s+(\d+)", content)]


def write_thermo(printed: Path, steps: Sequence[int], table: Path) -> None:
    """Write one row per frame from what ``fix print`` printed.

    ``fix print`` prints a step once more than the dump where a run continues at a step that was already dumped, and as
    often as the dump where a new dump begins there: rows are used in order, and one is repeated only if none is left.

    Parameters
    ----------
    printed
        Lines of comma-separated values that start with the step.
    steps
        Time steps of the frames, in order.
    table
        CSV file to write; a frame without values gets a row with the step alone.
    """
    texts = [line for line in printed.read_text().splitlines() if line and not line.startswith("#")]
    rows_of: dict[int, list[int]] = {}
    for index, text in enumerate(texts):
        rows_of.setdefault(int(text.split(",", 1)[0]), []).append(index)
    empty = "," * (len(THERMO_COLUMNS) - 1)
    last = -1
    with table.open("w") as file:
        file.write(",".join(THERMO_COLUMNS) + "\n")
        for step in steps:
            known = rows_of.get(step, [])
            later = [index for index in known if index > last]
            row = (later or known[-1:])[0] if known else None
            last = last if row is None else max(last, row)
            file.write((f"{step}{empty}" if row is None else texts[row]) + "\n")
