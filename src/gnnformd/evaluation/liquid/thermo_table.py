"""The thermo table of a run: its columns and their values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["BOX_COLUMNS", "ENERGY_COLUMNS", "THERMO_COLUMNS", "VIRIAL_COLUMNS", "ThermoSeries"]

Float = NDArray[np.float64]

THERMO_COLUMNS = {
    "step": "step",
    "time_fs": "time",
    "temperature_K": "temp",
    "pressure_atm": "press",
    "potential_energy": "pe",
    "kinetic_energy": "ke",
    "total_energy": "etotal",
    "conserved_energy": "econserve",
    "volume_A3": "vol",
    **{f"length_{axis}_A": f"cell{axis}" for axis in "abc"},
    **{f"{angle}_degrees": f"cell{angle}" for angle in ("alpha", "beta", "gamma")},
}
"""Columns of ``thermo.csv`` (energies in kcal/mol) and LAMMPS's thermo keyword for each.

The names are those of a reference run. Where the model gives no energy or no virial, the columns hold ``nan``.
"""

ENERGY_COLUMNS = ("potential_energy", "total_energy", "conserved_energy")
"""Columns that need the model's energy."""

VIRIAL_COLUMNS = ("pressure_atm",)
"""Columns that need the model's virial."""


BOX_COLUMNS = (*VIRIAL_COLUMNS, "volume_A3", *list(THERMO_COLUMNS)[-6:])
"""Columns that need a box that is periodic in all directions."""


@dataclass(frozen=True)
class ThermoSeries:
    """The columns of a thermo table.

    Attributes
    ----------
    columns
        By name, each (n,).
    """

    columns: dict[str, Float]

    @staticmethod
    def names_in(path: Path) -> list[str]:
        """Names of the columns of a table."""
        with path.open() as file:
            return file.readline().strip().split(",")

    @classmethod
    def read(cls, path: Path) -> ThermoSeries:
        """Read the table of a run or of a reference run; an empty cell is NaN, an incomplete last line is dropped."""
        if not path.exists() or not path.stat().st_size:
            return cls({name: np.empty(0) for name in THERMO_COLUMNS})
        header, *lines = path.read_text().splitlines()
        names = header.split(",")
        rows = [
            [float(cell or "nan") for cell in line.split(",")] for line in lines if line.count(",") == len(names) - 1
        ]
        table = np.array(rows, dtype=np.float64).reshape(-1, len(names))
        return cls(dict(zip(names, table.T, strict=True)))

    def downsampled(self, max_rows: int) -> dict[str, list[float]]:
        """Pick the series of the report: at most ``max_rows`` rows, evenly spaced, with the first and the last."""
        count = len(self.columns["step"])
        rows = np.unique(np.linspace(0, max(count - 1, 0), min(count, max_rows)).round().astype(np.int64))
        names = {"temperature": "temperature_K", "potential_energy": "potential_energy", "total_energy": "total_energy"}
        steps: list[float] = self.columns["step"][rows].astype(np.int64).tolist()
        return {"step": steps, **{name: self.columns[column][rows].tolist() for name, column in names.items()}}
