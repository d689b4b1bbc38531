"""Paths of data: files, patterns, folders."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from gnnformd.errors import InputError

__all__ = ["matching_files"]


def matching_files(path: Path | str | Sequence[Path | str]) -> list[Path]:
    """Files and folders that match a path, a pattern or several of them; those of a pattern in natural order.

    Natural order sorts numbers by value: ``run-2`` comes before ``run-10``.

    Raises
    ------
    InputError
        Something does not exist, or nothing is given.
    """
    names = [path] if isinstance(path, (str, Path)) else list(path)
    if not names:
        raise InputError("no data given; give the path of a dump, an extxyz file or a reference run.")
    found: list[Path] = []
    for name in names:
        expanded = Path(name).expanduser()
        if expanded.exists():
            if not expanded.is_file() and not expanded.is_dir():
                raise InputError(f"{name}: is neither a file nor a folder; give a dump, an extxyz file or a folder.")
            found.append(expanded)
            continue
        matches = glob.glob(str(expanded), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
        if not matches:
            raise InputError(f"{name}: no such file or folder, and no file matches it as a pattern; correct the path.")
        found += sorted((Path(m) for m in matches), key=lambda m: _natural(str(m)))
    return found


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key in which numbers are compared by value."""
    return [(1, int(p), "") if p.isdigit() else (0, 0, p) for p in re.split(r"(\d+)", name) if p]
