"""Folders for packs, and fingerprints that detect changed files."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from gnnformd.errors import InputError

__all__ = ["cache_folders", "fingerprint", "first_writable", "short_hash"]

_HASHED = 1 << 16


def cache_folders(file: Path) -> list[Path]:
    """Folders to look for packs of a file: beside it, then the cache of the user."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [file.parent / ".gnnformd-cache", home / "gnnformd"]


def first_writable(folders: list[Path]) -> Path:
    """First of the folders that can be created and written to, else the last."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return folders[-1]


def fingerprint(file: Path) -> list[Any]:
    """Size, time and a hash of the first and last 64 kilobytes of a file.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        status = file.stat()
        with file.open("rb") as opened:
            digest = hashlib.sha256(opened.read(_HASHED))
            opened.seek(max(status.st_size - _HASHED, 0))
            digest.update(opened.read(_HASHED))
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); give a readable file.") from error
    return [status.st_size, status.st_mtime_ns, digest.hexdigest()]


def short_hash(value: Any) -> str:
    """Hash of a JSON value, ten characters."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]
