"""Compilation by numba: the one decorator of all compiled loops."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
from llvmlite import ir
from numba.core.caching import FunctionCache, IndexDataCacheFile

__all__ = ["compiled", "kernel", "read_integer"]

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R], *, fast: bool = False) -> Callable[P, R]:
    """Compile with numba at the first call; the machine code is kept on disk where that is possible.

    Parameters
    ----------
    function
        What to compile.
    fast
        Release Python's lock, and let the processor reorder sums and products (``fastmath``). The machine code is
        renewed when any file in the folder of the function has changed: by itself numba looks at the file of the
        function only, and not at the files of the functions that it calls.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": True} if fast else {}
    dispatcher = numba.njit(error_model="numpy", **options)(function)
    with suppress(RuntimeError):  # numba found no folder it may write to
        dispatcher._cache = _Cache(function, fast)
    return dispatcher  # type: ignore[no-any-return]


kernel = partial(compiled, fast=True)
"""Decorator of the loops that take the time: `compiled`, fast."""


class _Cache(FunctionCache):  # type: ignore[misc]
    """Machine code on disk; a full disk is no error, since the code is in memory, too."""

    _cache_file: Any

    def __init__(self, function: Callable[..., Any], whole_folder: bool) -> None:
        super().__init__(function)
        stamp = self._cache_file._source_stamp
        if whole_folder:
            stamp = (stamp, _newest(Path(function.__code__.co_filename).parent))
        self._cache_file = _CacheFile(self._cache_path, self._impl.filename_base, stamp)

    def save_overload(self, signature: Any, data: Any) -> None:
        """Write the machine code of one signature."""
        with suppress(OSError):
            super().save_overload(signature, data)


class _CacheFile(IndexDataCacheFile):  # type: ignore[misc]
    """The files of one function: machine code of each signature, and an index of them.

    numba counts the files of machine code, and writes the index first. Of two processes that compile at the same time,
    one may then read what belongs to another signature, or to the source before a change. Here the name of a file
    follows from what is in it, so that the worst that happens is that something is compiled once more.
    """

    def save(self, key: Any, data: Any) -> None:
        """Write the machine code of one signature, then the index; remove what the index does not name."""
        base = self._index_name.removesuffix(".nbi")
        digest = hashlib.sha256(repr((self._source_stamp, key)).encode()).hexdigest()[:16]
        name = f"{base}.{digest}.nbc"
        self._save_data(name, data)
        overloads = {**self._load_index(), key: name}
        self._save_index(overloads)
        for path in Path(self._cache_path).glob(f"{glob.escape(base)}.*.nbc"):
            if path.name not in overloads.values():
                path.unlink(missing_ok=True)


@lru_cache
def _newest(folder: Path) -> int:
    """When the last of the Python files in a folder was changed."""
    return max(path.stat().st_mtime_ns for path in folder.glob("*.py"))


def read_integer(builder: Any, address: Any, bits: int) -> Any:
    """Build the code that reads an integer of so many bits at an address, aligned or not; for intrinsics of numba."""
    return builder.load(builder.inttoptr(address, ir.IntType(bits).as_pointer()), align=1)
