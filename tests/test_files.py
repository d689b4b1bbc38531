"""Files and folders appear whole or not at all, and what a killed process left does no harm."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gnnformd.errors import InputError
from gnnformd.files import locked_folder, move_folder, replacing, work_folder, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", fail)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, full_disk: None) -> None:
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(InputError, match=r"a\.json: cannot be written \(No space left on device\); make room"):
        write_json(tmp_path / "a.json", {"new": 1})
    assert (tmp_path / "a.json").read_text() == "old" and names(tmp_path) == ["a.json"]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a.txt") as beside:
        beside.write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "a.txt").read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in (f".a.json.{gone.pid}", f".a.json.{os.getppid()}", ".a.json.99999999999999999999", ".a.json.notes"):
        (tmp_path / name).write_text("{")
    write_json(tmp_path / "a.json", {})
    assert names(tmp_path) == sorted([f".a.json.{os.getppid()}", ".a.json.notes", "a.json"])


def test_a_folder_appears_with_all_its_files_and_its_workshop_goes(tmp_path: Path) -> None:
    with work_folder(tmp_path / "run") as work:
        (work / "made").mkdir()
        (work / "made" / "file").write_text("whole")
        assert not (tmp_path / "run").exists()
        move_folder(work / "made", tmp_path / "run")
    assert names(tmp_path) == ["run"] and (tmp_path / "run" / "file").read_text() == "whole"


def test_a_folder_that_came_meanwhile_is_not_replaced_unasked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run: cannot be written"), work_folder(tmp_path / "run") as work:
        (work / "made").mkdir()
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "theirs").write_text("theirs")
        move_folder(work / "made", tmp_path / "run")
    assert names(tmp_path) == ["run"] and names(tmp_path / "run") == ["theirs"]


WAIT = """
import sys, time
from pathlib import Path
from gnnformd.files import work_folder
with work_folder(Path(sys.argv[1])) as work:
    (work / "half").write_text("half")
    if len(sys.argv) > 2:  # as move_folder does before it gives the new folder its name
        Path(sys.argv[1]).rename(work / "old")
    print("there", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("replacing_old", [False, True])
def test_what_a_killed_process_left_is_cleared_and_what_it_was_replacing_comes_back(
    tmp_path: Path, replacing_old: bool
) -> None:
    out = tmp_path / "run"
    if replacing_old:
        out.mkdir()
        (out / "file").write_text("good")
    with subprocess.Popen(
        [sys.executable, "-c", WAIT, str(out), *(["replace"] if replacing_old else [])], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        with work_folder(out):
            assert len(names(tmp_path)) == 2, "the folder of a process that works is left alone"
        process.send_signal(signal.SIGKILL)
    assert len(names(tmp_path)) == 1
    with work_folder(out) as work:
        assert names(tmp_path) == [work.name, "run"] if replacing_old else [work.name]
    if replacing_old:
        assert (out / "file").read_text() == "good"


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    code = (
        "import sys; from pathlib import Path; from gnnformd.files import write_text\n"
        "for k in range(10**9): write_text(Path(sys.argv[1]), f'{k}\\n' * 5000)"
    )
    for wait in (0.0, 0.003, 0.011):
        with subprocess.Popen([sys.executable, "-c", code, str(path)]) as process:
            while not path.exists() and process.poll() is None:
                time.sleep(0.001)
            time.sleep(wait)
            process.kill()
        lines = path.read_text().splitlines()
        assert len(lines) == 5000 and len(set(lines)) == 1


def test_a_folder_is_written_by_one_process_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    code = "import sys; from pathlib import Path; from gnnformd.files import locked_folder\n"
    code += "with locked_folder(Path(sys.argv[1])):\n    print('locked', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "locked\n"
        sentence = r"run: another process is writing into this folder; wait for its end"
        with pytest.raises(InputError, match=sentence), locked_folder(out):
            pass
        assert out.is_dir()
        other.kill()
    with locked_folder(out):  # however the other one ended
        (out / "a").touch()
    assert [p.name for p in out.iterdir()] == ["a"]


def test_a_folder_that_was_made_for_nothing_is_removed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), locked_folder(tmp_path / "run"):
        raise ValueError("no")
    assert not (tmp_path / "run").exists()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: cannot be written"), locked_folder(tmp_path / "file"):
        pass
