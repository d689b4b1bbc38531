"""Paths that LAMMPS can take in its commands."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gnnformd.errors import InputError

__all__ = ["plain_path"]

_HARMLESS = re.compile(r"""[^"'$*%\\?\x00-\x1f\x7f-\U0010ffff]+""")
"""LAMMPS replaces letters beyond ASCII in its commands, and gives quotes, ``$``, ``*``, ``%`` a meaning."""


@contextmanager
def plain_path(path: Path) -> Iterator[Path]:
    """Give a path of harmless characters to a file or folder: the path itself, or that of a symbolic link.

    In errors inside the block, the link has the name of the original.

    Raises
    ------
    InputError
        There is no folder for temporary files with a harmless name.
    """
    if _HARMLESS.fullmatch(str(path)):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="gnnformd-") as folder:
        if not _HARMLESS.fullmatch(folder):
            raise InputError(
                f"{path}: LAMMPS cannot open names with these characters, nor those in {folder}; set TMPDIR to a "
                "folder with a plain name."
            )
        suffix = path.suffix if _HARMLESS.fullmatch(path.suffix) else ""
        link = Path(folder) / f"link{suffix}"  # LAMMPS reads .gz by its suffix
        link.symlink_to(path.resolve())
        try:
            yield link
        except InputError as error:
            raise InputError(str(error).replace(str(link), str(path))) from error
