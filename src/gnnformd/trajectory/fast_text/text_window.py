"""A buffer of fixed size that moves through a text file, plain or gzip."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError

__all__ = ["TextWindow"]

_SIZE = 1 << 17
_DEFLATED = 1032
"""Largest compression ratio of gzip."""

_MARGIN = 16
"""`parse_rows` looks at eight bytes at once and so reads beyond the end."""


class TextWindow:
    """Bytes ``start`` to ``end`` of a buffer of 128 kilobytes, which fits into the processor cache.

    Parameters
    ----------
    path
        File to read; a name that ends in ``.gz`` is decompressed.

    Attributes
    ----------
    data
        The buffer, uint8; the byte at ``end`` is zero.
    start, end
        Range of bytes that are read but not used yet.
    line
        Number of the last line that `next_line` returned; whoever reads rows from `data` increases it.
    max_bytes
        Upper bound of the length of the text.
    cut_off
        Whether a gzip file ended before its end mark.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bytes = bytearray(_SIZE + _MARGIN)
        self.data: NDArray[np.uint8] = np.frombuffer(self._bytes, dtype=np.uint8)
        self.start = self.end = self.line = 0
        self.cut_off = False
        try:
            self._file = gzip.GzipFile(path) if path.suffix == ".gz" else io.FileIO(path)
            self.max_bytes = path.stat().st_size * (_DEFLATED if path.suffix == ".gz" else 1)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); give a readable file.") from error

    def __enter__(self) -> TextWindow:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def slide(self) -> bool:
        """Drop the used bytes and read more; False at the end of the file.

        Raises
        ------
        InputError
            The file cannot be read, or one line is longer than the window.
        """
        rest = self.end - self.start
        if rest == _SIZE:
            raise InputError(
                f"{self.path}, line {self.line + 1}: the line is longer than 128 kilobytes; give a LAMMPS dump."
            )
        self.data[:rest] = self.data[self.start : self.end]
        self.start, self.end = 0, rest
        try:
            # One read at a time, so that a truncated gzip file gives the bytes before its end.
            read = self._read(self.data[rest:_SIZE].data)
        except EOFError:
            self.cut_off, read = True, 0
        except (OSError, zlib.error) as error:
            raise InputError(
                f"{self.path}: cannot be read after line {self.line} ({error}); write or copy the file again."
            ) from error
        self.end += read
        self.data[self.end] = 0
        return read > 0

    def _read(self, target: memoryview) -> int:
        if isinstance(self._file, gzip.GzipFile):
            text = self._file.read1(len(target))
            target[: len(text)] = text
            return len(text)
        return self._file.readinto(target) or 0

    def next_line(self) -> str | None:
        """Return the next line without its end, or None where the file ends before a line end."""
        while (stop := self._bytes.find(b"\n", self.start, self.end)) < 0:
            if not self.slide():
                return None
        text = self._bytes[self.start : stop].decode("utf-8", "replace").strip()
        self.start, self.line = stop + 1, self.line + 1
        return text.removeprefix("\ufeff") if self.line == 1 else text  # a byte order mark

    def next_word(self) -> str:
        """Return the text up to the next blank or line end; empty at a line end."""
        found = re.compile(rb"[\x00-\x20]").search(self._bytes, self.start, self.end)
        return self._bytes[self.start : found.start() if found else self.end].decode("utf-8", "replace")

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left in the window."""
        return self.start == self.end
