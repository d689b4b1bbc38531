"""The force field and the atoms that a LAMMPS input sets up, without its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gnnformd.errors import InputError
from gnnformd.force_field import ForceField
from gnnformd.reference.instrument import Instrumented, units_of_style
from gnnformd.reference.launch import run_lammps
from gnnformd.reference.manifest import force_field_of_run
from gnnformd.reference.script import Script, ScriptLine, read_script
from gnnformd.reference.type_names import names_of_types
from gnnformd.units import REAL

__all__ = ["SetUp", "set_up"]

_RUNS = ("run", "minimize", "rerun", "run_style", "write_data", "write_restart", "quit")
"""Commands before which an input has set up its force field."""
_NEED_RUN = ("run", "minimize", "rerun")


@dataclass(frozen=True)
class SetUp:
    """What LAMMPS has at the first run of an input.

    Attributes
    ----------
    force_field
        Of the input, or None where `gnnformd.reference.manifest.force_field_of_run` knows none.
    pair_style
        LAMMPS's name.
    topology
        Data file with the atoms.
    log
        With the commands that set it up.
    """

    force_field: ForceField | None
    pair_style: str
    topology: Path
    log: Path


def set_up(path: Path, work: Path, variables: Mapping[str, str] | None = None) -> SetUp:
    """Run a LAMMPS input up to its first ``run`` or ``minimize``, and describe what it has set up.

    Parameters
    ----------
    path
        The input, in units ``real``.
    work
        Folder for the files of the run, and for the topology.
    variables
        Values of variables of the input.

    Raises
    ------
    InputError
        LAMMPS refuses the input, or it is in other units, or runs something in a file that it includes.
    """
    script = read_script(path)
    head = _head(script)
    main, log, topology = work / "setup.lmp", work / "setup.log", work / "setup.data"
    # 'run 0' completes what pairs of types take from others, and leaves all positions as they are
    main.write_text("\n".join([*(line.text for line in head), "run 0 post no", ""]))
    job = {
        "directory": str(path.resolve().parent),
        "input": str(main.resolve()),
        "log": str(log.resolve()),
        "topology": str(topology.resolve()),
        "variables": dict(variables or {}),
        "variable_names": [],
    }
    result = run_lammps(job, work, script, Instrumented(main, head[0], (), ()), 1, lambda _: None)
    units = units_of_style(result["units"], str(path), None)
    if units is not REAL:
        raise InputError(
            f"{path}: is in units '{units.style}'; run it with 'gnnformd generate' and give the folder, in which all "
            "is converted."
        )
    names = names_of_types([kind["mass"] for kind in result["types"]], log, topology, path.resolve().parent)
    return SetUp(force_field_of_run(result, names, topology, log, units), result["pair_style"], topology, log)


def _head(script: Script) -> list[ScriptLine]:
    """Lines of the main file before the first run; included files may not have one."""
    main, *others = script.files.values()
    for line in (line for lines in others for line in lines):
        if line.words[:1] and line.words[0] in _NEED_RUN:
            raise InputError(
                f"{line}: '{line.words[0]}' stands in an included file, so that it is not known where the force field "
                "is complete; move it to the main file."
            )
    head: list[ScriptLine] = []
    for line in main:
        if line.words[:1] and line.words[0] in _RUNS:
            break
        head.append(line)
    if not any(line.words for line in head):
        raise InputError(f"{script.path}: sets up no force field before its first run; give a LAMMPS input file.")
    return head
