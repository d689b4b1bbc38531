"""The pair terms there are."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from gnnformd.model.density.pair_potentials import PairPotentials
from gnnformd.model.density.scaled_pairs import ScaledPairs
from gnnformd.model.density.settings import DensitySettings
from gnnformd.model.density.terms import PairTerm

__all__ = ["PAIR_TERMS", "pair_terms"]


class _Kind(Protocol):
    """A class of pair terms, built from the settings of a model and P, the count of numbers that describe an atom."""

    def __call__(self, settings: DensitySettings, inputs: int) -> PairTerm: ...

    def used(self, settings: DensitySettings) -> bool: ...


PAIR_TERMS: dict[str, _Kind] = {"fitted": PairPotentials, "scaled": ScaledPairs}
"""Name of each pair term and its class; the name is part of its weights' names in model files."""


def pair_terms(settings: DensitySettings, inputs: int) -> nn.ModuleDict:
    """Build every pair term that the settings ask for, for P numbers that describe an atom."""
    used = {name: kind for name, kind in PAIR_TERMS.items() if kind.used(settings)}
    return nn.ModuleDict({name: kind(settings, inputs) for name, kind in used.items()})
