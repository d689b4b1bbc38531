"""Schedule by steps and by time, validations, and the end of a training."""

import itertools
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numba.core.event import trigger_event
from torch import nn
from torch.optim.swa_utils import AveragedModel

from gnnformd.config import load_config
from gnnformd.errors import InputError
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.settings import GamdSettings
from gnnformd.training.batches import Portion
from gnnformd.training.data import FrameData
from gnnformd.training.lightning_module import ForceFitting
from gnnformd.training.run_folder import PARTS, best_checkpoint
from gnnformd.training.run_log import EpochRecord
from gnnformd.training.schedule import annealed_factor
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.train import train
from gnnformd.training.trainer import averaging
from gnnformd.trajectory.packed.dataset import open_datasets
from gnnformd.trajectory.settings import DataSettings

MODEL = GamdSettings(width=8, cutoff=4.4, layers=1)


def settings(**changes: object) -> TrainingSettings:
    common = {"schedule": "cosine", "batch_size": 4, "checkpoint_every": 1, "loggers": (), "threads": 1}
    return TrainingSettings(**{"accelerator": "cpu", **common, **changes})


@pytest.fixture
def short(liquid: DataSettings) -> DataSettings:
    """Four frames to train on, which are one step, and one to validate."""
    return liquid.model_copy(update={"frames": 5})


def learning_rate_at_the_end(run: Path) -> float:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return float(checkpoint["optimizer_states"][0]["param_groups"][0]["lr"])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that a training moves by a fifth of a second whenever it looks."""
    seconds = itertools.count()
    monkeypatch.setattr("gnnformd.training.stopwatch.time", SimpleNamespace(perf_counter=lambda: 0.2 * next(seconds)))


def test_the_annealed_learning_rate_rises_quickly_and_falls_as_a_cosine_to_a_hundredth() -> None:
    assert annealed_factor(0.0, 0) == pytest.approx(0.01, rel=1e-12)
    assert annealed_factor(0.0, 49) == pytest.approx(0.5, rel=1e-12)  # half of a hundred steps
    assert annealed_factor(0.025, 20) == pytest.approx(0.5, rel=1e-2)  # half of the first twentieth
    assert annealed_factor(0.2, 1) == pytest.approx(0.1 * annealed_factor(0.2, 99), rel=1e-12)  # one slow step
    for progress, factor in ((0.5, 0.505), (2 / 3, 0.2575), (1.0, 0.01)):
        assert annealed_factor(progress, 10_000) == pytest.approx(factor, rel=1e-12)


def test_a_training_of_some_epochs_ends_annealed(short: DataSettings, tmp_path: Path) -> None:
    train(MODEL, short, settings(epochs=20), tmp_path / "run")
    # the last of 20 steps starts at progress 19/20
    assert learning_rate_at_the_end(tmp_path / "run") == pytest.approx(1e-3 * annealed_factor(0.95, 19), rel=1e-9)


@pytest.mark.usefixtures("clock")
def test_a_training_of_some_minutes_ends_annealed_within_them(short: DataSettings, tmp_path: Path) -> None:
    run = train(MODEL, short, settings(epochs=None, max_minutes=1.0), tmp_path / "run")
    assert 50 <= run.records[-1].seconds <= 62
    assert learning_rate_at_the_end(tmp_path / "run") < 0.015e-3
    assert len(run.records) <= 21
    rates = [record.learning_rate for record in run.records]
    assert rates[1:] == sorted(rates[1:], reverse=True)


def test_the_first_step_in_which_loops_are_compiled_is_not_counted(
    short: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("gnnformd.training.stopwatch.time", SimpleNamespace(perf_counter=lambda: now[0]))
    step = ForceFitting.training_step

    def slow(self: ForceFitting, batch: tuple[AtomicGraph, Portion], index: int) -> torch.Tensor:
        now[0] += 100.0 if self.trainer.global_step == 0 else 1.0
        return step(self, batch, index)

    monkeypatch.setattr(ForceFitting, "training_step", slow)
    run = train(MODEL, short, settings(epochs=None, max_minutes=1.0), tmp_path / "run")
    assert run.records[-1].epoch == 61
    assert run.records[-1].seconds == pytest.approx(60.0)


def test_the_first_batch_of_validation_in_which_loops_are_compiled_is_not_counted(
    liquid: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, batches = [0.0], itertools.count()
    monkeypatch.setattr("gnnformd.training.stopwatch.time", SimpleNamespace(perf_counter=lambda: now[0]))
    training, validation = ForceFitting.training_step, ForceFitting.validation_step

    def train_step(self: ForceFitting, batch: tuple[AtomicGraph, Portion], index: int) -> torch.Tensor:
        now[0] += 1.0
        return training(self, batch, index)

    def validate(self: ForceFitting, batch: tuple[AtomicGraph, Portion], index: int) -> None:
        now[0] += 100.0 if next(batches) == 0 else 0.5
        validation(self, batch, index)

    monkeypatch.setattr(ForceFitting, "training_step", train_step)
    monkeypatch.setattr(ForceFitting, "validation_step", validate)
    data = liquid.model_copy(update={"frames": 6, "validation_fraction": 0.34})
    run = train(MODEL, data, settings(epochs=None, max_minutes=1.0, batch_size=1), tmp_path / "run")
    first, last = run.records[0], run.records[-1]
    assert first.seconds < 10.0
    assert 55.0 <= last.seconds <= 62.0


def test_loops_that_are_compiled_before_the_first_step_or_later_are_not_counted(
    short: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("gnnformd.training.stopwatch.time", SimpleNamespace(perf_counter=lambda: now[0]))
    prepare, step = FrameData.sample, ForceFitting.training_step

    def compile_loops() -> None:
        with trigger_event("numba:compile"):
            now[0] += 100.0
            with trigger_event("numba:compile"):  # of a function that the first one calls
                now[0] += 100.0

    def sample(self: FrameData) -> AtomicGraph:
        compile_loops()
        return prepare(self)

    def train_step(self: ForceFitting, batch: tuple[AtomicGraph, Portion], index: int) -> torch.Tensor:
        now[0] += 1.0
        if self.trainer.global_step == 5:
            compile_loops()
        return step(self, batch, index)

    monkeypatch.setattr(FrameData, "sample", sample)
    monkeypatch.setattr(ForceFitting, "training_step", train_step)
    run = train(MODEL, short, settings(epochs=None, max_minutes=1.0), tmp_path / "run")
    assert run.records[-1].epoch == 61  # the first step is not counted either
    assert run.records[-1].seconds == pytest.approx(60.0)


def test_the_expected_number_of_steps_is_calm_where_time_is_the_limit(
    short: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, random = [0.0], np.random.default_rng(0)
    monkeypatch.setattr("gnnformd.training.stopwatch.time", SimpleNamespace(perf_counter=lambda: now[0]))
    step, told = ForceFitting.training_step, list[tuple[int, int]]()

    def uneven(self: ForceFitting, batch: tuple[AtomicGraph, Portion], index: int) -> torch.Tensor:
        now[0] += random.uniform(0.4, 1.2)
        return step(self, batch, index)

    monkeypatch.setattr(ForceFitting, "training_step", uneven)
    limited = settings(epochs=None, max_minutes=1.0)
    train(MODEL, short, limited, tmp_path / "run", progress=lambda done, total: told.append((done, total)))
    assert told[0] == (1, 0)  # the first step takes no time
    done, total = np.array(told[1:]).T
    assert (done <= total).all() and done[-1] == total[-1]
    assert len(set(total[len(total) // 10 : -1].tolist())) <= 3  # of about 75 steps
    assert all(f"{value}".rstrip("0") == f"{value}"[:2].rstrip("0") for value in total[:-1])
    assert abs(total[len(total) // 2] / total[-1] - 1) < 0.15


def test_epochs_end_a_training_before_its_minutes_do(short: DataSettings, tmp_path: Path) -> None:
    run = train(MODEL, short, settings(epochs=10, max_minutes=1000.0), tmp_path / "run")
    assert run.records[-1].epoch == 10
    assert learning_rate_at_the_end(tmp_path / "run") == pytest.approx(1e-3 * annealed_factor(0.9, 9), rel=1e-6)


def test_minutes_that_are_over_at_once_allow_one_step(short: DataSettings, tmp_path: Path) -> None:
    run = train(MODEL, short, settings(epochs=None, max_minutes=1e-6), tmp_path / "run")
    assert [record.epoch for record in run.records] == [1]


def test_the_error_of_training_frames_is_known_where_most_of_them_were_seen(
    liquid: DataSettings, tmp_path: Path
) -> None:
    cut, whole = (
        train(MODEL, liquid, settings(batch_size=1, epochs=epochs, max_minutes=minutes), tmp_path / name).records
        for name, epochs, minutes in (("cut", None, 1e-6), ("whole", 1, None))
    )
    assert cut[0].train_l1_per_atom is None and cut[0].train_loss > 0
    assert whole[0].train_l1_per_atom is not None and whole[0].train_l1_per_atom > 0


def test_an_annealed_training_is_validated_twenty_times_evenly_and_at_its_end(
    short: DataSettings, tmp_path: Path
) -> None:
    assert [r.epoch for r in train(MODEL, short, settings(epochs=4), tmp_path / "a").records] == [1, 2, 3, 4]
    records = train(MODEL, short, settings(epochs=50), tmp_path / "b").records
    assert [record.epoch for record in records] == [math.ceil(2.5 * k) for k in range(1, 21)]


@pytest.fixture
def cyclic(short: DataSettings, monkeypatch: pytest.MonkeyPatch) -> tuple[DataSettings, TrainingSettings]:
    """Cycles of 5 and 20 epochs, and one of what is left of 90."""
    monkeypatch.setattr("gnnformd.training.cycles.FIRST_EPOCHS", 5)
    monkeypatch.setattr("gnnformd.training.cycles.FIRST_STEPS", 1)
    return short, settings(epochs=90, ema_decay=0.9)


def test_the_learning_rate_of_a_long_training_falls_in_cycles(
    cyclic: tuple[DataSettings, TrainingSettings], tmp_path: Path
) -> None:
    run = train(MODEL, *cyclic, tmp_path / "run")
    rates = {record.epoch: record.learning_rate for record in run.records}
    assert rates[5] < 0.15e-3  # the last of the first cycle, which starts at a fifth before its end
    assert rates[25] < 0.02e-3
    assert rates[90] < 0.015e-3
    assert all(0.1e-3 < rate < 0.95e-3 for epoch, rate in rates.items() if 35 <= epoch <= 75)
    assert rates[27] < 0.2e-3  # it rises anew
    assert run.in_vain is None
    assert run.records[-1].epoch == 90


def test_a_training_ends_where_a_cycle_was_in_vain(
    cyclic: tuple[DataSettings, TrainingSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gnnformd.training.cycles.GAIN", 0.9)
    run = train(MODEL, *cyclic, tmp_path / "run")
    assert run.in_vain == (5, 20)
    assert run.records[-1].epoch == 25
    assert run.best == min((r for r in run.records if r.epoch in (5, 25)), key=lambda record: record.score)
    # it is over, and says so again
    again = train(MODEL, *cyclic, tmp_path / "run", resume=True)
    assert (again.records, again.in_vain) == (run.records, run.in_vain)


def test_the_model_is_of_the_end_of_a_cycle_though_another_epoch_has_a_lower_score(tmp_path: Path) -> None:
    scores = {5: 3.0, 15: 1.0, 25: 2.0, 40: 1.5, 45: 4.0}
    records = [EpochRecord(epoch, 1.0, score, score, 0, 0, 0, 1e-3, 1.0) for epoch, score in scores.items()]
    content = dict.fromkeys(PARTS, 0)
    for name in (*(f"epoch-{epoch:02d}" for epoch in scores), "last"):
        torch.save(content, tmp_path / f"{name}.ckpt")
    assert best_checkpoint(tmp_path, records)[1].epoch == 15
    assert best_checkpoint(tmp_path, records, (5, 25))[1].epoch == 25
    assert best_checkpoint(tmp_path, records[:2], (5,))[1].epoch == 15  # the last that there is


@pytest.mark.parametrize("kept", [3, 5, 12])  # within the first cycle, at its end and within the second
def test_a_training_in_cycles_resumes_to_the_bit(
    cyclic: tuple[DataSettings, TrainingSettings], tmp_path: Path, kept: int
) -> None:
    data, limited = cyclic[0], cyclic[1].model_copy(update={"epochs": 60})
    whole = train(MODEL, data, limited, tmp_path / "whole")
    epoch = min(record.epoch for record in whole.records if record.epoch >= kept)
    (tmp_path / "again" / "checkpoints").mkdir(parents=True)
    start = tmp_path / "again" / "checkpoints" / f"epoch-{epoch:02d}.ckpt"
    shutil.copy(whole.folder / "checkpoints" / start.name, start)
    again = train(MODEL, data, limited, tmp_path / "again", resume=start)
    assert whole.model.read_bytes() == again.model.read_bytes()
    assert (whole.folder / "training_log.txt").read_text() == (again.folder / "training_log.txt").read_text()


def test_an_annealed_training_resumes_to_the_bit(short: DataSettings, tmp_path: Path) -> None:
    whole = train(MODEL, short, settings(epochs=42, ema_decay=0.9), tmp_path / "whole")
    (tmp_path / "again" / "checkpoints").mkdir(parents=True)
    start = tmp_path / "again" / "checkpoints" / f"epoch-{whole.records[9].epoch:02d}.ckpt"
    shutil.copy(whole.folder / "checkpoints" / start.name, start)
    again = train(MODEL, short, settings(epochs=42, ema_decay=0.9), tmp_path / "again", resume=start)
    assert whole.model.read_bytes() == again.model.read_bytes()
    assert (whole.folder / "training_log.txt").read_text() == (again.folder / "training_log.txt").read_text()


@pytest.mark.usefixtures("clock")
def test_the_clock_of_a_resumed_training_goes_on_where_it_stood(short: DataSettings, tmp_path: Path) -> None:
    limited = settings(epochs=None, max_minutes=1.0)

    def interrupt(record: object) -> None:
        if record.seconds > 25:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(MODEL, short, limited, tmp_path / "run", listener=interrupt)
    run = train(MODEL, short, limited, tmp_path / "run", resume=True)
    assert 50 <= run.records[-1].seconds <= 62
    assert learning_rate_at_the_end(tmp_path / "run") < 0.015e-3
    seconds = [record.seconds for record in run.records]
    assert seconds == sorted(seconds)
    # nothing is left of this minute
    finished = run.model.read_bytes()
    assert train(MODEL, short, limited, tmp_path / "run", resume=True).records == run.records
    assert run.model.read_bytes() == finished
    # another minute starts at half of the schedule
    longer = train(MODEL, short, settings(epochs=None, max_minutes=2.0), tmp_path / "run", resume=True)
    assert 110 <= longer.records[-1].seconds <= 122
    assert 0.2e-3 < longer.records[len(run.records) + 1].learning_rate < 0.55e-3


def test_a_training_without_an_end_is_refused() -> None:
    with pytest.raises(InputError, match=r"training is refused: it never ends; set epochs or max_minutes"):
        load_config("water", ["training.epochs=null", "training.max_minutes=null"])


def test_so_many_validation_frames_are_taken_evenly(liquid: DataSettings) -> None:
    data = liquid.model_copy(update={"validation_fraction": 0.6})
    device = SimpleNamespace(root_device=torch.device("cpu"))
    for rank, ranks, expected in ((0, 1, [1, 4, 6]), (0, 2, [1, 6]), (1, 2, [4])):
        frames = FrameData(open_datasets(data), data, settings(validation_frames=3), 4.4)
        assert len(frames.validation_graphs) == 8
        frames.trainer = SimpleNamespace(global_rank=rank, world_size=ranks, strategy=device)  # type: ignore[assignment]
        assert [k for _, portion in frames.val_dataloader() for k in portion.indices] == expected


def test_networks_that_average_over_a_batch_are_validated_on_mixtures_of_all_frames(liquid: DataSettings) -> None:
    data = liquid.model_copy(update={"validation_fraction": 0.6})
    device = SimpleNamespace(root_device=torch.device("cpu"))
    orders = []
    for batch_wide in (False, True, True):
        frames = FrameData(open_datasets(data), data, settings(batch_size=4), 4.4, batch_wide=batch_wide)
        frames.trainer = SimpleNamespace(global_rank=0, world_size=1, strategy=device)  # type: ignore[assignment]
        orders.append([k for _, portion in frames.val_dataloader() for k in portion.indices])
    in_time, mixed, again = orders
    assert in_time == list(range(8))
    assert sorted(mixed) == in_time
    assert mixed == again != in_time


def test_averaged_weights_forget_the_start_within_few_steps() -> None:
    network = nn.Linear(1, 1)
    nn.init.zeros_(network.weight)
    average = AveragedModel(network, multi_avg_fn=averaging(0.995), use_buffers=True)
    average.update_parameters(network)
    nn.init.ones_(network.weight)
    expected = 1.0
    for n in range(1, 100):
        average.update_parameters(network)
        expected *= min(0.995, (1 + n) / (10 + n))
    assert 1 - average.module.weight.item() == pytest.approx(expected, abs=1e-6)
    assert expected < 1e-6  # a constant factor would keep 0.6 of it
