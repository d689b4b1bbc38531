"""Frames of the training data that short simulations begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import NDArray

from gnnformd.graph.type_matching import KnownTypes, TypeMap, match_types
from gnnformd.simulation.stability.pieces import count_pieces, in_vacuum
from gnnformd.trajectory.frame import Frame, Topology
from gnnformd.trajectory.packed.dataset import PackedDataset
from gnnformd.units import BOLTZMANN

if TYPE_CHECKING:
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["Start", "choose_starts", "masses_by_type", "rigid_bonds"]

Float = NDArray[np.float64]

FEW_ATOMS = 8
"""Frames with fewer atoms are not taken where there are larger ones; their temperature fluctuates too much."""

RIGID = 1e-4
"""Relative spread of the lengths of bonds of one kind below which they are constrained."""

SAMPLED_FRAMES = 64
SAME_VOLUME = 0.01
SAME_FORCES = 2.0


@dataclass(frozen=True)
class Start:
    """A frame to begin with.

    Attributes
    ----------
    name
        The frame in words.
    frame
        As the data have it.
    types
        The model's type of each type of the data.
    masses
        g/mol, (N,).
    symbols
        Element of each atom, ``X`` where it is not known, (N,).
    virial
        Mean of ``sum x f`` in frames of the same volume and such forces, kcal/mol, one third of the trace; None where
        it is not known.
    volumes
        Smallest and largest volume of frames of the same composition, relative to that of this one.
    pieces
        Most pieces of the atoms in frames of the same composition (see `count_pieces`); None where they are not in a
        vacuum, or an element is not known.
    """

    name: str
    frame: Frame
    types: TypeMap
    masses: Float
    symbols: tuple[str, ...]
    virial: float | None
    volumes: tuple[float, float] = (1.0, 1.0)
    pieces: int | None = None

    @property
    def atoms(self) -> Atoms:
        """The frame in ASE, with its masses."""
        atoms = _atoms(self.frame, self.symbols)
        atoms.set_masses(self.masses)
        return atoms

    @property
    def topology(self) -> Topology:
        """The frame as a topology, with the types of the data."""
        frame = self.frame
        return Topology(
            ids=frame.ids,
            types=frame.types,
            molecule_ids=frame.molecule_ids,
            charges=frame.charges,
            bonds=np.zeros((0, 2), dtype=np.int64) if frame.bonds is None else frame.bonds,
            angles=np.zeros((0, 3), dtype=np.int64),
            masses=None,
            positions=frame.positions,
            cell=frame.cell,
            origin=frame.origin,
        )

    @property
    def timestep(self) -> float:
        """fs: 0.5 with hydrogen, 1 with atoms lighter than 20 g/mol, else 2."""
        lightest = float(self.masses.min())
        return 0.5 if lightest < 4.0 else 1.0 if lightest < 20.0 else 2.0

    def pressure(self, temperature: float) -> float | None:
        """Pressure of the data at a temperature in K, kcal/mol/angstrom^3; None where they have no virial."""
        if self.virial is None:
            return None
        kinetic = len(self.masses) * BOLTZMANN * temperature
        return (kinetic + self.virial) / _volume(self.frame)


def choose_starts(loaded: LoadedModel, datasets: Sequence[PackedDataset], count: int) -> list[Start]:
    """Take frames that are evenly spaced in the training data, the first and the last among them.

    Raises
    ------
    InputError
        The model does not know the types of the data.
    ValueError
        Masses are not known, or no frame has two atoms; the message is a clause.
    """
    atoms = np.concatenate([dataset.atom_counts for dataset in datasets])
    starts = np.cumsum([0, *map(len, datasets)])
    usable = np.flatnonzero(atoms >= max(2, min(FEW_ATOMS, int(atoms.max(initial=0)))))
    if not len(usable):
        raise ValueError("no frame has two atoms")
    chosen = usable[np.unique(np.linspace(0, len(usable) - 1, count).round().astype(int))]
    found = []
    for number in chosen.tolist():
        which = int(np.searchsorted(starts, number, side="right")) - 1
        dataset, index = datasets[which], number - int(starts[which])
        types = _types_of(loaded, dataset, index)
        masses, names = masses_by_type(loaded, dataset, types), types.names(loaded.card.type_names)
        frame = dataset[index]
        known = masses[frame.types - 1]
        if not np.isfinite(known).all():
            unknown = names[int(frame.types[~np.isfinite(known)][0]) - 1]
            raise ValueError(f"the mass of atoms of type {unknown} is not known (give a force field or a data file)")
        elements = [name if name in atomic_numbers else "X" for name in names]
        name = f"frame {index} of {dataset.path.name}"
        others = [other for other in _sampled_frames(dataset) if other.periodic == frame.periodic]
        periodic = others if all(frame.periodic) else []
        virial, volumes = _mean_virial(frame, periodic), _volumes(frame, periodic)
        symbols, pieces = _symbols(frame, elements), _most_pieces(frame, others, elements)
        found.append(Start(name, frame, types, known, symbols, virial, volumes, pieces))
    return found


def _symbols(frame: Frame, elements: Sequence[str]) -> tuple[str, ...]:
    return tuple(elements[t - 1] for t in frame.types)


def _atoms(frame: Frame, symbols: Sequence[str]) -> Atoms:
    return Atoms(list(symbols), positions=frame.positions, cell=frame.cell, pbc=frame.periodic)


def _types_of(loaded: LoadedModel, dataset: PackedDataset, index: int) -> TypeMap:
    used = np.unique(dataset[index].types).tolist()
    return match_types(KnownTypes.of_dataset(dataset), loaded.known_types, used)


def masses_by_type(loaded: LoadedModel, dataset: PackedDataset, types: TypeMap | None = None) -> Float:
    """Mass of each type of the data in g/mol, from a data file, the force field or the element; or NaN, (T,).

    Raises
    ------
    InputError
        The model does not know the types of the data, where it is not said which are which.
    """
    types = types or match_types(KnownTypes.of_dataset(dataset), loaded.known_types, dataset.used_types.tolist())
    names, field = loaded.card.type_names, loaded.card.force_field
    count = max(dataset.type_count, len(types.numbers))
    masses = np.full(count, np.nan)
    given = None if dataset.topology is None else dataset.topology.masses
    for kind, number in enumerate(types.of(np.arange(1, count + 1)).tolist()):
        if given is not None and kind < len(given):
            masses[kind] = given[kind]
        elif field is not None and 0 < number <= len(field.types):
            masses[kind] = field.types[number - 1].mass
        elif 0 < number <= len(names) and names[number - 1] in atomic_numbers:
            masses[kind] = atomic_masses[atomic_numbers[names[number - 1]]]
    return masses


def _sampled_frames(dataset: PackedDataset) -> list[Frame]:
    """Frames that are evenly spaced in a dataset."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, SAMPLED_FRAMES).round().astype(int))
    return [dataset[index] for index in chosen.tolist()]


def _most_pieces(frame: Frame, others: Sequence[Frame], elements: Sequence[str]) -> int | None:
    """Most pieces of these atoms in this frame and others; None where they are not in a vacuum or not known."""
    atoms, types = _atoms(frame, _symbols(frame, elements)), np.sort(frame.types)
    if "X" in atoms.symbols or not in_vacuum(atoms):
        return None
    same = [other for other in others if np.array_equal(np.sort(other.types), types)]
    return max(count_pieces(_atoms(one, _symbols(one, elements))) for one in (frame, *same))


def _mean_virial(frame: Frame, others: Sequence[Frame]) -> float | None:
    """Mean over frames of this volume and such forces, since that of one frame fluctuates.

    Random displacements have other forces, and a pressure that is far from that of this frame.
    """
    if frame.virial is None or not all(frame.periodic):
        return None
    found = [float(np.trace(frame.virial)) / 3]
    for other in others:
        same = len(other.types) == len(frame.types) and abs(_volume(other) / _volume(frame) - 1) < SAME_VOLUME
        if same and other.virial is not None and _alike(_squared_forces(frame), _squared_forces(other)):
            found.append(float(np.trace(other.virial)) / 3)
    return float(np.mean(found))


def _volumes(frame: Frame, others: Sequence[Frame]) -> tuple[float, float]:
    """Range of the volume per atom in frames of this composition, relative to that of this frame."""
    found = [1.0]
    for other in others:
        count = np.bincount(other.types, minlength=len(np.bincount(frame.types)))
        if np.array_equal(count * len(frame.types), np.bincount(frame.types, minlength=len(count)) * len(other.types)):
            found.append(_volume(other) / len(other.types) / (_volume(frame) / len(frame.types)))
    return min(found), max(found)


def _alike(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return True
    return one <= SAME_FORCES * other and other <= SAME_FORCES * one


def _squared_forces(frame: Frame) -> float | None:
    return None if frame.forces is None else float(np.square(frame.forces).mean())


def _volume(frame: Frame) -> float:
    return abs(float(np.linalg.det(frame.cell)))


def rigid_bonds(starts: Sequence[Start]) -> bool:
    """Whether bonds of one kind have one length in all frames, as a constraint (fix shake) makes them."""
    spreads = []
    for start in starts:
        frame = start.frame
        if frame.bonds is None or len(frame.bonds) < 2:
            continue
        one, other = frame.bonds.T
        vectors = frame.positions[other] - frame.positions[one]
        scaled = vectors @ np.linalg.inv(frame.cell)
        vectors -= np.round(scaled) * np.array(frame.periodic) @ frame.cell
        lengths = np.linalg.norm(vectors, axis=1)
        kinds = np.sort(frame.types[frame.bonds], axis=1)
        for kind in np.unique(kinds, axis=0):
            mine = lengths[(kinds == kind).all(axis=1)]
            if len(mine) > 1:
                spreads.append(float(np.ptp(mine) / mine.mean()))
    return bool(spreads) and min(spreads) < RIGID
