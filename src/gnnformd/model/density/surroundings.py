"""Surroundings: how far those of an atom are from all of the training data, as the network sees them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["Surroundings"]

AXES = 32  # principal axes of the activations, at most
REPRESENTATIVES = 64  # of the surroundings of each type, at most
ATOMS_EACH = 8  # of the training data for each representative, at least: else each atom would be its own
FEWEST = 64  # atoms of a type from which anything is known
BLOCKS, KEPT_BACK = 160, 4  # of the atoms of a type in the order of the data; every fourth is kept back
RIDGE = 0.01  # of the mean variance of an activation, added to all


class Surroundings(nn.Module):
    """Extrapolation grades of atoms: about 1 for the atom of the training data whose surroundings are the least usual.

    The network sees the surroundings of an atom as the activations a of its last readout, (W,). With the mean m of the
    training atoms of its type, and eigenvalues c and eigenvectors v of their covariance, the coordinates of an atom are
    ``z = v (a - m) / sqrt(c + e)`` for the largest c; e is a hundredth of the mean variance, so that what hardly varies
    counts little. Some training atoms represent the others: the one nearest to the mean, then again and again the one
    that is farthest from all before. The grade of an atom is the distance of its z to the nearest representative, over
    the largest such distance in the training data. A quarter of the training atoms has a part in nothing but that
    largest distance, since of those that m, C and representatives were taken from it is too short.

    It tells atoms for which errors are unknown, as distances in the space of activations are known to (Janet et al.,
    Chem. Sci. 10, 7913, 2019), and costs two small matrix products.

    Parameters
    ----------
    type_count
        T.
    width
        W.

    Attributes
    ----------
    axes, offset
        ``z = a axes - offset``, (T, W, D) and (T, D).
    representatives
        (T, K, D).
    scale
        One over the largest distance in the training data, (T,); zero for types of which nothing is known.
    """

    axes: Tensor
    offset: Tensor
    representatives: Tensor
    scale: Tensor

    def __init__(self, type_count: int, width: int) -> None:
        super().__init__()
        axes = min(AXES, width)
        self.register_buffer("axes", torch.zeros(type_count, width, axes))
        self.register_buffer("offset", torch.zeros(type_count, axes))
        self.register_buffer("representatives", torch.zeros(type_count, REPRESENTATIVES, axes))
        self.register_buffer("scale", torch.zeros(type_count))

    @property
    def known(self) -> bool:
        """Whether they are known for any type."""
        return bool((self.scale > 0).any())

    @torch.no_grad()
    def remove(self) -> None:
        """Know nothing."""
        for values in self.buffers():
            values.zero_()

    @torch.no_grad()
    def take(self, samples: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take them from atoms of the training data.

        Types with fewer than 64 atoms, and those whose activations never vary, stay unknown.

        Parameters
        ----------
        samples
            Activations, (N, W), and types (from 0) of atoms, (N,).
        """
        self.remove()
        activations, types = (torch.cat(values) for values in zip(*samples, strict=True))
        for kind in torch.unique(types).tolist():
            own = activations[types == kind].double()
            if len(own) < FEWEST:
                continue
            block = torch.arange(len(own)) // max(1, len(own) // BLOCKS)
            kept_back = block % KEPT_BACK == KEPT_BACK - 1
            others = own[~kept_back]
            mean = others.mean(0)
            variances, vectors = torch.linalg.eigh(torch.cov(others.T, correction=0))  # ascending
            if variances[-1] <= 0:
                continue
            count = self.axes.shape[2]
            largest = variances[-count:].clamp(min=0.0) + RIDGE * variances.clamp(min=0.0).mean()
            axes = vectors[:, -count:] / largest.sqrt()
            z = (own - mean) @ axes
            found = _representatives(z[~kept_back], min(REPRESENTATIVES, len(others) // ATOMS_EACH))
            radius = torch.cdist(z, found).amin(1).max()
            if radius <= 0:
                continue
            self.axes[kind], self.offset[kind], self.scale[kind] = axes, mean @ axes, 1.0 / radius
            self.representatives[kind] = found[torch.arange(REPRESENTATIVES) % len(found)]

    @torch.no_grad()
    def forward(self, activations: Tensor, types: Tensor) -> Tensor:
        """Grades of atoms from their activations, (N, W), and types (from 0), (N,); NaN where nothing is known."""
        grades = activations.new_full((len(activations),), torch.nan)
        for kind in torch.nonzero(self.scale).flatten().tolist():
            rows = torch.nonzero(types == kind).squeeze(1)
            z = activations.index_select(0, rows) @ self.axes[kind] - self.offset[kind]
            grades[rows] = self.scale[kind] * torch.cdist(z, self.representatives[kind]).amin(1)
        return grades


def _representatives(points: Tensor, count: int) -> Tensor:
    """Choose so many of the points (N, D), each the farthest from all before; the first is the nearest to the mean."""
    chosen = [int(points.square().sum(1).argmin())]
    squares = (points - points[chosen[0]]).square().sum(1)
    while len(chosen) < count:
        chosen.append(int(squares.argmax()))
        squares = torch.minimum(squares, (points - points[chosen[-1]]).square().sum(1))
    return points[chosen]
