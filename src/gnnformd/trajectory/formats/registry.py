"""The file formats of trajectories, and how a file is recognized."""

from __future__ import annotations

import codecs
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from gnnformd.errors import InputError
from gnnformd.trajectory.elements import ElementTypes
from gnnformd.trajectory.formats.ase_formats import ase_format, read_by_ase
from gnnformd.trajectory.formats.deepmd import TYPES, read_deepmd
from gnnformd.trajectory.formats.dump import read_dump, units_of_dump
from gnnformd.trajectory.formats.extxyz import read_extxyz, units_of_extxyz
from gnnformd.trajectory.formats.frame_states import FrameStates
from gnnformd.trajectory.formats.molecule_arrays import read_molecule_arrays, units_of_molecule_arrays
from gnnformd.trajectory.formats.target_names import TargetNames
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.isolated_atoms import is_isolated_atom
from gnnformd.units import REAL

__all__ = ["FORMATS", "FrameReader", "TrajectoryFormat", "format_of"]

_START = 64  # bytes of a file that its format may be recognized by


class FrameReader(Protocol):
    """Reads a file frame by frame, in ``real`` units."""

    def __call__(
        self, path: Path, *, require_forces: bool = True, elements: ElementTypes | None = None
    ) -> Iterator[Frame]:
        """Read.

        Parameters
        ----------
        path
            The file.
        require_forces
            Refuse a frame without forces.
        elements
            Assigns type numbers where atoms have names of elements only.

        Raises
        ------
        InputError
            The file cannot be read, or a frame is wrong; the sentence names file and line.
        """


class TrajectoryFormat(NamedTuple):
    """A file format.

    Attributes
    ----------
    matches
        Whether a file, whose first bytes are given, has this format.
    read
        Its reader.
    first_line
        How its first line is recognized, for the sentence about a file of no known format.
    units
        Unit style of a file, from which its reader converts.
    named_targets
        Whether energies, forces and so on have names in the file; then the reader takes ``names=TargetNames(...)``.
    notes_states
        Whether the reader takes ``states=FrameStates()`` instead.
    """

    matches: Callable[[Path, bytes], bool]
    read: FrameReader
    first_line: str
    units: Callable[[Path], str] = lambda path: "real"
    named_targets: bool = False
    notes_states: bool = False

    def frames(
        self, path: Path, *, require_forces: bool, elements: ElementTypes, names: TargetNames
    ) -> Iterator[Frame]:
        """Read a file, with the names that energies, forces and so on have in it.

        Raises
        ------
        InputError
            See `FrameReader`; or names are given, but not found in the file.
        """
        if not self.named_targets and names.given:
            raise InputError(
                f"{path}: data.keys names columns of extended XYZ, but this file has no names; remove data.keys."
            )
        more: dict[str, Any] = {"names": names} if self.named_targets else {}
        if self.notes_states:
            more = {"states": names.states}
        isolated = True
        for frame in self.read(path, require_forces=require_forces, elements=elements, **more):
            isolated = isolated and is_isolated_atom(frame)
            yield frame
        names.check_given(path, isolated_atoms=isolated)


def _read_deepmd_folder(
    path: Path,
    *,
    require_forces: bool = True,
    elements: ElementTypes | None = None,
    states: FrameStates | None = None,
) -> Iterator[Frame]:
    """Read the folder of a ``type.raw``."""
    return read_deepmd(path.parent, require_forces=require_forces, elements=elements, states=states)


def _read_dump(path: Path, *, require_forces: bool = True, elements: ElementTypes | None = None) -> Iterator[Frame]:
    """Read a dump, in which the number of atoms may change."""
    return read_dump(path, require_forces=require_forces, elements=elements, same_atoms=False)


FORMATS: dict[str, TrajectoryFormat] = {
    "DeePMD-kit": TrajectoryFormat(
        lambda path, start: path.name == TYPES,
        _read_deepmd_folder,
        "in type.raw: numbers",
        lambda path: "metal",
        notes_states=True,
    ),
    "LAMMPS dump": TrajectoryFormat(
        lambda path, start: start.startswith(b"ITEM:") or not start,
        _read_dump,
        "'ITEM: ...'",
        lambda path: (units_of_dump(path) or REAL).style,
    ),
    "extxyz": TrajectoryFormat(
        lambda path, start: start.split(b"\n")[0].strip().isdigit(),
        read_extxyz,
        "a number",
        units_of_extxyz,
        named_targets=True,
    ),
    "sGDML or rMD17": TrajectoryFormat(
        lambda path, start: start.startswith(b"PK") and path.suffix.lower() == ".npz",
        read_molecule_arrays,
        "of an .npz file",
        units_of_molecule_arrays,
    ),
    "any other that ASE reads": TrajectoryFormat(
        lambda path, start: ase_format(path) is not None,
        read_by_ase,
        "of any kind",
        lambda path: "metal",
        named_targets=True,
    ),
}
"""By name; the first one that matches reads a file."""


def format_of(path: Path) -> TrajectoryFormat:
    """Recognize the format of a file, plain or ``.gz``.

    Raises
    ------
    InputError
        The file cannot be read, or is of no known format.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as opened:
            start = opened.read(_START).removeprefix(codecs.BOM_UTF8).lstrip()
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a readable file.") from error
    for known in FORMATS.values():
        if known.matches(path, start):
            return known
    kinds = ", ".join(f"{name} (first line {known.first_line})" for name, known in FORMATS.items())
    raise InputError(f"{path}: is of no known format: {kinds}; give one of these.")
