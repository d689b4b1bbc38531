"""Loss, schedule, log lines, rotations and order of frames."""

from collections import Counter

import numpy as np
import pytest
import torch

from gnnformd.errors import InputError
from gnnformd.training.augmentation import random_rotations, rotate
from gnnformd.training.batches import EpochOrder
from gnnformd.training.loss import absolute_error_per_axis, warmup_term
from gnnformd.training.run_log import EpochRecord
from gnnformd.training.schedule import learning_rate_factor
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


def test_the_warm_up_term_is_the_penalty_over_the_mean_of_predicted_forces() -> None:
    graph = random_graph(2, molecules=2)
    forces = torch.full((12, 3), 0.5, dtype=torch.float64)
    forces[6:] *= -2
    expected = torch.tensor([216 * 32 / 1.5, 216 * 32 / 3.0], dtype=torch.float64)
    torch.testing.assert_close(warmup_term(forces, graph, 216 * 32), expected, rtol=1e-12, atol=0)


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


def test_rotations_are_proper_and_uniform() -> None:
    rotations = random_rotations(20_000, torch.Generator().manual_seed(0))
    unit = torch.eye(3, dtype=torch.float64).expand(20_000, 3, 3)
    torch.testing.assert_close(rotations @ rotations.transpose(1, 2), unit, rtol=0, atol=1e-13)
    assert torch.allclose(torch.linalg.det(rotations), torch.ones(20_000, dtype=torch.float64))
    # matrix elements of the regular representation: mean 0, mean square 1/3, and mean trace squared 1
    assert rotations.mean(0).abs().max() < 5 * (1 / 3 / 20_000) ** 0.5
    assert (rotations.square().mean(0) - 1 / 3).abs().max() < 0.012
    assert abs(rotations.diagonal(dim1=1, dim2=2).sum(1).square().mean().item() - 1) < 0.05


def test_a_turned_frame_has_turned_edges_and_forces() -> None:
    graph = random_graph(2)
    rotations = random_rotations(2, torch.Generator().manual_seed(1))
    turned = rotate(graph, rotations)
    of_edge = rotations[graph.graph_index[graph.center_index]]
    expected = torch.einsum("eab,eb->ea", of_edge, graph.edge_vectors())
    torch.testing.assert_close(turned.edge_vectors(), expected, rtol=1e-12, atol=1e-12)
    assert graph.forces is not None
    assert turned.forces is not None
    torch.testing.assert_close(turned.forces.norm(dim=1), graph.forces.norm(dim=1), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(turned.forces[-1], rotations[1] @ graph.forces[-1], rtol=1e-12, atol=1e-12)


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
        assert sum(batch.values()) == pytest.approx(1, rel=1e-12)
        np.testing.assert_allclose(list(batch.values()), 1 / len(batch))


def test_epochs_and_seeds_give_other_orders_and_other_random_numbers() -> None:
    seen = []
    for seed, epoch in [(0, 0), (0, 1), (1, 0)]:
        order = EpochOrder(16, 4, 1, seed)
        order.set_epoch(epoch)
        portions = list(order)
        seen.append(tuple(p.indices for p in portions))
        seen.append(tuple(p.seed for p in portions))
        assert len({p.seed for p in portions}) == 16
    assert len(set(seen)) == 6


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    with pytest.raises(InputError, match=r"training\.batch_size: 16 is no multiple .* \(3 x 1\)"):
        EpochOrder(100, 16, 1, 0, ranks=3)
