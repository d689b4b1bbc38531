"""What files of a run say: a data file in ``real``, with names of types, and the units of a dump."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from gnnformd.errors import InputError
from gnnformd.units import Units

__all__ = ["convert_data_file", "say_boundary", "say_names", "say_units"]

_UNITS = re.compile(r"\bunits\s*[= ]\s*\w+", re.IGNORECASE)
"""As the title of a data file says them (see `gnnformd.trajectory.formats.data_file.units_of_data_file`)."""

_COORDINATES = {
    # columns of the first coordinate and of the charge
    "atomic": (2, None),
    "charge": (3, 2),
    "molecular": (3, None),
    "bond": (3, None),
    "angle": (3, None),
    "full": (4, 3),
}


def convert_data_file(source: Path, target: Path, units: Units, where: str) -> None:
    """Write a data file in ``real`` units, without coefficients of a force field.

    Parameters
    ----------
    source
        A file that LAMMPS's ``write_data`` wrote, in ``units``.
    target
        File to write.
    units
        Units of the source.
    where
        Begins the error message: the user's input.

    Raises
    ------
    InputError
        The atom style has columns with units that are not known here.
    """
    section = ""
    style = ""
    with source.open() as read, target.open("w") as write:
        write.write(_UNITS.sub("units = real", next(read), count=1))
        for line in read:
            parts = line.split("#")[0].split()
            if line[:1].isupper():
                section, _, comment = (text.strip() for text in line.partition("#"))
                style = comment if section == "Atoms" else style
                if section == "Atoms" and style not in _COORDINATES:
                    raise InputError(
                        f"{where}: atoms of style '{style}' in units '{units.style}' cannot be converted; use one of "
                        f"the atom styles {', '.join(_COORDINATES)}, and name it ('Atoms # STYLE')."
                    )
            if section.endswith(" Coeffs"):
                continue
            factors = _factors(section, parts, style, units)
            if factors:
                # the rest of the line is counts, numbers of types, image flags, keywords or a comment
                end = line.partition("#")[1:]
                line = " ".join(_times(word, factors.get(k)) for k, word in enumerate(parts)) + " " + "".join(end)
                line = line.rstrip() + "\n"
            write.write(line)


def _factors(section: str, parts: list[str], style: str, units: Units) -> dict[int, float]:
    """Choose what the words of a line are multiplied by, by their place."""
    if not section:  # the header
        lengths = {"xhi": 2, "yhi": 2, "zhi": 2, "yz": 3, "avec": 3, "bvec": 3, "cvec": 3, "origin": 3}
        return dict.fromkeys(range(lengths.get(parts[-1], 0)), units.length) if parts else {}
    if len(parts) < 2:
        return {}
    if section == "Masses":
        return {1: units.mass}
    if section == "Velocities":
        return dict.fromkeys((1, 2, 3), units.velocity)
    if section == "Atoms":
        first, charge = _COORDINATES[style]
        return dict.fromkeys(range(first, first + 3), units.length) | ({} if charge is None else {charge: units.charge})
    return {}


def _times(word: str, factor: float | None) -> str:
    return word if factor is None else repr(float(word) * factor)


def say_names(data_file: Path, names: Sequence[str]) -> None:
    """Write the names of the types behind their masses, as comments; those of files with type labels stay.

    Parameters
    ----------
    data_file
        A file that LAMMPS's ``write_data`` wrote; it is replaced.
    names
        In the order of the types; a number alone is no name.
    """
    beside = data_file.with_name(f".{data_file.name}.named")
    with data_file.open() as read, beside.open("w") as write:
        for line in read:
            write.write(line)
            if line.startswith("Atom Type Labels"):
                break
            if line.strip() == "Masses":
                write.write(next(read))
                for name, row in zip(names, islice(read, len(names)), strict=True):
                    write.write(f"{row.rstrip()}  # {name}\n" if [name] == name.split() and not name.isdigit() else row)
                break
        shutil.copyfileobj(read, write, 1 << 20)
    beside.replace(data_file)


def say_boundary(data_file: Path, periodic: Sequence[bool]) -> None:
    """Write into the title of a data file which directions are not periodic, of which ``write_data`` says nothing.

    ``m``: LAMMPS's box follows the atoms and stays as wide as it was.
    """
    if all(periodic):
        return
    beside = data_file.with_name(f".{data_file.name}.bounded")
    with data_file.open() as read, beside.open("w") as write:
        flags = " ".join("p" if flag else "m" for flag in periodic)
        write.write(f"{next(read).rstrip()}, boundary = {flags}\n")
        shutil.copyfileobj(read, write, 1 << 20)
    beside.replace(data_file)


def say_units(dump: Path, units: Units) -> None:
    """Write the units of a dump at its beginning, as ``dump_modify units yes`` does; ``lj`` with its scales."""
    beside = dump.with_name(f".{dump.name}")
    with dump.open("rb") as read, beside.open("wb") as write:
        write.write(f"ITEM: UNITS\n{units}\n".encode())
        shutil.copyfileobj(read, write, 1 << 20)
    beside.replace(dump)
