"""What every model promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from gnnformd.graph.atomic_graph import AtomicGraph

__all__ = ["ForceModel", "Prediction"]


@dataclass(frozen=True)
class Prediction:
    """What a model says of a batch.

    Attributes
    ----------
    forces
        kcal/mol/angstrom, (N, 3).
    energies
        Potential energy of each graph, kcal/mol, (B,), or None if the model has none.
    virials
        ``sum_i x_i f_i`` of each graph, kcal/mol, (B, 3, 3), or None.
    """

    forces: Tensor
    energies: Tensor | None = None
    virials: Tensor | None = None


class ForceModel(nn.Module, ABC):
    """A network from AtomicGraph to forces.

    Attributes
    ----------
    cutoff
        Edges join atoms closer than this, angstrom.
    layers
        Message-passing steps; the forces on an atom depend on atoms within ``layers * cutoff`` (for conservative
        models twice that).
    conservative
        Whether the forces are the gradient of an energy.
    """

    cutoff: float
    layers: int
    conservative: bool

    @property
    def indivisible(self) -> str | None:
        """Why a system cannot be cut into domains (`AtomicGraph.owned`) for this model; None if it can."""
        return "it looks at all atoms at once"

    @property
    def batch_wide(self) -> bool:
        """Whether the forces on a graph depend on the other graphs of its batch."""
        return False

    def initialize(self, graph: AtomicGraph, closest: Tensor | None = None) -> None:
        """Take scales from data before a training from fresh weights.

        Parameters
        ----------
        graph
            A batch of training frames with their targets.
        closest
            How close atoms come (see `gnnformd.graph.closest.closest_distances`) in more frames than these; by default
            those of the batch.
        """

    def closest_in_data(self, bond_kind: int, first: int, second: int) -> float | None:
        """How close two atoms of these types (from 0) came in the training data, angstrom; None if it is not known."""
        return None

    def fixed_part(self, graph: AtomicGraph) -> Prediction | None:
        """Predict what depends on no parameter, so that a training computes it once for each frame; None if nothing."""
        return None

    @abstractmethod
    def forward(self, graph: AtomicGraph, fixed: Prediction | None = None) -> Prediction:
        """Predict forces (and energy and virial where the model has them) for a graph or a batch.

        Parameters
        ----------
        graph
            Graph or batch.
        fixed
            What `fixed_part` said of the same graph, if it is known already.
        """
