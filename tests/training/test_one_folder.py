"""Two trainings in one folder."""

from pathlib import Path

import pytest

from gnnformd.errors import InputError
from gnnformd.files import locked_folder
from gnnformd.model.settings import GamdSettings
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.train import train
from gnnformd.trajectory.settings import DataSettings

MODEL = GamdSettings(width=8, cutoff=4.4, layers=1)
TRAINING = TrainingSettings(epochs=1, batch_size=4, loggers=(), threads=1, accelerator="cpu")


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_training_in_the_folder_of_one_that_runs_is_refused(
    liquid: DataSettings, tmp_path: Path, resume: bool
) -> None:
    out = tmp_path / "run"
    if resume:
        train(MODEL, liquid, TRAINING, out)
    seen = []

    def second(_: object) -> None:
        with pytest.raises(InputError, match=r"run: another process is writing into this folder"):
            train(MODEL, liquid, TRAINING, out, resume=resume)
        seen.append(True)

    more = TRAINING.model_copy(update={"epochs": 2})
    train(MODEL, liquid, more, out, resume=resume, listener=second)
    assert seen
    with locked_folder(out):  # the lock is gone
        pass


def test_a_training_that_cannot_start_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        train(MODEL, DataSettings(paths=[str(tmp_path / "none.dump")]), TRAINING, tmp_path / "run")
    assert not (tmp_path / "run").exists()
