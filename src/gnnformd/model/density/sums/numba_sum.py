"""Atomic densities on a processor: the sums of `gnnformd.model.density.sums.table_sum` by compiled loops.

Both give the same; `gnnformd.model.density.sums.table_sum` has the equations and serves every device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from gnnformd.model.density.kernels.density_gradients import densities_vjp, received_jvp
from gnnformd.model.density.kernels.density_sums import densities, densities_jvp
from gnnformd.model.density.kernels.neighbor_lists import edges_by_center, to_half_edges, to_neighbors
from gnnformd.model.density.kernels.structures import EdgeGradients, PairGeometry, Shell
from gnnformd.model.threads import in_parts

__all__ = ["NumbaGeometry", "make_shell", "numba_densities"]

PART = 16  # fewest atoms that are worth a thread


def make_shell(first: Tensor, second: Tensor, halves: Tensor, atom_count: int, count: int, offset: int) -> Shell:
    """Collect the half edges ``halves``, with radial functions ``offset .. offset + count`` of all.

    Half edge h joins ``first[h]`` and ``second[h]``.
    """
    return Shell(*edges_by_center(first.numpy(), second.numpy(), halves.numpy(), atom_count), count, offset)


@dataclass
class NumbaGeometry:
    """What a sum over neighbors needs to know of the positions of atoms; none of it depends on parameters.

    Attributes
    ----------
    shells
        All neighbors.
    vectors, distance, soft
        Of the half edges, angstrom, (E/2, 3) and (E/2,).
    soft_slope
        Derivative of the softened distance, (E/2,).
    cutoff
        angstrom.
    l_max
        Highest degree of the harmonics.
    vectors_needed
        Whether backward passes take the gradient in the vectors, too.
    """

    shells: tuple[Shell, ...]
    vectors: Tensor
    distance: Tensor
    soft: Tensor
    soft_slope: Tensor
    cutoff: float
    l_max: int
    vectors_needed: bool = field(init=False, default=True)

    def stop_at_vectors(self) -> None:
        """From now on backward passes are for parameters alone: forces are taken, and positions are given."""
        self.vectors_needed = False

    def pairs(self, like: Tensor) -> PairGeometry:
        """Give the half edges to kernels, with the cutoff in the type of ``like``."""
        vectors, distance, soft, soft_slope = map(_numpy, (self.vectors, self.distance, self.soft, self.soft_slope))
        return PairGeometry(vectors, distance, soft, soft_slope, _numpy(like).dtype.type(self.cutoff))

    def empty(self, sent: Tensor) -> Tensor:
        """Memory for densities, (L, N, C, K)."""
        functions = sum(shell.functions for shell in self.shells)
        atoms = len(self.shells[0].start) - 1
        return sent.new_empty((self.l_max + 1) ** 2, atoms, sent.shape[1], functions)


def numba_densities(sent: Tensor, vectors: Tensor, geometry: NumbaGeometry) -> Tensor:
    """Sum what the neighbors send, times radial functions and harmonics.

    Parameters
    ----------
    sent
        ``h``, (N, C).
    vectors
        Of the half edges, (E/2, 3); only carry the gradient, the values are taken from ``geometry``.
    geometry
        Belongs to these vectors.

    Returns
    -------
    Tensor
        ``D``, (L, N, C, K), K over the functions of all shells.
    """
    result: Tensor = _Densities.apply(sent, vectors, geometry)  # type: ignore[no-untyped-call]
    return result


def _numpy(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().contiguous().numpy()
    return array


def _run(kernel: Callable[..., None], shell: Shell, *arguments: Any) -> None:
    """Call a kernel for all atoms of a shell, with as many threads as torch has."""
    in_parts(lambda _, atoms: kernel(atoms, shell, *arguments), len(shell.start) - 1, PART)


class _Densities(Function):
    @staticmethod
    def forward(ctx: Any, sent: Tensor, vectors: Tensor, geometry: NumbaGeometry) -> Tensor:
        ctx.save_for_backward(sent)
        ctx.geometry = geometry
        out, pairs = geometry.empty(sent), geometry.pairs(sent)
        for shell in geometry.shells:
            _run(densities, shell, pairs, _numpy(sent), _numpy(out))
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (sent,) = ctx.saved_tensors
        wanted = ctx.needs_input_grad[0], ctx.needs_input_grad[1] and ctx.geometry.vectors_needed
        if not any(wanted):
            return None, None, None
        in_sent, in_vectors = _VectorJacobian.apply(sent, gradients[0], ctx.geometry)  # type: ignore[no-untyped-call]
        return in_sent if wanted[0] else None, in_vectors if wanted[1] else None, None


class _VectorJacobian(Function):
    """Gradients in ``h`` and the vectors from the gradient ``g`` in ``D``; itself differentiable in ``h`` and ``g``."""

    @staticmethod
    def forward(ctx: Any, sent: Tensor, gradient: Tensor, geometry: NumbaGeometry) -> tuple[Tensor, Tensor]:
        gradient = gradient.contiguous()
        ctx.save_for_backward(sent, gradient)
        ctx.geometry = geometry
        ctx.set_materialize_grads(False)
        in_sent, in_vectors = torch.zeros_like(sent), torch.zeros_like(geometry.vectors)
        pairs = geometry.pairs(sent)
        for shell in geometry.shells:
            edges = len(shell.neighbor)
            out = EdgeGradients(_numpy(sent.new_empty(edges, 3)), _numpy(sent.new_empty(edges, sent.shape[1])))
            _run(densities_vjp, shell, pairs, _numpy(sent), _numpy(gradient), out)
            to_half_edges(shell.pair, out.vectors, _numpy(in_vectors))
            to_neighbors(shell.neighbor, out.received, _numpy(in_sent))
        return in_sent, in_vectors

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, on_sent: Tensor | None, on_vectors: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None]:
        """Gradients in ``h`` and ``g`` of ``on_sent . in_sent + on_vectors . in_vectors``."""
        sent, gradient = ctx.saved_tensors
        geometry: NumbaGeometry = ctx.geometry
        in_gradient = torch.empty_like(gradient) if on_vectors is not None else torch.zeros_like(gradient)
        in_sent = torch.zeros_like(sent) if ctx.needs_input_grad[0] and on_vectors is not None else None
        pairs = geometry.pairs(sent)
        for shell in geometry.shells:
            if on_vectors is not None:
                _run(densities_jvp, shell, pairs, _numpy(sent), _numpy(on_vectors), _numpy(in_gradient))
                if in_sent is not None:
                    on_received = _numpy(sent.new_empty(len(shell.neighbor), sent.shape[1]))
                    arrays = _numpy(sent), _numpy(gradient), _numpy(on_vectors), on_received
                    _run(received_jvp, shell, pairs, *arrays)
                    to_neighbors(shell.neighbor, on_received, _numpy(in_sent))
        if on_sent is not None:
            change = geometry.empty(sent)
            for shell in geometry.shells:
                _run(densities, shell, pairs, _numpy(on_sent), _numpy(change))
            in_gradient += change
        return in_sent, in_gradient, None
