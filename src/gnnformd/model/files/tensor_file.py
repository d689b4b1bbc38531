"""A safetensors file of float32 and float64 weights, checked by its header before one of its tensors is read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gnnformd.errors import InputError

__all__ = ["TensorFile", "read_header", "read_tensors"]

_HEADER_LIMIT = 1 << 20
"""Bytes of a header; those of the models here have some thousands."""

_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}

_PICKLES = (b"\x80", b"PK\x03\x04")


@dataclass(frozen=True)
class TensorFile:
    """What the header of a file says.

    Attributes
    ----------
    path
        The file.
    metadata
        Texts by name.
    shapes
        Of the tensors, by name, in the order of their bytes.
    types
        Names of their types, F32 or F64.
    data_start
        Place of the first tensor's first byte.
    """

    path: Path
    metadata: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, str]
    data_start: int


def read_header(path: Path) -> TensorFile:
    """Read the header and check that it tells the whole file, byte for byte.

    The format (https://github.com/huggingface/safetensors): eight bytes with the length of the header, little end
    first, the header in JSON, the tensors one after another.

    Raises
    ------
    InputError
        This is no such file, or it is cut short or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: is not a file; name a .safetensors file made by gnnformd.")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            fits = len(start) == 8 and length <= min(size - 8, _HEADER_LIMIT)
            text = file.read(length) if fits else b""
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a .safetensors file.") from error
    if not text.startswith(b"{"):
        raise _no_model_file(path, start, length, size)
    try:
        header = json.loads(text, object_pairs_hook=_without_doubles)
        metadata = header.pop("__metadata__", {})
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("'__metadata__' holds something else than text")
        shapes = _shapes(header, size - 8 - length)
        types = {name: header[name]["dtype"] for name in shapes}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{path}: its header is damaged ({reason[:200]}); get or train the model again.") from error
    return TensorFile(path, metadata, shapes, types, 8 + length)


def read_tensors(file: TensorFile) -> dict[str, torch.Tensor]:
    """Read all tensors.

    Raises
    ------
    InputError
        The file cannot be read or has changed since its header was read.
    """
    tensors = {}
    try:
        with file.path.open("rb") as opened:
            opened.seek(file.data_start)
            for name, shape in file.shapes.items():
                kind, count = _TYPES[file.types[name]], math.prod(shape)
                values = np.frombuffer(opened.read(kind.itemsize * count), dtype=kind)
                if len(values) != count:
                    raise InputError(f"{file.path}: was cut short while it was read; try again.")
                native = values.astype(kind.newbyteorder("="))  # a copy, to be written to
                tensors[name] = torch.from_numpy(native).reshape(shape)
    except (OSError, ValueError) as error:
        raise InputError(f"{file.path}: cannot be read ({error}); get or train the model again.") from error
    return tensors


def _no_model_file(path: Path, start: bytes, length: int, size: int) -> InputError:
    if start.startswith(_PICKLES):
        return InputError(
            f"{path}: is not a model file but a pickle, which may run code when it is read; "
            "name a .safetensors file made by gnnformd."
        )
    if len(start) == 8 and size - 8 < length <= _HEADER_LIMIT:
        return InputError(
            f"{path}: is not a model file or was cut short: it has {size} bytes, its header alone {length}; "
            "get or train the model again."
        )
    return InputError(f"{path}: is not a model file; name a .safetensors file made by gnnformd.")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _shapes(entries: Mapping[str, Any], size: int) -> dict[str, tuple[int, ...]]:
    """Shapes in the order of the bytes, which must follow each other without a gap up to the end of the file."""
    shapes: dict[str, tuple[int, ...]] = {}
    reached = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        dtype, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if dtype not in _TYPES:
            raise ValueError(f"weight '{name}' is of type {dtype}, not F32 or F64")
        if not all(type(n) is int and n >= 0 for n in (*shape, start, stop)):
            raise ValueError(f"weight '{name}' has a size that is no whole number")
        if start != reached or stop - start != _TYPES[dtype].itemsize * math.prod(shape):
            raise ValueError(f"weight '{name}' does not lie where its size says")
        reached = stop
        shapes[name] = tuple(shape)
    if reached != size:
        raise ValueError(f"the weights have {reached} bytes, the file holds {size}")
    return shapes
