"""ForceField: what a classical force field says about each type of atom and each bond."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from annotated_types import Ge, Gt, Le, MinLen

from gnnformd.errors import InputError, fault_of
from gnnformd.yaml_files import Lines, parse_mapping, read_text

__all__ = ["AtomType", "ForceField", "HarmonicAngle", "HarmonicBond", "Mixing"]

Positive: TypeAlias = Annotated[float, Gt(0)]
NotNegative: TypeAlias = Annotated[float, Ge(0)]
Weight: TypeAlias = Annotated[float, Ge(0), Le(1)]
TypeNumber: TypeAlias = Annotated[int, Ge(1)]
Mixing: TypeAlias = Literal["geometric", "arithmetic", "other"] | None


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

    name: Annotated[str, MinLen(1)]
    mass: Positive
    charge: float = 0.0
    epsilon: NotNegative = 0.0
    sigma: NotNegative = 0.0


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

    types: tuple[TypeNumber, TypeNumber]
    stiffness: float
    length: NotNegative


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

    types: tuple[TypeNumber, TypeNumber, TypeNumber]
    stiffness: float
    angle: Annotated[float, Ge(0), Le(180)]


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
    mixing
        How epsilon and sigma of two types are combined (LAMMPS ``pair_modify mix``): epsilons by their geometric mean,
        sigmas by their ``geometric`` or ``arithmetic`` mean; ``other`` where neither holds for all pairs; None where
        there is nothing to combine, or where it is not known.
    """

    types: Annotated[tuple[AtomType, ...], MinLen(1)]
    bonds: tuple[HarmonicBond, ...] = ()
    angles: tuple[HarmonicAngle, ...] = ()
    special_lj: tuple[Weight, Weight, Weight] = (0.0, 0.0, 0.0)
    special_coul: tuple[Weight, Weight, Weight] = (0.0, 0.0, 0.0)
    lj_cutoff: Positive = 10.0
    mixing: Mixing = None

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each type."""
        return tuple(t.name for t in self.types)

    @property
    def parameters(self) -> list[tuple[float, float, float]]:
        """Charge (e), epsilon (kcal/mol) and sigma (angstrom) of each type."""
        return [(t.charge, t.epsilon, t.sigma) for t in self.types]

    @property
    def liquid(self) -> str | None:
        """Name of the liquid: ``water``, or a simple one of one uncharged type with a Lennard-Jones potential; or None.

        LAMMPS can make a box of these from the force field alone.
        """
        if self.names == ("O", "H"):
            return "water"
        first = self.types[0]
        simple = len(self.types) == 1 and not self.bonds and not first.charge and first.epsilon > 0 < first.sigma
        return first.name if simple else None

    def to_dict(self) -> dict[str, Any]:
        """Plain mapping of numbers, strings and lists, as stored in YAML and in model files."""
        return {
            "types": [asdict(t) for t in self.types],
            "bonds": [{**asdict(b), "types": list(b.types)} for b in self.bonds],
            "angles": [{**asdict(a), "types": list(a.types)} for a in self.angles],
            "special_lj": list(self.special_lj),
            "special_coul": list(self.special_coul),
            "lj_cutoff": self.lj_cutoff,
            **({} if self.mixing is None else {"mixing": self.mixing}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str = "force field") -> ForceField:
        """Build from the mapping of `to_dict`; ``source`` names the file in error messages.

        Raises
        ------
        InputError
            A key is missing, unknown or of the wrong type.
        """
        return _checked(data, {}, source)

    @classmethod
    def from_yaml(cls, path: Path) -> ForceField:
        """Read a force field from a YAML file (see docs/data.md).

        Raises
        ------
        InputError
            The file cannot be read or is not a force field.
        """
        return _checked(*parse_mapping(str(path), read_text(path)), source=str(path))


def _checked(data: Mapping[str, Any], lines: Lines, source: str) -> ForceField:
    from pydantic import TypeAdapter, ValidationError

    try:
        # Through JSON, strictness lets a list be a tuple, and still no text be a number.
        text = json.dumps(data, allow_nan=False, default=str)
        field: ForceField = TypeAdapter(ForceField).validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        first = error.errors()[0]
        key = tuple(map(str, first["loc"]))
        raise InputError(f"{_place(source, lines, key)}: {'.'.join(key) or 'it'} {fault_of(first)}.") from error
    except ValueError as error:  # only json.dumps raises it: a value is NaN or infinite
        raise InputError(f"{source}: a number of the force field is not finite; write an ordinary number.") from error
    named = {("bonds", str(k), "types"): max(bond.types) for k, bond in enumerate(field.bonds)}
    named |= {("angles", str(k), "types"): max(angle.types) for k, angle in enumerate(field.angles)}
    for key, number in named.items():
        if number > len(field.types):
            raise InputError(
                f"{_place(source, lines, key)}: {'.'.join(key)} names type {number}, but there are "
                f"{len(field.types)}; add the type or correct the number."
            )
    return field


def _place(source: str, lines: Lines, key: tuple[str, ...]) -> str:
    """Name the line of a key, or of the one above it that stands in the file."""
    known = [lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines]
    return f"{source}, line {known[0]}" if known else source
