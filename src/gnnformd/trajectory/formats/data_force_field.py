"""The force field in the coefficient sections of a LAMMPS data file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from gnnformd.errors import InputError
from gnnformd.force_field import AtomType, ForceField, HarmonicAngle, HarmonicBond, Mixing
from gnnformd.reference.extract import mixing_rule, plain_style
from gnnformd.reference.pair_styles import LENNARD_JONES
from gnnformd.reference.type_names import element_of_mass
from gnnformd.trajectory.formats.data_file import (
    DataLine,
    DataSection,
    read_topology,
    split_data_file,
    units_of_data_file,
)
from gnnformd.trajectory.frame import Float, Topology
from gnnformd.units import Units

__all__ = ["DataForceField", "read_force_field"]

SIX_DIGITS = 1e-5
"""Relative difference of numbers that ``write_data`` wrote with six digits, and of their means."""
USUAL_CUTOFF = 10.0  # angstrom
USUAL_REACH = 3.0  # sigma

Sections = Mapping[str, DataSection]


@dataclass(frozen=True)
class DataForceField:
    """A force field, and what the file leaves open.

    Attributes
    ----------
    field
        In units ``real``.
    pair_style
        As the file names it, without the suffix of an accelerator package.
    topology
        Of the same file.
    assumed
        What was taken for what the file does not say, in words.
    """

    field: ForceField
    pair_style: str
    topology: Topology
    assumed: tuple[str, ...]


def read_force_field(path: Path) -> DataForceField:
    """Read Lennard-Jones parameters, charges, and harmonic bonds and angles from a data file.

    Sections ``Pair Coeffs`` (parameters of each type) or ``PairIJ Coeffs`` (of each pair) of `LENNARD_JONES`,
    ``Bond Coeffs`` and ``Angle Coeffs`` of the style ``harmonic``, as ``write_data`` writes them with the style behind
    the name of the section. Charges are those of the atoms. A data file never has the weights of ``special_bonds``,
    and not always the cutoff of Lennard-Jones and the rule of mixing: see `DataForceField.assumed`.

    Parameters
    ----------
    path
        A data file in units ``real`` or ``metal``.

    Raises
    ------
    InputError
        A section is missing, not readable or of another style; charges differ within a type; there are dihedrals or
        impropers; or the file does not say its units.
    """
    _, header, sections = split_data_file(path)
    topology = read_topology(path)
    style = units_of_data_file(path)
    if style is None:
        raise InputError(
            f"{path}: does not say the units of its coefficients; write 'units = real' or 'units = metal' into the "
            "first line."
        )
    units = Units.named(style, f"{path}, line 1")
    for kind in ("dihedrals", "impropers"):
        if kind in header and header[kind].words != ["0"]:
            raise InputError(
                f"{path}, line {header[kind].number}: has {kind}, which no model for many liquids has; train a model "
                "on this liquid."
            )
    if topology.masses is None:
        raise InputError(f"{path}: has no masses; add a section 'Masses'.")
    count = len(topology.masses)
    epsilon, sigma, mixing, cutoff, pair_style = _pairs(path, sections, count, units)
    assumed = []
    if cutoff is None:
        cutoff = max(USUAL_CUTOFF, USUAL_REACH * float(sigma.max()))
        assumed.append(f"Lennard-Jones up to {cutoff:g} angstrom")
    if len(topology.bonds):
        assumed.append("'special_bonds lj/coul 0 0 0'")
    charges = _charges(path, topology, count)
    field = ForceField(
        types=tuple(
            AtomType(name, float(mass), *numbers)
            for name, mass, *numbers in zip(
                _names(topology),
                topology.masses,
                charges,
                epsilon.tolist(),
                sigma.tolist(),
                strict=True,
            )
        ),
        bonds=tuple(
            HarmonicBond((a, b), k * units.energy / units.length**2, length * units.length)
            for (a, b), (k, length) in _bonded(path, sections, topology, "Bond")
        ),
        angles=tuple(
            HarmonicAngle((a, b, c), k * units.energy, degrees)
            for (a, b, c), (k, degrees) in _bonded(path, sections, topology, "Angle")
        ),
        lj_cutoff=cutoff,
        mixing=mixing,
    )
    return DataForceField(field, pair_style, topology, tuple(assumed))


def _names(topology: Topology) -> list[str]:
    """Label or comment of each type, else the element of its mass, else its number."""
    assert topology.masses is not None
    masses = topology.masses.tolist()
    said = topology.type_names or (None,) * len(masses)
    return [name or element_of_mass(mass) or str(n) for n, (name, mass) in enumerate(zip(said, masses, strict=True), 1)]


def _style(path: Path, section: DataSection, name: str) -> str:
    """Style behind the name of a section."""
    if not section.hint:
        example = "lj/cut" if name.startswith("Pair") else "harmonic"
        raise InputError(
            f"{path}, line {section.line}: '{name}' does not say the style of its coefficients; write for instance "
            f"'{name} # {example}'."
        )
    return plain_style(section.hint.split()[0])


def _pairs(path: Path, sections: Sections, count: int, units: Units) -> tuple[Float, Float, Mixing, float | None, str]:
    """Epsilon and sigma of each type, the rule of mixing, the cutoff of Lennard-Jones, and the style."""
    name = next((name for name in ("PairIJ Coeffs", "Pair Coeffs") if name in sections), None)
    if name is None:
        raise InputError(
            f"{path}: has neither 'Pair Coeffs' nor 'PairIJ Coeffs', which a model for many liquids is made from; "
            "write it with 'write_data FILE pair ij', or give the LAMMPS input or a folder of 'gnnformd generate'."
        )
    section = sections[name]
    style = _style(path, section, name)
    if style not in LENNARD_JONES:
        raise InputError(
            f"{path}, line {section.line}: pair style '{style}' is not Lennard-Jones with a cutoff; train a model on "
            "this liquid."
        )
    labels = _labels(sections, "Atom")
    width = 2 if name == "PairIJ Coeffs" else 1
    table = np.full((2, count, count), np.nan)
    cutoffs = []
    for line in section.lines:
        types = [_type(path, line, k, labels, count) - 1 for k in range(width)]
        epsilon, sigma, *rest = _numbers(path, line, width, 2)
        one, other = types[0], types[-1]
        table[:, one, other] = table[:, other, one] = epsilon * units.energy, sigma * units.length
        if rest and epsilon > 0:
            cutoffs.append(rest[0] * units.length)
    if len(set(cutoffs)) > 1:
        raise InputError(
            f"{path}, line {section.line}: Lennard-Jones ends at {min(cutoffs):g} to {max(cutoffs):g} angstrom, as "
            "pairs of types have it, and a model for many liquids has one cutoff; give all pairs the same, or train a "
            "model on this liquid."
        )
    wanted = np.ones((count, count), dtype=bool) if width == 2 else np.eye(count, dtype=bool)
    if np.isnan(table[0][wanted]).any():
        a, b = (int(k[0]) + 1 for k in np.nonzero(np.isnan(table[0]) & wanted))
        which = f"types {a} and {b}" if width == 2 else f"type {a}"
        raise InputError(f"{path}, line {section.line}: '{name}' has no coefficients of {which}; add them.")
    mixing = mixing_rule(table[0], table[1], SIX_DIGITS) if width == 2 else None
    own = table.diagonal(axis1=1, axis2=2)
    if width == 2 and mixing is None:
        mixing = "geometric"  # both rules give these numbers
    return own[0], own[1], cast(Mixing, mixing), min(cutoffs, default=None), style


def _charges(path: Path, topology: Topology, count: int) -> list[float]:
    """Charge of each type; zero where a type has no atoms."""
    charges = [0.0] * count
    if topology.charges is None:
        return charges
    for kind in np.unique(topology.types).tolist():
        found = np.unique(topology.charges[topology.types == kind])
        if len(found) > 1:
            raise InputError(
                f"{path}: atoms of type {kind} have charges from {found[0]:g} to {found[-1]:g}; give atoms with "
                "different charges different types."
            )
        charges[kind - 1] = float(found[0])
    return charges


def _bonded(
    path: Path, sections: Sections, topology: Topology, kind: str
) -> list[tuple[tuple[int, ...], tuple[float, float]]]:
    """Atom types of bonds or angles, each once, with the two coefficients of their type."""
    members = {"Bond": topology.bonds, "Angle": topology.angles}[kind]
    if not len(members):
        return []
    name, labels = f"{kind} Coeffs", _labels(sections, kind)
    if name not in sections:
        raise InputError(f"{path}: has {kind.lower()}s, but no section '{name}'; add it ('{name} # harmonic').")
    section = sections[name]
    style = _style(path, section, name)
    if style != "harmonic":
        raise InputError(
            f"{path}, line {section.line}: {kind.lower()} style '{style}' is not 'harmonic', the only one that models "
            "for many liquids have; train a model on this liquid."
        )
    coefficients: dict[int, tuple[float, float]] = {}
    for line in section.lines:
        stiffness, rest, *_ = _numbers(path, line, 1, 2)
        coefficients[_type(path, line, 0, labels, math.inf)] = stiffness, rest
    found: dict[tuple[tuple[int, ...], tuple[float, float]], None] = {}
    for line, atoms in zip(sections[f"{kind}s"].lines, members, strict=True):
        number = _type(path, line, 1, labels, math.inf)
        if number not in coefficients:
            raise InputError(
                f"{path}, line {line.number}: '{name}' has no coefficients of type {number}; add them there."
            )
        types = tuple(topology.types[atoms].tolist())
        found[min(types, types[::-1]), coefficients[number]] = None
    return list(found)


def _labels(sections: Sections, kind: str) -> dict[str, int]:
    """Numbers of the types of atoms, bonds or angles by name."""
    section = sections.get(f"{kind} Type Labels")
    return {line.words[-1]: int(line.words[0]) for line in section.lines} if section else {}


def _type(path: Path, line: DataLine, column: int, labels: Mapping[str, int], most: float) -> int:
    word = line.words[column] if column < len(line.words) else ""
    number = labels.get(word, int(word) if word.isdigit() else 0)
    if not 1 <= number <= most:
        raise InputError(f"{path}, line {line.number}: word {column + 1} is no type; correct the line.")
    return number


def _numbers(path: Path, line: DataLine, first: int, least: int) -> list[float]:
    """Words from one on as numbers, of which there are at least so many."""
    try:
        values = [float(word) for word in line.words[first:]]
    except ValueError:
        values = []
    if len(values) < least or not all(map(math.isfinite, values)):
        raise InputError(
            f"{path}, line {line.number}: '{' '.join(line.words)[:60]}' lacks coefficients of its style; correct it."
        )
    return values
