"""Losses of forces, energies and virials, and trainings on them."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gnnformd.errors import InputError
from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.build import build_graph, collate
from gnnformd.model.files.model_file import load_model
from gnnformd.model.interface import Prediction
from gnnformd.model.settings import DensitySettings, GamdSettings
from gnnformd.training.loss import Loss, Scales, energy_share, measure_scales
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.train import train
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.settings import DataSettings
from tests.model.conftest import random_graph

SCALES = Scales(force=5.0, energy=2.0, virial=3.0, atoms=6.0)
MODEL = DensitySettings(
    cutoff=5.0, features=8, width=8, radial_functions=6, bond_kinds=0, node_features="embedding", electrostatics="none"
)


def settings(**changes: object) -> TrainingSettings:
    quiet = {"loggers": (), "threads": 1, "accelerator": "cpu"}
    return TrainingSettings(**{"schedule": "cosine", "rotations": False, **quiet, **changes})


def two_frames() -> tuple[AtomicGraph, Prediction]:
    """Frames of six atoms with energies and virials, and a prediction without error."""
    graph = random_graph(2, molecules=2)
    graph = replace(
        graph,
        energies=torch.tensor([-3.0, 4.0], dtype=torch.float64),
        virials=torch.arange(18, dtype=torch.float64).view(2, 3, 3),
    )
    assert graph.forces is not None
    return graph, Prediction(graph.forces, graph.energies, graph.virials)


def total(loss: Loss, prediction: Prediction, graph: AtomicGraph) -> torch.Tensor:
    """Loss of each graph, with fixed weights."""
    return loss.weights(torch.zeros(3, dtype=torch.float64)) @ loss.terms(prediction, graph)


@pytest.mark.parametrize("kind", ["l1", "huber"])
def test_energies_and_virials_off_by_their_scale_count_as_forces_off_by_theirs(kind: str) -> None:
    graph, right = two_frames()
    loss = Loss(settings(loss=kind, energy_weight=2.0, virial_weight=0.5), SCALES)
    assert total(loss, right, graph).abs().max() < 1e-12
    assert right.energies is not None and right.virials is not None
    off = torch.tensor([1.0, -10.0], dtype=torch.float64) * 6**0.5  # times sqrt(N)
    for wrong, weight in (
        (replace(right, energies=right.energies + SCALES.energy * off), 2.0),
        (replace(right, virials=right.virials - SCALES.virial * off[:, None, None]), 0.5),
    ):
        expected = weight * 6 * SCALES.force * torch.tensor([1.0, 10.0], dtype=torch.float64)
        rounded = 0.011 if kind == "huber" else 1e-12  # the bend takes off up to a hundredth of one scale
        torch.testing.assert_close(total(loss, wrong, graph), expected, rtol=rounded, atol=0)


def test_an_energy_counts_as_much_in_a_small_frame_as_in_a_large_one() -> None:
    graphs = [random_graph(1, molecules=count) for count in (1, 4)]
    graph = collate(graphs)
    atoms = graph.atoms_per_graph.double()
    graph = replace(graph, energies=3.0 * atoms, virials=atoms[:, None, None].expand(2, 3, 3))
    scales = measure_scales(graph)
    assert scales.atoms == 7.5
    loss = Loss(settings(loss="huber", energy_weight=1.0, virial_weight=1.0), scales)
    off = atoms.sqrt()  # errors of the atoms are independent
    terms = loss.terms(Prediction(graph.forces, graph.energies + off, graph.virials + off[:, None, None]), graph)
    torch.testing.assert_close(terms[1:, 0], terms[1:, 1], rtol=1e-12, atol=0)


def test_energies_of_automatic_weight_cost_their_square_up_to_the_error_that_is_usual() -> None:
    graph, right = two_frames()
    loss = Loss(settings(loss="huber", energy_weight="auto", virial_weight="auto"), SCALES)
    assert right.energies is not None and right.virials is not None
    for usual in (0.1, 3.0):
        off = usual * 6**0.5  # of atoms
        balance = torch.zeros(3, dtype=torch.float64)
        for _ in range(60):  # as errors stay, so do their costs
            wrong = replace(
                right, energies=right.energies + SCALES.energy * off, virials=right.virials - SCALES.virial * off
            )
            balance = 0.5 * (balance + loss.terms(wrong, graph, balance).mean(1))
        expected = (2**0.5 - 1) * usual * 6 * SCALES.force
        torch.testing.assert_close(balance[1:], torch.full((2,), expected, dtype=torch.float64))
        for factor in (0.01, 100.0):
            other = replace(right, energies=right.energies + SCALES.energy * off * factor)
            cost = loss.terms(other, graph, balance)[1] / (6 * SCALES.force * usual)
            expected = torch.full((2,), 0.5 * factor**2 if factor < 1 else factor - 1, dtype=torch.float64)
            torch.testing.assert_close(cost, expected, rtol=0.01, atol=0)


def test_automatic_weights_make_energies_and_virials_a_twentieth_of_what_forces_cost() -> None:
    loss = Loss(settings(loss="huber", energy_weight="auto", virial_weight="auto"), SCALES)
    for energies, virials in ((0.3, 2.0), (1.0, 3.0), (2.0, 0.5)):  # what they cost where forces cost 1
        weights = loss.weights(torch.tensor([1.0, energies, virials], dtype=torch.float64))
        assert weights.tolist() == pytest.approx([1.0, 0.05 / energies, 0.05 / virials])


def test_the_automatic_weight_of_energies_falls_no_further_where_forces_cost_less_than_0_3_of_them() -> None:
    loss = Loss(settings(loss="huber", energy_weight="auto", virial_weight="auto"), SCALES)
    for forces in (0.1, 0.01, 1e-6):
        assert loss.weights(torch.tensor([forces, 1.0, 10.0])).tolist() == pytest.approx([1.0, 0.015, 0.005 * forces])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_automatic_weights_of_energies_that_are_met_better_than_forces_are_one(dtype: torch.dtype) -> None:
    loss = Loss(settings(loss="huber", energy_weight="auto", virial_weight="auto"), SCALES)
    for forces in (0.0, 1e-3, 1.0, 1e4):
        for share in (0.0, 1e-6, 0.04):
            weights = loss.weights(torch.tensor([forces, share * forces, share * forces], dtype=dtype))
            assert weights.tolist() == [1.0, 1.0, 1.0]


def test_the_epoch_of_the_model_is_chosen_by_forces_and_energies(crystals: DataSettings, tmp_path: Path) -> None:
    changes = {"epochs": 8, "batch_size": None, "learning_rate": 1e-2, "checkpoint_every": 1}
    for weight in (0.0, "auto"):
        run = train(MODEL, crystals, settings(loss="huber", energy_weight=weight, **changes), tmp_path / str(weight))
        for record in run.records:
            energy = record.validation_energy_rmse_per_atom
            assert energy is not None and record.validation_score is not None
            share = 0.0 if weight == 0 else 0.05
            assert record.validation_score == pytest.approx(record.validation_loss * energy**share, rel=1e-12)
        assert run.best == min(run.records, key=lambda record: record.score)


def test_a_training_with_automatic_weights_lowers_all_errors_and_goes_on_after_an_interruption(
    crystals: DataSettings, tmp_path: Path
) -> None:
    automatic = settings(
        loss="huber", epochs=8, batch_size=None, learning_rate=1e-2, energy_weight="auto", precision="64-true"
    )
    whole = train(MODEL, crystals, automatic, tmp_path / "whole").records
    assert whole[-1].validation_loss < 0.9 * whole[0].validation_loss

    def interrupt(record: object) -> None:
        if record.epoch == 4:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(MODEL, crystals, automatic, tmp_path / "parts", listener=interrupt)
    parts = train(MODEL, crystals, automatic, tmp_path / "parts", resume=True).records
    assert parts[-1].validation_loss == pytest.approx(whole[-1].validation_loss, rel=1e-9)


def test_the_huber_loss_of_forces_is_quadratic_when_small_and_linear_when_large_in_every_direction() -> None:
    graph, right = two_frames()
    loss = Loss(settings(loss="huber"), SCALES)
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    for size in (1e-5, 1e-3, 1.0, 1e6):
        error = torch.zeros_like(right.forces)
        error[0, 0] = size
        forces = (right.forces + error).requires_grad_()
        value = total(loss, replace(right, forces=forces), graph)[0]
        bend = 0.01 * SCALES.force
        assert value.item() == pytest.approx((size**2 + bend**2) ** 0.5 - bend, rel=1e-4)
        turned = total(loss, replace(right, forces=right.forces + error @ turn), graph)[0]
        assert turned.item() == pytest.approx(value.item(), rel=1e-4)
        (slope,) = torch.autograd.grad(value, forces)
        assert slope.isfinite().all()
        assert slope.norm() <= 1 + 1e-12  # an outlier pulls no harder than any other atom


def test_scales_are_spreads_that_do_not_depend_on_the_size_of_the_box() -> None:
    generator = torch.Generator().manual_seed(0)
    found = []
    for molecules in (2, 8):
        graph = random_graph(200, molecules=molecules)
        atoms = 3 * molecules
        assert graph.forces is not None
        energies = -1e4 * molecules + atoms**0.5 * 0.7 * torch.randn(200, generator=generator, dtype=torch.float64)
        virials = 5 * atoms + atoms**0.5 * 0.3 * torch.randn(200, 3, 3, generator=generator, dtype=torch.float64)
        graph = replace(graph, energies=energies, virials=virials)
        scales = measure_scales(graph)
        assert scales.force == pytest.approx(graph.forces.norm().item() / (200 * atoms) ** 0.5, rel=1e-9)
        found.append(scales)
    for scales in found:
        assert scales.energy == pytest.approx(0.7, rel=0.15)
        assert scales.virial == pytest.approx(0.3, rel=0.05)


def test_energies_of_frames_that_differ_in_composition_alone_have_no_spread_and_get_that_of_forces() -> None:
    graph = random_graph(5, molecules=2)
    flat = replace(graph, energies=torch.full((5,), -7.0, dtype=torch.float64))
    assert measure_scales(flat).energy == measure_scales(flat).force > 0


@pytest.mark.parametrize("loss", ["l1", "huber"])
def test_a_training_on_energies_and_virials_lowers_their_errors(
    loss: str, crystals: DataSettings, tmp_path: Path
) -> None:
    weights = {"energy_weight": 0.3, "virial_weight": 0.3}
    learned = settings(loss=loss, epochs=40, batch_size=2, learning_rate=2e-2, **weights)
    run = train(MODEL, crystals, learned, tmp_path / "run")
    first, last = run.records[0], run.records[-1]
    for name in ("l1_per_atom", "energy_rmse_per_atom", "virial_rmse_per_atom"):
        before, after = (getattr(record, f"validation_{name}") for record in (first, last))
        assert after < 0.5 * before, name


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_the_table_and_evaluate_agree_on_the_error_of_the_energy(
    ema_decay: float | None, crystals: DataSettings, tmp_path: Path
) -> None:
    changes = {"epochs": 2, "batch_size": 4, "energy_weight": 1.0, "ema_decay": ema_decay}
    run = train(MODEL, crystals, settings(**changes), tmp_path / "run")
    small = open_dataset(tmp_path / "small.xyz")
    judged = evaluate(load_model(run.model), [small]).datasets[0]
    assert judged.energy is not None
    row = list(csv.DictReader((run.folder / "metrics.csv").open()))[-1]
    assert float(row["validation_energy_rmse_per_atom"]) == pytest.approx(judged.energy.rmse_per_atom, rel=1e-3)
    assert float(row["validation_l1_per_atom"]) == pytest.approx(judged.force.l1_per_atom, rel=1e-4)
    assert float(row["validation_rmse"]) == pytest.approx(judged.force.rmse, rel=1e-4)
    predicted = load_model(run.model, dtype=torch.float64).model
    errors = []
    for frame in small:
        virial = predicted(build_graph(frame, MODEL.cutoff)).virials[0].numpy()
        errors.append((virial - frame.virial) / len(frame.types))
    assert float(row["validation_virial_rmse_per_atom"]) == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-3)


def test_data_without_energies_leave_their_columns_empty(liquid: DataSettings, tmp_path: Path) -> None:
    run = train(GamdSettings(width=8, cutoff=4.4, layers=1), liquid, settings(epochs=1), tmp_path / "run")
    row = next(csv.DictReader((run.folder / "metrics.csv").open()))
    assert row["validation_energy_rmse_per_atom"] == row["validation_virial_rmse_per_atom"] == ""


def test_a_target_that_is_not_there_is_an_error_that_names_the_file(liquid: DataSettings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"liquid\.dump: frame 1 \(timestep 0\) has no energy; add it to the"):
        train(MODEL, liquid, settings(energy_weight=1.0), tmp_path / "run")
    with pytest.raises(InputError, match=r"has no virial; .* training\.virial_weight to 0"):
        train(MODEL, liquid, settings(virial_weight=1.0), tmp_path / "run")
    with pytest.raises(InputError, match=r"model\.kind: a 'gamd' model has no energy; choose 'density'"):
        train(GamdSettings(), liquid, settings(energy_weight=1.0), tmp_path / "run")


def test_energies_are_compared_apart_from_a_constant_and_energies_of_types() -> None:
    graph, right = two_frames()
    loss = Loss(settings(energy_weight=1.0), SCALES)
    assert right.energies is not None
    off = right.energies + torch.tensor([3.0, 7.0], dtype=torch.float64)
    rows = loss.energy_rows(Prediction(right.forces, off, right.virials), graph, 2)
    counts = torch.stack([torch.bincount(graph.type_index[graph.graph_index == k], minlength=2) for k in range(2)])
    wanted = torch.cat([counts.double(), torch.tensor([[1.5], [3.5]])], 1) / 6**0.5
    torch.testing.assert_close(rows, wanted, rtol=1e-12, atol=0)
    # both frames have one composition: of 3 and 7 the difference from their mean is left, 2
    assert energy_share(rows.T @ rows, 2) == pytest.approx(2 / (2.0 * 6**0.5), rel=1e-9)
    # unlike compositions: all is explained by energies of the two types
    other = rows.clone()
    other[0, :2] = torch.tensor([1.0, 5.0]) / 6**0.5
    assert energy_share(other.T @ other, 2) == pytest.approx(0.0, abs=1e-6)


def test_energies_that_are_not_known_or_not_learned_are_not_compared() -> None:
    graph, right = two_frames()
    unknown = replace(graph, energies=torch.full((2,), torch.nan, dtype=torch.float64))
    assert Loss(settings(energy_weight=1.0), SCALES).energy_rows(right, unknown, 2).abs().max() == 0
    assert Loss(settings(energy_weight=0.0), SCALES).energy_rows(right, graph, 2).abs().max() == 0
