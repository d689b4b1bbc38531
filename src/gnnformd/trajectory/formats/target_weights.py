"""Weights of frames in extended XYZ, under the names that MACE gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnformd.errors import InputError
from gnnformd.trajectory.frame import TargetWeights

__all__ = ["target_weights"]

_NAMES: dict[str, tuple[str, ...]] = {
    "forces": ("config_forces_weight", "config_force_weight"),
    "energy": ("config_energy_weight",),
    "virial": ("config_virials_weight", "config_virial_weight", "config_stress_weight"),
}
_WHOLE = "config_weight"


def target_weights(values: Mapping[str, Any], where: str) -> TargetWeights:
    """Weights of a frame: ``config_weight`` times ``config_forces_weight`` and so on, 1 for what is not given.

    Parameters
    ----------
    values
        What the frame has, by name.
    where
        Beginning of error messages.

    Raises
    ------
    InputError
        A weight is negative or not a number, or two of the same target differ.
    """
    whole = _number(values, _WHOLE, where)
    found = {}
    for target, names in _NAMES.items():
        given = [name for name in names if name in values]
        weights = {_number(values, name, where) for name in given}
        if len(weights) > 1:
            raise InputError(
                f"{where}: {' and '.join(map(repr, given))} differ, but weigh the same {target}; remove all but one."
            )
        found[target] = whole * (weights.pop() if weights else 1.0)
    return TargetWeights(**found)


def _number(values: Mapping[str, Any], name: str, where: str) -> float:
    value = values.get(name, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < np.inf:
        raise InputError(f"{where}: {name} is '{str(value)[:40]}'; write a number that is not negative.")
    return float(value)
