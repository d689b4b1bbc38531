"""Fine-tuning of a model for many liquids: its functions, fitted once more to a few frames of one liquid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gnnformd.force_field import ForceField
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.model import DensityModel
from gnnformd.model.fluids.fit import ANGLE, BOND, PAIR, force_columns, unfitted
from gnnformd.model.fluids.functions import FluidFunctions
from gnnformd.model.fluids.specialize import specialize

__all__ = ["Equations", "LiquidEquations", "Tuned", "tune"]

STRENGTHS = (1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-6)
"""Weights of the distance from the functions that are tuned, in units of the norm of a column."""
FOLDS = 5
GAIN = 0.99
"""A fit has to bring the error below this share of the error without it."""


@dataclass(frozen=True)
class Equations:
    """Forces of one frame, linear in the functions; all divided by the root mean square of the forces.

    Attributes
    ----------
    columns
        Forces of each function, (3 N, PAIR + BOND + ANGLE).
    wanted
        Forces without the Coulomb energy, (3 N,).
    forces
        All forces, (3 N,).
    size
        The root mean square, kcal/mol/angstrom.
    closest
        See `FluidFunctions.closest`.
    """

    columns: Tensor
    wanted: Tensor
    forces: Tensor
    size: float
    closest: dict[str, float]


class LiquidEquations:
    """Makes the `Equations` of frames of one liquid.

    Parameters
    ----------
    field
        The force field.
    """

    def __init__(self, field: ForceField) -> None:
        self.field = field
        self.coulomb: DensityModel = specialize(unfitted(), field, "liquid")

    @property
    def cutoff(self) -> float:
        """Of the graphs, angstrom."""
        return self.coulomb.cutoff

    def equations(self, graph: AtomicGraph) -> Equations:
        """Compute those of one frame: a graph with forces, float64."""
        assert graph.forces is not None
        closest = dict.fromkeys(("pair", "bare_pair", "bond", "second"), np.inf)
        columns = force_columns(graph, self.field, closest)
        forces = graph.forces.flatten()
        wanted = forces - self.coulomb(graph).forces.flatten()
        size = forces.square().mean().sqrt()
        return Equations(columns / size, wanted / size, forces / size, float(size), closest)


@dataclass(frozen=True)
class Tuned:
    """What came of fine-tuning.

    Attributes
    ----------
    functions
        Those that were tuned, or the given ones if no fit was better.
    before, after
        Root mean square error of forces over that of the forces, on frames left out of the fit (cross-validation).
    """

    functions: FluidFunctions
    before: float
    after: float

    @property
    def better(self) -> bool:
        """Whether the functions changed."""
        return self.after < self.before


def tune(functions: FluidFunctions | None, frames: Sequence[Equations]) -> Tuned:
    """Fit functions to frames of one liquid, held near those of many liquids.

    Minimizes ``|A c - b|^2 + w^2 |S (c - c_0)|^2``, where ``A c`` are forces, ``b`` those of the frames without the
    Coulomb energy, divided by their root mean square in each frame, ``c_0`` the given functions and ``S`` the norms of
    the columns of ``A``. The weight ``w`` is chosen by leaving out a part of the frames (of one frame: half of its
    atoms); where no weight is better than the given functions, these are kept.

    Parameters
    ----------
    functions
        To begin with, which reach `REACH`; None for a fit from scratch, with ``c_0 = 0`` and the smallest weight alone.
    frames
        Of the liquid.
    """
    numbers = sum(len(frame.forces) for frame in frames)
    parts = frames if len(frames) > 1 else _halves(frames[0])
    triangles = [torch.linalg.qr(torch.cat([part.columns, part.wanted[:, None]], dim=1), mode="r").R for part in parts]
    start = unfitted() if functions is None else functions
    prior, before = _coefficients(start), np.inf
    strengths = STRENGTHS if functions is not None else STRENGTHS[-1:]
    if functions is not None:
        squares = sum(float((frame.columns @ prior - frame.wanted).square().sum()) for frame in frames)
        before = (squares / numbers) ** 0.5
    errors = [(_left_out(triangles, prior, strength) / numbers) ** 0.5 for strength in strengths]
    best = int(np.argmin(errors))
    if errors[best] >= GAIN * before:
        return Tuned(start, before, before)
    found = _fit(triangles, prior, strengths[best])
    pair, bond, angle = (tuple(part.tolist()) for part in torch.split(found, [PAIR, BOND, ANGLE]))
    closest = {name: min(value, *(frame.closest[name] for frame in frames)) for name, value in start.closest.items()}
    if functions is None:
        closest = {name: min(0.5, *(frame.closest[name] for frame in frames)) for name in closest}
    tuned = replace(start, pair=pair, bond=bond, angle=angle, closest=closest)
    return Tuned(replace(tuned, frames=start.frames + len(frames)), before, errors[best])


def _coefficients(functions: FluidFunctions) -> Tensor:
    return torch.tensor([*functions.pair, *functions.bond, *functions.angle], dtype=torch.float64)


def _halves(frame: Equations) -> list[Equations]:
    """Two sets of atoms, drawn at random."""
    order = torch.randperm(len(frame.forces) // 3, generator=torch.Generator().manual_seed(0))
    middle = len(order) // 2
    found = []
    for atoms in (order[:middle], order[middle:]):
        rows = (3 * atoms[:, None] + torch.arange(3)).flatten()
        parts = (frame.columns[rows], frame.wanted[rows], frame.forces[rows])
        found.append(Equations(*parts, frame.size, frame.closest))
    return found


def _fit(triangles: Sequence[Tensor], prior: Tensor, strength: float) -> Tensor:
    stacked = torch.linalg.qr(torch.cat(list(triangles)), mode="r").R
    matrix, wanted = stacked[:, :-1], stacked[:, -1]
    sizes = matrix.norm(dim=0)
    weight = strength * sizes.where(sizes > 0, 1.0)
    left = torch.cat([matrix, torch.diag(weight)])
    found: Tensor = torch.linalg.lstsq(left, torch.cat([wanted, weight * prior])).solution
    return found


def _left_out(triangles: Sequence[Tensor], prior: Tensor, strength: float) -> float:
    """Sum of squares of what each part leaves of its forces when the others are fitted."""
    folds = min(FOLDS, len(triangles))
    error = 0.0
    for fold in range(folds):
        found = _fit([part for k, part in enumerate(triangles) if k % folds != fold], prior, strength)
        for part in triangles[fold::folds]:
            error += float((part[:, :-1] @ found - part[:, -1]).square().sum())
    return error
