"""Isolated atoms in data: their energies are the zero of energy of each element, and nothing is learned from them."""

from __future__ import annotations

import itertools

import numpy as np

from gnnformd.errors import InputError
from gnnformd.trajectory.frame import Frame
from gnnformd.units import SHOWN

__all__ = ["IsolatedAtoms", "is_isolated_atom", "names_isolated_atom"]

_APART = 8.0  # angstrom; neighbors in crystals with one atom a cell are closer, boxes for single atoms are wider
_NO_FORCE = 0.1  # kcal/mol/angstrom, less than what is left by grids of electronic structure codes
_TOLERANCE = 1e-3  # kcal/mol


def is_isolated_atom(frame: Frame) -> bool:
    """Whether a frame is one atom without neighbors.

    It is called so (``config_type``), or has an energy, no force, and no periodic image nearby.
    """
    if len(frame.types) != 1:
        return False
    free = frame.forces is None or float(np.abs(frame.forces).max()) < _NO_FORCE
    return _called_isolated(frame) or (frame.energy is not None and free and _nearest_image(frame) >= _APART)


def names_isolated_atom(config_type: str) -> bool:
    """Whether a kind of configuration is that of isolated atoms."""
    name = "".join(letter for letter in config_type.lower() if letter.isalnum())
    return name in ("isolated", "isolatedatom", "isolatedatoms")


class IsolatedAtoms:
    """Energies of isolated atoms, by the name of their type.

    Parameters
    ----------
    units
        Unit style of the data, in whose units a sentence on them speaks.

    Attributes
    ----------
    energies
        kcal/mol, by name.
    """

    def __init__(self, units: str = "real") -> None:
        self._shown = SHOWN.get(units, SHOWN["real"])
        self.energies: dict[str, float] = {}
        self._sources: dict[str, object] = {}

    def take(self, frame: Frame, source: object) -> bool:
        """Whether a frame is an isolated atom, by `is_isolated_atom`.

        Raises
        ------
        InputError
            A frame of several atoms is called an isolated one.
        """
        if len(frame.types) != 1 and _called_isolated(frame):
            raise InputError(
                f"{source}: {frame.name} has config_type '{frame.config_type}', but "
                f"{len(frame.types)} atoms; correct one of them."
            )
        return is_isolated_atom(frame)

    def add(self, name: str, energy: float, source: object) -> None:
        """Remember the energy of an atom, kcal/mol.

        Raises
        ------
        InputError
            It is already known, with another value.
        """
        known = self.energies.setdefault(name, energy)
        before = self._sources.setdefault(name, source)
        if abs(known - energy) > _TOLERANCE:
            here, there = self._shown.energy * energy, self._shown.energy * known
            raise InputError(
                f"{source}: the isolated atom {name} has the energy {here:.8g} {self._shown.energy_unit}, but one in "
                f"{before} {there:.8g}; keep the one that was computed as the other data were."
            )


def _called_isolated(frame: Frame) -> bool:
    return names_isolated_atom(frame.config_type or "")


def _nearest_image(frame: Frame) -> float:
    """Distance of an atom from its nearest periodic image, angstrom."""
    steps = [(-2, -1, 0, 1, 2) if periodic else (0,) for periodic in frame.periodic]
    shifts = np.array([step for step in itertools.product(*steps) if any(step)]).reshape(-1, 3)
    return float(np.min(np.linalg.norm(shifts @ frame.cell, axis=1), initial=np.inf))
