import math

import pytest

from gnnformd.errors import InputError
from gnnformd.evaluation.report.history import ORIGINAL_LOG, read_history, read_metrics, read_training_log

SLIDE = """\
Epoch: 01, Train Loss: 17136.9064, Test Loss: 16993.3735, LR: 2000.00*10^(-7)
Losses: x: 5668.9822, y: 5674.6931, z: 5650.0226
Epoch: 02, Train Loss: 14662.1705, Test Loss: 6105.3166, LR: 4000.00*10^(-7)
Losses: x: 2052.6152, y: 2063.3387, z: 1989.3783
Epoch: 03, Train Loss: 7368.2516, Test Loss: 4500.1855, LR: 6000.00*10^(-7)
Losses: x: 1485.8003, y: 1517.2870, z: 1497.1134
Epoch: 04, Train Loss: 6264.9336, Test Loss: 3926.5310, LR: 8000.00*10^(-7)
Losses: x: 1255.5848, y: 1333.2477, z: 1337.7135
"""
COLUMNS = "epoch train_loss validation_loss validation_l1_per_atom validation_x validation_y validation_z"
HEADER = ",".join([*COLUMNS.split(), "learning_rate", "seconds"])


def test_the_log_on_the_seeds_slide_is_read_to_the_letter(tmp_path):
    path = tmp_path / "training_log.txt"
    path.write_text(SLIDE)
    history = read_training_log(path)
    assert history.epoch == ORIGINAL_LOG["epoch"]
    assert history.validation_loss == ORIGINAL_LOG["validation_loss"]
    assert history.train_loss[0] == 17136.9064
    assert history.learning_rate == pytest.approx((2e-4, 4e-4, 6e-4, 8e-4), rel=1e-12)
    for k in range(4):
        total = sum(history.per_axis[axis][k] for axis in "xyz")
        assert total == pytest.approx(history.validation_loss[k], rel=1e-4)
    assert history.epoch[history.best] == 4


def test_the_table_of_a_training_is_read_by_column_name(tmp_path):
    columns = HEADER.split(",")
    path = tmp_path / "metrics.csv"
    values = dict(zip(columns, ("1", "20", "12.0", "3.0", "4", "4.5", "3.5", "1e-3", "9"), strict=True))
    turned = list(reversed(columns))
    path.write_text(",".join(turned) + "\n" + ",".join(values[c] for c in turned) + "\n")
    history = read_metrics(path)
    assert history.epoch == (1,)
    assert history.per_axis["y"] == (4.5,)
    assert history.atoms == 4


def test_the_best_epoch_is_not_one_that_diverged(tmp_path):
    rows = ["1,9,9,9,3,3,3,1e-3,1", "2,5,5,5,2,2,1,1e-3,2", "3,nan,nan,nan,nan,nan,nan,1e-3,3", "4,7,7,7,3,2,2,1e-3,4"]
    (tmp_path / "metrics.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    history = read_history(tmp_path)
    assert history.epoch[history.best] == 2


def test_the_table_comes_before_the_log_and_a_folder_without_either_has_no_history(tmp_path):
    assert read_history(tmp_path) is None
    (tmp_path / "training_log.txt").write_text(SLIDE)
    assert len(read_history(tmp_path).epoch) == 4
    (tmp_path / "metrics.csv").write_text(HEADER + "\n1,9,9,,3,3,3,1e-3,1\n")
    history = read_history(tmp_path)
    assert history.epoch == (1,)
    assert math.isnan(history.validation_l1_per_atom[0])


def test_a_training_without_a_finished_epoch_has_no_history(tmp_path):
    (tmp_path / "metrics.csv").write_text(HEADER + "\n")
    assert read_history(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metrics.csv", HEADER + "\n1,9,x,3,3,3,3,1e-3,1\n", r"metrics\.csv, line 2: 'x' in column 'validation_loss'"),
        ("metrics.csv", "epoch,loss\n1,2\n", "has no column 'train_loss'"),
        ("training_log.txt", "hello\n", "holds no line 'Epoch: 01"),
        ("training_log.txt", SLIDE.replace("6105.3166", "6105.31.66"), "a loss is not a number"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_history(tmp_path)
