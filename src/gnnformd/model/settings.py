"""Settings of the models, as they stand under ``model:`` in a configuration."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from gnnformd.model.base_settings import LONGEST_CUTOFF, NetworkSettings
from gnnformd.model.density.settings import DensitySettings, ScaledSettings

__all__ = ["DensitySettings", "GamdSettings", "ModelSettings", "PlainResidualSettings", "ScaledSettings"]


class GamdSettings(NetworkSettings):
    """Settings of the GAMD network (see `gnnformd.model.gamd.network.GamdModel`)."""

    kind: Literal["gamd"] = "gamd"
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
    statistics: Literal["batch", "stored"] = Field(
        "batch",
        description="What GraphNorm averages over outside training: all atoms that are evaluated together, or the "
        "running averages of training (needed where a system is cut into domains).",
    )


class PlainResidualSettings(GamdSettings):
    """Settings of GAMD networks in model files up to format version 5 whose residual layers add to the plain input.

    They are read, not trained.
    """

    residual: Literal["plain"] = "plain"


ModelSettings: TypeAlias = Annotated[GamdSettings | DensitySettings, Field(discriminator="kind")]
"""Settings of any kind of model; ``kind`` tells which."""
