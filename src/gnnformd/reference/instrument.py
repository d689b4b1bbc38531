"""A copy of a LAMMPS input with a redirected dump that has forces and all digits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gnnformd.errors import InputError
from gnnformd.reference.script import Script, ScriptLine, linked_file
from gnnformd.units import PRESSURE_ATM

__all__ = ["THERMO_COLUMNS", "Instrumented", "check_units", "find_dump", "instrument"]

_AXES = ("xx", "yy", "zz", "xy", "xz", "yz")

THERMO_COLUMNS = {
    "step": "step",
    "time_fs": "time",
    "temperature_K": "temp",
    "pressure_atm": "press",
    # From computes: the thermo keywords would be per atom under 'thermo_modify norm yes'.
    "potential_energy": "c_thermo_pe",
    "kinetic_energy": "c_gnnformd_kinetic",
    "total_energy": "c_thermo_pe+c_gnnformd_kinetic",
    "volume_A3": "vol",
    **{f"p{axes}_atm": f"p{axes}" for axes in _AXES},
    **{f"virial_{axes}": f"c_gnnformd_virial[{i}]*vol/{PRESSURE_ATM}" for i, axes in enumerate(_AXES, start=1)},
}
"""Columns of ``thermo.csv`` (energies and virial in kcal/mol) and LAMMPS's formula for each."""

_EXAMPLE = "'dump 1 all custom 100 trajectory.dump id type x y z fx fy fz'"
_COORDINATES = ("x", "xs", "xu", "xsu")


@dataclass(frozen=True)
class Instrumented:
    """The copy of an input.

    Attributes
    ----------
    main
        File to give to LAMMPS.
    dump
        The line of the original with the dump that is redirected.
    columns_added
        Columns that are missing in that line.
    commands
        Commands that replace that line.
    """

    main: Path
    dump: ScriptLine
    columns_added: tuple[str, ...]
    commands: tuple[str, ...]


def check_units(script: Script) -> None:
    """Refuse any unit style but ``real``.

    Raises
    ------
    InputError
        A ``units`` line names another style, or the input leaves LAMMPS's default, ``lj``.
    """
    lines = script.commands("units")
    for line in lines:
        if len(line.words) > 1 and line.words[1] != "real" and "$" not in line.words[1]:
            raise InputError(f"{line}: 'units {line.words[1]}' is not supported; write the input in 'units real'.")
    if not lines and not script.commands("read_restart"):
        raise InputError(f"{script.path}: has no 'units' line, which means 'lj'; write the input in 'units real'.")


def find_dump(script: Script) -> tuple[ScriptLine, tuple[str, ...]]:
    """Choose the dump with the training data, and find the columns it lacks.

    Returns
    -------
    line, columns
        The only dump with forces; where none has forces, the only dump.

    Raises
    ------
    InputError
        There is no dump, there are several, or it leaves atoms out.
    """
    dumps = [line for line in script.commands("dump") if len(line.words) >= 6]
    with_forces = [line for line in dumps if {"fx", "fy", "fz"} <= set(line.words)]
    chosen = with_forces or dumps
    if not chosen:
        raise InputError(f"{script.path}: writes no dump; add a line such as {_EXAMPLE} before the run.")
    if len(chosen) > 1:
        numbers = " and ".join(str(line.number) for line in chosen[:2])
        raise InputError(f"{chosen[1]}: is one of {len(chosen)} dumps (lines {numbers}); keep one, with fx fy fz.")
    line = chosen[0]
    if line.words[2] != "all":
        raise InputError(
            f"{line}: dumps the group '{line.words[2]}', but training needs the forces on all atoms; write 'all'."
        )
    columns = _columns(line)
    wanted = ("id", "type") + (() if set(_COORDINATES) & set(columns) else ("x", "y", "z")) + ("fx", "fy", "fz")
    return line, tuple(name for name in wanted if name not in columns)


def _columns(line: ScriptLine) -> list[str]:
    return line.words[6:] if line.words[3].startswith("custom") else []


def instrument(script: Script, folder: Path, trajectory: Path, thermo: Path) -> Instrumented:
    """Write the copy; it has the same line numbers as the original.

    The dump goes to ``trajectory`` with 17 digits, each new dump appended to the one before, and ``fix print`` writes
    energies and pressures at the same steps to ``thermo``. Nothing else is changed.

    Raises
    ------
    InputError
        See `find_dump` and `check_units`.
    """
    check_units(script)
    line, added = find_dump(script)
    dump_file = folder / "dump.lmp"
    commands = _dump_commands(line, added, trajectory, thermo)
    dump_file.write_text("\n".join(commands) + "\n")
    copies = {path.resolve(): folder / f"input-{index}.lmp" for index, path in enumerate(script.files)}
    for path, lines in script.files.items():
        text = ""
        for item in lines:
            linked = linked_file(item, script.path.parent)
            if item is line:
                text += f'include "{dump_file}"' + "\n" * item.count
            elif linked in copies:
                rest = " ".join(item.words[2:])
                text += f'{item.words[0]} "{copies[linked]}" {rest}'.rstrip() + "\n" * item.count
            else:
                # A triple-quoted command keeps its lines; one continued with '&' is followed by empty lines.
                text += item.text + "\n" * (item.count - item.text.count("\n"))
        copies[path.resolve()].write_text(text)
    return Instrumented(copies[script.path.resolve()], line, added, commands)


def _dump_commands(line: ScriptLine, added: tuple[str, ...], trajectory: Path, thermo: Path) -> tuple[str, ...]:
    name, every = line.words[1], line.words[4]
    columns = " ".join(_columns(line) + list(added))
    values = ",".join(f"$({formula}:%.17g)" for formula in THERMO_COLUMNS.values())
    computes = (("gnnformd_kinetic", "ke"), ("gnnformd_virial", "pressure NULL virial"))
    return (
        f'dump {name} all custom {every} "{trajectory}" {columns}',
        f"dump_modify {name} append yes format float %.17g",
        *(f'if "$(is_defined(compute,{c})) == 0" then "compute {c} all {style}"' for c, style in computes),
        'if "$(is_defined(fix,gnnformd_thermo)) == 1" then "unfix gnnformd_thermo"',
        f'fix gnnformd_thermo all print {every} "{values}" append "{thermo}" screen no',
    )
