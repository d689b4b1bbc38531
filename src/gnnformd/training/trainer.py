"""The Lightning trainer and the settings of its process."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning.pytorch as lightning
import numba
import torch
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from torch import Tensor

from gnnformd.errors import InputError
from gnnformd.training.batches import frames_at_once
from gnnformd.training.run_folder import is_main_process
from gnnformd.training.settings import TrainingSettings

__all__ = ["averaging", "computing", "device_of", "make_trainer"]


def make_trainer(
    settings: TrainingSettings, atoms: float, out: Path, callbacks: list[lightning.Callback], *, batch_wide: bool
) -> lightning.Trainer:
    """Trainer for these settings and frames of so many atoms, which prints and saves nothing itself.

    See `frames_at_once`.

    Raises
    ------
    InputError
        A requested device does not exist, or a logger is not installed.
    """
    gpu = device_of(settings).type == "cuda"
    if settings.accelerator == "gpu" and not gpu:
        raise InputError("training.accelerator: no gpu is available; use 'auto' or 'cpu'.")
    if gpu and settings.devices > torch.cuda.device_count():
        raise InputError(
            f"training.devices: {settings.devices} requested, {torch.cuda.device_count()} gpus available; use fewer."
        )
    at_once = frames_at_once(settings, atoms, batch_wide=batch_wide, on_processor=not gpu)
    assert settings.batch_size is not None
    if settings.ema_decay is not None:
        callbacks = [WeightAveraging(multi_avg_fn=averaging(settings.ema_decay)), *callbacks]
    return lightning.Trainer(
        accelerator="gpu" if gpu else "cpu",
        devices=settings.devices,
        strategy="ddp" if settings.devices > 1 else "auto",
        # for float64 the caller converts network and data; Lightning would convert every batch
        precision="32-true" if settings.precision == "64-true" else settings.precision,
        max_epochs=-1 if settings.epochs is None else settings.epochs,
        accumulate_grad_batches=max(1, settings.batch_size // (at_once * settings.devices)),
        gradient_clip_val=settings.gradient_clip,
        callbacks=[*callbacks, _Signals()],
        logger=[_logger(name, out) for name in settings.loggers],
        use_distributed_sampler=False,
        inference_mode=False,  # forces may be derivatives, in validation too
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=out,
    )


class _Signals(lightning.Callback):
    """The first process handles Ctrl-C and SIGTERM and ends the others; Lightning would wait for them."""

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Record the handler of SIGTERM before Lightning sets its own."""
        self._terminate = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL  # None: set outside Python

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Restore the handler of SIGTERM in the first process; ignore signals in the others."""
        if threading.current_thread() is not threading.main_thread():
            return
        if is_main_process():
            signal.signal(signal.SIGTERM, self._terminate)
        else:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def device_of(settings: TrainingSettings) -> torch.device:
    """Where a training computes."""
    return torch.device("cuda" if settings.accelerator != "cpu" and torch.cuda.is_available() else "cpu")


@contextmanager
def computing(settings: TrainingSettings) -> Iterator[None]:
    """Set threads, precision of matrix products and log levels; restore them afterwards."""
    threads = settings.threads or max(1, _cores() // settings.devices)
    threads = min(threads, numba.config.NUMBA_NUM_THREADS)
    before = torch.get_num_threads(), torch.get_float32_matmul_precision(), numba.get_num_threads()
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice to programmers
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        torch.set_num_threads(threads)
        numba.set_num_threads(threads)
        torch.set_float32_matmul_precision(settings.matmul_precision)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.set_float32_matmul_precision(before[1])
            numba.set_num_threads(before[2])
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def averaging(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """Exponential average with factor ``min(decay, (1 + n)/(10 + n))`` at step n, so that early weights decay fast."""

    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        n = float(count)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + n) / (10 + n)))

    return update


def _logger(name: str, out: Path) -> Logger:
    if name == "tensorboard":
        return TensorBoardLogger(save_dir=out, name="", version="tensorboard")
    try:
        return WandbLogger(project="gnnformd", name=out.name, save_dir=out)
    except ModuleNotFoundError as error:
        raise InputError("training.loggers: 'wandb' is not installed; run pip install 'gnnformd[wandb]'.") from error
