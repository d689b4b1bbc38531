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
            for parameter in group["params"]:
                if parameter.grad is not None:
                    if parameter.ndim == 2:
                        parameter.mul_(1.0 - group["lr"] * self.shrinkage)
                    parameter.sub_(self._update(parameter, group["decay"], group["every"]), alpha=group["lr"])
        return loss

    def _update(self, parameter: Tensor, decay: float, every: int) -> Tensor:
        """Return the step for a learning rate of 1, and renew what is remembered."""
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        matrix = gradient.ndim == 2 and min(gradient.shape) > 1
        if not state:
            state["steps"] = torch.zeros(())
            state["mean"], state["squares"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
            if matrix:
                state["left"], state["right"] = gradient @ gradient.T, gradient.T @ gradient
                state["left_basis"], state["right_basis"] = _eigenvectors(state["left"]), _eigenvectors(state["right"])
        state["steps"] += 1
        left, right = (state["left_basis"], state["right_basis"]) if matrix else (None, None)
        state["mean"].lerp_(gradient, 1.0 - decay)
        state["squares"].lerp_(_rotated(gradient, left, right).square(), 1.0 - decay)
        known = 1.0 - decay ** float(state["steps"])
        size = (state["squares"] / known).sqrt() + SMALLEST
        update: Tensor = _rotated(state["mean"], left, right) / (known * size)
        if left is None or right is None:
            return update
        update = _rotated(update, left.T, right.T)
        state["left"].lerp_(gradient @ gradient.T, 1.0 - decay)
        state["right"].lerp_(gradient.T @ gradient, 1.0 - decay)
        if int(state["steps"]) % every == 0:
            for side, axis in (("left", 0), ("right", 1)):
                basis, order = _renewed(state[f"{side}_basis"], state[side])
                state[f"{side}_basis"], state["squares"] = basis, state["squares"].index_select(axis, order)
        return update


def _rotated(matrix: Tensor, left: Tensor | None, right: Tensor | None) -> Tensor:
    """Return ``Q_L^T M Q_R``."""
    if left is None or right is None:
        return matrix
    rotated: Tensor = left.T @ matrix @ right
    return rotated


def _eigenvectors(moments: Tensor) -> Tensor:
    """Eigenvectors as columns, largest eigenvalue first; those of a matrix that is not finite do not matter."""
    if not moments.isfinite().all():
        return torch.eye(len(moments)).to(moments)
    vectors: Tensor = torch.linalg.eigh(moments)[1].flip(1)
    return vectors


def _renewed(basis: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
    """Do a step of orthogonal iteration; also return the order in which it takes the columns before."""
    order = (basis * (moments @ basis)).sum(0).argsort(descending=True, stable=True)
    renewed: Tensor = torch.linalg.qr(moments @ basis[:, order])[0]
    return renewed, order
