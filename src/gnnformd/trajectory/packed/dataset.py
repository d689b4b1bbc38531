"""PackedDataset: frames stored on disk as binary arrays."""

from __future__ import annotations

import glob
import json
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.files import remove_left_work
from gnnformd.force_field import ForceField
from gnnformd.reference.run import ReferenceRun
from gnnformd.trajectory.elements import ElementTypes
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.formats.frame_states import NONE, differences, zero
from gnnformd.trajectory.formats.registry import format_of
from gnnformd.trajectory.formats.target_names import Target, TargetNames
from gnnformd.trajectory.frame import Frame, TargetWeights, Topology
from gnnformd.trajectory.isolated_atoms import IsolatedAtoms, names_isolated_atom
from gnnformd.trajectory.packed.cache import cache_folders, fingerprint, first_writable, short_hash
from gnnformd.trajectory.packed.pack import FORMAT_VERSION, MANIFEST, PER_LABEL, SPEEDS, load_arrays, write_pack
from gnnformd.trajectory.paths import matching_files
from gnnformd.trajectory.read import Source, element_order, find_sources, names_in_data_file, read_frames
from gnnformd.trajectory.settings import DataSettings
from gnnformd.trajectory.temperature import temperature_of_speeds

__all__ = [
    "DEFAULT",
    "PackedDataset",
    "Renumbering",
    "common_states",
    "common_units",
    "force_field_of",
    "open_dataset",
    "open_datasets",
]

Paths = Path | str | Sequence[Path | str]

DEFAULT = "default"
"""Names all kinds of configuration that have no weight of their own."""


@dataclass(frozen=True)
class Renumbering:
    """Types of a dataset in the numbering of another.

    Attributes
    ----------
    numbers
        ``numbers[t - 1]`` is the new number of type ``t``, from 1, or 0 for types without atoms.
    names
        Names of the types by their new numbers.
    force_field
        Parameters of the types by their new numbers, or None.
    """

    numbers: tuple[int, ...]
    names: tuple[str, ...]
    force_field: ForceField | None


@dataclass(frozen=True)
class View:
    """How a dataset differs from its pack.

    Attributes
    ----------
    types
        Other numbers for the types of atoms, with the names and parameters that belong to these.
    isolated_atoms
        Energies of isolated atoms that other files have, kcal/mol by name.
    validation
        Whether all its frames are for validation.
    config_type_weights
        By which the weights of frames are multiplied, by ``config_type``; those of ``default`` for all others.
    """

    types: Renumbering | None = None
    isolated_atoms: Mapping[str, float] | None = None
    validation: bool = False
    config_type_weights: Mapping[str, float] | None = None


class PackedDataset(Sequence[Frame]):
    """Frames with forces, or energies or virials alone, memory-mapped; made by `open_dataset`.

    A pack is a folder of ``.npy`` files and ``pack.json``. It can be pickled: only its path is sent to other processes.

    Parameters
    ----------
    folder
        The pack.
    path
        The data it was made from, as given by the user; by default, as given when the pack was made.
    view
        What is not as in the pack.

    Attributes
    ----------
    folder
        Folder of the arrays.
    path
        The data it was made from (the first of several).
    source_names
        Names of the files of frames it was made from.
    type_names
        Names of the types from 1 on: from the force field, the reference run, the elements of the data, or the labels,
        comments and masses of the data file; None where types are numbers.
    units
        Unit style that the data were converted from, the first of several.
    force_field
        Physical parameters per type, or None.
    isolated_atoms
        Energy of an isolated atom of each type by its name, kcal/mol, where the data has them; see `atom_energies`.
    validation
        Whether all its frames are for validation.
    notes
        Which of several energies, forces and so on the files have were taken, a sentence each.
    target_names
        Names of energy, forces and so on in the files, where they have names.
    states
        Values of what else energies depend on, by name (see `gnnformd.trajectory.formats.frame_states`).
    """

    def __init__(self, folder: Path, path: Path | None = None, view: View | None = None) -> None:
        manifest = _read_manifest(folder)
        self.folder = folder
        self.path = path or Path(manifest["path"])
        self.source_names: tuple[str, ...] = tuple(manifest["sources"])
        self.units: str = manifest["units"]
        field, names = manifest["force_field"], manifest["elements"]
        self.force_field = None if field is None else ForceField.from_dict(field, str(folder / MANIFEST))
        self.type_names: tuple[str, ...] | None = None if names is None else tuple(names)
        self._view = view or View()
        self.isolated_atoms: dict[str, float] = {**manifest["isolated_atoms"], **(self._view.isolated_atoms or {})}
        self.validation = self._view.validation
        self.notes: tuple[str, ...] = tuple(manifest["notes"])
        self.target_names: dict[str, str] = manifest["names"]
        self.states: dict[str, list[str]] = manifest["states"]
        self._config_types: list[str] = manifest["config_types"]
        self._renumbering = self._view.types
        if self._renumbering is not None:
            self.type_names, self.force_field = self._renumbering.names, self._renumbering.force_field
        self._topology_path: str | None = manifest["topology"]
        self._arrays = load_arrays(folder)
        self._labels: dict[int, dict[str, NDArray[Any] | None]] = {}

    def __reduce__(self) -> tuple[type[PackedDataset], tuple[Path, Path, View]]:
        return PackedDataset, (self.folder, self.path, self._view)

    def renumbered(self, types: Renumbering) -> PackedDataset:
        """Return the same data with other numbers for the types of atoms."""
        return PackedDataset(self.folder, self.path, replace(self._view, types=types))

    def with_isolated_atoms(self, energies: Mapping[str, float]) -> PackedDataset:
        """Return the same data with energies of isolated atoms, kcal/mol by the name of their type."""
        return PackedDataset(self.folder, self.path, replace(self._view, isolated_atoms=energies))

    def for_validation(self) -> PackedDataset:
        """Return the same data, of which all frames are for validation."""
        return PackedDataset(self.folder, self.path, replace(self._view, validation=True))

    def with_weights(self, config_type_weights: Mapping[str, float]) -> PackedDataset:
        """Return the same data, the weights of whose frames are multiplied by those of their ``config_type``."""
        return PackedDataset(self.folder, self.path, replace(self._view, config_type_weights=config_type_weights))

    @cached_property
    def run_folder(self) -> Path | None:
        """Folder of the one reference run that the frames are from, which may be named by its trajectory, or None."""
        try:
            sources = find_sources(self.path)
        except InputError:  # a pack without its data
            return None
        return sources[0].manifest.parent if len(sources) == 1 and sources[0].manifest is not None else None

    @property
    def long_range_coulomb(self) -> bool | None:
        """Whether charges on the atoms act on all others without a cutoff or screening; None where it is not known."""
        if self.run_folder is None:
            return None
        found: bool | None = ReferenceRun.open(self.run_folder).manifest.get("long_range_coulomb")
        return found

    @property
    def atom_energies(self) -> dict[int, float]:
        """Energy of an isolated atom of each type, kcal/mol by type from 1, where it is in the data."""
        names = self.type_names or tuple(str(number) for number in range(1, self.type_count + 1))
        found = {number: self.isolated_atoms.get(name) for number, name in enumerate(names, start=1)}
        return {number: energy for number, energy in found.items() if energy is not None}

    @cached_property
    def config_types(self) -> tuple[str | None, ...]:
        """Kind of configuration of each frame, None where the data names none."""
        names = (*self._config_types, None)
        return tuple(names[index] for index in self._arrays["config_types"].tolist())

    @property
    def compositions(self) -> list[frozenset[tuple[str, int]]]:
        """Types of each frame, and atoms of each beside the others: the same for several copies of a box."""
        names, found = self.type_names or (), []
        for frame in self:
            types, counts = np.unique(frame.types, return_counts=True)
            named = (names[kind - 1] if kind <= len(names) else str(kind) for kind in types.tolist())
            found.append(frozenset(zip(named, (counts // np.gcd.reduce(counts)).tolist(), strict=True)))
        return found

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Whether each frame has forces, an energy and a virial, (len(self), 3)."""
        first = self._arrays["forces"][self._arrays["frame_starts"][:-1], 0]
        numbers = first, self._arrays["energies"], self._arrays["virials"].reshape(-1, 9).sum(1)
        return np.asarray(~np.isnan(np.stack(numbers, axis=1)))

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """How much forces, energy and virial of each frame count in a training, (len(self), 3)."""
        of_kind = self._view.config_type_weights or {}
        kinds = [of_kind.get(kind or DEFAULT, of_kind.get(DEFAULT, 1.0)) for kind in self.config_types]
        found: NDArray[np.float64] = self._arrays["weights"] * np.array(kinds, dtype=np.float64)[:, None]
        return found

    @property
    def temperatures(self) -> NDArray[np.float64]:
        """Temperature of each frame as the data say it, K, NaN where they do not, (len(self),)."""
        found: NDArray[np.float64] = self._arrays["temperatures"]
        return found

    def kinetic_temperatures(self, masses: NDArray[np.float64]) -> list[float]:
        """Temperatures of the frames of several atoms that have velocities, K.

        Parameters
        ----------
        masses
            Of each type, g/mol, NaN where it is not known, (T,).
        """
        speeds, starts = self._arrays[SPEEDS], self._arrays["speed_starts"]
        if self._renumbering is not None:
            numbers = np.array((0, *self._renumbering.numbers), dtype=np.float64)
            speeds = np.column_stack([numbers[speeds[:, 0].astype(np.int64)], speeds[:, 1:]])
        frames = np.flatnonzero(self.atom_counts > 1)
        found = (temperature_of_speeds(speeds[starts[k] : starts[k + 1]], masses) for k in frames)
        return [value for value in found if value is not None]

    def __len__(self) -> int:
        """Count the frames."""
        return len(self._arrays["timesteps"])

    def __getitem__(self, index: Any) -> Any:
        """Return one frame; its arrays are read-only views of the file."""
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        index = int(index) % len(self)
        arrays = self._arrays
        atoms = slice(arrays["frame_starts"][index], arrays["frame_starts"][index + 1])
        energy, virial = float(arrays["energies"][index]), arrays["virials"][index]
        temperature = float(arrays["temperatures"][index])
        has_forces, has_energy, has_virial = self.known[index].tolist()
        x, y, z = arrays["periodic"][index].tolist()
        label: Any = self._label(int(arrays["label"][index]))
        return Frame(
            timestep=int(arrays["timesteps"][index]),
            line=None if arrays["lines"][index] < 0 else int(arrays["lines"][index]),
            cell=arrays["cells"][index],
            origin=arrays["origins"][index],
            periodic=(x, y, z),
            positions=np.asarray(arrays["positions"][atoms]),
            forces=np.asarray(arrays["forces"][atoms]) if has_forces else None,
            energy=energy if has_energy else None,
            virial=virial if has_virial else None,
            temperature=None if np.isnan(temperature) else temperature,
            config_type=self.config_types[index],
            weights=TargetWeights(*self.weights[index].tolist()),
            **label,
        )

    def _label(self, index: int) -> dict[str, NDArray[Any] | None]:
        """Ids, types, molecules, charges and bonds; frames that share them get the same arrays."""
        if index not in self._labels:
            found: dict[str, NDArray[Any] | None] = {}
            for name in PER_LABEL:
                start, stop = self._arrays[f"{name}_starts"][index : index + 2]
                known = self._arrays[f"{name}_known"][index]
                found[name] = np.asarray(self._arrays[name][start:stop]) if known else None
                if name == "types" and self._renumbering is not None and found[name] is not None:
                    found[name] = np.array((0, *self._renumbering.numbers), dtype=np.int64)[found[name]]
            self._labels[index] = found
        return self._labels[index]

    @property
    def has_energies(self) -> bool:
        """Whether any frame has an energy."""
        return bool(np.isfinite(self._arrays["energies"]).any())

    @property
    def knows_charges(self) -> bool:
        """Whether the charges of all atoms are known, from the frames or from a force field."""
        return self.force_field is not None or bool(self._arrays["charges_known"].all())

    @property
    def has_virials(self) -> bool:
        """Whether any frame has a virial."""
        return bool(np.isfinite(self._arrays["virials"]).any())

    @property
    def atom_counts(self) -> NDArray[np.int64]:
        """Atoms of each frame, (len(self),)."""
        return np.diff(self._arrays["frame_starts"])

    @property
    def atom_count(self) -> int:
        """Atoms of the largest frame."""
        return int(self.atom_counts.max(initial=0))

    @property
    def type_count(self) -> int:
        """Highest atom type."""
        return int(self.used_types.max(initial=0))

    @cached_property
    def used_types(self) -> NDArray[np.int64]:
        """Types that have atoms, ascending."""
        types = np.unique(np.asarray(self._arrays["types"], dtype=np.int64))
        if self._renumbering is None:
            return types
        found: NDArray[np.int64] = np.sort(np.array((0, *self._renumbering.numbers), dtype=np.int64)[types])
        return found

    @cached_property
    def topology(self) -> Topology | None:
        """The data file that bonds and charges came from, or None, also where its types have other numbers."""
        renumbered = self._renumbering is not None
        return None if self._topology_path is None or renumbered else read_topology(Path(self._topology_path))


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format_version"]
        if version == FORMAT_VERSION and not all(_fits(manifest[key], *kinds) for key, kinds in _MANIFEST.items()):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: is not the description of a packed dataset; delete the folder.") from error
    if version != FORMAT_VERSION:
        found = str(version)[:20]
        raise InputError(f"{path}: has format version {found}, this program reads {FORMAT_VERSION}; delete the folder.")
    return manifest


_MANIFEST: dict[str, tuple[type, ...]] = {
    "path": (str,),
    "sources": (list,),
    "topology": (str, NoneType),
    "force_field": (dict, NoneType),
    "elements": (list, NoneType),
    "config_types": (list,),
    "isolated_atoms": (dict,),
    "notes": (list,),
    "names": (dict,),
    "states": (dict,),
    "units": (str,),
}
"""Types of the values in ``pack.json``; lists contain strings."""


def _fits(value: Any, *kinds: type) -> bool:
    return isinstance(value, kinds) and (not isinstance(value, list) or all(isinstance(v, str) for v in value))


def open_dataset(
    path: Paths,
    *,
    topology: Path | None = None,
    force_field: ForceField | Path | None = None,
    elements: Sequence[str] | None = None,
    cache: Path | None = None,
    keys: Mapping[Target, str] | None = None,
) -> PackedDataset:
    """Open data as a packed dataset, which is built on first use and rebuilt when its files change.

    Packs are kept in ``.gnnformd-cache`` beside the data, or, where that is not writable, in
    ``~/.cache/gnnformd``. Changes of files are detected by their size, time and first and last 64 kilobytes.

    Parameters
    ----------
    path
        Reference run, dump, extxyz file, pattern or several of them (see `find_sources`), or a pack.
    topology
        LAMMPS data file, for data without one in its folder.
    force_field
        For data without one: a force field or a YAML file with one. It also maps elements to types.
    elements
        Elements in the order of their types, for data with element names only.
    cache
        Folder for packs.
    keys
        Names of energies, forces and so on in the files (see `TargetNames`).

    Raises
    ------
    InputError
        A file cannot be read, is wrong or has no forces, or the pack cannot be written.
    """
    dataset = _open(path, topology, force_field, elements, cache, keys or {})
    for note in dataset.notes:
        warnings.warn(f"{dataset.path}: {note}", stacklevel=2)
    return dataset


def _open(
    path: Paths,
    topology: Path | None,
    force_field: ForceField | Path | None,
    elements: Sequence[str] | None,
    cache: Path | None,
    keys: Mapping[Target, str],
) -> PackedDataset:
    names = [path] if isinstance(path, (str, Path)) else list(path)
    if len(names) == 1 and (Path(names[0]) / MANIFEST).is_file():
        return PackedDataset(Path(names[0]))
    sources = find_sources(names, topology)
    manifest = _manifest(names, sources, force_field_of(sources, force_field), elements)
    prefix, name = _pack_name(sources, manifest, keys)
    folders = cache_folders(sources[0].file) if cache is None else [cache]
    for cache_folder in folders:
        if (cache_folder / name / MANIFEST).is_file():
            remove_left_work(cache_folder, prefix)  # of a process that was killed after its pack was complete
            return PackedDataset(cache_folder / name, Path(names[0]))
    cache_folder = first_writable(folders)
    remove_left_work(cache_folder, prefix)
    _build(names, topology, cache_folder / name, manifest, sources, keys)
    for stale in cache_folder.glob(glob.escape(prefix) + "*"):
        if stale.name != name:
            shutil.rmtree(stale, ignore_errors=True)
    return PackedDataset(cache_folder / name, Path(names[0]))


def _manifest(
    names: Sequence[Path | str], sources: Sequence[Source], field: ForceField | None, elements: Sequence[str] | None
) -> dict[str, Any]:
    """Return the content of ``pack.json``."""
    return {
        "path": str(names[0]),
        "sources": [source.file.name for source in sources],
        "topology": None if sources[0].topology is None else str(sources[0].topology.resolve()),
        "force_field": None if field is None else field.to_dict(),
        "elements": list(field.names) if field else _given_names(sources) if elements is None else list(elements),
        "units": format_of(sources[0].file).units(sources[0].file),
    }


def _pack_name(sources: Sequence[Source], manifest: dict[str, Any], keys: Mapping[Target, str]) -> tuple[str, str]:
    """Return the part of the folder's name that does not depend on the contents of files, and the whole name."""
    files = [[str(f.resolve()) for f in source.files] for source in sources]
    given = [files, manifest["force_field"], manifest["elements"], *([dict(keys)] if keys else [])]
    prefix = f"{sources[0].file.name}-{short_hash(given)}-"
    contents = [fingerprint(f) for source in sources for f in source.files]
    return prefix, prefix + short_hash([FORMAT_VERSION, contents])


def _build(
    names: Sequence[Path | str],
    topology: Path | None,
    folder: Path,
    manifest: dict[str, Any],
    sources: Sequence[Source],
    keys: Mapping[Target, str],
) -> None:
    numbering, targets, isolated = (
        element_order(sources) if manifest["elements"] is None else ElementTypes(manifest["elements"]),
        TargetNames(keys),
        IsolatedAtoms(manifest["units"]),
    )

    def frames() -> Iterator[Frame]:
        for frame in read_frames(names, topology=topology, elements=numbering, names=targets):
            if not isolated.take(frame, names[0]):
                yield frame
            elif frame.energy is not None:
                number = int(frame.types[0])
                isolated.add(numbering.names[number - 1] if numbering.names else str(number), frame.energy, names[0])
        manifest["elements"] = names_in_data_file(sources) if numbering.names is None else list(numbering.names)
        manifest["isolated_atoms"] = isolated.energies
        manifest["notes"], manifest["names"] = targets.notes(), targets.chosen
        manifest["states"] = targets.states.values

    write_pack(frames(), folder, manifest)


def _given_names(sources: Sequence[Source]) -> list[str] | None:
    """Names of the types in the reference runs, which must be the same, or None."""
    runs = [ReferenceRun.open(source.file.parent) for source in sources if source.manifest is not None]
    for run in runs:
        if run.type_names != runs[0].type_names:
            raise InputError(
                f"{run.folder}: its types ({', '.join(run.type_names or ())}) differ from those of {runs[0].folder} "
                f"({', '.join(runs[0].type_names or ())}); open them as separate datasets."
            )
    return list(runs[0].type_names) if runs and runs[0].type_names else None


def force_field_of(sources: Sequence[Source], given: ForceField | Path | None) -> ForceField | None:
    """Return the given force field, or the common one of the reference runs.

    Raises
    ------
    InputError
        They have different ones.
    """
    if given is not None:
        return given if isinstance(given, ForceField) else ForceField.from_yaml(given)
    fields = [ReferenceRun.open(source.file.parent).force_field for source in sources if source.manifest is not None]
    for source, field in zip(sources, fields, strict=False):
        if field != fields[0]:
            raise InputError(
                f"{source.file.parent}: its force field differs from that of {sources[0].file.parent}; "
                "open them as separate datasets."
            )
    return fields[0] if fields else None


def open_datasets(settings: DataSettings, cache: Path | None = None) -> list[PackedDataset]:
    """Open all the data of a training, one dataset per path; each folder that a pattern matches is a separate dataset.

    Those of ``settings.validation`` come last. Weights of frames are multiplied by ``settings.config_type_weights``.
    Files with nothing but isolated atoms are no datasets; their energies are given to all the others.

    Raises
    ------
    InputError
        See `open_dataset`; or files have nothing but isolated atoms, or two energies for the same one; or no frame is
        of a kind of configuration that has a weight.
    """
    opened = _open_all(settings.paths or [""], settings, cache)
    opened += [dataset.for_validation() for dataset in _open_all(settings.validation, settings, cache)]
    energies = {dataset.target_names["energy"]: dataset for dataset in opened if "energy" in dataset.target_names}
    if "free_energy" in energies and len(energies) > 1:
        others = " and ".join(f"'{name}' in {d.path}" for name, d in energies.items() if name != "free_energy")
        warnings.warn(
            f"{energies['free_energy'].path}: its energies are 'free_energy', but {others}, which differ where "
            "electrons have a temperature; set data.keys.energy.",
            stacklevel=2,
        )
    _warn_of_states(opened)
    isolated = IsolatedAtoms(common_units(opened))
    for dataset in opened:
        for name, energy in dataset.isolated_atoms.items():
            isolated.add(name, energy, dataset.path)
    found = [dataset for dataset in opened if len(dataset) or not dataset.isolated_atoms]
    if all(dataset.validation for dataset in found):
        raise InputError(f"{opened[0].path}: contains isolated atoms only; add data with frames to learn from.")
    if opened[-1].validation and not found[-1].validation:
        raise InputError(f"{opened[-1].path}: contains isolated atoms only; add frames to validate on.")
    if isolated.energies:
        found = [dataset.with_isolated_atoms(isolated.energies) for dataset in found]
    return _weighted(found, settings.config_type_weights) if settings.config_type_weights else found


def _warn_of_states(datasets: Sequence[PackedDataset]) -> None:
    """Warn of datasets that differ in what models are not told; differences within one are among its notes."""
    each: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for dataset in datasets for name in dataset.states):
        known = [dataset.states.get(name, [NONE]) for dataset in datasets if len(dataset)]
        if all(len(values) == 1 for values in known):
            several = [values[0] for values in known]
            given = [value for value in several if value != NONE]
            each[name] = given if zero(name, given) else several
    for sentence in differences(each):
        warnings.warn(f"data: {sentence}", stacklevel=2)


def common_states(datasets: Sequence[PackedDataset]) -> dict[str, list[str]]:
    """Values of all that energies of frames depend on and models are not told, by name (`PackedDataset.states`)."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for dataset in datasets for name in dataset.states):
        values = [value for dataset in datasets for value in dataset.states.get(name, [NONE])]
        found[name] = list(dict.fromkeys(values))
    return found


def _weighted(datasets: Sequence[PackedDataset], weights: Mapping[str, float]) -> list[PackedDataset]:
    by_name = {DEFAULT if name.lower() == DEFAULT else name: weight for name, weight in weights.items()}
    kinds = {kind for dataset in datasets for kind in dataset.config_types if kind is not None}
    unknown = [name for name in by_name if name not in kinds | {DEFAULT} and not names_isolated_atom(name)]
    if unknown:
        there = f"there are {', '.join(sorted(kinds))}" if kinds else "the data name none"
        raise InputError(f"data.config_type_weights: no frame has the config_type '{unknown[0]}'; {there}.")
    return [dataset.with_weights(by_name) for dataset in datasets]


def _open_all(paths: Sequence[str], settings: DataSettings, cache: Path | None) -> list[PackedDataset]:
    groups: list[list[Path]] = []
    for path in paths:
        found = matching_files(path) if path else matching_files([])
        groups += [[p] for p in found] if all(p.is_dir() for p in found) else [found]
    return [
        open_dataset(
            group,
            topology=None if settings.topology is None else Path(settings.topology),
            force_field=None if settings.force_field is None else Path(settings.force_field),
            elements=settings.elements,
            cache=cache,
            keys=settings.keys,
        )
        for group in groups
    ]


def common_units(datasets: Sequence[PackedDataset]) -> str:
    """Find the unit style that all the data were converted from; ``real`` where they differ."""
    styles = {dataset.units for dataset in datasets}
    return styles.pop() if len(styles) == 1 else "real"
