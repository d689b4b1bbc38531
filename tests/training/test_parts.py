"""Loss, schedule, log lines, rotations and order of frames."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnformd.errors import InputError
from gnnformd.training.augmentation import random_rotation, rotate
from gnnformd.training.batches import EpochOrder, frames_at_once, frames_per_step
from gnnformd.training.loss import absolute_error_per_axis, warmup_terms
from gnnformd.training.run_log import EpochRecord
from gnnformd.training.schedule import learning_rate_factor
from gnnformd.training.settings import TrainingSettings
from tests.model.conftest import random_graph


def test_the_loss_of_a_frame_is_the_sum_of_absolute_errors_along_each_axis() -> None:
    graph = random_graph(2, molecules=2)
    assert graph.forces is not None
    off = torch.zeros_like(graph.forces)
    off[0] = torch.tensor([1.0, -2.0, 3.0])
    off[5] = torch.tensor([0.5, 0.0, -1.0])
    off[6] = torch.tensor([0.0, 7.0, 0.0])  # first atom of the second frame
    errors = absolute_error_per_axis(graph.forces + off, graph)
    expected = torch.tensor([[1.5, 2.0, 4.0], [0.0, 7.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(errors, expected, rtol=1e-12, atol=1e-12)


def test_the_warm_up_penalty_is_over_the_sum_of_forces_predicted_for_the_batch() -> None:
    forces = torch.tensor([[0.5, -1.0, 2.0], [-1.5, 0.0, 3.0], [2.0, 1.0, -5.0]], dtype=torch.float64)
    expected = torch.tensor([6912 / 16, 6912 / 4, 6912 / 2, 6912 / 10], dtype=torch.float64)
    torch.testing.assert_close(warmup_terms(forces, 6912.0), expected, rtol=1e-12, atol=0)


def test_the_three_losses_of_the_seeds_log_hold_eight_penalties_more_than_the_whole() -> None:
    """Its test losses of epochs 1 to 4: (x + y + z - total) * 16 = 8 * 6912 / S gives S of 16 frames of 648 atoms."""
    log = [
        (16993.3735, 5668.9822, 5674.6931, 5650.0226),
        (6105.3166, 2052.6152, 2063.3387, 1989.3783),
        (4500.1855, 1485.8003, 1517.2870, 1497.1134),
        (3926.5310, 1255.5848, 1333.2477, 1337.7135),
    ]
    per_component = [8 * 6912 / (16 * (x + y + z - total)) / (16 * 648 * 3) for total, x, y, z in log]
    assert per_component[0] == pytest.approx(0.34, abs=0.01)  # hardly any force
    assert per_component[1:] == pytest.approx([7.1, 7.3, 7.4], abs=0.1)  # the true forces have 8.8
    # a prediction alike in all directions has the same identity
    forces = torch.full((16 * 648, 3), per_component[1], dtype=torch.float64)
    whole, *along = warmup_terms(forces, 6912.0).tolist()
    assert sum(along) - whole == pytest.approx(8 * whole, rel=1e-12)
    assert sum(along) - whole == pytest.approx(16 * (sum(log[1][1:]) - log[1][0]), rel=1e-9)


def test_the_learning_rates_are_those_in_the_log_of_the_seed() -> None:
    rates = [1e-3 * learning_rate_factor(epoch, 5, 0.9) for epoch in range(8)]
    assert rates == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, 1e-3, 9e-4, 8.1e-4, 7.29e-4], rel=1e-12)


def test_the_log_lines_are_those_of_the_seed_to_the_letter() -> None:
    record = EpochRecord(
        epoch=1,
        train_loss=17136.9064,
        validation_loss=16993.3735,
        validation_l1_per_atom=26.2,
        validation_x=5668.9822,
        validation_y=5674.6931,
        validation_z=5650.0226,
        learning_rate=2e-4,
        seconds=1.0,
    )
    assert record.log_lines() == (
        "Epoch: 01, Train Loss: 17136.9064, Test Loss: 16993.3735, LR: 2000.00*10^(-7)\n"
        "Losses: x: 5668.9822, y: 5674.6931, z: 5650.0226\n"
    )


def test_rotations_have_three_uniform_euler_angles() -> None:
    generator = torch.Generator().manual_seed(0)
    rotations = torch.stack([random_rotation(generator) for _ in range(20_000)])
    unit = torch.eye(3, dtype=torch.float64).expand(20_000, 3, 3)
    torch.testing.assert_close(rotations @ rotations.transpose(1, 2), unit, rtol=0, atol=1e-13)
    assert torch.allclose(torch.linalg.det(rotations), torch.ones(20_000, dtype=torch.float64))
    sine = -rotations[:, 2, 0]  # of the pitch
    yaw = torch.atan2(rotations[:, 1, 0], rotations[:, 0, 0])  # turned by pi where the cosine of the pitch is negative
    roll = torch.atan2(rotations[:, 2, 1], rotations[:, 2, 2])
    for angle, low, high in ((sine.asin(), -0.5, 0.5), (yaw, -1.0, 1.0), (roll, -1.0, 1.0)):
        counts = torch.histc(angle / torch.pi, 20, low, high)
        assert (counts - 1000).abs().max() < 5 * 950**0.5
    assert torch.corrcoef(torch.stack([sine, yaw, roll])).triu(1).abs().max() < 0.04


def test_rotations_are_yaw_after_pitch_after_roll() -> None:
    a, b, c = (2 * torch.pi * torch.rand(3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)).tolist()

    def about(axis: int, angle: float) -> np.ndarray:
        turn, (i, j) = np.eye(3), ((1, 2), (2, 0), (0, 1))[axis]
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[j, i] = np.sin(angle)
        turn[i, j] = -turn[j, i]
        return turn

    expected = about(2, a) @ about(1, b) @ about(0, c)
    rotation = random_rotation(torch.Generator().manual_seed(4))
    np.testing.assert_allclose(rotation.numpy(), expected, rtol=0, atol=1e-14)


def test_all_frames_of_a_batch_turn_alike_with_their_edges_and_forces() -> None:
    graph = random_graph(2)
    rotation = random_rotation(torch.Generator().manual_seed(1))
    turned = rotate(graph, rotation)
    torch.testing.assert_close(turned.edge_vectors(), graph.edge_vectors() @ rotation.T, rtol=1e-12, atol=1e-12)
    assert graph.forces is not None
    assert turned.forces is not None
    torch.testing.assert_close(turned.forces, graph.forces @ rotation.T, rtol=1e-12, atol=1e-12)
    virials = torch.randn(2, 3, 3, dtype=torch.float64)
    of_forces = rotate(replace(graph, virials=virials), rotation).virials
    torch.testing.assert_close(of_forces, rotation @ virials @ rotation.T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("at_once", "ranks"), [(1, 1), (4, 1), (1, 2), (2, 2), (1, 4)])
def test_every_batch_holds_the_same_frames_with_the_same_weight_however_it_is_shared(at_once: int, ranks: int) -> None:
    def batches(at_once: int, ranks: int) -> list[dict[int, float]]:
        orders = [EpochOrder(21, 8, at_once, 3, rank=rank, ranks=ranks) for rank in range(ranks)]
        found: list[dict[int, float]] = []
        for order in orders:
            order.set_epoch(5)
            assert len(list(order)) == len(order)
        for start in range(0, len(orders[0]), orders[0].portions):
            total: Counter[int] = Counter()
            for order in orders:
                for portion in list(order)[start : start + order.portions]:
                    assert portion.share == sum(weight > 0 for weight in portion.weights) / min(8, 21 - 8 * len(found))
                    for index, weight in zip(portion.indices, portion.weights, strict=True):
                        # the framework divides by the number of portions and by the number of ranks
                        total[index] += weight / order.portions / ranks
            found.append(dict(total))
        return found

    shared = batches(at_once, ranks)
    assert shared == batches(1, 1)
    assert [len(batch) for batch in shared] == [8, 8, 5]
    assert set().union(*shared) == set(range(21))
    for batch in shared:
        real = [weight for weight in batch.values() if weight]
        np.testing.assert_allclose(real, 1 / 8)  # also in the last batch: a step minimizes a sum over frames


def test_epochs_and_seeds_give_other_orders_and_other_random_numbers() -> None:
    seen = []
    for seed, epoch in [(0, 0), (0, 1), (1, 0)]:
        order = EpochOrder(16, 4, 1, seed)
        order.set_epoch(epoch)
        portions = list(order)
        seen.append(tuple(p.indices for p in portions))
        seen.append(tuple(p.seed for p in portions))
        assert len({p.seed for p in portions}) == 16
        assert len({p.batch_seed for p in portions}) == 4  # one rotation for each batch
        assert len({p.batch_seed for p in portions[:4]}) == 1
    assert len(set(seen)) == 6


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    with pytest.raises(InputError, match=r"training\.batch_size: 16 is no multiple .* \(3 x 1\)"):
        EpochOrder(100, 16, 1, 0, ranks=3)


@pytest.mark.parametrize(("atoms", "devices", "frames"), [(15, 1, 7), (15, 2, 6), (64, 1, 2), (648, 1, 1), (648, 2, 2)])
def test_a_step_takes_as_many_small_frames_as_hold_a_hundred_atoms(atoms: float, devices: int, frames: int) -> None:
    assert frames_per_step(atoms, devices) == frames


def test_a_network_that_averages_over_a_batch_gets_it_whole() -> None:
    def at_once(*, batch_wide: bool, on_processor: bool, atoms: float = 648, **changes: int) -> int:
        return frames_at_once(TrainingSettings(**changes), atoms, batch_wide=batch_wide, on_processor=on_processor)

    assert at_once(batch_wide=True, on_processor=True) == 16
    assert at_once(batch_wide=False, on_processor=True) == 1
    assert at_once(batch_wide=False, on_processor=True, atoms=15) == 16
    assert at_once(batch_wide=False, on_processor=True, atoms=60) == 4  # divides the batch
    assert at_once(batch_wide=False, on_processor=False, devices=2) == 8
    assert at_once(batch_wide=False, on_processor=True, frames_at_once=4) == 4
    with pytest.raises(InputError, match=r"training\.frames_at_once: .* together; set it to null\."):
        at_once(batch_wide=True, on_processor=False, frames_at_once=8)
    with pytest.raises(InputError, match=r"training\.devices: .* one device must hold; set it to 1"):
        at_once(batch_wide=True, on_processor=False, devices=2)
