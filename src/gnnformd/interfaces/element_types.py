"""Types of atoms that another program knows by element."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.graph.type_matching import KnownTypes, TypeMap, match_types
from gnnformd.model.files.model_file import LoadedModel
from gnnformd.trajectory.frame import Topology

__all__ = ["map_of_topology", "types_of_elements"]

Int = NDArray[np.int64]


def types_of_elements(loaded: LoadedModel, symbols: Sequence[str], advice: str) -> Int:
    """Find the model's type of each atom, (N,), by its element: the type of this name, else of this mass.

    Parameters
    ----------
    loaded
        The model.
    symbols
        Elements of the atoms.
    advice
        What to do about an element that the model does not know, for the sentence.

    Raises
    ------
    InputError
        An element is none, or more than one, of the model's types.
    """
    names, numbers = np.unique(np.asarray(symbols, dtype=np.str_), return_inverse=True)
    known = KnownTypes.of_names("the atoms", names.tolist())
    unknown = [name for name in names.tolist() if name not in loaded.card.type_names]
    try:
        found = match_types(known, loaded.known_types, range(1, len(names) + 1), by_number=False)
    except InputError as error:
        if not unknown:
            raise
        names_of_model = ", ".join(loaded.card.type_names)
        raise InputError(
            f"the model {loaded.path} knows {names_of_model}, but not {', '.join(unknown)}; {advice}."
        ) from error
    return found.of(numbers.reshape(-1) + 1)


def map_of_topology(loaded: LoadedModel, source: object, topology: Topology) -> TypeMap:
    """Find the model's type of each type of a LAMMPS data file, by name or mass.

    Raises
    ------
    InputError
        A type with atoms is none, or more than one, of the model's.
    """
    return match_types(KnownTypes.of_topology(source, topology), loaded.known_types, np.unique(topology.types).tolist())
