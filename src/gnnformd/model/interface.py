"""What every model promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from gnnformd.graph.atomic_graph import AtomicGraph

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gnnformd.model.settings import ModelSettings

__all__ = ["ForceModel", "LongRange", "Prediction", "weight_of"]


@dataclass(frozen=True)
class Prediction:
    """What a model says of a batch.

    Attributes
    ----------
    forces
        kcal/mol/angstrom, (N, 3).
    energies
        Potential energy of each graph, kcal/mol, (B,), or None if the model has none; float64 where it contains
        energies of free atoms.
    virials
        ``sum_i x_i f_i`` of each graph, kcal/mol, (B, 3, 3), or None.
    grades
        Extrapolation grades of the atoms (of a domain, of those it owns), (N,): about 1 at most for atoms of the
        training data, the larger the less their surroundings are like any of these; NaN for atoms of a type of which
        there were too few. None if they are not known.
    """

    forces: Tensor
    energies: Tensor | None = None
    virials: Tensor | None = None
    grades: Tensor | None = None

    def split(self, atoms: Sequence[int]) -> list[Prediction]:
        """Take apart what belongs to graphs with so many atoms each."""
        ones = [1] * len(atoms)
        forces = torch.split(self.forces, list(atoms))
        energies = [None] * len(atoms) if self.energies is None else torch.split(self.energies, ones)
        virials = [None] * len(atoms) if self.virials is None else torch.split(self.virials, ones)
        grades = [None] * len(atoms) if self.grades is None else torch.split(self.grades, list(atoms))
        return [Prediction(*parts) for parts in zip(forces, energies, virials, grades, strict=True)]

    @classmethod
    def join(cls, parts: Sequence[Prediction]) -> Prediction:
        """Join predictions for batches of graphs of one model."""

        def join(values: list[Tensor | None]) -> Tensor | None:
            known = [value for value in values if value is not None]
            return torch.cat(known) if known else None

        if len(parts) == 1:
            return parts[0]
        forces = torch.cat([part.forces for part in parts])
        names = ("energies", "virials", "grades")
        return cls(forces, *(join([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True)
class LongRange:
    """The part of a Coulomb energy that reaches beyond the cutoff.

    Attributes
    ----------
    splitting
        ``a`` of Ewald's method, 1/angstrom: the long-range part is that of charges smeared to Gaussians,
        ``erf(a r)/r``.
    fixed_charges
        Whether the charges are those of the data, so that another program can compute this part; else the network
        predicts them.
    mesh_from
        Atoms of a periodic box from which engines may compute this part on a mesh, where the forces of all atoms add up
        to a small force that is not zero.
    """

    splitting: float
    fixed_charges: bool
    mesh_from: float


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

    kind: ClassVar[str] = ""
    """Name in `gnnformd.model.registry.MODELS`."""

    per_type: ClassVar[tuple[str, ...]] = ()
    """Weights that belong to types of atoms and mean nothing for others; all other weights carry over to new types."""

    exact: ClassVar[tuple[str, ...]] = ()
    """Weights that are float64, in files too; all others are float32 there."""

    blind_below: ClassVar[float] = 0.0
    """Share of a contact distance below which the forces no longer depend on how close two atoms are."""

    @property
    def indivisible(self) -> str | None:
        """Why a system cannot be cut into domains (`AtomicGraph.owned`) for this model; None if it can."""
        return "it looks at all atoms at once"

    @property
    def batch_wide(self) -> bool:
        """Whether the forces on a graph depend on the other graphs of its batch."""
        return False

    @property
    def long_range(self) -> LongRange | None:
        """The part of the energy that reaches beyond the cutoff; None if there is none."""
        return None

    def keeps_momentum(self, atoms: int, *, periodic: bool) -> bool:
        """Whether the forces on all atoms of a system sum to zero but for rounding, whatever engine evaluates them.

        They do not where they are no gradient, and where a long-range part is computed on a mesh.

        Parameters
        ----------
        atoms
            N.
        periodic
            Whether the box is periodic in all directions.
        """
        far = self.long_range
        return self.conservative and (far is None or not periodic or atoms < far.mesh_from)

    @property
    def needs_other_domains(self) -> bool:
        """Whether a domain is evaluated together with all others, as predicted charges act on the atoms of all."""
        return self.long_range is not None and not self.long_range.fixed_charges

    @property
    def contact_distances(self) -> Tensor | None:
        """0.95 of the closest approach in training, angstrom, (4, T, T), kind of bond first; None if unknown."""
        return None

    @classmethod
    def from_settings(cls, settings: ModelSettings, type_count: int) -> ForceModel:
        """Build a model with fresh weights from torch's random generator.

        Parameters
        ----------
        settings
            Of this kind of model.
        type_count
            Number of atom types.
        """
        raise NotImplementedError(f"{cls.__name__} is not among gnnformd.model.registry.MODELS")

    @classmethod
    def unreadable(cls, settings: ModelSettings, version: int) -> str | None:
        """Say why a model file of an earlier format version cannot be used; None if it can."""
        return None

    @classmethod
    def renamed_weight(cls, name: str, version: int) -> str:
        """Name that a weight has now; ``name`` is the one it has in a model file of this format version."""
        return name

    @classmethod
    def added_weights(cls, version: int) -> tuple[str, ...]:
        """Weights that model files of this format version do not have; they are then those of a fresh model."""
        return ()

    def start_from_atoms(self, energies: Tensor) -> None:
        """Take energies of isolated atoms, kcal/mol, (T,), as those of their types, before `initialize` or `adapt`."""

    def initialize(self, graph: AtomicGraph, closest: Tensor | None = None) -> None:
        """Take scales from data before a training from fresh weights.

        Parameters
        ----------
        graph
            A batch of training frames with their targets.
        closest
            Shortest distances (see `gnnformd.graph.distances.shortest_distances`) in more frames than these; by default
            those of the batch.
        """

    def adapt(self, sample: AtomicGraph, closest: Tensor, *, same_types: bool) -> None:
        """Take from some frames of new data what weights learned on other data cannot know.

        Parameters
        ----------
        sample
            A batch of training frames with their targets.
        closest
            As for `initialize`.
        same_types
            Whether the types of atoms are those of the earlier training.
        """

    def match_energies(self, sample: AtomicGraph) -> None:
        """Take off how far energies of some frames are off on average, after a training that did not learn energies.

        Forces fix the energies of one system up to a constant.

        Parameters
        ----------
        sample
            A batch of training frames with their targets.
        """

    def lone_pair_energies(self, sample: AtomicGraph) -> Callable[[int], Tensor] | None:
        """Find energies that a training keeps near zero: what is learned of pairs of atoms that are alone in space.

        Parameters
        ----------
        sample
            A batch of training frames with their targets.

        Returns
        -------
        callable or None
            From a random seed to energies, kcal/mol, (P,); None where the learned part has to describe such pairs.
        """
        return None

    def learn_range(self, graphs: Iterable[AtomicGraph]) -> None:
        """Learn after a training how far the data go, so that energies stay bounded outside, and grades are known.

        Parameters
        ----------
        graphs
            Batches of training frames, many of them.
        """

    def closest_in_data(self, bond_kind: int, first: int, second: int) -> float | None:
        """How close two atoms of these types (from 0) came in the training data, angstrom; None if it is not known."""
        return None

    def fixed_part(self, graph: AtomicGraph) -> Prediction | None:
        """Predict what depends on no parameter, so that a training computes it once for each frame; None if nothing."""
        return None

    def long_range_part(
        self, atoms: AtomicGraph, positions: NDArray[np.float64], cell: NDArray[np.float64]
    ) -> Prediction | None:
        """Predict what reaches beyond the cutoff and depends on no parameter; None if there is nothing.

        Parameters
        ----------
        atoms
            Charges, and which directions are periodic.
        positions, cell
            angstrom, (N, 3) and (3, 3).
        """
        return None

    def pair_forces(self, graph: AtomicGraph) -> tuple[Tensor, Tensor]:
        """Energy of a domain, kcal/mol, and its derivatives by the vectors of half edges, kcal/mol/angstrom, (E/2, 3).

        Raises
        ------
        NotImplementedError
            The energy is no function of these vectors alone.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forces of pairs")

    @abstractmethod
    def forward(self, graph: AtomicGraph, fixed: Prediction | None = None) -> Prediction:
        """Predict forces (and energy and virial where the model has them) for a graph or a batch.

        Parameters
        ----------
        graph
            Graph or batch.
        fixed
            What `fixed_part` predicted for the same graph, if it is known already.
        """

    def weights_from(self, weights: Mapping[str, Tensor], *, same_types: bool) -> dict[str, Tensor]:
        """Weights of a model of the same settings, with this model's own where types of atoms matter and differ."""
        own = {} if same_types else {name: value for name, value in self.state_dict().items() if name in self.per_type}
        return {**weights, **own}


def weight_of(model: ForceModel) -> Tensor:
    """One of the model's parameters, which tells its device and floating-point type; float64 if there are none."""
    return next((p.detach() for p in model.parameters() if p.is_floating_point()), torch.empty(0, dtype=torch.float64))
