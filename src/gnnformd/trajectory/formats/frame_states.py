"""What energies of frames depend on beside the atoms, and models are not told: charge, spin, fields, the theory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["NONE", "FrameStates", "differences", "unlike", "zero"]

_NAMES = {
    "charge": ("charge", "total_charge", "net_charge", "molecular_charge", "system_charge"),
    "spin": ("spin", "total_spin", "multiplicity", "spin_multiplicity"),
    "parameter": ("fparam", "aparam"),
    "field": ("electric_field", "external_field", "efield", "magnetic_field"),
    "electronic temperature": ("electronic_temperature", "electron_temperature"),
    "theory": ("head", "theory", "level_of_theory", "functional", "xc", "xc_functional", "basis_set"),
}
"""Names that files have for each, in small letters, with ``_`` or ``-`` or without, and with ``REF_`` or ``DFT_``."""

_KINDS = {name.replace("_", ""): kind for kind, names in _NAMES.items() for name in names}

_ZERO_WHERE_NOT_SAID = ("charge", "field")

NONE = "none"
"""Stands for frames that do not have the value."""

_MOST = 20  # values of a name that are kept
_SHOWN = 4
_NUMBERS = 6  # of an array that are shown
_LETTERS = 40
_ROUNDING = 1e-12


class FrameStates:
    """Collects the values of these quantities from the frames of some files.

    Attributes
    ----------
    frames
        Frames that were met.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._values: dict[str, dict[str, int]] = {}

    def add(self, info: Mapping[str, Any]) -> None:
        """Note what a frame says of itself."""
        self.frames += 1
        for name, value in info.items():
            kind = _kind(name)
            if kind is not None and value is not None:
                known = self._values.setdefault(name, {})
                text = _text(value, whole=kind in ("charge", "spin")) if len(known) < _MOST else next(iter(known))
                known[text] = known.get(text, 0) + 1

    @staticmethod
    def knows(name: str) -> bool:
        """Whether this is a name of such a quantity."""
        return _kind(name) is not None

    @property
    def values(self) -> dict[str, list[str]]:
        """Values of each name in a file, in the order in which they were met: the first twenty, and `NONE`."""
        found = {}
        for name, known in self._values.items():
            found[name] = list(known)
            if sum(known.values()) < self.frames and not zero(name, known):
                found[name].append(NONE)
        return found


def zero(name: str, values: Iterable[str]) -> bool:
    """Whether frames without such a value are like those with these: no charge, no field, any spin."""
    return _kind(name) == "spin" or all(set(value) <= set("() 0") for value in values)


def differences(values: Mapping[str, Iterable[str]]) -> list[str]:
    """Say what frames differ in, a sentence for each name that has several values."""
    found = []
    for name, several in values.items():
        each = list(dict.fromkeys(several))
        if len(each) > 1:
            shown = ", ".join(each[:_SHOWN]) + (", ..." if len(each) > _SHOWN else "")
            found.append(
                f"frames differ in '{name}' ({shown}), of which a model is not told: where the same atoms "
                "have several values, it learns an average of what is not comparable; train on frames that share one."
            )
    return found


def unlike(known: Mapping[str, Iterable[str]], found: Mapping[str, Iterable[str]]) -> list[str]:
    """Say in what frames differ from the training data of a model: ``'charge' is 1, but 0 in the training data``.

    What only the frames name differs if it is a charge or a field that is not zero; what only the training data name
    is not known of the frames.

    Parameters
    ----------
    known, found
        `FrameStates.values` of the training data and of the frames.
    """
    there: dict[str, list[str]] = {}
    for name, values in known.items():
        there.setdefault(_quantity(name), []).extend(_values(name, values))
    kinds = {_kind(name) for name in known}
    differing = []
    for name, values in found.items():
        named = _quantity(name) in there
        trained = there.get(_quantity(name), ["0"])
        if len(trained) >= _MOST or (not named and (_kind(name) not in _ZERO_WHERE_NOT_SAID or _kind(name) in kinds)):
            continue  # there may have been more values, or the data do not say it
        other = [value for value in _values(name, values) if value not in trained and value != NONE]
        if other:
            said = ", ".join(list(dict.fromkeys(trained))[:_SHOWN]) if named else "not said"
            differing.append(f"'{name}' is {', '.join(other[:_SHOWN])}, but {said} in the training data")
    return differing


def _quantity(name: str) -> str:
    """Name what a name stands for: of charges alone the same numbers mean the same under all names."""
    kind = _kind(name)
    return kind if kind == "charge" else name.lower().replace("_", "").replace("-", "")


def _values(name: str, values: Iterable[str]) -> list[str]:
    """Write values of zero, and of frames without, alike for quantities that are zero where nothing is said."""
    if _kind(name) not in _ZERO_WHERE_NOT_SAID:
        return list(values)
    return ["0" if value == NONE or zero(name, [value]) else value for value in values]


def _kind(name: Any) -> str | None:
    if not isinstance(name, str):  # ASE keeps whatever a user names
        return None
    plain = name.lower().replace("_", "").replace("-", "")
    return _KINDS.get(plain) or _KINDS.get(plain.removeprefix("ref").removeprefix("dft"))


def _text(value: Any, *, whole: bool) -> str:
    """Write a value, short; ``whole`` numbers are rounded to hundredths, since sums of charges are not exact."""
    import numpy as np  # help is asked for more often than data are read

    try:
        numbers = np.asarray(_numbers_in(value) if isinstance(value, str) else value)
    except Exception:  # rows of different lengths, or whatever another program's object raises
        numbers = np.array(str(value))
    if numbers.dtype.kind not in "fiub":
        text = str(value).casefold()
        return text if len(text) <= _LETTERS else f"{text[:_LETTERS]}... {_digest(text.encode())}"
    if not np.any(np.abs(numbers.astype(np.float64)) > _ROUNDING):
        return "0" if numbers.size == 1 or numbers.size > _NUMBERS else f"({' '.join(['0'] * numbers.size)})"
    if numbers.size > _NUMBERS:
        return f"{numbers.size} numbers {_digest(np.asarray(numbers, dtype=np.float64).tobytes())}"
    rounded = np.round(numbers.astype(np.float64), 2) if whole else numbers.astype(np.float64)
    texts = [f"{number:.6g}" for number in (rounded + 0.0).ravel().tolist()]
    return texts[0] if len(texts) == 1 else f"({' '.join(texts)})"


def _numbers_in(text: str) -> str | list[float] | float:
    """Read a text such as ``+1`` or ``0.0, 0.0, 0.1`` as what it says, if it says numbers."""
    words = text.strip("[]() ").replace(",", " ").split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return text
    return text if not numbers else numbers[0] if len(numbers) == 1 else numbers


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:6]
