"""A copy of a LAMMPS input with a redirected dump that has forces and all digits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gnnformd.errors import InputError
from gnnformd.reference.executed import CHARGES_CHANGE
from gnnformd.reference.fixes import (
    FORCE_FIX,
    check_equilibration,
    check_fixes,
    equilibrations,
    force_fields_as_fixes,
    guard,
    is_respa,
    mentions_fix,
)
from gnnformd.reference.script import Script, ScriptLine, linked_file
from gnnformd.units import PRESSURE_ATM, Units

__all__ = ["THERMO_COLUMNS", "Instrumented", "check_units", "find_dump", "instrument", "units_of_style"]

_AXES = ("xx", "yy", "zz", "xy", "xz", "yz")

THERMO_COLUMNS = {
    "step": "step",
    "time_fs": "time",
    "temperature_K": "temp",
    "pressure_atm": "press",
    # From computes: the thermo keywords would be per atom under 'thermo_modify norm yes'.
    "potential_energy": "c_gnnformd_potential",
    "kinetic_energy": "c_gnnformd_kinetic",
    "total_energy": "c_gnnformd_potential+c_gnnformd_kinetic",
    "volume_A3": "vol",
    **{f"length_{axis}_A": f"cell{axis}" for axis in "abc"},
    **{f"{angle}_degrees": f"cell{angle}" for angle in ("alpha", "beta", "gamma")},
    **{f"p{axes}_atm": f"p{axes}" for axes in _AXES},
    **{f"virial_{axes}": f"c_gnnformd_virial[{i}]*vol/{PRESSURE_ATM}" for i, axes in enumerate(_AXES, start=1)},
}
"""Columns of ``thermo.csv`` and LAMMPS's formula for each, which gives these units where the input has ``real``."""

_TEMPERATURE = {"temp", "ke", "etotal", "enthalpy"}
_PRESSURE = {"press", "enthalpy", *(f"p{axes}" for axes in _AXES)}
"""Columns of ``thermo_style custom`` for which LAMMPS initializes the keywords ``temp``, or ``press`` and ``pxx``."""

_EXAMPLE = "'dump 1 all custom 100 trajectory.dump id type x y z fx fy fz'"
_COORDINATES = ("x", "xs", "xu", "xsu")
_FORCES = {f"f{axis}": f"f_{FORCE_FIX}[{i}]" for i, axis in enumerate("xyz", start=1)}
_PARTS = "pair bond angle dihedral improper kspace"
_RESET = {
    "format": "none",
    "header": "yes",
    "region": "none",
    "thresh": "none",
    "triclinic/general": "no",
    "types": "numeric",
    "units": "no",
}
"""Settings of ``dump_modify`` that would take away digits, atoms or lines of the dump, and their usual values."""

_MODIFIED_DUMP = re.compile(r"""(?:^|if\s.*["'])\s*dump_modify\s+(?P<id>\S+)\s""")
_EVERY = re.compile(r"\severy\s+(\S+)")
_OTHER_STEPS = re.compile(r"\s(every/time|first\s+yes)\b|^if\b.*\severy\s")
"""Settings of ``dump_modify`` for frames at steps that no interval is known of."""


@dataclass(frozen=True)
class Instrumented:
    """The copy of an input.

    Attributes
    ----------
    main
        File to give to LAMMPS.
    dump
        The line of the original with the dump that is redirected.
    fixes
        File with the fixes that are defined when the dump begins, or None where forces are dumped after all fixes.
    columns_added
        Columns that are missing in that line.
    commands
        Commands that replace that line.
    without_energies
        Lines after which there may be frames at steps at which no energies are printed.
    """

    main: Path
    dump: ScriptLine
    columns_added: tuple[str, ...]
    commands: tuple[str, ...]
    fixes: Path | None = None
    without_energies: tuple[ScriptLine, ...] = ()


def check_units(script: Script, lj_scales: str | None = None) -> Units | None:
    """Find the units of an input.

    Parameters
    ----------
    script
        The input.
    lj_scales
        What one of each unit of the style ``lj`` is: ``epsilon=0.238,sigma=3.405,mass=39.948``.

    Returns
    -------
    Units or None
        None where the text does not say them, because a variable or a restart file does.

    Raises
    ------
    InputError
        The unit style is not supported, is ``lj`` without scales (LAMMPS's default), or has no use for scales.
    """
    lines = script.commands("units")
    styles = [(str(line), line.words[1]) for line in lines if len(line.words) > 1 and "$" not in line.words[1]]
    if not lines and not script.commands("read_restart"):
        styles = [(f"{script.path}: has no 'units' line, which means 'lj'", "lj")]
    units = [units_of_style(style, where, lj_scales) for where, style in styles]
    return units[0] if units else None


def units_of_style(style: str, where: str, lj_scales: str | None) -> Units:
    """Find the units that an input names, with the scales that ``lj`` needs.

    Raises
    ------
    InputError
        See `check_units`; ``where`` begins the sentence.
    """
    if style != "lj":
        if lj_scales is not None:
            raise InputError(f"--lj-scales: {where} has 'units {style}', which need no scales; leave the option out.")
        return Units.named(style, where)
    if lj_scales is None:
        raise InputError(
            f"{where}: units 'lj' have no scale; give the energy (kcal/mol), length (angstrom) and mass (g/mol) that "
            "they stand for, for argon --lj-scales epsilon=0.238,sigma=3.405,mass=39.948."
        )
    return Units.lj(lj_scales, "--lj-scales")


def find_dump(script: Script) -> tuple[ScriptLine, tuple[str, ...]]:
    """Choose the dump with the training data, and find the columns it lacks.

    Returns
    -------
    line, columns
        The only dump with forces; where none has forces, the only dump. Charges that change are among the columns.

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
    if equilibrations(script) or _charges_may_change(script, line):
        wanted += ("q",)
    return line, tuple(name for name in wanted if name not in columns)


def _charges_may_change(script: Script, dump: ScriptLine) -> bool:
    """Whether atoms may have other charges in some frames, as far as the text tells."""
    loops = bool(script.commands("jump"))
    late = [s for s in script.commands("set") if loops or s.path != dump.path or s.number > dump.number]
    return any("charge" in line.words for line in late) or any(CHARGES_CHANGE.search(line.text) for line in script)


def _columns(line: ScriptLine) -> list[str]:
    return line.words[6:] if line.words[3].startswith("custom") else []


def instrument(script: Script, folder: Path, trajectory: Path, thermo: Path) -> Instrumented:
    """Write the copy; it has the same line numbers as the original.

    The dump goes to ``trajectory`` with 17 digits, each new dump appended to the one before, and ``fix print`` writes
    energies and pressures to ``thermo`` at the same steps, also after ``dump_modify every``. Forces are those before
    fixes act: ``fix store/force`` is defined before the first fix of the input. Nothing else is changed.

    Raises
    ------
    InputError
        See `find_dump` and `check_fixes`.
    """
    line, added = find_dump(script)
    check_fixes(script)
    energies = check_equilibration(script, _intervals(script, line))
    writer = _Writer(folder, line, added, None if is_respa(script) else folder / "fixes.txt")
    formulas = _thermo_formulas(script, energies=energies)
    commands = writer.dump_commands(trajectory, thermo, formulas, with_fixes=force_fields_as_fixes(script))
    copies = {path.resolve(): folder / f"input-{index}.lmp" for index, path in enumerate(script.files)}
    for path, lines in script.files.items():
        text = ""
        for item in lines:
            linked = linked_file(item, script.path.parent)
            if (replacement := writer.replacement(item, commands)) is not None:
                text += replacement + "\n" * item.count
            elif linked in copies:
                rest = " ".join(item.words[2:])
                text += f'{item.words[0]} "{copies[linked]}" {rest}'.rstrip() + "\n" * item.count
            else:
                # A triple-quoted command keeps its lines; one continued with '&' is followed by empty lines.
                text += item.text + "\n" * (item.count - item.text.count("\n"))
        copies[path.resolve()].write_text(text)
    return Instrumented(
        copies[script.path.resolve()], line, added, commands, writer.fixes, tuple(writer.without_energies)
    )


def _thermo_formulas(script: Script, *, energies: bool) -> list[str]:
    """Formulas of `THERMO_COLUMNS`, by LAMMPS's own computes where a keyword is not in each table of the input.

    The keywords are preferred, since they follow ``thermo_modify``. Without ``energies``, potential and total energies
    are no numbers.
    """
    own: dict[str, str] = {}
    if not energies:
        own |= {THERMO_COLUMNS[name]: "nan" for name in ("potential_energy", "total_energy")}
    for line in script:
        for table in re.findall(r"\bthermo_style\s+custom\b([^\"']*)", line.text.split("#")[0]):
            if not _TEMPERATURE & set(table.split()):
                own["temp"] = "c_thermo_temp"
            if not _PRESSURE & set(table.split()):
                own["press"] = "c_thermo_press"
                own |= {f"p{axes}": f"c_thermo_press[{i}]" for i, axes in enumerate(_AXES, start=1)}
    return [own.get(formula, formula) for formula in THERMO_COLUMNS.values()]


def _intervals(script: Script, dump: ScriptLine) -> list[str]:
    """List the steps from frame to frame: the dump's own unless ``dump_modify every`` comes before a run, and later."""
    found: list[str] = []
    for lines in script.files.values():
        waits = False  # whether the dump has an interval with which nothing has run
        for line in lines:
            text, name = line.text.split("#")[0], line.words[:1]
            modified, every = _MODIFIED_DUMP.search(text), _EVERY.search(text)
            if line is dump:
                found, waits = [*found, dump.words[4]], True
            elif modified and every and (modified["id"] == dump.words[1] or "$" in modified["id"] + dump.words[1]):
                if waits and name != ["if"]:
                    found.remove(dump.words[4])
                found.append(every[1].strip("\"'"))
                waits = False
            elif name and name[0] in ("run", "minimize", "rerun", "include", "jump"):
                waits = False
    return found


class _Writer:
    """Writes commands that replace one line of the input to files, which the copy includes."""

    def __init__(self, folder: Path, dump: ScriptLine, added: tuple[str, ...], fixes: Path | None) -> None:
        self._folder, self._dump, self.fixes = folder, dump, fixes
        self._name = dump.words[1]
        self._columns = [*_columns(dump), *added]
        self._count = 0
        self._print = folder / "print.lmp"
        self.without_energies: list[ScriptLine] = []

    def replacement(self, line: ScriptLine, dump_commands: tuple[str, ...]) -> str | None:
        """Command for a line that is not copied as it is, or None."""
        if line is self._dump:
            return self._include(dump_commands)
        if line.words[:1] == ["echo"]:
            return ""  # what runs is followed by its echo
        if modified := _MODIFIED_DUMP.search(line.text.split("#")[0]):
            command = self._format(line.text)[0]
            every = _EVERY.search(line.text.split("#")[0])
            commands = (command,) if every is None or line.words[0] == "if" else (command, *self._print_every(every[1]))
            if modified["id"] != self._name:  # equal once variables have their values, or another dump
                if "$" not in modified["id"] + self._name:
                    return None
                quoted = " ".join(f"'{one}'" for one in commands)
                commands = (f'if "{modified["id"]} == {self._name}" then {quoted}',)
            elif line.words[0] == "if":
                commands = (f'if "$(is_defined(dump,{self._name})) == 1" then "{command}"',)
            if _OTHER_STEPS.search(line.text.split("#")[0]):
                self.without_energies.append(line)
            return self._include((line.text, *commands))
        if self.fixes is not None and mentions_fix(line):
            return self._include((guard(), line.text))
        return None

    def _include(self, commands: tuple[str, ...]) -> str:
        self._count += 1
        file = self._folder / f"lines-{self._count}.lmp"
        file.write_text("\n".join(commands) + "\n")
        return f'include "{file}"'

    def _format(self, changed: str = "") -> tuple[str, ...]:
        """Commands for all digits and the names of the columns, also after a ``dump_modify`` of the input."""
        reset = [f"{word} {value}" for word, value in _RESET.items() if f" {word} " in f"{changed} "]
        names = (
            [] if self.fixes is None else [f"colname {k} {n}" for k, n in enumerate(self._columns, 1) if n in _FORCES]
        )
        options = " ".join(["append yes", *reset, "format float %.17g", *names])
        return (f"dump_modify {self._name} {options}",)

    def _print_every(self, every: str) -> tuple[str, ...]:
        """Commands to print energies at other steps: a number, or an equal-style variable that gives the next one."""
        return f"variable gnnformd_every string {every}", f'include "{self._print}"'

    def dump_commands(
        self, trajectory: Path, thermo: Path, formulas: Sequence[str], *, with_fixes: bool
    ) -> tuple[str, ...]:
        """Commands for the line with the dump."""
        name, every = self._name, self._dump.words[4]
        columns = self._columns if self.fixes is None else [_FORCES.get(c, c) for c in self._columns]
        dump = f'dump {name} all custom {every} "{trajectory}" {" ".join(columns)}'
        if columns[-1] == "q":  # not all atom styles have charges
            without = dump.removesuffix(" q")
            dump = f"if \"$(extract_setting(q_flag)) == 1\" then '{dump}' else '{without}'"
        values = ",".join("nan" if formula == "nan" else f"$({formula}:%.17g)" for formula in formulas)
        parts = _PARTS + (" fix" if with_fixes else "")
        computes = (
            ("gnnformd_kinetic", "ke"),
            ("gnnformd_potential", f"pe {parts}"),
            ("gnnformd_virial", f"pressure NULL {parts}"),
        )
        self._print.write_text(
            'if "$(is_defined(fix,gnnformd_thermo)) == 1" then "unfix gnnformd_thermo"\n'
            f'fix gnnformd_thermo all print ${{gnnformd_every}} "{values}" append "{thermo}" screen no\n'
        )
        return (
            *(() if self.fixes is None else (guard(), f'info fixes out append "{self.fixes}"')),
            dump,
            *self._format(),
            *(f'if "$(is_defined(compute,{c})) == 0" then "compute {c} all {style}"' for c, style in computes),
            *self._print_every(every),
        )
