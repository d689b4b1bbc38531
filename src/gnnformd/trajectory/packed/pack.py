"""The folder that stores frames as memory-mapped arrays."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gnnformd.errors import InputError
from gnnformd.files import move_folder, work_folder
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.temperature import speeds_of

__all__ = ["FORMAT_VERSION", "MANIFEST", "PER_ATOM", "PER_FRAME", "PER_LABEL", "SPEEDS", "load_arrays", "write_pack"]

FORMAT_VERSION = 11  # 1: no virials from tables; 2: rows of a step that occurs again, and units of unmarked files
# 3: no kinds of configuration, isolated atoms among the frames; 4, 5: one of them without units and names of types
# 6: no weights; 7: lines as steps of frames without one; 8: no temperatures and speeds; 9: no states
# 10: other units that frames say were not refused
MANIFEST = "pack.json"

PER_ATOM: dict[str, tuple[int, ...]] = {"positions": (3,), "forces": (3,)}
"""float64, concatenated over frames; frame k begins at ``frame_starts[k]``. Forces that are not known are NaN."""

PER_FRAME: dict[str, tuple[DTypeLike, tuple[int, ...]]] = {
    "frame_starts": (np.int64, ()),
    "label": (np.int64, ()),
    "timesteps": (np.int64, ()),
    "lines": (np.int64, ()),
    "cells": (np.float64, (3, 3)),
    "origins": (np.float64, (3,)),
    "periodic": (np.bool_, (3,)),
    "energies": (np.float64, ()),
    "temperatures": (np.float64, ()),
    "speed_starts": (np.int64, ()),
    "virials": (np.float64, (3, 3)),
    "config_types": (np.int64, ()),
    "weights": (np.float64, (3,)),
}
"""One row per frame; ``frame_starts`` and ``speed_starts`` have one more, and NaN means unknown. ``config_types`` are
rows of the manifest's list, -1 where there is none, and ``lines`` are -1 where frames have a step."""

SPEEDS = "speeds"
"""Rows of `gnnformd.trajectory.temperature.speeds_of`; those of frame k begin at ``speed_starts[k]``."""

PER_LABEL: dict[str, tuple[DTypeLike, tuple[int, ...]]] = {
    "ids": (np.int64, ()),
    "types": (np.int64, ()),
    "molecule_ids": (np.int64, ()),
    "charges": (np.float64, ()),
    "bonds": (np.int64, (2,)),
}
"""Properties that rarely change, stored once for all frames that share them; label k begins at ``NAME_starts[k]``, and
``NAME_known`` says whether a label has it."""


def _shapes() -> dict[str, tuple[DTypeLike, tuple[int, ...]]]:
    """Type and shape of a row of every array."""
    shapes: dict[str, tuple[DTypeLike, tuple[int, ...]]] = {k: (np.float64, s) for k, s in PER_ATOM.items()}
    shapes |= {**PER_FRAME, SPEEDS: (np.float64, (4,))}
    for name, shape in PER_LABEL.items():
        shapes |= {name: shape, f"{name}_starts": (np.int64, ()), f"{name}_known": (np.bool_, ())}
    return shapes


class _Growing:
    """A ``.npy`` file that grows row by row; its header, whose size is fixed, is written again at the end."""

    def __init__(self, path: Path, dtype: DTypeLike, row_shape: tuple[int, ...]) -> None:
        self._file: BinaryIO = path.open("w+b")
        self._dtype, self._row_shape, self.length = np.dtype(dtype), row_shape, 0
        self._write_header()
        self._data_start = self._file.tell()

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self.length, *self._row_shape),
        }
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, rows: Any) -> None:
        array = np.ascontiguousarray(rows, dtype=self._dtype).reshape(-1, *self._row_shape)
        self._file.write(array.tobytes())
        self.length += len(array)

    def close(self) -> None:
        self._file.seek(0)
        self._write_header()
        if self._file.tell() != self._data_start:
            raise RuntimeError("the header of a .npy file did not keep its size")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


class _Writer:
    """Appends frames to the arrays of a folder."""

    def __init__(self, folder: Path) -> None:
        self._arrays = {k: _Growing(folder / f"{k}.npy", dtype, shape) for k, (dtype, shape) in _shapes().items()}
        self._arrays["frame_starts"].append(0)
        self._arrays["speed_starts"].append(0)
        for name in PER_LABEL:
            self._arrays[f"{name}_starts"].append(0)
        self._labels: dict[bytes, int] = {}
        self._last: tuple[tuple[NDArray[Any] | None, ...], int] | None = None
        self.config_types: dict[str, int] = {}

    def append(self, frame: Frame) -> None:
        rows = {
            "positions": frame.positions,
            "forces": np.full(np.shape(frame.positions), np.nan) if frame.forces is None else frame.forces,
            "label": self._label(frame),
            "timesteps": frame.timestep,
            "lines": -1 if frame.line is None else frame.line,
            "cells": frame.cell,
            "origins": frame.origin,
            "periodic": frame.periodic,
            "energies": np.nan if frame.energy is None else frame.energy,
            "temperatures": np.nan if frame.temperature is None else frame.temperature,
            SPEEDS: speeds_of(frame),
            "virials": np.full((3, 3), np.nan) if frame.virial is None else frame.virial,
            "config_types": self._config_type(frame.config_type),
            "weights": frame.weights,
        }
        for name, values in rows.items():
            self._arrays[name].append(values)
        self._arrays["frame_starts"].append(self._arrays["positions"].length)
        self._arrays["speed_starts"].append(self._arrays[SPEEDS].length)

    def _config_type(self, name: str | None) -> int:
        return -1 if name is None else self.config_types.setdefault(name, len(self.config_types))

    def _label(self, frame: Frame) -> int:
        """Index of the frame's label, stored if it is new."""
        values = tuple(getattr(frame, name) for name in PER_LABEL)
        if self._last is not None and all(map(_same, values, self._last[0])):
            return self._last[1]
        digest = hashlib.sha256()
        for value in values:
            digest.update(b"none" if value is None else repr(value.shape).encode() + value.tobytes())
        index = self._labels.setdefault(digest.digest(), len(self._labels))
        if index == self._arrays["ids_known"].length:
            for name, value in zip(PER_LABEL, values, strict=True):
                if value is not None:
                    self._arrays[name].append(value)
                self._arrays[f"{name}_known"].append(value is not None)
                self._arrays[f"{name}_starts"].append(self._arrays[name].length)
        self._last = values, index
        return index

    def close(self) -> None:
        for array in self._arrays.values():
            array.close()


def _same(a: NDArray[Any] | None, b: NDArray[Any] | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def write_pack(frames: Iterable[Frame], folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write frames to a new folder, which appears once it is complete.

    Memory does not grow with the number of frames. If another process has made the folder meanwhile, that one is kept.

    Parameters
    ----------
    frames
        The frames.
    folder
        The new folder; its parent is created if needed.
    manifest
        Content of ``pack.json``; read after the last frame, so it may be completed while ``frames`` is consumed.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    with work_folder(folder) as work:
        made = work / "pack"
        made.mkdir()
        with closing(_Writer(made)) as writer:
            for frame in frames:
                writer.append(frame)
        content = {"format_version": FORMAT_VERSION, "config_types": list(writer.config_types), **manifest}
        (made / MANIFEST).write_text(json.dumps(content, indent=1))
        try:
            move_folder(made, folder)
        except OSError:
            if not (folder / MANIFEST).is_file():
                raise


def load_arrays(folder: Path) -> dict[str, NDArray[Any]]:
    """Arrays of a pack: those per atom are memory-mapped, the small ones are read; all sizes are checked.

    Raises
    ------
    InputError
        A file is missing or damaged, or the arrays do not match.
    """
    try:
        arrays = {
            name: _load(folder / f"{name}.npy", dtype, row, mapped=name in PER_ATOM or name in PER_LABEL)
            for name, (dtype, row) in _shapes().items()
        }
        if not _consistent(arrays):
            raise ValueError("its arrays do not match")
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{folder}: the packed dataset is damaged ({error}); delete the folder.") from error
    return arrays


def _load(path: Path, dtype: DTypeLike, row_shape: tuple[int, ...], *, mapped: bool) -> NDArray[Any]:
    """Read or map an array after a check of its header and of the size of the file."""
    with path.open("rb") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{path.name} is of another version")
        shape, by_columns, found = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
        count = math.prod(shape)
        if shape[1:] != row_shape or found != np.dtype(dtype) or by_columns or len(shape) == 0:
            raise ValueError(f"{path.name} has a wrong shape or type")
        if path.stat().st_size != start + count * found.itemsize:
            raise ValueError(f"{path.name} is truncated")
        if mapped and count:  # an empty array cannot be mapped
            return np.asarray(np.memmap(path, found, "r", start, shape))  # its views are small
        return np.fromfile(file, found, count).reshape(shape)


def _consistent(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether all ranges lie within their arrays."""
    frames, labels = len(arrays["timesteps"]), len(arrays["ids_known"])
    cuts = [("frame_starts", frames, name) for name in PER_ATOM] + [(f"{n}_starts", labels, n) for n in PER_LABEL]
    cuts.append(("speed_starts", frames, SPEEDS))
    for starts, count, name in cuts:
        edges = arrays[starts]
        if len(edges) != count + 1 or edges[0] != 0 or edges[-1] != len(arrays[name]) or (np.diff(edges) < 0).any():
            return False
    same = all(len(arrays[name]) == frames for name in PER_FRAME if not name.endswith("_starts"))
    known = all(len(arrays[f"{name}_known"]) == labels for name in PER_LABEL)
    label = arrays["label"]
    return bool(same and known and (label >= 0).all() and (label < labels).all())
