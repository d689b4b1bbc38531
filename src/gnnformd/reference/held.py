"""Atoms that an input holds where they are, and temperatures without them."""

from __future__ import annotations

import csv
import io
import mmap
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnformd.units import BOLTZMANN

__all__ = ["held_atoms", "leave_out_held_atoms"]

_COORDINATES = (("x", "y", "z"), ("xu", "yu", "zu"), ("xs", "ys", "zs"), ("xsu", "ysu", "zsu"))


def held_atoms(trajectory: Path) -> int:
    """Count the atoms at exactly the same place in the first, the middle and the last frame of a dump.

    0 for fewer than three frames, where the number of atoms changes, and where none of them moves.

    Parameters
    ----------
    trajectory
        The dump.
    """
    with trajectory.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        starts = [match.start() for match in re.finditer(rb"ITEM: TIMESTEP", content)]
        if len(starts) < 3:
            return 0
        ends = [*starts[1:], len(content)]
        places = [_places(content[starts[k] : ends[k]]) for k in (0, len(starts) // 2, -1)]
    if any(place.shape != places[0].shape for place in places):
        return 0
    held = (places[1] == places[0]).all(axis=1) & (places[2] == places[0]).all(axis=1)
    return 0 if held.all() else int(held.sum())


def _places(frame: bytes) -> NDArray[np.float64]:
    """Coordinates in the order of the ids, as they are written, (N, 3)."""
    rows = frame.partition(b"ITEM: ATOMS ")[2]
    line, _, table = rows.partition(b"\n")
    columns = line.decode().split()
    axes = next(axes for axes in _COORDINATES if set(axes) <= set(columns))
    wanted = [columns.index(name) for name in ("id", *axes)]
    values = np.loadtxt(io.BytesIO(table), usecols=wanted, ndmin=2)
    return values[np.argsort(values[:, 0]), 1:]


def leave_out_held_atoms(table: Path, moving: int) -> None:
    """Make the temperatures of a table of energies those of the atoms that move, from their kinetic energy.

    LAMMPS counts all atoms unless the input says otherwise (``thermo_modify temp``); temperatures that are those of
    fewer atoms stay.

    Parameters
    ----------
    table
        ``thermo.csv`` of a reference run, in ``real``.
    moving
        Number of atoms that move.
    """
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["temperature_K"] and float(row["temperature_K"]) > 0:
            thermal = 2 * float(row["kinetic_energy"]) / (3 * moving * BOLTZMANN)
            row["temperature_K"] = f"{max(thermal, float(row['temperature_K'])):.17g}"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
