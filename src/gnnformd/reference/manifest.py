"""The content of ``reference.yaml``, above all the force field that LAMMPS used."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isclose
from pathlib import Path
from typing import Any

from gnnformd.force_field import AtomType, ForceField, HarmonicAngle, HarmonicBond
from gnnformd.reference.extract import plain_style
from gnnformd.reference.pair_commands import PairCommands
from gnnformd.reference.pair_styles import LENNARD_JONES
from gnnformd.reference.script import words
from gnnformd.units import Units

__all__ = ["force_field_of_run", "lammps_date"]


def force_field_of_run(
    result: Mapping[str, Any], names: Sequence[str], topology: Path, log: Path, units: Units
) -> ForceField | None:
    """Describe the force field of a finished run, as far as ForceField can represent it.

    Parameters
    ----------
    result
        Result of `gnnformd.reference.extract.describe`.
    names
        Name of each type.
    topology
        Data file of the run, with the coefficients of bonds and angles in six digits.
    log
        Log of the run, for all digits of these coefficients, and for cutoffs, of which the smallest is taken.
    units
        Of the run.

    Returns
    -------
    ForceField or None
        None where charges differ within a type, bonds are not harmonic, or the pair style is none of
        `gnnformd.reference.pair_styles.LENNARD_JONES`.
    """
    types = result["types"]
    if any(t[key] is None for t in types for key in ("mass", "charge", "epsilon", "sigma")):
        return None
    bonds = _coefficients(topology, "Bond", log)
    angles = _coefficients(topology, "Angle", log)
    cutoff = _lj_cutoff(result, log)
    known = set(result["bond_types"]) <= set(bonds) and set(result["angle_types"]) <= set(angles)
    if cutoff is None or not known:
        return None
    stiffness = units.energy / units.length**2
    return ForceField(
        types=tuple(
            AtomType(
                name,
                t["mass"] * units.mass,
                t["charge"] * units.charge,
                t["epsilon"] * units.energy,
                t["sigma"] * units.length,
            )
            for name, t in zip(names, types, strict=True)
        ),
        bonds=tuple(
            HarmonicBond((a, b), bonds[n][0] * stiffness, bonds[n][1] * units.length)
            for n, pairs in result["bond_types"].items()
            for a, b in pairs
        ),
        angles=tuple(
            HarmonicAngle((a, b, c), angles[n][0] * units.energy, angles[n][1])
            for n, triples in result["angle_types"].items()
            for a, b, c in triples
        ),
        special_lj=tuple(result["special_lj"]),
        special_coul=tuple(result["special_coul"]),
        lj_cutoff=cutoff * units.length,
        mixing=result["mixing"],
    )


def _lj_cutoff(result: Mapping[str, Any], log: Path) -> float | None:
    if plain_style(result["pair_style"]) not in LENNARD_JONES:
        return None
    commands = PairCommands(log)
    return min(commands.lj_cutoffs([kind["epsilon"] for kind in result["types"]]), default=commands.cutoff)


def _coefficients(topology: Path, kind: str, log: Path) -> dict[str, tuple[float, float]]:
    """Stiffness and rest value per type, from the section that ``write_data`` makes for a harmonic style.

    It has six digits; where the log has the command that set them, all digits are taken from there.
    """
    head = topology.read_text().split("\nAtoms", 1)[0]
    match = re.search(rf"^{kind} Coeffs # harmonic\n\n((?:.+\n)+)", head, re.MULTILINE)
    rows = [line.split() for line in match.group(1).splitlines()] if match else []
    found = {row[0]: (float(row[1]), float(row[2])) for row in rows}
    for text in log.read_text(errors="replace").splitlines():
        parts = words(text)
        if parts[:1] == [f"{kind.lower()}_coeff"] and len(parts) > 3 and parts[1] in found:
            try:
                exact = float(parts[2]), float(parts[3])
            except ValueError:
                continue
            if all(isclose(a, b, rel_tol=1e-5) for a, b in zip(exact, found[parts[1]], strict=True)):
                found[parts[1]] = exact
    return found


def lammps_date(version: int) -> str:
    """LAMMPS's version number as a date.

    >>> lammps_date(20250722)
    '22 Jul 2025'
    """
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    year, month, day = version // 10000, version // 100 % 100, version % 100
    return f"{day} {months[month - 1]} {year}"
