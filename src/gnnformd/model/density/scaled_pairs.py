"""One pair potential for all kinds of atoms, in units of their force field: see `gnnformd.model.fluids`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gnnformd.graph.bonds import BOND_KINDS
from gnnformd.model.density.radial import fade, radial_values
from gnnformd.model.density.settings import DensitySettings, ScaledSettings
from gnnformd.model.density.terms import PairKinds, PairTerm

__all__ = ["ScaledPairs", "ending"]

ENDING = 0.05  # of the distance where functions end


def ending(distance: Tensor, end: float) -> tuple[Tensor, Tensor]:
    """From one to zero in the last twentieth of ``end``, and the derivative, 1/angstrom.

    A potential that is zero at the end keeps its energies before that, so that its forces do on average.
    """
    return fade((distance - (1 - ENDING) * end).clamp(min=0.0), ENDING * end)


class ScaledPairs(PairTerm):
    """``V = w eps_ij f(s/sigma_ij) + k_ij l_ij^2 g(s/l_ij - 1)``, the second part for bonded atoms only.

    The functions ``f(x) = sum_n c_n B_n(x)`` (with the functions of `gnnformd.model.density.radial`, zero from
    ``x = reach`` on) and ``g(u) = sum_n d_n u^n`` are the same for all kinds of atoms. Bonds fade out between half of
    the cutoff and the cutoff. Where Lennard-Jones of a force field ends at a distance ``e`` before that,
    ``f(s/sigma) - f(e/sigma)`` is in the place of ``f``, times what `ending` gives: forces up to there are those of
    ``f``, as in a force field that ends abruptly.

    Parameters
    ----------
    settings
        Of a model with such potentials; atoms are told apart by type (``embedding``).
    inputs
        Number of types, T.

    Attributes
    ----------
    pair
        ``c``, (K,).
    bond
        ``d`` from ``n = 1`` on, (4,).
    epsilons, sigmas
        kcal/mol and angstrom, (T, T).
    weights
        ``w`` of each kind of bond, (4,).
    stiffnesses, lengths
        ``k``, kcal/mol/angstrom^2, and ``l``, angstrom, (T, T); zero where types are not bonded.
    """

    pair: Tensor
    bond: Tensor
    epsilons: Tensor
    sigmas: Tensor
    weights: Tensor
    stiffnesses: Tensor
    lengths: Tensor

    def __init__(self, settings: DensitySettings, inputs: int) -> None:
        super().__init__()
        assert isinstance(settings, ScaledSettings)
        self.cutoff, self.reach, self.end = settings.cutoff, settings.scaled_reach, settings.scaled_end
        self.register_buffer("pair", torch.zeros(settings.scaled_functions))
        self.register_buffer("bond", torch.zeros(4))
        for name in ("epsilons", "stiffnesses", "lengths"):
            self.register_buffer(name, torch.zeros(inputs, inputs))
        self.register_buffer("sigmas", torch.ones(inputs, inputs))
        self.register_buffer("weights", torch.ones(BOND_KINDS))

    @classmethod
    def used(cls, settings: DensitySettings) -> bool:
        """See `PairTerm.used`: a model for one of many liquids has it."""
        return isinstance(settings, ScaledSettings)

    @property
    def shortest_wave(self) -> float:
        """See `PairTerm.shortest_wave`."""
        there = self.epsilons > 0
        smallest = float(self.sigmas[there].min()) if there.any() else math.inf
        wave = 2 * self.reach * smallest / len(self.pair)
        return wave if self.end is None else min(wave, ENDING * self.end)

    def energies(self, distance: Tensor, pairs: PairKinds) -> Tensor:
        """See `PairTerm.energies`."""
        types = pairs.kinds.argmax(1)
        one, other = types[pairs.first], types[pairs.second]
        pair = self.pair @ radial_values(distance / self.sigmas[one, other], self.reach, len(self.pair))  # (E/2,)
        if self.end is not None:
            at_end = self.pair @ radial_values(self.end / self.sigmas.flatten(), self.reach, len(self.pair))
            pair = (pair - at_end.reshape(self.sigmas.shape)[one, other]) * ending(distance, self.end)[0]
        strength = self.weights[pairs.bond_kind] * self.epsilons[one, other]
        length = self.lengths[one, other]
        bonded = (pairs.bond_kind == 1) & (length > 0)
        strain = distance / length.where(bonded, 1.0) - 1  # (E/2,)
        stretched = torch.zeros_like(distance)
        for coefficient in self.bond.flip(0):
            stretched = (stretched + coefficient) * strain
        stiffness = (self.stiffnesses[one, other] * length**2).where(bonded, 0.0)
        far = (distance - 0.5 * self.cutoff).clamp(min=0.0)
        end = fade(far, 0.5 * self.cutoff)[0] ** 2  # five derivatives vanish at the cutoff, where the energy is large
        return strength * pair + stiffness * stretched * end
