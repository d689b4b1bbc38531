import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from gnnformd.model.files.model_file import ModelCard, save_model
from gnnformd.model.registry import build_model
from gnnformd.model.settings import GamdSettings
from gnnformd.trajectory.formats.dump import read_dump

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def model(helpers, tmp_path) -> Path:
    """File of a small network of the original kind with random weights."""
    torch.manual_seed(1)
    settings = GamdSettings(width=8, cutoff=4.4)
    path = tmp_path / "argon.safetensors"
    save_model(path, build_model(settings, 1), ModelCard(settings, ("Ar",), helpers.argon))
    return path


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run a script with arguments in an empty folder, as ``python SCRIPT ARGUMENT...``; gives what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(script: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [script, *(str(a) for a in arguments)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_the_lammps_example_runs_and_leaves_a_trajectory(run, model, tmp_path):
    assert "temperature after 20 steps" in run("lammps_argon.py", model, 20)
    frames = list(read_dump(tmp_path / "argon.dump"))
    assert [frame.timestep for frame in frames] == [0, 10, 20]
    # on a perfect lattice Lennard-Jones has no force: what is there is the model's
    assert abs(frames[0].forces).max() > 1e-6


def test_the_ase_example_runs_and_leaves_a_trajectory(run, model, tmp_path):
    assert "temperature after 20 steps" in run("ase_argon.py", model, 20)
    assert (tmp_path / "argon.traj").stat().st_size > 0


def test_the_steps_of_the_pipeline_run_one_after_the_other(run, tmp_path):
    assert "data/argon-test/trajectory.dump: 4 frames of 400 atoms" in run("pipeline/generate.py", 4, 40)
    assert run("pipeline/read.py").count("400 atoms, mean force") == 4
    assert "directed edges from" in run("pipeline/graph.py")
    assert "best epoch 1" in run("pipeline/train.py", 1)
    assert "% of the forces" in run("pipeline/evaluate.py")
    assert "Lennard-Jones: rms error" in run("pipeline/curves.py")
    told = run("pipeline/simulate.py", 20)
    assert "compared with the reference: too short to say" in told
    assert json.loads((tmp_path / "runs/argon/md/simulate.json").read_text())["steps"] == 20
    assert "written: runs/argon/report.html" in run("pipeline/report.py")
    page = (tmp_path / "runs/argon/report.html").read_text()
    for title in ("Training", "Accuracy", "Two atoms", "Molecular dynamics"):
        assert f"<h2>{title}</h2>" in page


def test_every_example_is_run_by_a_test_here():
    tested = Path(__file__).read_text()
    for script in EXAMPLES.rglob("*.py"):
        assert f'"{script.relative_to(EXAMPLES)}"' in tested
