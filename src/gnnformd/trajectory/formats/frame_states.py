"""What energies of frames depend on beside the atoms, and models are not told: charge, spin, fields, the theory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["FrameStates", "differences"]

_NAMES = {
    "charge": ("charge", "total_charge", "net_charge", "molecular_charge", "system_charge"),
    "spin": ("spin", "total_spin", "multiplicity", "spin_multiplicity"),
    "parameter": ("fparam", "aparam"),
    "field": ("electric_field", "external_field", "efield", "magnetic_field"),
    "electronic temperature": ("electronic_temperature", "electron_temperature"),
    "theory": ("head", "theory", "level_of_theory", "functional", "xc", "xc_functional", "basis", "basis_set"),
}
"""Names that files have for each, in small letters, with ``_`` or ``-`` or without, and with ``REF_`` or ``DFT_``."""

_KINDS = {name.replace("_", ""): kind for kind, names in _NAMES.items() for name in names}
_MOST = 20  # values of a name that are kept
_SHOWN = 4


class FrameStates:
    """Collects the values of these quantities from the frames of some files.

    Attributes
    ----------
    values
        Those of each name in a file, in the order in which they were met; the first twenty.
    """

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}

    def add(self, info: Mapping[str, Any]) -> None:
        """Note what a frame says of itself."""
        for name, value in info.items():
            if _kind(name) is not None and value is not None:
                known, text = self.values.setdefault(name, []), _text(value)
                if text not in known and len(known) < _MOST:
                    known.append(text)


def differences(values: Mapping[str, Iterable[str]]) -> list[str]:
    """Say what frames differ in, a sentence for each name that has several values."""
    found = []
    for name, several in values.items():
        each = list(dict.fromkeys(several))
        if len(each) > 1:
            shown = ", ".join(each[:_SHOWN]) + (", ..." if len(each) > _SHOWN else "")
            found.append(
                f"frames differ in '{name}' ({shown}), of which a model is not told: it learns an average over frames "
                "that are not comparable; take those of one value."
            )
    return found


def _kind(name: str) -> str | None:
    plain = name.lower().replace("_", "").replace("-", "")
    return _KINDS.get(plain) or _KINDS.get(plain.removeprefix("ref").removeprefix("dft"))


def _text(value: Any) -> str:
    import numpy as np  # help is asked for more often than data are read

    numbers = np.asarray(value)
    if numbers.dtype.kind in "fiub":
        rounded = [f"{number:.6g}" for number in (numbers.astype(float) + 0.0).ravel().tolist()]
        return rounded[0] if len(rounded) == 1 else f"({' '.join(rounded)})"
    return str(value)[:40]
