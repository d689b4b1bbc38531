"""Time of a training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from numba.core.event import Event, Listener, install_listener

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
        self._before += seconds

    def leave_out(self, seconds: float) -> None:
        """Do not count so many of the seconds until now."""
        self._before -= seconds

    @contextmanager
    def without_compilation(self) -> Iterator[None]:
        """Within this context, do not count the time in which numba compiles."""
        with install_listener("numba:compile", _Compilation(self)):
            yield


class _Compilation(Listener):  # type: ignore[misc]
    """Leaves out the time from the start of a compilation to its end, with those of functions that it calls."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch
        self._depth = 0
        self._start = 0.0

    def on_start(self, event: Event) -> None:
        """Note when the outermost compilation starts."""
        if self._depth == 0:
            self._start = self._stopwatch.seconds
        self._depth += 1

    def on_end(self, event: Event) -> None:
        """Leave out the outermost compilation."""
        self._depth -= 1
        if self._depth == 0:
            self._stopwatch.leave_out(self._stopwatch.seconds - self._start)
