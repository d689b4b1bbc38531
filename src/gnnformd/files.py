"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gnnformd.errors import InputError

__all__ = ["write_json", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Write beside the file and rename: whoever reads sees the old content or the new, never a part.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); name another place.") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a mapping as JSON; JSON has no NaN and no infinity, null stands for both.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    write_text(path, json.dumps(_finite(data), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
