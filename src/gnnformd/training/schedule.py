"""Schedules of the learning rate."""

from __future__ import annotations

import math

__all__ = ["annealed_factor", "learning_rate_factor"]

WARMUP_SHARE, WARMUP_STEPS, SHORTEST_WARMUP = 0.05, 100, 20
FINAL_SHARE = 0.01


def learning_rate_factor(epoch: int, warmup_epochs: int, decay: float) -> float:
    """Share of the highest learning rate in an epoch counted from 0 (schedule ``exponential``).

    ``(epoch + 1) / warmup_epochs`` during warm-up, then ``decay ** (epoch + 1 - warmup_epochs)``.
    """
    if epoch < warmup_epochs:
        return (epoch + 1) / warmup_epochs
    return decay ** (epoch + 1 - warmup_epochs)


def annealed_factor(progress: float, step: int) -> float:
    """Share of the highest learning rate at a step counted from 0 (schedule ``cosine``).

    ``w (0.01 + 0.99 (1 + cos(pi p)) / 2)``, where ``w`` rises linearly to 1 over the first twentieth of the training or
    over 100 steps, whichever ends first, but over 20 steps at least: the first step of a training with a time limit may
    take more than a twentieth of it, and full steps from the start throw a network far from where it began.

    Parameters
    ----------
    progress
        ``p``, from 0 at the start of the training to 1 at its end.
    step
        Steps of the optimizer done.
    """
    done = step + 1
    warm = min(1.0, max(min(progress / WARMUP_SHARE, done / SHORTEST_WARMUP), done / WARMUP_STEPS))
    return warm * (FINAL_SHARE + (1 - FINAL_SHARE) * (1 + math.cos(math.pi * progress)) / 2)
