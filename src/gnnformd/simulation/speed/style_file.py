"""A force field of LAMMPS as a file of its commands, run on a structure beside a model."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.reference.convert import convert_data_file
from gnnformd.reference.library import lammps_errors, open_lammps, potentials_at_hand
from gnnformd.reference.plain_path import plain_path
from gnnformd.reference.script import ScriptLine, read_script
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.start import Start
from gnnformd.trajectory.formats.repeat_data_file import repeat_data_file
from gnnformd.units import Units

if TYPE_CHECKING:
    from lammps import lammps

__all__ = ["StyleFile", "StyleRun", "atoms_by_id"]

Float = NDArray[np.float64]

_BONDED = ("bond", "angle", "dihedral", "improper")
_COMMANDS = {
    "units",
    "newton",
    "variable",
    "special_bonds",
    "dielectric",
    "neighbor",
    "neigh_modify",
    "comm_modify",
    "kspace_style",
    "kspace_modify",
    *(f"{kind}_{end}" for kind in ("pair", *_BONDED) for end in ("style", "coeff", "modify")),
}
_BEFORE_ATOMS = ("newton",)
_WIDE_SKIN = ("si", "cgs")
"""Unit styles in which LAMMPS's neighbor lists reach a millimeter beyond the cutoff, if it is told nothing."""


@dataclass(frozen=True)
class StyleFile:
    """Commands of LAMMPS that define a force field: ``units``, ``pair_style``, ``pair_coeff`` and the like.

    Attributes
    ----------
    path
        The file; files that its commands name are found beside it, and potentials that come with LAMMPS by name.
    lines
        The commands but ``units``.
    units
        Those of the file.
    pair_style
        The last one that is defined.
    """

    path: Path
    lines: tuple[ScriptLine, ...]
    units: Units
    pair_style: str

    @classmethod
    def read(cls, path: Path) -> StyleFile:
        """Read the file.

        Raises
        ------
        InputError
            It cannot be read, does not say its units, defines no pair style, or does something else.
        """
        lines = [line for line in read_script(path).files[path] if line.words]
        for line in lines:
            if line.words[0] not in _COMMANDS:
                raise InputError(
                    f"{line}: '{line.words[0]}' defines no force field; leave only units, pair_style, pair_coeff and "
                    "what else belongs to the potential in the file: the structure and the run are given already."
                )
        named = [line for line in lines if line.words[0] == "units"]
        if len(named) != 1 or len(named[0].words) < 2:
            raise InputError(
                f"{path}: does not say the units of the potential once; write them as the first line, such as "
                "'units metal'."
            )
        styles = [line for line in lines if line.words[0] == "pair_style" and len(line.words) > 1]
        if not styles:
            raise InputError(f"{path}: has no pair_style; write it and its pair_coeff lines.")
        units = Units.named(" ".join(named[0].words[1:]), str(named[0]))
        rest = tuple(line for line in lines if line.words[0] != "units")
        return cls(path, rest, units, styles[-1].words[1])

    def check_elements(self, start: Start, names: Sequence[str]) -> None:
        """Refuse a file that maps a type of the structure to another element.

        Parameters
        ----------
        start
            The structure.
        names
            Names of its types.

        Raises
        ------
        InputError
            Names the type and both elements.
        """
        from ase.data import atomic_numbers

        count = len(names)
        for line in self.lines:
            found = line.words[-count:]
            if line.words[:3] != ["pair_coeff", "*", "*"] or len(line.words) < 4 + count:
                continue
            if not all(name == "NULL" or name in atomic_numbers for name in found):
                continue
            for number, (name, known) in enumerate(zip(found, names, strict=True), start=1):
                if name not in ("NULL", known) and known in atomic_numbers:
                    raise InputError(
                        f"{line}: maps type {number} to {name}, but it is {known} in {start.source}; write the "
                        f"elements in the order of its types: {' '.join(names)}."
                    )


class StyleRun:
    """LAMMPS with the force field of a file, on a structure.

    Parameters
    ----------
    file
        The force field.
    start
        The structure.
    masses
        Of its types, g/mol.
    names
        Of its types.
    settings
        Temperature, timestep and seed.

    Raises
    ------
    InputError
        The force field does not fit the structure, or LAMMPS refuses it; the line is named.
    """

    def __init__(
        self, file: StyleFile, start: Start, masses: Float, names: Sequence[str], settings: SimulationSettings
    ) -> None:
        file.check_elements(start, names)
        self._file = file
        self._hint = f"; the types of {start.source} are {', '.join(f'{t} {name}' for t, name in enumerate(names, 1))}"
        self._lmp = open_lammps()
        try:
            self._set_up(start, masses, settings)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End LAMMPS."""
        self._lmp.close()

    def run(self, steps: int) -> None:
        """Move the atoms.

        Raises
        ------
        InputError
            LAMMPS gives up.
        """
        with lammps_errors(str(self._file.path)):
            self._lmp.command(f"run {steps}")

    def forces_at(self, positions: Float) -> Float:
        """Put the atoms somewhere and give the forces there, kcal/mol/angstrom; rows by ascending id, (N, 3)."""
        count = int(self._lmp.get_natoms())
        arrays = self._lmp.numpy
        order = np.argsort(arrays.extract_atom("id", nelem=count))
        arrays.extract_atom("x", nelem=count, dim=3)[order] = positions / self._file.units.length
        self.run(0)
        return atoms_by_id(self._lmp, "f") * self._file.units.force

    def _set_up(self, start: Start, masses: Float, settings: SimulationSettings) -> None:
        units = self._file.units
        first = [line for line in self._file.lines if line.words[0] in _BEFORE_ATOMS]
        with tempfile.TemporaryDirectory(prefix="gnnformd-") as folder:
            data = Path(folder) / "structure.data"
            _write_in(units, start, data)
            with lammps_errors(str(start.source)):
                self._lmp.command(f"units {units.style}")
            self._do(first)
            with plain_path(data) as plain, lammps_errors(str(start.source)):
                for command in (
                    f"atom_style {start.atom_style}",
                    f"boundary {' '.join(start.boundary)}",
                    f'read_data "{plain}"',
                    *((f"neighbor {2.0 / units.length!r} bin",) if units.style in _WIDE_SKIN else ()),
                    *(f"mass {t} {mass / units.mass!r}" for t, mass in enumerate(masses.tolist(), start=1)),
                ):
                    self._lmp.command(command)
        self._do([line for line in self._file.lines if line not in first])
        temperature, timestep = settings.temperature / units.temperature, settings.timestep / units.time
        with lammps_errors(str(self._file.path)):
            for command in (
                f"timestep {timestep!r}",
                f"velocity all create {temperature!r} {settings.seed} mom yes rot no dist gaussian loop geom",
                f"fix ensemble all nvt temp {temperature!r} {temperature!r} {100 * timestep!r}",
            ):
                self._lmp.command(command)
        try:
            self.run(0)  # names coefficients that are missing
        except InputError as error:
            raise InputError(f"{str(error).removesuffix('.')}{self._hint}.") from error

    def _do(self, lines: Sequence[ScriptLine]) -> None:
        """Give commands to LAMMPS where the files that they name are found."""
        with contextlib.chdir(self._file.path.resolve().parent), potentials_at_hand():
            for line in lines:
                try:
                    with lammps_errors(str(line)):
                        self._lmp.command(line.text)
                except InputError as error:
                    hint = self._hint if line.words[0].endswith("_coeff") else ""
                    raise InputError(f"{str(error).removesuffix('.')}{hint}.") from error


def atoms_by_id(lmp: lammps, name: str) -> Float:
    """Give positions or forces by ascending id, (N, 3)."""
    count = int(lmp.get_natoms())
    order = np.argsort(lmp.numpy.extract_atom("id", nelem=count))
    found: Float = np.array(lmp.numpy.extract_atom(name, nelem=count, dim=3), dtype=np.float64)[order]
    return found


def _write_in(units: Units, start: Start, target: Path) -> None:
    """Write the structure as a data file in other units, without coefficients."""
    with tempfile.TemporaryDirectory(prefix="gnnformd-") as folder:
        plain = Path(folder) / "plain.data"
        repeat_data_file(start.path, plain, (1, 1, 1), start.source)
        _, _, rest = plain.read_text().partition("\n")
        plain.write_text(f"structure\n{rest}")
        convert_data_file(plain, target, _inverse(units), str(start.source))


def _inverse(units: Units) -> Units:
    """Give what one of ``real`` is in these units."""
    return Units(
        units.style,
        length=1.0 / units.length,
        time=1.0 / units.time,
        energy=1.0 / units.energy,
        mass=1.0 / units.mass,
        charge=1.0 / units.charge,
        temperature=1.0 / units.temperature,
        pressure=1.0 / units.pressure,
        pressure_of_energy=units.pressure_of_energy,
    )
