"""Pair styles of LAMMPS that are Lennard-Jones with a cutoff between atoms, with or without charges on these."""

from __future__ import annotations

from types import MappingProxyType

__all__ = ["LENNARD_JONES"]

LENNARD_JONES = MappingProxyType(
    {
        "lj/cut": 2,
        "lj/cut/coul/cut": 2,
        "lj/cut/coul/debye": 3,
        "lj/cut/coul/dsf": 3,
        "lj/cut/coul/long": 2,
        "lj/cut/coul/long/cs": 2,
        "lj/cut/coul/msm": 2,
        "lj/cut/coul/wolf": 3,
    }
)
"""Which word of a ``pair_style`` line, from 0, is the cutoff of Lennard-Jones.

Others whose names begin alike have another potential (``soft``, ``sphere``, ``thole``) or charges that are not on the
atoms (``tip4p``).
"""
