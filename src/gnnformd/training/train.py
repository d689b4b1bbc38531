"""From data and settings to a run folder with a trained model."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from gnnformd.errors import InputError
from gnnformd.files import locked_folder
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.files.model_card import ERRORS
from gnnformd.model.files.model_file import LoadedModel, ModelCard, load_model, read_card, save_model
from gnnformd.model.files.usability import why_unusable
from gnnformd.model.files.virial_order import virial_order
from gnnformd.model.gamd.rounded_linear import bfloat16_is_fast
from gnnformd.model.interface import ForceModel, weight_of
from gnnformd.model.registry import build_model, model_class
from gnnformd.model.settings import DensitySettings, ModelSettings
from gnnformd.reference.thermo import temperature_range
from gnnformd.training.atom_types import atom_energies, with_common_types
from gnnformd.training.data import FrameData
from gnnformd.training.data_checks import training_digests, value_digests
from gnnformd.training.data_range import data_range_of, shortest_distances_of
from gnnformd.training.fine_tuning import copy_weights, freeze, validation_error
from gnnformd.training.lightning_module import ForceFitting
from gnnformd.training.loss import measure_scales
from gnnformd.training.progress import TrainingProgress
from gnnformd.training.run_folder import (
    best_checkpoint,
    checkpoint_records,
    checkpoint_to_resume,
    is_main_process,
    model_weights,
    refuse_other_frames,
    refuse_to_overwrite,
    write_config,
)
from gnnformd.training.run_log import Checkpoints, EpochRecord, RunLog
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.stopwatch import Stopwatch
from gnnformd.training.trainer import computing, device_of, make_trainer
from gnnformd.trajectory.data_checks import frame_digest, position_digest
from gnnformd.trajectory.packed.dataset import PackedDataset, common_states, common_units, open_datasets
from gnnformd.trajectory.settings import DataSettings

__all__ = ["AfterBest", "TrainedRun", "finetune", "train"]

Progress = Callable[[int, int], None]
Listener = Callable[[EpochRecord], None]
Stage = Callable[[str], None]


NOTICEABLE = 0.02
"""Share by which an error has to rise to be told."""


@dataclass(frozen=True)
class AfterBest:
    """A training whose best model was not its last.

    Attributes
    ----------
    best_seconds, seconds
        Up to the best epoch, and in all.
    last_l1_per_atom
        Error of the validation frames at the end, as `EpochRecord.validation_l1_per_atom`.
    overfits
        Whether the error of the training frames went on falling meanwhile.
    """

    best_seconds: float
    seconds: float
    last_l1_per_atom: float
    overfits: bool


@dataclass(frozen=True)
class TrainedRun:
    """A run folder after training.

    Attributes
    ----------
    folder
        Holds ``config.yaml``, ``training_log.txt``, ``metrics.csv``, ``checkpoints/`` and ``model.safetensors``.
    records
        One per epoch.
    best
        The epoch whose weights are in ``model.safetensors`` (`gnnformd.training.run_folder.best_checkpoint`).
    in_vain
        Lengths of the last two cycles of the learning rate, in epochs, where the longer was no better, so that the
        training ended early.
    before
        Error of the model that was fine-tuned, as `EpochRecord.validation_l1_per_atom`; None for one from scratch.
    """

    folder: Path
    records: tuple[EpochRecord, ...]
    best: EpochRecord
    in_vain: tuple[int, int] | None = None
    before: float | None = None

    @property
    def model(self) -> Path:
        """The model file."""
        return self.folder / "model.safetensors"

    @property
    def why_unusable(self) -> str | None:
        """See `gnnformd.model.files.usability.why_unusable`."""
        best = self.best
        return why_unusable(best.validation_l1_per_atom, best.validation_mean_force, best.train_l1_per_atom)

    @property
    def why_inconsistent(self) -> str | None:
        """See `gnnformd.model.files.usability.why_inconsistent`."""
        return read_card(self.model).why_inconsistent

    @property
    def after_best(self) -> AfterBest | None:
        """What came after the best epoch, if the error of validation frames has risen noticeably since."""
        best, last = self.best, self.records[-1]
        if not last.validation_l1_per_atom > (1 + NOTICEABLE) * best.validation_l1_per_atom:
            return None
        known = best.train_l1_per_atom is not None and last.train_l1_per_atom is not None
        overfits = known and cast(float, last.train_l1_per_atom) < cast(float, best.train_l1_per_atom)
        return AfterBest(best.seconds, last.seconds, last.validation_l1_per_atom, overfits)


def train(
    model: ModelSettings,
    data: DataSettings,
    training: TrainingSettings,
    out: Path,
    *,
    resume: bool | Path = False,
    listener: Listener | None = None,
    progress: Progress | None = None,
    stage: Stage | None = None,
) -> TrainedRun:
    """Train a network from randomly initialized weights.

    Where data have no force field, physical inputs are replaced by a learned vector for each type.

    Parameters
    ----------
    model, data, training
        Settings; their classes describe them.
    out
        Run folder to write.
    resume
        Continue from ``checkpoints/last.ckpt`` of the run folder, or from a given checkpoint.
    listener
        Called with the record of each epoch.
    progress
        Called with steps done and steps expected in total.
    stage
        Called with what is being done before the first step.

    Raises
    ------
    InputError
        Data, settings and run folder do not match.
    """

    def make(settings: ModelSettings, type_names: tuple[str, ...]) -> ForceModel:
        torch.manual_seed(training.seed)
        return build_model(settings, len(type_names))

    def prepare(network: ForceModel, sample: AtomicGraph, shortest: Tensor, _: tuple[str, ...]) -> None:
        network.initialize(sample, shortest)

    fit = _Fit(model, data, training, out, make, prepare, stage=stage or _silent)
    return fit.run(resume, listener, progress)


def finetune(
    pretrained: str | Path,
    model: ModelSettings,
    data: DataSettings,
    training: TrainingSettings,
    out: Path,
    *,
    resume: bool | Path = False,
    listener: Listener | None = None,
    progress: Progress | None = None,
    stage: Stage | None = None,
) -> TrainedRun:
    """Train from the weights of a model file; everything else as in `train`.

    The settings of the model may differ where the weights do not depend on them (cutoff, dropout), and the types of
    atoms where the model's inputs are physical parameters; channels that are not set are those of the model. Parts
    named in ``training.freeze`` keep their weights.

    Raises
    ------
    InputError
        The weights do not match the settings, or see `train`.
    """
    start = load_model(pretrained)
    known = start.card.settings
    if isinstance(model, DensitySettings) and isinstance(known, DensitySettings) and model.channels is None:
        model = model.model_copy(update={"channels": known.channels})

    def make(settings: ModelSettings, type_names: tuple[str, ...]) -> ForceModel:
        torch.manual_seed(training.seed)
        network = build_model(settings, len(type_names))
        copy_weights(network, start, type_names)
        return network

    def prepare(network: ForceModel, sample: AtomicGraph, shortest: Tensor, type_names: tuple[str, ...]) -> None:
        network.adapt(sample, shortest, same_types=type_names == start.card.type_names)

    fit = _Fit(model, data, training, out, make, prepare, start, stage or _silent)
    return fit.run(resume, listener, progress)


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True)
class _Fit:
    """A training that is ready to run."""

    model: ModelSettings
    data: DataSettings
    training: TrainingSettings
    out: Path
    make: Callable[[ModelSettings, tuple[str, ...]], ForceModel]
    prepare: Callable[[ForceModel, AtomicGraph, Tensor, tuple[str, ...]], None]
    start: LoadedModel | None = None
    stage: Stage = _silent

    def run(self, resume: bool | Path, listener: Listener | None, progress: Progress | None) -> TrainedRun:
        if not is_main_process():
            return self._run_locked(resume, listener, progress)
        with locked_folder(self.out):
            if not resume:
                refuse_to_overwrite(self.out)
            return self._run_locked(resume, listener, progress)

    def _run_locked(self, resume: bool | Path, listener: Listener | None, progress: Progress | None) -> TrainedRun:
        self.stage("reading the data")
        datasets = open_datasets(self.data)
        unknown = next((dataset for dataset in datasets if dataset.force_field is None), None)
        if unknown is not None and self.model.node_features == "physical" and self.start is None:
            warnings.warn(
                f"{unknown.path}: has no force field, so the model learns a vector for each type (model.node_features: "
                "embedding); set data.force_field to give it charge, epsilon and sigma.",
                stacklevel=2,
            )
            self = self._with(node_features="embedding")
        if getattr(self.model, "electrostatics", "none") == "fixed":
            self = self._with_known_charges(datasets)
        stopwatch = Stopwatch()
        with stopwatch.without_compilation():
            return self._run(datasets, stopwatch, resume, listener, progress)

    def _with(self, **changes: str) -> _Fit:
        """Change settings of the model."""
        return replace(self, model=self.model.model_copy(update=changes))

    def _with_known_charges(self, datasets: Sequence[PackedDataset]) -> _Fit:
        """Leave out the Coulomb energy where no charges are known; refuse data of which only a part has charges."""
        without = [dataset.path for dataset in datasets if not dataset.knows_charges]
        if not without:
            other = [d.path for d in datasets if d.long_range_coulomb is False and any(d[0].periodic)]
            if other:
                warnings.warn(
                    f"{other[0]}: its charges act within a cutoff, are screened or beside the atoms (no kspace_style, "
                    "dielectric, TIP4P), but the model has their whole Coulomb energy; set model.electrostatics to "
                    "none.",
                    stacklevel=4,
                )
            return self
        where = f"{without[0]}: has no charges"
        how = "name their column with data.keys.charges, or give data.force_field or data.topology"
        if len(without) < len(datasets) or self.start is not None:
            raise InputError(f"{where}, which model.electrostatics: fixed needs; {how}, or set it to none.")
        warnings.warn(f"{where}, so there is no Coulomb energy (model.electrostatics: none); {how}.", stacklevel=4)
        return self._with(electrostatics="none")

    def _warn_of_slow_rounding(self) -> None:
        """Tell where gradients are not rounded though that was asked for."""
        asked = self.model.kind == "gamd" and self.training.round_gradients and is_main_process()
        if asked and not bfloat16_is_fast(device_of(self.training)):
            warnings.warn(
                "training.round_gradients: this processor has no instructions for bfloat16 numbers (AVX512_BF16), "
                "without which they are slower; gradients are computed from float32 numbers.",
                stacklevel=2,
            )

    def _known_types(self, names: Sequence[str]) -> set[int] | None:
        """Types, from 1, that the model knows before training; None for all, which it knows by their parameters."""
        if self.model.node_features == "physical":
            return None
        known = () if self.start is None else self.start.card.type_names
        return {number for number, name in enumerate(names, start=1) if name in known}

    def _run(
        self,
        datasets: Sequence[PackedDataset],
        stopwatch: Stopwatch,
        resume: bool | Path,
        listener: Listener | None,
        progress: Progress | None,
    ) -> TrainedRun:
        checkpoints, start = self.out / "checkpoints", None
        if resume:
            checkpoint = resume if isinstance(resume, Path) else None
            start = checkpoint_to_resume(self.out, checkpoint, self.model, self.training)
        by_parameters = self.model.node_features == "physical" and not model_class(self.model).per_type
        datasets, names = with_common_types(datasets, self.start, parameters_suffice=by_parameters)
        network = self.make(self.model, names)
        network.to(torch.float64 if self.training.precision == "64-true" else torch.float32)
        freeze(network, self.training.freeze)
        if (self.training.energy_weight or self.training.virial_weight) and not network.conservative:
            raise InputError(
                f"model.kind: a '{self.model.kind}' model has no energy; choose 'density', or set "
                "training.energy_weight and training.virial_weight to 0."
            )
        if self.training.compile and network.conservative:
            raise InputError(
                f"training.compile: a '{self.model.kind}' model differentiates its energy twice, which PyTorch does "
                "not compile; set it to false."
            )
        self._warn_of_slow_rounding()
        frames = FrameData(
            datasets,
            self.data,
            self.training,
            self.model.cutoff,
            batch_wide=network.batch_wide,
            known_types=self._known_types(names),
        )
        digests = training_digests(datasets, frames.train_graphs.frames, position_digest)
        values = value_digests(datasets, frames.train_graphs.frames, frames.validation_graphs.frames)
        if start is not None:
            refuse_other_frames(start, digests, values)
        self.stage("neighbor lists")
        sample = frames.sample()
        shortest = shortest_distances_of(datasets, frames.train_graphs.frames, self.model.cutoff, len(names))
        log = RunLog(self.out, stopwatch, listener)
        if start is None:
            if self.start is not None:
                self.stage("errors before the fine-tuning")
                begin = stopwatch.seconds
                log.before = validation_error(network, frames)
                stopwatch.leave_out(stopwatch.seconds - begin)
            isolated = atom_energies(datasets, names)
            if isolated is not None:
                network.start_from_atoms(torch.tensor(isolated, dtype=torch.float64))
            self.stage("potentials by least squares" if network.conservative else "scales of the data")
            self.prepare(network, sample, shortest, names)
        saving = Checkpoints(checkpoints, self.training.checkpoint_every, log, self.model, digests, values)
        schedule = TrainingProgress(self.training, stopwatch, log, progress)
        with computing(self.training):
            callbacks = [log, schedule, saving]
            trainer = make_trainer(frames.training, frames.atoms, self.out, callbacks, batch_wide=network.batch_wide)
            if is_main_process():
                write_config(self.out / "config.yaml", model=self.model, data=self.data, training=frames.training)
                checkpoints.mkdir(exist_ok=True)
            try:
                self.stage("first step (loops are compiled)")
                fitting = ForceFitting(network, self.training, measure_scales(sample), len(names), sample)
                trainer.fit(fitting, frames, ckpt_path=None if start is None else start.path, weights_only=True)
            finally:
                if (checkpoints / "last.ckpt").exists() and log.records and is_main_process():
                    records = checkpoint_records(checkpoints / "last.ckpt")
                    chosen = best_checkpoint(checkpoints, records, schedule.cycles.ends)
                    self._export(*chosen, records[-1].epoch, frames, datasets, names, shortest)
        cycles = schedule.cycles
        best = best_checkpoint(checkpoints, log.records, cycles.ends)[1]
        in_vain = (cycles.lengths[-2], cycles.lengths[-1]) if cycles.in_vain else None
        return TrainedRun(self.out, tuple(log.records), best, in_vain, log.before)

    def _export(
        self,
        path: Path,
        best: EpochRecord,
        epochs: int,
        frames: FrameData,
        datasets: Sequence[PackedDataset],
        names: tuple[str, ...],
        shortest: Tensor,
    ) -> None:
        """Write the model file from the best checkpoint of a training of so many epochs."""
        network = build_model(self.model, len(names))
        network.load_state_dict(model_weights(path))
        dtype = weight_of(network).dtype
        network.eval().learn_range(graph.to("cpu", dtype) for graph in frames.wide_sample())
        if not self.training.energy_weight:
            network.match_energies(frames.sample().to("cpu", dtype))
        this = {
            "sources": [dataset.path.name for dataset in datasets if not dataset.validation],
            "atoms": [dataset.atom_count for dataset in datasets if not dataset.validation],
            "units": common_units(datasets),
            "states": common_states([dataset for dataset in datasets if not dataset.validation]),
            "training_frames": len(frames.train_graphs),
            "validation_frames": len(frames.validation_graphs),
            **_temperatures(datasets),
            "some_frames": training_digests(datasets, frames.train_graphs.frames, frame_digest),
            **data_range_of(datasets, frames.train_graphs.frames, shortest, names),
            **_other_orders(network, frames, [dataset.path.name for dataset in datasets]),
            "epoch": best.epoch,
            "epochs": epochs,
            **_known(**{name: getattr(best, name) for name in ERRORS}),
        }
        card = ModelCard(
            settings=self.model,
            type_names=names,
            force_field=max(datasets, key=lambda d: d.type_count).force_field,
            trained_on=(*(() if self.start is None else self.start.card.history(names)), this),
        )
        save_model(self.out / "model.safetensors", network, card)


def _other_orders(network: ForceModel, frames: FrameData, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Orders of the components of virials, where they are others than those in which they were read, by name."""
    found: dict[str, str] = {}
    for number, name in enumerate(names):
        graph = frames.with_virials(number) if network.conservative else None
        if graph is not None:
            graph = graph.to("cpu", weight_of(network).dtype)
            predicted = network(graph).virials
            assert predicted is not None and graph.virials is not None
            order = virial_order(predicted.detach().numpy(), graph.virials.numpy())
            found |= {} if order is None else {name: order}
    return {"virial_orders": found} if found else {}


def _known(**values: float | None) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


def _temperatures(datasets: Sequence[PackedDataset]) -> dict[str, list[float]]:
    """Lowest, mean and highest temperature of the training data, where all of them are reference runs with a table."""
    folders = [dataset.run_folder for dataset in datasets if not dataset.validation]
    tables = [folder / "thermo.csv" for folder in folders if folder is not None]
    if len(tables) < len(folders) or not all(table.is_file() for table in tables):
        return {}
    found = temperature_range(tables)
    return {} if found is None else {"temperature_K": found}
