"""Cycles of the learning rate."""

import pytest

from gnnformd.training.cycles import AnnealingCycles


def lengths(total: int, steps: int = 100, score: float = 1.0) -> list[int]:
    """Cycles of a training with so many epochs of so many steps, in which each cycle is half as bad as the last."""
    cycles, found = AnnealingCycles(), []
    for epoch in range(1, total + 1):
        if cycles.ends_at(epoch):
            found.append(epoch - cycles.epoch)
            score /= 2
            cycles.restart(score, epoch, epoch / total, epoch * steps)
        else:
            cycles.decide(epoch, epoch / total, epoch * steps)
    return [*found, total - cycles.epoch]


def test_the_first_cycle_has_twenty_epochs_and_each_other_one_four_times_those_before() -> None:
    assert lengths(59) == [59]
    assert lengths(60) == [20, 40]
    assert lengths(259) == [20, 239]
    assert lengths(260) == [20, 80, 160]
    assert lengths(2400) == [20, 80, 320, 1980]


def test_a_slow_first_epoch_does_not_hide_how_many_there_will_be() -> None:
    cycles = AnnealingCycles()
    for epoch in range(1, 6):  # of 100, the first of which takes as long as three
        cycles.decide(epoch, (epoch + 2) / 102, 100 * epoch)
        assert cycles.epochs == (None if epoch < 3 else 20)
    cycles.decide(6, 0.5, 600)  # epochs that take longer later on change nothing
    assert cycles.epochs == 20


def test_a_cycle_has_a_thousand_steps() -> None:
    assert lengths(1000, steps=5) == [200, 800]
    assert lengths(599, steps=5) == [599]


def test_progress_is_that_of_the_cycle_and_never_behind_that_of_the_training() -> None:
    cycles = AnnealingCycles()
    assert cycles.progress(0.5, 0.002) == pytest.approx(0.002, rel=1e-12)  # nothing is known of epochs yet
    cycles.decide(1, 0.005, 100)
    assert cycles.progress(5, 0.025) == pytest.approx(0.25, rel=1e-12)
    assert cycles.progress(5, 0.9) == pytest.approx(0.9, rel=1e-12)  # epochs that take longer than the first did
    cycles.restart(1.0, 20, 0.6, 2000)  # the last
    assert cycles.epochs is None
    assert cycles.progress(20, 0.6) == 0
    assert cycles.progress(25, 0.7) == pytest.approx(0.25, rel=1e-12)
    assert cycles.progress(40, 1.0) == 1


def test_a_cycle_that_is_not_one_per_cent_better_is_in_vain() -> None:
    for score, expected in ((0.989, False), (0.991, True), (1.1, True), (float("nan"), True)):
        cycles = AnnealingCycles()
        cycles.decide(1, 0.001, 100)
        cycles.restart(1.0, 20, 0.02, 2000)
        assert not cycles.in_vain
        cycles.restart(score, 100, 0.1, 10_000)
        assert cycles.in_vain is expected
