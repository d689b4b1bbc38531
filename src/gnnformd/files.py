"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gnnformd.errors import InputError

__all__ = [
    "locked_folder",
    "move_folder",
    "remove_left_work",
    "replacing",
    "work_folder",
    "write_bytes",
    "write_json",
    "write_text",
]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name beside the file; what stands there when the block ends well is on the disk and becomes the file.

    Whoever reads sees the old content or the new, never a part, also after a crash or a loss of power.

    Raises
    ------
    InputError
        The file cannot be written; the old one is as it was.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_what_the_killed_left(path)
        yield beside
        _sync(beside)
        beside.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); make room or choose another folder."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def _remove_what_the_killed_left(path: Path) -> None:
    """Remove names that `replacing` gave to processes that are no more."""
    for left in path.parent.glob(glob.escape(f".{path.name}.") + "*"):
        process = left.name.rpartition(".")[2]
        if process.isdecimal() and not _lives(int(process)):
            left.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it belongs to someone else
        return True
    return True


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file as `replacing` does.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    with replacing(path) as beside:
        beside.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 text as `replacing` does.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a mapping as JSON; JSON has no NaN and no infinity, null stands for both.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    write_text(path, json.dumps(_finite(data), indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def work_folder(out: Path) -> Iterator[Path]:
    """Make a hidden folder beside ``out`` to fill before `move_folder`; it is gone when the block ends.

    What a killed process left of an earlier one is removed first. A process locks its folder, and the system lifts
    the lock however the process ends, so the folder of one that still works is left alone.

    Raises
    ------
    InputError
        The folder cannot be made, or an OSError ends the block.
    """
    prefix = f".{out.name}{_WORK}"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for left in out.parent.glob(glob.escape(prefix) + "*"):
            _remove_if_left(left, out)
        fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}.new-", dir=out.parent))
        lock = _lock(fresh)
        # others look for this name, so it may have it only once it is locked
        work = fresh.rename(fresh.with_name(prefix + fresh.name.rpartition("-")[2]))
    except OSError as error:
        raise InputError(f"{out}: the folder cannot be made ({error.strerror}); choose another folder.") from error
    try:
        yield work.resolve()
    except OSError as error:
        raise InputError(
            f"{out}: cannot be written ({error.strerror or error}); make room or choose another folder."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextlib.contextmanager
def locked_folder(out: Path) -> Iterator[None]:
    """Make a folder, if it is not there, and refuse other processes that want to write into it meanwhile.

    The system lifts the lock however the process ends. A folder that was made here and is empty at the end is removed.
    Where a file system has no locks, nothing is refused.

    Raises
    ------
    InputError
        Another process has locked the folder, or it cannot be made.
    """
    existed = out.exists()
    try:
        handle = _open_locked(out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another folder.") from error
    try:
        yield
    finally:
        if not existed:
            with contextlib.suppress(OSError):  # it is not empty
                out.rmdir()
        os.close(handle)


def _open_locked(out: Path) -> int:
    """Make and lock the folder; return the open file to close."""
    while True:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise InputError(
                f"{out}: another process is writing into this folder; wait for its end, or choose another folder."
            ) from None
        except OSError:
            return handle  # this file system has no locks
        if out.exists() and os.path.samestat(os.fstat(handle), out.stat()):
            return handle
        os.close(handle)  # it was removed by the process that made it


def move_folder(folder: Path, out: Path, *, replace: bool = False) -> None:
    """Make sure the files of a folder are on the disk, then give it the name ``out``.

    Parameters
    ----------
    folder
        Inside a `work_folder` of ``out``.
    out
        Its place.
    replace
        Whether it may take the place of a folder that holds something.

    Raises
    ------
    OSError
        The files cannot be brought to the disk, or the place is taken.
    """
    for path in (*folder.iterdir(), folder):
        _sync(path)
    if replace and out.exists():
        out.rename(folder.with_name(_OLD))
    folder.rename(out)
    _sync(out.parent)


_OLD = "old"
"""Where `move_folder` puts what it replaces; if it is killed right then, `work_folder` puts it back."""


_WORK = ".work-"


def remove_left_work(folder: Path, prefix: str) -> None:
    """Remove what killed processes left of a `work_folder`, for all of ``folder`` whose names begin with ``prefix``.

    What cannot be removed stays.
    """
    for left in folder.glob(glob.escape(f".{prefix}") + f"*{_WORK}*"):
        with contextlib.suppress(OSError):
            _remove_if_left(left, folder / left.name.rpartition(_WORK)[0].removeprefix("."))


def _remove_if_left(work: Path, out: Path) -> None:
    lock = _lock(work)
    if lock is None:
        return
    if (work / _OLD).exists() and not out.exists():
        (work / _OLD).rename(out)
    shutil.rmtree(work, ignore_errors=True)
    os.close(lock)


def _lock(folder: Path) -> int | None:
    """Lock a folder and return the open file to close; None where another process has it or no lock can be had."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
