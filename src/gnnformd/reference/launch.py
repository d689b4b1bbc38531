"""Start the process that runs LAMMPS, monitor it, and report its errors with file and line."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gnnformd.errors import InputError
from gnnformd.reference.executed import ExecutedCommands
from gnnformd.reference.instrument import Instrumented
from gnnformd.reference.library import find_mpich_file, lammps_sentence
from gnnformd.reference.script import Script, ScriptLine, words
from gnnformd.reference.worker import STEP

__all__ = ["failing_line", "run_lammps", "run_on_ranks"]

_OF_MPIEXEC = re.compile(r"={20,}$|\[(mpiexec|proxy)")
_SIGNAL_OF_MPIEXEC = re.compile(r"^YOUR APPLICATION TERMINATED WITH THE EXIT STRING: .* \(signal (\d+)\)")


def run_lammps(
    job: dict[str, Any],
    work: Path,
    script: Script,
    parts: Instrumented,
    ranks: int,
    progress: Callable[[int], None],
    executed: ExecutedCommands | None = None,
) -> dict[str, Any]:
    """Run a job in a separate process and return its result.

    Parameters
    ----------
    job
        Input, log, topology, variables: see `gnnformd.reference.worker`.
    work
        Folder for the files of the job.
    script, parts
        The user's input and the copy that runs, to find the line of an error.
    ranks
        Number of MPI processes.
    progress
        Called with the number of steps done.
    executed
        Sees what LAMMPS prints, and ends a run whose frames would be of no use.

    Raises
    ------
    InputError
        LAMMPS stopped before the end of the input, or was stopped by ``executed``.
    """
    job_file = work / "job.json"
    job_file.write_text(json.dumps(job))
    screen = work / "screen.txt"
    with (work / "stderr.txt").open("w") as errors, screen.open("w") as printed:
        process = subprocess.Popen(
            [*_mpiexec(ranks), sys.executable, "-P", "-m", "gnnformd.reference.worker", str(job_file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
            env=_environment(),
            start_new_session=True,  # Ctrl-C reaches this program only, which then ends the run
        )
        try:
            for text in process.stdout or ():
                if text.startswith(STEP):
                    progress(int(text.removeprefix(STEP)))
                else:
                    printed.write(text)
                    fault = None if executed is None else executed.see(text)
                    if fault is not None:
                        printed.flush()
                        line = failing_line(fault.command, _lines(screen), script, parts)
                        raise InputError(f"{script.path if line is None else line}: {fault.reason}")
            code = process.wait()
        finally:
            _stop(process)
    result_file = work / "result.json"
    result: dict[str, Any] = json.loads(result_file.read_text()) if result_file.exists() else {}
    if "refused" in result:
        raise InputError(result["refused"])
    if not result or "error" in result:
        # After a crash the log lacks its last lines, but not what was printed.
        outputs = [_lines(path) for path in (Path(job["log"]), screen)]
        output = max(outputs, key=len)
        error = result.get("error") or _last_error(output)
        if error:
            raise InputError(_with_line(error, output, script, parts))
        raise InputError(_ended_early(code, output, _lines(work / "stderr.txt"), script, parts))
    return result


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _last_error(output: Sequence[str]) -> str | None:
    """Find the last error message that LAMMPS printed, with the line of the input it quotes."""
    for start in reversed(range(len(output))):
        if output[start].startswith("ERROR"):
            rest = itertools.takewhile(lambda text: text.strip() and "wall time" not in text, output[start:])
            return "\n".join(rest)
    return None


def run_on_ranks(arguments: Sequence[str], ranks: int) -> int:
    """Run the command ``gnnformd`` with these arguments on a number of ranks, which share this terminal.

    Ctrl-C reaches the ranks as SIGUSR1, which mpiexec forwards silently; the second one ends them.

    Returns
    -------
    int
        The exit status.

    Raises
    ------
    InputError
        MPICH's mpiexec is not installed.
    """
    program = [sys.executable, "-P", "-m", "gnnformd"]
    process = subprocess.Popen(
        [*_mpiexec(ranks), *program, *arguments],
        stdin=subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,
    )
    try:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGUSR1)
            return process.wait()
    finally:
        _stop(process)


def _mpiexec(ranks: int) -> list[str]:
    if ranks == 1:
        return []
    program = find_mpich_file("mpiexec.hydra", "mpiexec")
    if program is None:
        raise InputError(
            "--ranks: MPICH's mpiexec was not found; install it with 'pip install mpich', or use one rank."
        )
    return [str(program), "-n", str(ranks)]


def _environment() -> dict[str, str]:
    """Set one thread per rank, and remove variables of an MPI launcher that started this program."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PMI_", "PMIX_", "HYDRA_", "MPI_"))}
    return {**inherited, "OMP_NUM_THREADS": "1"}


def _stop(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.stdout:
        process.stdout.close()


def _with_line(error: str, output: Sequence[str], script: Script, parts: Instrumented) -> str:
    """One sentence: file, line, what LAMMPS says, and the command it failed at."""
    sentence, quoted = lammps_sentence(error)
    line = failing_line(quoted, output, script, parts)
    if line is None:
        return f"{script.path}: LAMMPS says: {sentence}; correct the input."
    return f"{line}: LAMMPS says: {sentence} (in '{_shown(line)}'); correct the input."


def _shown(line: ScriptLine) -> str:
    return " ".join(line.text.split("#")[0].split())


def _ended_early(code: int, output: Sequence[str], errors: Sequence[str], script: Script, parts: Instrumented) -> str:
    """One sentence on a process that ended without a message of LAMMPS: where, how, and its last words."""
    line = failing_line(None, output, script, parts)
    if line is not None and line.words[:1] == ["quit"]:
        return f"{line}: 'quit' ends LAMMPS before the topology can be written; remove this line."
    where = f"{script.path}: LAMMPS" if line is None else f"{line}: LAMMPS"
    at = "" if line is None else f" in '{_shown(line)}'"
    number = _signal(code, [*output, *errors])
    how = f"ended with exit code {code}"
    if number is not None:
        how = f"was ended by signal {number} ({signal.strsignal(number)})"
    own = itertools.takewhile(lambda text: not _OF_MPIEXEC.match(text), errors or output)
    printed = [text.strip() for text in own if text.strip()]
    last = f", after it printed '{printed[-1][:200]}'" if printed and (line is None or printed[-1] != at[5:-1]) else ""
    remedy = "look at this command and at the files it reads"
    if number == signal.SIGKILL:
        remedy = "give it more memory, or fewer atoms"
    return f"{where} {how}{at}{last}; {remedy}."


def _signal(code: int, output: Sequence[str]) -> int | None:
    """Find the signal that ended a process; mpiexec prints it."""
    found = [int(match[1]) for text in output if (match := _SIGNAL_OF_MPIEXEC.search(text))]
    number = found[0] if found else -code
    return number if 0 < number < signal.NSIG else None


def failing_line(quoted: str | None, output: Sequence[str], script: Script, parts: Instrumented) -> ScriptLine | None:
    """Find the line of the user's files at which LAMMPS stopped.

    LAMMPS echoes each command to its output before it runs it, and quotes it in many of its messages, but gives no line
    number: the last echoed line that occurs in a file is taken, and where it occurs several times, the number
    of its echoes determines which.
    """
    lines: dict[str, list[ScriptLine]] = {}
    for line in script:
        if line.words:
            lines.setdefault(_key(line.text), []).append(line)
    echoed = [_key(text) for text in output]
    if quoted is not None and _key(quoted) in lines:
        key = _key(quoted)
    elif quoted is not None and _key(quoted) in map(_key, parts.commands):
        return parts.dump
    else:
        key = next((text for text in reversed(echoed) if text in lines), "")
    found = lines.get(key, [])
    return found[min(max(echoed.count(key), 1), len(found)) - 1] if found else None


def _key(text: str) -> str:
    return " ".join(words(text))
