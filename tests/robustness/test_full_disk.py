"""On a full disk one sentence comes and what was there stays; `full_disk.py` does it with real disks."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gnnformd.errors import InputError
from gnnformd.reference import generate
from gnnformd.trajectory.packed.dataset import open_dataset
from tests.training.conftest import write_liquid


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_packing_onto_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_liquid(tmp_path / "liquid.dump", frames=2)
    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\); make room or choose another"):
        open_dataset(tmp_path / "liquid.dump", cache=tmp_path / "packs")
    assert list((tmp_path / "packs").iterdir()) == []


@pytest.mark.parametrize("lammps_ends", [True, False])
def test_generating_onto_a_full_disk_says_so_and_keeps_the_run_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lammps_ends: bool
) -> None:
    """LAMMPS ends without a reason, or writes to the end into the memory of the system, which is not saved."""
    out = tmp_path / "argon"
    out.mkdir()
    (out / "reference.yaml").write_text("before")

    def run(*_: object) -> dict[str, object]:
        if lammps_ends:
            raise InputError("argon.lmp: LAMMPS ended before the end of the input; look why.")
        return {"units": "real"}

    monkeypatch.setattr(generate, "run_lammps", run)
    monkeypatch.setattr(generate, "_complete", lambda *_: {})
    monkeypatch.setattr("pathlib.Path.write_bytes" if lammps_ends else "os.fsync", no_space)
    with pytest.raises(InputError, match=r"argon: cannot be written \(No space left on device\); make room"):
        generate.generate("argon", out, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["argon"]
    assert (out / "reference.yaml").read_text() == "before"
