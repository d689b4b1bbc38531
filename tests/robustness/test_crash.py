"""Killed work does no harm; `crash.py` kills fifty times, here it is a few."""

import subprocess
import sys
from pathlib import Path


def test_what_a_killed_process_left_is_whole_and_the_work_starts_again() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.robustness.crash", "--kills", "4", "--seed", "1"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith("0 did harm")
