"""ForceFitting: the steps of a training in the form Lightning runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as lightning
import torch
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.choose_engine import GraphPredictor
from gnnformd.model.gamd.layers import Perceptron
from gnnformd.model.gamd.rounded_linear import bfloat16_is_fast
from gnnformd.model.interface import ForceModel, Prediction, weight_of
from gnnformd.training.augmentation import random_rotation, rotate
from gnnformd.training.batches import Portion
from gnnformd.training.loss import Loss, Scales, absolute_error_per_axis, error_of, warmup_terms
from gnnformd.training.schedule import learning_rate_factor
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.soap import Soap

__all__ = ["ForceFitting"]

TRAIN_TOTALS, VALIDATION_TOTALS = 7, 16
LONE_PAIRS_EVERY = 4  # batches, on average, lone pairs are looked at: they take a tenth of a step of liquid water
MEMORY = 0.02  # share of a portion in the running means that automatic weights follow


class ForceFitting(lightning.LightningModule):
    """Minimizes the loss of each batch, the sum over its frames of theirs (see `Loss`).

    In the warm-up epochs of schedule ``exponential`` the loss of a batch also holds ``warmup_penalty`` over the sum of
    the absolute components predicted for all of its atoms; so do its losses along x, y and z, each over the sum of
    these components alone.

    Attributes
    ----------
    balance
        Running means of what forces, energies and virials cost, (3,).
    train_totals
        Sum of losses and number of frames of the running epoch, sum of the absolute errors of forces and number of
        atoms, number of frames with an energy, number of frames with a virial, sum of their `Loss.virial_shares`, (7,).
    energy_moments
        Of the running epoch, see `gnnformd.training.loss.energy_share`, (T + 1, T + 1).
    validation_totals
        Sums of absolute errors of forces along x, y, z, number of frames with forces, of their atoms, and of frames
        with an energy, sums over them of the error per atom and of its square, number of components of virials, sum
        over them of the squared error per atom, sums over batches of the warm-up penalties in all and along x, y, z,
        sum of the squared errors of components of forces, sum of their absolute values in the data, (16,).
    validated
        Whether the running epoch was validated.

    Parameters
    ----------
    model
        What is trained.
    settings
        Of the training.
    scales
        From `measure_scales`.
    types
        Number of types of atoms, T.
    sample
        A batch of training frames with their targets. If the model finds `ForceModel.lone_pair_energies` in them, a
        fourth of the batches, chosen by their seeds, also costs `Loss.of_lone_pairs`, which is in none of the losses
        that are told.
    """

    def __init__(
        self,
        model: ForceModel,
        settings: TrainingSettings,
        scales: Scales,
        types: int,
        sample: AtomicGraph | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.types = types
        self.loss = Loss(settings, scales)
        self._sample = sample
        self._lone_pairs: Callable[[int], Tensor] | None = None
        self.balance: Tensor
        self.register_buffer("balance", torch.zeros(3, dtype=weight_of(model).dtype), persistent=self.loss.automatic)
        # in a tuple, so that a compiled network does not appear a second time among the weights
        self._compute: tuple[Any] = (torch.compile(model, dynamic=True) if settings.compile else model,)
        # parts of predictions that stay the same, by frame
        self._fixed: dict[int, Prediction | None] = {}
        self._validator: GraphPredictor | None = None
        # no buffers: those of one device would be copied over those of the others
        self.train_totals = torch.zeros(TRAIN_TOTALS, dtype=torch.float64)
        self.energy_moments = torch.zeros(types + 1, types + 1, dtype=torch.float64)
        self.validation_totals = torch.zeros(VALIDATION_TOTALS, dtype=torch.float64)
        self.validated = False

    def training_step(self, batch: tuple[AtomicGraph, Portion], _: int) -> Tensor:
        """Loss of one portion."""
        graph, portion = batch
        if self.settings.rotations:
            graph = rotate(graph, random_rotation(torch.Generator().manual_seed(portion.batch_seed)))
        with _seeded(portion.seed, graph.positions.device):  # for the dropout
            prediction = self._predict(graph, portion)
        terms = self.loss.terms(prediction, graph, self.balance)  # (3, B)
        known = graph.known_targets
        of_frames = terms if graph.weights is None else terms * graph.weights.T
        loss = self._weights(terms, known, portion) @ of_frames
        penalty = self._penalties(prediction, portion)[0].to(loss)
        weights = loss.new_tensor(portion.weights)
        with torch.no_grad():
            real = weights > 0
            errors = absolute_error_per_axis(prediction.forces, graph).sum(1)  # (B,)
            atoms = graph.atoms_per_graph * real * known[0]
            parts = [(loss * real).sum() + penalty, real.sum(), (errors * real).sum(), atoms.sum()]
            of_virials = self.loss.virial_shares(prediction, graph)
            parts += [(known[1] * real).sum(), (known[2] * real).sum(), (of_virials * known[2] * real).sum()]
            self.train_totals += torch.stack([part.to(self.train_totals) for part in parts])
            rows = self.loss.energy_rows(prediction, graph, self.types)
            self.energy_moments += rows.T @ (rows * real[:, None])
        cost = (loss * weights).sum() + penalty * weights.max()
        if self._lone_pairs is not None and portion.batch_seed % LONE_PAIRS_EVERY == 0:
            cost = cost + self.loss.of_lone_pairs(self._lone_pairs(portion.batch_seed)) * weights.sum()
        return cost

    def _weights(self, terms: Tensor, known: Tensor, portion: Portion) -> Tensor:
        """Weights of forces, energies and virials, (3,), from what they cost lately where they are automatic."""
        if self.loss.automatic:
            real = float(max(portion.weights) > 0)
            sums = real * torch.stack([terms.detach().sum(1), known.sum(1).to(terms)])  # (2, 3)
            sums = self.trainer.strategy.reduce(sums, reduce_op="sum")
            rate = torch.where(self.balance > 0, MEMORY, 1.0) * (sums[1] > 0)
            self.balance.lerp_(sums[0] / sums[1].clamp(min=1.0), rate.to(self.balance))
        return self.loss.weights(self.balance)

    def _penalties(self, prediction: Prediction, portion: Portion) -> Tensor:
        """Penalties of warm-up in all and along x, y, z for a portion; those of a batch's portions add up, (4,).

        A portion knows its own forces only; it takes the sum over the batch to be larger than theirs as the batch is
        larger than it, and pays for its share of the batch.
        """
        if self.settings.schedule == "exponential" and self.current_epoch < self.settings.warmup_epochs:
            return warmup_terms(prediction.forces, self.settings.warmup_penalty * portion.share**2)
        return prediction.forces.new_zeros(4)

    def _predict(self, graph: AtomicGraph, portion: Portion) -> Prediction:
        """Predict; what depends on no parameter is computed the first time a frame is seen."""
        fixed = None
        if not self.settings.rotations:
            if any(index not in self._fixed for index in portion.indices):
                parts = self.model.fixed_part(graph)
                each = [None] * graph.graph_count if parts is None else parts.split(graph.atoms_per_graph.tolist())
                self._fixed.update(zip(portion.indices, each, strict=True))
            known = [part for index in portion.indices if (part := self._fixed[index]) is not None]
            fixed = Prediction.join(known) if known else None
        prediction: Prediction = self._compute[0](graph, fixed)
        return prediction

    def transfer_batch_to_device(
        self, batch: tuple[AtomicGraph, Portion], device: torch.device, dataloader_idx: int
    ) -> tuple[AtomicGraph, Portion]:
        """Move the graphs."""
        graph, portion = batch
        return graph.to(device), portion

    def on_fit_start(self) -> None:
        """Round gradients of the GAMD network where that is asked for and fast, now that the device is known."""
        rounds = self.settings.round_gradients and bfloat16_is_fast(self.device)
        for part in self.model.modules():
            if isinstance(part, Perceptron):
                part.round_gradients = rounds

    def on_train_start(self) -> None:
        """Find lone pairs, when the weights of an earlier training are in place."""
        if self._sample is not None:
            sample = self._sample.to(self.device, weight_of(self.model).dtype)
            self._lone_pairs, self._sample = self.model.lone_pair_energies(sample), None

    def on_train_epoch_start(self) -> None:
        """Forget the sums of the last epoch."""
        self.train_totals = torch.zeros(TRAIN_TOTALS, dtype=torch.float64, device=self.device)
        self.energy_moments = torch.zeros_like(self.energy_moments, device=self.device)
        self.validated = False

    def on_validation_epoch_start(self) -> None:
        """Forget the sums and the weights of the last epoch."""
        self._validator = None  # made at the first frame, when averaged weights are in place
        self.validation_totals = torch.zeros(VALIDATION_TOTALS, dtype=torch.float64, device=self.device)
        self.validated = True

    def validation_step(self, batch: tuple[AtomicGraph, Portion], _: int) -> None:
        """Add up the errors of validation frames."""
        graph, portion = batch
        if self._validator is None:
            self._validator = GraphPredictor(self._compute[0], weights_change=True)
        prediction = self._validator([graph])
        errors = absolute_error_per_axis(prediction.forces, graph).to(self.validation_totals)  # (B, 3)
        real = errors.new_tensor(portion.weights) * graph.known_targets  # (3, B)
        atoms = graph.atoms_per_graph
        penalties = self._penalties(prediction, portion).to(errors)
        squares, sizes = errors.new_zeros(2, graph.graph_count)
        if graph.forces is not None:
            sizes = graph.sum_per_graph(graph.forces.nan_to_num().abs()).to(errors).sum(1)  # (B,)
            squares = graph.sum_per_graph(error_of(prediction.forces, graph.forces).square()).to(errors).sum(1)  # (B,)
        parts = [real[0] @ errors, real[0].sum()[None], (atoms * real[0]).sum()[None], errors.new_zeros(5), penalties]
        parts.append(torch.stack([real[0] @ squares, real[0] @ sizes]))
        if prediction.energies is not None and graph.energies is not None:
            energy = error_of(prediction.energies, graph.energies).to(errors) / atoms  # (B,)
            parts[3][:3] = torch.stack([real[1].sum(), real[1] @ energy, real[1] @ energy.square()])
        if prediction.virials is not None and graph.virials is not None:
            virial = error_of(prediction.virials, graph.virials).to(errors).flatten(1) / atoms[:, None]  # (B, 9)
            parts[3][3:] = torch.stack([9 * real[2].sum(), (real[2] @ virial.square()).sum()])
        self.validation_totals += torch.cat(parts)

    def sums_over_ranks(self) -> tuple[Tensor, Tensor, Tensor]:
        """`train_totals`, `energy_moments` and `validation_totals` over all devices."""
        add = self.trainer.strategy.reduce
        return (
            add(self.train_totals.clone(), reduce_op="sum").cpu(),
            add(self.energy_moments.clone(), reduce_op="sum").cpu(),
            add(self.validation_totals.clone(), reduce_op="sum").cpu(),
        )

    def configure_optimizers(self) -> Any:
        """Make the optimizer; its learning rate changes from epoch to epoch or is set by `TrainingProgress`."""
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        rate = self.settings.learning_rate
        optimizer: torch.optim.Optimizer
        if self.settings.optimizer == "soap":
            optimizer = Soap(parameters, rate)
        else:
            optimizer = torch.optim.Adam(parameters, lr=rate, fused=True)
        if self.settings.schedule == "cosine":
            return optimizer
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda epoch: learning_rate_factor(epoch, self.settings.warmup_epochs, self.settings.decay),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's random generators, and put them back afterwards as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed looks for every kind of accelerator
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        yield
