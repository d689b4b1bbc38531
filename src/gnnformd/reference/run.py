"""ReferenceRun: a folder with what a LAMMPS simulation left behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnnformd.errors import InputError
from gnnformd.force_field import ForceField
from gnnformd.yaml_files import read_mapping

__all__ = ["ReferenceRun"]


@dataclass(frozen=True)
class ReferenceRun:
    """A folder made by ``gnnformd generate``.

    It holds ``trajectory.dump`` (positions and forces, full precision, in the units of the input, which it says unless
    they are ``real``), ``topology.data`` (LAMMPS data file with charges and bonds, in ``real``), ``thermo.csv`` (step,
    temperature, pressure, energies, volume at the dumped steps, in ``real``), ``reference.yaml`` (system, versions,
    seed, units, names of types, force field) and ``log.lammps``.

    Attributes
    ----------
    folder
        Where the files are.
    manifest
        The mapping in ``reference.yaml``.
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def trajectory(self) -> Path:
        """Dump with positions and forces."""
        return self.folder / "trajectory.dump"

    @property
    def topology(self) -> Path:
        """LAMMPS data file with types, charges, molecules and bonds."""
        return self.folder / "topology.data"

    @property
    def thermo(self) -> Path:
        """Table of energy, pressure, temperature and volume."""
        return self.folder / "thermo.csv"

    @property
    def force_field(self) -> ForceField | None:
        """The force field of the run, if it is known."""
        data = self.manifest.get("force_field")
        return None if data is None else ForceField.from_dict(data, str(self.folder / "reference.yaml"))

    @property
    def type_names(self) -> tuple[str, ...] | None:
        """Name of each atom type, if they are known."""
        names = self.manifest.get("type_names")
        return None if names is None else tuple(map(str, names))

    @property
    def held_atoms(self) -> int:
        """How many atoms never move."""
        return int(self.manifest.get("held_atoms", 0))

    @classmethod
    def open(cls, folder: Path) -> ReferenceRun:
        """Open an existing folder.

        Raises
        ------
        InputError
            The folder does not contain a complete reference run.
        """
        path = folder / "reference.yaml"
        if not path.is_file():
            if folder.is_file():
                raise InputError(
                    f"{folder}: is a file, not a reference run; give a folder made by 'gnnformd generate', which has "
                    "temperatures and pressures beside the frames."
                )
            raise InputError(f"{path}: no such file; give a folder made by 'gnnformd generate'.")
        return cls(folder, read_mapping(path))
