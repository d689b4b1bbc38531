"""Time of a training."""

from __future__ import annotations

import time

__all__ = ["Stopwatch"]


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
