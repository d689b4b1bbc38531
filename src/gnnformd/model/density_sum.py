"""Atomic densities: the one sum over neighbors of the model, with its derivatives written out.

``D_i,lm,ck = sum_j h_jc B_k(r_ij) Y_lm(u_ij)``

is linear in what the neighbors send (``h``). Forces need its gradient, training needs the gradient of that gradient;
both are sums of the same form. They are written by hand so that neither keeps more than (N, M, K) and
(N, M, L C) numbers and nothing is computed that nobody asks for: the positions of a training frame are given, so
nothing is ever differentiated twice with respect to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from gnnformd.model.density_harmonics import harmonics, harmonics_along, harmonics_pull
from gnnformd.model.density_table import NeighborTable

__all__ = ["DensityGeometry", "atomic_densities"]


@dataclass
class DensityGeometry:
    """What a sum over neighbors needs to know of the places of atoms; none of it depends on parameters.

    Attributes
    ----------
    table
        Where the neighbors are.
    distance
        angstrom, (N, M).
    unit
        Direction from the center to the neighbor, (N, M, 3).
    radial, radial_slope
        Radial functions and their derivatives, zero in empty places, (N, M, K).
    l_max
        Highest degree of the harmonics.
    harmonics
        (N, M, L) with L = (l_max + 1)^2.
    vectors_done
        Set once the gradient in the vectors was taken: later passes are for parameters and need it no more.
    """

    table: NeighborTable
    distance: Tensor
    unit: Tensor
    radial: Tensor
    radial_slope: Tensor
    l_max: int
    harmonics: Tensor = field(init=False)
    vectors_done: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.harmonics = harmonics(self.unit, self.l_max)


def atomic_densities(sent: Tensor, vectors: Tensor, geometry: DensityGeometry) -> Tensor:
    """Sum what the neighbors send, times radial functions and harmonics.

    Parameters
    ----------
    sent
        ``h``, (N, C).
    vectors
        From the centers to their neighbors, angstrom, (N, M, 3); only carries the gradient, the values are taken from
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
    def forward(ctx: Any, sent: Tensor, vectors: Tensor, geometry: DensityGeometry) -> Tensor:
        """See `atomic_densities`."""
        ctx.save_for_backward(sent)
        ctx.geometry = geometry
        return _sum(_outer(geometry.harmonics, _received(sent, geometry)), geometry.radial)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Gradients in ``h`` and the vectors."""
        (sent,) = ctx.saved_tensors
        wanted = ctx.needs_input_grad[0], ctx.needs_input_grad[1] and not ctx.geometry.vectors_done
        if not any(wanted):
            return None, None, None
        in_sent, in_vectors = _Pull.apply(sent, gradients[0], ctx.geometry, *wanted)  # type: ignore[no-untyped-call]
        return in_sent, in_vectors, None


class _Pull(Function):
    """Gradients in ``h`` and the vectors from the gradient ``g`` in ``D``; itself differentiable in ``h`` and ``g``."""

    @staticmethod
    def forward(
        ctx: Any, sent: Tensor, gradient: Tensor, geometry: DensityGeometry, for_sent: bool, for_vectors: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """``sum_k B_k g`` contracted with harmonics (for ``h``), and the chain rule through r and u."""
        ctx.save_for_backward(sent, gradient)
        ctx.geometry = geometry
        ctx.set_materialize_grads(False)
        received = _received(sent, geometry)  # (N, M, C)
        angular = torch.bmm(geometry.radial, gradient.transpose(1, 2)).view(
            *geometry.harmonics.shape, received.shape[2]
        )  # (N, M, L, C)
        in_sent = in_vectors = None
        if for_sent:
            in_sent = geometry.table.to_neighbors(_contract_degree(angular, geometry.harmonics))
        if for_vectors:
            in_radial = torch.bmm(_outer(geometry.harmonics, received), gradient)  # (N, M, K)
            along = (in_radial * geometry.radial_slope).sum(2, keepdim=True)  # (N, M, 1)
            in_unit = harmonics_pull(geometry.unit, _contract_channel(angular, received), geometry.l_max)
            across = in_unit / geometry.distance[..., None]  # (N, M, 3)
            radial_part = (across * geometry.unit).sum(2, keepdim=True)
            in_vectors = across + (along - radial_part) * geometry.unit
        return in_sent, in_vectors

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, on_sent: Tensor | None, on_vectors: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        """Gradients in ``h`` and ``g`` of ``on_sent . in_sent + on_vectors . in_vectors``."""
        sent, gradient = ctx.saved_tensors
        geometry: DensityGeometry = ctx.geometry
        received = _received(sent, geometry)
        in_sent = in_gradient = None
        if on_sent is not None:
            in_gradient = _sum(_outer(geometry.harmonics, _received(on_sent, geometry)), geometry.radial)
        if on_vectors is not None:
            stretch = (on_vectors * geometry.unit).sum(2, keepdim=True)  # (N, M, 1)
            turn = (on_vectors - stretch * geometry.unit) / geometry.distance[..., None]  # (N, M, 3)
            radial = geometry.radial_slope * stretch  # (N, M, K)
            turned = harmonics_along(geometry.unit, turn, geometry.l_max)  # (N, M, L)
            change = _sum(_outer(geometry.harmonics, received), radial)
            change += _sum(_outer(turned, received), geometry.radial)
            in_gradient = change if in_gradient is None else in_gradient + change
            if ctx.needs_input_grad[0]:
                by_place = gradient.transpose(1, 2)  # (N, K, L C)
                shape = (*turned.shape, received.shape[2])
                on_received = _contract_degree(torch.bmm(radial, by_place).view(shape), geometry.harmonics)
                on_received += _contract_degree(torch.bmm(geometry.radial, by_place).view(shape), turned)
                in_sent = geometry.table.to_neighbors(on_received)
        return in_sent, in_gradient, None, None, None


def _received(sent: Tensor, geometry: DensityGeometry) -> Tensor:
    """Gather what each place of the table receives, (N, M, C)."""
    table = geometry.table
    return sent.index_select(0, table.neighbor).view(table.rows, table.columns, sent.shape[1])


def _outer(angular: Tensor, received: Tensor) -> Tensor:
    """``Y h``, (N, M, L C)."""
    return (angular[:, :, :, None] * received[:, :, None, :]).flatten(2)


def _sum(terms: Tensor, radial: Tensor) -> Tensor:
    """Sum over neighbors of (N, M, L C) times (N, M, K), (N, L C, K)."""
    return torch.bmm(terms.transpose(1, 2), radial)


def _contract_degree(angular: Tensor, harmonics: Tensor) -> Tensor:
    """``sum_lm`` of (N, M, L, C) times (N, M, L), (N, M, C)."""
    return (angular * harmonics[:, :, :, None]).sum(2)


def _contract_channel(angular: Tensor, received: Tensor) -> Tensor:
    """``sum_c`` of (N, M, L, C) times (N, M, C), (N, M, L)."""
    if received.shape[2] == 1:
        return angular[..., 0] * received
    return (angular * received[:, :, None, :]).sum(3)
