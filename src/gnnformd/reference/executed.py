"""Checks of the commands that LAMMPS executes, one by one while it runs.

LAMMPS prints each command before it executes it, with the values of its variables, so what is seen here is what really
happens, whichever way an input goes. Data are useful only if the forces of all frames follow from the positions and
labels in them by one and the same force field.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from gnnformd.reference.script import words

__all__ = ["CHARGES_CHANGE", "ExecutedCommands", "Fault"]

_RUNS = frozenset({"minimize", "rerun", "run"})

_FORCE_FIELD = re.compile(
    r"((pair|bond|angle|dihedral|improper)_(style|coeff)|pair_modify|kspace_style|special_bonds|dielectric)$"
)
"""Commands that make the force field."""

_OF_MORE_THAN_POSITIONS = re.compile(
    r"""(body/|bpm/|brownian|dpd|dsmc|edpd|eff/|exp6/rx|gayberne|gran/|granular|line/|lubricate|mdpd|mesocnt/viscous
    |multi/lucy/rx|oxdna|oxrna|peri/|resquared|rheo|smd/|sph/|spin/|table/rx|tdpd|tri/|ylz|lj/\w+/dipole)""",
    re.VERBOSE,
)
"""Beginnings of pair and bond styles whose forces depend on velocities, random numbers, directions or the past."""

_ATOM_STYLES = frozenset({"angle", "atomic", "bond", "charge", "full", "molecular"})
"""Atom styles of data files that are read."""

_ADAPTED = frozenset({"angle", "bond", "improper", "kspace", "pair"})
"""What ``fix adapt`` changes of a force field."""

_CHANGES_BONDS = frozenset({"bond/break", "bond/create", "bond/create/angle", "bond/react", "bond/swap"})

CHARGES_CHANGE = re.compile(
    r"""\bfix\s+\S+\s+\S+\s+
    (?:adapt(?:/fep)?\b.*\bcharge\b
    |append/atoms\b|atom/swap\b|charge/regulation\b|deposit\b|electrode/|evaporate\b|gcmc\b|mol/swap\b|set\b.*\bcharge\b)""",
    re.VERBOSE,
)
"""Fixes after which atoms may have other charges, or be others."""

_FORCE_FIELD_CHANGES = (
    "changes the force field between frames, which must be of one; define the dump after it, or end it ('undump') "
    "before it and begin no other."
)
_CHARGES_NOT_DUMPED = "changes charges between frames, which do not have their own; add 'q' to the dump."


class Fault(NamedTuple):
    """Why the frames of a run would be of no use.

    Attributes
    ----------
    command
        That is to blame, as the input has it.
    reason
        Rest of a sentence on it.
    """

    command: str
    reason: str


class ExecutedCommands:
    """Follows a run by what LAMMPS prints.

    Parameters
    ----------
    trajectory
        File of the dump with the training data.

    Attributes
    ----------
    charges_change
        Whether charges may have changed between frames.
    """

    def __init__(self, trajectory: Path) -> None:
        self.charges_change = False
        self._trajectory = str(trajectory)
        self._dump: str | None = None
        self._with_charges = False
        self._fixes: dict[str, str] = {}
        self._force_field: dict[str, str] = {}
        self._of_first_frames: dict[str, str] | None = None
        self._pending: list[Fault] = []
        self._dimension = self._atom_style = self._unresolved = ""
        self._written: dict[str, str] = {}

    @property
    def long_range_coulomb(self) -> bool:
        """Whether charges on atoms act on each other without cutoff or screening, as far as commands tell."""
        if any("tip4p" in word for word in words(self._force_field.get("pair_style", ""))):
            return False  # the charges of oxygens sit beside these
        solver, dielectric = (words(self._force_field.get(name, ""))[1:2] for name in ("kspace_style", "dielectric"))
        return solver not in ([], ["none"]) and dielectric in ([], ["1"], ["1.0"])

    def see(self, text: str) -> Fault | None:
        """Look at a line that LAMMPS printed; a fault of the run that now begins is told."""
        command = text.split("#")[0].strip()
        if "$" in command:  # its next echoes have the values of the variables
            self._unresolved = self._unresolved or command
            return None
        parts = words(command)
        if not parts:
            return None
        name, written, self._unresolved = parts[0], self._unresolved, ""
        if written.split()[:1] == [name]:
            self._written[command] = written
        if name in _RUNS and self._dump is not None:
            fault = self._fault()
            self._of_first_frames = self._of_first_frames or dict(self._force_field)
            if any(_FORCE_FIELD.match((words(inner) or [""])[0]) for inner in parts if "every" in parts):
                fault = fault or Fault(command, _FORCE_FIELD_CHANGES)
            return fault and fault._replace(command=self._written.get(fault.command, fault.command))
        if name == "clear":
            self._dump, self._fixes, self._force_field = None, {}, {}
        elif name == "dump" and self._trajectory in parts:
            self._dump, self._with_charges = parts[1], "q" in parts
        elif name == "undump" and parts[1:2] == [self._dump]:
            self._dump = None
        elif name == "fix" and len(parts) > 3:
            self._fixes[parts[1]] = command
        elif name == "unfix" and len(parts) > 1:
            self._fixes.pop(parts[1], None)
        elif name == "dimension":
            self._dimension = command
        elif name == "atom_style":
            self._atom_style = command
        elif _FORCE_FIELD.match(name):
            self._add_to_force_field(parts, command)
        elif self._of_first_frames is not None:
            self._change_of_atoms(parts, command)
        return None

    def _add_to_force_field(self, parts: list[str], command: str) -> None:
        if parts[0].endswith("_style"):
            coefficients = parts[0].replace("_style", "_coeff ")
            if self._force_field.get(parts[0]) != command:
                self._force_field = {k: v for k, v in self._force_field.items() if not k.startswith(coefficients)}
            key = parts[0]
        elif parts[0] == "pair_coeff":
            own_style = [word for word in parts[3:4] if word[0].isalpha()]  # of pair_style hybrid
            key = " ".join(parts[:3] + own_style)
        else:
            key = " ".join(parts[:2]) if parts[0].endswith("_coeff") else parts[0]
        self._force_field[key] = command

    def _change_of_atoms(self, parts: list[str], command: str) -> None:
        """Note what changes after the first frames and matters if more frames follow."""
        if parts[0] in ("create_bonds", "delete_bonds"):
            self._pending.append(Fault(command, _bonds(parts[0])))
        elif parts[0] == "set" and "charge" in parts[3:]:
            self._new_charges(command)

    def _new_charges(self, command: str) -> None:
        self.charges_change = True
        if not self._with_charges:
            self._pending.append(Fault(command, _CHARGES_NOT_DUMPED))

    def _fault(self) -> Fault | None:
        if self._dimension.split()[1:2] == ["2"]:
            return Fault(self._dimension, "the run is in two dimensions, and models are of three; remove this line.")
        for command in self._force_field.values():
            for word in words(command)[1:] if "_style" in command else ():
                if _OF_MORE_THAN_POSITIONS.match(word):
                    return Fault(
                        command,
                        f"the forces of '{word}' depend on more than the positions of atoms (velocities, random "
                        "numbers, directions, the past), and cannot be learned; use another style where frames are "
                        "written.",
                    )
        style = words(self._atom_style)[1:2]
        if style and style[0].removesuffix("/kk") not in _ATOM_STYLES:
            return Fault(
                self._atom_style,
                f"atoms of style '{style[0]}' are not supported; use one of {', '.join(sorted(_ATOM_STYLES))}.",
            )
        before = self._force_field if self._of_first_frames is None else self._of_first_frames
        for key in before.keys() | self._force_field.keys():
            if before.get(key) != self._force_field.get(key):
                return Fault(self._force_field.get(key, before.get(key, "")), _FORCE_FIELD_CHANGES)
        return self._fault_of_fixes() or (self._pending[0] if self._pending else None)

    def _fault_of_fixes(self) -> Fault | None:
        for command in self._fixes.values():
            parts = words(command)
            if parts[3] in ("adapt", "adapt/fep") and _ADAPTED & set(parts[5:]):
                return Fault(
                    command,
                    f"'fix {parts[3]}' changes the force field between frames, which must be of one; remove it where "
                    "frames are written.",
                )
            if parts[3] in _CHANGES_BONDS:
                return Fault(command, _bonds(f"fix {parts[3]}"))
            if CHARGES_CHANGE.match(command):
                self.charges_change |= self._with_charges
                if not self._with_charges and words(self._atom_style)[1:2] in (["charge"], ["full"]):
                    return Fault(command, _CHARGES_NOT_DUMPED)
        return None


def _bonds(name: str) -> str:
    return (
        f"'{name}' changes bonds between frames, which do not have their own; keep the bonds where frames are written, "
        "or describe the system by ReaxFF."
    )
