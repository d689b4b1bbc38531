"""Evaluate a model on datasets: errors of forces and energies, and the time per frame."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.evaluation.forces.extrapolation import Extrapolation, ExtrapolationAccumulator
from gnnformd.evaluation.forces.force_errors import (
    ForceErrorAccumulator,
    ForceMetrics,
    ForceSamples,
    force_metrics,
)
from gnnformd.graph.type_matching import KnownTypes, TypeMap, match_types
from gnnformd.inference.batch import Predictor, needs_physical_features
from gnnformd.inference.seen_pairs import SeenPairs
from gnnformd.model.files.usability import why_another_order, why_another_sign
from gnnformd.model.files.virial_order import has_other_sign, virial_order
from gnnformd.reference.type_names import distinct_names
from gnnformd.trajectory.data_checks import frame_digest, position_digest

if TYPE_CHECKING:
    from gnnformd.force_field import AtomType, ForceField
    from gnnformd.model.files.model_file import LoadedModel, ModelCard
    from gnnformd.model.interface import Prediction
    from gnnformd.trajectory.frame import Frame
    from gnnformd.trajectory.packed.dataset import PackedDataset

__all__ = [
    "ConfigTypeErrors",
    "DatasetEvaluation",
    "EnergyMetrics",
    "Evaluation",
    "ForceMetrics",
    "StressMetrics",
    "evaluate",
    "force_metrics",
]

Float = NDArray[np.float64]

SAMPLED_ATOMS = 6667  # about 20 000 components
PARITY_COMPONENTS = 2000
PARAMETERS = {"charge": "e", "epsilon": "kcal/mol", "sigma": "angstrom"}
SAME_PARAMETER = {"rel_tol": 1e-3, "abs_tol": 1e-4}
SHORT_CUTOFF = 2.5
"""Of sigma; beyond, forces are less than a hundredth of those at sigma, so that it hardly counts where they end."""
UNITS = {"force": "kcal/mol/angstrom", "energy": "kcal/mol", "stress": "kcal/mol/angstrom^3", "time": "s"}


@dataclass(frozen=True)
class EnergyMetrics:
    """Error of the potential energy.

    The zero of a potential energy is arbitrary, and a model trained on forces determines it up to a constant. The mean
    of ``predicted - reference`` per atom over the frames is subtracted first, and reported.

    Attributes
    ----------
    rmse_per_atom
        Root mean square of the remaining difference, divided by the number of atoms, kcal/mol.
    offset_per_atom
        What was subtracted, kcal/mol.
    mae_per_atom
        Mean of its absolute value, kcal/mol.
    frames
        Frames that have an energy.
    mean_per_atom
        Mean of ``predicted - reference`` per atom over these frames, nothing subtracted, kcal/mol: where energies were
        learned, it tells how far those of a kind of configuration are off.
    """

    rmse_per_atom: float
    offset_per_atom: float
    mae_per_atom: float
    frames: int
    mean_per_atom: float


@dataclass(frozen=True)
class StressMetrics:
    """Error of the stress: of the virial over the volume, which has no share of the velocities.

    Attributes
    ----------
    mae, rmse
        Mean absolute and root mean square difference of its six components, kcal/mol/angstrom^3.
    pressure_offset
        Mean of the pressure of the model less that of the data, kcal/mol/angstrom^3: how far pressures at constant
        volume are off.
    frames
        Frames that have a virial and are periodic in all directions.
    """

    mae: float
    rmse: float
    pressure_offset: float
    frames: int


@dataclass(frozen=True)
class ConfigTypeErrors:
    """Errors on the frames of one kind of configuration.

    Attributes
    ----------
    frames
        Number of frames.
    force
        Errors of the forces; None where no frame has forces.
    energy
        Error of the energy, after the offset of the whole dataset has been subtracted; None where there is none.
    stress
        Error of the stress; None where there is none.
    """

    frames: int
    force: ForceMetrics | None
    energy: EnergyMetrics | None
    stress: StressMetrics | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers under their names."""
        return {
            "frames": self.frames,
            "force": None if self.force is None else self.force.to_dict(),
            "energy": None if self.energy is None else dict(vars(self.energy)),
            "stress": None if self.stress is None else dict(vars(self.stress)),
        }


@dataclass(frozen=True)
class DatasetEvaluation:
    """Errors of one model on one dataset.

    Attributes
    ----------
    path
        Path of the data.
    frames
        Frames evaluated.
    atoms, most_atoms
        Atoms in the smallest and in the largest of them.
    force
        Errors of the forces.
    energy
        Error of the energy; None where model or data have none, or a single frame has one.
    stress
        Error of the stress; None where model or data have no virial, or no frame is periodic in all directions.
    seconds_per_frame
        Wall time of the neighbor search, the features and the network, per frame, after a
        warm-up: one frame is predicted before, and the first batch is left out where there are more.
    samples
        Random atoms for a parity plot.
    per_config_type
        Errors on each kind of configuration that the data name, empty where they name none.
    extrapolation
        How far the data are from those of the training; None where the model does not know.
    """

    path: str
    frames: int
    atoms: int
    most_atoms: int
    force: ForceMetrics
    energy: EnergyMetrics | None
    stress: StressMetrics | None
    seconds_per_frame: float
    samples: ForceSamples
    per_config_type: dict[str, ConfigTypeErrors]
    extrapolation: Extrapolation | None

    def to_dict(self) -> dict[str, Any]:
        """Return what ``evaluate`` writes as JSON for one dataset."""
        return {
            "path": self.path,
            "frames": self.frames,
            "atoms": self.atoms,
            "most_atoms": self.most_atoms,
            "force": self.force.to_dict(),
            "energy": None if self.energy is None else dict(vars(self.energy)),
            "stress": None if self.stress is None else dict(vars(self.stress)),
            "seconds_per_frame": self.seconds_per_frame,
            "parity": self.samples.to_dict(PARITY_COMPONENTS),
            "per_config_type": {name: errors.to_dict() for name, errors in self.per_config_type.items()},
            "extrapolation": None if self.extrapolation is None else self.extrapolation.to_dict(),
        }


@dataclass(frozen=True)
class Evaluation:
    """Errors of one model on one or more datasets.

    Attributes
    ----------
    model
        Path of the model file.
    datasets
        One entry per dataset.
    shown_units
        Unit style that results are shown in, that of the model's data: ``real`` or ``metal``.
    """

    model: str
    datasets: tuple[DatasetEvaluation, ...]
    shown_units: str = "real"

    def to_dict(self) -> dict[str, Any]:
        """Return what is written as JSON; ``parity`` holds at most 2000 components as rows of x, y, z."""
        datasets = [d.to_dict() for d in self.datasets]
        return {"model": self.model, "units": UNITS, "shown_units": self.shown_units, "datasets": datasets}


def evaluate(
    loaded: LoadedModel,
    datasets: Sequence[PackedDataset],
    *,
    batch_size: int = 8,
    frames: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Compare a model's forces with the reference; warn where it was trained on the data, or on another force field.

    Parameters
    ----------
    loaded
        The model, on the device and in the precision to evaluate.
    datasets
        Data with forces.
    batch_size
        Frames predicted at once.
    frames
        At most this many frames of each dataset, evenly spaced; all of them by default.
    seed
        Seed of the random sample for the parity plot.
    progress
        Called with the number of frames done and to do.

    Raises
    ------
    InputError
        A dataset is empty, has no forces, has types that the model does not know, or has no force field where
        the model's inputs are physical parameters.
    """
    chosen = [_choose(len(d), frames) for d in datasets]
    total, done, results = sum(map(len, chosen)), 0, []
    for dataset, indices in zip(datasets, chosen, strict=True):
        types, seen = _check(loaded, dataset, indices), SeenPairs.of(loaded)
        first = _frame(loaded, dataset, types, seen, indices[0])
        seen.check(dataset.path, replace(first, types=types.of(first.types)))
        _warn_of_training_frames(loaded.card, dataset, types)
        loaded.card.warn_of_states(dataset.path, dataset.states, loaded.path)

        def report(count: int, before: int = done) -> None:
            if progress is not None:
                progress(before + count, total)

        results.append(_evaluate_one(loaded, dataset, types, seen, indices, batch_size, seed, report))
        done += len(indices)
    return Evaluation(str(loaded.path), tuple(results), loaded.card.shown_units)


def _evaluate_one(
    loaded: LoadedModel,
    dataset: PackedDataset,
    types: TypeMap,
    seen: SeenPairs,
    indices: Sequence[int],
    batch_size: int,
    seed: int,
    report: Callable[[int], None],
) -> DatasetEvaluation:
    names = _type_names(loaded.card, dataset, types)
    errors = ForceErrorAccumulator(names, sample_atoms=SAMPLED_ATOMS, seed=seed)
    of_kind: dict[str, ForceErrorAccumulator] = {}
    extrapolation = ExtrapolationAccumulator()
    kinds: list[str | None] = []
    energy_errors: list[float] = []  # per atom, one a frame, NaN without energy
    stresses: list[tuple[Float, Float] | None] = []  # of the model and of the data, (3, 3) each, one a frame
    sizes: list[int] = []
    seconds: list[tuple[float, int]] = []
    predict = Predictor(loaded, dataset.force_field, types)
    predict([_frame(loaded, dataset, types, seen, indices[0])])  # compiles
    for start in range(0, len(indices), batch_size):
        batch = [_frame(loaded, dataset, types, seen, i) for i in indices[start : start + batch_size]]
        begin = time.perf_counter()
        prediction = predict(batch)
        forces = prediction.forces.detach().cpu().double().numpy()  # waits for the device
        grades = None if prediction.grades is None else prediction.grades.cpu().double().numpy()
        seconds.append((time.perf_counter() - begin, len(batch)))
        energy_errors.extend(_energy_errors(prediction, batch))
        stresses.extend(_stresses(prediction, batch))
        sizes.extend(len(frame.types) for frame in batch)
        start_of_frame = 0
        for frame in batch:
            rows = slice(start_of_frame, start_of_frame + len(frame.types))
            predicted, start_of_frame = forces[rows], rows.stop
            if grades is not None:
                extrapolation.add(grades[rows], predicted, frame.forces)
            kinds.append(frame.config_type)
            if frame.forces is not None:
                errors.add(predicted, frame.forces, frame.types)
            name = frame.config_type
            if name is not None and frame.forces is not None:
                of_kind.setdefault(name, ForceErrorAccumulator(names)).add(predicted, frame.forces, frame.types)
        report(start + len(batch))
    timed = seconds[1:] or seconds
    energy = _energy_metrics(energy_errors)
    _warn_of_virials(dataset, stresses)
    return DatasetEvaluation(
        path=str(dataset.path),
        frames=len(indices),
        atoms=min(sizes),
        most_atoms=max(sizes),
        force=errors.metrics(),
        energy=energy,
        stress=_stress_metrics(stresses),
        seconds_per_frame=sum(t for t, _ in timed) / sum(n for _, n in timed),
        samples=errors.samples(),
        per_config_type={
            name: ConfigTypeErrors(
                kinds.count(name),
                of_kind[name].metrics() if name in of_kind else None,
                _energy_of_kind(energy, energy_errors, kinds, name),
                _stress_metrics([pair for pair, kind in zip(stresses, kinds, strict=True) if kind == name]),
            )
            for name in sorted({kind for kind in kinds if kind is not None})
        },
        extrapolation=extrapolation.result(),
    )


def _choose(length: int, frames: int | None) -> list[int]:
    """Return indices of ``frames`` evenly spaced frames, each in the middle of its stretch."""
    if frames is None or frames >= length:
        return list(range(length))
    return [int((k + 0.5) * length / frames) for k in range(frames)]


def _check(loaded: LoadedModel, dataset: PackedDataset, indices: Sequence[int]) -> TypeMap:
    """Check that the model can be asked about the data, and find which of its types theirs are."""
    card = loaded.card
    if not indices:
        raise InputError(f"{dataset.path}: contains no frames; give data with at least one complete frame.")
    without = sum(dataset[index].forces is None for index in indices)
    if without == len(indices):
        raise InputError(f"{dataset.path}: frame {indices[0]} has no forces to compare with; dump fx, fy and fz.")
    if without:
        have = "has" if without == 1 else "have"
        warnings.warn(
            f"{dataset.path}: {without} of {len(indices)} frames {have} no forces; errors of forces are those of the "
            "others.",
            stacklevel=3,
        )
    if card.force_field is not None and card.force_field.bonds and dataset[indices[0]].bonds is None:
        warnings.warn(
            f"{dataset.path}: its bonds are unknown, so all pairs count as not bonded, but the model was trained with "
            "bonds; give a LAMMPS data file with --topology.",
            stacklevel=3,
        )
    if needs_physical_features(card):
        if dataset.force_field is None:
            raise InputError(
                f"{dataset.path}: has no force field, but the model's inputs are charge, epsilon and sigma of each "
                "atom; give one with --force-field, or the folder of a reference run."
            )
        if not loaded.knows_types:  # atoms of other types differ in their parameters only
            return TypeMap(tuple(range(1, len(dataset.force_field.types) + 1)))
    every, last = set[int](), None
    for index in indices:
        types = dataset[index].types
        if types is not last:  # most frames share one array
            every.update(np.unique(types).tolist())
            last = types
    found = match_types(KnownTypes.of_dataset(dataset), loaded.known_types, every)
    _warn_of_other_force_field(card, dataset, found, every)
    return found


def _warn_of_other_force_field(card: ModelCard, dataset: PackedDataset, types: TypeMap, used: Collection[int]) -> None:
    """Warn where the data have another force field than the one dataset of the last training had."""
    several = bool(card.trained_on) and len(card.trained_on[-1].get("sources") or ()) > 1
    if card.force_field is None or dataset.force_field is None or several:
        return
    difference = _difference(card.force_field, dataset.force_field, types, used)
    if difference is not None:
        warnings.warn(
            f"{dataset.path}: its force field is not that of the data the model was trained on ({difference}); errors "
            "are those of another liquid.",
            stacklevel=4,
        )


def _difference(there: ForceField, here: ForceField, types: TypeMap, used: Collection[int]) -> str | None:
    """Say in what a force field first differs from that of the model, among types that have atoms; None if in nothing.

    Where Lennard-Jones ends counts if that is before `SHORT_CUTOFF`.
    """
    pairs = [
        (there.types[types.numbers[number - 1] - 1], kind)
        for number, kind in enumerate(here.types, start=1)
        if number in used
    ]
    for known, kind in pairs:
        for (name, unit), before, now in zip(PARAMETERS.items(), _parameters(known), _parameters(kind), strict=True):
            if not math.isclose(before, now, **SAME_PARAMETER):
                return f"{name} of {known.name} {before:g} there, {now:g} {unit} here"
    cutoffs = there.lj_cutoff, here.lj_cutoff
    largest = max((_parameters(kind)[2] for _, kind in pairs), default=0.0)
    if min(cutoffs) < SHORT_CUTOFF * largest and not math.isclose(*cutoffs, **SAME_PARAMETER):
        return f"lj_cutoff {cutoffs[0]:g} there, {cutoffs[1]:g} angstrom here"
    return None


def _parameters(kind: AtomType) -> tuple[float, float, float]:
    """Charge, epsilon and sigma; a Lennard-Jones potential without depth or without width is none."""
    if min(kind.epsilon, kind.sigma) < SAME_PARAMETER["abs_tol"]:
        return kind.charge, 0.0, 0.0
    return kind.charge, kind.epsilon, kind.sigma


def _warn_of_training_frames(card: ModelCard, dataset: PackedDataset, types: TypeMap) -> None:
    """Warn where the data contains frames the model was trained on; its card has digests of some of them.

    Cards of older model files have digests of positions alone.
    """
    recorded = [entry.get("some_frames") for entry in card.trained_on]
    known = {str(digest) for digests in recorded if isinstance(digests, list) for digest in digests}
    if known and any(
        frame_digest(replace(frame, types=types.of(frame.types))) in known or position_digest(frame) in known
        for frame in dataset
    ):
        warnings.warn(
            f"{dataset.path}: the model was trained on frames of this dataset, so its errors on other data are larger; "
            "evaluate it on an independent run.",
            stacklevel=3,
        )


def _frame(loaded: LoadedModel, dataset: PackedDataset, types: TypeMap, seen: SeenPairs, index: int) -> Frame:
    frame: Frame = dataset[index]
    known = len(_type_names(loaded.card, dataset, types))
    if frame.types.max() > known:
        raise InputError(
            f"{dataset.path}: frame {index} has atom type {frame.types.max()}, but only {known} are known; use data "
            "with the model's types or complete the force field."
        )
    return seen.without_unseen_bonds(frame)


def _type_names(card: ModelCard, dataset: PackedDataset, types: TypeMap) -> tuple[str, ...]:
    """Return one distinct name per type of the data."""
    physical = needs_physical_features(card) and dataset.force_field is not None
    field = dataset.force_field
    return distinct_names(field.names if physical and field is not None else types.names(card.type_names))


def _energy_errors(prediction: Prediction, batch: Sequence[Frame]) -> Iterator[float]:
    """Error of the energy per atom of each frame, NaN without energy."""
    if prediction.energies is None:
        yield from [np.nan] * len(batch)
        return
    predicted = prediction.energies.detach().cpu().double().numpy()  # (B,)
    for energy, frame in zip(predicted, batch, strict=True):
        yield np.nan if frame.energy is None else float(energy - frame.energy) / len(frame.types)


def _stresses(prediction: Prediction, batch: Sequence[Frame]) -> Iterator[tuple[Float, Float] | None]:
    """Stress of each frame by the model and by the data, (3, 3), positive under compression."""
    if prediction.virials is None:
        yield from [None] * len(batch)
        return
    predicted = prediction.virials.detach().cpu().double().numpy()  # (B, 3, 3)
    for virial, frame in zip(predicted, batch, strict=True):
        if frame.virial is None or not all(frame.periodic):
            yield None
            continue
        volume = abs(np.linalg.det(frame.cell))
        yield (virial + virial.T) / (2 * volume), (frame.virial + frame.virial.T) / (2 * volume)


def _warn_of_virials(dataset: PackedDataset, stresses: Sequence[tuple[Float, Float] | None]) -> None:
    """Tell of virials that are written in another order, or with another sign, than they are read in."""
    known = [pair for pair in stresses if pair is not None]
    if not known:
        return
    predicted, written = zip(*known, strict=True)
    found = virial_order(predicted, written)
    if found is not None:
        warnings.warn(why_another_order(str(dataset.path), found), stacklevel=2)
    elif has_other_sign(predicted, written):
        warnings.warn(why_another_sign(str(dataset.path)), stacklevel=2)


def _stress_metrics(stresses: Sequence[tuple[Float, Float] | None]) -> StressMetrics | None:
    """Errors of xx, yy, zz, yz, xz and xy."""
    known = [mine - theirs for mine, theirs in (pair for pair in stresses if pair is not None)]
    if not known:
        return None
    left = np.stack(known)[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]  # (T, 6)
    return StressMetrics(
        mae=float(np.abs(left).mean()),
        rmse=float(np.sqrt(np.square(left).mean())),
        pressure_offset=float(left[:, :3].mean()),
        frames=len(left),
    )


def _energy_metrics(errors: Sequence[float]) -> EnergyMetrics | None:
    known = [error for error in errors if not np.isnan(error)]
    return _spread(known, float(np.mean(known))) if len(known) > 1 else None


def _energy_of_kind(
    whole: EnergyMetrics | None, errors: Sequence[float], kinds: Sequence[str | None], name: str
) -> EnergyMetrics | None:
    """Error of the frames of one kind of configuration, about the offset of all of them."""
    known = [e for e, kind in zip(errors, kinds, strict=True) if kind == name and not np.isnan(e)]
    return None if whole is None or not known else _spread(known, whole.offset_per_atom)


def _spread(errors: Sequence[float], offset: float) -> EnergyMetrics:
    """Errors per atom about an offset."""
    left = np.asarray(errors) - offset
    mean = float(np.mean(errors))
    return EnergyMetrics(float(np.sqrt(np.mean(left**2))), offset, float(np.abs(left).mean()), len(left), mean)
