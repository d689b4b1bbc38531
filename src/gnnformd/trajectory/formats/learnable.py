"""Which frames of a file can be learned from: not all need forces, but some do."""

from __future__ import annotations

from gnnformd.errors import InputError
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.isolated_atoms import is_isolated_atom

__all__ = ["LearnableFrames"]


class LearnableFrames:
    """Looks at the frames of a file one after the other.

    Frames whose weights are all zero are left out. Isolated atoms need no forces, nor do other frames that have an
    energy or a virial, if others of the file have forces.

    Parameters
    ----------
    required
        Whether forces are needed at all; without it every frame is kept.
    """

    def __init__(self, *, required: bool) -> None:
        self._required = required
        self._with_forces = False
        self._fault: InputError | None = None

    def keeps(self, frame: Frame, fault: InputError) -> bool:
        """Whether the frame is to be kept.

        Parameters
        ----------
        frame
            The next one.
        fault
            To raise if it has no forces and needs them.

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
            return True
        if frame.energy is None and frame.virial is None:
            raise fault
        self._fault = self._fault or fault
        return True

    def finish(self) -> None:
        """Check the file as a whole.

        Raises
        ------
        InputError
            No frame has forces; says so of the first one.
        """
        if self._fault is not None and not self._with_forces:
            raise self._fault
