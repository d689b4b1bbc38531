"""Settings of the data a training uses."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from gnnformd.trajectory.formats.target_names import Target

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
    keys: dict[Target, str] = Field(
        default={},
        description="Names of energy, forces, stress, virial and config_type in extended XYZ files, for instance "
        "`{energy: my_energy}`; those not given are searched for (see docs/data.md). Charges of atoms are used only "
        "where `charges` names them.",
    )
    validation: list[str] = Field(
        default=[], description="Data to validate on; all frames of `paths` are then for training."
    )
    test: list[str] = Field(default=[], description="Data on which the model is evaluated after the training.")
    config_type_weights: dict[str, NonNegativeFloat] = Field(
        default={},
        description="How much frames count in the loss of the training, by their config_type, for instance `{surface: "
        "5, default: 1}`; `default` is for all others. They multiply the weights of frames in the file "
        "(`config_weight`). Errors of validation and tests have no weights.",
    )
    split: Literal["shuffled", "blocks", "trajectory", "stratified", "groups", "compositions"] = Field(
        default="blocks",
        description="Validate on random frames, on blocks of time, on whole datasets, on random frames of each "
        "config_type in the same share (stratified), on all frames of some of them (groups), or on all frames of some "
        "compositions.",
    )
    validation_fraction: float = Field(default=0.1, gt=0.0, lt=1.0, description="Part of the frames to validate on.")
    frames: int | None = Field(
        default=None, ge=2, description="Total number of frames to use, evenly spaced; all of them by default."
    )
    seed: int = Field(default=0, ge=0, description="Of the random choices of the split.")
