"""Restart files of LAMMPS: a run goes on where it stopped, as if it had not."""

from __future__ import annotations

import json
import mmap
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from gnnformd.errors import InputError
from gnnformd.files import replacing, write_json
from gnnformd.reference.library import lammps_errors
from gnnformd.simulation.guard import Departures
from gnnformd.simulation.md_run import OUTSIDE
from gnnformd.simulation.settings import SimulationSettings

if TYPE_CHECKING:
    from lammps import lammps

    from gnnformd.simulation.lammps.ranks import Ranks

__all__ = ["COUNTED", "RESTART", "Restarts", "check_same_run", "cut_back", "departures_until"]

RESTART = "restart.lammps"
COUNTED = "restart.json"
"""Steps outside the range of the training data until the last two restart files."""

_LAST_BYTES = b"LammpS RestartT\0"
"""With these LAMMPS ends a restart file."""

_SORT_AT_MOST = 1000
"""LAMMPS sorts its atoms in memory so often, in steps, if it is told nothing."""

_MAY_CHANGE = ("steps", "ranks", "restart_every", "guard")


class Restarts:
    """Keeps ``restart.lammps`` of a run, written whole or not at all.

    LAMMPS writes a file with the step in its name. When the next step begins it is whole, and takes its place.

    Parameters
    ----------
    lmp
        The instance.
    ranks
        The processes that run it.
    out
        Folder of the run.
    every
        Steps between two files; None for the last step alone.
    departures
        The steps outside the range of the training data, which the run counts; kept for a run that goes on.
    """

    def __init__(self, lmp: lammps, ranks: Ranks, out: Path, every: int | None, departures: Departures) -> None:
        self._lmp, self._ranks, self._out, self._every = lmp, ranks, out, every
        self._departures = departures
        self._counted: list[dict[str, Any]] = []
        self._counted_now: dict[str, Any] = {}

    def commands(self) -> list[str]:
        """Commands for LAMMPS.

        A run that goes on begins with atoms sorted in memory, so they are sorted at the steps of the restart files too:
        then sums are taken in the same order and are the same to the last digit.
        """
        if self._every is None:
            return []
        often = next(n for n in range(min(self._every, _SORT_AT_MOST), 0, -1) if self._every % n == 0)
        return [f"atom_modify sort {often} 0", f'restart {self._every} "{self._out / self._name("*")}"']

    def begin(self, step: int) -> None:
        """Keep what LAMMPS wrote at the end of the step before this one; for every step with its forces, on every rank.

        Raises
        ------
        InputError
            LAMMPS could not write it.
        """
        if self._every is not None and (step - 1) % self._every == 0 and self._ranks.first:
            self._keep(self._name(str(step - 1)), self._counted_now)
        if self._every is not None and step % self._every == 0:
            self._counted_now = {"step": step, **asdict(self._departures)}

    def end(self, step: int) -> None:
        """Write the restart file of the last step.

        Raises
        ------
        InputError
            It cannot be written.
        """
        name = self._name("end")
        with lammps_errors(str(self._out / RESTART)):
            self._lmp.command(f'write_restart "{self._out / name}"')
        with self._ranks.together():
            if self._ranks.first:
                self._keep(name, {"step": step, **asdict(self._departures)})

    def tidy(self) -> None:
        """Remove what LAMMPS or a killed run left beside the restart file."""
        for left in self._out.glob(f".{RESTART}.*") if self._ranks.first else ():
            left.unlink(missing_ok=True)

    def _keep(self, name: str, counted: dict[str, Any]) -> None:
        written = self._out / name
        if not written.exists():
            return
        for path in (self._out / "trajectory.dump", self._out / "thermo.csv", self._out / OUTSIDE):
            _sync(path)  # a run that goes on needs what came before
        # with the record before, because the restart file takes its place a moment later
        self._counted = [*self._counted[-1:], counted]
        write_json(self._out / COUNTED, {"departures": self._counted})
        with replacing(self._out / RESTART) as beside:
            written.rename(beside)
            if not _is_whole(beside):
                raise OSError(None, "LAMMPS left it unfinished")

    @staticmethod
    def _name(step: str) -> str:
        return f".{RESTART}.step-{step}"


def check_same_run(manifest: Path, asked: Mapping[str, Any]) -> None:
    """See that a folder holds a run that can go on, and that the same is asked for.

    Parameters
    ----------
    manifest
        ``simulate.yaml`` of the run.
    asked
        What would be written there now; steps, ranks, restart files, the guard and the reference may differ.

    Raises
    ------
    InputError
        There is no restart file, or the run was another one.
    """
    folder = manifest.parent
    if not manifest.is_file() or not (folder / RESTART).is_file():
        raise InputError(f"{folder}: holds no {RESTART} to go on from; run without --resume to start anew.")
    try:
        known = yaml.safe_load(manifest.read_text(encoding="utf-8"))
        before = {"model": known["model"], "topology": known["topology"]}
        before |= SimulationSettings(**known["settings"]).model_dump(exclude=set(_MAY_CHANGE))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, TypeError, LookupError) as error:
        raise InputError(f"{manifest}: is damaged; run without --resume to start anew.") from error
    now = {"model": asked["model"], "topology": asked["topology"], **asked["settings"]}
    for name, value in before.items():
        if now[name] != value:
            raise InputError(
                f"{manifest}: {name} was {value} when the run was started, not {now[name]}; give the same options with "
                "--resume, or choose another folder."
            )
    if not _is_whole(folder / RESTART):
        raise InputError(f"{folder / RESTART}: is not a whole restart file; run without --resume to start anew.")


def departures_until(out: Path, step: int) -> Departures:
    """Return the steps outside the training data until a restart file; if they are unknown none, with a warning."""
    try:
        content = json.loads((out / COUNTED).read_text(encoding="utf-8"))
        known = {record.pop("step"): record for record in content["departures"]}
        return Departures(**known[step])
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        warnings.warn(
            f"{out / COUNTED}: does not tell how many steps were outside the training data until step {step}; they are "
            "counted from there.",
            stacklevel=2,
        )
        return Departures()


def cut_back(out: Path, step: int) -> str:
    """Take out of the trajectory and the table what came at a step or later; the run that goes on writes it again.

    Returns
    -------
    str
        The last line of the table, which is taken out too: LAMMPS cannot go on with a table but under a title.

    Raises
    ------
    InputError
        A file is missing, damaged or cannot be written.
    """
    line = ""
    frames, rows = rb"ITEM: TIMESTEP\s+(\d+)", rb"(?m)^(\d+),"
    files = [(out / "trajectory.dump", frames), (out / "thermo.csv", rows)]
    if (out / OUTSIDE).exists() and (out / OUTSIDE).stat().st_size:
        files.append((out / OUTSIDE, frames))
    for path, start in files:
        try:
            with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                end = _begin_of(start, content, step)
                if path.suffix == ".csv":
                    before = content.rfind(b"\n", 0, end - 1) + 1
                    line, end = content[before:end].decode("ascii").strip(), before
                    if not re.fullmatch(r"[\w.,+-]+", line):
                        raise ValueError("its last line is damaged")
            os.truncate(path, end)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: the run cannot go on with it ({error}); run without --resume to start anew."
            ) from error
    return line


def _begin_of(start: bytes, content: mmap.mmap, step: int) -> int:
    """Byte where the first part with this step or a later one starts, or the end."""
    for match in re.finditer(start, content):
        if int(match[1]) >= step:
            return match.start()
    return len(content)


def _is_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - len(_LAST_BYTES)))
        return file.read() == _LAST_BYTES


def _sync(path: Path) -> None:
    if path.exists():
        with path.open("rb") as file:
            os.fsync(file.fileno())
