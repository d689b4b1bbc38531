"""What the commands in a log of LAMMPS say about pairs of atoms, beyond epsilon and sigma."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from gnnformd.reference.extract import plain_style
from gnnformd.reference.pair_styles import LENNARD_JONES
from gnnformd.reference.script import words

__all__ = ["PairCommands"]


class PairCommands:
    """The commands that were in force at the end of a run.

    Parameters
    ----------
    log
        Of the run; without it, or without a ``pair_style`` in it, nothing is known.

    Attributes
    ----------
    style
        Pair style without the suffix of an accelerator package, or None.
    cutoff
        Of Lennard-Jones in the ``pair_style`` line, in the units of the run, or None.
    tail
        Whether energies and pressures have tail corrections.
    dielectric
        By which Coulomb energies are divided.
    """

    def __init__(self, log: Path) -> None:
        self._forget()
        printed = False
        for text in log.read_text(errors="replace").splitlines() if log.is_file() else ():
            parts = words(text)
            if printed:  # what `print` wrote, which may look like a command
                printed = False
                continue
            printed = len(parts) > 1 and parts[0] == "print" and not _is_silent(parts[2:])
            if len(parts) > 1 and "$" not in text:  # lines with variables are followed by one with their values
                try:
                    self._see(parts[0], parts[1:])
                except (ValueError, IndexError):  # such a line is not one that LAMMPS executed
                    continue
            elif parts == ["clear"]:
                self._forget()

    def _forget(self) -> None:
        self.style: str | None = None
        self.cutoff: float | None = None
        self.tail = False
        self.dielectric = 1.0
        self._coefficients: list[tuple[str, str, float, float | None]] = []

    def _see(self, name: str, values: list[str]) -> None:
        if name == "dielectric":
            self.dielectric = float(values[0])
        elif name == "pair_style":
            self._new_style(values)
        elif name == "pair_modify" and "tail" in values:
            self.tail = values[values.index("tail") + 1] in ("yes", "on", "true")
        elif name == "pair_coeff" and self.cutoff is not None:
            own = float(values[4]) if values[4:] else None
            self._coefficients.append((values[0], values[1], float(values[2]), own))

    def _new_style(self, values: list[str]) -> None:
        style = plain_style(values[0])
        place = LENNARD_JONES.get(style)
        self.cutoff = None if place is None else float(values[place - 1])
        self.tail &= style == self.style  # the same style again keeps all but the cutoffs
        self.style, self._coefficients = style, []

    def lj_cutoffs(self, epsilons: Sequence[float]) -> list[float]:
        """Cutoffs of all pairs with Lennard-Jones, smallest first, each once, in the units of the run.

        Where ``pair_coeff`` gives a pair of types its own one, that. Cutoffs of pairs that follow from those of two
        types lie between them. Types that no command names have the cutoff of the ``pair_style`` line.

        Parameters
        ----------
        epsilons
            Of each type.
        """
        if self.cutoff is None:
            return []
        own: dict[tuple[int, int] | tuple[str, str], float] = {
            (t, t): self.cutoff for t, epsilon in enumerate(epsilons, start=1) if epsilon > 0
        }
        for one, other, epsilon, cutoff in self._coefficients:
            for key in _pairs(one, other, len(epsilons)):
                if epsilon > 0:
                    own[key] = self.cutoff if cutoff is None else cutoff
                else:
                    own.pop(key, None)
        return sorted(set(own.values()))


def _pairs(one: str, other: str, count: int) -> list[tuple[int, int] | tuple[str, str]]:
    """Pairs of types that two words of ``pair_coeff`` mean: numbers, ranges with an asterisk, or labels."""
    try:
        firsts, seconds = _numbers(one, count), _numbers(other, count)
    except ValueError:
        return [(one, other)]
    return [(min(a, b), max(a, b)) for a in firsts for b in seconds]


def _numbers(word: str, count: int) -> range:
    low, star, high = word.partition("*")
    return range(int(low or 1), int(high or (count if star else low)) + 1)


def _is_silent(options: Sequence[str]) -> bool:
    """Whether options of ``print`` keep its text out of the log."""
    return any(one == "screen" and other in ("no", "off", "false") for one, other in pairwise(options))
