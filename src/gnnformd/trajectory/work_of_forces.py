"""Do energies change from frame to frame by the work of the forces? They do not where a unit or a sign is wrong."""

from __future__ import annotations

import math

import numpy as np

from gnnformd.trajectory.frame import Frame

__all__ = ["WorkOfForces"]

_SMALL_STEP = 0.1  # angstrom, by which no atom moves farther between the frames of a pair
_ENOUGH = 10  # pairs of frames
_LEAST_WORK = 1e-3  # beside the sizes of what it is the sum of: the rest is rounding
_TOLERANCE = 0.2  # of the ratio, beside four standard errors


class WorkOfForces:
    """Compares changes in energy with the work of the forces, where frames follow one another closely.

    Between two frames of the same atoms in the same box, in which none has moved by more than 0.1 angstrom, the change
    in energy is ``-1/2 (F + F') . (x' - x)`` (trapezoidal rule). The ratio is fitted to all pairs by least squares.
    Pairs do not count where the forces along the step change by more than their mean, both summed over the atoms
    without their signs (with them the work of stiff modes would cancel): there the rule is no good, and noise of the
    forces would be taken for work.

    Attributes
    ----------
    pairs
        Pairs of frames that were compared.
    """

    def __init__(self) -> None:
        self._last: Frame | None = None
        self.pairs = 0
        self._squares = np.zeros(3)  # sums of work^2, of -work times change in energy, and of change^2

    def add(self, frame: Frame) -> None:
        """Compare a frame with the one before."""
        last, self._last = self._last, frame
        if last is None or not _comparable(last, frame):
            return
        moved = frame.positions - last.positions  # (N, 3)
        moved -= np.round(moved @ np.linalg.inv(frame.cell)) * frame.periodic @ frame.cell
        if not 0 < float(np.sqrt((moved * moved).sum(axis=1).max(initial=0.0))) < _SMALL_STEP:
            return
        assert last.forces is not None and frame.forces is not None and last.energy is not None
        assert frame.energy is not None
        works = (0.5 * (last.forces + frame.forces) * moved).sum(axis=1)  # (N,)
        changes = ((frame.forces - last.forces) * moved).sum(axis=1)
        size = float(np.abs(works).sum())
        work, change = float(works.sum()), frame.energy - last.energy
        if float(np.abs(changes).sum()) > size or abs(work) < _LEAST_WORK * size:
            return
        self.pairs += 1
        self._squares += (work * work, -work * change, change * change)

    @property
    def ratio(self) -> float | None:
        """Change in energy over the negative work; None where too few frames tell."""
        if self.pairs < _ENOUGH or not self._squares[0] > 0:
            return None
        return float(self._squares[1] / self._squares[0])

    @property
    def wrong(self) -> bool:
        """Whether energies and forces do not fit together, beyond what rounding and long steps explain."""
        ratio = self.ratio
        if ratio is None:
            return False
        rest = max(0.0, float(self._squares[2] - ratio**2 * self._squares[0]))
        error = math.sqrt(rest / (self.pairs - 1) / float(self._squares[0]))
        return abs(ratio - 1) > _TOLERANCE + 4 * error


def _comparable(one: Frame, other: Frame) -> bool:
    """Whether both frames have energy and forces, and the same atoms in the same box."""
    known = all(frame.energy is not None and frame.forces is not None for frame in (one, other))
    if not known or one.periodic != other.periodic or not np.array_equal(one.types, other.types):
        return False
    periodic = list(one.periodic)  # other vectors only enclose the atoms
    return np.allclose(one.cell[periodic], other.cell[periodic], rtol=0.0, atol=1e-6)
