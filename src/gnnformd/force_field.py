"""ForceField: what a classical force field says about each type of atom and each bond."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from gnnformd.errors import InputError

__all__ = ["AtomType", "ForceField", "HarmonicAngle", "HarmonicBond"]


@dataclass(frozen=True)
class AtomType:
    """One type of atom.

    Attributes
    ----------
    name
        What the type is called in tables and figures, usually the element.
    mass
        g/mol.
    charge
        e.
    epsilon
        Depth of the Lennard-Jones well, kcal/mol.
    sigma
        Lennard-Jones diameter, angstrom.
    """

    name: str
    mass: float
    charge: float = 0.0
    epsilon: float = 0.0
    sigma: float = 0.0


@dataclass(frozen=True)
class HarmonicBond:
    """A bond with energy ``stiffness * (r - length)**2`` (LAMMPS's convention: no factor 1/2).

    Attributes
    ----------
    types
        The two atom types it joins, numbered from 1.
    stiffness
        kcal/mol/angstrom^2.
    length
        angstrom.
    """

    types: tuple[int, int]
    stiffness: float
    length: float


@dataclass(frozen=True)
class HarmonicAngle:
    """An angle with energy ``stiffness * (theta - angle)**2`` (no factor 1/2).

    Attributes
    ----------
    types
        The three atom types, the middle one second, numbered from 1.
    stiffness
        kcal/mol/rad^2.
    angle
        degrees.
    """

    types: tuple[int, int, int]
    stiffness: float
    angle: float


@dataclass(frozen=True)
class ForceField:
    """Physical parameters per type of atom, in ``real`` units.

    Attributes
    ----------
    types
        ``types[t - 1]`` describes LAMMPS's atom type ``t``.
    bonds, angles
        The bonded terms, empty for a simple liquid.
    special_lj, special_coul
        Weights of the pair interactions between 1-2, 1-3 and 1-4 neighbours (LAMMPS ``special_bonds``).
    lj_cutoff
        Where Lennard-Jones ends, angstrom.
    """

    types: tuple[AtomType, ...]
    bonds: tuple[HarmonicBond, ...] = ()
    angles: tuple[HarmonicAngle, ...] = ()
    special_lj: tuple[float, float, float] = (0.0, 0.0, 0.0)
    special_coul: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lj_cutoff: float = 10.0

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each type."""
        return tuple(t.name for t in self.types)

    def to_dict(self) -> dict[str, Any]:
        """Plain mapping of numbers, strings and lists, as stored in YAML and in model files."""
        return {
            "types": [asdict(t) for t in self.types],
            "bonds": [{**asdict(b), "types": list(b.types)} for b in self.bonds],
            "angles": [{**asdict(a), "types": list(a.types)} for a in self.angles],
            "special_lj": list(self.special_lj),
            "special_coul": list(self.special_coul),
            "lj_cutoff": self.lj_cutoff,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str = "force field") -> ForceField:
        """Build from the mapping of `to_dict`; ``source`` names the file in error messages.

        Raises
        ------
        InputError
            A key is missing, unknown or of the wrong type.
        """
        try:
            types = tuple(AtomType(**t) for t in data["types"])
            bonds = tuple(HarmonicBond(**{**b, "types": tuple(b["types"])}) for b in data.get("bonds", ()))
            angles = tuple(HarmonicAngle(**{**a, "types": tuple(a["types"])}) for a in data.get("angles", ()))
            rest = {k: v for k, v in data.items() if k not in ("types", "bonds", "angles")}
            for key in ("special_lj", "special_coul"):
                if key in rest:
                    rest[key] = tuple(rest[key])
            return cls(types=types, bonds=bonds, angles=angles, **rest)
        except KeyError as error:
            raise InputError(f"{source}: key {error} is missing from the force field; add it.") from error
        except (TypeError, AttributeError) as error:
            raise InputError(f"{source}: the force field is not of the expected form ({error}).") from error

    @classmethod
    def from_yaml(cls, path: Path) -> ForceField:
        """Read a force field from a YAML file (see docs/data.md).

        Raises
        ------
        InputError
            The file cannot be read or is not a force field.
        """
        try:
            data = yaml.safe_load(path.read_text())
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
        except yaml.YAMLError as error:
            raise InputError(f"{path}: is not YAML ({error}).".replace("\n", " ")) from error
        if not isinstance(data, Mapping):
            raise InputError(f"{path}: holds no mapping; a force field starts with the key 'types'.")
        return cls.from_dict(data, str(path))
