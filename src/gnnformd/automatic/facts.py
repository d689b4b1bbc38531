"""What the settings of a training depend on: facts about the data."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from gnnformd.automatic.order_of_frames import in_order
from gnnformd.force_field import ForceField
from gnnformd.graph.bonds import bond_table
from gnnformd.neighbors import neighbor_pairs
from gnnformd.simulation.stability.pieces import count_pieces
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.packed.dataset import PackedDataset

__all__ = ["REACH", "DataFacts", "Neighbors", "gather_facts"]

Float = NDArray[np.float64]

REACH, BIN = 10.0, 0.1  # angstrom
_SAMPLED_FRAMES, _SAMPLED_ATOMS = 20, 20_000
_CHARGE, _CHANGE = 1e-6, 1e-4  # e
FRAMES_EACH, SYSTEMS_EACH = 3, 5


@dataclass(frozen=True)
class Neighbors:
    """How many neighbors an atom has within a distance, averaged over atoms of some frames.

    Attributes
    ----------
    within
        ``within[k]`` is their number up to ``(k + 1) * BIN`` angstrom, (REACH / BIN,).
    """

    within: Float

    def distance(self, count: float) -> float:
        """Shortest distance within which there are so many neighbors, angstrom; infinite where there are fewer."""
        reached = np.flatnonzero(self.within >= count)
        return float((reached[0] + 1) * BIN) if len(reached) else np.inf

    def count(self, distance: float) -> float:
        """Neighbors within a distance, up to `REACH`."""
        return float(self.within[min(round(distance / BIN), len(self.within)) - 1])

    def gap(self, shortest: float, longest: float) -> float | None:
        """Middle of the emptiest stretch between two distances, if it is a gap between shells.

        Parameters
        ----------
        shortest, longest
            Where to search, angstrom.

        Returns
        -------
        float or None
            Where the density of neighbors is lowest, if it is at most 0.7 of its mean there.
        """
        ends = BIN * (np.arange(len(self.within)) + 1)
        density = np.diff(self.within, prepend=0.0) / ends**2
        near = np.flatnonzero((ends >= shortest) & (ends <= longest))
        if not len(near) or density[near].mean() == 0 or density[near].min() > 0.7 * density[near].mean():
            return None
        return float(np.mean(ends[near][density[near] == density[near].min()]) - BIN / 2)


@dataclass(frozen=True)
class DataFacts:
    """Facts about the data of a training.

    Attributes
    ----------
    frames, validation_frames
        Number of frames, and of those in files for validation.
    smallest, mean, largest
        Atoms of a frame.
    types
        Names of the types that have atoms, numbers where there are no names.
    compositions
        How many different compositions the frames have; copies of a box have the same.
    recurring
        How many of them have at least three frames, if each type of atoms is in at least five of these; else 0.
    force_field
        Of the first dataset, if all have one.
    longest_bond_path
        Bonds along which neighbors in a molecule are told apart: 0 without bonds, up to 3.
    charges
        Largest charge of an atom, e.
    charges_change
        Whether charges of an atom differ between frames.
    short_range_coulomb
        Whether charges of generated runs act within a cutoff only, or are screened.
    generated
        Whether all frames are of LAMMPS runs by `gnnformd.reference.generate`.
    by_name
        Whether energies, forces and charges have names in the files, as those of electronic structure codes have.
    periodic
        How many frames of the sample are periodic in all directions, and in none.
    sampled
        Frames of the sample.
    energies, virials
        How many frames have them.
    config_types
        Kinds of configuration.
    isolated_atoms
        Names of the types whose energy as an isolated atom is known.
    neighbors
        Mean number of neighbors by distance, of frames that are periodic in all directions where there are some.
    density
        Atoms per angstrom^3, the mean of the periodic frames; None without any.
    clusters
        Whether there are frames without periodic images that are more than one molecule, or may be.
    in_order
        Whether frames next to each other are alike (see `gnnformd.automatic.order_of_frames`).
    """

    frames: int
    validation_frames: int
    smallest: int
    mean: float
    largest: int
    types: tuple[str, ...]
    compositions: int
    recurring: int
    force_field: ForceField | None
    longest_bond_path: int
    charges: float
    charges_change: bool
    short_range_coulomb: bool
    generated: bool
    by_name: bool
    periodic: tuple[int, int]
    sampled: int
    energies: int
    virials: int
    config_types: frozenset[str]
    isolated_atoms: tuple[str, ...]
    neighbors: Neighbors
    density: float | None
    clusters: bool
    in_order: bool

    @property
    def one_system(self) -> bool:
        """Whether all frames have the same number of atoms of each type."""
        return self.compositions == 1 and self.smallest == self.largest


def gather_facts(datasets: Sequence[PackedDataset]) -> DataFacts:
    """Look at all frames, and more closely at about twenty of them."""
    frames = [(dataset, index) for dataset in datasets for index in range(len(dataset))]
    sample = _sample([dataset[index] for dataset, index in frames[:: -(-len(frames) // _SAMPLED_FRAMES)]])
    counts = np.concatenate([dataset.atom_counts for dataset in datasets])
    fields = [dataset.force_field for dataset in datasets]
    energies = virials = 0
    for dataset, index in frames:
        frame = dataset[index]
        energies, virials = energies + (frame.energy is not None), virials + (frame.virial is not None)
    compositions = Counter(found for dataset in datasets for found in dataset.compositions)
    densities = [len(f.types) / abs(np.linalg.det(f.cell)) for f in sample if all(f.periodic)]
    longest = max(datasets, key=lambda dataset: dataset.type_count)
    used = sorted({int(kind) for dataset in datasets for kind in dataset.used_types})
    names = longest.type_names
    return DataFacts(
        frames=len(frames),
        validation_frames=sum(len(dataset) for dataset in datasets if dataset.validation),
        smallest=int(counts.min()),
        mean=float(counts.mean()),
        largest=int(counts.max()),
        types=tuple(names[kind - 1] if names and kind <= len(names) else str(kind) for kind in used),
        compositions=len(compositions),
        recurring=_recurring(compositions),
        force_field=None if any(known is None for known in fields) else fields[0],
        longest_bond_path=max(_bond_path(frame) for frame in sample),
        charges=max(_largest_charge(frame, fields[0]) for frame in sample),
        charges_change=_charges_change(sample),
        short_range_coulomb=any(dataset.long_range_coulomb is False for dataset in datasets),
        generated=all(dataset.run_folder is not None for dataset in datasets),
        by_name=any(dataset.target_names for dataset in datasets),
        periodic=(sum(all(f.periodic) for f in sample), sum(not any(f.periodic) for f in sample)),
        sampled=len(sample),
        energies=energies,
        virials=virials,
        config_types=frozenset(kind for dataset in datasets for kind in dataset.config_types if kind is not None),
        isolated_atoms=tuple(sorted({name for dataset in datasets for name in dataset.isolated_atoms})),
        neighbors=_count_neighbors(sample),
        density=float(np.mean(densities)) if densities else None,
        clusters=any(_is_cluster(frame, names) for frame in sample if not any(frame.periodic)),
        in_order=in_order(datasets),
    )


def _recurring(compositions: Mapping[frozenset[tuple[str, int]], int]) -> int:
    """Count the compositions with several frames; 0 if a type of atoms is in few of them."""
    several = [found for found, frames in compositions.items() if frames >= FRAMES_EACH]
    known_in = Counter(name for found in several for name, _ in found)
    every = {name for found in compositions for name, _ in found}
    return len(several) if min((known_in[name] for name in every), default=0) >= SYSTEMS_EACH else 0


def _is_cluster(frame: Frame, names: Sequence[str] | None) -> bool:
    """Whether the atoms are more than one piece, or of elements that are not known."""
    numbers = [atomic_numbers.get(names[kind - 1], 0) if names else 0 for kind in frame.types.tolist()]
    return 0 in numbers or count_pieces(Atoms(numbers=numbers, positions=frame.positions)) > 1


def _sample(frames: list[Frame]) -> list[Frame]:
    """Leave frames out, evenly, until their atoms are few enough; at least one stays."""
    while len(frames) > 1 and sum(len(frame.types) for frame in frames) > _SAMPLED_ATOMS:
        frames = frames[::2]
    return frames


def _bond_path(frame: Frame) -> int:
    if frame.bonds is None or not len(frame.bonds):
        return 0
    kinds = bond_table(frame.bonds, len(frame.types)).kinds
    return int(kinds.max(initial=0))


def _largest_charge(frame: Frame, field: ForceField | None) -> float:
    charges = frame.charges
    if charges is None and field is not None:
        charges = np.array([kind.charge for kind in field.types])
    largest = 0.0 if charges is None else float(np.abs(charges).max(initial=0.0))
    return largest if largest > _CHARGE else 0.0


def _charges_change(frames: Sequence[Frame]) -> bool:
    for one, other in itertools.pairwise(frames):
        if one.charges is None or other.charges is None or not np.array_equal(one.types, other.types):
            continue
        if np.abs(one.charges - other.charges).max() > _CHANGE:
            return True
    return False


def _count_neighbors(frames: Sequence[Frame]) -> Neighbors:
    """Count in frames that are periodic in all directions, if there are some: atoms at a surface have fewer."""
    frames = [frame for frame in frames if all(frame.periodic)] or frames
    bins = np.arange(round(REACH / BIN) + 1) * BIN
    pairs, atoms = np.zeros(len(bins) - 1), 0
    for frame in frames:
        i, j, shift = neighbor_pairs(frame.positions, frame.cell, frame.periodic, REACH)
        distances = np.linalg.norm(frame.positions[j] - frame.positions[i] + shift @ frame.cell, axis=1)
        pairs += np.histogram(distances, bins)[0]
        atoms += len(frame.types)
    return Neighbors(2 * np.cumsum(pairs) / atoms)
