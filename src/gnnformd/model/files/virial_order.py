"""Virials written in another order of their components than they are read in, told by a model that knows forces."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ORDER", "has_other_sign", "virial_order"]

ORDER = ("xx", "yy", "zz", "yz", "xz", "xy")
"""Order in which six components are read, that of Voigt and of ASE. LAMMPS and VASP have xy first."""

LEAST = 8
"""Virials that tell an order."""

AGREEING = 0.3
"""Correlation of components on the diagonal below which sign or unit are wrong, or the network is."""

ALIKE, BETTER = 0.6, 0.25
"""Correlation from which on components are those of the model, and how much more of their squares another order must
tell: a network that has learned from virials in the wrong order is torn between them and the forces, and its own
components off the diagonal are too small."""


def virial_order(predicted: ArrayLike, known: ArrayLike) -> str | None:
    """Order in which the virials of data fit those of a model, where it is not the one that they were read in.

    Virials of a model follow from its energy as its forces do, so one that is right about forces is right about them.
    It has to be right about those on the diagonal, too: it is not where the sign or the unit is wrong.

    Parameters
    ----------
    predicted, known
        Virials or stresses of the model and of the data, (M, 3, 3), symmetric.

    Returns
    -------
    Six components, such as 'xx yy zz xy xz yz'; None where they are read in the right order or it cannot be told.
    """
    mine, theirs = np.asarray(predicted, dtype=np.float64), np.asarray(known, dtype=np.float64)
    if len(theirs) < LEAST or _correlation(*(np.diagonal(v, axis1=1, axis2=2) for v in (mine, theirs))) < AGREEING:
        return None
    rows, columns = [1, 0, 0], [2, 2, 1]  # yz, xz, xy
    mine, theirs = mine[:, rows, columns], theirs[:, rows, columns]  # (M, 3)
    found = {order: _correlation(mine, theirs[:, order]) for order in permutations(range(3))}
    best = max(found, key=found.__getitem__)
    if found[best] < ALIKE or found[best] ** 2 < max(found[0, 1, 2], 0.0) ** 2 + BETTER:
        return None
    return " ".join((*ORDER[:3], *(ORDER[3 + best.index(place)] for place in range(3))))


def has_other_sign(predicted: ArrayLike, known: ArrayLike) -> bool:
    """Whether virials of data are those of a model with the other sign, on the diagonal and off it.

    Parameters
    ----------
    predicted, known
        As for `virial_order`.
    """
    mine, theirs = np.asarray(predicted, dtype=np.float64), np.asarray(known, dtype=np.float64)
    rows, columns = [1, 0, 0], [2, 2, 1]
    parts = [(np.diagonal(mine, axis1=1, axis2=2), np.diagonal(theirs, axis1=1, axis2=2))]
    parts.append((mine[:, rows, columns], theirs[:, rows, columns]))
    return len(theirs) >= LEAST and all(_correlation(*part) < -ALIKE for part in parts)


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Correlation about zero; 0 where one of them is zero."""
    size = float(np.sqrt(np.square(one).sum() * np.square(other).sum()))
    return float((one * other).sum()) / size if size > 0 else 0.0
