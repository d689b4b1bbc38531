"""Exchange: forces on ghosts go home to the ranks that own the atoms, charges of atoms to their ghosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.numba_jit import compiled
from gnnformd.simulation.lammps.ranks import Ranks

__all__ = ["Exchange"]

Numbers = NDArray[Any]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class Exchange:
    """Who owns which ghost; holds until LAMMPS rebuilds its lists.

    LAMMPS's own communication is over when `fix external` is asked, so forces on ghosts travel by this. Per
    step a rank sends 24 bytes for each distinct atom among its ghosts, to the ranks that own them and to no others;
    copies of its own atoms stay with it. To find the owners costs four exchanges of some numbers per own atom and
    ghost, through a directory that is spread over the ranks by id, so that no rank ever holds a table of all atoms.

    Attributes
    ----------
    ranks
        All of them.
    own_count
        N, own atoms.
    index
        For each ghost the own atom it is a copy of, or N plus its row among what is sent, (G,).
    send_counts, receive_counts
        Atoms sent to and received from each rank, (R,).
    receive_index
        The own atom of each force received, in the order of the ranks.
    orphans
        Ids of ghosts that nobody owns; none in a sound simulation.
    """

    ranks: Ranks
    own_count: int
    index: Int
    send_counts: Int
    receive_counts: Int
    receive_index: Int
    orphans: Int

    @classmethod
    def plan(cls, ranks: Ranks, own_ids: Int, ghost_ids: Int) -> Exchange:
        """Find the owners; all ranks must call it together.

        Parameters
        ----------
        ranks
            All of them.
        own_ids, ghost_ids
            (N,) and (G,), in LAMMPS's order.
        """
        own_count, none = len(own_ids), np.empty(0, np.int64)
        index = _find(own_ids, ghost_ids)  # (G,), -1 where another rank owns the atom
        if ranks.size == 1:
            counts = np.zeros(1, np.int64)
            orphans = np.unique(ghost_ids[index < 0])
            return cls(ranks, own_count, index, counts, counts, none, orphans)
        wanted = np.unique(ghost_ids[index < 0])  # (U,)
        owner, row = _owners(ranks, own_ids, wanted)
        orphans = wanted[owner < 0]
        wanted, owner, row = (values[owner >= 0] for values in (wanted, owner, row))
        order = np.argsort(owner, kind="stable")
        wanted, owner, row = wanted[order], owner[order], row[order]
        send_counts = np.bincount(owner, minlength=ranks.size).astype(np.int64)
        receive_index, receive_counts = _to_each(ranks, row, send_counts)
        away = index < 0
        index[away] = own_count + _find(wanted, ghost_ids[away])  # an orphan lands on a neighbor: the run ends anyway
        return cls(ranks, own_count, index, send_counts, receive_counts, receive_index, orphans)

    def collect(self, values: Numbers) -> Numbers:
        """Add what ghosts have, such as forces, to what the atoms have that they are copies of.

        Parameters
        ----------
        values
            Of own atoms, then of ghosts, (N + G, C).

        Returns
        -------
        ndarray
            Of own atoms, from all ranks, (N, C).
        """
        count = self.own_count
        total = np.zeros((count + int(self.send_counts.sum()), values.shape[1]), values.dtype)
        total[:count] = values[:count]
        _add_rows(self.index, values[count:], total)
        if self.ranks.size == 1:
            return total
        received = self._swap(total[count:], self.send_counts, self.receive_counts)
        _add_rows(self.receive_index, received, total)
        return total[:count]

    def spread(self, values: Numbers) -> Numbers:
        """Give each ghost the numbers of the atom it is a copy of: the way back of `collect`.

        Parameters
        ----------
        values
            Of own atoms, (N, ...).

        Returns
        -------
        ndarray
            Of own atoms, then of ghosts, (N + G, ...).
        """
        known = values
        if self.ranks.size > 1:
            known = np.concatenate(
                [values, self._swap(values[self.receive_index], self.receive_counts, self.send_counts)]
            )
        return np.concatenate([values, known[self.index]])

    def _swap(self, rows: Numbers, to_counts: Int, from_counts: Int) -> Numbers:
        """Exchange rows, so many to and from each rank in the order of the ranks, with those that share atoms."""
        comm, received = self.ranks.comm, np.empty((int(from_counts.sum()), *rows.shape[1:]), rows.dtype)
        requests, start = [], 0
        for rank in np.flatnonzero(from_counts).tolist():
            end = start + int(from_counts[rank])
            requests.append(comm.Irecv(received[start:end], source=rank))
            start = end
        start = 0
        for rank in np.flatnonzero(to_counts).tolist():
            end = start + int(to_counts[rank])
            requests.append(comm.Isend(rows[start:end], dest=rank))
            start = end
        for request in requests:
            request.Wait()
        return received


@compiled
def _add_rows(index: Int, rows: Numbers, total: Numbers) -> None:
    """Add rows (G, C) to those of ``total`` that the index names."""
    for row, place in enumerate(index):
        for column in range(rows.shape[1]):
            total[place, column] += rows[row, column]


def _find(table: Int, values: Int) -> Int:
    """Place of each value in a table without order, or -1."""
    if len(table) == 0:
        return np.full(len(values), -1, dtype=np.int64)
    order = np.argsort(table)
    row = order[np.searchsorted(table, values, sorter=order).clip(max=len(table) - 1)]
    return np.where(table[row] == values, row, -1).astype(np.int64)


def _to_each(ranks: Ranks, values: Int, counts: Int) -> tuple[Int, Int]:
    """Send ``counts[r]`` of the values to rank r, in order; returns what came, and how many from each rank."""
    coming = np.empty(ranks.size, np.int64)
    ranks.comm.Alltoall(np.ascontiguousarray(counts), coming)
    received = np.empty(int(coming.sum()), np.int64)
    ranks.comm.Alltoallv([np.ascontiguousarray(values), counts], [received, coming])
    return received, coming


def _owners(ranks: Ranks, own_ids: Int, wanted: Int) -> tuple[Int, Int]:
    """Owner of each wanted id and its row among the owner's atoms; -1 where nobody owns it."""

    def by_directory(ids: Int) -> tuple[Any, Int]:
        return np.argsort(ids % ranks.size, kind="stable"), np.bincount(ids % ranks.size, minlength=ranks.size)

    order, counts = by_directory(own_ids)
    listed, listed_counts = _to_each(ranks, own_ids[order], counts)
    places, _ = _to_each(ranks, order, counts)
    listed_owner = np.repeat(np.arange(ranks.size), listed_counts)
    order, counts = by_directory(wanted)
    asked, asked_counts = _to_each(ranks, wanted[order], counts)
    found = _find(listed, asked)
    known = found >= 0
    answers = np.full((2, len(asked)), -1, np.int64)
    answers[:, known] = listed_owner[found[known]], places[found[known]]
    result = np.empty((2, len(wanted)), np.int64)
    for row, answer in zip(result, answers, strict=True):
        row[order] = _to_each(ranks, answer, asked_counts)[0]
    return result[0], result[1]
