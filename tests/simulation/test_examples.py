import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gnnformd.model.build import build_model
from gnnformd.model.file import ModelCard, save_model
from gnnformd.model.settings import SeedSettings
from gnnformd.trajectory.dump import read_dump

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def model(helpers, tmp_path) -> Path:
    """File of a small network of the seed's kind with random weights."""
    torch.manual_seed(1)
    settings = SeedSettings(width=8, cutoff=4.4)
    path = tmp_path / "argon.safetensors"
    save_model(path, build_model(settings, 1), ModelCard(settings, ("Ar",), helpers.argon))
    return path


def run(script: str, model: Path, folder: Path) -> str:
    command = [sys.executable, str(EXAMPLES / script), str(model), "20"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_lammps_example_runs_and_leaves_a_trajectory(model, tmp_path):
    assert "temperature after 20 steps" in run("lammps_argon.py", model, tmp_path)
    frames = list(read_dump(tmp_path / "argon.dump"))
    assert [frame.timestep for frame in frames] == [0, 10, 20]
    # on a perfect lattice Lennard-Jones has no force: what is there is the model's
    assert abs(frames[0].forces).max() > 1e-6


def test_the_ase_example_runs_and_leaves_a_trajectory(model, tmp_path):
    assert "temperature after 20 steps" in run("ase_argon.py", model, tmp_path)
    assert (tmp_path / "argon.traj").stat().st_size > 0
