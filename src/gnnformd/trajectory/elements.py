"""Type numbers for data with element names only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gnnformd.errors import InputError

__all__ = ["ElementTypes"]


class ElementTypes:
    """Type numbers (from 1) of elements.

    Where no order is given, the elements of the first frame are numbered by ascending atomic number (other names
    after them, in alphabetical order), and those that appear later follow in the same way.

    Parameters
    ----------
    names
        The elements in the order of their types, or None to take them from the first frame.

    Attributes
    ----------
    names
        The elements in the order of their types, None before the first frame.
    """

    def __init__(self, names: Sequence[str] | None = None) -> None:
        self.names: tuple[str, ...] | None = None if names is None else tuple(names)
        self._given = names is not None

    def numbers(self, elements: Iterable[str], where: str) -> list[int]:
        """Type of each of ``elements``; ``where`` starts the error message.

        Raises
        ------
        InputError
            An element is not among the given names.
        """
        elements = list(elements)
        new = set(elements) - set(self.names or ())
        if new and self._given:
            raise InputError(
                f"{where}: element {min(new)} is not one of {', '.join(self.names or ())}; "
                "list all elements in a force field or in 'elements'."
            )
        if new:
            from ase.data import atomic_numbers

            later = sorted(new, key=lambda name: (atomic_numbers.get(name, len(atomic_numbers)), name))
            self.names = (*(self.names or ()), *later)
        number = {name: k for k, name in enumerate(self.names or (), start=1)}
        return [number[name] for name in elements]
