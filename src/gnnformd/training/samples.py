"""Which of the training frames stand for all of them, where looking at all would take too long."""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["FRAMES_OF_EACH_TYPE", "evenly_spaced", "representative_frames"]

FRAMES_OF_EACH_TYPE = 4


def representative_frames(order: Sequence[int], types: Sequence[Collection[int]], most: int) -> list[int]:
    """Choose frames, evenly spaced, and some more so that no type of atom is missing.

    Parameters
    ----------
    order
        All frames; evenly spaced in this order.
    types
        Types of atoms in each frame, by its number.
    most
        How many are evenly spaced. Of types that are in fewer than `FRAMES_OF_EACH_TYPE` of these, so many frames (or
        all there are) are chosen, evenly spaced, too.

    Returns
    -------
    list of int
        Ascending.
    """
    chosen = set(evenly_spaced(order, most))
    for kind in sorted(set[int]().union(*types)):
        if sum(kind in types[frame] for frame in chosen) < FRAMES_OF_EACH_TYPE:
            chosen.update(evenly_spaced([frame for frame in order if kind in types[frame]], FRAMES_OF_EACH_TYPE))
    return sorted(chosen)


def evenly_spaced(frames: Sequence[int], most: int) -> list[int]:
    """Choose so many of the frames, or all there are, from the first on."""
    count = min(most, len(frames))
    return [frames[k * len(frames) // count] for k in range(count)]
