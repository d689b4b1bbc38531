"""LAMMPS text dumps as a stream of frames."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.trajectory.elements import ElementTypes
from gnnformd.trajectory.fast_text.text_window import TextWindow
from gnnformd.trajectory.formats.dump_header import Header, IncompleteFrame, read_header
from gnnformd.trajectory.frame import Float, Frame, Int
from gnnformd.trajectory.paths import matching_files
from gnnformd.units import REAL, Units

__all__ = ["MAX_DENSITY", "MAX_SPEED", "read_dump", "units_of_dump"]

_POSITIONS = (("xu", "yu", "zu"), ("x", "y", "z"), ("xsu", "ysu", "zsu"), ("xs", "ys", "zs"))
_FORCES = ("fx", "fy", "fz")
_VELOCITIES = ("vx", "vy", "vz")
_IMAGES = ("ix", "iy", "iz")
MAX_SPEED = 0.3
"""Root mean square velocity in angstrom/fs that no system under study has: hydrogen has 0.16 at 10 000 K."""

MAX_DENSITY = 0.5
"""Number of atoms in a cubic angstrom that no system under study has; diamond has 0.18, a liquid in units lj 0.8."""

_FEW_ATOMS = 32
"""Up to this number of atoms the density is not judged."""

_MIN_TIMESTEP = 0.02
"""Shortest time step in fs; those of units metal are around 0.001 ps."""


def read_dump(
    path: Path | Sequence[Path],
    *,
    require_forces: bool = True,
    elements: ElementTypes | None = None,
    same_atoms: bool = True,
) -> Iterator[Frame]:
    """Read LAMMPS text dumps frame by frame; memory does not grow with the length of the files.

    Columns are found by name: ``id``, ``type`` or ``element``, positions (``xu``, ``x``, ``xsu`` or ``xs``, in this
    order of preference), and if present ``fx fy fz``, ``vx vy vz``, ``mol``, ``q`` and the image flags ``ix iy iz``, by
    which positions are unwrapped. Others are skipped. An incomplete frame at the end of the file is dropped with
    a warning.

    Parameters
    ----------
    path
        A dump, plain or ``.gz``, or several, or a pattern such as ``run-*.dump``, read in natural order.
    require_forces
        Refuse a file without forces.
    elements
        Assigns type numbers for files with element names only.
    same_atoms
        Refuse a file in which the number of atoms changes; else there is a warning.

    Yields
    ------
    Frame
        In units ``real``, to which others are converted, atoms by ascending id. A file that does not say its units is
        taken to be in ``real``, and refused where its velocities or times cannot be.

    Raises
    ------
    InputError
        A file cannot be read or contains an error; the sentence names file and line.
    """
    elements = elements or ElementTypes()
    empty = True
    files = matching_files(path)
    for file in files:
        for frame in _read_file(file, require_forces, elements, same_atoms):
            empty = False
            yield frame
    if empty:
        raise InputError(f"{files[0]}: contains no complete frame; was the simulation stopped before the first one?")


def _read_file(file: Path, require_forces: bool, elements: ElementTypes, same_atoms: bool) -> Iterator[Frame]:
    with TextWindow(file) as window:
        rows: _Rows | None = None
        units: Units | None = None
        checked = changed = False
        try:
            while (header := read_header(window, units)) is not None:
                units = header.units
                if header.atom_count * 2 * len(header.columns.split()) > window.max_bytes:
                    raise IncompleteFrame  # the file is too short for so many rows; do not allocate them
                if rows is None or rows.text != header.columns or rows.count != header.atom_count:
                    if rows is not None and rows.count != header.atom_count:
                        change = f"{file}, line {window.line}: {header.atom_count} atoms, but {rows.count} in the "
                        if same_atoms:
                            raise InputError(
                                f"{change}previous frame; write systems of different size to different files, and "
                                "check for lost atoms."
                            )
                        if not changed:
                            changed = True
                            warnings.warn(f"{change}previous frame; were atoms lost?", stacklevel=3)
                    rows = _Rows(header, window, require_forces)
                frame = rows.read(header, window, elements)
                if units is None and not checked:
                    checked = _check_units(file, header, frame)
                yield frame
        except IncompleteFrame:
            warnings.warn(
                f"{file}, line {window.line + 1}: the file ends inside a frame, which is dropped.", stacklevel=3
            )


def units_of_dump(path: Path) -> Units | None:
    """Units that a dump says in its first lines (``dump_modify units yes``), or None.

    Raises
    ------
    InputError
        They are not supported.
    """
    with TextWindow(path) as window:
        if window.next_line() != "ITEM: UNITS":
            return None
        return Units.named(window.next_line() or "", f"{path}, line 2")


def _check_units(file: Path, header: Header, frame: Frame) -> bool:
    """Refuse a frame that cannot be in units ``real``; whether it has anything to judge by.

    Raises
    ------
    InputError
        Its density, velocities or time are those of other units.
    """
    reason = ""
    density = len(frame.ids) / abs(float(np.linalg.det(frame.cell)))
    if len(frame.ids) > _FEW_ATOMS and all(frame.periodic) and density > MAX_DENSITY:
        reason = f"there would be {density:.3g} atoms in a cubic angstrom"
    if frame.velocities is not None:
        speed = math.sqrt(float((frame.velocities**2).sum(axis=1).mean()))
        if speed > MAX_SPEED:
            reason = f"the mean velocity would be {speed:.3g} angstrom/fs"
    if header.time and header.timestep > 0 and header.time / header.timestep < _MIN_TIMESTEP:
        reason = f"a step would last {header.time / header.timestep:.3g} fs"
    if reason:
        raise InputError(
            f"{file}: does not say its units, and they are not 'real': {reason}; use 'dump_modify ... units yes', or "
            "write the lines 'ITEM: UNITS' and for instance 'metal' at the beginning of the file."
        )
    return bool((frame.velocities is not None and frame.velocities.any()) or (header.time and header.timestep > 0))


@dataclass(frozen=True)
class _Columns:
    """Kinds and target columns for `parse_rows`, and the names of the columns of each output array.

    The order of the outputs is: positions, forces, charge, velocities; id, type or element, molecule, image flags.
    """

    kinds: NDArray[np.int8]
    targets: Int
    floats: dict[str, int]
    integers: dict[str, int]
    positions: tuple[str, ...]


def _choose_columns(names: list[str], where: str, require_forces: bool) -> _Columns:
    """Choose the columns of a dump that are read."""
    from gnnformd.trajectory.fast_text.number_rows import FLOAT, INTEGER, SKIP, WORD

    if "id" not in names:
        raise InputError(f"{where}: column 'id' is missing; add it to the dump command.")
    if "type" not in names and "element" not in names:
        raise InputError(f"{where}: columns 'type' and 'element' are missing; add one to the dump command.")
    for positions in _POSITIONS:
        if set(positions) <= set(names):
            break
    else:
        raise InputError(f"{where}: the positions are missing; add 'x y z' to the dump command.")
    if set(_FORCES) <= set(names):
        wanted_floats = [*positions, *_FORCES, "q"]
    elif require_forces:
        raise InputError(f"{where}: the forces are missing; add 'fx fy fz' to the dump command.")
    else:
        wanted_floats = [*positions, "q"]
    if set(_VELOCITIES) <= set(names):
        wanted_floats += _VELOCITIES
    wanted_integers = ["id", "type" if "type" in names else "element", "mol"]
    if positions in (("x", "y", "z"), ("xs", "ys", "zs")) and set(_IMAGES) <= set(names):
        wanted_integers += _IMAGES
    floats = {name: k for k, name in enumerate(n for n in wanted_floats if n in names)}
    integers = {name: k for k, name in enumerate(n for n in wanted_integers if n in names)}
    kind_of = dict.fromkeys(floats, FLOAT) | {n: WORD if n == "element" else INTEGER for n in integers}
    targets = [floats.get(n, integers.get(n, 0)) for n in names]
    kinds = [kind_of.get(n, SKIP) for n in names]
    if duplicates := {n for n in names if names.count(n) > 1 and n in kind_of}:
        raise InputError(f"{where}: column '{duplicates.pop()}' occurs twice; list it once in the dump command.")
    return _Columns(np.array(kinds, dtype=np.int8), np.array(targets), floats, integers, positions)


@dataclass(frozen=True)
class _Labels:
    """Arrays from the integer columns, shared by frames in which they are equal."""

    ids: Int
    types: Int
    molecule_ids: Int | None


class _Rows:
    """Reads the rows of frames with the same columns and atom count; arrays are reused from frame to frame."""

    def __init__(self, header: Header, window: TextWindow, require_forces: bool) -> None:
        # Imported here because they load the compiler, which takes time
        from gnnformd.trajectory.fast_text import number_rows
        from gnnformd.trajectory.fast_text.sort_rows import sort_rows_by_id

        self._number_rows, self._sort_rows = number_rows, sort_rows_by_id
        self.text, self.count = header.columns, header.atom_count
        self.names = header.columns.split()
        self.columns = _choose_columns(self.names, f"{window.path}, line {window.line}", require_forces)
        self._floats = np.empty((self.count, len(self.columns.floats)))
        self._integers = np.empty((self.count, len(self.columns.integers)), dtype=np.int64)
        self._powers = number_rows.powers_of_five()
        # Not valid ids, so that the first frame gets new labels.
        label_columns = 3 if "mol" in self.columns.integers else 2
        self._known = np.full((self.count, label_columns), np.iinfo(np.int64).min)
        self._labels: _Labels | None = None

    def read(self, header: Header, window: TextWindow, elements: ElementTypes) -> Frame:
        first_line = window.line + 1
        self._parse(window, first_line)
        floats, integers, same = self._sort(window.path, first_line)
        labels = self._labels
        if labels is None or not same:
            labels = self._labels = self._new_labels(integers, elements, f"{window.path}, line {first_line - 1}")
        forces = floats[:, 3:6].copy() if "fx" in self.columns.floats else None
        velocities = floats[:, -3:].copy() if "vx" in self.columns.floats else None
        computed = []  # numbers in the file are finite, their products may not be
        positions = floats[:, :3].copy()
        charges = floats[:, self.columns.floats["q"]].copy() if "q" in self.columns.floats else None
        units = header.units or REAL
        if units is not REAL:
            length = 1.0 if self.columns.positions[0] in ("xs", "xsu") else units.length
            for values, factor in (
                (positions, length),
                (forces, units.force),
                (velocities, units.velocity),
                (charges, units.charge),
            ):
                if values is not None and factor != 1:
                    values *= factor
                    computed.append(values)
        if self.columns.positions[0] in ("xs", "xsu") or "ix" in self.columns.integers:
            positions = self._positions(positions, integers, header)
            computed.append(positions)
        if not all(np.isfinite(values).all() for values in computed):
            where = f"{window.path}, line {first_line - 1}"
            raise InputError(f"{where}: a number of this frame is too large; remove the frame and all that follow.")
        return Frame(
            timestep=header.timestep,
            cell=header.cell,
            origin=header.origin,
            periodic=header.periodic,
            ids=labels.ids,
            types=labels.types,
            positions=positions,
            forces=forces,
            molecule_ids=labels.molecule_ids,
            charges=charges,
            velocities=velocities,
        )

    def _parse(self, window: TextWindow, first_line: int) -> None:
        """Fill the arrays from the window."""
        rows = self._number_rows
        bits, row, column = self._floats.view(np.uint64), 0, 0
        while True:
            status, window.start, row, column = rows.parse_rows(
                window.data, window.start, window.end, row, column,
                self.columns.kinds, self.columns.targets, bits, self._integers, self._powers,
            )  # fmt: skip
            window.line = first_line + row - 1
            if status == rows.DONE:
                return
            if status == rows.MORE:
                if not window.slide():
                    raise IncompleteFrame
            else:
                window.start += self._parse_slowly(window, row, column)
                column += 1

    def _parse_slowly(self, window: TextWindow, row: int, column: int) -> int:
        """Read a number that the fast parser did not, with Python, and return its length.

        Raises
        ------
        InputError
            It is not a number, or the row has too many or too few columns.
        """
        is_float = self.columns.kinds[column : column + 1] == self._number_rows.FLOAT
        word = window.next_word()
        where = f"{window.path}, line {window.line + 1}"
        if not word or column == len(self.names):
            few = "few" if not word else "many"
            raise InputError(
                f"{where}: too {few} columns, 'ITEM: ATOMS' names {len(self.names)}; write the file again."
            )
        name, target = self.names[column], self.columns.targets[column]
        try:
            if "_" in word or not word.isascii():  # valid in Python, not in LAMMPS
                raise ValueError
            if is_float:
                value = float(word)
                if not math.isfinite(value):
                    raise InputError(
                        f"{where}: {name} is {word}; the simulation failed here, remove this frame and all that follow."
                    )
                self._floats[row, target] = value
            else:
                self._integers[row, target] = int(word)
        except (ValueError, OverflowError):
            kind = "number" if is_float else "whole number"
            raise InputError(
                f"{where}: {name} is '{word[:40]}', which is not a {kind}; correct the line or write the file again."
            ) from None
        return len(word)

    def _sort(self, path: Path, first_line: int) -> tuple[Float, Int, bool]:
        """Return the rows by ascending id, in new arrays, and whether ids, types and molecules are unchanged."""
        floats, integers = np.empty_like(self._floats), np.empty_like(self._integers)
        sorted_, same = self._sort_rows(self._floats, self._integers, floats, integers, self._known)
        if sorted_:
            return floats, integers, same
        ids = self._integers[:, 0]
        order = np.argsort(ids, kind="stable")
        for k in np.flatnonzero(np.diff(ids[order]) == 0):
            row = order[k + 1]
            raise InputError(
                f"{path}, line {first_line + row}: atom id {ids[row]} occurs twice in this frame; write the file again."
            )
        floats, integers = self._floats[order], self._integers[order]
        return floats, integers, np.array_equal(integers[:, : self._known.shape[1]], self._known)

    def _new_labels(self, integers: Int, elements: ElementTypes, where: str) -> _Labels:
        names = self.columns.integers
        known = integers[:, : self._known.shape[1]].copy()
        if "type" in names:
            types = known[:, 1].copy()
            if types.min() < 1:
                raise InputError(
                    f"{where}: atom types start at 1, but this frame has a type {types.min()}; write the file again."
                )
        else:
            words, which = np.unique(known[:, 1], return_inverse=True)
            symbols = [int(w).to_bytes(8, "big").lstrip(b"\0").decode("utf-8", "replace") for w in words]
            types = np.array(elements.numbers(symbols, where), dtype=np.int64)[which]
        self._known = known
        labels = _Labels(known[:, 0].copy(), types, known[:, 2].copy() if "mol" in names else None)
        for array in (labels.ids, labels.types, labels.molecule_ids):
            if array is not None:
                array.setflags(write=False)  # many frames share them
        return labels

    def _positions(self, values: Float, integers: Int, header: Header) -> Float:
        """Cartesian positions from scaled ones, and unwrapped where there are image flags."""
        if self.columns.positions[0] in ("xs", "xsu"):
            values = values @ header.cell + header.origin
        if "ix" in self.columns.integers:
            images = integers[:, [self.columns.integers[n] for n in _IMAGES]]
            if images.any():
                values = values + images @ header.cell
        return values
