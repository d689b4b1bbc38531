"""What a training writes while it runs: log, table and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
from lightning.pytorch.utilities.types import STEP_OUTPUT

from gnnformd.files import write_text
from gnnformd.training.fitting import ForceFitting

__all__ = ["Checkpoints", "Deadline", "EpochRecord", "RunLog"]


@dataclass(frozen=True)
class EpochRecord:
    """One line of ``metrics.csv``; losses are sums over the atoms of a frame, averaged over frames.

    Attributes
    ----------
    epoch
        Counted from 1.
    train_loss
        With dropout and, in warm-up, with the warm-up term, kcal/mol/angstrom.
    validation_loss, validation_x, validation_y, validation_z
        Sum of absolute errors of a frame, in all and along each axis, kcal/mol/angstrom.
    validation_l1_per_atom
        ``|dFx| + |dFy| + |dFz|`` averaged over atoms, kcal/mol/angstrom.
    learning_rate
        Of this epoch.
    seconds
        Since the training started, interruptions not counted.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    validation_l1_per_atom: float
    validation_x: float
    validation_y: float
    validation_z: float
    learning_rate: float
    seconds: float

    def log_lines(self) -> str:
        """Write the two lines of ``training_log.txt``."""
        return (
            f"Epoch: {self.epoch:02d}, Train Loss: {self.train_loss:.4f}, Test Loss: {self.validation_loss:.4f}, "
            f"LR: {self.learning_rate * 1e7:.2f}*10^(-7)\n"
            f"Losses: x: {self.validation_x:.4f}, y: {self.validation_y:.4f}, z: {self.validation_z:.4f}\n"
        )


class RunLog(lightning.Callback):
    """Writes ``training_log.txt`` and ``metrics.csv`` after each epoch; its memory travels in the checkpoints."""

    def __init__(self, folder: Path, listener: Callable[[EpochRecord], None] | None) -> None:
        self.folder, self.listener = folder, listener
        self.records: list[EpochRecord] = []
        self._before = 0.0
        self._start = time.perf_counter()
        self._learning_rate = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the learning rate; at the end of the epoch the next one's is already set."""
        self._learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._before = self.records[-1].seconds if self.records else 0.0
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record the epoch."""
        assert isinstance(pl_module, ForceFitting)
        train, validation = pl_module.sums_over_ranks()
        per_frame = (validation[:3] / validation[3]).tolist()
        record = EpochRecord(
            epoch=trainer.current_epoch + 1,
            train_loss=float(train[0] / train[1]),
            validation_loss=sum(per_frame),
            validation_l1_per_atom=float(validation[:3].sum() / validation[4]),
            validation_x=per_frame[0],
            validation_y=per_frame[1],
            validation_z=per_frame[2],
            learning_rate=self._learning_rate,
            seconds=self._before + time.perf_counter() - self._start,
        )
        self.records.append(record)
        for logger in trainer.loggers:
            logger.log_metrics(asdict(record), step=record.epoch)
        if trainer.is_global_zero:
            self._write()
            if self.listener is not None:
                self.listener(record)

    def _write(self) -> None:
        names = [field.name for field in fields(EpochRecord)]
        rows = [",".join(names)]
        rows += [",".join(f"{value:.10g}" for value in asdict(record).values()) for record in self.records]
        write_text(self.folder / "metrics.csv", "\n".join(rows) + "\n")
        write_text(self.folder / "training_log.txt", "".join(record.log_lines() for record in self.records))

    def state_dict(self) -> dict[str, Any]:
        """All records."""
        return {"records": [asdict(record) for record in self.records]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go back to the records of the checkpoint."""
        self.records = [EpochRecord(**record) for record in state_dict["records"]]


class Checkpoints(lightning.Callback):
    """Keeps ``last.ckpt`` of every epoch and ``epoch-NN.ckpt`` of every few, each written whole or not at all."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save."""
        epoch = trainer.current_epoch + 1
        self._save(trainer, self.folder / "last.ckpt")
        if epoch % self.every == 0:
            self._save(trainer, self.folder / f"epoch-{epoch:02d}.ckpt")

    def _save(self, trainer: lightning.Trainer, path: Path) -> None:
        beside = path.with_name(f".{path.name}.part")
        trainer.save_checkpoint(beside)
        if trainer.is_global_zero:
            beside.replace(path)
        trainer.strategy.barrier()


class Deadline(lightning.Callback):
    """Ends the training after some minutes, with a validation and a checkpoint of what was reached; tells progress."""

    def __init__(self, minutes: float | None, progress: Callable[[int, int], None] | None) -> None:
        self.minutes, self.progress = minutes, progress
        self._start = time.perf_counter()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stop when the time is up."""
        if self.progress is not None and trainer.is_global_zero:
            per_epoch = int(trainer.num_training_batches)
            epochs = trainer.max_epochs or 1
            self.progress(trainer.current_epoch * per_epoch + batch_idx + 1, epochs * per_epoch)
        if self.minutes is not None:
            late = time.perf_counter() - self._start > 60 * self.minutes
            trainer.should_stop = trainer.strategy.reduce_boolean_decision(trainer.should_stop or late, all=False)
