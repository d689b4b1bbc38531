"""Leaving parts of a network as they are."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import nn

from gnnformd.errors import InputError

__all__ = ["freeze"]


def freeze(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Exclude parameters from training.

    Parameters
    ----------
    model
        The network.
    patterns
        Names of parameters or of parts of the network; ``*`` and ``?`` stand for anything.

    Returns
    -------
    list of str
        Names of the frozen parameters.

    Raises
    ------
    InputError
        A pattern matches nothing, or nothing is left to train.
    """
    parameters = dict(model.named_parameters())
    frozen: set[str] = set()
    for pattern in patterns:
        matched = {name for name in parameters if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")}
        if not matched:
            parts = [name for name, _ in model.named_modules() if name]
            near = get_close_matches(pattern.removesuffix(".*"), parts, n=1, cutoff=0) or [parts[0]]
            raise InputError(f"training.freeze: nothing in the model is named '{pattern}'; the nearest is '{near[0]}'.")
        frozen |= matched
    if len(frozen) == len(parameters):
        raise InputError("training.freeze: every parameter is frozen and nothing is left to train; remove a pattern.")
    for name in frozen:
        parameters[name].requires_grad_(False)
    return sorted(frozen)
