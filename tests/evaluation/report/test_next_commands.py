"""Every command that a report suggests can be pasted: its options exist, and it does its work."""

import re
import shlex
from html import unescape
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
import yaml
from ase.build import bulk
from ase.calculators.emt import EMT
from typer.main import get_command
from typer.testing import CliRunner

from gnnformd.cli import app
from gnnformd.errors import InputError
from gnnformd.evaluation.report.data_files import DEFAULTS, KnownData
from gnnformd.evaluation.report.report import write_report
from gnnformd.force_field import AtomType, ForceField
from gnnformd.model.files.model_card import ModelCard
from gnnformd.model.files.model_file import load_model, save_model
from gnnformd.model.registry import build_model
from gnnformd.model.settings import GamdSettings
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.speed.liquids import liquid_commands

CUTOFF = 4.0
COLUMNS = "epoch train_loss validation_loss validation_l1_per_atom validation_x validation_y validation_z learning_rate"
ROWS = ",".join([*COLUMNS.split(), "seconds"])
COPPER = ForceField((AtomType("Cu", 63.546, 0.0, 0.0, 0.0),))


def copper(path: Path, *, periodic: bool = True) -> None:
    generator = np.random.default_rng(0)
    frames = []
    for _ in range(3):
        atoms = bulk("Cu", cubic=True) * (3, 3, 3)
        atoms.positions += generator.normal(0, 0.05, atoms.positions.shape)
        atoms.pbc = periodic
        atoms.calc = EMT()
        atoms.get_forces()
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")


def trained(folder: Path, field: ForceField | None, *paths: Path, **data: object) -> None:
    """A run folder with a network of random weights."""
    folder.mkdir()
    torch.manual_seed(0)
    settings = GamdSettings(cutoff=CUTOFF, width=8, layers=1, node_features="embedding")
    save_model(folder / "model.safetensors", build_model(settings, 1), ModelCard(settings, ("Cu",), field))
    (folder / "metrics.csv").write_text(f"{ROWS}\n1,9,6,1,2,2,2,1e-3,3\n")
    config = {"model": settings.model_dump(mode="json"), "data": {"paths": [str(p) for p in paths], **data}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def suggested(folder: Path) -> list[list[str]]:
    page = write_report(folder).read_text(encoding="utf-8")
    lines = re.findall(r'<pre class="command">(.*?)</pre>', page, re.DOTALL)
    return [shlex.split(unescape(line)) for line in lines]


SHORTER = {"simulate": ["--steps", "2"], "train": ["--max-minutes", "0.001", "--set", "training.stability_check=false"]}


def run_all(folder: Path) -> list[str]:
    """Paste every command, with fewer steps; return their names."""
    group = get_command(app)
    names = []
    for program, name, *words in suggested(folder):
        assert program == "gnnformd"
        group.commands[name].make_context(name, list(words))  # raises where an option does not exist
        result = CliRunner().invoke(app, [name, *words, *SHORTER.get(name, [])])
        assert result.exit_code == 0, (name, words, result.output, result.exception)
        names.append(name)
    return names


def test_all_commands_for_a_model_without_force_field_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copper(Path("copper data.xyz"))
    trained(Path("run"), None, Path("copper data.xyz"))
    assert run_all(Path("run")) == ["simulate", "evaluate", "predict", "train"]


def test_data_that_a_simulation_cannot_start_from_are_evaluated_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copper(Path("clusters.xyz"), periodic=False)
    copper(Path("test.xyz"), periodic=False)
    trained(Path("run"), COPPER, Path("clusters.xyz"), test=["test.xyz"])
    evaluate, predict, _ = suggested(Path("run"))
    assert evaluate[3] == predict[3] == "test.xyz"  # the network was not trained on it
    assert run_all(Path("run")) == ["evaluate", "predict", "train"]


def test_data_that_are_not_there_are_in_no_command(tmp_path):
    trained(tmp_path / "run", None, tmp_path / "gone.xyz")
    assert suggested(tmp_path / "run") == []


@pytest.mark.parametrize("copies", [[], ["--repeat", "2", "1", "1"]])
def test_the_command_of_a_run_can_be_pasted(tmp_path, monkeypatch, copies):
    monkeypatch.chdir(tmp_path)
    copper(Path("copper.xyz"))
    trained(Path("run"), None)
    words = ["run/model.safetensors", "copper.xyz", "--steps", "3", "--out", "run/md", *copies]
    assert CliRunner().invoke(app, ["simulate", *words]).exit_code == 0
    page = unescape(write_report(Path("run")).read_text(encoding="utf-8"))
    (_, name, *pasted), *_ = [shlex.split(line) for line in re.findall(r"gnnformd simulate [^<\n]*", page)]
    result = CliRunner().invoke(app, [name, *pasted, "--steps", "2", "--out", "again"])
    assert result.exit_code == 0, result.output
    atoms = [yaml.safe_load(Path(folder, "simulate.json").read_text())["atoms"] for folder in ("run/md", "again")]
    assert atoms == [108 * (2 if copies else 1)] * 2


def test_options_that_are_defaults_are_not_listed(tmp_path, monkeypatch):
    usual = SimulationSettings().model_dump(exclude={"thermo_every", "repeat"}, exclude_none=True)
    assert dict(DEFAULTS) == usual
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ref").mkdir()
    (tmp_path / "ref" / "topology.data").write_text("")
    for timestep, heat, words in ((1.0, 300.2, []), (2, 251.0, ["--temperature", "251", "--timestep", "2"])):
        (tmp_path / "ref" / "reference.yaml").write_text(f"timestep_fs: {timestep}\n")
        (tmp_path / "ref" / "thermo.csv").write_text(f"step,temperature_K\n0,{heat}\n10,{heat}\n")
        assert KnownData(Path("ref")).start() == ["ref/topology.data", "--compare", "ref", *words]


def test_the_refusal_of_benchmark_says_what_would_do(tmp_path):
    trained(tmp_path / "run", None)
    trained(tmp_path / "other", COPPER)
    for folder, what in (("run", "has no force field"), ("other", "is one of Cu")):
        with pytest.raises(InputError, match=f"{what}, and without a structure .*'gnnformd benchmark MODEL STR"):
            liquid_commands(load_model(tmp_path / folder / "model.safetensors"), 100)
