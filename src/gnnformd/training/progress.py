"""Pace: how far a training is, and what follows from it: learning rate, validation, end."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.utilities.types import STEP_OUTPUT

from gnnformd.training.schedule import annealed_factor
from gnnformd.training.settings import TrainingSettings

__all__ = ["Pace", "Stopwatch"]

VALIDATIONS = 20  # of an annealed training; more would cost time and tell little
LONGEST_RESERVE = 0.2  # share of the budget kept for the last validation


class Stopwatch:
    """Seconds of training, those before an interruption included."""

    def __init__(self) -> None:
        self._before = 0.0
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds gone."""
        return self._before + time.perf_counter() - self._start

    def go_on_from(self, seconds: float) -> None:
        """Add what was on the watch when the training was interrupted."""
        self._before = seconds


class Pace(lightning.Callback):
    """Follows the progress of a training: the larger of its share of the steps and its share of the minutes.

    At progress 1 the training ends, with a validation and a checkpoint. With schedule ``cosine`` the learning rate
    follows the progress from step to step, and the ends of epochs are validated at most twenty times, evenly over the
    training. The time that the last validation will take is kept back from the minutes.

    Parameters
    ----------
    settings
        Epochs, minutes and schedule.
    stopwatch
        Time of the training.
    listener
        Called with steps done and steps expected in all.
    """

    def __init__(
        self, settings: TrainingSettings, stopwatch: Stopwatch, listener: Callable[[int, int], None] | None
    ) -> None:
        self.settings, self.stopwatch, self.listener = settings, stopwatch, listener
        self.annealed = settings.schedule == "cosine"
        self._planned = math.inf
        self._progress = 0.0
        self._stage = 0
        self._validation_start = 0.0
        self._reserve = 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Find out where the training stands."""
        self._planned = float(trainer.estimated_stepping_batches)
        self._measure(trainer)
        self._stage = self._stage_now()
        trainer.should_stop = self._progress >= 1 and trainer.global_step > 0  # there is a model after one step
        self._set_learning_rate(trainer)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the learning rate of the step."""
        self._set_learning_rate(trainer)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Tell the progress, stop when it is complete, and decide whether an epoch that ends here is validated."""
        self._measure(trainer)
        step = trainer.global_step
        if self.listener is not None and trainer.is_global_zero and step:
            self.listener(step, max(step, round(step / self._progress)))
        trainer.should_stop = trainer.should_stop or self._progress >= 1
        if self.annealed:
            due = trainer.should_stop or self._stage_now() > self._stage
            trainer.check_val_every_n_epoch = 1 if due else sys.maxsize

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the time."""
        self._validation_start = self.stopwatch.seconds
        self._stage = self._stage_now()

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note how long it took."""
        self._reserve = self.stopwatch.seconds - self._validation_start

    def _measure(self, trainer: lightning.Trainer) -> None:
        """Update the progress, the same on all devices."""
        self._progress = min(1.0, trainer.global_step / self._planned)
        if self.settings.max_minutes is None:
            return
        budget = 60 * self.settings.max_minutes
        share = self.stopwatch.seconds / (budget - min(self._reserve, LONGEST_RESERVE * budget))
        slowest = trainer.strategy.reduce(torch.tensor(share, device=trainer.strategy.root_device), reduce_op="max")
        self._progress = min(1.0, max(self._progress, float(slowest)))

    def _stage_now(self) -> int:
        return int(VALIDATIONS * self._progress + 1e-9)

    def _set_learning_rate(self, trainer: lightning.Trainer) -> None:
        if not self.annealed:
            return
        factor = annealed_factor(self._progress, trainer.global_step)
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self.settings.learning_rate * factor
