"""A step of a training: the loss of a batch, and what is computed once for each frame."""

from dataclasses import replace

import pytest
import torch

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.gamd.network import GamdModel
from gnnformd.model.interface import Prediction
from gnnformd.model.settings import GamdSettings
from gnnformd.training.augmentation import random_rotation, rotate
from gnnformd.training.batches import Portion
from gnnformd.training.lightning_module import ForceFitting
from gnnformd.training.loss import Scales
from gnnformd.training.settings import TrainingSettings
from tests.model.conftest import random_graph
from tests.model.density.test_model import trained, water


def test_frames_keep_their_own_part_without_parameters():
    frames = [water(k) for k in range(2)]
    model = trained(frames[0]).eval()
    fitting = ForceFitting(model, TrainingSettings(rotations=False), Scales(1.0, 1.0, 1.0, 1.0), 2)
    asked = []
    compute = model.fixed_part
    model.fixed_part = lambda graph: asked.append(graph) or compute(graph)
    for _ in range(2):
        for index, graph in enumerate(frames):
            known = fitting._predict(graph, Portion((index,), (1.0,), 0))
            torch.testing.assert_close(known.forces, model(graph).forces, rtol=1e-12, atol=1e-10)
    assert len(asked) == 2  # each frame once


def fitting_of(frames: int, **changes: object) -> tuple[ForceFitting, AtomicGraph, Prediction]:
    """A GAMD network without dropout, a batch, and what it predicts for the batch as it is turned in training."""
    torch.manual_seed(0)
    model = GamdModel(GamdSettings(width=8, dropout=0.0), 2).double()
    fitting = ForceFitting(model, TrainingSettings(**{"batch_size": 3, **changes}), Scales(1.0, 1.0, 1.0, 1.0), 2)
    graph = random_graph(frames)
    turned = rotate(graph, random_rotation(torch.Generator().manual_seed(7)))
    return fitting, turned, model(turned)


@pytest.mark.parametrize("frames", [3, 2])
def test_a_batch_pays_the_sum_over_its_frames_and_one_penalty(frames: int) -> None:
    fitting, turned, prediction = fitting_of(frames)
    back = rotate(turned, random_rotation(torch.Generator().manual_seed(7)).T)
    portion = Portion(tuple(range(frames)), (1 / 3,) * frames, seed=1, batch_seed=7)
    loss = fitting.training_step((back, portion), 0)
    assert turned.forces is not None
    error, size = (prediction.forces - turned.forces).abs().sum(), prediction.forces.abs().sum()
    expected = error + 6912 / size
    torch.testing.assert_close(3 * loss, expected, rtol=1e-9, atol=0)  # in the last, smaller batch as well
    found = [expected.item(), frames, error.item(), len(turned.positions), 0, 0, 0]
    assert fitting.train_totals.tolist() == pytest.approx(found, rel=1e-9)


def test_validation_in_warm_up_adds_its_own_penalty_to_the_loss_along_each_axis() -> None:
    fitting, turned, _ = fitting_of(3)
    fitting.eval()
    portion = Portion((0, 1, 2), (1.0,) * 3, seed=0)
    fitting.validation_step((turned, portion), 0)
    assert turned.forces is not None
    forces = fitting.model(turned).forces
    sums = forces.abs().sum(0)
    expected = [6912 / sums.sum().item(), *(6912 / sums).tolist()]
    assert fitting.validation_totals[10:14].tolist() == pytest.approx(expected, rel=1e-9)
    assert fitting.validation_totals[:3].tolist() == pytest.approx((forces - turned.forces).abs().sum(0).tolist())
    for later in ({"warmup_epochs": 0}, {"schedule": "cosine"}):
        fitting, turned, _ = fitting_of(3, **later)
        fitting.validation_step((turned, portion), 0)
        assert not fitting.validation_totals[10:14].any()


def test_the_penalties_of_portions_of_one_batch_are_that_of_the_batch() -> None:
    fitting, turned, prediction = fitting_of(2)
    half = turned.atom_count // 2
    same = Prediction(prediction.forces[:half].repeat(2, 1))  # frames whose forces have one sum
    whole = fitting._penalties(same, Portion((0, 1), (0.5, 0.5), 0))
    part = fitting._penalties(replace(same, forces=same.forces[:half]), Portion((0,), (0.5,), 0, share=0.5))
    torch.testing.assert_close(2 * part, whole, rtol=1e-12, atol=0)


def test_a_step_leaves_the_random_generator_as_it_was():
    fitting, graph, _ = fitting_of(3)
    fitting.model.train()
    before = torch.get_rng_state()
    fitting.training_step((graph, Portion((0, 1, 2), (1.0,) * 3, 7)), 0)
    assert torch.equal(torch.get_rng_state(), before)
