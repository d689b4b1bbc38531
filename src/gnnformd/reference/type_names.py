"""Names of atom types: labels, comments, elements of potential files, and elements by their mass."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gnnformd.errors import InputError
from gnnformd.reference.script import words

__all__ = ["distinct_names", "element_of_mass", "names_of_types", "united_atom"]

_TOLERANCE = 0.05
"""Largest difference of a mass from that of an element, g/mol; files round, LAMMPS's Ni has 58.71 instead of 58.693."""

_UNITED_ATOMS = (13.019, 14.027, 15.035, 16.043)
"""CH, CH2, CH3 and CH4, g/mol: CH2 is close to N, CH4 to O."""


def element_of_mass(mass: float) -> str | None:
    """Element whose mass differs by at most 0.05 g/mol, unless the mass is that of a `united_atom`."""
    from ase.data import chemical_symbols

    number, difference = _nearest_element(mass)
    return str(chemical_symbols[number]) if difference <= _TOLERANCE and united_atom(mass) is None else None


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names that tell all types apart: those that several types share get the number of the type.

    Examples
    --------
    >>> distinct_names(["C", "O", "H", "H"])
    ('C', 'O', 'H (3)', 'H (4)')
    """
    return tuple(n if list(names).count(n) == 1 else f"{n} ({t})" for t, n in enumerate(names, start=1))


def united_atom(mass: float) -> float | None:
    """Mass of CH, CH2, CH3 or CH4 where it is closer than that of any element, else None."""
    nearest = min(_UNITED_ATOMS, key=lambda united: abs(mass - united))
    return nearest if abs(mass - nearest) < min(_TOLERANCE, _nearest_element(mass)[1]) else None


def _nearest_element(mass: float) -> tuple[int, float]:
    """Atomic number and difference of the mass."""
    from ase.data import atomic_masses

    differences = abs(atomic_masses[1:] - mass)
    return int(differences.argmin()) + 1, float(differences.min())


def names_of_types(
    masses: Sequence[float | None], log: Path, topology: Path, folder: Path, given: Sequence[str] = ()
) -> tuple[str, ...]:
    """Name each type of a run: as given, by its label, a comment, the elements of a potential, its mass, its number.

    Parameters
    ----------
    masses
        g/mol, by type.
    log
        Log of the run, with the commands as they were run.
    topology
        Data file that LAMMPS wrote.
    folder
        Where the run found its files.
    given
        Names in the order of the types, or none.

    Raises
    ------
    InputError
        As many names as types must be given.
    """
    if given and len(given) != len(masses):
        raise InputError(
            f"--names: {len(given)} names ({', '.join(given)}) are given for {len(masses)} types of atoms; give one "
            "for each type."
        )
    if given:
        return tuple(given)
    commands = [text for text in log.read_text(errors="replace").splitlines() if "$" not in text]
    found = _of_pair_coeffs(commands, len(masses))
    found |= _of_comments(commands, folder)
    found |= {int(number): label for number, label in _rows(topology, "Atom Type Labels")}
    return tuple(
        found.get(number) or (element_of_mass(mass) if mass else None) or str(number)
        for number, mass in enumerate(masses, start=1)
    )


def _of_pair_coeffs(commands: Sequence[str], count: int) -> dict[int, str]:
    """Elements that ``pair_coeff * * FILE Si C`` maps the types to; NULL leaves a type to another line."""
    from ase.data import atomic_numbers

    found: dict[int, str] = {}
    for text in commands:
        parts = words(text)
        elements = parts[-count:]
        known = all(name == "NULL" or atomic_numbers.get(name) for name in elements)
        if parts[:3] == ["pair_coeff", "*", "*"] and len(parts) >= 4 + count and known:
            found |= {number: name for number, name in enumerate(elements, start=1) if name != "NULL"}
    return found


def _of_comments(commands: Sequence[str], folder: Path) -> dict[int, str]:
    """Comments behind ``mass`` commands and in the section Masses of data files that were read."""
    found: dict[int, str] = {}
    for text in commands:
        parts = words(text)
        if parts[:1] == ["mass"] and len(parts) == 3 and parts[1].isdigit():
            found |= _named(parts[1], text)
        elif parts[:1] == ["read_data"] and len(parts) > 1:
            for number, text_of_row in _rows(folder / parts[1], "Masses"):
                found |= _named(number, text_of_row)
    return found


def _named(number: str, text: str) -> dict[int, str]:
    """First word of a comment, by the number of the type."""
    comment = text.partition("#")[2].split()
    return {int(number): comment[0]} if comment and number.isdigit() else {}


def _rows(path: Path, section: str) -> Iterator[tuple[str, str]]:
    """First word and rest of each line in a section of a data file; nothing of a file that cannot be read."""
    inside = False
    try:
        with path.open(errors="replace") as file:
            for line in file:
                text = line.strip()
                if re.match(r"[A-Z]", text):
                    if inside:
                        return
                    inside = text.split("#")[0].strip() == section
                elif inside and text:
                    number, _, rest = text.partition(" ")
                    yield number, rest.strip()
    except OSError:
        return
