"""Atoms that an input holds where they are, and temperatures without them."""

from __future__ import annotations

import csv
import io
import mmap
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnformd.units import BOLTZMANN, VELOCITY_SQUARED_TO_ENERGY

__all__ = ["held_atoms", "leave_out_held_atoms"]

Int = NDArray[np.int64]
Float = NDArray[np.float64]

_COMPARED = 20
"""Frames of a dump that are compared; others may lie between them."""

_COORDINATES = (("x", "y", "z"), ("xu", "yu", "zu"), ("xs", "ys", "zs"), ("xsu", "ysu", "zsu"))
_SAME = 1e-4
"""Relative difference of a temperature from that of all atoms, above which it is that of others."""


def held_atoms(trajectory: Path) -> Int:
    """Ids and types of the atoms at exactly the same place in all frames of a dump, or in twenty of them, (H, 2).

    There are none in fewer than three frames, where the atoms change, and where all of them stay.

    Parameters
    ----------
    trajectory
        The dump.
    """
    nothing = np.empty((0, 2), dtype=np.int64)
    with trajectory.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        starts = [match.start() for match in re.finditer(rb"ITEM: TIMESTEP", content)]
        if len(starts) < 3:
            return nothing
        ends = [*starts[1:], len(content)]
        first = _places(content[: ends[0]])
        if first is None:
            return nothing
        held = np.ones(len(first), dtype=bool)
        for k in np.unique(np.linspace(1, len(starts) - 1, _COMPARED).round()).astype(int):
            place = _places(content[starts[k] : ends[k]])
            if place is None or place.shape != first.shape:
                return nothing
            held &= (place == first).all(axis=1)
            if not held.any():
                return nothing
    return nothing if held.all() else first[held, :2].astype(np.int64)


def _places(frame: bytes) -> Float | None:
    """Ids, types and coordinates as they are written, in the order of the ids, (N, 5); None where some are missing."""
    line, _, table = frame.partition(b"ITEM: ATOMS ")[2].partition(b"\n")
    columns = line.decode().split()
    axes = next((axes for axes in _COORDINATES if {"id", "type", *axes} <= set(columns)), None)
    if axes is None:
        return None
    wanted = [columns.index(name) for name in ("id", "type", *axes)]
    values: Float = np.loadtxt(io.BytesIO(table), usecols=wanted, ndmin=2)
    return values[np.argsort(values[:, 0])]


def leave_out_held_atoms(table: Path, topology: Path, held: Int, masses: Sequence[float | None], count: int) -> bool:
    """Make the temperatures of a table of energies those of the atoms that move, where they are those of all atoms.

    LAMMPS counts all atoms, unless the input says otherwise (``thermo_modify temp``) or constraints have taken degrees
    of freedom away. Held atoms may have velocities, which count in the kinetic energy.

    Parameters
    ----------
    table
        ``thermo.csv`` of a reference run, in ``real``.
    topology
        Its data file at the end of the run, in ``real``.
    held
        Ids and types of the held atoms, (H, 2).
    masses
        Of the types, g/mol; None where atoms have their own.
    count
        Number of all atoms.

    Returns
    -------
    bool
        Whether the temperatures were those of all atoms and are those of the others now.
    """
    known = {atom: masses[kind - 1] for atom, kind in held.tolist()}
    rest = _kinetic_energy(topology, known)
    if rest is None:
        return False
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    warm = [row for row in rows if row["temperature_K"] and float(row["temperature_K"]) > 0]
    for row in warm:
        of_all = 2 * float(row["kinetic_energy"]) / ((3 * count - 3) * BOLTZMANN)
        if abs(of_all - float(row["temperature_K"])) > _SAME * of_all:
            return False
        thermal = float(row["kinetic_energy"]) - rest
        row["temperature_K"] = f"{2 * thermal / (3 * (count - len(held)) * BOLTZMANN):.17g}"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return bool(warm)


def _kinetic_energy(topology: Path, masses: dict[int, float | None]) -> float | None:
    """Kinetic energy of atoms, kcal/mol, from their masses by id; None where a mass is not known.

    Atoms that nothing integrates keep the velocities they were given.
    """
    twice, inside = 0.0, False
    with topology.open() as file:
        for line in file:
            words = line.split("#")[0].split()
            if words and words[0].isalpha():
                inside = words == ["Velocities"]
            elif inside and words and int(words[0]) in masses:
                mass = masses[int(words[0])]
                if mass is None:
                    return None
                twice += mass * sum(float(word) ** 2 for word in words[1:4])
    return 0.5 * twice * VELOCITY_SQUARED_TO_ENERGY
