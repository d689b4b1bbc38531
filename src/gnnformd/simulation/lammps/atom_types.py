"""Which type of LAMMPS is which type of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gnnformd.graph.type_matching import KnownType, KnownTypes, TypeMap, match_types
from gnnformd.simulation.lammps.ranks import Ranks

if TYPE_CHECKING:
    from lammps import lammps

    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["match_lammps_types"]


def match_lammps_types(
    lmp: lammps, loaded: LoadedModel, ranks: Ranks, given: TypeMap | Sequence[str] | None = None
) -> TypeMap:
    """Match LAMMPS's atom types with those of a model; all ranks together.

    Parameters
    ----------
    lmp
        An instance with atoms.
    loaded
        The model.
    ranks
        The processes that run LAMMPS.
    given
        The result, where it is known already, or names of the types; by default type labels that are names of the
        model, and masses.

    Raises
    ------
    InputError
        A type with atoms is none, or more than one, of the model's.
    """
    if isinstance(given, TypeMap):
        return given
    count, own = int(lmp.extract_setting("ntypes")), int(lmp.extract_setting("nlocal"))
    types = lmp.numpy.extract_atom("type", nelem=own) if own else np.empty(0, np.int64)
    atoms = ranks.sum(np.bincount(types, minlength=count + 1).astype(np.float64))
    known = KnownTypes("LAMMPS", _known_types(lmp, count, loaded.card.type_names))
    if given is not None:
        known = KnownTypes.of_names("types", given)
    with ranks.together():
        return match_types(known, loaded.known_types, np.flatnonzero(atoms).tolist())


def _known_types(lmp: lammps, count: int, names: Sequence[str]) -> tuple[KnownType, ...]:
    """Masses of all types, and the names of those whose labels are among some names."""
    masses, labels = lmp.numpy.extract_atom("mass"), dict[int, str]()
    for name in names:
        try:
            if lmp.eval(f"is_typelabel(atom,{name})") == 1.0:
                labels[int(lmp.eval(f"label2type(atom,{name})"))] = name
        except Exception:  # LAMMPS's Python interface raises nothing more specific where there are no labels
            break
    kinds = []
    for number in range(1, count + 1):
        mass = 0.0 if masses is None else float(np.ravel(masses)[number])
        kinds.append(KnownType(labels.get(number), mass if mass > 0 else None))
    return tuple(kinds)
