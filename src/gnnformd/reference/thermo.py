"""The table of energies and pressures of a trajectory."""

from __future__ import annotations

import csv
import mmap
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from gnnformd.reference.instrument import THERMO_COLUMNS
from gnnformd.units import PRESSURE_ATM, REAL, Units

__all__ = ["dumped_steps", "temperature_range", "write_thermo"]


def dumped_steps(trajectory: Path) -> list[int]:
    """Time step of each frame of a dump, without reading the frames."""
    if not trajectory.exists() or trajectory.stat().st_size == 0:
        return []
    with trajectory.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return [int(match.group(1)) for match in re.finditer(rb"ITEM: TIMESTEP\s+(\d+)", content)]


def write_thermo(printed: Path, steps: Sequence[int], table: Path, units: Units = REAL) -> list[int]:
    """Write one row per frame from what ``fix print`` printed, in units ``real``.

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
    units
        Of the input.

    Returns
    -------
    list of int
        Steps of the frames without values.
    """
    factors = [_factor(name, units) for name in THERMO_COLUMNS]
    texts = [line for line in printed.read_text().splitlines() if line and not line.startswith("#")]
    rows_of: dict[int, list[int]] = {}
    for index, text in enumerate(texts):
        rows_of.setdefault(int(text.split(",", 1)[0]), []).append(index)
    empty = "," * (len(THERMO_COLUMNS) - 1)
    last, without = -1, []
    with table.open("w") as file:
        file.write(",".join(THERMO_COLUMNS) + "\n")
        for step in steps:
            known = rows_of.get(step, [])
            later = [index for index in known if index > last]
            row = (later or known[-1:])[0] if known else None
            last = last if row is None else max(last, row)
            without += [step] if row is None else []
            file.write((f"{step}{empty}" if row is None else _converted(texts[row], factors)) + "\n")
    return without


def temperature_range(tables: Iterable[Path]) -> list[float] | None:
    """Lowest, mean and highest temperature in tables of reference runs, K; None where they have none."""
    values = []
    for table in tables:
        with table.open(newline="") as file:
            values += [float(row["temperature_K"]) for row in csv.DictReader(file) if row.get("temperature_K")]
    return [min(values), sum(values) / len(values), max(values)] if values else None


def _factor(column: str, units: Units) -> float:
    """Choose what the numbers of a column are multiplied by; 1 for units ``real``."""
    if column.startswith("virial"):  # printed as pressure times volume over PRESSURE_ATM
        return PRESSURE_ATM / units.pressure_of_energy * units.energy
    if column.endswith("_degrees"):
        return 1.0
    if column.startswith("length_"):
        return units.length
    known = {"step": 1.0, "time_fs": units.time, "temperature_K": units.temperature, "volume_A3": units.volume}
    return known.get(column, units.pressure if column.endswith("_atm") else units.energy)


def _converted(row: str, factors: Sequence[float]) -> str:
    """Row of a table times the factors; digits stay as LAMMPS printed them where the factor is one."""
    pairs = zip(row.split(","), factors, strict=True)
    return ",".join(text if factor == 1 else f"{float(text) * factor:.17g}" for text, factor in pairs)
