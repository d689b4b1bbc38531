"""What the settings of all models have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["LONGEST_CUTOFF", "NetworkSettings"]

LONGEST_CUTOFF = 50.0
"""angstrom; an atom in a liquid has some 50 000 neighbors within it."""


class NetworkSettings(BaseModel):
    """Read strictly: unknown keys and numbers of another type are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
