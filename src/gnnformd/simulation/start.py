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
from gnnformd.graph.bonds import bond_table, refuse_narrow_box
from gnnformd.graph.type_matching import KnownTypes, TypeMap, match_types
from gnnformd.inference.seen_pairs import SeenPairs
from gnnformd.inference.training_range import refuse_unknown_types
from gnnformd.reference.run import ReferenceRun
from gnnformd.trajectory.formats.data_file import (
    boundary_of_data_file,
    periodic_directions,
    read_topology,
    velocity_unit,
)
from gnnformd.trajectory.formats.dump import MAX_DENSITY, MAX_SPEED
from gnnformd.trajectory.frame import Frame, Topology

if TYPE_CHECKING:
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["Start"]

Float = NDArray[np.float64]

MAX_BOX_LENGTHS = 1e6
"""Beyond it a position has no digits left for where the atom is in the box."""

MIN_MASS = 0.9
"""Smallest mass of an atom type, g/mol; hydrogen has 1.008, and 1.0 is common."""


@dataclass(frozen=True)
class Start:
    """A LAMMPS data file.

    Attributes
    ----------
    path
        The file.
    topology
        Its content.
    source
        The file that the user gave, for messages.
    """

    path: Path
    topology: Topology
    source: Path

    @classmethod
    def read(cls, path: Path, source: Path | None = None) -> Start:
        """Read the file; see `check_plausible`.

        Parameters
        ----------
        path
            The file.
        source
            The file that it was converted from, if it was.

        Raises
        ------
        InputError
            It is not a LAMMPS data file, or not in units that it can be in.
        """
        start = cls(path, read_topology(path), source or path)
        start.check_plausible()
        return start

    def check_plausible(self) -> None:
        """Refuse atoms far outside of the box, and a file whose units cannot be ``real`` or ``metal`` if it is silent.

        Raises
        ------
        InputError
            An atom is a million box lengths away; or the file does not say its units, and a mass is smaller than that
            of any atom, or atoms are denser than in any matter.
        """
        topology = self.topology
        away = np.abs((topology.positions - topology.origin) @ np.linalg.inv(topology.cell)).max(axis=1, initial=0.0)
        if len(away) and not away.max() < MAX_BOX_LENGTHS:
            worst = int(np.argmax(away))
            raise InputError(
                f"{self.source}: atom {topology.ids[worst]} is {away[worst]:.0e} box lengths outside the box; correct "
                "its position."
            )
        if velocity_unit(self.path) is not None:
            return
        density = len(topology.ids) / abs(float(np.linalg.det(topology.cell)))
        lightest = 1.0 if topology.masses is None else float(topology.masses.min())
        wrong = f"a mass is {lightest:.3g} g/mol" if lightest < MIN_MASS else ""
        if density > MAX_DENSITY:
            wrong = f"there are {density:.3g} atoms in a cubic angstrom"
        if wrong:
            raise InputError(
                f"{self.source}: does not say its units, and they are not 'real' or 'metal': {wrong}; write 'units = ' "
                "and the unit style into the first line."
            )

    @property
    def periodic(self) -> tuple[bool, bool, bool]:
        """Whether each direction is periodic."""
        return periodic_directions(self.path)

    @property
    def boundary(self) -> tuple[str, str, str]:
        """LAMMPS's boundaries."""
        return boundary_of_data_file(self.path)

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

    @property
    def known_types(self) -> KnownTypes:
        """What the file says of its atom types."""
        return KnownTypes.of_topology(self.source, self.topology)

    def types_of(self, loaded: LoadedModel) -> TypeMap:
        """Find the model's type of each type of the file, by name or mass.

        Raises
        ------
        InputError
            A type with atoms is none, or more than one, of the model's.
        """
        return match_types(self.known_types, loaded.known_types, np.unique(self.topology.types).tolist())

    def frame(self, types: TypeMap) -> Frame:
        """Give the atoms the types of the model."""
        topology = self.topology
        return Frame(
            timestep=0,
            cell=topology.cell,
            origin=topology.origin,
            periodic=self.periodic,
            ids=topology.ids,
            types=types.of(topology.types),
            positions=topology.positions,
            molecule_ids=topology.molecule_ids,
            bonds=topology.bonds,
            charges=topology.charges,
        )

    def check_pairs(self, loaded: LoadedModel, types: TypeMap) -> None:
        """Refuse atoms that are close to each other where the model has seen no such pair in training.

        Also refuse a file without bonds between types that had some in training, and molecules as wide as half of the
        box (see `gnnformd.graph.bonds.refuse_narrow_box`).

        Raises
        ------
        InputError
            Names two atoms, or the types.
        """
        topology = self.topology
        refuse_unknown_types(loaded, types.of(topology.types))
        self._refuse_missing_bonds(loaded, types)
        frame = self.frame(types)
        seen = SeenPairs.of(loaded)
        table = bond_table(seen.without_unseen_bonds(frame).bonds, len(frame.types))
        try:
            refuse_narrow_box(table, frame.ids, frame.positions, frame.cell, frame.periodic, loaded.model.cutoff)
        except InputError as error:
            raise InputError(f"{self.source}: {error}") from error
        seen.check(self.source, frame)

    def _refuse_missing_bonds(self, loaded: LoadedModel, types: TypeMap) -> None:
        """Refuse a file that has no bonds at all, and atoms that were bonded in training, by their types."""
        if self.topology.bonds is not None and len(self.topology.bonds):
            return
        counts = np.bincount(types.of(self.topology.types) - 1, minlength=len(loaded.card.type_names))
        for kind, one, other in sorted(loaded.card.closest_pairs):
            if kind == 1 and counts[one] > (one == other) and counts[other]:
                names = loaded.card.type_names
                raise InputError(
                    f"{self.source}: has no bonds, but the model {loaded.path} was trained on bonds between "
                    f"{names[one]} and {names[other]}; give a data file with its bonds."
                )

    def check_reference(self, reference: ReferenceRun) -> None:
        """Refuse to compare with a run that numbers its types in another order.

        Raises
        ------
        InputError
            A type has another mass there.
        """
        if not reference.topology.exists() or self.topology.masses is None:
            return
        masses = read_topology(reference.topology).masses
        pairs = zip(self.topology.masses.tolist(), () if masses is None else masses.tolist(), strict=False)
        for number, (own, other) in enumerate(pairs, start=1):
            if abs(own - other) > 0.05 * own:
                raise InputError(
                    f"{reference.topology}: type {number} has mass {other:g}, but {own:g} in {self.source}; compare "
                    "with a reference that numbers its types in the same order."
                )

    def masses(self, force_field: ForceField | None, types: TypeMap) -> Float:
        """Mass of each type in g/mol: from the file, else from the force field.

        Parameters
        ----------
        force_field
            Of the model.
        types
            From `types_of`.

        Raises
        ------
        InputError
            Neither has masses.
        """
        if self.topology.masses is not None:
            return self.topology.masses
        if force_field is None:
            raise InputError(f"{self.source}: has no masses; add a section 'Masses'.")
        known = np.array([t.mass for t in force_field.types])
        count = int(self.topology.types.max(initial=0))
        return known if types.unchanged else known[types.of(np.arange(1, count + 1)) - 1]

    def warn_of_units(self, *, velocities: bool) -> None:
        """Warn of what is taken for granted where the file does not say its units."""
        if velocity_unit(self.path) is None:
            more = ", velocities in angstrom/fs" if velocities else ""
            warnings.warn(
                f"{self.source}: does not say its units; lengths are taken to be in angstrom, masses in g/mol{more}.",
                stacklevel=3,
            )

    def warn_of_empty_space(self) -> None:
        """Say that a direction is not periodic, which the user may not have noticed."""
        if not any(self.periodic):
            count = len(self.topology.ids)
            warnings.warn(f"{self.source}: has no box; its {count} atoms move in empty space.", stacklevel=3)
        elif not all(self.periodic):
            open_ = " and ".join(axis for axis, flag in zip("xyz", self.periodic, strict=True) if not flag)
            warnings.warn(
                f"{self.source}: is not periodic along {open_}; there is empty space around it.", stacklevel=3
            )

    def warn_of_other_masses(self, loaded: LoadedModel, types: TypeMap) -> None:
        """Warn where the mass of a type in the file is not that of the type of this name in the model."""
        field, masses = loaded.card.force_field, self.topology.masses
        if field is None or masses is None:
            return
        for number, mass in enumerate(masses.tolist()[: len(types.numbers)], start=1):
            known = types.numbers[number - 1]
            if 0 < known <= len(field.types) and abs(mass - (kind := field.types[known - 1]).mass) > 0.05 * kind.mass:
                warnings.warn(
                    f"{self.source}: type {number} has mass {mass:g}, but it is {kind.name} with mass {kind.mass:g} in "
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
                            f"{self.source}, line {number}: is not a velocity ({error}); correct the line."
                        ) from error
        ids = self.topology.ids.tolist()
        if set(rows) != set(ids):
            raise InputError(f"{self.source}: has no velocity for each atom; use --velocities create or another file.")
        values = np.array([rows[i] for i in ids])
        unit = velocity_unit(self.path)
        speed = float(np.sqrt((values**2).sum(axis=1).mean()))
        if unit is None and speed > MAX_SPEED:
            raise InputError(
                f"{self.source}: does not say its units, and the mean velocity would be {speed:.3g} angstrom/fs in "
                "'real'; write 'units = metal' or 'units = real' into the first line."
            )
        return values * (1.0 if unit is None else unit)
