"""Under which names a file has energies, forces, stresses and virials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from gnnformd.errors import InputError
from gnnformd.trajectory.formats.frame_states import FrameStates, differences

__all__ = ["Target", "TargetNames", "target_keys"]

Target: TypeAlias = Literal["energy", "forces", "stress", "virial", "config_type", "charges"]
"""What `TargetNames` finds."""

CANDIDATES: dict[Target, tuple[str, ...]] = {
    "energy": ("ref_energy", "dft_energy", "free_energy", "energy"),
    "forces": ("ref_forces", "ref_force", "dft_forces", "dft_force", "forces", "force"),
    "stress": ("ref_stress", "dft_stress", "stress"),
    "virial": ("ref_virial", "ref_virials", "dft_virial", "dft_virials", "virial", "virials"),
    "config_type": ("config_type", "group"),
    "charges": ("ref_charges", "dft_charges", "charges", "charge", "initial_charges", "q"),
}
"""The first one that a file has is taken, but for charges, which are used where they are asked for alone; prefixes may
be in capitals."""

SIMILAR: dict[Target, tuple[str, int]] = {"energy": ("energy", 1), "stress": ("stress", 6), "virial": ("virial", 6)}
"""Part of names that may be meant for a target, and the fewest numbers it has."""

NOT_MEANT = ("weight", "sigma", "kinetic")
"""Parts of names that are not."""

OF_LAMMPS = ("Potential_energy", "Stress")
"""Names of LAMMPS's ``dump extxyz``, which the reader knows."""

UNUSED = ("energy_sigma", "force_sigma", "virial_sigma", "force_atom_sigma", "force_component_sigma", "force_mask")
"""Weights of GAP."""

FAMILIES = ("ref", "dft", "")
"""Prefixes of these names, in this order."""


class TargetNames:
    """The names under which files have what a model learns.

    The first frame that has a target chooses its name, by the order of `CANDIDATES`, for all frames. Names with
    ``REF_`` or ``dft_`` stand before those without, since a file with both has predictions under the latter, and
    ``free_energy`` before ``energy``, since the forces are its gradient where electrons have a temperature.

    Parameters
    ----------
    given
        Names to take instead, by target.

    Attributes
    ----------
    chosen
        The name of each target that was found.
    states
        What else the energies of frames depend on, as far as the files say it.
    """

    def __init__(self, given: Mapping[Target, str] | None = None) -> None:
        self.given = dict(given or {})
        self.chosen: dict[Target, str] = {}
        self._others: dict[Target, set[str]] = {}
        self._virial_family: str | None = None
        self._unused_charges: str | None = None
        self._similar: dict[Target, str] = {}
        self._unused: set[str] = set()
        self.states = FrameStates()

    def find(self, target: Target, values: Mapping[str, Any], where: str) -> Any:
        """Take the value of a target from those of a frame by their names, or None.

        Raises
        ------
        InputError
            The frame has not the chosen name, but another that fits.
        """
        if target in self.given:
            name = self.given[target]
            if name in values:
                self.chosen[target] = name
            return values.get(name)
        order = CANDIDATES[target]
        present = sorted((name for name in values if _plain(name) in order), key=lambda name: order.index(_plain(name)))
        if not present:
            if target not in self._similar and (similar := _similar(target, values)) is not None:
                self._similar[target] = similar
            return None
        name = self.chosen.setdefault(target, present[0])
        if name not in present:
            raise InputError(
                f"{where}: the frame has '{present[0]}', but frames before it '{name}', and they need not be the same; "
                f"name one with data.keys.{target}."
            )
        different = {other for other in present if not _equal(values[name], values[other])}
        self._others.setdefault(target, set()).update(different)
        return values[name]

    def find_virial(self, values: Mapping[str, Any], where: str) -> tuple[Any, Any]:
        """Take a virial and a stress, of the same calculation; None for what a frame has not.

        Raises
        ------
        InputError
            See `find`.
        """
        both: tuple[Target, ...] = ("virial", "stress")
        if self.given.keys() & set(both):
            virial, stress = (self.find(target, values, where) if target in self.given else None for target in both)
            return virial, stress
        present = {name for name in values for target in both if _plain(name) in CANDIDATES[target]}
        if self._virial_family is None and present:
            self._virial_family = min(map(_family, present), key=FAMILIES.index)
        others = {name for name in present if _family(name) != self._virial_family}
        left = {name: value for name, value in values.items() if name not in others}
        virial, stress = (self.find(target, left, where) for target in both)
        if others:
            target = next(t for t in both if t in self.chosen)
            self._others[target] |= others
        return virial, stress

    def find_charges(self, values: Mapping[str, Any], where: str) -> Any:
        """Take the charges of atoms where a name is given for them, else None; it is noted if there are some.

        Charges of an electronic structure code depend on how it divides the electrons, and need not be those that
        forces follow from.

        Raises
        ------
        InputError
            The frame has not the given name.
        """
        if "charges" not in self.given:
            order = CANDIDATES["charges"]
            self._unused_charges = self._unused_charges or next(
                (name for name in values if _plain(name) in order), None
            )
            return None
        name = self.given["charges"]
        found = self.find("charges", values, where)
        if found is None and name == "charge" and "charges" in values:  # ASE's name of this column
            self.chosen["charges"], found = name, values["charges"]
        if found is None:
            raise InputError(
                f"{where}: the frame has no '{name}', which data.keys.charges names; add charges to all frames, or "
                "remove the key."
            )
        return found

    def find_unused(self, values: Mapping[str, Any]) -> None:
        """Note weights that are not used."""
        self._unused.update(name for name in UNUSED if name in values)

    def notes(self) -> list[str]:
        """Say what was not taken: other values of a target, names that may be meant for one, charges, weights."""
        found = [
            f"{target} is taken from '{self.chosen[target]}', not from {_quoted(others)}; data.keys.{target} chooses."
            for target, others in self._others.items()
            if others
        ]
        known = {"virial", "stress"} if {"virial", "stress"} & self.chosen.keys() else set[str]()
        found += [
            f"no {target} is read, though there is '{name}'; data.keys.{target}={name} takes it."
            for target, name in self._similar.items()
            if target not in self.chosen.keys() | known
        ]
        if self._unused:
            found.append(
                f"{_quoted(self._unused)}, which weigh targets in GAP, are not used; config_energy_weight, "
                "config_forces_weight and config_virials_weight are."
            )
        if self._unused_charges is not None:
            found.append(
                f"charges of atoms ('{self._unused_charges}') are not used; data.keys.charges={self._unused_charges} "
                "takes them, if no atom's changes from frame to frame."
            )
        families = {target: _family(name) for target, name in self.chosen.items() if target in ("energy", "forces")}
        if len(set(families.values())) > 1 and not {"energy", "forces"} & self.given.keys():
            found.append(
                f"energy is taken from '{self.chosen['energy']}' and forces from '{self.chosen['forces']}', which need "
                "not be of the same calculation; data.keys names others."
            )
        return found + differences(self.states.values)

    def check_given(self, source: Path, *, isolated_atoms: bool = False) -> None:
        """Refuse given names that no frame had.

        Parameters
        ----------
        source
            The file.
        isolated_atoms
            Whether the file has nothing but isolated atoms, which need an energy only.

        Raises
        ------
        InputError
            Names the key.
        """
        for target, name in self.given.items():
            if target not in self.chosen and (target == "energy" or not isolated_atoms):
                raise InputError(f"{source}: no frame has '{name}', which data.keys.{target} names; correct the name.")


def target_keys(options: list[str]) -> dict[Target, str]:
    """Read names given as ``TARGET=NAME``.

    Raises
    ------
    InputError
        One is not of this form, or there is no such target.
    """
    found: dict[Target, str] = {}
    for option in options:
        target, equals, name = option.partition("=")
        known = [t for t in get_args(Target) if t == target]
        if not known or not equals or not name:
            raise InputError(
                f"--key {option}: is not of the form TARGET=NAME with one of {', '.join(get_args(Target))}; write for "
                "example --key energy=my_energy."
            )
        found[known[0]] = name
    return found


def _plain(name: str) -> str:
    """Name with a prefix in small letters; without one it stays: ``Stress`` of LAMMPS is no ``stress``."""
    return name[:4].lower() + name[4:] if name[:4].lower() in ("ref_", "dft_") else name


def _similar(target: Target, values: Mapping[str, Any]) -> str | None:
    """First name that may be meant for a target."""
    if target not in SIMILAR:
        return None
    import numpy as np

    part, count = SIMILAR[target]
    for name, value in values.items():
        lower = name.lower()
        if part in lower and name not in OF_LAMMPS and not any(other in lower for other in NOT_MEANT):
            numbers = np.asarray(value)
            if numbers.dtype.kind in "fiu" and numbers.size in (count, 9 if count > 1 else 1):
                return name
    return None


def _family(name: str) -> str:
    """Prefix of a name: where values come from the same calculation, it is the same."""
    return _plain(name)[:3] if _plain(name)[:4] in ("ref_", "dft_") else ""


def _quoted(names: set[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


def _equal(one: Any, other: Any) -> bool:
    try:
        import numpy as np  # help is asked for more often than data are read

        return one is other or np.array_equal(np.asarray(one, dtype=float), np.asarray(other, dtype=float))
    except (TypeError, ValueError):
        return str(one) == str(other)
