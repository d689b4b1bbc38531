"""Read folders in DeePMD-kit's NumPy format frame by frame."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.trajectory.elements import ElementTypes
from gnnformd.trajectory.formats.frame_states import FrameStates
from gnnformd.trajectory.frame import Frame, Int
from gnnformd.units import KCAL_PER_MOL_PER_EV

__all__ = ["TYPES", "deepmd_files", "read_deepmd"]

TYPES = "type.raw"
"""The file that identifies a folder of this format."""

_MARGIN = 10.0
_MAX_ROUNDING = 1e-4  # eV, of the energy of a frame
_STATES = ("fparam", "aparam", "spin", "efield")
"""Arrays of numbers that energies depend on and models are not told."""

_TARGETS = {"forces": "force", "energy": "energy", "virial": "virial"}


def deepmd_files(folder: Path) -> list[Path]:
    """All files of a folder that `read_deepmd` reads."""
    names = [folder / name for name in ("type_map.raw", "nopbc")]
    return [name for name in names if name.is_file()] + [p for s in _sets(folder) for p in sorted(s.glob("*.npy"))]


def read_deepmd(
    folder: Path,
    *,
    require_forces: bool = True,
    elements: ElementTypes | None = None,
    states: FrameStates | None = None,
) -> Iterator[Frame]:
    """Read ``type.raw``, ``type_map.raw``, ``nopbc`` and the arrays of ``set.*``, from eV to ``real`` units.

    Arrays are ``coord`` and ``box``, and where present ``force``, ``energy`` and ``virial`` (here too ``sum x_i f_i``).
    Types with names are numbered by element (see `ElementTypes`), those without keep their numbers plus 1; ids
    number the atoms and timesteps the frames. Without periodic images (``nopbc``) the box is 10 angstrom wider than the
    atoms. Source: DeePMD-kit's manual, "Formats of a system".

    Parameters
    ----------
    folder
        Folder with ``type.raw``.
    require_forces
        Refuse a set without forces.
    elements
        Assigns type numbers.
    states
        Is told of parameters of frames and atoms, spins and fields.

    Yields
    ------
    Frame

    Warns
    -----
    UserWarning
        Energies are so large that the single precision they are written in rounds them.

    Raises
    ------
    InputError
        A file cannot be read or does not match the others; the sentence names it.
    """
    types = _types(folder, elements or ElementTypes())
    sets = _sets(folder)
    if not sets:
        raise InputError(
            f"{folder}: contains no folder 'set.*' with frames; add set.000 with coord.npy, box.npy, force.npy."
        )
    number, warned = 0, False
    for part in sets:
        arrays = _arrays(part, len(types), periodic=not (folder / "nopbc").is_file(), require_forces=require_forces)
        warned = warned or _warn_of_rounded_energies(part, arrays)
        if states is not None:
            _note_states(part, len(arrays["coord"]), states)
        for k in range(len(arrays["coord"])):
            number += 1
            yield _frame(arrays, k, types, number, part)


def _sets(folder: Path) -> list[Path]:
    return sorted(part for part in folder.glob("set.*") if part.is_dir())


def _types(folder: Path, elements: ElementTypes) -> Int:
    """Type of each atom, from 1."""
    path = folder / TYPES
    words = _words(path)
    if not words or not all(word.isdecimal() for word in words):
        raise InputError(f"{path}: must contain the type of each atom, whole numbers from 0 on; correct it.")
    types = np.array(words, dtype=np.int64)
    if not (folder / "type_map.raw").is_file():
        return types + 1
    names = _words(folder / "type_map.raw")
    if types.max() >= len(names):
        raise InputError(
            f"{folder / 'type_map.raw'}: lists {len(names)} types, but {TYPES} has a type {types.max()}; add its name."
        )
    return np.array(elements.numbers([names[t] for t in types], str(path)), dtype=np.int64)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a folder in the format of DeePMD-kit.") from error


def _arrays(part: Path, atoms: int, *, periodic: bool, require_forces: bool) -> dict[str, NDArray[Any]]:
    """Arrays of one set, memory-mapped, one row per frame; ``box`` is left out without periodic images."""
    if (part / "real_atom_types.npy").is_file():
        raise InputError(f"{part}: types differ between frames (mixed format); convert it to the standard format.")
    widths = {"coord": 3 * atoms, "box": 9, "force": 3 * atoms, "energy": 1, "virial": 9}
    needed = {"coord": True, "box": periodic, "force": require_forces}
    arrays: dict[str, NDArray[Any]] = {}
    for name, width in widths.items():
        path = part / f"{name}.npy"
        if not path.is_file() and needed.get(name):
            if name == "force":
                _refuse_other_targets_alone(part, width)
            raise InputError(f"{path}: no such file; add it with one row of {width} numbers per frame.")
        if not path.is_file() or (name == "box" and not periodic):
            continue
        try:
            rows = np.load(path, mmap_mode="r", allow_pickle=False)
            arrays[name] = rows.reshape(len(rows), width)
        except (OSError, ValueError, TypeError, EOFError) as error:
            raise InputError(f"{path}: does not contain rows of {width} numbers ({error}); write it again.") from error
        if arrays[name].dtype.kind not in "fiu" or len(arrays[name]) != len(arrays["coord"]):
            raise InputError(
                f"{path}: has {len(rows)} rows of {rows.dtype}, and coord.npy {len(arrays['coord'])} rows; "
                "write the same number of rows."
            )
    return arrays


def _refuse_other_targets_alone(part: Path, width: int) -> None:
    """Refuse a set with energies or virials and without forces."""
    others = {"energy": "energies", "virial": "virials"}
    found = next((others[name] for name in others if (part / f"{name}.npy").is_file()), None)
    if found is not None:
        raise InputError(
            f"{part}: has {found} only, and forces are needed, too; compute them by the same method, and write them to "
            f"force.npy (eV/angstrom), one row of {width} numbers per frame."
        )


def _warn_of_rounded_energies(part: Path, arrays: dict[str, NDArray[Any]]) -> bool:
    """Warn of energies in single precision that are rounded by more than they are usually known to."""
    energies = arrays.get("energy")
    if energies is None or energies.dtype.itemsize >= 8 or not len(energies):
        return False
    rounding = float(np.spacing(np.abs(energies).max().astype(energies.dtype))) / 2
    if not rounding > _MAX_ROUNDING:
        return False
    warnings.warn(
        f"{part / 'energy.npy'}: energies of up to {np.abs(energies).max():.3g} eV are written in single precision, so "
        f"they are rounded by up to {rounding:.2g} eV; write them in double precision (dpdata: comp_prec=np.float64).",
        stacklevel=3,
    )
    return True


def _note_states(part: Path, frames: int, states: FrameStates) -> None:
    """Tell what each frame of a set says of itself."""
    found = {}
    for path in (part / f"{name}.npy" for name in _STATES):
        if path.is_file():
            try:
                found[path.stem] = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, TypeError, EOFError) as error:
                raise InputError(f"{path}: cannot be read ({error}); write it again.") from error
    for k in range(frames):
        states.add({name: rows[k] for name, rows in found.items() if rows.ndim and k < len(rows)})


def _frame(arrays: dict[str, NDArray[Any]], k: int, types: Int, number: int, part: Path) -> Frame:
    row = {name: np.array(array[k], dtype=np.float64) for name, array in arrays.items()}
    for name, values in row.items():
        if not np.isfinite(values).all():
            raise InputError(f"{part / name}.npy: row {k + 1} contains NaN or infinity; remove the frame.")
    positions = row["coord"].reshape(-1, 3)
    low = positions.min(axis=0) - _MARGIN / 2
    wide = np.diag(np.ptp(positions, axis=0) + _MARGIN)
    targets = {field: row[name] * KCAL_PER_MOL_PER_EV for field, name in _TARGETS.items() if name in row}
    return Frame(
        timestep=number,
        line=0,
        cell=row["box"].reshape(3, 3) if "box" in row else wide,
        origin=np.zeros(3) if "box" in row else low,
        periodic=("box" in row,) * 3,
        ids=np.arange(1, len(types) + 1),
        types=types,
        positions=positions,
        forces=targets["forces"].reshape(-1, 3) if "forces" in targets else None,
        energy=float(targets["energy"][0]) if "energy" in targets else None,
        virial=targets["virial"].reshape(3, 3) if "virial" in targets else None,
    )
