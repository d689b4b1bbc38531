"""Loops shared among threads, which stay for the next one."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import TypeVar

import torch

__all__ = ["in_parts", "part_count"]

T = TypeVar("T")


def part_count(count: int, smallest: int = 1, most: int | None = None) -> int:
    """Into how many parts `in_parts` cuts: as many as torch has threads, but none smaller than ``smallest``."""
    threads = torch.get_num_threads()
    return max(1, min(threads, most or threads, count // smallest))


def in_parts(
    work: Callable[[int, tuple[int, int]], T], count: int, smallest: int = 1, most: int | None = None
) -> list[T]:
    """Call ``work(part, (begin, end))`` for all parts of ``range(count)`` at once; the caller does the first one.

    Parameters
    ----------
    work
        Is to spend its time without holding Python's lock, as compiled loops do.
    count
        Number of things to share.
    smallest
        Fewest things that are worth a thread.
    most
        Most parts, or None for the number of torch's threads.

    Returns
    -------
    list
        What the calls returned, in the order of the parts.
    """
    parts = part_count(count, smallest, most)
    ranges = [(k * count // parts, (k + 1) * count // parts) for k in range(parts)]
    if parts == 1:
        return [work(0, ranges[0])]
    pool = _pool(os.getpid(), torch.get_num_threads())
    others = [pool.submit(work, k, ranges[k]) for k in range(1, parts)]
    try:
        first = work(0, ranges[0])
    finally:
        wait(others)  # nobody goes on writing after an error
    return [first, *(other.result() for other in others)]


@lru_cache(maxsize=2)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads of this process beside the caller's; those of one that forked it are not here."""
    return ThreadPoolExecutor(threads - 1)
