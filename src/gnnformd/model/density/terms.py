"""PairTerm: what an energy term of pairs promises.

The energy of the density model is a sum of terms: the network (`network`), pair terms (here), bond angles
(`bond_angles`), the repulsion below contact (`repulsion`) and the Coulomb energy (`electrostatics`). A pair term is a
function of the softened distance (`gnnformd.model.density.radial.softened`) and of what describes the two atoms. The
engines tabulate the sum of all of them once for each pair of kinds of atoms, so that a new term costs no time and needs
its own file, its test and its line in `gnnformd.model.density.term_registry.PAIR_TERMS`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.settings import DensitySettings

__all__ = ["PairKinds", "PairTerm"]


class PairKinds(NamedTuple):
    """What describes the two atoms of each pair.

    Attributes
    ----------
    kinds
        Node inputs (`gnnformd.model.density.node_inputs`) of each kind of atom, (S, P).
    first, second
        Kind of both atoms, (E/2,) int64.
    bond_kind
        Bonds between them, 0 for none, (E/2,) int64.
    """

    kinds: Tensor
    first: Tensor
    second: Tensor
    bond_kind: Tensor

    @classmethod
    def of(cls, graph: AtomicGraph, inputs: Tensor) -> PairKinds:
        """Describe the half edges of a graph whose atoms have these node inputs, (N, P)."""
        kinds, of_atom = torch.unique(inputs, dim=0, return_inverse=True)
        center, neighbor, _, bond_kind = graph.half_edges
        return cls(kinds, of_atom[center], of_atom[neighbor], bond_kind)


class PairTerm(nn.Module, ABC):
    """A pair energy ``V(s; x_i, x_j, bond kind)``, symmetric in the two atoms.

    It has to vanish smoothly (three derivatives) at the cutoff. It is not trained: parameters are buffers.
    """

    @classmethod
    def used(cls, settings: DensitySettings) -> bool:
        """Whether a model with these settings has the term."""
        return True

    @property
    def shortest_wave(self) -> float:
        """Length over which the energy may go up and down once, angstrom, for the step of tables; infinite if long."""
        return math.inf

    @abstractmethod
    def energies(self, distance: Tensor, pairs: PairKinds) -> Tensor:
        """Energy of each pair, kcal/mol, (E/2,), differentiable by the distance.

        Parameters
        ----------
        distance
            Softened distance ``s``, angstrom, (E/2,).
        pairs
            The two atoms of each pair.
        """
