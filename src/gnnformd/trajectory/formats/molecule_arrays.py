"""Read NumPy archives of one molecule, as sGDML, MD17 and rMD17 are published, frame by frame."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.trajectory.elements import ElementTypes
from gnnformd.trajectory.frame import Frame
from gnnformd.units import KCAL_PER_MOL_PER_EV

__all__ = ["read_molecule_arrays", "units_of_molecule_arrays"]

_NAMES = {
    "numbers": ("z", "nuclear_charges"),
    "positions": ("R", "coords"),
    "forces": ("F", "forces"),
    "energies": ("E", "energies"),
}
"""Names in archives of sGDML and MD17, and of rMD17."""

_UNITS = ("e_unit", "r_unit")

_HARTREE, _BOHR = 27.211386246, 0.529177210544
_ENERGIES = {"kcal/mol": 1.0, "ev": KCAL_PER_MOL_PER_EV, "mev": 1e-3 * KCAL_PER_MOL_PER_EV, "kj/mol": 1 / 4.184}
_ENERGIES |= dict.fromkeys(("ha", "hartree", "eh"), _HARTREE * KCAL_PER_MOL_PER_EV)
_LENGTHS = {"ang": 1.0, "angstrom": 1.0, "a": 1.0, "å": 1.0, "bohr": _BOHR, "a0": _BOHR}
_MARGIN = 10.0


def read_molecule_arrays(
    path: Path, *, require_forces: bool = True, elements: ElementTypes | None = None
) -> Iterator[Frame]:
    """Read positions ``R``, forces ``F``, energies ``E`` and atomic numbers ``z`` of an ``.npz`` file.

    Or ``coords``, ``forces``, ``energies`` and ``nuclear_charges``. Units are those of ``e_unit`` and ``r_unit`` in the
    file, else kcal/mol and angstrom, in which MD17 and rMD17 are. There are no periodic images; the box is 10 angstrom
    wider than the atoms. Other arrays are passed over. Source: sGDML's documentation, "Preparing datasets", and the
    readme of rMD17 (doi:10.6084/m9.figshare.12672038).

    Parameters
    ----------
    path
        The file.
    require_forces
        Refuse a file without forces.
    elements
        Assigns type numbers.

    Yields
    ------
    Frame

    Warns
    -----
    UserWarning
        The file does not say its units.

    Raises
    ------
    InputError
        The file cannot be read, an array is missing, has a wrong shape, or is not finite.
    """
    arrays = _arrays(path, {*_UNITS, *(name for names in _NAMES.values() for name in names)})
    energy, length = _units(path, arrays, warn=True)
    numbers = _numbers(path, arrays)
    types = np.array((elements or ElementTypes()).numbers([chemical_symbols[z] for z in numbers], str(path)), np.int64)
    atoms = len(types)
    positions = _values(path, arrays, "positions", (None, atoms, 3))
    if positions is None:
        raise InputError(f"{path}: has no positions ('R' or 'coords'); give an archive of sGDML or rMD17.")
    frames = len(positions)
    forces = _values(path, arrays, "forces", (frames, atoms, 3))
    if forces is None and require_forces:
        raise InputError(f"{path}: has no forces ('F' or 'forces'); add them, or take other data.")
    energies = _values(path, arrays, "energies", (frames,))
    for k in range(frames):
        x = positions[k] * length
        yield Frame(
            timestep=k + 1,
            line=0,
            cell=np.diag(np.ptp(x, axis=0) + _MARGIN),
            origin=x.min(axis=0) - _MARGIN / 2,
            periodic=(False, False, False),
            ids=np.arange(1, atoms + 1),
            types=types,
            positions=x,
            forces=None if forces is None else forces[k] * (energy / length),
            energy=None if energies is None else float(energies[k]) * energy,
        )


def units_of_molecule_arrays(path: Path) -> str:
    """Choose the unit style that results are shown in: ``metal`` where the file has eV, else ``real``."""
    energy, _ = _units(path, _arrays(path, set(_UNITS)), warn=False)
    return "metal" if energy in (_ENERGIES["ev"], _ENERGIES["mev"]) else "real"


def _arrays(path: Path, wanted: set[str]) -> dict[str, NDArray[Any]]:
    """Those of the wanted arrays that the file has."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in file.files if name in wanted}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise InputError(f"{path}: cannot be read ({error}); write it again.") from error


def _units(path: Path, arrays: dict[str, NDArray[Any]], *, warn: bool) -> tuple[float, float]:
    """Units of energy, kcal/mol, and of length, angstrom."""
    found = []
    for name, known, usual in (("e_unit", _ENERGIES, "kcal/mol"), ("r_unit", _LENGTHS, "Ang")):
        said = _text(arrays[name]) if name in arrays else usual
        unit = known.get(said.strip().lower())
        if unit is None:
            raise InputError(
                f"{path}: its {name} '{said[:20]}' is none of {', '.join(known)} (case does not matter); convert it."
            )
        found.append(unit)
    taken = {"e_unit": "kcal/mol", "r_unit": "angstrom"}
    missing = [name for name in taken if name not in arrays]
    if warn and missing:
        what = "units" if len(missing) == 2 else {"e_unit": "unit of energy", "r_unit": "unit of length"}[missing[0]]
        warnings.warn(
            f"{path}: does not say its {what}, so {' and '.join(taken[name] for name in missing)} "
            f"{'are' if len(missing) == 2 else 'is'} taken, as in MD17 and rMD17; add "
            f"{' and '.join(repr(name) for name in missing)} to say.",
            stacklevel=3,
        )
    return found[0], found[1]


def _text(value: NDArray[Any]) -> str:
    """Read a string of any kind that NumPy has from an array of one."""
    first = value.ravel()[0] if value.size == 1 else ""
    return first.decode(errors="replace") if isinstance(first, bytes) else str(first)


def _numbers(path: Path, arrays: dict[str, NDArray[Any]]) -> list[int]:
    """Atomic number of each atom."""
    name = next((name for name in _NAMES["numbers"] if name in arrays), None)
    if name is None:
        raise InputError(
            f"{path}: has no atomic numbers ('z' or 'nuclear_charges'); give an archive of sGDML or rMD17."
        )
    values = arrays[name]
    if values.ndim == 2 and values.shape[1] > 1 and len(values) and (values == values[0]).all():
        values = values[0]  # repeated for each frame
    if values.ndim != 1 or values.dtype.kind not in "iu" or not ((values > 0) & (values < len(chemical_symbols))).all():
        raise InputError(
            f"{path}: '{name}' must be one list of atomic numbers, the same for all frames; write other molecules to "
            "files of their own."
        )
    return [int(value) for value in values]


def _values(
    path: Path, arrays: dict[str, NDArray[Any]], meaning: str, shape: tuple[int | None, ...]
) -> NDArray[np.float64] | None:
    name = next((name for name in _NAMES[meaning] if name in arrays), None)
    if name is None:
        return None
    values = arrays[name]
    if meaning == "energies" and values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    fits = values.ndim == len(shape) and all(size in (None, own) for size, own in zip(shape, values.shape, strict=True))
    if values.dtype.kind not in "fiu" or not fits:
        wanted = " x ".join("frames" if size is None else str(size) for size in shape)
        raise InputError(
            f"{path}: '{name}' has the shape {values.shape} (of {values.dtype}), and {wanted} real numbers are wanted; "
            "correct it."
        )
    found: NDArray[np.float64] = values.astype(np.float64)
    if not np.isfinite(found).all():
        raise InputError(f"{path}: '{name}' contains NaN or infinity; remove these frames.")
    return found
