"""LAMMPS data files."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gnnformd.errors import InputError
from gnnformd.trajectory.frame import Float, Int, Topology

__all__ = [
    "DataLine",
    "DataSection",
    "boundary_of_data_file",
    "periodic_directions",
    "read_topology",
    "split_data_file",
    "units_of_data_file",
    "velocity_unit",
]

_STYLES = {
    "atomic": ("id", "type", "x", "y", "z"),
    "charge": ("id", "type", "q", "x", "y", "z"),
    "molecular": ("id", "mol", "type", "x", "y", "z"),
    "bond": ("id", "mol", "type", "x", "y", "z"),
    "angle": ("id", "mol", "type", "x", "y", "z"),
    "full": ("id", "mol", "type", "q", "x", "y", "z"),
}
_UNITS = ("real", "metal", "lj", "si", "cgs", "electron", "micro", "nano")
_VELOCITY_UNITS = {"real": 1.0, "metal": 1e-3}
_SECTION = re.compile(r"[A-Z][A-Za-z]*( [A-Z][A-Za-z]*)*")
_HEADER = re.compile(r"(?P<numbers>[-+\d.eE\s]+?)\s+(?P<key>[a-z].*)")


@dataclass(frozen=True)
class DataLine:
    """Words of a line without its comment, its number, and the comment."""

    number: int
    words: list[str]
    comment: str = ""


@dataclass
class DataSection:
    """A named part of the file; ``hint`` is the comment after its name."""

    line: int
    hint: str
    lines: list[DataLine] = field(default_factory=list)


def read_topology(path: Path) -> Topology:
    """Read a LAMMPS data file (``write_data``): types, charges, molecules, bonds, angles, masses and the box.

    Atom styles ``atomic``, ``charge``, ``molecular``, ``bond``, ``angle`` and ``full`` are identified by the comment
    after ``Atoms``, or by the number of columns. Coefficients, velocities and other sections are skipped.

    Parameters
    ----------
    path
        The data file.

    Returns
    -------
    Topology
        Atoms by ascending id; bonds and angles are pairs and triples of their indices.

    Raises
    ------
    InputError
        The file cannot be read or is not a data file; the sentence names the line.
    """
    title, header, sections = split_data_file(path)
    _units(path, title)
    if "Atoms" not in sections:
        raise InputError(f"{path}: has no section 'Atoms'; give a data file as written by 'write_data'.")
    labels = _labels(path, sections)
    columns, lines, order = _atoms(path, sections["Atoms"], header)
    cell, origin = _box(path, header)
    ids = np.array(_integers(path, lines, columns.index("id")))[order]

    def floats(name: str) -> Float:
        return np.array(_floats(path, lines, columns.index(name)))[order]

    molecules = np.array(_integers(path, lines, columns.index("mol")))[order] if "mol" in columns else None
    return Topology(
        ids=ids,
        types=np.array(_integers(path, lines, columns.index("type"), labels))[order],
        molecule_ids=molecules,
        charges=floats("q") if "q" in columns else None,
        bonds=_tuples(path, sections, "Bonds", 2, ids, header),
        angles=_tuples(path, sections, "Angles", 3, ids, header),
        masses=_masses(path, sections, header, labels),
        positions=np.stack([floats(axis) for axis in "xyz"], axis=1),
        cell=cell,
        origin=origin,
        type_names=_names(path, sections, labels),
    )


def velocity_unit(path: Path) -> float | None:
    """Find the unit of the velocities in a data file, angstrom/fs; None where the title does not say the units.

    Everything else in the file (positions, charges, masses) is the same in ``real`` and in ``metal``.

    Raises
    ------
    InputError
        The file cannot be read, or its units are others.
    """
    units = _units(path, split_data_file(path)[0])
    return None if units is None else _VELOCITY_UNITS[units]


def units_of_data_file(path: Path) -> str | None:
    """Find the unit style that the title of a data file says, of whatever kind, or None."""
    with path.open(errors="replace") as file:
        return _said_units(file.readline())


def boundary_of_data_file(path: Path) -> tuple[str, str, str]:
    """Find the boundaries that the title of a data file says (``boundary = p p s``), as LAMMPS names them.

    LAMMPS itself writes none; without them all directions are periodic.

    Raises
    ------
    InputError
        They are none that LAMMPS has.
    """
    with path.open(errors="replace") as file:
        title = file.readline()
    found = re.search(r"\bboundary\s*=\s*(.*)", title, re.IGNORECASE)
    if found is None:
        return ("p", "p", "p")
    words: list[str] = found[1].replace(",", " ").split()
    x, y, z = (words + 3 * [""])[:3]
    if not all(re.fullmatch("p|pp|[fsm]{1,2}", word) for word in (x, y, z)):
        raise InputError(f"{path}, line 1: 'boundary = {x} {y} {z}' is not one of LAMMPS; write for instance 'p p s'.")
    return x, y, z


def periodic_directions(path: Path) -> tuple[bool, bool, bool]:
    """Find which directions are periodic, by the title of a data file (see `boundary_of_data_file`)."""
    x, y, z = (word.startswith("p") for word in boundary_of_data_file(path))
    return x, y, z


def _said_units(title: str) -> str | None:
    """Units in the title, as ``write_data`` writes them, or None."""
    found = re.search(rf"\bunits\s*[= ]\s*({'|'.join(_UNITS)})\b", title, re.IGNORECASE)
    return None if found is None else found[1].lower()


def _units(path: Path, title: str) -> str | None:
    units = _said_units(title)
    if units is not None and units not in _VELOCITY_UNITS:
        raise InputError(f"{path}, line 1: units '{units}' are not supported; use 'units real' or 'units metal'.")
    return units


def split_data_file(path: Path) -> tuple[str, dict[str, DataLine], dict[str, DataSection]]:
    """Split a data file into its title, header lines by keyword, and sections by name.

    Raises
    ------
    InputError
        The file cannot be read, or a line of its header is none.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is not a file; give a LAMMPS data file.")
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a LAMMPS data file.") from error
    title, *rest = text.splitlines() or [""]
    header: dict[str, DataLine] = {}
    sections: dict[str, DataSection] = {}
    section: DataSection | None = None
    blank = True
    for number, raw in enumerate(rest, start=2):
        content, _, comment = raw.partition("#")
        content = " ".join(content.split())
        after_blank, blank = blank, not content
        if not content:
            continue
        of_a_fix = after_blank and section is not None and bool(section.lines) and " " not in content
        if of_a_fix or _SECTION.fullmatch(content):  # fixes name their sections after themselves
            section = sections[content] = DataSection(number, comment.strip())
        elif section is not None:
            section.lines.append(DataLine(number, content.split(), comment.strip()))
        elif match := _HEADER.fullmatch(content):
            header[match["key"]] = DataLine(number, match["numbers"].split())
        else:
            raise InputError(
                f"{path}, line {number}: '{content[:40]}' is not a header line of a data file; correct or remove it."
            )
    return title, header, sections


def _lines(sections: dict[str, DataSection], name: str) -> list[DataLine]:
    return sections[name].lines if name in sections else []


def _labels(path: Path, sections: dict[str, DataSection]) -> dict[str, int]:
    """Numbers of the types by name."""
    lines = _lines(sections, "Atom Type Labels")
    for line in lines:
        if len(line.words) != 2:
            raise InputError(
                f"{path}, line {line.number}: is not the number and the name of an atom type; correct the line."
            )
    return {line.words[1]: n for line, n in zip(lines, _integers(path, lines, 0), strict=True)}


def _count(path: Path, header: dict[str, DataLine], key: str) -> int:
    return _integers(path, [header[key]], 0)[0] if key in header else 0


def _atoms(
    path: Path, section: DataSection, header: dict[str, DataLine]
) -> tuple[tuple[str, ...], list[DataLine], Int]:
    """Names of the columns, the lines, and their order by id."""
    if len(section.lines) != _count(path, header, "atoms") or not section.lines:
        raise InputError(
            f"{path}, line {section.line}: {len(section.lines)} atoms follow, but the header says "
            f"{_count(path, header, 'atoms')}; is the file complete?"
        )
    columns = _columns(path, section, _count(path, header, "atom types"))
    for line in section.lines:
        if len(line.words) not in (len(columns), len(columns) + 3):
            raise InputError(
                f"{path}, line {line.number}: {len(line.words)} columns instead of {' '.join(columns)}; correct it."
            )
    ids = _integers(path, section.lines, 0)
    order = np.argsort(ids, kind="stable")
    for k in np.flatnonzero(np.diff(np.array(ids)[order]) == 0):
        line = section.lines[order[k + 1]]
        raise InputError(f"{path}, line {line.number}: atom id {line.words[0]} occurs twice; write the file again.")
    return columns, section.lines, order


def _columns(path: Path, section: DataSection, type_count: int) -> tuple[str, ...]:
    """Columns from the comment, or from their number (image flags add three)."""
    styles = ", ".join(_STYLES)
    if section.hint:
        if section.hint not in _STYLES:
            raise InputError(
                f"{path}, line {section.line}: atom style '{section.hint}' is not supported; use one of {styles}."
            )
        return _STYLES[section.hint]
    first = section.lines[0]
    width = {5: 5, 8: 5, 6: 6, 9: 6, 7: 7, 10: 7}.get(len(first.words))
    if width == 6:
        third = [line.words[2] for line in section.lines if len(line.words) > 2]
        molecular = all(word.isdigit() and 1 <= int(word) <= max(type_count, 1) for word in third)
        return _STYLES["molecular" if molecular else "charge"]
    if width is None:
        raise InputError(
            f"{path}, line {first.number}: {len(first.words)} columns match no atom style; "
            f"write 'Atoms # STYLE' with one of {styles}."
        )
    return _STYLES["atomic" if width == 5 else "full"]


def _integers(path: Path, lines: Sequence[DataLine], column: int, labels: dict[str, int] | None = None) -> list[int]:
    """One column as integers; ``labels`` maps names of types to numbers."""
    values = []
    for line in lines:
        try:
            word = line.words[column]
            value = labels[word] if labels and word in labels else int(word)
            if not -(2**63) <= value < 2**63 or "_" in word:
                raise ValueError
            values.append(value)
        except (IndexError, ValueError):
            raise InputError(
                f"{path}, line {line.number}: '{' '.join(line.words)[:60]}' has no whole number as word {column + 1}; "
                "correct the line or write the file again."
            ) from None
    return values


def _floats(path: Path, lines: Sequence[DataLine], column: int) -> list[float]:
    values = []
    for line in lines:
        try:
            value = float(line.words[column])
        except (IndexError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise InputError(
                f"{path}, line {line.number}: '{' '.join(line.words)[:60]}' has no finite number as word {column + 1}; "
                "correct the line or write the file again."
            )
        values.append(value)
    return values


def _tuples(
    path: Path, sections: dict[str, DataSection], name: str, size: int, ids: Int, header: dict[str, DataLine]
) -> Int:
    """Bonds or angles as indices of atoms."""
    lines, expected = _lines(sections, name), _count(path, header, name.lower())
    if len(lines) != expected:
        raise InputError(
            f"{path}: the header says {expected} {name.lower()}, but {len(lines)} are listed; is the file complete?"
        )
    if not lines:
        return np.empty((0, size), dtype=np.int64)
    members = np.array([_integers(path, lines, 2 + k) for k in range(size)]).T
    indices = np.searchsorted(ids, members).clip(max=len(ids) - 1)
    for row in np.flatnonzero((ids[indices] != members).any(axis=1)):
        raise InputError(
            f"{path}, line {lines[row].number}: it names an atom id that is not in section 'Atoms'; correct the line."
        )
    return indices


def _masses(
    path: Path, sections: dict[str, DataSection], header: dict[str, DataLine], labels: dict[str, int]
) -> Float | None:
    lines = _lines(sections, "Masses")
    if not lines:
        return None
    types, values = _integers(path, lines, 0, labels), _floats(path, lines, 1)
    if len(types) != _count(path, header, "atom types") or sorted(types) != list(range(1, len(types) + 1)):
        raise InputError(f"{path}, line {lines[0].number}: 'Masses' does not list every atom type once; correct it.")
    return np.array(values)[np.argsort(types)]


def _names(path: Path, sections: dict[str, DataSection], labels: dict[str, int]) -> tuple[str | None, ...] | None:
    """Label of each type, else the first word of the comment behind its mass."""
    lines = _lines(sections, "Masses")
    numbers = _integers(path, lines, 0, labels)
    names = {n: line.comment.split()[0] for n, line in zip(numbers, lines, strict=True) if line.comment.split()}
    names |= {number: label for label, number in labels.items()}
    return tuple(names.get(number) for number in range(1, max(*names, len(lines)) + 1)) if names else None


def _box(path: Path, header: dict[str, DataLine]) -> tuple[Float, Float]:
    """Cell and origin."""

    def numbers(key: str, size: int) -> list[float]:
        if key not in header:
            raise InputError(f"{path}: the header has no line '{key}'; add it.")
        return [_floats(path, [header[key]], k)[0] for k in range(size)]

    if "avec" in header:
        cell = np.array([numbers(key, 3) for key in ("avec", "bvec", "cvec")])
        origin = np.array(numbers("abc origin", 3))
    else:
        bounds = np.array([numbers(f"{axis}lo {axis}hi", 2) for axis in "xyz"])
        cell, origin = np.diag(bounds[:, 1] - bounds[:, 0]), bounds[:, 0].copy()
        if "xy xz yz" in header:
            cell[1, 0], cell[2, 0], cell[2, 1] = numbers("xy xz yz", 3)
    volume = float(np.linalg.det(cell))
    if "avec" in header and -math.inf < volume < 0:
        raise InputError(
            f"{path}: the lattice vectors in the header are left-handed, which LAMMPS does not read; exchange two of "
            "them."
        )
    if not 0 < volume < math.inf or ("avec" not in header and cell.diagonal().min() <= 0):
        raise InputError(f"{path}: the volume of the box in the header is zero or not finite; correct its lines.")
    return cell, origin
