"""Atomic densities on a processor: the sums of `gnnformd.model.density.sums.table_sum` by compiled loops.

Both say the same; `gnnformd.model.density.sums.table_sum` has the equations and serves every device.
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

from gnnformd.model.density.kernels.density_gradients import pull, pull_along
from gnnformd.model.density.kernels.density_sums import densities, push
from gnnformd.model.density.kernels.neighbor_lists import edges_by_center, to_half_edges, to_neighbors
from gnnformd.model.threads import in_parts

__all__ = ["CompiledGeometry", "Shell", "compiled_densities"]

Array = NDArray[Any]
PART = 16  # fewest atoms that are worth a thread


@dataclass(frozen=True)
class Shell:
    """Neighbors that share radial functions.

    Attributes
    ----------
    lists
        ``(start, neighbor, pair)``: edges ordered by center (see `gnnformd.model.density.kernels.neighbor_scratch`).
    count, offset
        Its functions are ``offset .. offset + count`` of all.
    """

    lists: tuple[Array, Array, Array]
    count: int
    offset: int

    @classmethod
    def of(cls, first: Tensor, second: Tensor, halves: Tensor, atom_count: int, count: int, offset: int) -> Shell:
        """Collect the half edges ``halves``; half edge h joins ``first[h]`` and ``second[h]``."""
        lists = edges_by_center(first.numpy(), second.numpy(), halves.numpy(), atom_count)
        return cls(lists, count, offset)


@dataclass
class CompiledGeometry:
    """What a sum over neighbors needs to know of the places of atoms; none of it depends on parameters.

    Attributes
    ----------
    shells
        All neighbors.
    vectors, distance, soft, softening
        Of the half edges, angstrom, (E/2, 3) and (E/2,) each.
    cutoff
        angstrom.
    l_max
        Highest degree of the harmonics.
    vectors_done
        Set once the gradient in the vectors was taken: later passes are for parameters and need it no more.
    """

    shells: tuple[Shell, ...]
    vectors: Tensor
    distance: Tensor
    soft: Tensor
    softening: Tensor
    cutoff: float
    l_max: int
    vectors_done: bool = field(init=False, default=False)

    def run(self, kernel: Callable[..., None], shell: Shell, sent: Tensor, *arrays: Tensor) -> None:
        """Call a kernel for all atoms of a shell, with as many threads as torch has."""
        places = tuple(_numpy(t) for t in (self.vectors, self.distance, self.soft, self.softening))
        cutoff = _numpy(sent).dtype.type(self.cutoff)
        rest = (shell.lists, places, _numpy(sent), (cutoff, shell.count, shell.offset), *map(_numpy, arrays))
        in_parts(lambda _, atoms: kernel(atoms, *rest), len(shell.lists[0]) - 1, PART)

    def empty(self, sent: Tensor) -> Tensor:
        """Room for densities, (L, N, C, K)."""
        functions = sum(shell.count for shell in self.shells)
        atoms = len(self.shells[0].lists[0]) - 1
        return sent.new_empty((self.l_max + 1) ** 2, atoms, sent.shape[1], functions)


def compiled_densities(sent: Tensor, vectors: Tensor, geometry: CompiledGeometry) -> Tensor:
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


def _numpy(tensor: Tensor) -> Array:
    array: Array = tensor.detach().contiguous().numpy()
    return array


class _Densities(Function):
    @staticmethod
    def forward(ctx: Any, sent: Tensor, vectors: Tensor, geometry: CompiledGeometry) -> Tensor:
        ctx.save_for_backward(sent)
        ctx.geometry = geometry
        out = geometry.empty(sent)
        for shell in geometry.shells:
            geometry.run(densities, shell, sent, out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (sent,) = ctx.saved_tensors
        wanted = ctx.needs_input_grad[0], ctx.needs_input_grad[1] and not ctx.geometry.vectors_done
        if not any(wanted):
            return None, None, None
        in_sent, in_vectors = _Pull.apply(sent, gradients[0], ctx.geometry)  # type: ignore[no-untyped-call]
        return in_sent if wanted[0] else None, in_vectors if wanted[1] else None, None


class _Pull(Function):
    """Gradients in ``h`` and the vectors from the gradient ``g`` in ``D``; itself differentiable in ``h`` and ``g``."""

    @staticmethod
    def forward(ctx: Any, sent: Tensor, gradient: Tensor, geometry: CompiledGeometry) -> tuple[Tensor, Tensor]:
        gradient = gradient.contiguous()
        ctx.save_for_backward(sent, gradient)
        ctx.geometry = geometry
        ctx.set_materialize_grads(False)
        in_sent, in_vectors = torch.zeros_like(sent), torch.zeros_like(geometry.vectors)
        for shell in geometry.shells:
            edges = len(shell.lists[1])
            on_edges, on_received = sent.new_empty(edges, 3), sent.new_empty(edges, sent.shape[1])
            geometry.run(pull, shell, sent, gradient, on_edges, on_received)
            to_half_edges(shell.lists, _numpy(on_edges), _numpy(in_vectors))
            to_neighbors(shell.lists, _numpy(on_received), _numpy(in_sent))
        return in_sent, in_vectors

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, on_sent: Tensor | None, on_vectors: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None]:
        """Gradients in ``h`` and ``g`` of ``on_sent . in_sent + on_vectors . in_vectors``."""
        sent, gradient = ctx.saved_tensors
        geometry: CompiledGeometry = ctx.geometry
        in_gradient = torch.zeros_like(gradient)
        in_sent = torch.zeros_like(sent) if ctx.needs_input_grad[0] and on_vectors is not None else None
        for shell in geometry.shells:
            change = geometry.empty(sent)
            part = slice(shell.offset, shell.offset + shell.count)
            if on_sent is not None:
                geometry.run(densities, shell, on_sent, change)
                in_gradient[..., part] += change[..., part]
            if on_vectors is not None:
                geometry.run(push, shell, sent, on_vectors, change)
                in_gradient[..., part] += change[..., part]
                if in_sent is not None:
                    on_received = sent.new_empty(len(shell.lists[1]), sent.shape[1])
                    geometry.run(pull_along, shell, sent, gradient, on_vectors, on_received)
                    to_neighbors(shell.lists, _numpy(on_received), _numpy(in_sent))
        return in_sent, in_gradient, None
