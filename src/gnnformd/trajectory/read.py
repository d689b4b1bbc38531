"""Read frames from a reference run, dumps, extxyz files or folders of DeePMD-kit."""

from __future__ import annotations

import csv
import gzip
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gnnformd.errors import InputError
from gnnformd.reference.type_names import element_of_mass
from gnnformd.trajectory.elements import ElementTypes
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.formats.deepmd import TYPES, deepmd_files
from gnnformd.trajectory.formats.dump import units_of_dump
from gnnformd.trajectory.formats.registry import FORMATS, format_of
from gnnformd.trajectory.formats.target_names import TargetNames
from gnnformd.trajectory.frame import Float, Frame, Int, Topology
from gnnformd.trajectory.molecules import molecules_to_bonds
from gnnformd.trajectory.paths import matching_files

__all__ = ["Source", "element_order", "find_sources", "names_in_data_file", "read_frames"]

VIRIAL = tuple(f"virial_{axes}" for axes in ("xx", "xy", "xz", "xy", "yy", "yz", "xz", "yz", "zz"))
"""Columns of ``thermo.csv`` with the elements of the virial, row by row."""


@dataclass(frozen=True)
class Source:
    """One file of frames, and the files that belong to it.

    Attributes
    ----------
    file
        Dump, extxyz, or ``type.raw`` of a folder of DeePMD-kit.
    topology, thermo, manifest
        Data file, table of energies and ``reference.yaml``, where known.
    parts
        The other files of a folder of DeePMD-kit.
    """

    file: Path
    topology: Path | None = None
    thermo: Path | None = None
    manifest: Path | None = None
    parts: tuple[Path, ...] = ()

    @property
    def files(self) -> list[Path]:
        """All files this source depends on."""
        return [f for f in (self.file, self.topology, self.thermo, self.manifest, *self.parts) if f is not None]


def find_sources(path: Path | str | Sequence[Path | str], topology: Path | None = None) -> list[Source]:
    """Find the files of a path, a pattern or several of them; a reference run and its trajectory are equivalent.

    Parameters
    ----------
    path
        Folder with ``trajectory.dump`` (as `gnnformd generate` makes), folder of DeePMD-kit, dump, extxyz file, pattern
        or several of these.
    topology
        Data file for all of them; without it, ``topology.data`` in the folder, or ``final.data`` of a simulation.

    Raises
    ------
    InputError
        Something does not exist or is not a trajectory.
    """
    return [_source(found, topology) for found in matching_files(path)]


def _source(path: Path, topology: Path | None) -> Source:
    folder = path if path.is_dir() else path.parent

    def beside(name: str) -> Path | None:
        return folder / name if (folder / name).is_file() else None

    if beside(TYPES) is not None and (path.is_dir() or path.name == TYPES):
        return Source(folder / TYPES, topology, parts=tuple(deepmd_files(folder)))
    of_a_run = path.name in ("trajectory.dump", "trajectory.dump.gz") and beside("reference.yaml") is not None
    if not path.is_dir() and not of_a_run:
        return Source(path, topology)
    trajectory = path if of_a_run else beside("trajectory.dump") or beside("trajectory.dump.gz")
    if trajectory is None:
        raise InputError(f"{path}: contains neither 'trajectory.dump' nor 'type.raw'; give a reference run or a dump.")
    own = beside("topology.data") or (beside("final.data") if beside("simulate.yaml") else None)
    return Source(trajectory, topology or own, beside("thermo.csv"), beside("reference.yaml"))


def names_in_data_file(sources: Sequence[Source]) -> list[str] | None:
    """Names of the types by the data file: labels, comments, elements by mass, else the number; None where all are."""
    if sources[0].topology is None:
        return None
    topology = read_topology(sources[0].topology)
    count = max(int(topology.types.max(initial=0)), len(topology.type_names or ()))
    masses = [None] * count if topology.masses is None else topology.masses.tolist()
    named = topology.type_names or (None,) * count
    names = [
        name or (element_of_mass(mass) if mass else None) or str(number)
        for number, (name, mass) in enumerate(zip(named, masses, strict=False), start=1)
    ]
    return names if any(not name.isdigit() for name in names) else None


def element_order(sources: Sequence[Source]) -> ElementTypes:
    """Take the order of elements from the data file, where each of its types is another one; else by atomic number."""
    names = names_in_data_file(sources)
    if names is None or len(set(names)) < len(names):
        return ElementTypes()
    from ase.data import atomic_numbers

    return ElementTypes(names if all(name in atomic_numbers for name in names) else None)


def read_frames(
    path: Path | str | Sequence[Path | str],
    *,
    topology: Path | None = None,
    require_forces: bool = True,
    elements: ElementTypes | None = None,
    names: TargetNames | None = None,
) -> Iterator[Frame]:
    """Read frames one by one, with bonds and charges of the topology and energies and virials of the thermo table.

    Without a data file, bonds follow from ``mol`` (see `molecules_to_bonds`); where they do not, there is a warning and
    the frames have no bonds.

    Parameters
    ----------
    path
        See `find_sources`.
    topology
        LAMMPS data file of the system.
    require_forces
        Refuse data without forces.
    elements
        Assigns type numbers for data with element names only; without it, see `element_order`.
    names
        Finds energies, forces and so on in files where they have names; without it, there is a warning where a choice
        was made among several.

    Yields
    ------
    Frame

    Raises
    ------
    InputError
        A file cannot be read, is wrong, or does not match the topology.
    """
    sources = find_sources(path, topology)
    elements = elements or element_order(sources)
    found = TargetNames() if names is None else names
    for source in sources:
        targets = _Targets(source)
        _report_units(source)
        labels = _Labels(source)
        frames = format_of(source.file).frames(
            source.file, require_forces=require_forces, elements=elements, names=found
        )
        for frame in frames:
            frame = labels.attach(frame)
            energy, virial = targets.next(frame.timestep)
            if frame.energy is None and energy is not None:
                frame = replace(frame, energy=energy)
            if frame.virial is None and virial is not None:
                frame = replace(frame, virial=virial)
            yield frame
    for note in found.notes() if names is None else ():
        warnings.warn(f"{source.file}: {note}", stacklevel=3)


def _report_units(source: Source) -> None:
    """Warn of a dump of which nothing says the units."""
    known = source.manifest is not None or (source.file.parent / "simulate.yaml").is_file()
    if not known and format_of(source.file) is FORMATS["LAMMPS dump"] and units_of_dump(source.file) is None:
        warnings.warn(
            f"{source.file}: the units are not said and taken to be 'real' (kcal/mol/angstrom); LAMMPS writes them "
            "with 'dump_modify ... units yes'.",
            stacklevel=4,
        )


class _Labels:
    """Adds the topology to frames, which share its arrays."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._topology: Topology | None = None if source.topology is None else read_topology(source.topology)
        self._molecules: Int | None = None
        self._bonds: Int | None = None

    def attach(self, frame: Frame) -> Frame:
        if self._topology is not None:
            return self._from_topology(frame, self._topology)
        if frame.molecule_ids is None:
            return frame
        if self._molecules is None or not np.array_equal(frame.molecule_ids, self._molecules):
            self._molecules = frame.molecule_ids
            try:
                self._bonds = molecules_to_bonds(frame.molecule_ids, frame.types)
            except InputError as error:
                warnings.warn(f"{self._source.file}: {error}", stacklevel=4)
                self._bonds = None
        return replace(frame, molecule_ids=self._molecules, bonds=self._bonds)

    def _from_topology(self, frame: Frame, topology: Topology) -> Frame:
        where = f"{self._source.file}, {frame.name}"
        if self._source.manifest is not None and not _same_atoms(frame, topology):
            return self._of_other_atoms(frame, topology, where)
        if not np.array_equal(frame.ids, topology.ids):
            raise InputError(
                f"{where}: its {len(frame.ids)} atoms are not the {len(topology.ids)} atoms of "
                f"{self._source.topology}; dump all atoms, or give the data file of this system."
            )
        if not np.array_equal(frame.types, topology.types):
            raise InputError(
                f"{where}: atom types differ from {self._source.topology}; give the data file of this system."
            )
        charges = frame.charges if frame.charges is not None else topology.charges
        molecules = topology.molecule_ids if topology.molecule_ids is not None else frame.molecule_ids
        return replace(frame, types=topology.types, bonds=topology.bonds, charges=charges, molecule_ids=molecules)

    def _of_other_atoms(self, frame: Frame, topology: Topology, where: str) -> Frame:
        """Frame of a run in which atoms came, went or changed their type: the data file is of the last step."""
        charged = topology.charges is not None and bool(topology.charges.any())
        if len(topology.bonds) or (charged and frame.charges is None):
            raise InputError(
                f"{where}: its atoms or their types are not those of the last step, in {self._source.topology}, so its "
                f"{'bonds' if len(topology.bonds) else 'charges'} are not known; generate a run that keeps its atoms "
                "and types."
            )
        return replace(frame, bonds=topology.bonds)


def _same_atoms(frame: Frame, topology: Topology) -> bool:
    return np.array_equal(frame.ids, topology.ids) and np.array_equal(frame.types, topology.types)


class _Targets:
    """Energies and virials of frames, from the rows of ``thermo.csv``.

    Rows are found by step. Where a step occurs again with another energy (several runs, each from step 0), row k
    belongs to frame k, and the table must have the steps of the trajectory, all of them in the same order.
    """

    def __init__(self, source: Source) -> None:
        rows = [] if source.thermo is None else _thermo_targets(source.thermo)
        self._of_step = {step: (energy, virial) for step, energy, virial in rows}
        self._in_order = iter(rows) if any(self._differs(*row) for row in rows) else None
        if self._in_order is not None and [step for step, *_ in rows] != _steps(source.file):
            raise InputError(
                f"{source.thermo}: steps occur more than once, and they are not those of {source.file.name}, frame by "
                "frame, so energies cannot be assigned; remove the table, or generate the run again."
            )

    def _differs(self, step: int, energy: float | None, virial: Float | None) -> bool:
        """Whether a row is not that of the last row with its step, except for rounding."""
        for value, last in zip((energy, virial), self._of_step[step], strict=True):
            if (value is None) != (last is None):
                return True
            if value is not None and last is not None and not np.allclose(value, last, rtol=1e-6, atol=1e-6):
                return True
        return False

    def next(self, step: int) -> tuple[float | None, Float | None]:
        """Energy and virial of the next frame, which has this step."""
        if self._in_order is None:
            energy, virial = self._of_step.get(step, (None, None))
        else:
            _, energy, virial = next(self._in_order)
        return energy, virial


def _steps(dump: Path) -> list[int]:
    """Time step of each frame of a dump, plain or ``.gz``."""
    found: list[int] = []
    try:
        with gzip.open(dump, "rb") if dump.suffix == ".gz" else dump.open("rb") as file:
            found.extend(int(next(file, b"")) for line in file if line.startswith(b"ITEM: TIMESTEP"))
    except (OSError, EOFError, ValueError):  # the reader says what is wrong
        pass
    return found


def _thermo_targets(path: Path) -> list[tuple[int, float | None, Float | None]]:
    """Step, potential energy and virial (3, 3) of each row, kcal/mol, where the table has them."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            return [_target(row) for row in table if "step" in row]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); remove it or get it again.") from error
    except (TypeError, ValueError, csv.Error):
        raise InputError(f"{path}, line {table.line_num}: is not a complete row of numbers; remove it.") from None


def _target(row: Mapping[str, str]) -> tuple[int, float | None, Float | None]:
    if len(row) > 2 and all(value == "" for name, value in row.items() if name != "step"):
        return int(row["step"]), None, None  # LAMMPS printed nothing at this step, as during a minimization
    energy, virial = _finite(row, ("potential_energy",)), _finite(row, VIRIAL)
    return (
        int(row["step"]),
        None if energy is None else float(energy[0]),
        None if virial is None else virial.reshape(3, 3),
    )


def _finite(row: Mapping[str, str], names: Sequence[str]) -> Float | None:
    """Take the numbers in these columns, or None if a column is missing or a number is not finite."""
    if not all(name in row for name in names):
        return None
    values = np.array([float(row[name]) for name in names])
    return values if np.isfinite(values).all() else None
