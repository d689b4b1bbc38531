"""All files that ASE reads: outputs of VASP, CP2K, Quantum ESPRESSO, GPAW, ORCA and others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gnnformd.errors import InputError
from gnnformd.trajectory.elements import ElementTypes
from gnnformd.trajectory.formats.extxyz import frame_of_atoms
from gnnformd.trajectory.formats.frame_states import FrameStates
from gnnformd.trajectory.formats.learnable import LearnableFrames, possible_forces
from gnnformd.trajectory.formats.target_names import TargetNames
from gnnformd.trajectory.frame import Frame

__all__ = ["ase_format", "read_by_ase"]

_OTHERS = ("lammps-data", "lammps-dump-text", "lammps-dump-binary", "xyz", "extxyz", "runnerdata")
"""Formats that do not say their units, or are read without ASE's guess."""

_UNCONVERTED = ("qbox",)
"""Formats whose energies and forces ASE gives in other units than its own."""


_DATABASES = ("db", "json")
"""Formats of ASE's databases."""


def ase_format(path: Path) -> str | None:
    """Name of the format that ASE takes a file to be of, None where it knows none that it can read."""
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    try:
        name = filetype(str(path))
    except (UnknownFileTypeError, OSError, EOFError, ValueError):
        return None
    return name if name not in _OTHERS and name in ioformats and ioformats[name].can_read else None


def read_by_ase(
    path: Path,
    *,
    require_forces: bool = True,
    elements: ElementTypes | None = None,
    names: TargetNames | None = None,
) -> Iterator[Frame]:
    """Read all frames of a file by ASE, whose units (eV, angstrom) are converted to ``real``.

    Forces are those that were calculated, also on atoms that are held. Types are numbered by element (see
    `ElementTypes`), ids number the atoms and timesteps the frames.

    Parameters
    ----------
    path
        The file.
    require_forces
        Refuse what cannot be learned from (see `LearnableFrames`).
    elements
        Assigns type numbers.
    names
        Finds energies, forces, stresses and virials.

    Yields
    ------
    Frame

    Raises
    ------
    InputError
        ASE cannot read the file, or a frame is wrong; the sentence names the frame.
    """
    elements, names = elements or ElementTypes(), names or TargetNames()
    learnable = LearnableFrames(path, names, required=require_forces)
    kind, number = ase_format(path), 0
    if kind in _UNCONVERTED:
        raise InputError(
            f"{path}: ASE takes it for '{kind}', whose units it does not convert; convert the file to extended XYZ in "
            "eV and angstrom."
        )
    images = _images(path, kind, names)
    while True:
        try:
            atoms = next(images, None)
        except Exception as error:  # a parser of text may fail in any way
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(
                f"{path}: ASE takes it for '{kind}' and cannot read frame {number + 1} ({reason}); remove what is "
                "incomplete, or convert the file to extended XYZ."
            ) from error
        if atoms is None:
            break
        number += 1
        where = f"{path}, frame {number}"
        frame = frame_of_atoms(atoms, number, where, elements, names)
        results = {} if atoms.calc is None else atoms.calc.results
        found = ", ".join(sorted(results)) or "no results"
        fault = InputError(
            f"{where}: ASE takes the file for '{kind}' and finds no forces in it ({found}); calculate them, or remove "
            "the frame."
        )
        if learnable.keeps(frame, possible_forces({**atoms.arrays, **results}, len(atoms)), fault):
            yield frame
    learnable.finish()
    if not number:
        raise InputError(f"{path}: ASE takes it for '{kind}' and finds no frame in it; give another file.")


def _images(path: Path, kind: str | None, names: TargetNames) -> Iterator[Any]:
    """ASE's Atoms of each frame; those of a database with the keys in ``info`` that say what kind of frame it is.

    Other keys may be anything (energies to subtract, for example), and count where they are named by the user alone.
    """
    from ase.io import iread

    if kind not in _DATABASES:
        yield from iread(str(path), index=":", format=kind, parallel=False)
        return
    from ase.db import connect
    from ase.io.formats import open_with_compression

    wanted = {"config_type", "temperature", *names.given.values()}
    with ExitStack() as stack:
        source = str(path) if kind == "db" else stack.enter_context(open_with_compression(str(path)))
        database = stack.enter_context(connect(source, type=kind, serial=True))
        for row in database.select():
            atoms = row.toatoms()
            atoms.info |= {k: v for k, v in row.key_value_pairs.items() if k in wanted or FrameStates.knows(k)}
            yield atoms
