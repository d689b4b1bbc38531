"""Which frames of a file can be learned from: not all need forces, but some do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gnnformd.errors import InputError
from gnnformd.trajectory.formats.target_names import TargetNames
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.isolated_atoms import is_isolated_atom

__all__ = ["LearnableFrames", "possible_forces"]


class LearnableFrames:
    """Looks at the frames of a file one after the other.

    Frames whose weights are all zero are left out. Isolated atoms need no forces, nor do other frames that have an
    energy or a virial, if others of the file have forces.

    Parameters
    ----------
    path
        The file.
    names
        Names that are given for what the file has.
    required
        Whether forces are needed at all; without it every frame is kept.
    """

    def __init__(self, path: Path, names: TargetNames, *, required: bool) -> None:
        self._path = path
        self._names = names
        self._required = required
        self._with_forces = False
        self._first_without: Frame | None = None
        self._columns = ""

    def keeps(self, frame: Frame, columns: Sequence[str], fault: InputError) -> bool:
        """Whether the frame is to be kept.

        Parameters
        ----------
        frame
            The next one.
        columns
            Names of what may be its forces (see `possible_forces`).
        fault
            To raise if it has no target and needs one.

        Raises
        ------
        InputError
            It has nothing to learn.
        """
        if not self._required or is_isolated_atom(frame):
            return True
        if not any(frame.weights):
            return False
        if frame.forces is not None:
            self._with_forces = True
        elif frame.energy is None and frame.virial is None:
            raise fault
        elif self._first_without is None:
            self._first_without, self._columns = frame, ", ".join(columns) or "none"
        return True

    def finish(self) -> None:
        """Check the file as a whole.

        Raises
        ------
        InputError
            No frame has forces.
        """
        if self._first_without is None or self._with_forces:
            return
        self._names.check_given(self._path)
        if self._first_without.weights[0] == 0:
            raise InputError(
                f"{self._path}: all forces have weight zero, and forces are needed; set config_forces_weight above "
                "zero in some frames."
            )
        targets = "virials" if self._first_without.energy is None else "energies"
        raise InputError(
            f"{self._path}: has {targets} only, and forces are needed, too; compute them by the same method, or, if "
            "the file has them under another name, give it as data.keys.forces (columns of three numbers: "
            f"{self._columns})."
        )


def possible_forces(arrays: dict[str, Any], atoms: int) -> list[str]:
    """Names of arrays, other than positions, that have three numbers for each atom."""
    return sorted(name for name, array in arrays.items() if np.shape(array) == (atoms, 3) and name != "positions")
