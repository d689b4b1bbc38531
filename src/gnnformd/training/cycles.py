"""Cycles of a learning rate that falls, so that a training can end where more time no longer helps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["AnnealingCycles"]

FIRST_EPOCHS, FIRST_STEPS = 20, 1000  # of the first cycle, at least
GROWTH = 4  # each cycle is so many times as long as the one before
REST = 3  # a cycle ends before the training does if so many times its epochs are left when it starts
SURE = 5  # epochs after which it is known how many a training will have; the first ones take longer
GAIN = 0.01  # least share by which a cycle has to be better than the one before


@dataclass
class AnnealingCycles:
    """Where a training is in cosine annealing with warm restarts (Loshchilov and Hutter, arXiv:1608.03983).

    The learning rate falls to its end in each cycle. The first has 20 epochs and a thousand steps at least, each other
    one is four times as long as the one before. Where fewer than three times the epochs of the next cycle are left of a
    training, they are one cycle, the last; a training of few epochs thus has one. Where a cycle has brought a score
    that is not one per cent below that of the cycle before, which was four times shorter, the training has learned all
    that carries over to other frames, and ends.

    Attributes
    ----------
    epoch, share, step
        Where the cycle started: epochs, share of the training, steps.
    epochs
        Length of the cycle; None where it is the last, or where nothing is known yet.
    decided
        Whether the length is final; it follows from the time of an epoch.
    lengths, scores
        Epochs and final score of each cycle that has ended.
    """

    epoch: int = 0
    share: float = 0.0
    step: int = 0
    epochs: int | None = None
    decided: bool = False
    lengths: Sequence[int] = ()
    scores: Sequence[float] = ()

    def progress(self, epoch: float, share: float) -> float:
        """Share of the cycle that is over, after so many epochs and such a share of the training."""
        of_training = (share - self.share) / (1 - self.share) if self.share < 1 else 1.0
        of_epochs = 0.0 if self.epochs is None else (epoch - self.epoch) / self.epochs
        return min(1.0, max(0.0, of_training, of_epochs))

    def decide(self, epoch: int, share: float, step: int) -> None:
        """Decide on the length of the cycle at the end of an epoch; for the first cycle after each of five epochs."""
        if self.decided or not share:
            return
        length = max(FIRST_EPOCHS, math.ceil(FIRST_STEPS * epoch / step)) * GROWTH ** len(self.lengths)
        left = epoch / share - self.epoch
        self.epochs = length if left >= REST * length else None
        self.decided = bool(self.lengths) or epoch >= SURE

    def ends_at(self, epoch: int) -> bool:
        """Whether the cycle ends with this epoch, before the training does."""
        return self.epochs is not None and epoch >= self.epoch + self.epochs

    def restart(self, score: float, epoch: int, share: float, step: int) -> None:
        """End a cycle with this score and start the next one."""
        self.lengths, self.scores = (*self.lengths, epoch - self.epoch), (*self.scores, score)
        self.epoch, self.share, self.step, self.decided = epoch, share, step, False
        self.decide(epoch, share, step)

    @property
    def ends(self) -> tuple[int, ...]:
        """Epochs with which cycles have ended."""
        return tuple(accumulate(self.lengths))

    @property
    def in_vain(self) -> bool:
        """Whether the cycle that has ended last was no better than the one before."""
        return len(self.scores) > 1 and not self.scores[-1] < (1 - GAIN) * self.scores[-2]
