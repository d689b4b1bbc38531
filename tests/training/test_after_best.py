from __future__ import annotations

from pathlib import Path

import pytest

from gnnformd.cli.training import _after_best, _before, _ended_early
from gnnformd.training.run_log import EpochRecord
from gnnformd.training.train import TrainedRun
from gnnformd.units import SHOWN


def run(*errors: tuple[float, float | None]) -> TrainedRun:
    """A run with these errors of validation and training frames, every ten seconds."""
    records = tuple(
        EpochRecord(k + 1, 1.0, validation, validation, 0.0, 0.0, 0.0, 1e-3, 10.0 * (k + 1), train_l1_per_atom=training)
        for k, (validation, training) in enumerate(errors)
    )
    return TrainedRun(Path("run"), records, min(records, key=lambda record: record.validation_loss))


def test_a_training_that_overfits_says_so() -> None:
    later = run((9.0, 8.0), (4.0, 3.0), (4.5, 2.0)).after_best
    assert later is not None
    assert (later.best_seconds, later.seconds, later.overfits) == (20.0, 30.0, True)
    assert _after_best(later, SHOWN["real"]) == (
        "The best was after 20 of 30 s: since then the error of training frames went on falling, and that of "
        "validation frames rose to L1 4.5 kcal/mol/angstrom per atom (overfitting); more frames would help, more time "
        "would not."
    )


@pytest.mark.parametrize("training", [3.5, None])
def test_a_training_that_diverges_is_not_said_to_overfit(training: float | None) -> None:
    later = run((4.0, 3.0), (4.5, training)).after_best
    assert later is not None and not later.overfits
    assert "rose to L1 4.5 kcal/mol/angstrom per atom; a lower training.learning_rate" in _after_best(
        later, SHOWN["real"]
    )


def test_noise_is_not_told() -> None:
    assert run((9.0, 8.0), (4.0, 3.0), (4.05, 2.0)).after_best is None
    assert run((9.0, 8.0), (4.0, 3.0)).after_best is None


def test_a_training_that_ended_early_says_why() -> None:
    assert _ended_early(run((9.0, 8.0), (4.0, 3.0), (4.5, 2.0)), 20, 80) == (
        "Ended after 3 epochs, 30 s: 80 epochs brought the error of validation frames no lower than the 20 before them "
        "had; more frames would help, more time would not."
    )


def test_a_fine_tuning_that_made_a_model_worse_says_so() -> None:
    best = run((4.0, 3.0)).best
    assert _before(6.0, best, SHOWN["real"]) == "Before the fine-tuning it was L1 6 kcal/mol/angstrom per atom."
    assert _before(3.9, best, SHOWN["real"]) == (
        "Before the fine-tuning it was L1 3.9 kcal/mol/angstrom per atom, lower than now: keep that model, train "
        "longer, or lower training.learning_rate."
    )
