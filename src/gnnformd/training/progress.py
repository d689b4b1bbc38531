"""Progress of a training, and what follows from it: learning rate, validation and end."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.utilities.types import STEP_OUTPUT

from gnnformd.training.cycles import AnnealingCycles
from gnnformd.training.run_log import RunLog
from gnnformd.training.schedule import annealed_factor
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.stopwatch import Stopwatch

__all__ = ["TrainingProgress"]

MAX_VALIDATIONS = 20  # of an annealed training, besides those at the ends of its cycles
MAX_RESERVE = 0.2  # share of the time budget kept for the last validation
CALM = 0.1  # share by which the expected number of steps has to be wrong before another one is told


class TrainingProgress(lightning.Callback):
    """Follows the progress of a training: the larger of its share of the steps and its share of the minutes.

    At progress 1 the training ends, with a validation and a checkpoint. With schedule ``cosine`` the learning rate
    follows the progress of `AnnealingCycles` from step to step. The ends of epochs are validated at most twenty times
    evenly over the training, and at the end of each cycle; the training ends there where a cycle was in vain. Time for
    the last validation is reserved within the minutes; the compilation of loops (see `Stopwatch`), the first step and
    the first batch of the first validation come on top of them.

    Parameters
    ----------
    settings
        Epochs, minutes and schedule.
    stopwatch
        Time of the training.
    run_log
        Has the validations so far.
    listener
        Called with steps done and steps expected in total (0 where that is not known yet). Where time is the limit, the
        latter is an estimate with two digits, which changes only where it turns out to be wrong by a tenth.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        stopwatch: Stopwatch,
        run_log: RunLog,
        listener: Callable[[int, int], None] | None,
    ) -> None:
        self.settings, self.stopwatch, self.run_log, self.listener = settings, stopwatch, run_log, listener
        self.annealed = settings.schedule == "cosine"
        self._planned = math.inf
        self._progress = 0.0
        self._epoch = 0.0  # epochs done
        self.cycles = AnnealingCycles()
        self._stage = 0
        self._first_step_start: float | None = None
        self._validation_start = 0.0
        self._first_validation_start: float | None = None
        self._reserve = 0.0
        self._expected = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Measure the progress, which is not zero after a resume."""
        self._planned = float(trainer.estimated_stepping_batches)
        self._measure(trainer, trainer.current_epoch)
        self._stage = self._current_stage()
        over = self._progress >= 1 or self.cycles.in_vain
        trainer.should_stop = over and trainer.global_step > 0  # at least one step is done
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
        batches = trainer.num_training_batches
        self._measure(trainer, trainer.current_epoch + (batch_idx + 1) / batches)
        step = trainer.global_step
        if self.listener is not None and trainer.is_global_zero and step:
            self.listener(step, self._expected_steps(step))
        trainer.should_stop = trainer.should_stop or self._progress >= 1
        if self.annealed:
            ends = batch_idx + 1 == batches and self.cycles.ends_at(trainer.current_epoch + 1)
            due = trainer.should_stop or ends or self._current_stage() > self._stage
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

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Restart the learning rate where a cycle ends, or end the training; the log has its record already."""
        if not self.annealed or trainer.should_stop:
            return
        epoch, step = trainer.current_epoch + 1, trainer.global_step
        if self.cycles.ends_at(epoch):
            self.cycles.restart(self.run_log.records[-1].score, epoch, self._progress, step)
        else:
            self.cycles.decide(epoch, self._progress, step)
        if self.cycles.in_vain:
            trainer.should_stop = True
            if self.listener is not None and trainer.is_global_zero:
                self.listener(step, step)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the cycles."""
        return asdict(self.cycles)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of the cycles."""
        self.cycles = AnnealingCycles(**state_dict)

    def _measure(self, trainer: lightning.Trainer, epoch: float) -> None:
        """Update the progress, the same on all devices."""
        self._epoch = epoch
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
        progress = self.cycles.progress(self._epoch, self._progress)
        factor = annealed_factor(progress, trainer.global_step - self.cycles.step)
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self.settings.learning_rate * factor
