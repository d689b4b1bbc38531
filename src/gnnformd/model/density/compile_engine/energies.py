"""Energies of a density model from tables of neighbors, as one function that PyTorch's compiler takes whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gnnformd.model.density.energy_floor import saturated
from gnnformd.model.density.harmonics import harmonics
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.radial import radial_values, softened
from gnnformd.model.density.terms import PairKinds, PairTerm

__all__ = ["Angles", "Energies", "Shell"]


class Shell(NamedTuple):
    """Neighbors that share radial functions, in rows of equal length, one for each center.

    Empty entries hold the center itself, two cutoffs away, where everything is zero.

    Attributes
    ----------
    neighbor
        (N, M).
    shift
        Lattice vectors crossed on the way to the neighbor, (N, M, 3).
    filling
        angstrom, added to the vector: not zero in empty entries, (N, M).
    contact
        Contact distance, angstrom, (N, M).
    pair
        Which pair of kinds of atoms it is, (N, M).
    product, weight
        Product of the charges, e^2, and how much of their Coulomb energy counts, (N, M).
    bond_kind
        Bonds between the two atoms, (N, M).
    is_kind
        Whether the kind of bond is 1, 2, ..., (kinds, N, M); none in the shell of neighbors that are not bonded.
    """

    neighbor: Tensor
    shift: Tensor
    filling: Tensor
    contact: Tensor
    pair: Tensor
    product: Tensor
    weight: Tensor
    bond_kind: Tensor
    is_kind: Tensor | None


class Angles(NamedTuple):
    """Angles between two bonds: row of the middle, (A,), entries of the arms, (2, A), factors of cos^n, (POWERS, A)."""

    middle: Tensor
    arms: Tensor
    coefficients: Tensor


class Energies(nn.Module):
    """Energies of centers from the vectors to their neighbors, in plain operations and without asking for any value."""

    def __init__(self, model: DensityModel, coefficients: Tensor, kinds: Tensor) -> None:
        super().__init__()
        self.network, self.cutoff = model.network, model.cutoff
        self.contacts, self.electrostatics = model.contacts, model.electrostatics
        self.coefficients, self.kinds = coefficients, kinds
        self.other_terms = nn.ModuleList(term for term in model.each_pair_term() if term is not model.fitted_pairs)

    def forward(
        self,
        inputs: Tensor,
        centers: Tensor,
        shells: Sequence[Shell],
        vectors: Sequence[Tensor],
        angles: Angles,
        floor: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """All but long-range electrostatics and energies of types, kcal/mol, (N,), and last activations, (N, W).

        Vectors are (N, M, 3) by shell; ``floor`` has start and depth of that of each center, (N,).
        """
        network, settings = self.network, self.network.settings
        sum_factors, pairs, first = [], inputs.new_zeros(len(centers)), 0
        for shell, spread in zip(shells, vectors, strict=True):
            distance = spread.square().sum(2).sqrt()  # (N, M)
            soft, _ = softened(distance, shell.contact)
            count = settings.radial_functions if shell.is_kind is None else settings.bonded_functions
            functions = radial_values(soft.flatten(), self.cutoff, count)
            functions = functions.view(count, *soft.shape)  # (K, N, M)
            if shell.is_kind is not None:
                functions = (shell.is_kind[:, None] * functions).flatten(0, 1)
            energy = (self.coefficients[first : first + len(functions), shell.pair] * functions).sum(0)
            energy = energy + self.contacts.pair_energies(distance, shell.contact)
            for term in self.other_terms:
                assert isinstance(term, PairTerm)
                first_kind, second_kind = shell.pair // len(self.kinds), shell.pair % len(self.kinds)
                pair_kinds = PairKinds(
                    self.kinds, first_kind.flatten(), second_kind.flatten(), shell.bond_kind.flatten()
                )
                energy = energy + term.energies(soft.flatten(), pair_kinds).view(soft.shape)
            if self.electrostatics is not None:
                energy = energy + self.electrostatics.weighted_energies(distance, soft, shell.product, shell.weight)
            pairs = pairs + 0.5 * energy.sum(1)  # each pair stands in two rows
            first += len(functions)
            angular = harmonics((spread / distance[:, :, None]).permute(2, 0, 1), network.l_max)  # (L, N, M)
            sum_factors.append((shell.neighbor, angular, functions))

        def densities(sent: Tensor, _: int) -> Tensor:
            parts = []
            for neighbor, angular, functions in sum_factors:
                received = sent[neighbor].permute(0, 2, 1)  # (N, C, M)
                terms = angular.transpose(0, 1)[:, :, None] * received[:, None]  # (N, L, C, M)
                sums = torch.bmm(terms.flatten(1, 2), functions.permute(1, 2, 0))  # (N, L C, K)
                parts.append(sums.view(len(centers), len(angular), sent.shape[1], len(functions)))
            return torch.cat(parts, dim=3).transpose(0, 1).flatten(2)  # (L, N, C K)

        learned, _, activations = network.atom_energies(inputs, densities, centers)
        learned = saturated(network.energy_scale * learned, *floor)
        return learned + pairs + self._bends(vectors[-1], angles), activations

    def _bends(self, vectors: Tensor, angles: Angles) -> Tensor:
        """Energies of angles, (N,); the last shell is the one with bonds."""
        one, other = vectors.flatten(0, 1)[angles.arms]  # (A, 3)
        lengths = one.norm(dim=1), other.norm(dim=1)
        cosine = (one * other).sum(1) / (lengths[0] * lengths[1])
        energies = torch.zeros_like(cosine)
        for power, coefficient in enumerate(angles.coefficients, start=1):
            energies = energies + coefficient * cosine**power
        inside = (lengths[0] < self.cutoff) & (lengths[1] < self.cutoff)
        return energies.new_zeros(len(vectors)).index_add(0, angles.middle, energies * inside)
