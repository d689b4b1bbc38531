"""Settings of the models, as they stand under ``model:`` in a configuration."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from gnnformd.model.base_settings import LONGEST_CUTOFF, NetworkSettings
from gnnformd.model.density.settings import DensitySettings

__all__ = ["DensitySettings", "ModelSettings", "SeedSettings"]


class SeedSettings(NetworkSettings):
    """Settings of the seed's network (see `gnnformd.model.gamd.network.SeedModel`)."""

    kind: Literal["seed"] = "seed"
    cutoff: float = Field(3.4, gt=0, le=LONGEST_CUTOFF, description="Edges join atoms closer than this, angstrom.")
    layers: int = Field(3, ge=1, description="Message-passing layers.")
    width: int = Field(128, ge=1, description="Width of every hidden layer.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Share of hidden values dropped in training.")
    node_features: Literal["physical", "embedding"] = Field(
        "physical", description="Charge, epsilon and sigma of the atom, or a learned vector for each type."
    )
    locally_equivariant: bool = Field(
        False, description="First layer predicts one number per edge, times the direction of the edge."
    )
    residual: Literal["normalized", "plain"] = Field(
        "normalized",
        description="Layers after the first add to what GraphNorm makes of their input, or to the input as it was.",
    )
    statistics: Literal["graph", "stored"] = Field(
        "graph",
        description="What GraphNorm uses outside training: the atoms of the graph at hand, or the running averages of "
        "training (needed where a graph is cut into domains).",
    )


ModelSettings: TypeAlias = Annotated[SeedSettings | DensitySettings, Field(discriminator="kind")]
"""Settings of any kind of model; ``kind`` tells which."""
