"""Which type of some data is which type of a model: by name, by physical parameters, or, with a warning, by number."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.force_field import ForceField
from gnnformd.reference.type_names import united_atom
from gnnformd.trajectory.frame import Topology

__all__ = ["KnownType", "KnownTypes", "TypeMap", "TypedData", "match_types"]

Int = NDArray[np.int64]

MASS_TOLERANCE, RELATIVE_MASS_TOLERANCE = 0.05, 0.002  # g/mol; masses are written with few digits
CHARGE_TOLERANCE, PARAMETER_TOLERANCE = 1e-4, 1e-3


class TypedData(Protocol):
    """Data that may know what its types are, as `gnnformd.trajectory.packed.dataset.PackedDataset`."""

    @property
    def path(self) -> Path:
        """The data."""

    @property
    def force_field(self) -> ForceField | None:
        """Physical parameters per type of atom, or None."""

    @property
    def type_names(self) -> tuple[str, ...] | None:
        """Names of the types from 1 on, or None."""

    @property
    def topology(self) -> Topology | None:
        """The data file that belongs to it, or None."""


@dataclass(frozen=True)
class KnownType:
    """What is known about one type of atom; None where it is not.

    Attributes
    ----------
    name
        Element or label.
    mass
        g/mol.
    charge
        e.
    epsilon, sigma
        Lennard-Jones parameters, kcal/mol and angstrom.
    """

    name: str | None = None
    mass: float | None = None
    charge: float | None = None
    epsilon: float | None = None
    sigma: float | None = None

    @property
    def named(self) -> bool:
        """Whether it has a name that is more than a number."""
        return self.name is not None and not self.name.isdigit()


@dataclass(frozen=True)
class KnownTypes:
    """What is known about the types of a file or a model.

    Attributes
    ----------
    source
        The file, for error messages.
    types
        ``types[t - 1]`` describes type ``t``.
    """

    source: str
    types: tuple[KnownType, ...]

    def listed(self, numbers: Iterable[int] | None = None) -> str:
        """Name some of the types, or all; those without a name by number and mass."""
        chosen = range(1, len(self.types) + 1) if numbers is None else numbers
        return ", ".join(_called(t, self.types[t - 1] if t <= len(self.types) else KnownType()) for t in chosen)

    @classmethod
    def of_names(cls, source: object, names: Sequence[str], field: ForceField | None = None) -> KnownTypes:
        """Take names, and parameters of a force field; without one, masses of the elements that the names are.

        Parameters
        ----------
        source
            See the class.
        names
            ``names[t - 1]`` is the name of type ``t``.
        field
            A force field with as many types.
        """
        from ase.data import atomic_masses, atomic_numbers

        if field is not None:
            known = zip(names, field.types, strict=True)
            return cls(str(source), tuple(KnownType(n, t.mass, t.charge, t.epsilon, t.sigma) for n, t in known))
        masses = [float(atomic_masses[atomic_numbers[n]]) if atomic_numbers.get(n, 0) else None for n in names]
        return cls(str(source), tuple(KnownType(*pair) for pair in zip(names, masses, strict=True)))

    @classmethod
    def of_topology(cls, source: object, topology: Topology) -> KnownTypes:
        """Take what a LAMMPS data file says: names and masses, and charges that all atoms of a type share."""
        count = int(topology.types.max(initial=0))
        names, masses = topology.type_names or (), () if topology.masses is None else topology.masses.tolist()
        kinds = []
        for number in range(max(count, len(names), len(masses))):
            of_type = None if topology.charges is None else topology.charges[topology.types == number + 1]
            shared = of_type is not None and len(of_type) > 0 and float(np.ptp(of_type)) < CHARGE_TOLERANCE
            kinds.append(
                KnownType(
                    names[number] if number < len(names) else None,
                    masses[number] if number < len(masses) else None,
                    float(of_type[0]) if of_type is not None and shared else None,
                )
            )
        return cls(str(source), tuple(kinds))

    @classmethod
    def of_dataset(cls, dataset: TypedData) -> KnownTypes:
        """Take the force field of a dataset, else its data file and the names of its types."""
        names = dataset.type_names or ()
        if dataset.force_field is not None:
            return cls.of_names(dataset.path, dataset.force_field.names, dataset.force_field)
        if dataset.topology is None:
            return cls.of_names(dataset.path, names)
        known = cls.of_topology(dataset.path, dataset.topology).types
        pairs = zip_longest(known, names)
        return cls(
            str(dataset.path),
            tuple(replace(kind or KnownType(), name=name or (kind and kind.name)) for kind, name in pairs),
        )


@dataclass(frozen=True)
class TypeMap:
    """The type of a model that each type of some data is.

    Attributes
    ----------
    numbers
        ``numbers[t - 1]`` is the model's type, from 1, of the data's type ``t``; 0 for types without atoms that the
        model does not know, (K,).
    """

    numbers: tuple[int, ...]

    @property
    def unchanged(self) -> bool:
        """Whether all types keep their numbers."""
        return self.numbers == tuple(range(1, len(self.numbers) + 1))

    def of(self, types: NDArray[np.integer]) -> Int:
        """Return the model's types of atoms, 0 where there is none, from those of the data; both count from 1, (N,)."""
        same: Int = np.asarray(types, dtype=np.int64)
        if self.unchanged:
            return same  # higher ones, which nothing is known about, are refused by the model
        table = np.zeros(max(len(self.numbers), int(same.max(initial=0))) + 1, dtype=np.int64)
        table[1 : len(self.numbers) + 1] = self.numbers
        found: Int = table[same]
        return found

    def names(self, model: Sequence[str]) -> tuple[str, ...]:
        """Name the types of the data by those of the model; where all keep their numbers these are the model's."""
        if self.unchanged:
            return tuple(model)
        return tuple(model[number - 1] if number else str(t) for t, number in enumerate(self.numbers, start=1))


def match_types(
    data: KnownTypes, model: KnownTypes, used: Iterable[int], *, by_number: bool = True, owner: str = "the model"
) -> TypeMap:
    """Find the type of the model that each type of the data is, one to one and in any order.

    A type with a name that the model knows is the type of that name. Other types are those of the same mass (or, where
    masses are not known, charge, epsilon and sigma); charge, epsilon and sigma also decide among several candidates,
    and the number among types that nothing else tells apart.

    Parameters
    ----------
    data, model
        What is known on both sides.
    used
        Types of the data that have atoms.
    by_number
        Whether types may be matched by number, with a warning, where the data have neither names nor parameters.
    owner
        What has the types of ``model``, for the sentence.

    Raises
    ------
    InputError
        A type of the data is none, or more than one, of the model's.
    """
    wanted = sorted(set(used))
    kinds = data.types + (KnownType(),) * (max(wanted, default=0) - len(data.types))
    if by_number and not any(_comparable(kinds[t - 1], other) for t in wanted for other in model.types):
        numbers = tuple(range(1, max(len(kinds), len(model.types)) + 1))
        warnings.warn(
            f"{data.source}: nothing tells which atom types of {model.source} its types are, so they are taken by "
            f"number ({_numbered(model.types)}).",
            stacklevel=3,
        )
        return TypeMap(numbers)
    candidates = {t: _candidates(kinds[t - 1], model) for t in wanted}
    found, by_own_number = _assign(candidates)
    if len(found) < len(wanted):
        raise InputError(
            f"{data.source}: its atom types are {data.listed(wanted)}, but those of {owner} are {model.listed()} "
            f"({model.source}); use data with these types, and name them so."
        )
    named = all(kinds[t - 1].named and kinds[t - 1].name == model.types[t - 1].name for t in wanted)
    alike = all(len({_parameters(model.types[m - 1]) for m in candidates[t]}) == 1 for t in by_own_number)
    if by_own_number and not (named and alike):
        warnings.warn(
            f"{data.source}: several atom types of {model.source} fit its types {', '.join(map(str, by_own_number))}, "
            f"which are taken by number ({_numbered(model.types)}); name the types.",
            stacklevel=3,
        )
    free = set(range(1, len(model.types) + 1)) - set(found.values())
    for t in set(range(1, len(kinds) + 1)) - set(wanted):  # without atoms
        options = [m for m in _candidates(kinds[t - 1], model) if m in free]
        if len(options) == 1 and kinds[t - 1] != KnownType():
            found[t] = options[0]
            free.discard(options[0])
    return TypeMap(tuple(found.get(t, 0) for t in range(1, len(kinds) + 1)))


def _parameters(kind: KnownType) -> tuple[float | None, ...]:
    return kind.charge, kind.epsilon, kind.sigma


def _called(number: int, kind: KnownType) -> str:
    if kind.name is not None:
        return kind.name
    return str(number) if kind.mass is None else f"{number} (mass {kind.mass:g})"


def _numbered(types: Sequence[KnownType]) -> str:
    return ", ".join(f"{t} is {_called(t, kind)}" for t, kind in enumerate(types, start=1))


def _comparable(one: KnownType, other: KnownType) -> bool:
    """Whether something is known on both sides."""
    both_named = one.named and other.named
    both_massive = one.mass is not None and other.mass is not None
    return both_named or both_massive or (one.epsilon is not None and other.epsilon is not None)


def _candidates(kind: KnownType, model: KnownTypes) -> list[int]:
    """Types of the model that this one can be."""
    every = list(enumerate(model.types, start=1))
    found = [(m, other) for m, other in every if kind.named and kind.name == other.name]
    if not found:
        found = [(m, other) for m, other in every if _same_parameters(kind, other)]
    for name, tolerance in (
        ("charge", CHARGE_TOLERANCE),
        ("epsilon", PARAMETER_TOLERANCE),
        ("sigma", PARAMETER_TOLERANCE),
    ):
        closer = [(m, other) for m, other in found if _close(getattr(kind, name), getattr(other, name), tolerance)]
        found = closer if len(found) > 1 and closer else found
    return [m for m, _ in found]


def _same_parameters(one: KnownType, other: KnownType) -> bool:
    """Whether the masses agree, or, where they are not known, charge, epsilon and sigma."""
    if one.mass is not None and other.mass is not None:
        if united_atom(one.mass) != united_atom(other.mass):
            return False
        return abs(one.mass - other.mass) <= max(MASS_TOLERANCE, RELATIVE_MASS_TOLERANCE * other.mass)
    return (
        _close(one.charge, other.charge, CHARGE_TOLERANCE)
        and _close(one.epsilon, other.epsilon, PARAMETER_TOLERANCE)
        and _close(one.sigma, other.sigma, PARAMETER_TOLERANCE)
    )


def _close(one: float | None, other: float | None, tolerance: float) -> bool:
    return one is not None and other is not None and abs(one - other) <= tolerance


def _assign(candidates: dict[int, list[int]]) -> tuple[dict[int, int], list[int]]:
    """Give each type one of its candidates, each to one type only.

    Returns
    -------
    found
        The candidate of each type; types for which none is left are missing.
    by_own_number
        Types with several candidates, of which the one with the own number was taken.
    """
    left, found, by_own_number = {t: set(options) for t, options in candidates.items()}, dict[int, int](), list[int]()
    while left:
        single = next((t for t, options in left.items() if len(options) == 1), None)
        if single is not None:
            (found[single],) = left[single]
        else:
            single = next((t for t, options in left.items() if t in options), None)
            if single is None:
                break
            found[single] = single
            by_own_number.append(single)
        del left[single]
        left = {t: options - {found[single]} for t, options in left.items()}
    return found, by_own_number
