"""SOAP: Adam in the eigenbasis of the gradients' second moments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Soap"]

SMALLEST = 1e-8  # added to root mean squares of gradients


class Soap(torch.optim.Optimizer):
    """Adam, for matrices in coordinates in which the entries of their gradients are nearly uncorrelated.

    With running means ``L`` of ``G G^T`` and ``R`` of ``G^T G`` over the gradients ``G`` of a matrix, Adam's mean
    squares and its division are those of ``Q_L^T G Q_R``, where ``Q_L`` and ``Q_R`` hold the eigenvectors of L and R,
    renewed every few steps by one step of orthogonal iteration. Vectors are treated as by Adam. The step does not
    change if a matrix is multiplied by orthogonal matrices. Source: Vyas et al., arXiv:2409.11321.

    Parameters
    ----------
    parameters
        To be trained.
    learning_rate
        Of Adam; the key ``lr`` of the parameter groups.
    decay
        ``beta`` of all running means.
    every
        Steps between renewals of the eigenvectors.
    shrinkage
        Matrices become smaller by this share times the learning rate at each step, which keeps them from describing
        the noise of few data (decoupled weight decay: Loshchilov and Hutter, arXiv:1711.05101).
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float,
        *,
        decay: float = 0.95,
        every: int = 10,
        shrinkage: float = 0.02,
    ) -> None:
        super().__init__(parameters, {"lr": learning_rate, "decay": decay, "every": every})
        self.shrinkage = shrinkage

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do one step; ``closure``, where there is one, computes loss and gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for family in _families(group["params"]):
                if all(parameter.grad is None for parameter in family):
                    continue
                updates = self._updates(family, group["decay"], group["every"])
                for parameter, update in zip(family, updates, strict=True):
                    if parameter.grad is None:
                        continue
                    if parameter.ndim == 2:
                        parameter.mul_(1.0 - group["lr"] * self.shrinkage)
                    parameter.sub_(update, alpha=group["lr"])
        return loss

    def _updates(self, family: list[Tensor], decay: float, every: int) -> list[Tensor]:
        """Return the steps for a learning rate of 1, and renew what is remembered (of all, under the first one)."""
        matrices, state = _is_matrix(family[0]), self.state[family[0]]
        gradients = [torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in family]
        gradient = torch.stack(gradients) if matrices else torch.cat([each.flatten() for each in gradients])
        if not state:
            state["steps"] = torch.zeros(())
            state["mean"], state["squares"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
            if matrices:
                state["left"], state["right"] = gradient @ gradient.mT, gradient.mT @ gradient
                state["left_basis"], state["right_basis"] = _eigenvectors(state["left"]), _eigenvectors(state["right"])
        state["steps"] += 1
        left, right = (state["left_basis"], state["right_basis"]) if matrices else (None, None)
        state["mean"].lerp_(gradient, 1.0 - decay)
        state["squares"].lerp_(_rotated(gradient, left, right).square(), 1.0 - decay)
        known = 1.0 - decay ** float(state["steps"])
        size = (state["squares"] / known).sqrt() + SMALLEST
        update: Tensor = _rotated(state["mean"], left, right) / (known * size)
        if left is None or right is None:
            pieces = torch.split(update, [parameter.numel() for parameter in family])
            return [piece.view_as(parameter) for piece, parameter in zip(pieces, family, strict=True)]
        update = _rotated(update, left.mT, right.mT)
        state["left"].lerp_(gradient @ gradient.mT, 1.0 - decay)
        state["right"].lerp_(gradient.mT @ gradient, 1.0 - decay)
        if int(state["steps"]) % every == 0:
            for side, axis in (("left", 1), ("right", 2)):
                state[f"{side}_basis"], order = _renewed(state[f"{side}_basis"], state[side])
                order = order.unsqueeze(3 - axis).expand_as(gradient)
                state["squares"] = state["squares"].gather(axis, order)
        return list(update.unbind(0))


def _is_matrix(parameter: Tensor) -> bool:
    return parameter.ndim == 2 and min(parameter.shape) > 1


def _families(parameters: list[Tensor]) -> list[list[Tensor]]:
    """Parameters that take a step together: matrices of one shape, and all the others."""
    families: dict[Any, list[Tensor]] = {}
    for parameter in parameters:
        shape = parameter.shape if _is_matrix(parameter) else None
        families.setdefault((shape, parameter.dtype, parameter.device), []).append(parameter)
    return list(families.values())


def _rotated(matrices: Tensor, left: Tensor | None, right: Tensor | None) -> Tensor:
    """Return ``Q_L^T M Q_R``."""
    if left is None or right is None:
        return matrices
    rotated: Tensor = left.mT @ matrices @ right
    return rotated


def _eigenvectors(moments: Tensor) -> Tensor:
    """Eigenvectors as columns, largest eigenvalue first; those of a matrix that is not finite do not matter."""
    identity = torch.eye(moments.shape[-1]).to(moments)
    finite = moments.isfinite().all(2).all(1)
    vectors: Tensor = torch.linalg.eigh(moments.where(finite[:, None, None], identity))[1].flip(2)
    return vectors


def _renewed(basis: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
    """Do a step of orthogonal iteration; also return the order in which it takes the columns before."""
    order = (basis * (moments @ basis)).sum(1).argsort(descending=True, stable=True)  # (B, n)
    ordered = basis.gather(2, order[:, None, :].expand_as(basis))
    renewed: Tensor = torch.linalg.qr(moments @ ordered)[0]
    return renewed, order
