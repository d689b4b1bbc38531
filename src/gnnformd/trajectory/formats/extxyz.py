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
from gnnformd.trajectory.formats.learnable import LearnableFrames, possible_forces
from gnnformd.trajectory.formats.target_names import TargetNames
from gnnformd.trajectory.formats.target_weights import target_weights
from gnnformd.trajectory.frame import Float, Frame
from gnnformd.trajectory.isolated_atoms import names_isolated_atom
from gnnformd.units import KCAL_PER_MOL_PER_EV

__all__ = ["frame_of_atoms", "read_extxyz", "units_of_extxyz"]

_MARGIN = 10.0
_MAX_COLUMNS = 1000
_MAX_LINE = 1 << 17  # characters in a line
_MAX_STEP = 2**63 - 1
_MAX_DISAGREEMENT = 0.01  # of a virial and the one that a stress gives

_ENERGY_UNITS = {"real": 1.0, "metal": KCAL_PER_MOL_PER_EV, "ev": KCAL_PER_MOL_PER_EV}
"""Unit of energy in kcal/mol by what ``units=`` says, in small letters."""

_READ = r"(?:energ(?:y|ies)|forces?|stress(?:es)?|virials?|lengths?|distances?|pos(?:itions?)?|coord(?:inate)?s?)"
_UNIT_KEY = re.compile(rf"(?:\w+_)?{_READ}_?units?|units?_(?:of_)?{_READ}|[er]_units?", re.IGNORECASE)
"""Names that say a unit of what is read, such as ``energy_unit``, ``force_units`` and ``units_length``."""

_TAKEN = {"ev", "a", "ev/a", "eva1", "ev/a3", "eva3"}
"""What they may say: eV, angstrom, eV/angstrom and eV/angstrom^3, as `_plain_unit` writes them."""

_FORTRAN = re.compile(r"(?<![\w.])([-+]?(?:\d+\.?\d*|\.\d+))[dD]([-+]\d+)(?!\w)")
"""A number with an exponent as Fortran writes it: 1.0D+00."""

_CP2K = re.compile(r"\s*i =\s*\d+, time =")
"""Start of the comment of a frame that CP2K wrote."""

_OF_CP2K = re.compile(r"pos|frc|(?<![a-z])vel(?![a-z])")
"""What tells CP2K's files of positions, forces and velocities (``PROJECT-frc-1.xyz``); the last in a name counts."""

_TENSOR = re.compile(r"""(?<!\w)(stress|virial)=(["'{])([^"'}\[]*)["'}]""")
_ASIDE = "six_"
"""Marks a stress or virial that has not the nine numbers that ASE wants."""


def read_extxyz(
    path: Path,
    *,
    require_forces: bool = True,
    elements: ElementTypes | None = None,
    names: TargetNames | None = None,
) -> Iterator[Frame]:
    """Read an extxyz file (plain or ``.gz``) frame by frame, from eV and angstrom to ``real`` units.

    Energies, forces and stresses or virials are found under the names of `TargetNames`. A stress is positive under
    tension, in eV/angstrom^3, and the virial is ``-volume * stress``; both have six (xx, yy, zz, yz, xz, xy) or nine
    numbers, of which the symmetric part is taken: no energy that is invariant to rotation has another. Weights of
    frames are those of `target_weights`; a target of weight zero is not there. Single atoms and some frames with an
    energy need no forces (see `LearnableFrames`). What LAMMPS's ``dump extxyz`` wrote is in the units of the run, which
    must be added as ``units=real`` or ``units=metal``; its ``Stress`` is a pressure with the kinetic part, and not
    read. Types are numbered by element (see `ElementTypes`), ids number the rows. A direction without lattice vector
    gets a box 10 angstrom wider than the atoms. An incomplete frame at the end of the file is dropped with a warning.

    Parameters
    ----------
    path
        The file.
    require_forces
        Refuse what cannot be learned from.
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
        The file cannot be read, or a frame is wrong; the sentence names the line where the frame begins.
    """
    elements, names = elements or ElementTypes(), names or TargetNames()
    learnable = LearnableFrames(path, names, required=require_forces)
    wanted = names.given.get("forces", "forces")
    empty = True
    for number, (line, text) in enumerate(_blocks(path), start=1):
        where = f"{path}, line {line}"
        if number == 1:
            _refuse_other_vectors(path, text)
        try:
            atoms = _parse(text)
            frame = frame_of_atoms(atoms, number, where, elements, names, line=line)
            columns = ", ".join(sorted(set(atoms.arrays) - {"numbers"}))
            kept = learnable.keeps(
                frame,
                possible_forces(atoms.arrays, len(atoms)),
                InputError(
                    f"{where}: the frame has no column '{wanted}' (it has {columns}); add it, or name the column with "
                    "data.keys.forces."
                ),
            )
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError) as error:
            if isinstance(error, KeyError) and re.search(rf"(?m)^\s*{re.escape(str(error.args[0]))}\s", text):
                raise InputError(
                    f"{where}: {error} is not a chemical element; write the symbol of an element instead of a type or "
                    "a label (H for deuterium)."
                ) from error
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{where}: the frame cannot be read ({reason}); correct or remove it.") from error
        empty = False
        if kept:
            yield frame
    learnable.finish()
    if empty:
        raise InputError(f"{path}: contains no complete frame; does its last line have a line end? Write it again.")


def units_of_extxyz(path: Path) -> str:
    """Find the unit style of a file: ``real`` where its first frame says so, else ``metal``, for eV."""
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            comment = [file.readline(_MAX_LINE) for _ in range(2)][1]
    except (OSError, EOFError, UnicodeDecodeError):  # the reader says what is wrong
        return "metal"
    return "real" if re.search(r"\bunits=[\"']?real\b", comment, re.IGNORECASE) else "metal"


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


def _refuse_other_vectors(path: Path, text: str) -> None:
    """Refuse a trajectory of forces or velocities alone as CP2K writes it, which looks like one of positions."""
    kinds = _OF_CP2K.findall(path.name.lower())
    if kinds and kinds[-1] != "pos" and _CP2K.match(text.split("\n", 2)[1]):
        what = (
            "forces of a CP2K run (hartree/bohr)" if kinds[-1] == "frc" else "velocities of a CP2K run (atomic units)"
        )
        raise InputError(
            f"{path}: holds the {what} where positions are expected; write positions, forces and energies to one "
            "extended XYZ file, in angstrom and eV."
        )


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
    renamed = _TENSOR.sub(lambda m: m[0] if len(m[3].split()) == 9 else _ASIDE + m[0], comment)
    try:
        atoms = read(io.StringIO(text.replace(comment, renamed, 1)), format="extxyz", index=0)
    except ParseError as error:
        raise ValueError(str(error)) from error
    for name in ("stress", "virial"):
        if _ASIDE + name in atoms.info:
            atoms.info[name] = atoms.info.pop(_ASIDE + name)
    if atoms.calc is None:
        atoms.calc = SinglePointCalculator(atoms)
    return atoms


def frame_of_atoms(
    atoms: Any, number: int, where: str, elements: ElementTypes, names: TargetNames, *, line: int = 0
) -> Frame:
    """Convert ASE's Atoms, in eV and angstrom, to a frame.

    Parameters
    ----------
    atoms
        With results in its calculator, in ``info`` and in ``arrays``.
    number
        Of the frame in the file, where it names no step.
    where
        Beginning of error messages.
    elements
        Assigns type numbers.
    names
        Finds energies, forces, stresses and virials.
    line
        Where the frame begins; 0 in files that are not read by lines.

    Raises
    ------
    InputError
        Something in the frame is wrong.
    """
    results = {} if atoms.calc is None else atoms.calc.results
    values = {**atoms.info, **results}
    _check_directions(atoms, where)
    cell, origin = _box(atoms)
    if not 0 < abs(np.linalg.det(cell)) < math.inf:
        raise InputError(f"{where}: the volume of the box is zero or not finite; correct 'Lattice'.")
    kcal_per_mol = _energy_unit(atoms.info, results, where)
    forces = names.find("forces", {**atoms.arrays, **results}, where)
    energy = names.find("energy", values, where)
    energy = atoms.info.get("Potential_energy") if energy is None else energy
    virial = _virial(atoms, cell, values, names, where)
    config_type = names.find("config_type", values, where)
    names.find_unused({**atoms.arrays, **values})
    charges = None if len(atoms) == 1 else names.find_charges({**atoms.arrays, **results}, where)
    if energy is not None and not isinstance(energy, int | float | np.number):
        raise InputError(f"{where}: the energy is '{str(energy)[:40]}', which is not a number; correct the line.")
    if forces is not None and np.shape(forces) != (len(atoms), 3):
        raise InputError(f"{where}: the column of forces has not three numbers an atom; write x, y and z.")
    if charges is not None and (np.shape(charges) != (len(atoms),) or np.asarray(charges).dtype.kind not in "fiu"):
        raise InputError(f"{where}: the column '{names.chosen['charges']}' is not one charge an atom; write it in e.")
    for name, numbers in (
        *(("position", atoms.positions), ("force", forces), ("charge", charges)),
        *(("energy", energy), ("virial", virial)),
    ):
        if numbers is not None and not np.isfinite(numbers).all():
            raise InputError(
                f"{where}: {'an' if name == 'energy' else 'a'} {name} of the frame is not a finite number; correct "
                "or remove this frame."
            )
    weights = target_weights({} if names_isolated_atom(str(config_type)) else values, where)
    forces, energy, virial = (
        value if weight else None for value, weight in zip((forces, energy, virial), weights, strict=True)
    )
    if len(atoms) > 1 and any(weights):  # spins of single atoms differ by nature
        names.states.add(atoms.info)
    x, y, z = (bool(p) for p in atoms.pbc)
    step = _step(atoms.info, where)
    return Frame(
        timestep=number if step is None else step,
        line=line if step is None else None,
        cell=cell,
        origin=origin,
        periodic=(x, y, z),
        ids=np.arange(1, len(atoms) + 1),
        types=np.array(elements.numbers(atoms.get_chemical_symbols(), where), dtype=np.int64),
        positions=np.array(atoms.positions, dtype=np.float64),
        forces=None if forces is None else np.asarray(forces, dtype=np.float64) * kcal_per_mol,
        energy=None if energy is None else float(energy) * kcal_per_mol,
        virial=None if virial is None else virial * kcal_per_mol,
        charges=None if charges is None else np.asarray(charges, dtype=np.float64),
        velocities=_velocities(atoms),
        temperature=_temperature(atoms.info),
        config_type=None if config_type is None else str(config_type),
        weights=weights,
    )


def _temperature(info: Mapping[str, Any]) -> float | None:
    """Temperature that a frame says, K."""
    for name, value in info.items():
        known = name.lower() in ("temperature", "temp", "temperature_k") and isinstance(value, int | float | np.number)
        if known and 0 < value < math.inf:
            return float(value)
    return None


def _velocities(atoms: Any) -> Float | None:
    """Velocities in angstrom/fs from momenta, (N, 3); None for isotopes, whose masses a frame does not have."""
    from ase.data import atomic_masses
    from ase.units import fs

    if not atoms.has("momenta") or not np.allclose(atoms.get_masses(), atomic_masses[atoms.numbers], rtol=1e-3):
        return None
    velocities = np.asarray(atoms.get_velocities() * fs)
    return velocities if np.isfinite(velocities).all() else None


def _check_directions(atoms: Any, where: str) -> None:
    """Refuse a box or periodic directions that would be overlooked, and periodic directions without a vector."""
    for key in atoms.info:
        if key.lower() in ("lattice", "cell", "pbc"):
            name = "pbc" if key.lower() == "pbc" else "Lattice"
            raise InputError(f"{where}: '{key}' is not a name of extended XYZ; write '{name}'.")
    if (atoms.pbc & ~np.any(atoms.cell.array, axis=1)).any():
        raise InputError(
            f"{where}: 'pbc' says that a direction is periodic which has no lattice vector; add 'Lattice', or correct "
            "'pbc'."
        )


def _energy_unit(info: Mapping[str, Any], results: Mapping[str, Any], where: str) -> float:
    """Find the unit of energies, of forces times angstrom and of virials, in kcal/mol."""
    units = info.get("units", info.get("Units"))
    if units is not None:
        if str(units).lower() not in _ENERGY_UNITS:
            raise InputError(f"{where}: units={str(units)[:40]} is not supported; use units=real, metal or eV.")
        return _ENERGY_UNITS[str(units).lower()]
    for name, unit in info.items():
        if _UNIT_KEY.fullmatch(str(name)) and _plain_unit(str(unit)) not in _TAKEN:
            raise InputError(
                f"{where}: {name}={str(unit)[:40]} is not supported; convert the file to eV and angstrom (stresses to "
                f"eV/angstrom^3), and write that or remove '{name}'."
            )
    of_lammps = "Timestep" in info and ("Time" in info or "Potential_energy" in info)
    if of_lammps and ("forces" in results or "Potential_energy" in info):
        raise InputError(
            f"{where}: was written by LAMMPS's 'dump extxyz', which does not say the units of energies and forces; add "
            "units=real or units=metal to this line of each frame: sed -i 's/^Timestep=/units=real Timestep=/' FILE."
        )
    return KCAL_PER_MOL_PER_EV


def _step(info: Mapping[str, Any], where: str) -> int | None:
    """Step of the frame, None where it names none."""
    value = next((info[name] for name in ("step", "timestep", "Timestep", "Step") if name in info), None)
    if value is None:
        return None
    try:
        step = int(value)
    except (TypeError, ValueError, OverflowError):
        step = _MAX_STEP + 1
    if abs(step) > _MAX_STEP:
        raise InputError(f"{where}: the step {str(value)[:40]} is not a whole number up to 2^63 - 1; correct it.")
    return step


def _virial(atoms: Any, cell: Float, values: Mapping[str, Any], names: TargetNames, where: str) -> Float | None:
    """Sum of ``x_i f_i`` in the unit of energy; None for a stress without volume (a lattice vector is missing)."""
    given, stress = names.find_virial(values, where)
    virial = None if given is None else _tensor(given, "virial", where)
    if stress is None or not np.any(atoms.cell.array, axis=1).all():
        return virial
    from_stress = np.asarray(-abs(np.linalg.det(cell)) * _tensor(stress, "stress", where))
    if virial is not None and np.abs(virial - from_stress).max() > _MAX_DISAGREEMENT * np.abs(virial).max():
        raise InputError(
            f"{where}: '{names.chosen['virial']}' is not -volume times '{names.chosen['stress']}' (in eV/angstrom^3, "
            "positive under tension); remove the one that is wrong, or name the other with data.keys."
        )
    return from_stress if virial is None else virial


def _plain_unit(unit: str) -> str:
    """Write a unit in small letters, without signs of powers, and with a for angstrom.

    >>> _plain_unit("eV / Angstrom^3"), _plain_unit("eV Å-1")
    ('ev/a3', 'eva1')
    """
    plain = re.sub(r"[\s^*_(){}-]", "", unit.lower())
    return re.sub(r"angstr(?:o|oe|ö)ms?|angs?|å", "a", plain)


def _tensor(values: Any, name: str, where: str) -> Float:
    """Symmetric part of a tensor of six numbers, as Voigt and ASE order them, or of nine."""
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "fiu" or numbers.size not in (6, 9):
        raise InputError(
            f"{where}: the {name} is '{str(values)[:40]}'; write six numbers (xx, yy, zz, yz, xz, xy) or nine."
        )
    if numbers.size == 6:
        xx, yy, zz, yz, xz, xy = numbers.astype(np.float64).ravel()
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    full = numbers.astype(np.float64).reshape(3, 3)
    return np.asarray((full + full.T) / 2)


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
