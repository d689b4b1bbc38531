"""A training that two processes share (DDP), whole and interrupted."""

import contextlib
import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from gnnformd.model.files.model_file import load_model
from gnnformd.model.settings import DensitySettings
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.train import train
from gnnformd.trajectory.settings import DataSettings
from tests.training.conftest import FIELD, write_liquid

EPOCHS = 10
MODEL = DensitySettings(cutoff=4.4, features=4, width=8, radial_functions=6, electrostatics="none", bond_kinds=0)
TRAINING = TrainingSettings(
    epochs=EPOCHS,
    batch_size=4,
    frames_at_once=1,  # penalties are shares of those of a portion
    checkpoint_every=4,
    ema_decay=0.9,
    loggers=(),
    stability_check=False,
    threads=1,
    accelerator="cpu",
    warmup_penalty=50.0,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, configuration, and ``whole``, the run of two processes that nobody interrupted."""
    top = tmp_path_factory.mktemp("two")
    write_liquid(top / "liquid.dump")
    (top / "field.yaml").write_text(yaml.safe_dump(FIELD.to_dict()))
    two = TRAINING.model_copy(update={"devices": 2})
    parts = {"model": MODEL, "data": data(top), "training": two}
    (top / "two.yaml").write_text(yaml.safe_dump({k: part.model_dump(mode="json") for k, part in parts.items()}))
    whole = start(top, "whole")
    assert whole.wait(timeout=600) == 0
    return top


def data(top: Path) -> DataSettings:
    return DataSettings(paths=[str(top / "liquid.dump")], force_field=str(top / "field.yaml"))


def start(top: Path, name: str, *options: str) -> subprocess.Popen[bytes]:
    """Train in a group of processes of its own; what it says goes to ``NAME.log``."""
    command = [str(Path(sys.executable).with_name("gnnformd")), "train", str(top / "two.yaml"), *options]
    with (top / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--out", str(top / name)],
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )


def wait_for_epoch(process: subprocess.Popen[bytes], log: Path, number: int) -> float:
    """Wait until the epoch is logged and return when that was."""
    while not re.search(rf"^epoch {number}:", log.read_text(), re.MULTILINE):
        assert process.poll() is None, log.read_text()
        time.sleep(0.01)
    return time.monotonic()


def is_there(group: int) -> bool:
    """Whether a group of processes has one that lives."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, own, *_ = path.read_text().rpartition(")")[2].split()
            if int(own) == group and state != "Z":
                return True
    return False


def same(one: Any, other: Any, name: str = "") -> None:
    """See that two checkpoints hold the same to the bit, apart from times."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), name
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), name
        for key in one.keys() - {"seconds"}:
            same(one[key], other[key], f"{name}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), name
        for k, (a, b) in enumerate(zip(one, other, strict=True)):
            same(a, b, f"{name}/{k}")
    else:
        assert one == other, name


def rows(run: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader((run / "metrics.csv").open())]


def test_two_processes_give_the_loss_of_one(folder: Path, tmp_path: Path) -> None:
    one = train(MODEL, data(folder), TRAINING.model_copy(update={"epochs": 2}), tmp_path / "one")
    for row, record in zip(rows(folder / "whole"), one.records, strict=False):
        assert float(row["train_loss"]) == pytest.approx(record.train_loss, rel=1e-4)
        assert float(row["validation_loss"]) == pytest.approx(record.validation_loss, rel=1e-4)


def test_a_training_ended_by_sigterm_and_resumed_equals_an_uninterrupted_one_to_the_bit(folder: Path) -> None:
    process = start(folder, "cut")
    log = folder / "cut.log"
    took = -wait_for_epoch(process, log, 2) + wait_for_epoch(process, log, 3)
    time.sleep(took / 2)  # in the middle of an epoch
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 128 + signal.SIGTERM
    while is_there(process.pid):  # the second process ends, too, or pytest hangs here
        time.sleep(0.01)
    assert log.read_text().count("Interrupted.") == 1
    done = load_model(folder / "cut").card.trained_on[-1]["epochs"]
    assert 3 <= done < EPOCHS
    assert start(folder, "cut", "--resume").wait(timeout=600) == 0

    whole, cut = folder / "whole", folder / "cut"
    for name in ("model.safetensors", "training_log.txt", "config.yaml"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
    assert rows(cut) == rows(whole)
    names = sorted(path.name for path in (whole / "checkpoints").iterdir())
    assert names == sorted(path.name for path in (cut / "checkpoints").iterdir())
    for name in names:
        one, other = (torch.load(run / "checkpoints" / name, weights_only=True) for run in (whole, cut))
        assert {"averaging_state", "current_model_state", "optimizer_states"} <= one.keys()
        same(one, other)
