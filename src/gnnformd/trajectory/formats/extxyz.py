"""Extended XYZ files as a stream of frames, each parsed by ASE."""

from __future__ import annotations

import gzip
import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping
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
_MAX_STEP = 2**63 - 1
_MAX_DISAGREEMENT = 0.01  # of virial and stress, relative to the virial

_ENERGY_UNITS = {"real": 1.0, "metal": KCAL_PER_MOL_PER_EV, "ev": KCAL_PER_MOL_PER_EV}
"""Unit of energy in kcal/mol by what ``units=`` says, in small letters."""

_FORTRAN = re.compile(r"(?<![\w.])([-+]?(?:\d+\.?\d*|\.\d+))[dD]([-+]\d+)(?!\w)")
"""A number with an exponent as Fortran writes it: 1.0D+00."""


def read_extxyz(path: Path, *, require_forces: bool = True, elements: ElementTypes | None = None) -> Iterator[Frame]:
    """Read an extxyz file (plain or ``.gz``) frame by frame, from eV and angstrom to ``real`` units.

    ``energy``, ``forces`` and ``stress`` or ``virial`` are taken under these names; the virial is ``-volume * stress``.
    What LAMMPS's ``dump extxyz`` wrote is in the units of the run, which must be added as ``units=real`` or
    ``units=metal``; its ``Stress`` is a pressure with the kinetic part, and not read.
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
            if isinstance(error, KeyError) and re.search(rf"(?m)^\s*{re.escape(str(error.args[0]))}\s", text):
                raise InputError(
                    f"{where}: {error} is not a chemical element; write the symbol of an element instead of a type or "
                    "a label (H for deuterium)."
                ) from error
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{where}: the frame cannot be read ({reason}); correct or remove it.") from error
        empty = False
        yield frame
    if empty:
        raise InputError(f"{path}: contains no complete frame; does its last line have a line end? Write it again.")


def _blocks(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of each frame."""
    try:
        encoding = "utf-8-sig"  # skips a byte order mark
        with gzip.open(path, "rt", encoding=encoding) if path.suffix == ".gz" else path.open(encoding=encoding) as file:
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
                    what = "the file ends inside a frame, which is dropped"
                    if len(rows) == count:
                        what += ", because the last line has no line end, so its last number may be incomplete"
                    warnings.warn(f"{end}: {what}.", stacklevel=4)
                    return
                yield line, first + "".join(rows)
                line += 1 + count
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); write the file again.") from error


def _parse(text: str) -> Any:
    """ASE's Atoms of one frame, with a calculator that has the results."""
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import ParseError, read

    if "D+" in text or "D-" in text or "d+" in text or "d-" in text:
        text = _FORTRAN.sub(r"\1E\2", text)
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
    kcal_per_mol = _energy_unit(atoms.info, results, where)
    forces = results.get("forces")
    energy = results.get("energy", atoms.info.get("Potential_energy"))
    virial = _virial(atoms, cell, where)
    if energy is not None and not isinstance(energy, int | float | np.number):
        raise InputError(f"{where}: the energy is '{str(energy)[:40]}', which is not a number; correct the line.")
    for name, values in (("position", atoms.positions), ("force", forces), ("energy", energy), ("virial", virial)):
        if values is not None and not np.isfinite(values).all():
            raise InputError(
                f"{where}: a {name} of the frame is not a finite number; remove this frame and all that follow."
            )
    x, y, z = (bool(p) for p in atoms.pbc)
    return Frame(
        timestep=_step(atoms.info, line, where),
        cell=cell,
        origin=origin,
        periodic=(x, y, z),
        ids=np.arange(1, len(atoms) + 1),
        types=np.array(elements.numbers(atoms.get_chemical_symbols(), where), dtype=np.int64),
        positions=np.array(atoms.positions, dtype=np.float64),
        forces=None if forces is None else np.asarray(forces, dtype=np.float64) * kcal_per_mol,
        energy=None if energy is None else float(energy) * kcal_per_mol,
        virial=None if virial is None else virial * kcal_per_mol,
    )


def _energy_unit(info: Mapping[str, Any], results: Mapping[str, Any], where: str) -> float:
    """Find the unit of energies, of forces times angstrom and of virials, in kcal/mol."""
    units = info.get("units", info.get("Units"))
    if units is not None:
        if str(units).lower() not in _ENERGY_UNITS:
            raise InputError(f"{where}: units={str(units)[:40]} is not supported; use units=real, metal or eV.")
        return _ENERGY_UNITS[str(units).lower()]
    of_lammps = "Timestep" in info and ("Time" in info or "Potential_energy" in info)
    if of_lammps and ("forces" in results or "Potential_energy" in info):
        raise InputError(
            f"{where}: was written by LAMMPS's 'dump extxyz', which does not say the units of energies and forces; add "
            "units=real or units=metal to this line of each frame: sed -i 's/^Timestep=/units=real Timestep=/' FILE."
        )
    return KCAL_PER_MOL_PER_EV


def _step(info: Mapping[str, Any], line: int, where: str) -> int:
    """Step of the frame; where it has none, the number of its first line."""
    value = next((info[name] for name in ("step", "timestep", "Timestep", "Step") if name in info), line)
    try:
        step = int(value)
    except (TypeError, ValueError, OverflowError):
        step = _MAX_STEP + 1
    if abs(step) > _MAX_STEP:
        raise InputError(f"{where}: the step {str(value)[:40]} is not a whole number up to 2^63 - 1; correct it.")
    return step


def _virial(atoms: Any, cell: Float, where: str) -> Float | None:
    """Sum of ``x_i f_i`` in the unit of energy; None for a stress without volume (a lattice vector is missing)."""
    stress, virial = atoms.calc.results.get("stress"), atoms.info.get("virial")
    virial = None if virial is None else np.asarray(virial, dtype=np.float64).reshape(3, 3)
    if stress is not None and np.any(atoms.cell.array, axis=1).all():
        xx, yy, zz, yz, xz, xy = np.asarray(stress, dtype=np.float64)
        full = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        found = np.asarray(-abs(np.linalg.det(cell)) * full)
        if virial is not None and np.abs(virial - found).max() > _MAX_DISAGREEMENT * np.abs(found).max():
            raise InputError(f"{where}: 'virial' is not -volume times 'stress'; remove the one that is wrong.")
        return found
    return virial


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
