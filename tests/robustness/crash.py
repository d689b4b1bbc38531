"""Kill the product at random moments and start it again: python -m tests.robustness.crash --kills 50.

Each piece of work (generate, pack, train, simulate) runs in a process of its own, which is killed (SIGKILL) after a
random part of the time that it takes. Then all that stands in the folder must be whole, and the same command must run
to its end and leave nothing hidden behind.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

import gnnformd.training.train  # before the processes part, so that each starts at once
from gnnformd.cli import main as gnnformd
from gnnformd.config import load_config
from gnnformd.model.files.model_file import ModelCard, load_model, save_model
from gnnformd.model.registry import build_model
from gnnformd.model.settings import GamdSettings
from gnnformd.reference.run import ReferenceRun
from gnnformd.trajectory.formats.dump import read_dump
from gnnformd.trajectory.packed.dataset import PackedDataset, open_dataset
from gnnformd.trajectory.read import read_frames
from tests.training.conftest import FIELD, write_liquid

__all__ = ["WORKS", "Work", "prepare", "restart", "run", "start"]

INPUT = """units real
variable frames index 20
lattice fcc 5.4
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
mass 1 39.948
pair_style lj/cut 5.0
pair_coeff 1 1 0.2378 3.405
velocity all create 80 1
fix 1 all nve
dump 1 all custom 100 trajectory.dump id type x y z fx fy fz
run 4000
"""
CONFIG = """model: {kind: gamd, cutoff: 4.4, width: 4, layers: 1}
data: {paths: [liquid.dump], force_field: field.yaml}
training: {epochs: 6, accelerator: cpu, threads: 1, warmup_epochs: 1, checkpoint_every: 2, loggers: [],
  stability_check: false}
"""
FRAMES = 400


@dataclass(frozen=True)
class Work:
    """A piece of work.

    Attributes
    ----------
    do
        The work, in the current folder.
    check
        Asserts that whatever stands in the current folder is whole; told whether the work came to its end.
    """

    do: Callable[[], None]
    check: Callable[[bool], None]


def prepare(folder: Path) -> None:
    """Write what the works start from."""
    (folder / "argon.lmp").write_text(INPUT)
    (folder / "my.yaml").write_text(CONFIG)
    (folder / "field.yaml").write_text(json.dumps(FIELD.to_dict()))
    write_liquid(folder / "liquid.dump")
    write_liquid(folder / "long.dump", frames=FRAMES)
    torch.manual_seed(0)
    settings = GamdSettings(width=4, layers=1, cutoff=4.4, statistics="stored")
    save_model(folder / "small.safetensors", build_model(settings, 1), ModelCard(settings, ("Ar",)))
    atoms = "".join(f"{k + 1} 1 {5 * (k % 3)} {5 * (k // 3 % 3)} {5 * (k // 9)}\n" for k in range(27))
    head = "argon\n\n27 atoms\n1 atom types\n0 15 xlo xhi\n0 15 ylo yhi\n0 15 zlo zhi\n\nMasses\n\n1 39.948\n\n"
    (folder / "argon.data").write_text(f"{head}Atoms # atomic\n\n{atoms}")


def _command(*words: str) -> None:
    sys.argv = ["gnnformd", *words]
    gnnformd()


def _check_generated(done: bool) -> None:
    out = Path("made/argon")
    assert out.exists() or not done
    if out.exists():
        assert len(list(read_frames(out))) == ReferenceRun.open(out).manifest["frames"] == 41


def _pack() -> None:
    open_dataset("long.dump", cache=Path("made/packs"))


def _check_packed(done: bool) -> None:
    packs = [p for p in Path("made/packs").glob("*") if not p.name.startswith(".")]
    assert all(len(PackedDataset(pack)) == FRAMES for pack in packs)
    assert len(packs) == 1 or not done


def _train() -> None:
    going_on = Path("made/run/checkpoints/last.ckpt").exists()
    _command("train", "my.yaml", "--out", "made/run", *(["--resume"] if going_on else []))


def _check_trained(done: bool) -> None:
    run = Path("made/run")
    if (run / "config.yaml").exists():
        load_config(run / "config.yaml")
    if (run / "model.safetensors").exists():
        load_model(run / "model.safetensors")
    for checkpoint in run.glob("checkpoints/*.ckpt"):
        torch.load(checkpoint, weights_only=True)
    if (run / "metrics.csv").exists():
        rows = (run / "metrics.csv").read_text().splitlines()
        assert len({row.count(",") for row in rows}) == 1
        assert len(rows) == 7 or not done
    assert (run / "model.safetensors").exists() or not done


def _simulate() -> None:
    going_on = Path("made/md/restart.lammps").exists()
    words = ("--out", "made/md", "--steps", "300", "--restart-every", "30", *(["--resume"] if going_on else []))
    _command("simulate", "small.safetensors", "argon.data", *words)


def _check_simulated(done: bool) -> None:
    out = Path("made/md")
    if done:
        assert [frame.timestep for frame in read_dump(out / "trajectory.dump")] == list(range(0, 301, 10))
        rows = (out / "thermo.csv").read_text().splitlines()[1:]
        assert [int(row.split(",")[0]) for row in rows] == list(range(0, 301, 10))
    if (out / "simulate.json").exists():
        assert json.loads((out / "simulate.json").read_text())["steps"] == 300
    assert (out / "simulate.json").exists() or not done


WORKS = {
    "generate": Work(lambda: _command("generate", "argon.lmp", "--out", "made/argon", "--overwrite"), _check_generated),
    "pack": Work(_pack, _check_packed),
    "train": Work(_train, _check_trained),
    "simulate": Work(_simulate, _check_simulated),
}


def start(work: Callable[[], None], folder: Path) -> int:
    """Do it in a process of its own, quietly, and return its id; 0 is its exit status if it came to its end."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        os.chdir(folder)
        torch.set_num_threads(1)
        log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        work()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run(work: Callable[[], None], folder: Path) -> None:
    """Do it in a process of its own and see that it succeeds."""
    status = os.waitstatus_to_exitcode(os.waitpid(start(work, folder), 0)[1])
    assert status == 0, f"exit status {status}:\n{(folder / 'log.txt').read_text()[-3000:]}"


def restart(work: Work, folder: Path) -> None:
    """See that what a killed work left is whole, and that it comes to its end now and leaves nothing hidden."""
    run(lambda: work.check(False), folder)
    run(work.do, folder)
    run(lambda: work.check(True), folder)
    hidden = [path.name for path in (folder / "made").rglob(".*")]
    assert hidden == [], hidden


def main() -> int:
    """Print a line per kill; 1 if one of them did harm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    choose = random.Random(options.seed)
    harmed = cut = 0
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top)
        prepare(folder)
        lengths = {}
        for name, work in WORKS.items():
            begun = time.perf_counter()
            run(work.do, folder)
            lengths[name] = time.perf_counter() - begun
        for k in range(options.kills):
            name = list(WORKS)[k % len(WORKS)]
            if name == "pack" or choose.random() < 0.5:  # a pack that is there is not made anew
                shutil.rmtree(folder / "made", ignore_errors=True)
            (folder / "log.txt").unlink(missing_ok=True)
            moment = choose.uniform(0, lengths[name])
            process = start(WORKS[name].do, folder)
            time.sleep(moment)
            os.kill(process, signal.SIGKILL)
            cut += os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
            try:
                restart(WORKS[name], folder)
                print(f"{name} killed after {moment:.3f} of {lengths[name]:.3f} s: whole, starts again", flush=True)
            except AssertionError as error:
                harmed += 1
                print(f"{name} killed after {moment:.3f} of {lengths[name]:.3f} s: {error}", flush=True)
    print(f"{options.kills} kills, {cut} of them before the end, {harmed} did harm")
    return 1 if harmed else 0


if __name__ == "__main__":
    sys.exit(main())
