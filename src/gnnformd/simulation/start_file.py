"""Files that a simulation can start from: LAMMPS data and restart files, extended XYZ and what else ASE reads."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.reference.convert import convert_data_file
from gnnformd.reference.library import lammps_errors, open_lammps
from gnnformd.reference.plain_path import plain_path
from gnnformd.trajectory.formats.data_file import units_of_data_file
from gnnformd.trajectory.formats.frame_states import FrameStates
from gnnformd.trajectory.formats.repeat_data_file import repeat_data_file
from gnnformd.units import Units

if TYPE_CHECKING:
    from gnnformd.simulation.lammps.ranks import Ranks

__all__ = ["as_data_file", "states_of"]

Float = NDArray[np.float64]

_RESTART = b"LammpS RestartT"
_START = 1 << 16
_DATA_FILE = re.compile(rb"^\s*\d+\s+atoms\b", re.MULTILINE)
_SCALES = re.compile(r"\bunits\s*=\s*(lj\s+\w+\s*=.*)")
_MARGIN = 1.0
"""Between atoms and the end of the box in directions that are not periodic, angstrom."""

_THIN = 1e-3
"""Width of a box that is none, angstrom."""

_AS_IT_IS = ("real", "metal", None)
"""Units of data files that LAMMPS reads in ``real``, but for velocities; None: the file does not say them."""


@contextmanager
def as_data_file(path: Path, ranks: Ranks, copies: tuple[int, int, int] = (1, 1, 1)) -> Iterator[Path]:
    """Give the path of a LAMMPS data file in ``real`` or ``metal`` with the content of a file.

    A data file in these units is taken as it is. One in other units, a restart file, and a structure that ASE reads
    (the last frame of several) are converted by the first rank, in a folder that is removed after the block. So is one
    of which there shall be several copies.

    Parameters
    ----------
    path
        The file.
    ranks
        All of them enter the block.
    copies
        How often the box is repeated along its lattice vectors (see
        `gnnformd.trajectory.formats.repeat_data_file.repeat_data_file`).

    Raises
    ------
    InputError
        The file cannot be read, converted or repeated.
    """
    with ranks.together():
        start = _start_of(path)
    as_it_is = _DATA_FILE.search(start) and units_of_data_file(path) in _AS_IT_IS
    once = copies == (1, 1, 1)
    if as_it_is and once:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="gnnformd-") as own:
        folder = Path(ranks.share(own))
        made = folder / f"{path.stem}.data"
        with ranks.together():
            if ranks.first:
                single = path if as_it_is else made if once else folder / "single.data"
                if not as_it_is:
                    _convert(path, start, single, ranks)
                if not once and single.exists():
                    repeat_data_file(single, made, copies, path)
            written = made.exists()
        yield made if ranks.share(written) else path
        ranks.share(None)  # the folder stays until the last rank is here


def states_of(path: Path) -> dict[str, list[str]]:
    """Charge, spin, fields and theory that a structure names (`FrameStates.values`); nothing for LAMMPS's own files."""
    start, states = _start_of(path), FrameStates()
    if not _DATA_FILE.search(start) and not start.startswith(_RESTART):
        atoms = _read_by_ase(path, start)
        if atoms is not None:
            states.add(atoms.info)
    return states.values


def _start_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_START)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give a LAMMPS data or restart file, or a structure that ASE "
            "reads."
        ) from error


def _convert(path: Path, start: bytes, target: Path, ranks: Ranks) -> None:
    """Write the data file; nothing where the file is none of those that are known."""
    if start.startswith(_RESTART):
        native = target.with_name("native.data")
        _write_data(path, native, ranks)
        style = units_of_data_file(native)
        if style == "lj":
            raise InputError(
                f"{path}: is in units 'lj', which have no scale; write a data file ('write_data') and "
                "'units = lj epsilon=0.238 sigma=3.405 mass=39.948' with the values of the system into its first line."
            )
        if style in _AS_IT_IS:
            native.rename(target)
        else:
            convert_data_file(native, target, Units.named(str(style), str(path)), str(path))
    elif _DATA_FILE.search(start):
        scales = _SCALES.search(start.split(b"\n")[0].decode(errors="replace"))
        units = Units.named(scales[1] if scales else str(units_of_data_file(path)), f"{path}, line 1")
        convert_data_file(path, target, units, str(path))
    elif start.lstrip().startswith(b"ITEM:"):
        raise InputError(
            f"{path}: is a trajectory, which has no masses and bonds; start from a LAMMPS data file ('write_data'), a "
            "restart file, or a frame in extended XYZ."
        )
    else:
        atoms = _read_by_ase(path, start)
        if atoms is not None:
            target.write_text(_data_file(atoms, path))


def _write_data(restart: Path, target: Path, ranks: Ranks) -> None:
    """Let LAMMPS turn a restart file into a data file in its own units."""
    comm = None
    if ranks.size > 1:
        from mpi4py import MPI

        comm = MPI.COMM_SELF
    lmp = open_lammps(comm=comm)
    try:
        with plain_path(restart) as source, lammps_errors(str(restart)):
            for command in (
                f'read_restart "{source}"',
                "kspace_style none",
                "pair_style zero 10.0",  # the potentials are not needed, and may be in files elsewhere
                "pair_coeff * *",
                f'write_data "{target}" nocoeff',
            ):
                lmp.command(command)
        title, _, rest = target.read_text(errors="replace").partition("\n")
        target.write_text(f"{title}{_boundary([flag == 1 for flag in lmp.extract_box()[5]])}\n{rest}")
    finally:
        lmp.close()


def _read_by_ase(path: Path, start: bytes) -> Any:
    """ASE's atoms of the last frame, or None where ASE does not know the file."""
    import ase.io

    is_xyz = start.split(b"\n")[0].strip().isdigit()
    try:
        # not parallel: ASE would send the atoms to the other ranks, which do not ask for them
        return ase.io.read(path, index=-1, format="extxyz" if is_xyz else None, parallel=False)
    except Exception as error:  # whatever one of ASE's readers raises
        if is_xyz:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{path}: cannot be read as extended XYZ ({reason}); correct it.") from error
        return None


def _boundary(periodic: Sequence[bool]) -> str:
    """Part of a title that says which directions are not periodic.

    There LAMMPS's box follows the atoms, but stays as wide as it was: it has no neighbor lists for flat ones.
    """
    return "" if all(periodic) else f", boundary = {' '.join('p' if flag else 'm' for flag in periodic)}"


def _box(atoms: Any, path: Path) -> tuple[Float, Float]:
    """Lattice vectors as LAMMPS has them, lower triangular, and the rotation to them.

    Where a direction is not periodic its vector is at right angles to the others.

    Raises
    ------
    InputError
        Periodic directions span no volume (no area, no length).
    """
    from ase.cell import Cell

    edges = np.where(atoms.pbc[:, None], atoms.cell.array, 0.0)
    heights = np.linalg.svd(edges[atoms.pbc], compute_uv=False)
    if heights.min(initial=1.0) < _THIN:
        raise InputError(
            f"{path}: is periodic along directions without a lattice vector, or with vectors in one plane; correct "
            "'Lattice' and 'pbc'."
        )
    edges = Cell(edges).complete().array
    if np.linalg.det(edges) < 0:
        edges[int(atoms.pbc.argmin()) if not atoms.pbc.all() else 2] *= -1  # the same lattice, right-handed
    cell, rotation = Cell(edges).standard_form()
    tilted = np.outer(atoms.pbc, atoms.pbc) | np.eye(3, dtype=bool)  # the rest is rounding
    return np.where(tilted, cell.array, 0.0), rotation


def _data_file(atoms: Any, path: Path) -> str:
    """Text of a data file; types are numbered by element, and named.

    Where a direction is not periodic, the box ends there a little beyond the atoms.
    """
    if atoms.constraints:
        warnings.warn(f"{path}: its constraints are not kept; all atoms move.", stacklevel=2)
    cell, rotation = _box(atoms, path)
    positions = atoms.positions @ rotation.T
    low = np.where(atoms.pbc, 0.0, positions.min(axis=0) - _MARGIN)
    high = np.where(atoms.pbc, cell.diagonal(), positions.max(axis=0) + _MARGIN)
    symbols = np.array(atoms.get_chemical_symbols())
    kinds = list(dict.fromkeys(symbols[np.argsort(atoms.numbers, kind="stable")].tolist()))
    masses = [atoms.get_masses()[symbols == kind] for kind in kinds]
    for kind, found in zip(kinds, masses, strict=True):
        if np.ptp(found) > 1e-6:
            raise InputError(f"{path}: atoms of {kind} have different masses; give each isotope a LAMMPS atom type.")
    xy, (xz, yz) = cell[1, 0], cell[2, :2]
    charges = atoms.get_initial_charges() if atoms.has("initial_charges") else None
    title = "structure, units = real" + _boundary(atoms.pbc.tolist())
    lines = [title, "", f"{len(atoms)} atoms", f"{len(kinds)} atom types"]
    bounds = zip("xyz", low.tolist(), high.tolist(), strict=True)
    lines += [f"{begin!r} {end!r} {axis}lo {axis}hi" for axis, begin, end in bounds]
    if np.abs([xy, xz, yz]).max() > 1e-12 * cell[0, 0]:
        lines.append(f"{float(xy)!r} {float(xz)!r} {float(yz)!r} xy xz yz")
    lines += ["", "Masses", ""]
    lines += [f"{n} {float(m[0])!r} # {kind}" for n, (kind, m) in enumerate(zip(kinds, masses, strict=True), 1)]
    lines += ["", f"Atoms # {'atomic' if charges is None else 'charge'}", ""]
    for number, (symbol, place) in enumerate(zip(symbols.tolist(), positions.tolist(), strict=True), 1):
        charge = "" if charges is None else f"{float(charges[number - 1])!r} "
        lines.append(f"{number} {kinds.index(symbol) + 1} {charge}{' '.join(map(repr, place))}")
    if atoms.has("momenta"):
        from ase.units import fs

        velocities = atoms.get_velocities() @ rotation.T * fs
        lines += ["", "Velocities", ""]
        lines += [f"{n} {' '.join(map(repr, v))}" for n, v in enumerate(velocities.tolist(), 1)]
    return "\n".join(lines) + "\n"
