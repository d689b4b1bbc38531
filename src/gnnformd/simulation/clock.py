"""Clock: progress and speed of a run."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Clock"]


class Clock:
    """Measures the time of a run from its first force evaluation on, without start-up, and reports progress.

    Parameters
    ----------
    progress
        Called with steps done and steps to do, at most about 200 times.
    total
        Steps to do.
    first
        The step the run begins with.

    Attributes
    ----------
    step
        The last step with finite forces.
    """

    def __init__(self, progress: Callable[[int, int], None] | None, total: int, first: int = 0) -> None:
        self.step = self._first = first
        self._progress = progress
        self._total = total
        self._every = max(1, total // 200)
        self._ticked = False
        self._began = self._ended = time.perf_counter()

    def tick(self, step: int) -> None:
        """Record that the forces of a step are computed."""
        self._ended = time.perf_counter()
        if step == self._first:
            self._began = self._ended
        self.step, self._ticked = step, True
        if self._progress is not None and (step % self._every == 0 or step == self._total):
            self._progress(step, self._total)

    @property
    def next_step(self) -> int:
        """The first step whose forces are not computed yet."""
        return self.step + 1 if self._ticked else self._first

    @property
    def seconds_per_step(self) -> float:
        """Mean wall time of a step; NaN before the first."""
        steps = self.step - self._first
        return (self._ended - self._began) / steps if steps else float("nan")
