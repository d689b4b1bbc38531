"""Predictions for all frames of a file, written beside its own values."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_masses, atomic_numbers, chemical_symbols

from gnnformd.errors import InputError
from gnnformd.files import replacing
from gnnformd.force_field import ForceField
from gnnformd.graph.type_matching import MASS_TOLERANCE, KnownTypes, TypeMap, match_types
from gnnformd.inference.batch import Predictor, needs_physical_features
from gnnformd.inference.seen_pairs import SeenPairs
from gnnformd.inference.training_range import UNUSUAL
from gnnformd.trajectory.elements import ElementTypes
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.formats.extxyz_writer import write_prediction
from gnnformd.trajectory.formats.target_names import Target, TargetNames
from gnnformd.trajectory.frame import Frame, Topology
from gnnformd.trajectory.packed.dataset import force_field_of
from gnnformd.trajectory.read import element_order, find_sources, read_frames

if TYPE_CHECKING:
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["Predictions", "predict_frames"]


@dataclass(frozen=True)
class Predictions:
    """What was written.

    Attributes
    ----------
    frames
        Number of frames.
    unusual
        Frames with an atom whose surroundings are like none in training (an extrapolation grade above 2).
    """

    frames: int
    unusual: int


def predict_frames(
    loaded: LoadedModel,
    path: Path,
    out: Path,
    *,
    topology: Path | None = None,
    force_field: ForceField | None = None,
    batch_size: int = 4,
    keys: Mapping[Target, str] | None = None,
) -> Predictions:
    """Predict all frames of a file and write them as extended XYZ (see `write_prediction`).

    Memory does not grow with the number of frames.

    Parameters
    ----------
    loaded
        The model.
    path
        Data with or without forces (see `gnnformd.trajectory.read.find_sources`).
    out
        File to write.
    topology
        LAMMPS data file, for data without one in its folder.
    force_field
        Of data that has none.
    batch_size
        Frames predicted at once.
    keys
        Names of energies, forces and so on in the file.

    Returns
    -------
    Predictions
        How many frames there were.

    Raises
    ------
    InputError
        The data cannot be read, or the model does not know its types or pairs of atoms, or the file is the data.
    """
    sources = find_sources(path, topology)
    if any(out.exists() and out.samefile(file) for source in sources for file in source.files):
        raise InputError(f"{out}: is the data itself; name another file for the predictions.")
    field = force_field_of(sources, force_field)
    elements = element_order(sources) if field is None else ElementTypes(field.names)
    names = TargetNames(keys)
    data = _Data(path, field, elements, sources[0].topology)
    asked = _Asked(loaded, data)
    count = unusual = 0
    frames = read_frames(path, topology=topology, require_forces=False, elements=elements, names=names)
    with replacing(out) as beside, beside.open("w", encoding="utf-8") as file:
        while batch := list(itertools.islice(frames, batch_size)):
            for frame, symbols, forces, energy, virial, grades in asked.about(batch):
                write_prediction(file, frame, symbols, forces, energy, virial, grades)
                unusual += grades is not None and bool((grades > UNUSUAL).any())
            count += len(batch)
        if not count:
            raise InputError(f"{path}: contains no frames; give data with at least one complete frame.")
    loaded.card.warn_of_states(path, names.states.values, loaded.path)
    return Predictions(count, unusual)


@dataclass(frozen=True)
class _Data:
    """What is known of the types of the data (a `gnnformd.graph.type_matching.TypedData`)."""

    path: Path
    force_field: ForceField | None
    elements: ElementTypes
    topology_path: Path | None

    @property
    def type_names(self) -> tuple[str, ...] | None:
        return self.elements.names

    @cached_property
    def topology(self) -> Topology | None:
        return None if self.topology_path is None else read_topology(self.topology_path)


Predicted = tuple[Frame, list[str], np.ndarray, float | None, "np.ndarray | None", "np.ndarray | None"]


class _Asked:
    """The model asked about frames of these data, whose types may become more as they are read."""

    def __init__(self, loaded: LoadedModel, data: _Data) -> None:
        self._loaded, self._data = loaded, data
        self._seen = SeenPairs.of(loaded)
        self._used: set[int] = set()
        if needs_physical_features(loaded.card) and data.force_field is None:
            raise InputError(
                f"{data.path}: has no force field, but the model's inputs are charge, epsilon and sigma of each atom; "
                "give one with --force-field, or the folder of a reference run."
            )

    def about(self, batch: Sequence[Frame]) -> Iterator[Predicted]:
        """Predict, in kcal/mol and angstrom, with the elements of the atoms."""
        used = {int(kind) for frame in batch for kind in np.unique(frame.types)}
        if not used <= self._used:
            self._used |= used
            self._match()
        asked = [self._seen.without_unseen_bonds(frame) for frame in batch]
        for frame in asked:
            types = self._types.of(frame.types)
            if self._by_type and not 1 <= types.min(initial=1) <= types.max(initial=1) <= len(self._names):
                raise InputError(
                    f"{self._data.path}, {frame.name}: has an atom type that is none of the model's "
                    f"({', '.join(self._names)}); use data with these types."
                )
            if self._by_type:
                self._seen.check(f"{self._data.path}, {frame.name}", replace(frame, types=types))
        prediction = self._predict(asked)
        forces = prediction.forces.detach().cpu().double().numpy()
        energies, virials, grades = (
            None if values is None else values.detach().cpu().double().numpy()
            for values in (prediction.energies, prediction.virials, prediction.grades)
        )
        starts = np.cumsum([0, *(len(frame.types) for frame in batch)])
        for k, frame in enumerate(batch):
            symbols = [self._symbols[kind] for kind in frame.types.tolist()]
            energy = None if energies is None else float(energies[k])
            virial, rows = None if virials is None else virials[k], slice(starts[k], starts[k + 1])
            yield frame, symbols, forces[rows], energy, virial, None if grades is None else grades[rows]

    def _match(self) -> None:
        """Find the model's type, and the element, of each type of the data."""
        loaded, field = self._loaded, self._data.force_field
        self._names = loaded.card.type_names
        known = KnownTypes.of_dataset(self._data)
        self._by_type = loaded.knows_types
        if self._by_type:
            self._types = match_types(known, loaded.known_types, self._used)
        else:  # atoms of other types differ in their parameters only
            assert field is not None
            self._types = TypeMap(tuple(range(1, len(field.types) + 1)))
        self._predict = Predictor(loaded, field, self._types)
        own = dict(enumerate(((kind.name, kind.mass) for kind in known.types), start=1))
        models = dict(enumerate(((kind.name, kind.mass) for kind in loaded.known_types.types), start=1))
        self._symbols = {}
        for kind in self._used:
            number = int(self._types.of(np.array([kind]))[0]) if self._by_type else 0
            candidates = (_element(*own.get(kind, (None, None))), _element(*models.get(number, (None, None))))
            self._symbols[kind] = next((symbol for symbol in candidates if symbol), "X")


def _element(name: str | None, mass: float | None) -> str | None:
    """Element of a type: its name if it is one, else the one of its mass."""
    if name is not None and atomic_numbers.get(name, 0):
        return name
    if mass is None:
        return None
    nearest = int(np.argmin(np.abs(atomic_masses[1:] - mass))) + 1
    return chemical_symbols[nearest] if abs(atomic_masses[nearest] - mass) <= MASS_TOLERANCE else None
