"""Virials written in another order of their components than they are read in, told by a model that knows forces."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["ORDER", "virial_order"]

ORDER = ("xx", "yy", "zz", "yz", "xz", "xy")
"""Order in which six components are read, that of Voigt and of ASE. LAMMPS and VASP have xy first."""

LEAST = 4
"""Virials that tell an order."""

BETTER = 0.2
"""Squared error in another order beside that in which components were read, up to which the other one is right."""

WRONG = 0.1
"""Squared error beside the squared components below which the order of the data is right, or does not matter."""


def virial_order(predicted: ArrayLike, known: ArrayLike) -> str | None:
    """Order in which the virials of data fit those of a model, where it is not the one that they were read in.

    Virials of a model follow from its energy as its forces do, so one that is right about forces is right about them.

    Parameters
    ----------
    predicted, known
        Virials or stresses of the model and of the data, (M, 3, 3), symmetric.

    Returns
    -------
    Six components, such as 'xx yy zz xy xz yz'; None where they are read in the right order or it cannot be told.
    """
    rows, columns = [1, 0, 0], [2, 2, 1]  # yz, xz, xy
    mine, theirs = (np.asarray(values)[:, rows, columns] for values in (predicted, known))  # (M, 3)
    errors = {order: float(np.square(mine - theirs[:, order]).sum()) for order in permutations(range(3))}
    best, given = min(errors, key=errors.__getitem__), errors[0, 1, 2]
    if len(theirs) < LEAST or given < WRONG * np.square(theirs).sum() or not errors[best] < BETTER * given:
        return None
    return " ".join((*ORDER[:3], *(ORDER[3 + best.index(place)] for place in range(3))))
