"""Numbers for the types of data that name elements only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gnnformd.errors import InputError

__all__ = ["ElementTypes"]


class ElementTypes:
    """Type numbers (from 1) of elements.

    Where no order is given, the elements of the first frame are numbered by ascending atomic number; names that are
    no elements come after them, in alphabetical order.

    Parameters
    ----------
    names
        The elements in the order of their types, or None to take them from the first frame.

    Attributes
    ----------
    names
        The elements in the order of their types, None as long as no frame was seen.
    """

    def __init__(self, names: Sequence[str] | None = None) -> None:
        self.names: tuple[str, ...] | None = None if names is None else tuple(names)

    def numbers(self, elements: Iterable[str], where: str) -> list[int]:
        """Type of each of ``elements``; ``where`` opens the error message.

        Raises
        ------
        InputError
            An element is not among the names.
        """
        elements = list(elements)
        if self.names is None:
            from ase.data import atomic_numbers

            self.names = tuple(sorted(set(elements), key=lambda name: (atomic_numbers.get(name, 1000), name)))
        number = {name: k for k, name in enumerate(self.names, start=1)}
        for name in elements:
            if name not in number:
                raise InputError(
                    f"{where}: element {name} is not one of {', '.join(self.names)}; "
                    f"name all elements with a force field or with 'elements'."
                )
        return [number[name] for name in elements]
