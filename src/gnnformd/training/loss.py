"""What a training minimizes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.interface import Prediction
from gnnformd.training.settings import TrainingSettings

__all__ = [
    "ENERGY_SHARE",
    "Loss",
    "Scales",
    "absolute_error_per_axis",
    "energy_share",
    "error_of",
    "measure_scales",
    "warmup_terms",
]

ROUNDING = 1e-12  # spread of float64 energies, relative to their size, that is none
ENERGY_SHARE = VIRIAL_SHARE = 0.05  # of what forces cost, for automatic weights
FALLING = 0.3  # of what energies cost, to which what forces cost may fall before their automatic weight stops to follow
LARGEST_WEIGHT = (
    1.0  # that automatic weights reach: where frames are few, their energies are met long before their forces
)
NEIGHBOR = 2.5  # angstrom
BEND = 0.01  # share of the scale below which the loss ``huber`` is quadratic
LONE_PAIRS = (
    0.01  # of what forces would cost if errors of energies of pairs alone in space were theirs over an angstrom
)
USUAL = 1.0 / (math.sqrt(2.0) - 1.0)  # error over its cost where the bend is at this error


@dataclass(frozen=True)
class Scales:
    """How large the targets are in the data.

    Attributes
    ----------
    force
        Root mean square of the force on an atom, kcal/mol/angstrom.
    energy
        Standard deviation of ``(E - sum_i E_type(i)) / sqrt(N)`` over frames, kcal/mol, where the energies of the types
        are fitted to the frames. The square root makes it the same for small and large boxes.
    virial
        Root mean square over frames and components of ``(W - mean W) / sqrt(N)``, kcal/mol.
    atoms
        Mean number of atoms of a frame.
    """

    force: float
    energy: float
    virial: float
    atoms: float


def measure_scales(graph: AtomicGraph) -> Scales:
    """Take the scales from a batch of frames, some of which have forces.

    Where energies or virials do not vary over the frames, as with a single one, a force of usual size over one angstrom
    stands for them.
    """
    assert graph.forces is not None
    known_forces = graph.forces[~graph.forces.isnan()[:, 0]]
    force = float(known_forces.double().square().sum(1).mean().sqrt()) or 1.0
    atoms = graph.atoms_per_graph.double()
    types = torch.zeros(graph.graph_count, int(graph.type_index.max()) + 1, dtype=torch.float64)
    one = torch.ones((), dtype=torch.float64)
    types.index_put_((graph.graph_index, graph.type_index), one, accumulate=True)
    root = atoms.sqrt()

    def spread(values: Tensor | None, about: Tensor) -> float:
        """Of values (B, C) about their least-squares fit by the columns of ``about`` (B, D)."""
        known = torch.zeros_like(root, dtype=torch.bool) if values is None else ~values.isnan()[:, 0]
        if values is None or known.sum() < 2:
            return force
        values, about = ((rows.double() / root[:, None])[known] for rows in (values, about))
        rest = values - about @ (torch.linalg.pinv(about, rtol=1e-9) @ values)
        size = float(rest.square().mean().sqrt())
        return size if size > ROUNDING * float(values.abs().max()) else force

    energies = None if graph.energies is None else graph.energies[:, None]
    virials = None if graph.virials is None else graph.virials.flatten(1)
    return Scales(force, spread(energies, types), spread(virials, atoms[:, None]), float(atoms.mean()))


@dataclass(frozen=True)
class Loss:
    """Loss of each frame, ``sum_i f(dF_i) + M s_F [w_E g(dE/(s_E sqrt N)) + w_W g(dW/(s_W sqrt N))]``.

    ``l1`` (the original): ``f`` is the sum of absolute components, ``g`` the mean of absolute components. ``huber``:
    ``f = s_F h(|dF|/s_F)`` and ``g(x) = h(root mean square of x)`` with ``h(x) = sqrt(x^2 + b^2) - b`` and b = 0.01, so
    that the loss is the same in every direction, quadratic for errors below a hundredth of what is usual in the data,
    and grows no faster than its largest errors. Where the weight of energies (or virials) is automatic, their b is the
    error that was usual lately, if that is larger: with sums of absolute errors two energies that are wrong and cancel
    in most frames, as of surfaces and of what is adsorbed on them, would stay so for long. The scales ``s`` make a
    weight of one count an energy that is off by its usual spread as much as forces that are off by their size. M is
    the mean of N over the frames: an energy is one number, of a large frame as of a small one, and weighed by atoms
    those of small molecules among surfaces would not be learned. Automatic weights change with the errors, see
    `weights`.

    Parameters
    ----------
    settings
        Kind of loss and weights.
    scales
        From `measure_scales`.
    """

    settings: TrainingSettings
    scales: Scales

    def terms(self, prediction: Prediction, graph: AtomicGraph, balance: Tensor | None = None) -> Tensor:
        """Compute what forces, energies and virials of each graph cost at weight 1, kcal/mol/angstrom, (3, B).

        A target that a graph has not costs nothing.

        Parameters
        ----------
        prediction, graph
            Of the same frames.
        balance
            What the three cost lately at weight 1, (3,), for automatic weights.
        """
        forces = prediction.forces.to(graph.positions.dtype)
        found = [self._of_forces(forces, graph)]
        atoms = graph.atoms_per_graph.to(found[0])
        of_energies = (self.settings.energy_weight, self.scales.energy, prediction.energies, graph.energies)
        of_virials = (self.settings.virial_weight, self.scales.virial, prediction.virials, graph.virials)
        for row, (weight, scale, predicted, wanted) in enumerate((of_energies, of_virials), start=1):
            if weight == 0 or wanted is None:
                found.append(torch.zeros_like(atoms))
                continue
            assert predicted is not None
            error = error_of(predicted, wanted).to(atoms).reshape(len(atoms), -1) / (scale * atoms.sqrt()[:, None])
            bend: Tensor | float = BEND
            if weight == "auto" and balance is not None:
                bend = (USUAL * balance[row] / (self.scales.force * self.scales.atoms)).clamp(min=BEND)
            size = error.abs().mean(1) if self.settings.loss == "l1" else _bent(error.square().mean(1), bend)
            found.append(self.scales.force * self.scales.atoms * size)
        return torch.stack(found)

    def of_lone_pairs(self, energies: Tensor) -> Tensor:
        """``0.01 M s_F`` times the mean of ``h(E / s_F)``, for energies that are to be small, kcal/mol, (P,).

        See `gnnformd.model.interface.ForceModel.lone_pair_energies`.
        """
        scale = self.scales.force  # over one angstrom
        return LONE_PAIRS * self.scales.atoms * scale * _bent((energies / scale).square()).mean()

    def energy_rows(self, prediction: Prediction, graph: AtomicGraph, types: int) -> Tensor:
        """Compositions and errors of energies, ``(n_1, ..., n_T, dE / s_E) / sqrt(N)``, for `energy_share`.

        Zero for graphs without an energy, and where energies are not learned.

        Parameters
        ----------
        prediction, graph
            As for `terms`.
        types
            Number of types of atoms, T.

        Returns
        -------
        Tensor
            (B, T + 1), float64.
        """
        rows = torch.zeros(graph.graph_count, types + 1, dtype=torch.float64, device=graph.positions.device)
        if self.settings.energy_weight == 0 or graph.energies is None:
            return rows
        assert prediction.energies is not None
        rows.index_put_((graph.graph_index, graph.type_index), rows.new_ones(()), accumulate=True)
        rows[:, -1] = error_of(prediction.energies, graph.energies).to(rows) / self.scales.energy
        return rows * (~graph.energies.isnan() / graph.atoms_per_graph.to(rows).sqrt())[:, None]

    def virial_shares(self, prediction: Prediction, graph: AtomicGraph) -> Tensor:
        """Errors of virials of each graph beside ``sum_i x_i f_i`` for usual forces and neighbors, (B,).

        Neighbors are `NEIGHBOR` apart. The differences of virials between frames may be small. Zero where virials are
        not learned or not known.

        Parameters
        ----------
        prediction, graph
            As for `terms`.
        """
        atoms = graph.atoms_per_graph.to(prediction.forces)
        if self.settings.virial_weight == 0 or graph.virials is None:
            return torch.zeros_like(atoms)
        assert prediction.virials is not None
        error = error_of(prediction.virials, graph.virials).to(atoms).flatten(1)
        return error.square().mean(1).sqrt() / (self.scales.force * NEIGHBOR * atoms)

    def weights(self, balance: Tensor) -> Tensor:
        """Weights of forces, energies and virials, (3,).

        Automatic ones make what energies and virials cost a twentieth of what forces cost each, but are at most 1:
        otherwise energies of the training frames that are met much better than forces would be met ever better, at the
        cost of all others. Where forces cost less than 0.3 of what energies do, the weight of these falls no more: what
        forces do not tell, such as a term in the volume, would never be learned.

        Parameters
        ----------
        balance
            What the three cost lately at weight 1, (3,), for automatic weights.
        """
        weights = balance.new_ones(3)
        of_energies = (self.settings.energy_weight, ENERGY_SHARE, FALLING)
        of_virials = (self.settings.virial_weight, VIRIAL_SHARE, 0.0)
        for row, (weight, share, least) in enumerate((of_energies, of_virials), start=1):
            if weight != "auto":
                weights[row] = weight
                continue
            of_forces = (balance[0] / balance[row]).nan_to_num(math.inf).clamp(min=least)
            weights[row] = (share * of_forces).clamp(max=LARGEST_WEIGHT)
        return weights

    @property
    def automatic(self) -> bool:
        """Whether a weight follows the errors."""
        return "auto" in (self.settings.energy_weight, self.settings.virial_weight)

    def _of_forces(self, forces: Tensor, graph: AtomicGraph) -> Tensor:
        if self.settings.loss == "l1":
            return absolute_error_per_axis(forces, graph).sum(1)
        if graph.forces is None:
            return forces.new_zeros(graph.graph_count)
        error = error_of(forces, graph.forces) / self.scales.force
        return self.scales.force * graph.sum_per_graph(_bent(error.square().sum(1)))


def _bent(square: Tensor, bend: Tensor | float = BEND) -> Tensor:
    """``sqrt(x^2 + b^2) - b`` from ``x^2``."""
    return torch.sqrt(square + bend**2) - bend


def energy_share(moments: Tensor, count: float) -> float:
    """Root mean square error of energies beside how much they differ between frames, both apart from energies of types.

    An error that is constant or belongs to a composition contradicts no forces, and is mended late where energies count
    little.

    Parameters
    ----------
    moments
        ``R^T R`` of `Loss.energy_rows`, (T + 1, T + 1).
    count
        Number of frames with an energy.
    """
    of_types, mixed, square = moments[:-1, :-1], moments[:-1, -1], moments[-1, -1]
    rest = square - mixed @ (torch.linalg.pinv(of_types, rtol=1e-9, hermitian=True) @ mixed)
    return math.sqrt(max(float(rest), 0.0) / count)


def absolute_error_per_axis(forces: Tensor, graph: AtomicGraph) -> Tensor:
    """``sum_i |F_i - F_i^ref|`` over the atoms of each graph, kept apart for x, y and z; zero without reference.

    Parameters
    ----------
    forces
        Prediction, kcal/mol/angstrom, (N, 3).
    graph
        The batch with the reference forces.

    Returns
    -------
    Tensor
        kcal/mol/angstrom, (B, 3).
    """
    if graph.forces is None:
        return forces.new_zeros(graph.graph_count, 3)
    return graph.sum_per_graph(error_of(forces, graph.forces).abs())


def error_of(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Difference of two tensors of one shape; zero, with no gradient, where the wanted one is not known (NaN)."""
    return predicted - torch.where(wanted.isnan(), predicted.detach(), wanted)


def warmup_terms(forces: Tensor, penalty: float) -> Tensor:
    """``penalty / S``, large when the prediction is near zero, with the sum of ``|F|`` over all atoms of a batch.

    Parameters
    ----------
    forces
        Prediction for all frames of the batch, kcal/mol/angstrom, (N, 3).
    penalty
        Numerator.

    Returns
    -------
    Tensor
        With S over all components, then over those along x, y and z, (4,).
    """
    sums = forces.abs().sum(0)  # (3,)
    return penalty / torch.cat([sums.sum()[None], sums])
