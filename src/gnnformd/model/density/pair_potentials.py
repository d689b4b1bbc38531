"""Pair potentials fitted to the data by least squares: the pair part of the classical start."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gnnformd.model.density.radial import radial_values
from gnnformd.model.density.settings import DensitySettings
from gnnformd.model.density.terms import PairKinds, PairTerm

__all__ = ["PairPotentials"]


class PairPotentials(PairTerm):
    """``V = sum_k (x_i M_k x_j + x_j M_k x_i) B_k(s)``, with functions B_k of their own for each kind of bond.

    The functions are those of the densities (`gnnformd.model.density.radial`), x the numbers that describe an atom
    (`gnnformd.model.density.node_inputs`).

    Parameters
    ----------
    settings
        Say which functions there are.
    inputs
        Numbers that describe an atom, P.

    Attributes
    ----------
    physical
        Whether x are numbers of a force field.
    counts
        Number of functions for each kind of bond that has some; further kinds of bond share those of kind 0.
    coefficients
        ``M``, kcal/mol, (K, P, P), K over the functions of all kinds of bond.
    """

    coefficients: Tensor

    def __init__(self, settings: DensitySettings, inputs: int) -> None:
        super().__init__()
        self.cutoff, self.physical = settings.cutoff, settings.node_features == "physical"
        self.counts = settings.function_counts
        self.register_buffer("coefficients", torch.zeros(sum(self.counts), inputs, inputs))

    def energies(self, distance: Tensor, pairs: PairKinds) -> Tensor:
        """See `PairTerm.energies`."""
        kinds = pairs.kinds
        factors = torch.einsum("ap,kpq,bq->abk", kinds, self.coefficients, kinds)
        factors = factors + factors.transpose(0, 1)  # (S, S, K)
        energies, first = torch.zeros_like(distance), 0
        for chosen, count in self.by_bond_kind(pairs.bond_kind):
            values = radial_values(distance[chosen], self.cutoff, count)
            own = factors[pairs.first[chosen], pairs.second[chosen], first : first + count]  # (E', K)
            energies = energies.index_add(0, chosen, (own.T * values).sum(0))
            first += count
        return energies

    def by_bond_kind(self, bond_kind: Tensor) -> Iterator[tuple[Tensor, int]]:
        """Pairs of each kind of bond that has functions of its own, and the number of these functions."""
        kind = bond_kind.where(bond_kind < len(self.counts), 0)
        for number, count in enumerate(self.counts):
            yield torch.nonzero(kind == number).squeeze(1), count
