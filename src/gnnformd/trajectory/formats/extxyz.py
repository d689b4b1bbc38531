"""Extended XYZ files as a stream of frames, each parsed by ASE."""

from __future__ import annotations

import gzip
import io
import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gnnformd.errors import InputError
from gnnformd.trajectory.elements import ElementTypes
from gnnformd.trajectory.frame import Float, Frame
from gnnformd.units import KCAL_PER_MOL_PER_EV

__all__ = ["read_extxyz"]

_MARGIN = 10.0
_MAX_COLUMNS = 1000
_MAX_LINE = 1 << 17  # characters in a line


def read_extxyz(path: Path, *, require_forces: bool = True, elements: ElementTypes | None = None) -> Iterator[Frame]:
    """Read an extxyz file (plain or ``.gz``) frame by frame, from eV and angstrom to ``real`` units.

    ``energy``, ``forces`` and ``stress`` or ``virial`` are taken under these names; the virial is ``-volume * stress``.
    Types are numbered by element (see `ElementTypes`), ids number the rows. A direction without lattice vector gets a
    box 10 angstrom wider than the atoms. An incomplete frame at the end of the file is dropped with a warning.

    Parameters
    ----------
    path
        The file.
    require_forces
        Refuse a frame without forces.
    elements
        Assigns type numbers.

    Yields
    ------
    Frame

    Raises
    ------
    InputError
        The file cannot be read, or a frame is wrong; the sentence names the line where the frame begins.
    """
    elements = elements or ElementTypes()
    empty = True
    for line, text in _blocks(path):
        where = f"{path}, line {line}"
        try:
            atoms = _parse(text)
            if require_forces and "forces" not in atoms.calc.results:
                names = ", ".join(sorted(set(atoms.arrays) - {"numbers"}))
                raise InputError(f"{where}: the frame has no column 'forces' (it has {names}); rename or add it.")
            frame = _frame(atoms, line, where, elements)
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{where}: the frame cannot be read ({reason}); correct or remove it.") from error
        empty = False
        yield frame
    if empty:
        raise InputError(f"{path}: contains no complete frame; write the file again.")


def _blocks(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of each frame."""
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            line = 1
            while first := file.readline(_MAX_LINE):
                if not first.strip():
                    line += 1
                    continue
                if not re.fullmatch(r"\s*[0-9]{1,18}\s*", first):
                    raise InputError(
                        f"{path}, line {line}: '{first.strip()[:40]}' is not a number of atoms; write the file again."
                    )
                count = int(first) + 1
                rows = [row for _, row in zip(range(count), iter(lambda: file.readline(_MAX_LINE), ""), strict=False)]
                if any(len(row) == _MAX_LINE for row in rows):
                    raise InputError(f"{path}, line {line}: a line of this frame is too long; write the file again.")
                if len(rows) < count or not rows[-1].endswith("\n"):
                    end = f"{path}, line {line + len(rows)}"
                    warnings.warn(f"{end}: the file ends inside a frame, which is dropped.", stacklevel=4)
                    return
                yield line, first + "".join(rows)
                line += 1 + count
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); write the file again.") from error


def _parse(text: str) -> Any:
    """ASE's Atoms of one frame, with a calculator that has the results."""
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import ParseError, read

    comment = text.split("\n", 2)[1]
    if sum(int(count) for count in re.findall(r":[RISL]:[\s+]*([0-9_]+)", comment)) > _MAX_COLUMNS:
        raise ValueError("'Properties' names too many columns")  # the parser needs time and memory for each
    named = re.search(r'Properties="?([^\s"]+)', comment)
    for column, others in (("pos", ("positions",)), ("species", ("symbols", "Z", "numbers"))):
        if named and not {column, *others} & set(named[1].split(":")[::3]):
            raise ValueError(f"'Properties' has no column '{column}'")  # ASE would use zeros
    try:
        atoms = read(io.StringIO(text), format="extxyz", index=0)
    except ParseError as error:
        raise ValueError(str(error)) from error
    if atoms.calc is None:
        atoms.calc = SinglePointCalculator(atoms)
    return atoms


def _frame(atoms: Any, line: int, where: str, elements: ElementTypes) -> Frame:
    results = atoms.calc.results
    cell, origin = _box(atoms)
    if not 0 < abs(np.linalg.det(cell)) < math.inf:
        raise InputError(f"{where}: the volume of the box is zero or not finite; correct 'Lattice'.")
    forces = results.get("forces")
    energy, virial = results.get("energy"), _virial(atoms, cell)
    for name, values in (("position", atoms.positions), ("force", forces), ("energy", energy), ("virial", virial)):
        if values is not None and not np.isfinite(values).all():
            raise InputError(
                f"{where}: a {name} of the frame is not a finite number; remove this frame and all that follow."
            )
    x, y, z = (bool(p) for p in atoms.pbc)
    return Frame(
        timestep=int(atoms.info.get("step", atoms.info.get("timestep", line))),
        cell=cell,
        origin=origin,
        periodic=(x, y, z),
        ids=np.arange(1, len(atoms) + 1),
        types=np.array(elements.numbers(atoms.get_chemical_symbols(), where), dtype=np.int64),
        positions=np.array(atoms.positions, dtype=np.float64),
        forces=None if forces is None else np.asarray(forces, dtype=np.float64) * KCAL_PER_MOL_PER_EV,
        energy=None if energy is None else float(energy) * KCAL_PER_MOL_PER_EV,
        virial=None if virial is None else virial * KCAL_PER_MOL_PER_EV,
    )


def _virial(atoms: Any, cell: Float) -> Float | None:
    """Sum of ``x_i f_i`` in eV."""
    stress, virial = atoms.calc.results.get("stress"), atoms.info.get("virial")
    if stress is not None:
        xx, yy, zz, yz, xz, xy = np.asarray(stress, dtype=np.float64)
        full = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        return np.asarray(-np.linalg.det(cell) * full)
    return None if virial is None else np.asarray(virial, dtype=np.float64).reshape(3, 3)


def _box(atoms: Any) -> tuple[Float, Float]:
    """Cell and origin; directions without a lattice vector enclose the atoms."""
    missing = ~np.any(atoms.cell.array, axis=1)
    if not missing.any():
        return np.array(atoms.cell.array, dtype=np.float64), np.zeros(3)
    directions = np.array(atoms.cell.complete().array, dtype=np.float64)
    directions[missing] /= np.linalg.norm(directions[missing], axis=1, keepdims=True)
    along = atoms.positions @ np.linalg.inv(directions)
    low, high = along.min(axis=0) - _MARGIN / 2, along.max(axis=0) + _MARGIN / 2
    scale = np.where(missing, high - low, 1.0)
    return directions * scale[:, None], np.where(missing, low, 0.0) @ directions
