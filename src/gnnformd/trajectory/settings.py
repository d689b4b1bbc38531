"""Settings of the data a training uses."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["DataSettings"]


class DataSettings(BaseModel):
    """Which trajectories, and how they are split into training and validation frames."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    paths: list[str] = Field(
        default=[],
        description="Reference runs, dumps, extxyz files or patterns; files of one pattern are one dataset, "
        "folders of one pattern are one each.",
    )
    topology: str | None = Field(
        default=None, description="LAMMPS data file with bonds and charges, for data without one in its folder."
    )
    force_field: str | None = Field(
        default=None, description="YAML file with charge, epsilon and sigma of each type, for data that has none."
    )
    elements: list[str] | None = Field(
        default=None, description="Elements in the order of their types, for data that names elements only."
    )
    split: Literal["shuffled", "blocks", "trajectory"] = Field(
        default="blocks",
        description="Validate on random frames, on blocks of time, or on whole datasets.",
    )
    validation_fraction: float = Field(default=0.1, gt=0.0, lt=1.0, description="Part of the frames to validate on.")
    frames: int | None = Field(
        default=None, ge=2, description="Total number of frames to use, evenly spaced; all of them by default."
    )
    seed: int = Field(default=0, ge=0, description="Of the random choices of the split.")
