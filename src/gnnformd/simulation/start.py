"""Start: the data file a simulation begins with."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.force_field import ForceField
from gnnformd.trajectory.formats.data_file import read_topology, velocity_unit
from gnnformd.trajectory.formats.dump import MAX_SPEED
from gnnformd.trajectory.frame import Topology

if TYPE_CHECKING:
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["Start"]

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Start:
    """A LAMMPS data file.

    Attributes
    ----------
    path
        The file.
    topology
        Its content.
    """

    path: Path
    topology: Topology

    @classmethod
    def read(cls, path: Path) -> Start:
        """Read the file.

        Raises
        ------
        InputError
            It is not a LAMMPS data file.
        """
        return cls(path, read_topology(path))

    @property
    def atom_style(self) -> str:
        """LAMMPS's atom style with the columns of the file."""
        molecules, charges = self.topology.molecule_ids is not None, self.topology.charges is not None
        return {(True, True): "full", (True, False): "molecular", (False, True): "charge", (False, False): "atomic"}[
            molecules, charges
        ]

    @property
    def bonded_styles(self) -> tuple[str, ...]:
        """Kinds of bonded interactions that the atom style can have."""
        return ("bond", "angle", "dihedral", "improper") if self.topology.molecule_ids is not None else ()

    def masses(self, force_field: ForceField | None) -> Float:
        """Mass of each type in g/mol: from the file, else from the force field.

        Raises
        ------
        InputError
            Neither has masses.
        """
        if self.topology.masses is not None:
            return self.topology.masses
        if force_field is None:
            raise InputError(f"{self.path}: has no masses; add a section 'Masses'.")
        return np.array([t.mass for t in force_field.types])

    def warn_of_other_atoms(self, loaded: LoadedModel) -> None:
        """Warn where the mass of a type in the file is not that of the type in the model.

        The model uses charge, epsilon and sigma of its own types, not of the file.
        """
        field, masses = loaded.card.force_field, self.topology.masses
        if field is None or masses is None:
            return
        for number, (kind, mass) in enumerate(zip(field.types, masses.tolist(), strict=False), start=1):
            if abs(mass - kind.mass) > 0.05 * kind.mass:
                warnings.warn(
                    f"{self.path}: type {number} has mass {mass:g}, but it is {kind.name} with mass {kind.mass:g} in "
                    f"{loaded.path}; its forces are those of {kind.name}.",
                    stacklevel=3,
                )

    def velocities(self) -> Float:
        """Velocities in angstrom/fs, (N, 3), by ascending id; those of a file in units ``metal`` are converted.

        Raises
        ------
        InputError
            The file has none, or not one for each atom, or it does not say its units and they cannot be ``real``.
        """
        rows: dict[int, list[float]] = {}
        with self.path.open() as file:
            inside = False
            for number, line in enumerate(file, start=1):
                words = line.split("#")[0].split()
                if words and words[0].isalpha() and words[0][0].isupper():
                    inside = words == ["Velocities"]
                elif words and inside:
                    try:
                        rows[int(words[0])] = [float(word) for word in words[1:4]]
                    except ValueError as error:
                        raise InputError(
                            f"{self.path}, line {number}: is not a velocity ({error}); correct the line."
                        ) from error
        ids = self.topology.ids.tolist()
        if set(rows) != set(ids):
            raise InputError(f"{self.path}: has no velocity for each atom; use --velocities create or another file.")
        values = np.array([rows[i] for i in ids])
        unit = velocity_unit(self.path)
        speed = float(np.sqrt((values**2).sum(axis=1).mean()))
        if unit is None and speed > MAX_SPEED:
            raise InputError(
                f"{self.path}: does not say its units, and the mean velocity would be {speed:.3g} angstrom/fs in "
                "'real'; write 'units = metal' or 'units = real' into the first line."
            )
        return values * (1.0 if unit is None else unit)
