"""One numbering of the atom types for all datasets of a training, and for the model it starts from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ase.data import atomic_masses, atomic_numbers

from gnnformd.errors import InputError
from gnnformd.force_field import AtomType, ForceField
from gnnformd.graph.type_matching import KnownTypes, TypeMap, match_types
from gnnformd.trajectory.packed.dataset import PackedDataset, Renumbering

if TYPE_CHECKING:
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["atom_energies", "with_common_types"]


def with_common_types(
    datasets: Sequence[PackedDataset], start: LoadedModel | None = None, *, parameters_suffice: bool = False
) -> tuple[list[PackedDataset], tuple[str, ...]]:
    """Give all datasets one numbering of their types: that of the model a training starts from, if it has all of them.

    Else it is that of the dataset with most types. Where parameters suffice, types that it has not come after these.

    Parameters
    ----------
    datasets
        The data; types are matched by name, else by mass and parameters (see `match_types`).
    start
        The model.
    parameters_suffice
        Whether the model tells atoms apart by their charge, epsilon and sigma alone, so that data may be of any types.
        Types of two datasets are then the same if they agree in name, mass and parameters.

    Returns
    -------
    datasets
        With the common numbers.
    names
        Name of each type.

    Raises
    ------
    InputError
        A dataset has a type that the one with most types has not, and parameters do not suffice.
    """
    if parameters_suffice and all(dataset.force_field is not None for dataset in datasets):
        return _with_all_types(datasets, None if start is None else start.card.force_field)
    if start is not None:
        known, card = start.known_types, start.card
        try:
            maps = [_map(dataset, known, "the model", by_number=False) for dataset in datasets]
        except InputError:
            pass  # new types: whether the weights allow them is seen when they are copied
        else:
            return _renumbered(datasets, maps, card.type_names, card.force_field), card.type_names
    longest = max(datasets, key=lambda d: d.type_count)
    names = longest.type_names or tuple(str(k + 1) for k in range(longest.type_count))
    known = KnownTypes.of_dataset(longest)
    if not known.types:
        known = KnownTypes.of_names(longest.path, names)
    alone = TypeMap(tuple(range(1, len(names) + 1)))
    maps = [alone if dataset is longest else _map(dataset, known, str(longest.path)) for dataset in datasets]
    return _renumbered(datasets, maps, names, longest.force_field), names


def _with_all_types(
    datasets: Sequence[PackedDataset], start: ForceField | None
) -> tuple[list[PackedDataset], tuple[str, ...]]:
    """Give numbers to the types of the start, then to those of the dataset with most types, then to all others.

    Types of one dataset stay apart, also where they are equal.
    """
    fields = [dataset.force_field for dataset in datasets if dataset.force_field is not None]
    first = [start] if start is not None else []
    numbers: dict[tuple[AtomType, int], int] = {}
    for field in (*first, max(fields, key=lambda field: len(field.types)), *fields):
        for key in _keys(field):
            numbers.setdefault(key, len(numbers) + 1)
    maps = [TypeMap(tuple(numbers[key] for key in _keys(field))) for field in fields]
    every = tuple(kind for kind, _ in numbers)
    names = tuple(kind.name for kind in every)
    return _renumbered(datasets, maps, names, ForceField(every)), names


def _keys(field: ForceField) -> list[tuple[AtomType, int]]:
    """Each type with the number of equal ones before it."""
    return [(kind, field.types[:k].count(kind)) for k, kind in enumerate(field.types)]


def _map(dataset: PackedDataset, known: KnownTypes, owner: str, *, by_number: bool = True) -> TypeMap:
    own = KnownTypes.of_dataset(dataset)
    return match_types(own, known, dataset.used_types.tolist(), by_number=by_number, owner=owner)


def _renumbered(
    datasets: Sequence[PackedDataset], maps: Sequence[TypeMap], names: tuple[str, ...], field: ForceField | None
) -> list[PackedDataset]:
    """Renumber the datasets that have other numbers, names, or fewer types."""
    return [
        dataset
        if types.unchanged and dataset.type_names in (names, None)
        else dataset.renumbered(Renumbering(types.numbers, names, _field(dataset.force_field, types, names, field)))
        for dataset, types in zip(datasets, maps, strict=True)
    ]


def _field(
    own: ForceField | None, types: TypeMap, names: tuple[str, ...], other: ForceField | None
) -> ForceField | None:
    """Order a dataset's force field by the new numbers; types that it has not are those of the other."""
    if own is None:
        return None
    every = [AtomType(n, float(atomic_masses[atomic_numbers[n]]) if atomic_numbers.get(n) else 1.0) for n in names]
    if other is not None:
        every = list(other.types)
    for number, kind in zip(types.numbers, own.types, strict=False):
        if number:
            every[number - 1] = replace(kind, name=names[number - 1])

    def known(members: tuple[int, ...]) -> bool:
        return all(types.numbers[t - 1] for t in members)

    bonds = [
        replace(b, types=(types.numbers[b.types[0] - 1], types.numbers[b.types[1] - 1]))
        for b in own.bonds
        if known(b.types)
    ]
    angles = [
        replace(a, types=(types.numbers[a.types[0] - 1], types.numbers[a.types[1] - 1], types.numbers[a.types[2] - 1]))
        for a in own.angles
        if known(a.types)
    ]
    return replace(own, types=tuple(every), bonds=tuple(bonds), angles=tuple(angles))


def atom_energies(datasets: Sequence[PackedDataset], names: Sequence[str]) -> list[float] | None:
    """Find the energy of an isolated atom of each type, kcal/mol, (T,); 0 for types without atoms.

    None if that of a type with atoms is not known; where the data have isolated atoms there is a warning then.

    Parameters
    ----------
    datasets
        With common types.
    names
        Of the types.
    """
    known = {number: energy for dataset in datasets for number, energy in dataset.atom_energies.items()}
    used = sorted({number for dataset in datasets for number in dataset.used_types.tolist()})
    missing = [names[number - 1] for number in used if number not in known]
    if not missing:
        return [known.get(number, 0.0) for number in range(1, len(names) + 1)]
    given = sorted({name for dataset in datasets for name in dataset.isolated_atoms})
    if given:
        warnings.warn(
            f"{datasets[0].path}: its types have the names {', '.join(names)}, and isolated atoms are known of "
            f"{', '.join(given)}, so none is used; add isolated atoms of {', '.join(missing)}, or remove the others.",
            stacklevel=2,
        )
    return None
