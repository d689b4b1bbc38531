"""Bonds from molecule ids, for data without a data file."""

from __future__ import annotations

import numpy as np

from gnnformd.errors import InputError
from gnnformd.trajectory.frame import Int

__all__ = ["molecules_to_bonds"]


def molecules_to_bonds(molecule_ids: Int, types: Int) -> Int:
    """Bonds of molecules of one central atom and its ligands, such as water, by the original rule.

    Atoms of different type in one molecule are bonded, atoms of the same type are second neighbors. That is true where
    the central atom is the only one of its type and the ligands are all of one other type (or where there are two
    atoms, which are bonded whatever their types). Molecule id 0 means no molecule.

    Parameters
    ----------
    molecule_ids, types
        (N,).

    Returns
    -------
    array
        Pairs of atom indices, (M, 2).

    Raises
    ------
    InputError
        A molecule is of another kind, so that its bonds do not follow from the types.
    """
    order = np.argsort(molecule_ids, kind="stable")
    starts = np.flatnonzero(np.diff(molecule_ids[order], prepend=molecule_ids.min(initial=0) - 1))
    bonds: list[tuple[int, int]] = []
    for members in np.split(order, starts[1:]):
        if len(members) < 2 or molecule_ids[members[0]] == 0:
            continue
        kinds, counts = np.unique(types[members], return_counts=True)
        if len(members) == 2:
            center = members[0]
        elif len(kinds) == 2 and counts.min() == 1:
            center = members[types[members] == kinds[counts.argmin()]][0]
        else:
            raise InputError(
                f"molecule {molecule_ids[members[0]]}: its {len(members)} atoms of {len(kinds)} types are not a center "
                "and equal ligands, so bonds do not follow from 'mol'; give a LAMMPS data file as topology."
            )
        bonds += [(int(center), int(m)) for m in members if m != center]
    return np.array(bonds, dtype=np.int64).reshape(-1, 2)
