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

__all__ = ["equilibrium_values"]

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


def equilibrium_values(lmp: lammps, ranks: Ranks, kind: str) -> list[float] | None:
    """Equilibrium value of each type of bond or angle, angstrom or degrees, (T,).

    Parameters
    ----------
    lmp
        With the styles of the force field still there, and no pair style that needs coefficients.
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
                raise InputError(f"LAMMPS cannot write its coefficients: {lammps_sentence(str(error))[0]}") from error
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
