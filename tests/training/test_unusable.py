"""A training that gives a model of no use says so: in the terminal, the model file and the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gnnformd.cli.app import app
from gnnformd.cli.inspection import describe
from gnnformd.errors import InputError
from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.evaluation.report.report import write_report
from gnnformd.model.files.model_card import ModelCard
from gnnformd.model.files.model_file import load_model, read_card
from gnnformd.model.files.usability import why_unusable
from gnnformd.model.settings import GamdSettings
from gnnformd.training.run_log import EpochRecord
from gnnformd.training.train import TrainedRun
from gnnformd.trajectory.packed.dataset import open_datasets
from gnnformd.trajectory.settings import DataSettings

from .conftest import write_liquid

CHANGES = (
    "model.width=8",
    "model.cutoff=4.4",
    "model.layers=1",
    "training.epochs=1",
    "training.learning_rate=1e-9",
    "training.accelerator=cpu",
    "training.loggers=[]",
    "training.stability_check=false",
)


def test_half_of_the_forces_is_the_limit() -> None:
    assert why_unusable(4.9, 10.0) is None
    text = why_unusable(5.0, 10.0)
    assert text is not None and "wrong by 50 %" in text and "--max-minutes" in text
    assert why_unusable(5.0, 10.0, 1.0) == (
        "This model is not usable: its forces are wrong by 50 % of the forces of the validation frames (a model "
        "without any forces has 100 %). Training frames are at 10 %, so there are too few of them, or they are unlike "
        "the validation frames; add frames."
    )
    assert why_unusable(0.06, 0.05) is None  # relaxed structures
    assert why_unusable(5.0, None) is None  # older files


def test_a_training_without_success_says_so_everywhere(tmp_path: Path) -> None:
    for name, seed in (("one.dump", 0), ("two.dump", 1)):
        write_liquid(tmp_path / name, frames=4, seed=seed)
    paths = [str(tmp_path / name) for name in ("one.dump", "two.dump")]
    changes = [*CHANGES, f"data.paths={json.dumps(paths[:1])}", f"data.validation={json.dumps(paths[1:])}"]
    options = [part for change in changes for part in ("--set", change)]
    done = CliRunner().invoke(app, ["train", "seed-argon", "--out", str(tmp_path / "run"), *options])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    card = read_card(tmp_path / "run" / "model.safetensors")
    last = card.trained_on[-1]
    (validated,) = open_datasets(DataSettings(paths=paths[1:]))
    size = np.mean([np.abs(validated[k].forces).sum(1).mean() for k in range(len(validated))])
    assert last["validation_mean_force"] == pytest.approx(size, rel=1e-6)
    assert card.why_unusable is not None and card.why_unusable in said
    # the same share as of `evaluate`
    errors = evaluate(load_model(tmp_path / "run" / "model.safetensors"), [validated]).datasets[0].force
    share = last["validation_l1_per_atom"] / last["validation_mean_force"]
    assert share == pytest.approx(errors.relative_l1, rel=1e-5)
    facts = dict(describe(str(tmp_path / "run" / "model.safetensors"))[0][1])
    assert facts["warning"] == card.why_unusable
    write_report(tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert page.count("This model is not usable: its forces are wrong by") == 2  # at the top and beside its training


def test_a_training_with_success_does_not() -> None:
    best = EpochRecord(1, 1.0, 1.0, 0.4, 0.2, 0.1, 0.1, 1e-3, 1.0, train_l1_per_atom=0.3, validation_mean_force=1.0)
    assert TrainedRun(Path("run"), (best,), best).why_unusable is None
    worse = replace(best, validation_l1_per_atom=0.6)
    assert TrainedRun(Path("run"), (worse,), worse).why_unusable is not None
    older = replace(worse, validation_mean_force=None)
    assert TrainedRun(Path("run"), (older,), older).why_unusable is None


def test_a_card_with_another_thing_than_an_error_is_damaged() -> None:
    card = ModelCard(GamdSettings(), ("Ar",), None, ({"validation_mean_force": "large"},))
    with pytest.raises(InputError, match=r"'validation_mean_force' is no error or force"):
        ModelCard.from_dict(card.to_dict(), "a.safetensors")
