"""Progress of a training, and what follows from it: learning rate, validation and end."""

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

__all__ = ["Stopwatch", "TrainingProgress"]

MAX_VALIDATIONS = 20  # of an annealed training
MAX_RESERVE = 0.2  # share of the time budget kept for the last validation
CALM = 0.1  # share by which the expected number of steps has to be wrong before another one is told


class Stopwatch:
    """Seconds of training, including those before an interruption and without those that are left out."""

    def __init__(self) -> None:
        self._before = 0.0
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Elapsed time, s."""
        return self._before + time.perf_counter() - self._start

    def resume_from(self, seconds: float) -> None:
        """Add the time before the training was interrupted, s."""
        self._before = seconds

    def leave_out(self, seconds: float) -> None:
        """Do not count so many of the seconds until now."""
        self._before -= seconds


class TrainingProgress(lightning.Callback):
    """Follows the progress of a training: the larger of its share of the steps and its share of the minutes.

    At progress 1 the training ends, with a validation and a checkpoint. With schedule ``cosine`` the learning rate
    follows the progress from step to step, and the ends of epochs are validated at most twenty times, evenly over the
    training. Time for the last validation is reserved within the minutes; the first step and the first batch of the
    first validation, in which loops are compiled, come on top of them.

    Parameters
    ----------
    settings
        Epochs, minutes and schedule.
    stopwatch
        Time of the training.
    listener
        Called with steps done and steps expected in total (0 where that is not known yet). Where time is the limit, the
        latter is an estimate with two digits, which changes only where it turns out to be wrong by a tenth.
    """

    def __init__(
        self, settings: TrainingSettings, stopwatch: Stopwatch, listener: Callable[[int, int], None] | None
    ) -> None:
        self.settings, self.stopwatch, self.listener = settings, stopwatch, listener
        self.annealed = settings.schedule == "cosine"
        self._planned = math.inf
        self._progress = 0.0
        self._stage = 0
        self._first_step_start: float | None = None
        self._validation_start = 0.0
        self._first_validation_start: float | None = None
        self._reserve = 0.0
        self._expected = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Measure the progress, which is not zero after a resume."""
        self._planned = float(trainer.estimated_stepping_batches)
        self._measure(trainer)
        self._stage = self._current_stage()
        trainer.should_stop = self._progress >= 1 and trainer.global_step > 0  # at least one step is done
        self._set_learning_rate(trainer)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the learning rate of the step."""
        if self._first_step_start is None:
            self._first_step_start = self.stopwatch.seconds
        self._set_learning_rate(trainer)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Report the progress, stop when it is complete, and decide whether to validate an epoch that ends here."""
        if self._first_step_start is not None and self._first_step_start < math.inf:
            self.stopwatch.leave_out(self.stopwatch.seconds - self._first_step_start)
            self._first_step_start = math.inf
        self._measure(trainer)
        step = trainer.global_step
        if self.listener is not None and trainer.is_global_zero and step:
            self.listener(step, self._expected_steps(step))
        trainer.should_stop = trainer.should_stop or self._progress >= 1
        if self.annealed:
            due = trainer.should_stop or self._current_stage() > self._stage
            trainer.check_val_every_n_epoch = 1 if due else sys.maxsize

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record the time."""
        self._validation_start = self.stopwatch.seconds
        self._stage = self._current_stage()

    def on_validation_batch_start(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Record the time of the first batch."""
        if self._first_validation_start is None:
            self._first_validation_start = self.stopwatch.seconds

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Do not count the first batch."""
        if self._first_validation_start is not None and self._first_validation_start < math.inf:
            self.stopwatch.leave_out(self.stopwatch.seconds - self._first_validation_start)
            self._first_validation_start = math.inf

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record how long the validation took."""
        self._reserve = self.stopwatch.seconds - self._validation_start

    def _measure(self, trainer: lightning.Trainer) -> None:
        """Update the progress, the same on all devices."""
        self._progress = min(1.0, trainer.global_step / self._planned)
        if self.settings.max_minutes is None:
            return
        budget = 60 * self.settings.max_minutes
        share = self.stopwatch.seconds / (budget - min(self._reserve, MAX_RESERVE * budget))
        slowest = trainer.strategy.reduce(torch.tensor(share, device=trainer.strategy.root_device), reduce_op="max")
        self._progress = min(1.0, max(self._progress, float(slowest)))

    def _expected_steps(self, step: int) -> int:
        """Return the number of steps in total, at the end those that were done; 0 where nothing is known yet."""
        if self._progress in (0, 1):
            return int(self._progress) * step
        if self._progress <= step / self._planned:  # the steps are the limit, not the time
            return round(self._planned)
        found = step / self._progress
        if step >= self._expected or abs(found - self._expected) > CALM * self._expected:
            digit = 10 ** max(math.floor(math.log10(found)) - 1, 0)
            self._expected = digit * math.ceil(found / digit)
        return self._expected

    def _current_stage(self) -> int:
        return int(MAX_VALIDATIONS * self._progress + 1e-9)

    def _set_learning_rate(self, trainer: lightning.Trainer) -> None:
        if not self.annealed:
            return
        factor = annealed_factor(self._progress, trainer.global_step)
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self.settings.learning_rate * factor
