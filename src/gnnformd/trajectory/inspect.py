"""Summary of data, and problems in it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gnnformd.errors import InputError
from gnnformd.force_field import ForceField
from gnnformd.reference.run import ReferenceRun
from gnnformd.reference.thermo import temperature_range
from gnnformd.trajectory.data_checks import DataChecks
from gnnformd.trajectory.elements import ElementTypes
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.formats.registry import format_of
from gnnformd.trajectory.frame import Float, Frame
from gnnformd.trajectory.isolated_atoms import IsolatedAtoms
from gnnformd.trajectory.read import Source, element_order, find_sources, read_frames
from gnnformd.trajectory.temperature import temperature_of_frame

__all__ = ["inspect_data"]


def inspect_data(path: Path | str | Sequence[Path | str], *, topology: Path | None = None) -> dict[str, Any]:
    """Read all frames once and summarize them.

    Parameters
    ----------
    path
        See `find_sources`.
    topology
        LAMMPS data file of the system.

    Returns
    -------
    dict
        ``files``, ``frames``, ``timesteps`` (first, last; None where the data name none), ``atoms`` (min, max),
        ``types`` (atoms of each type in a frame: min, max), ``elements`` (names of the types, or None), ``units`` (unit
        style of the file, from which all numbers are converted), ``molecules``, ``bonds`` (None where unknown),
        ``cell_lengths_A`` (min, max; of periodic directions, None for the others and where there are none) and
        ``volume_A3`` (min, max; of frames that are periodic in all directions, else None), ``periodic`` (frames of
        each kind of periodicity, under its directions: ``xyz``, ``xy``, an empty text), ``force`` (``mean``, ``rms``
        and ``largest`` norm on an atom, ``largest_sum_over_frame``; kcal/mol/angstrom; None without forces),
        ``closest_pair_A`` (None where it is above 10 angstrom), ``virial_pressure_kcal_per_mol_per_A3`` (min, max of a
        third of the trace of the virial over the volume; None without virials of boxes), ``energy_kcal_per_mol`` (min,
        max) and ``temperature_K`` (min, mean, max), both None where unknown, ``temperature_from`` (``table`` of a
        reference run, ``velocities``, with no constraints but atoms that stand still, or None), ``config_types``
        (frames of each), ``isolated_atoms`` (their energies by name, kcal/mol; they count as frames), and ``warnings``,
        a list of sentences.

    Raises
    ------
    InputError
        The data cannot be read or is wrong.
    """
    sources = find_sources(path, topology)
    elements = element_order(sources)
    units = format_of(sources[0].file).units(sources[0].file)
    known = _force_field(sources)
    summary, checks, isolated = _Summary(), DataChecks(known, units), IsolatedAtoms(units)
    temperatures = _Temperatures(sources, known, elements)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for frame in read_frames(path, topology=topology, require_forces=False, elements=elements):
            summary.add(frame)
            if not isolated.take(frame, path):
                checks.add(frame)
                temperatures.add(frame)
            elif frame.energy is not None:
                name = elements.names[int(frame.types[0]) - 1] if elements.names else str(frame.types[0])
                isolated.add(name, frame.energy, path)
    if not summary.frames:
        raise InputError(f"{sources[0].file}: contains no complete frame; give a dump, a run or a model file.")
    table = temperature_range([s.thermo for s in sources if s.thermo is not None])
    return {
        "files": [str(source.file) for source in sources],
        **summary.to_dict(checks),
        "elements": None if elements.names is None else list(elements.names),
        "config_types": summary.config_types,
        "isolated_atoms": isolated.energies,
        "units": units,
        "temperature_K": table or temperatures.to_list(),
        "temperature_from": "table" if table else "velocities" if temperatures.to_list() else None,
        "warnings": [str(w.message) for w in caught if w.category is UserWarning] + checks.problems(),
    }


@dataclass
class _Range:
    """Minimum and maximum of the values added."""

    minimum: Any = None
    maximum: Any = None

    def add(self, value: Any) -> None:
        self.minimum = value if self.minimum is None else np.minimum(self.minimum, value)
        self.maximum = value if self.maximum is None else np.maximum(self.maximum, value)

    def to_list(self) -> list[Any] | None:
        return None if self.minimum is None else [np.asarray(v).tolist() for v in (self.minimum, self.maximum)]


@dataclass
class _Summary:
    """Running sums over frames."""

    frames: int = 0
    first: Frame | None = None
    last_timestep: int = 0
    atoms: _Range = field(default_factory=_Range)
    types: dict[int, _Range] = field(default_factory=dict)
    periodic: dict[str, int] = field(default_factory=dict)
    lengths: tuple[_Range, _Range, _Range] = field(default_factory=lambda: (_Range(), _Range(), _Range()))
    volume: _Range = field(default_factory=_Range)
    energy: _Range = field(default_factory=_Range)
    pressure: _Range = field(default_factory=_Range)
    force_norms: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])  # count, sum, sum of squares
    config_types: dict[str, int] = field(default_factory=dict)

    def add(self, frame: Frame) -> None:
        kinds = dict(zip(*(column.tolist() for column in np.unique(frame.types, return_counts=True)), strict=True))
        for kind in kinds.keys() - self.types.keys():
            self.types[kind] = _Range(*((0, 0) if self.frames else (None, None)))
        for kind, counts in self.types.items():
            counts.add(kinds.get(kind, 0))
        axes = "".join(axis for axis, periodic in zip("xyz", frame.periodic, strict=True) if periodic)
        self.periodic[axes] = self.periodic.get(axes, 0) + 1
        self.frames += 1
        self.first = self.first or frame
        self.last_timestep = frame.timestep
        if frame.config_type is not None:
            self.config_types[frame.config_type] = self.config_types.get(frame.config_type, 0) + 1
        self.atoms.add(len(frame.ids))
        for length, vector, periodic in zip(self.lengths, frame.cell, frame.periodic, strict=True):
            if periodic:  # else the vector only encloses the atoms
                length.add(np.linalg.norm(vector))
        if all(frame.periodic):
            volume = abs(np.linalg.det(frame.cell))
            self.volume.add(volume)
            if frame.virial is not None:
                self.pressure.add(np.trace(frame.virial) / (3.0 * volume))
        if frame.energy is not None:
            self.energy.add(frame.energy)
        if frame.forces is not None:
            norms = np.linalg.norm(frame.forces, axis=1)
            for k, value in enumerate((len(norms), norms.sum(), (norms**2).sum())):
                self.force_norms[k] += float(value)

    def to_dict(self, checks: DataChecks) -> dict[str, Any]:
        first = self.first
        assert first is not None
        molecules = None if first.molecule_ids is None else len(np.unique(first.molecule_ids[first.molecule_ids > 0]))
        count, total, squares = self.force_norms
        ends = [length.to_list() or [None, None] for length in self.lengths]
        force = {
            "mean": total / count,
            "rms": math.sqrt(squares / count),
            "largest": checks.largest_force[0],
            "largest_sum_over_frame": checks.largest_net_force,
        } if count else None  # fmt: skip
        return {
            "frames": self.frames,
            "timesteps": [first.timestep, self.last_timestep] if first.line is None else None,
            "atoms": self.atoms.to_list(),
            "types": {kind: self.types[kind].to_list() for kind in sorted(self.types)},
            "molecules": molecules,
            "bonds": None if first.bonds is None else len(first.bonds),
            "cell_lengths_A": list(map(list, zip(*ends, strict=True))) if any(map(any, ends)) else None,
            "volume_A3": self.volume.to_list(),
            "periodic": self.periodic,
            "force": force,
            "closest_pair_A": None if math.isinf(checks.shortest_distance[0]) else checks.shortest_distance[0],
            "virial_pressure_kcal_per_mol_per_A3": self.pressure.to_list(),
            "energy_kcal_per_mol": self.energy.to_list(),
        }


class _Temperatures:
    """Kinetic temperatures of frames that have velocities.

    Parameters
    ----------
    sources
        Whose data files have masses.
    field
        Force field of the data, or None.
    elements
        Names of the types, where the data have names.
    """

    def __init__(self, sources: Sequence[Source], field: ForceField | None, elements: ElementTypes) -> None:
        self._sources, self._field, self._elements = sources, field, elements
        self._values: list[float] = []

    def add(self, frame: Frame) -> None:
        if frame.velocities is not None:
            value = temperature_of_frame(frame, self._elemental() if self._given is None else self._given)
            self._values += [] if value is None else [value]

    def to_list(self) -> list[float] | None:
        """Lowest, mean and highest, K."""
        values = self._values
        return [min(values), sum(values) / len(values), max(values)] if values else None

    @cached_property
    def _given(self) -> Float | None:
        """Masses of the force field, or of data files that agree, g/mol, (T,)."""
        if self._field is not None:
            return np.array([kind.mass for kind in self._field.types])
        files = {source.topology for source in self._sources if source.topology is not None}
        found = [read_topology(file).masses for file in files]
        known = [masses for masses in found if masses is not None]
        alike = bool(known) and len(known) == len(found) and all(np.array_equal(m, known[0]) for m in known)
        return known[0] if alike else None

    def _elemental(self) -> Float:
        from ase.data import atomic_masses, atomic_numbers

        names = self._elements.names or ()
        return np.array([atomic_masses[atomic_numbers[name]] if name in atomic_numbers else math.nan for name in names])


def _force_field(sources: Sequence[Source]) -> ForceField | None:
    """Force field of the first reference run among the sources."""
    for source in sources:
        if source.manifest is not None:
            return ReferenceRun.open(source.manifest.parent).force_field
    return None
