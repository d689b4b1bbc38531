"""Atomic densities: the one sum over neighbors of the model, with its derivatives written out.

``D_i,lm,ck = sum_j h_jc B_k(r_ij) Y_lm(u_ij)``

is linear in what the neighbors send (``h``). Forces need its gradient, training needs the gradient of that gradient;
both are sums of the same form. They are written by hand so that nothing is computed in vain: the
positions of a training frame are given, so nothing is ever differentiated twice with respect to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from gnnformd.model.density.harmonics import harmonics, harmonics_along, harmonics_pull
from gnnformd.model.density.sums.neighbor_table import NeighborTable

__all__ = ["TableGeometry", "table_densities"]


@dataclass
class TableGeometry:
    """What a sum over neighbors needs to know of the positions of atoms; none of it depends on parameters.

    Attributes
    ----------
    table
        The neighbors.
    distance
        angstrom, (N, M).
    unit
        Direction from the center to the neighbor, (3, N, M).
    radial, radial_slope
        Radial functions and their derivatives, zero in empty cells of the table, (K, N, M).
    l_max
        Highest degree of the harmonics.
    harmonics
        (L, N, M) with L = (l_max + 1)^2.
    vectors_needed
        Whether backward passes take the gradient in the vectors, too.
    """

    table: NeighborTable
    distance: Tensor
    unit: Tensor
    radial: Tensor
    radial_slope: Tensor
    l_max: int
    harmonics: Tensor = field(init=False)
    vectors_needed: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        self.harmonics = harmonics(self.unit, self.l_max)

    def stop_at_vectors(self) -> None:
        """From now on backward passes are for parameters alone: forces are taken, and positions are given."""
        self.vectors_needed = False


def table_densities(sent: Tensor, vectors: Tensor, geometry: TableGeometry) -> Tensor:
    """Sum what the neighbors send, times radial functions and harmonics.

    Parameters
    ----------
    sent
        ``h``, (N, C).
    vectors
        From the centers to their neighbors, angstrom, (3, N, M); only carries the gradient, the values are taken from
        ``geometry``.
    geometry
        Belongs to these vectors.

    Returns
    -------
    Tensor
        ``D``, (N, L C, K): degree outermost, then channel.
    """
    result: Tensor = _Densities.apply(sent, vectors, geometry)  # type: ignore[no-untyped-call]
    return result


class _Densities(Function):
    """``D`` from ``h`` and the vectors."""

    @staticmethod
    def forward(ctx: Any, sent: Tensor, vectors: Tensor, geometry: TableGeometry) -> Tensor:
        """See `table_densities`."""
        ctx.save_for_backward(sent)
        ctx.geometry = geometry
        return _sum(_outer(geometry.harmonics, geometry.table.from_neighbors(sent)), geometry.radial)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Gradients in ``h`` and the vectors."""
        (sent,) = ctx.saved_tensors
        wanted = ctx.needs_input_grad[0], ctx.needs_input_grad[1] and ctx.geometry.vectors_needed
        if not any(wanted):
            return None, None, None
        in_sent, in_vectors = _VectorJacobian.apply(sent, gradients[0], ctx.geometry, *wanted)  # type: ignore[no-untyped-call]
        return in_sent, in_vectors, None


class _VectorJacobian(Function):
    """Gradients in ``h`` and the vectors from the gradient ``g`` in ``D``; itself differentiable in ``h`` and ``g``."""

    @staticmethod
    def forward(
        ctx: Any, sent: Tensor, gradient: Tensor, geometry: TableGeometry, for_sent: bool, for_vectors: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Contract ``sum_k B_k g`` with harmonics (for ``h``); apply the chain rule through r and u (for vectors)."""
        ctx.save_for_backward(sent, gradient)
        ctx.geometry = geometry
        ctx.set_materialize_grads(False)
        received = geometry.table.from_neighbors(sent)  # (C, N, M)
        angular = _spread(gradient, geometry.radial, len(received))  # (L, C, N, M)
        in_sent = in_vectors = None
        if for_sent:
            in_sent = geometry.table.to_neighbors((angular * geometry.harmonics[:, None]).sum(0))
        if for_vectors:
            terms = _outer(geometry.harmonics, received)  # (L C, N, M)
            in_radial = torch.bmm(gradient.transpose(1, 2), terms.transpose(0, 1))  # (N, K, M)
            along = (in_radial.transpose(0, 1) * geometry.radial_slope).sum(0)  # (N, M)
            in_unit = harmonics_pull(geometry.unit, (angular * received).sum(1), geometry.l_max)
            across = in_unit / geometry.distance  # (3, N, M)
            in_vectors = across + (along - (across * geometry.unit).sum(0)) * geometry.unit
        return in_sent, in_vectors

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, on_sent: Tensor | None, on_vectors: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        """Gradients in ``h`` and ``g`` of ``on_sent . in_sent + on_vectors . in_vectors``."""
        sent, gradient = ctx.saved_tensors
        geometry: TableGeometry = ctx.geometry
        received = geometry.table.from_neighbors(sent)
        in_sent = in_gradient = None
        if on_sent is not None:
            in_gradient = _sum(_outer(geometry.harmonics, geometry.table.from_neighbors(on_sent)), geometry.radial)
        if on_vectors is not None:
            stretch = (on_vectors * geometry.unit).sum(0)  # (N, M)
            rotation = (on_vectors - stretch * geometry.unit) / geometry.distance  # (3, N, M)
            radial = geometry.radial_slope * stretch  # (K, N, M)
            change_of_harmonics = harmonics_along(geometry.unit, rotation, geometry.l_max)  # (L, N, M)
            change = _sum(_outer(geometry.harmonics, received), radial)
            change += _sum(_outer(change_of_harmonics, received), geometry.radial)
            in_gradient = change if in_gradient is None else in_gradient + change
            if ctx.needs_input_grad[0]:
                on_received = (_spread(gradient, radial, len(received)) * geometry.harmonics[:, None]).sum(0)
                on_received += (_spread(gradient, geometry.radial, len(received)) * change_of_harmonics[:, None]).sum(0)
                in_sent = geometry.table.to_neighbors(on_received)
        return in_sent, in_gradient, None, None, None


def _outer(angular: Tensor, received: Tensor) -> Tensor:
    """``Y h``, (L C, N, M)."""
    return (angular[:, None] * received).flatten(0, 1)


def _sum(terms: Tensor, radial: Tensor) -> Tensor:
    """Sum over neighbors of (L C, N, M) times (K, N, M), (N, L C, K)."""
    return torch.bmm(terms.transpose(0, 1), radial.permute(1, 2, 0))


def _spread(gradient: Tensor, radial: Tensor, channels: int) -> Tensor:
    """``sum_k B_k g`` in every cell of the table: (N, L C, K) and (K, N, M) to (L, C, N, M)."""
    angular = torch.bmm(gradient, radial.transpose(0, 1))  # (N, L C, M)
    return angular.transpose(0, 1).view(gradient.shape[1] // channels, channels, *angular.shape[::2])
