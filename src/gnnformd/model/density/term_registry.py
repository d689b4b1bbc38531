"""The pair terms there are."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from gnnformd.model.density.pair_potentials import PairPotentials
from gnnformd.model.density.scaled_pairs import ScaledPairs
from gnnformd.model.density.settings import DensitySettings, ScaledSettings
from gnnformd.model.density.terms import PairTerm

__all__ = ["PAIR_TERMS", "pair_terms"]

PAIR_TERMS: dict[str, Callable[[DensitySettings, int], PairTerm]] = {"fitted": PairPotentials, "scaled": ScaledPairs}
"""Name of each pair term and what builds it; the name is part of its weights' names in model files."""


def pair_terms(settings: DensitySettings, inputs: int) -> nn.ModuleDict:
    """Build every pair term that the settings ask for, for P numbers that describe an atom."""
    unused = set() if isinstance(settings, ScaledSettings) else {"scaled"}
    return nn.ModuleDict({name: build(settings, inputs) for name, build in PAIR_TERMS.items() if name not in unused})
