"""A training that gives a model of no use says so: in the terminal, the model file and the report."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from typer.testing import CliRunner

from gnnformd.cli.app import app
from gnnformd.cli.inspection import describe
from gnnformd.errors import InputError
from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.evaluation.report.report import write_report
from gnnformd.model.files.model_card import ModelCard
from gnnformd.model.files.model_file import load_model, read_card
from gnnformd.model.files.usability import why_inconsistent, why_unusable
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


def test_a_card_tells_of_orders_of_virials_and_of_energies_that_contradict_forces_but_not_of_virials_twice() -> None:
    errors = {"validation_l1_per_atom": 1.0, "validation_mean_force": 10.0, "train_l1_per_atom": 0.8}
    shares = {"train_energy_share": 2.66, "train_virial_share": 0.5}
    orders = {"virial_orders": {"a.xyz": "xx yy zz xy xz yz"}}
    card = ModelCard(GamdSettings(), ("Ar",), None, ({**errors, **shares, **orders},))
    text = card.why_inconsistent
    assert text is not None and text.startswith("a.xyz: its virials are written in another order")
    assert "its energies by 266 %" in text and "its virials by" not in text
    with pytest.raises(InputError, match=r"'virial_orders' is no mapping of orders"):
        ModelCard.from_dict({**card.to_dict(), "trained_on": [{"virial_orders": {"a.xyz": "xx yy"}}]}, "a.safetensors")


def test_energies_and_virials_that_contradict_good_forces_are_told() -> None:
    assert why_inconsistent(1.0, 10.0, 1.0, 0.3, 0.1) is None
    text = why_inconsistent(1.0, 10.0, 0.8, 2.66, None)
    assert text is not None and text.startswith(
        "The forces of this model are wrong by 10 %, but its energies by 266 % of their differences between frames, in "
        "training frames: forces and energies of the data seem to contradict each other."
    )
    both = why_inconsistent(1.0, 10.0, 1.0, 1.0, 0.4)
    assert both is not None and both.endswith("(training.energy_weight=0, training.virial_weight=0).")
    assert why_inconsistent(2.0, 10.0, 2.0, 0.7, 0.2) is None  # as bad as the forces
    assert why_inconsistent(5.0, 10.0, 5.0, 9.0, 9.0) is None  # nothing is learned yet
    assert why_inconsistent(0.01, 0.05, 0.01, 9.0, 9.0) is None  # relaxed structures
    assert why_inconsistent(1.0, 10.0, 1.0, None, None) is None  # older files, or not learned


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, None),
        ({"energy": -1.0}, "energies"),
        ({"energy": 23.06}, "energies"),
        ({"stress": -1.0}, "virials"),
        ({"order": [0, 1, 2, 5, 4, 3]}, "xx yy zz xy xz yz"),
        ({"order": [0, 1, 2, 5, 3, 4]}, "xx yy zz xy yz xz"),
    ],
)
def test_data_of_another_sign_or_unit_end_a_training_with_a_word(tmp_path: Path, change, told) -> None:
    generator = np.random.default_rng(3)
    frames = []
    for _ in range(40):
        atoms = bulk("Cu", a=3.6 + 0.2 * generator.random(), cubic=True) * (2, 1, 1)
        atoms.positions += generator.normal(0.0, 0.1, (8, 3))
        atoms.calc = EMT()
        results = {
            "energy": atoms.get_potential_energy() * change.get("energy", 1.0),
            "forces": atoms.get_forces(),
            "stress": (atoms.get_stress() * change.get("stress", 1.0))[change.get("order", range(6))],
        }
        frames.append(Atoms(atoms, calculator=SinglePointCalculator(atoms, **results)))
    write(tmp_path / "cu.xyz", frames)
    options = ("training.epochs=40", "training.max_minutes=null", "training.stability_check=false")
    options = (*options, "model.features=8", "model.width=16", "model.l_max=2", "model.cutoff=4.5")
    done = CliRunner().invoke(
        app,
        [
            *("train", "auto", "--data", str(tmp_path / "cu.xyz"), "--out", str(tmp_path / "run")),
            *(part for change in options for part in ("--set", change)),
        ],
    )
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    card = read_card(tmp_path / "run" / "model.safetensors")
    if told is None:
        assert "contradict" not in said
        assert "order" not in said
        assert card.why_inconsistent is None
        return
    if "order" in change:
        assert f"as {told} they fit the forces of this model, as xx yy zz yz xz xy they do not" in said
    else:
        assert f"forces and {told} of the data seem to contradict each other" in said
    assert card.why_inconsistent is not None and card.why_inconsistent in said
    facts = dict(describe(str(tmp_path / "run" / "model.safetensors"))[0][1])
    assert facts["warning"] == card.why_inconsistent
    write_report(tmp_path / "run")
    assert card.why_inconsistent in html.unescape((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
