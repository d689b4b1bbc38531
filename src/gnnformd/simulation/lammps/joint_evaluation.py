"""JointEvaluation: what ranks tell each other in the middle of an evaluation, though any of them may fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.simulation.guard import failure_of
from gnnformd.simulation.lammps.exchange import Exchange
from gnnformd.simulation.lammps.ranks import Ranks

__all__ = ["JointEvaluation"]


class JointEvaluation:
    """The other ranks as `gnnformd.model.engine.OtherDomains`, for models that are evaluated by all of them together.

    Before numbers are exchanged, and at the end of the evaluation, all ranks agree that none of them has failed. A rank
    that fails goes straight to the agreement that comes next on the others; all of them then leave the evaluation with
    its failure, and none waits for numbers that never come.

    Parameters
    ----------
    ranks
        All of them.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._exchange: Exchange | None = None
        self._left = False

    def use(self, exchange: Exchange) -> None:
        """Take over who owns which ghost."""
        self._exchange = exchange

    @contextmanager
    def together(self, step: int) -> Iterator[None]:
        """Evaluate in this block, on every rank; if it raises on one, every rank raises that.

        Raises
        ------
        Unstable, ModelFailure, InputError
            Of the lowest rank that failed.
        """
        self._left, failure = False, None
        try:
            yield
        except BaseException as error:  # whatever it is, the others must hear of it
            failure = failure_of(step, error)
            if self._left:  # they know, this is what all of them raise
                raise failure from None
        self._agree(failure)

    def sum(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `gnnformd.model.engine.OtherDomains.sum`."""
        self._agree(None)
        return self._ranks.sum(values)

    def to_ghosts(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `gnnformd.model.engine.OtherDomains.to_ghosts`."""
        self._agree(None)
        assert self._exchange is not None
        return self._exchange.spread(values)

    def from_ghosts(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `gnnformd.model.engine.OtherDomains.from_ghosts`."""
        self._agree(None)
        assert self._exchange is not None
        return self._exchange.collect(values)

    def _agree(self, failure: BaseException | None) -> None:
        """Raise the failure of the lowest rank that has one; no rank goes on before all are here."""
        if self._ranks.sum(np.array([float(failure is not None)]))[0] == 0.0:
            return
        self._left = True
        shared = self._ranks.first_of(failure)
        assert shared is not None
        raise shared
