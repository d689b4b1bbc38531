"""Settings of a training, as they stand under ``training:`` in a configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator

__all__ = ["TrainingSettings"]


class TrainingSettings(BaseModel):
    """How a network is fitted to forces."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    epochs: int | None = Field(
        default=50, ge=1, description="Passes over the training frames; none: as many as `max_minutes` allow."
    )
    max_minutes: float | None = Field(
        default=None,
        gt=0,
        description="End after about so many minutes, interruptions not counted, if the epochs are not over before.",
    )
    batch_size: int | None = Field(
        default=16,
        ge=1,
        description="Frames per step of the optimizer, over all devices; none: as many as hold about a hundred atoms.",
    )
    frames_at_once: int | None = Field(
        default=None,
        ge=1,
        description="Frames a device holds at a time; gradients of a batch are added up. By default as many as hold "
        "some hundred atoms on a processor, where more are not faster, and the whole batch on an accelerator. The GAMD "
        "network always takes the whole batch.",
    )
    seed: int = Field(default=0, ge=0, description="Of weights, order of frames, rotations and dropout.")
    loss: Literal["l1", "huber"] = Field(
        default="l1",
        description="Of an error: l1, the sum of its absolute components; or huber, its length, squared where it is "
        "small against the forces in the data, so that no direction is preferred.",
    )
    energy_weight: NonNegativeFloat | Literal["auto"] = Field(
        default=0.0,
        description="Learn energies too. 1: an energy that is off by its spread in the data counts as much as forces "
        "that are off by their size; auto: the errors of energies count a twentieth of those of forces, however large "
        "both are, down to a weight of 0.015.",
    )
    virial_weight: NonNegativeFloat | Literal["auto"] = Field(
        default=0.0,
        description="Learn virials too, weighed as energies are; auto: their errors count a twentieth of those of "
        "forces.",
    )
    optimizer: Literal["adam", "soap"] = Field(
        default="adam",
        description="adam; or soap, which is Adam in the eigenbasis of the gradients' second moments and needs fewer "
        "steps.",
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="Highest learning rate of the optimizer.")
    schedule: Literal["exponential", "cosine"] = Field(
        default="exponential",
        description="How the learning rate changes: exponential, from epoch to epoch by `warmup_epochs` and `decay`; "
        "or cosine, from step to step, up in the first twentieth of the training (in 100 steps where these are fewer, "
        "in 20 at least), then down to a hundredth at its end, be it the last epoch or the end of `max_minutes`. A "
        "training of 60 epochs and 3000 steps or more does so in cycles of 20, 80, 320, ... epochs, and ends after one "
        "that did not lower the error of validation frames.",
    )
    warmup_epochs: int = Field(
        default=5,
        ge=0,
        description="With schedule exponential: epochs in which the learning rate rises linearly and outputs near zero "
        "cost.",
    )
    warmup_penalty: float = Field(
        default=6912.0,
        ge=0,
        description="Added in these epochs to the loss of a batch, a sum over its frames: this number (216 * 32) over "
        "the sum of |Fx| + |Fy| + |Fz| predicted for all its atoms.",
    )
    decay: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="With schedule exponential: factor on the learning rate per epoch after warm-up.",
    )
    rotations: bool = Field(default=True, description="Turn every batch by a random rotation, all its frames alike.")
    checkpoint_every: int = Field(
        default=6,
        ge=1,
        description="Validations between kept checkpoints; the best one wins. finetune keeps all but with --set.",
    )
    validation_frames: int | None = Field(
        default=None,
        ge=1,
        description="Validate on so many of the validation frames, evenly spaced, those with forces first; none: on "
        "all.",
    )
    gradient_clip: float | None = Field(default=None, gt=0, description="Largest norm of the gradient of a step.")
    ema_decay: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Average the weights over steps with this factor, smaller in the first steps, and use the average.",
    )
    freeze: tuple[str, ...] = Field(
        default=(), description="Parameters left as they are, by name or pattern, for instance 'decoder.*'."
    )
    accelerator: Literal["auto", "cpu", "gpu"] = Field(default="auto", description="What computes.")
    devices: int = Field(default=1, ge=1, description="Processes or accelerators that share each batch.")
    threads: int | None = Field(default=None, ge=1, description="Threads per process; all cores over devices if unset.")
    precision: Literal["32-true", "64-true", "bf16-mixed", "16-mixed"] = Field(
        default="32-true", description="Floating-point type of weights and activations."
    )
    matmul_precision: Literal["highest", "high", "medium"] = Field(
        default="highest",
        description="Rounding inside float32 matrix products: none, to ten bits (high) or to seven (medium). Seven are "
        "too few for the distance in a bond.",
    )
    round_gradients: bool = Field(
        default=False,
        description="Compute the gradients of the GAMD network from bfloat16 numbers; faster on processors that have "
        "instructions for them (AVX512_BF16, AMX); on others they are computed from float32 numbers, with a warning. "
        "Its forces are not rounded, or where a processor has such instructions, to 16 bits: while it is trained only.",
    )
    compile: bool = Field(
        default=False, description="Compile the GAMD network; pays on an accelerator. Other models refuse it."
    )
    stability_check: bool = Field(
        default=True,
        description="After the training, run short simulations from frames of the data (NVE, NVT, NPT; at the highest "
        "temperature of the data and at 1.2 times it), for at most a tenth of the training's time, or 5 s.",
    )
    loggers: tuple[Literal["tensorboard", "wandb"], ...] = Field(
        default=("tensorboard",), description="Where to log besides training_log.txt and metrics.csv."
    )

    @model_validator(mode="after")
    def _ends(self) -> TrainingSettings:
        if self.epochs is None and self.max_minutes is None:
            raise ValueError("it never ends; set epochs or max_minutes (on the command line --max-minutes)")
        return self
