"""Learning rate of an epoch."""

from __future__ import annotations

__all__ = ["learning_rate_factor"]


def learning_rate_factor(epoch: int, warmup_epochs: int, decay: float) -> float:
    """Share of the highest learning rate in an epoch counted from 0.

    ``(epoch + 1) / warmup_epochs`` during warm-up, then ``decay ** (epoch + 1 - warmup_epochs)``.
    """
    if epoch < warmup_epochs:
        return (epoch + 1) / warmup_epochs
    return decay ** (epoch + 1 - warmup_epochs)
