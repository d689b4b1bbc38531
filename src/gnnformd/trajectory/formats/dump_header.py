"""The header lines of a frame in a LAMMPS dump."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gnnformd.errors import InputError
from gnnformd.trajectory.fast_text.text_window import TextWindow
from gnnformd.trajectory.frame import Float
from gnnformd.units import KCAL_PER_MOL_PER_EV

__all__ = ["Header", "IncompleteFrame", "read_header"]

MAX_INTEGER = 2**63 - 1
"""Largest whole number of LAMMPS."""

MIN_EDGE, MAX_EDGE = 1e-6, 1e9
"""Bounds of the edges of a box, angstrom; beyond them no neighbor search is possible."""

_FORCE_FACTORS = {"real": 1.0, "metal": KCAL_PER_MOL_PER_EV}


class IncompleteFrame(Exception):
    """The file ends inside a frame."""


@dataclass(frozen=True)
class Header:
    """Header of one frame in a dump.

    Attributes
    ----------
    timestep, atom_count
        Of the frame.
    cell, origin, periodic
        As in `Frame`.
    columns
        Text of the ``ITEM: ATOMS`` line after these words.
    force_factor
        Factor that converts forces of the file to kcal/mol/angstrom; None where the file does not say its units.
    time
        Time of the frame in the file's units, if the file has it.
    """

    timestep: int
    atom_count: int
    cell: Float
    origin: Float
    periodic: tuple[bool, bool, bool]
    columns: str
    force_factor: float | None
    time: float | None = None


def read_header(window: TextWindow, force_factor: float | None = None) -> Header | None:
    """Read up to and including the ``ITEM: ATOMS`` line; None at the end of the file.

    Parameters
    ----------
    window
        The file, at the start of a frame.
    force_factor
        That of the frame before; ``ITEM: UNITS``, which LAMMPS writes once, changes it.

    Raises
    ------
    IncompleteFrame
        The file ends within the header.
    InputError
        A line is not what LAMMPS writes.
    """
    timestep = atom_count = box = time = None
    text = _first_line(window)
    if text is None:
        return None
    while not text.startswith("ITEM: ATOMS"):
        if text == "ITEM: UNITS":
            force_factor = _force_factor(_line(window), window)
        elif text == "ITEM: TIME":
            (time,) = _numbers(window, 1)
        elif text == "ITEM: TIMESTEP":
            timestep = _integer(window)
        elif text == "ITEM: NUMBER OF ATOMS":
            atom_count = _integer(window)
            if atom_count < 1:
                raise _fault(
                    window, f"a frame cannot have {atom_count} atoms; correct the line or write the file again"
                )
        elif text.startswith("ITEM: BOX BOUNDS"):
            box = _box(window, text.split()[3:])
        elif text.startswith("ITEM:"):
            raise _fault(window, f"'{text[:40]}' is unknown; write the file with 'dump custom'")
        else:
            raise _fault(
                window,
                f"'{text[:40]}' is not an 'ITEM:' line, so the number of rows may be wrong; write the file again",
            )
        text = _line(window)
    if timestep is None or atom_count is None or box is None:
        raise _fault(window, "the frame has no TIMESTEP, NUMBER OF ATOMS or BOX BOUNDS; write it with 'dump custom'")
    columns = text[len("ITEM: ATOMS") :].strip()
    return Header(timestep, atom_count, *box, columns=columns, force_factor=force_factor, time=time)


def _first_line(window: TextWindow) -> str | None:
    """Return the first line that is not blank; None at the end of the file."""
    text: str | None = ""
    while text == "":
        text = window.next_line()
    if text is None and (not window.is_empty or window.cut_off):
        raise IncompleteFrame
    return text


def _line(window: TextWindow) -> str:
    text = window.next_line()
    if text is None:
        raise IncompleteFrame
    return text


def _fault(window: TextWindow, text: str) -> InputError:
    return InputError(f"{window.path}, line {window.line}: {text}.")


def _integer(window: TextWindow) -> int:
    text = _line(window)
    try:
        value = int(text.replace("_", "?"))  # valid in Python, not in LAMMPS
    except ValueError:
        raise _fault(window, f"'{text[:40]}' is not a whole number; correct the line or write the file again") from None
    if abs(value) > MAX_INTEGER:
        raise _fault(
            window, f"'{text[:40]}' is larger than any whole number of LAMMPS; correct the line or write the file again"
        )
    return value


def _numbers(window: TextWindow, count: int) -> list[float]:
    text = _line(window)
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        values = []
    if len(values) != count or not math.isfinite(sum(values)):
        raise _fault(
            window, f"'{text[:60]}' should be {count} finite numbers; correct the line or write the file again"
        )
    return values


def _force_factor(units: str, window: TextWindow) -> float:
    if units not in _FORCE_FACTORS:
        raise _fault(window, f"units '{units[:40]}' are not supported; run LAMMPS with 'units real' or 'units metal'")
    return _FORCE_FACTORS[units]


def _box(window: TextWindow, words: list[str]) -> tuple[Float, Float, tuple[bool, bool, bool]]:
    """Cell, origin and periodicity from the three lines of the box; ``words`` follow BOX BOUNDS."""
    general, tilted = words[:2] == ["abc", "origin"], words[:3] == ["xy", "xz", "yz"]
    flags = words[2:] if general else words[3:] if tilted else words
    if flags != ["pp"] * 3 and (len(flags) not in (0, 3) or any(len(f) != 2 or f.strip("pfsm") for f in flags)):
        raise _fault(
            window, f"the boundary flags '{' '.join(flags)[:40]}' should be three such as 'pp pp pp'; correct the line"
        )
    rows = [_numbers(window, 4 if general else 3 if tilted else 2) for _ in range(3)]
    cell, origin = (np.array([row[:3] for row in rows]), [row[3] for row in rows]) if general else _restricted(rows)
    edges = cell.diagonal()
    if not 0 < (abs(np.linalg.det(cell)) if general else np.prod(edges)) < math.inf or (not general and min(edges) < 0):
        raise _fault(window, "the volume of the box is zero or not finite; correct the box or write the file again")
    for row in cell.tolist():
        edge = max(map(abs, row))  # approximately its length, without underflow of squares
        if not MIN_EDGE < edge < MAX_EDGE:
            raise _fault(window, f"an edge of the box is {edge:.1g} angstrom long; correct it or write the file again")
    x, y, z = (f == "pp" for f in flags or ("pp", "pp", "pp"))
    return cell, np.array(origin), (x, y, z)


def _restricted(rows: list[list[float]]) -> tuple[Float, list[float]]:
    """Cell and origin from bounds; for a tilted box LAMMPS writes those of its bounding box ("Howto triclinic")."""
    (x_low, x_high, *tilt), (y_low, y_high, *_), (z_low, z_high, *_) = rows
    xy = xz = yz = 0.0
    if tilt:
        xy, xz, yz = (row[2] for row in rows)
        x_low, x_high = x_low - min(0.0, xy, xz, xy + xz), x_high - max(0.0, xy, xz, xy + xz)
        y_low, y_high = y_low - min(0.0, yz), y_high - max(0.0, yz)
    cell = np.array([[x_high - x_low, 0.0, 0.0], [xy, y_high - y_low, 0.0], [xz, yz, z_high - z_low]])
    return cell, [x_low, y_low, z_low]
