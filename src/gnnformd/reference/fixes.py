"""What the fixes of a LAMMPS input do to the forces that are dumped.

LAMMPS dumps the forces that remain after all fixes have acted. A network learns those of the force field, so
``fix store/force`` is defined before the fixes of the input and keeps the forces as the force field left them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from gnnformd.errors import InputError
from gnnformd.reference.script import Script, ScriptLine

__all__ = [
    "FORCE_FIX",
    "check_equilibration",
    "check_fixes",
    "check_order",
    "equilibrations",
    "force_fields_as_fixes",
    "guard",
    "is_respa",
    "mentions_fix",
]

FORCE_FIX = "gnnformd_force"
"""Id of the ``fix store/force``."""

_SUFFIXES = ("/gpu", "/intel", "/kk", "/omp", "/opt")

_OF_THE_FORCE_FIELD = frozenset({"amoeba/bitorsion", "amoeba/pitorsion", "cmap"})
"""Fixes that are terms of a force field; LAMMPS wants them before the box, so they act before ``fix store/force``."""

_BEFORE_THE_BOX = _OF_THE_FORCE_FIELD | {"gpu", "intel", "omp", "property/atom", "rx"}
"""Fixes that may be defined before there is a box."""

_KEEPS_FORCES = _BEFORE_THE_BOX | set(
    """
    acks2/reaxff adapt adapt/fep atom/swap ave/atom ave/chunk ave/correlate ave/correlate/long ave/grid ave/histo
    ave/histo/weight ave/moments ave/time balance bond/break bond/create bond/react bond/swap box/relax brownian
    controller deform deform/pressure deposit dt/reset ehex evaporate gcmc gld gle halt heat mol/swap momentum
    momentum/chunk move neighbor/swap nonaffine/displacement nph npt npt/cauchy npt/uef nve nve/limit nve/noforce
    nvk nvt nvt/sllod nvt/uef oneway phonon press/berendsen print property/atom qeq/dynamic qeq/fire qeq/point
    qeq/reaxff qeq/rel/reaxff qeq/shielded qeq/slater qtpie/reaxff reaxff/bonds reaxff/species recenter rigid
    rigid/nph rigid/nph/small rigid/npt rigid/npt/small rigid/nve rigid/nve/small rigid/nvt rigid/nvt/small rigid/small
    store/force store/state temp/berendsen temp/csld temp/csvr temp/rescale tfmc thermal/conductivity vector viscosity
    wall/reflect wall/reflect/stochastic widom
    """.split()  # noqa: SIM905
)
"""Fixes that leave the forces on the atoms as they are."""

_EQUILIBRATED = ("qeq/", "acks2/", "qtpie/")
"""Fixes that change the charges; the charges of the last frame would be taken for those of all."""

_EQUILIBRATED_EVERY = re.compile(r"\bfix\s+\S+\s+\S+\s+(?:qeq|acks2|qtpie)/\S+\s+([^\s\"']+)")

_WITH_ENERGIES_OF_CHARGES = ("reax", "coul/streitz", "coul/ctip", "comb")
"""Pair styles, or parts of their names, that have the energy that charges have on their atoms."""

_FORCES_OF_A_PROGRAM = frozenset({"external", "latte", "mdi/qm", "mdi/qmmm", "qmmm"})
"""Fixes by which another program gives the forces."""

_EMBEDDED_FIX = re.compile(r"""["']\s*fix\s+\S+\s+\S+\s+(?P<style>[^\s"']+)""")


def is_respa(script: Script) -> bool:
    """Whether the input chooses r-RESPA, under which ``fix store/force`` sees the forces of one level only."""
    return any(re.search(r"\brun_style\s+respa\b", line.text.split("#")[0]) for line in script)


def check_fixes(script: Script) -> None:
    """Refuse fixes under which the forces of the force field cannot be had, and warn of those that change forces.

    Raises
    ------
    InputError
        The forces come from another program, or from r-RESPA with a fix that changes forces.
    """
    respa = is_respa(script)
    for line in script:
        for style in _styles(line):
            if style in _FORCES_OF_A_PROGRAM:
                raise InputError(
                    f"{line}: the forces of 'fix {style}' come from another program, not from the force field; "
                    "write them to an extended XYZ file, which can be learned from."
                )
            if not _changes_forces(style):
                continue
            if respa:
                raise InputError(
                    f"{line}: 'fix {style}' changes forces, and under 'run_style respa' those of the force field "
                    "cannot be dumped; use 'run_style verlet', or remove the fix."
                )
            warnings.warn(
                f"{line}: 'fix {style}' changes the forces on the atoms; the data have those of the force field "
                "alone, and energies and virials without it.",
                stacklevel=3,
            )


def equilibrations(script: Script) -> list[ScriptLine]:
    """Lines with fixes that change the charges."""
    return [line for line in script for style in _styles(line) if style.startswith(_EQUILIBRATED)]


def check_equilibration(script: Script, intervals: Sequence[str]) -> bool:
    """Refuse dumps between two equilibrations of charges, and warn where LAMMPS's energy lacks that of the charges.

    Parameters
    ----------
    script
        The input.
    intervals
        Steps from frame to frame of its dump, one for each that it has in some run, as the input has them.

    Returns
    -------
    bool
        Whether the energy of LAMMPS is that of the forces.

    Raises
    ------
    InputError
        The charges in some frames are those of earlier positions.
    """
    lines = equilibrations(script)
    charges = ((fix, every) for fix in lines for every in _EQUILIBRATED_EVERY.findall(fix.text))
    for (line, every), dumped in product(charges, intervals):
        if every in ("1", dumped):
            continue
        if "$" in every + dumped or dumped.startswith("v_"):
            warnings.warn(
                f"{line}: the charges change every {every} steps, and the dump is every {dumped}; where it has frames "
                "in between, their forces do not follow from their positions.",
                stacklevel=3,
            )
        elif every.isdecimal() and dumped.isdecimal() and int(every) > 1 and int(dumped) % int(every):
            raise InputError(
                f"{line}: the charges change every {every} steps, and the dump has frames in between, whose forces do "
                f"not follow from their positions; write 1 instead of {every}, or dump every {every} steps."
            )
    pairs = [line for line in script.commands("pair_style") if len(line.words) > 1]
    if not lines or not pairs or any("$" in line.text for line in pairs):
        return True
    if any(name in word for line in pairs for word in line.words for name in _WITH_ENERGIES_OF_CHARGES):
        return True
    warnings.warn(
        f"{lines[0]}: with 'pair_style {pairs[-1].words[1]}', LAMMPS's energy lacks that of the charges on their "
        "atoms, so that it is not the energy of the forces; the data have no energies.",
        stacklevel=3,
    )
    return False


def _styles(line: ScriptLine) -> list[str]:
    """Styles of the fixes that a line defines, also inside the quotes of ``if``."""
    parts = line.words
    found = [parts[3]] if parts[:1] == ["fix"] and len(parts) > 3 else []
    if parts[:1] == ["if"]:
        found += [match["style"] for match in _EMBEDDED_FIX.finditer(line.text)]
    return [_base(style) for style in found if "$" not in style]


def _base(style: str) -> str:
    for suffix in _SUFFIXES:
        style = style.removesuffix(suffix)
    return style


def _changes_forces(style: str) -> bool:
    """Whether a style may change forces; those in capital letters are LAMMPS's own."""
    return not style.isupper() and _base(style.lower()) not in _KEEPS_FORCES


def mentions_fix(line: ScriptLine) -> bool:
    """Whether a line may define a fix that needs a box."""
    parts = line.words
    if parts[:1] == ["fix"]:
        return len(parts) > 3 and _base(parts[3]) not in _BEFORE_THE_BOX
    return parts[:1] == ["if"] and any(
        _base(m["style"]) not in _BEFORE_THE_BOX for m in _EMBEDDED_FIX.finditer(line.text)
    )


def guard() -> str:
    """Command that defines ``fix store/force`` unless it is defined."""
    return f'if "$(is_defined(fix,{FORCE_FIX})) == 0" then "fix {FORCE_FIX} all store/force"'


def force_fields_as_fixes(script: Script) -> bool:
    """Whether fixes are terms of the force field, so that their energies and virials belong to it."""
    return any(style in _OF_THE_FORCE_FIELD for line in script for style in _styles(line))


def check_order(listed: Path, script: Script) -> None:
    """Refuse a finished run in which a fix that changes forces was defined before ``fix store/force``.

    Parameters
    ----------
    listed
        What ``info fixes`` wrote each time when the dump was defined.
    script
        The input.

    Raises
    ------
    InputError
        Such a fix was defined where the text of the input does not show it.
    """
    before = True
    for number, name, style in re.findall(
        r"^Fix\[ *(\d+)\]: *(\S+), *style = ([^,\s]+)", listed.read_text(errors="replace"), re.MULTILINE
    ):
        before = (before or int(number) == 0) and name != FORCE_FIX
        if before and _changes_forces(style):
            raise InputError(
                f"{script.path}: 'fix {name} ... {style}' changes forces and is defined in a way that cannot be "
                "followed; write it as a line of its own, or include its file by a plain name."
            )
