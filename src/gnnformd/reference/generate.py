"""Run a LAMMPS input and write a ReferenceRun folder."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gnnformd import __version__
from gnnformd.errors import InputError
from gnnformd.files import move_folder, work_folder
from gnnformd.reference.convert import convert_data_file, say_boundary, say_names, say_units
from gnnformd.reference.executed import ExecutedCommands
from gnnformd.reference.fixes import check_order
from gnnformd.reference.held import held_atoms, leave_out_held_atoms
from gnnformd.reference.instrument import Instrumented, check_units, instrument, units_of_style
from gnnformd.reference.launch import run_lammps
from gnnformd.reference.library import potentials_folder
from gnnformd.reference.manifest import force_field_of_run, lammps_date
from gnnformd.reference.plain_path import plain_path
from gnnformd.reference.run import ReferenceRun
from gnnformd.reference.script import Script, read_script, words
from gnnformd.reference.systems import SYSTEMS, System
from gnnformd.reference.thermo import dumped_steps, temperature_range, write_thermo
from gnnformd.reference.type_names import names_of_types
from gnnformd.units import REAL, Units

__all__ = ["generate"]

Progress = Callable[[int, int], None]

_SPACE = 1 << 16


def generate(
    system: str | Path,
    out: Path,
    *,
    seed: int | None = None,
    frames: int | None = None,
    variables: Mapping[str, str] | None = None,
    lj_scales: str | None = None,
    names: Sequence[str] = (),
    ranks: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ReferenceRun:
    """Run a system with LAMMPS and save its trajectory, topology, energies and force field.

    The input runs in its own units. The trajectory keeps them, and says them, so that it is converted where it is
    read; the other files are in ``real``. Everything is written to a hidden folder beside ``out``, which is renamed
    when it is complete.

    Parameters
    ----------
    system
        Name of a built-in system (see `SYSTEMS`) or path of a LAMMPS input. The input runs in its
        folder, as with ``lmp -in``; its dump is written to ``out``, with forces and full precision.
    out
        Folder to create.
    seed, frames
        Values of the input's variables ``seed`` and ``frames``.
    variables
        Values of other variables, like LAMMPS's ``-var``.
    lj_scales
        What the units of an input in ``units lj`` stand for: ``epsilon=0.238,sigma=3.405,mass=39.948`` in kcal/mol,
        angstrom and g/mol.
    names
        Names of the atom types in their order; else they follow from labels, comments, elements of potential files and
        masses.
    ranks
        Number of MPI processes.
    overwrite
        Replace an earlier reference run in ``out``.
    progress
        Called with the steps done and the total number of steps (0 where it is unknown).

    Raises
    ------
    InputError
        The input has an error, or ``out`` exists.
    """
    built_in, script = _find(system)
    values = {str(k): str(v) for k, v in (variables or {}).items()}
    values |= {name: str(value) for name, value in (("seed", seed), ("frames", frames)) if value is not None}
    if frames is not None and frames < 1:
        raise InputError(f"--frames: {frames} is not a number of frames; use 1 or more.")
    if ranks < 1:
        raise InputError(f"--ranks: {ranks} is not a number of processes; use 1 or more.")
    _check_variables(script, built_in, values)
    units = check_units(script, lj_scales)
    _check_free(out, overwrite)
    if built_in:
        values = {**built_in.variables, **values}
    with work_folder(out) as made, plain_path(made) as work:
        folder = work / "run"
        folder.mkdir()
        parts = instrument(script, work, folder / "trajectory.dump", work / "thermo.txt")
        total = _total_steps(script, values)
        job = _job(script, parts, folder, values, ranks)
        executed = ExecutedCommands(folder / "trajectory.dump")
        try:
            result = run_lammps(job, work, script, parts, ranks, _clipped(progress, total), executed)
        except InputError:
            (work / "space").write_bytes(
                bytes(_SPACE)
            )  # on a full disk LAMMPS ends without a message; this write fails with one
            raise
        units = units or units_of_style(result["units"], str(script.path), lj_scales)
        if result["units"] != units.style:
            raise InputError(
                f"{script.path}: ran in 'units {result['units']}', and not in '{units.style}' as its text says; write "
                "one 'units' line."
            )
        manifest = _complete(folder, work, script, parts, result, units, names)
        manifest["long_range_coulomb"] = executed.long_range_coulomb
        if executed.charges_change:  # a force field has those of the last frame
            manifest["force_field"] = None
        manifest = {"system": built_in.name if built_in else script.path.name, **manifest, "ranks": ranks}
        if built_in:
            manifest["description"] = built_in.description + _changes(script, built_in, values)
        (folder / "reference.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False, width=120))
        move_folder(made / "run", out, replace=overwrite)
    if progress and total:
        progress(total, total)
    return ReferenceRun.open(out)


def _find(system: str | Path) -> tuple[System | None, Script]:
    built_in = SYSTEMS.get(str(system))
    path = built_in.input if built_in else Path(system)
    if not built_in and not path.is_file():
        near = difflib.get_close_matches(str(system), SYSTEMS, n=1)
        hint = f"did you mean {near[0]}?" if near else "use one of these."
        names = ", ".join(SYSTEMS)
        raise InputError(f"{system}: is neither a built-in system ({names}) nor a LAMMPS input file; {hint}")
    return built_in, read_script(path)


def _check_variables(script: Script, built_in: System | None, values: Mapping[str, str]) -> None:
    known = sorted({line.words[1] for line in script.commands("variable") if len(line.words) > 1})
    everything = "\n".join(line.text for line in script)
    for name, value in values.items():
        if name in known or f"${{{name}}}" in everything or f"v_{name}" in everything:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'? It" if near else "it"
        others = f"{hint} has {', '.join(known)}" if known else ""
        if built_in:
            raise InputError(
                f"{built_in.name}: has no variable '{name}' to set to {value}; {others or 'leave it out'}."
            )
        write = f"write 'variable {name} index {value}' in it and use ${{{name}}} where it belongs"
        raise InputError(
            f"{script.path}: has no variable '{name}' to set to {value}; {f'{others}; ' if others else ''}{write}."
        )


def _check_free(out: Path, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir():
        raise InputError(f"{out}: is a file; give a folder that does not exist yet.")
    if not (out / "reference.yaml").exists():
        raise InputError(f"{out}: contains other files; give a folder that does not exist yet.")
    if not overwrite:
        raise InputError(f"{out}: contains a reference run; give another folder, or replace it with --overwrite.")


def _index_variables(script: Script) -> dict[str, str]:
    """Variables that can be set from outside, with the values in the file."""
    lines = [line.words for line in script.commands("variable")]
    return {parts[1]: parts[3] for parts in lines if len(parts) > 3 and parts[2] in ("index", "string")}


def _changes(script: Script, built_in: System, values: Mapping[str, str]) -> str:
    """Describe the variables that differ from those in the description of a system."""
    usual = {**_index_variables(script), **built_in.variables}
    changed = [f"{k} {v}" for k, v in sorted(values.items()) if k not in ("seed", "frames") and usual.get(k) != v]
    return f" Here with {', '.join(changed)}." if changed else ""


def _job(script: Script, parts: Instrumented, folder: Path, values: Mapping[str, str], ranks: int) -> dict[str, Any]:
    return {
        "directory": str(script.path.resolve().parent),
        "input": str(parts.main),
        "log": str(folder / "log.lammps"),
        "topology": str(folder / "topology.data"),
        "ranks": ranks,
        "variables": dict(values),
        "variable_names": sorted({*_index_variables(script), *values}),
    }


def _total_steps(script: Script, values: Mapping[str, str]) -> int:
    """Add up the steps of all runs, or return 0 where they do not follow from the text.

    The built-in inputs have their counts in variables; in others the plain numbers after ``run`` are added.
    """
    counts = {**_index_variables(script), **values}
    try:
        if {"frames", "spacing"} <= set(counts):
            runs = [counts.get(name, "0") for name in ("melting", "equilibration")]
            return sum(int(n) for n in runs) + int(counts["frames"]) * int(counts["spacing"])
        if script.commands("jump") or script.commands("next"):
            return 0
        return sum(int(line.words[1]) for line in script.commands("run"))
    except (ValueError, IndexError):
        return 0


def _clipped(progress: Progress | None, total: int) -> Callable[[int], None]:
    """Progress with a known total; a minimization adds steps that are not part of it."""

    def report(done: int) -> None:
        if progress:
            progress(min(done, total) if total else done, total)

    return report


def _complete(
    folder: Path,
    work: Path,
    script: Script,
    parts: Instrumented,
    result: Mapping[str, Any],
    units: Units,
    names: Sequence[str],
) -> dict[str, Any]:
    """Write the table of energies and the data file in ``real``, and describe the folder in a mapping."""
    run = ReferenceRun(folder, {})
    if parts.fixes is not None and parts.fixes.exists():
        check_order(parts.fixes, script)
    steps = dumped_steps(run.trajectory)
    if not steps:
        raise InputError(f"{parts.dump}: no frame was written; put the dump before the run.")
    without = write_thermo(work / "thermo.txt", steps, run.thermo, units)
    if without and parts.without_energies:
        count = f"{len(without)} of {len(steps)} frames {'has' if len(without) == 1 else 'have'}"
        warnings.warn(
            f"{parts.without_energies[0]}: {count} no energies (the first at step {without[0]}), since these are "
            "printed at the steps of the dump's own interval and of 'dump_modify ... every' outside of 'if'; write the "
            "interval there.",
            stacklevel=2,
        )
    if result["tail_energy"]:
        warnings.warn(
            f"{script.path}: 'pair_modify tail yes' adds what lies beyond the cutoff to energies and pressures, not to "
            "forces; a model that learns these virials has slightly worse forces (training.virial_weight: 0 leaves "
            "them out).",
            stacklevel=2,
        )
    log = folder / "log.lammps"
    masses = [None if t["mass"] is None else t["mass"] * units.mass for t in result["types"]]
    names = names_of_types(masses, log, run.topology, script.path.resolve().parent, names)
    force_field = force_field_of_run(result, names, run.topology, log, units)
    if units is not REAL:
        native = work / "native.data"
        run.topology.rename(native)
        convert_data_file(native, run.topology, units, str(script.path))
        say_units(run.trajectory, units)
    say_names(run.topology, names)
    say_boundary(run.topology, result["periodic"])
    held = _without_held_atoms(run, script, masses, result["atoms"])
    return {
        "description": f"LAMMPS input {script.path.name}",
        "format_version": 1,
        "input": script.path.name,
        "columns_added": list(parts.columns_added),
        "potentials_of_lammps": _potentials_of_lammps(log, script.path.resolve().parent),
        "lammps_version": lammps_date(result["lammps_version"]),
        "gnnformd_version": __version__,
        "units": str(units),
        "seed": result["variables"].get("seed"),
        "variables": dict(result["variables"]),
        "frames": len(steps),
        "atoms": result["atoms"],
        **({"held_atoms": held} if held else {}),
        "timestep_fs": result["timestep"] * units.time,
        "type_names": list(names),
        "force_field": None if force_field is None else force_field.to_dict(),
    }


def _without_held_atoms(run: ReferenceRun, script: Script, masses: Sequence[float | None], atoms: int) -> int:
    """Count the atoms that never move, leave them out of the temperatures, and say so; 0 in scans and minimizations."""
    temperatures = temperature_range([run.thermo])
    if temperatures is None or temperatures[2] == 0:
        return 0
    held = held_atoms(run.trajectory)
    if len(held):
        of_others = leave_out_held_atoms(run.thermo, run.topology, held, masses, atoms)
        which = "are those of the others" if of_others else "are LAMMPS's own, which may count them"
        warnings.warn(
            f"{script.path}: {len(held)} of {atoms} atoms never move; temperatures in thermo.csv {which}.", stacklevel=3
        )
    return len(held)


def _potentials_of_lammps(log: Path, folder: Path) -> list[str]:
    """Name the potential files of a run in a folder that were not there, but came with LAMMPS."""
    own = potentials_folder()
    if own is None:
        return []
    coming = {path.name for path in own.iterdir()}
    commands = [text for text in log.read_text(errors="replace").splitlines() if text.startswith(("pair_coeff", "fix"))]
    named = [word for text in commands for word in _file_names(words(text))]
    return [name for name in dict.fromkeys(named) if Path(name).name in coming and not (folder / name).exists()]


def _file_names(command: Sequence[str]) -> Sequence[str]:
    """Words of a command that may name potential files."""
    return command[3:] if command[:1] == ["pair_coeff"] else command[4:]
