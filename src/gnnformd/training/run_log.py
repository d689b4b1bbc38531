"""Files that a training writes while it runs: log, table and checkpoints."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.utilities.types import STEP_OUTPUT

from gnnformd.files import replacing, write_text
from gnnformd.model.files.model_card import FORMAT_VERSION
from gnnformd.model.settings import ModelSettings
from gnnformd.training.lightning_module import ForceFitting
from gnnformd.training.loss import ENERGY_SHARE, energy_share
from gnnformd.training.stopwatch import Stopwatch

__all__ = [
    "FORMAT_KEY",
    "FRAMES_KEY",
    "SETTINGS_KEY",
    "TRAINING_KEY",
    "VALUES_KEY",
    "Checkpoints",
    "EpochRecord",
    "RunLog",
]

FORMAT_KEY = "model_format_version"
"""Key of checkpoints: version of the model format."""

FRAMES_KEY = "some_frames"
"""Key of checkpoints: digests of positions (see `gnnformd.training.data_checks.training_digests`)."""

VALUES_KEY = "some_values"
"""Key of checkpoints: digests of what is learned (see `gnnformd.training.data_checks.value_digests`)."""

SETTINGS_KEY = "model_settings"
"""Key of checkpoints: settings of the network."""

TRAINING_KEY = "training_settings"
"""Key of checkpoints: settings of the training."""


@dataclass(frozen=True)
class EpochRecord:
    """One line of ``metrics.csv``; losses are sums over the atoms of a frame, averaged over frames.

    Attributes
    ----------
    epoch
        Counted from 1.
    train_loss
        With dropout and, in warm-up, with the warm-up penalty, kcal/mol/angstrom.
    validation_loss, validation_x, validation_y, validation_z
        Sum of absolute errors of a frame, total and along each axis, kcal/mol/angstrom; in warm-up each of the four
        with its own penalty, so that the three add up to more than the total.
    validation_l1_per_atom
        ``|dFx| + |dFy| + |dFz|`` averaged over atoms, kcal/mol/angstrom.
    learning_rate
        Of this epoch, or at its start where it changes from step to step.
    seconds
        Since the start of the training, without interruptions, the compilation of loops, first steps and first batches
        of validation.
    validation_energy_rmse_per_atom
        Root mean square error of the energy per atom after subtraction of its mean over the frames, kcal/mol; None
        where model or data have no energy or there is a single validation frame.
    validation_virial_rmse_per_atom
        Root mean square error of a component of the virial per atom, kcal/mol, or None.
    train_l1_per_atom
        As `validation_l1_per_atom`, of the training frames while the weights change; None in older files
        and where an epoch ended before half of them.
    validation_rmse
        Root mean square error of a component of a force, kcal/mol/angstrom, as of ``evaluate``; None in older files.
    validation_score
        The model is of the epoch where it is lowest: `validation_loss`, times the error of the energy to the power of
        the share that it has in automatic losses where energies are learned; None in older files, which mean the loss.
    validation_mean_force
        ``|Fx| + |Fy| + |Fz|`` of the data averaged over the atoms of validation frames, kcal/mol/angstrom, beside which
        `validation_l1_per_atom` is large or small; None in older files.
    train_energy_share, train_virial_share
        Errors of energies and virials of the training frames while the weights change beside what they could be (see
        `gnnformd.training.loss.energy_share` and `gnnformd.training.loss.Loss.virial_shares`, mean over frames); None
        for what is not learned, and in older files.
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
    validation_energy_rmse_per_atom: float | None = None
    validation_virial_rmse_per_atom: float | None = None
    train_l1_per_atom: float | None = None
    validation_rmse: float | None = None
    validation_score: float | None = None
    validation_mean_force: float | None = None
    train_energy_share: float | None = None
    train_virial_share: float | None = None

    @property
    def score(self) -> float:
        """`validation_score`, or the loss in older files."""
        return self.validation_loss if self.validation_score is None else self.validation_score

    def numbers(self) -> dict[str, float]:
        """Return the numbers that are known, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def log_lines(self) -> str:
        """Write the two lines of ``training_log.txt``."""
        return (
            f"Epoch: {self.epoch:02d}, Train Loss: {self.train_loss:.4f}, Test Loss: {self.validation_loss:.4f}, "
            f"LR: {self.learning_rate * 1e7:.2f}*10^(-7)\n"
            f"Losses: x: {self.validation_x:.4f}, y: {self.validation_y:.4f}, z: {self.validation_z:.4f}\n"
        )


class RunLog(lightning.Callback):
    """Writes ``training_log.txt`` and ``metrics.csv`` after each validation; checkpoints hold its records.

    Attributes
    ----------
    before
        Error of the model that is fine-tuned, as `EpochRecord.validation_l1_per_atom`; None for one from scratch.
    """

    def __init__(self, folder: Path, stopwatch: Stopwatch, listener: Callable[[EpochRecord], None] | None) -> None:
        self.folder, self.stopwatch, self.listener = folder, stopwatch, listener
        self.records: list[EpochRecord] = []
        self.before: float | None = None
        self._learning_rate = 0.0

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Record the learning rate of the first step of an epoch."""
        if batch_idx == 0:
            self._learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add the time before an interruption."""
        self.stopwatch.resume_from(self.records[-1].seconds if self.records else 0.0)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record the epoch if it was validated."""
        assert isinstance(pl_module, ForceFitting)
        if not pl_module.validated:
            return
        train, moments, validation = pl_module.sums_over_ranks()
        along = validation[:3]
        losses = torch.cat([along.sum()[None], along]) + validation[10:14]  # in warm-up each with its penalty
        per_frame = (losses / validation[3]).tolist()
        energy = _standard_deviation(*validation[5:8].tolist())
        weights = (pl_module.settings.energy_weight, pl_module.settings.virial_weight)
        learned = [weight and count > 0 for weight, count in zip(weights, train[4:6].tolist(), strict=True)]
        record = EpochRecord(
            epoch=trainer.current_epoch + 1,
            train_loss=float(train[0] / train[1]),
            validation_loss=per_frame[0],
            validation_l1_per_atom=float(along.sum() / validation[4]),
            validation_x=per_frame[1],
            validation_y=per_frame[2],
            validation_z=per_frame[3],
            learning_rate=self._learning_rate,
            seconds=self.stopwatch.seconds,
            validation_energy_rmse_per_atom=energy,
            validation_virial_rmse_per_atom=math.sqrt(validation[9] / validation[8]) if validation[8] else None,
            train_l1_per_atom=float(train[2] / train[3]) if _most_was_seen(trainer) else None,
            validation_rmse=math.sqrt(float(validation[14] / (3 * validation[4]))),
            validation_score=per_frame[0] * (energy**ENERGY_SHARE if energy and weights[0] else 1.0),
            validation_mean_force=float(validation[15] / validation[4]),
            train_energy_share=energy_share(moments, float(train[4])) if learned[0] else None,
            train_virial_share=float(train[6] / train[5]) if learned[1] else None,
        )
        self.records.append(record)
        for logger in trainer.loggers:
            logger.log_metrics(record.numbers(), step=record.epoch)
        if trainer.is_global_zero:
            self._write()
            if self.listener is not None:
                self.listener(record)

    def _write(self) -> None:
        names = [field.name for field in fields(EpochRecord)]
        rows = [",".join(names)]
        for record in self.records:
            known = record.numbers()
            rows.append(",".join(f"{known[name]:.10g}" if name in known else "" for name in names))
        write_text(self.folder / "metrics.csv", "\n".join(rows) + "\n")
        write_text(self.folder / "training_log.txt", "".join(record.log_lines() for record in self.records))

    def state_dict(self) -> dict[str, Any]:
        """All records, and the error before them."""
        return {"records": [asdict(record) for record in self.records], "before": self.before}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore those of the checkpoint; older ones have no error before."""
        self.records = [EpochRecord(**record) for record in state_dict["records"]]
        self.before = state_dict.get("before")


def _most_was_seen(trainer: lightning.Trainer) -> bool:
    """Whether an epoch saw at least half of its batches; the errors of one batch say nothing of the others."""
    return 2 * trainer.fit_loop.epoch_loop.batch_progress.current.completed >= trainer.num_training_batches


def _standard_deviation(count: float, total: float, squares: float) -> float | None:
    """Compute a standard deviation from count, sum and sum of squares; None for fewer than two numbers."""
    return math.sqrt(max(squares / count - (total / count) ** 2, 0.0)) if count > 1 else None


class Checkpoints(lightning.Callback):
    """Keeps ``last.ckpt`` of every validated epoch and ``epoch-NN.ckpt`` of every few of them, never partly written."""

    def __init__(
        self, folder: Path, every: int, run_log: RunLog, model: ModelSettings, frames: list[str], values: list[str]
    ) -> None:
        self.folder, self.every, self.run_log, self.model = folder, every, run_log, model
        self.frames, self.values = frames, values

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add model format, settings and digests of the data, which are compared on resume."""
        assert isinstance(pl_module, ForceFitting)
        checkpoint[FORMAT_KEY] = FORMAT_VERSION
        checkpoint[FRAMES_KEY], checkpoint[VALUES_KEY] = self.frames, self.values
        checkpoint[SETTINGS_KEY] = self.model.model_dump(mode="json")
        checkpoint[TRAINING_KEY] = pl_module.settings.model_dump(mode="json")

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep the checkpoint that a training resumes from, if it ended between ``last.ckpt`` and ``epoch-NN.ckpt``."""
        if trainer.ckpt_path and self._is_kept() and trainer.is_global_zero:
            kept = self._kept(trainer.current_epoch)
            if not kept.exists():
                with replacing(kept) as beside:
                    shutil.copyfile(trainer.ckpt_path, beside)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save the checkpoints."""
        assert isinstance(pl_module, ForceFitting)
        if not pl_module.validated:
            return
        self._save(trainer, self.folder / "last.ckpt")
        if self._is_kept():
            self._save(trainer, self._kept(trainer.current_epoch + 1))

    def _is_kept(self) -> bool:
        return bool(self.run_log.records) and len(self.run_log.records) % self.every == 0

    def _kept(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:02d}.ckpt"

    def _save(self, trainer: lightning.Trainer, path: Path) -> None:
        if trainer.is_global_zero:
            with replacing(path) as beside:
                trainer.save_checkpoint(beside)
        else:
            trainer.save_checkpoint(path)  # all processes take part, the first one writes
        trainer.strategy.barrier()
