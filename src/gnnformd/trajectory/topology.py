"""LAMMPS data files, and bonds from molecule ids where there is no data file."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gnnformd.errors import InputError
from gnnformd.trajectory.frame import Float, Int, Topology

__all__ = ["molecules_to_bonds", "read_topology"]

_STYLES = {
    "atomic": ("id", "type", "x", "y", "z"),
    "charge": ("id", "type", "q", "x", "y", "z"),
    "molecular": ("id", "mol", "type", "x", "y", "z"),
    "bond": ("id", "mol", "type", "x", "y", "z"),
    "angle": ("id", "mol", "type", "x", "y", "z"),
    "full": ("id", "mol", "type", "q", "x", "y", "z"),
}
_SECTION = re.compile(r"[A-Z][A-Za-z]*( [A-Z][A-Za-z]*)*")
_HEADER = re.compile(r"(?P<numbers>[-+\d.eE\s]+?)\s+(?P<key>[a-z].*)")


@dataclass(frozen=True)
class _Line:
    """Words of a line without its comment, and its number."""

    number: int
    words: list[str]


@dataclass
class _Section:
    """A named part of the file; ``hint`` is the comment after its name."""

    line: int
    hint: str
    lines: list[_Line] = field(default_factory=list)


def read_topology(path: Path) -> Topology:
    """Read a LAMMPS data file (``write_data``): types, charges, molecules, bonds, angles, masses and the box.

    Atom styles ``atomic``, ``charge``, ``molecular``, ``bond``, ``angle`` and ``full`` are told by the comment after
    ``Atoms``, or else by the number of columns. Coefficients, velocities and other sections are skipped.

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
        The file cannot be read or is no data file; the sentence names the line.
    """
    title, header, sections = _split(path)
    if (units := re.search(r"units = (\w+)", title)) and units[1] not in ("real", "metal"):
        raise InputError(f"{path}, line 1: units '{units[1]}' are not supported; use 'units real'.")
    if "Atoms" not in sections:
        raise InputError(f"{path}: has no section 'Atoms'; name a data file as written by 'write_data'.")
    labels = {line.words[1]: int(line.words[0]) for line in _lines(sections, "Atom Type Labels")}
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
    )


def molecules_to_bonds(molecule_ids: Int, types: Int) -> Int:
    """Bonds of molecules that consist of one central atom and its ligands, such as water, by the seed's rule.

    Atoms of different type in one molecule are bonded, atoms of the same type are second neighbors. That is true where
    the central atom is the only one of its type and the ligands are all of one other type (or where there are two
    atoms, which are bonded whatever their types). Molecule id 0 stands for no molecule.

    Parameters
    ----------
    molecule_ids, types
        (N,).

    Returns
    -------
    array
        Pairs of atom indices, (M, 2).

    Raises
    ------
    InputError
        A molecule is of another kind, so that its bonds do not follow from types.
    """
    order = np.argsort(molecule_ids, kind="stable")
    starts = np.flatnonzero(np.diff(molecule_ids[order], prepend=molecule_ids.min(initial=0) - 1))
    bonds: list[tuple[int, int]] = []
    for members in np.split(order, starts[1:]):
        if len(members) < 2 or molecule_ids[members[0]] == 0:
            continue
        kinds, counts = np.unique(types[members], return_counts=True)
        if len(members) == 2:
            center = members[0]
        elif len(kinds) == 2 and counts.min() == 1:
            center = members[types[members] == kinds[counts.argmin()]][0]
        else:
            raise InputError(
                f"molecule {molecule_ids[members[0]]}: its {len(members)} atoms of {len(kinds)} types are not a center "
                "and equal ligands, so bonds cannot be told from 'mol'; name a LAMMPS data file as topology."
            )
        bonds += [(int(center), int(m)) for m in members if m != center]
    return np.array(bonds, dtype=np.int64).reshape(-1, 2)


def _split(path: Path) -> tuple[str, dict[str, _Line], dict[str, _Section]]:
    """Title, header lines by what they say, and sections by name."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a LAMMPS data file.") from error
    title, *rest = text.splitlines() or [""]
    header: dict[str, _Line] = {}
    sections: dict[str, _Section] = {}
    section: _Section | None = None
    for number, raw in enumerate(rest, start=2):
        content, _, comment = raw.partition("#")
        content = " ".join(content.split())
        if not content:
            continue
        if _SECTION.fullmatch(content):
            section = sections[content] = _Section(number, comment.strip())
        elif section is not None:
            section.lines.append(_Line(number, content.split()))
        elif match := _HEADER.fullmatch(content):
            header[match["key"]] = _Line(number, match["numbers"].split())
        else:
            raise InputError(f"{path}, line {number}: '{content[:40]}' is no header line of a LAMMPS data file.")
    return title, header, sections


def _lines(sections: dict[str, _Section], name: str) -> list[_Line]:
    return sections[name].lines if name in sections else []


def _count(path: Path, header: dict[str, _Line], key: str) -> int:
    return _integers(path, [header[key]], 0)[0] if key in header else 0


def _atoms(path: Path, section: _Section, header: dict[str, _Line]) -> tuple[tuple[str, ...], list[_Line], Int]:
    """Names of the columns, the lines, and their order by id."""
    if len(section.lines) != _count(path, header, "atoms") or not section.lines:
        raise InputError(
            f"{path}, line {section.line}: {len(section.lines)} atoms follow, but the header says "
            f"{_count(path, header, 'atoms')}; is the file complete?"
        )
    columns = _columns(path, section, _count(path, header, "atom types"))
    for line in section.lines:
        if len(line.words) not in (len(columns), len(columns) + 3):
            raise InputError(f"{path}, line {line.number}: {len(line.words)} columns where {' '.join(columns)} belong.")
    ids = _integers(path, section.lines, 0)
    order = np.argsort(ids, kind="stable")
    for k in np.flatnonzero(np.diff(np.array(ids)[order]) == 0):
        line = section.lines[order[k + 1]]
        raise InputError(f"{path}, line {line.number}: atom id {line.words[0]} stands twice.")
    return columns, section.lines, order


def _columns(path: Path, section: _Section, type_count: int) -> tuple[str, ...]:
    """Columns from the hint, or from their number (image flags add three)."""
    styles = ", ".join(_STYLES)
    if section.hint:
        if section.hint not in _STYLES:
            raise InputError(
                f"{path}, line {section.line}: atom style '{section.hint}' is not supported, only {styles}."
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
            f"{path}, line {first.number}: {len(first.words)} columns fit no atom style; "
            f"write 'Atoms # STYLE' with one of {styles}."
        )
    return _STYLES["atomic" if width == 5 else "full"]


def _integers(path: Path, lines: Sequence[_Line], column: int, labels: dict[str, int] | None = None) -> list[int]:
    """One column as integers; ``labels`` are names that stand for numbers."""
    values = []
    for line in lines:
        try:
            word = line.words[column]
            values.append(labels[word] if labels and word in labels else int(word))
        except (IndexError, ValueError):
            raise InputError(
                f"{path}, line {line.number}: '{' '.join(line.words)[:60]}' has no whole number as word {column + 1}."
            ) from None
    return values


def _floats(path: Path, lines: Sequence[_Line], column: int) -> list[float]:
    values = []
    for line in lines:
        try:
            value = float(line.words[column])
        except (IndexError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise InputError(
                f"{path}, line {line.number}: '{' '.join(line.words)[:60]}' has no finite number as word {column + 1}."
            )
        values.append(value)
    return values


def _tuples(path: Path, sections: dict[str, _Section], name: str, size: int, ids: Int, header: dict[str, _Line]) -> Int:
    """Bonds or angles as indices of atoms."""
    lines, said = _lines(sections, name), _count(path, header, name.lower())
    if len(lines) != said:
        raise InputError(
            f"{path}: the header says {said} {name.lower()}, but {len(lines)} are listed; is the file complete?"
        )
    if not lines:
        return np.empty((0, size), dtype=np.int64)
    members = np.array([_integers(path, lines, 2 + k) for k in range(size)]).T
    indices = np.searchsorted(ids, members).clip(max=len(ids) - 1)
    for row in np.flatnonzero((ids[indices] != members).any(axis=1)):
        raise InputError(f"{path}, line {lines[row].number}: it names an atom id that is not in section 'Atoms'.")
    return indices


def _masses(
    path: Path, sections: dict[str, _Section], header: dict[str, _Line], labels: dict[str, int]
) -> Float | None:
    lines = _lines(sections, "Masses")
    if not lines:
        return None
    types, values = _integers(path, lines, 0, labels), _floats(path, lines, 1)
    if sorted(types) != list(range(1, _count(path, header, "atom types") + 1)):
        raise InputError(f"{path}, line {lines[0].number}: 'Masses' does not list every atom type once.")
    return np.array(values)[np.argsort(types)]


def _box(path: Path, header: dict[str, _Line]) -> tuple[Float, Float]:
    """Cell and origin."""

    def numbers(key: str, size: int) -> list[float]:
        if key not in header:
            raise InputError(f"{path}: the header has no line '{key}'.")
        return [_floats(path, [header[key]], k)[0] for k in range(size)]

    if "avec" in header:
        cell = np.array([numbers(key, 3) for key in ("avec", "bvec", "cvec")])
        origin = np.array(numbers("abc origin", 3))
    else:
        bounds = np.array([numbers(f"{axis}lo {axis}hi", 2) for axis in "xyz"])
        cell, origin = np.diag(bounds[:, 1] - bounds[:, 0]), bounds[:, 0].copy()
        if "xy xz yz" in header:
            cell[1, 0], cell[2, 0], cell[2, 1] = numbers("xy xz yz", 3)
    if not np.linalg.det(cell) > 0:
        raise InputError(f"{path}: the box in the header has no volume.")
    return cell, origin
