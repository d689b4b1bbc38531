"""Fine-tuning of functions of many liquids: what it learns, and when it leaves them as they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gnnformd.cli import app
from gnnformd.errors import InputError
from gnnformd.graph.build import build_graph
from gnnformd.model.files.model_file import load_model
from gnnformd.model.fluids.functions import load_fluids
from gnnformd.model.fluids.load import load_for, tune_for
from gnnformd.model.fluids.specialize import specialize
from gnnformd.model.fluids.tune import LiquidEquations, tune
from gnnformd.reference.generate import generate
from gnnformd.trajectory.packed.dataset import open_dataset


@pytest.fixture(scope="module")
def argon(tmp_path_factory):
    """256 atoms, of which Lennard-Jones reaches 2.9 sigma."""
    variables = {"kinds": "1", "epsilon1": "0.2378", "sigma1": "3.405", "atoms": "256", "cutoff": "10"}
    variables |= {"reduced_density": "0.8", "reduced_temperature": "0.8"}
    variables |= {"melting": "300", "equilibration": "200", "spacing": "50"}
    return generate("lj-fluid", tmp_path_factory.mktemp("argon") / "run", seed=1, frames=6, variables=variables)


def equations(data, maker, numbers):
    return [maker.equations(build_graph(data[k], maker.cutoff, data.force_field)) for k in numbers]


def test_two_frames_make_it_better(argon):
    found = tune_for("fluids", argon.folder, 2)
    assert found.better
    assert found.tested == 4
    assert found.after < found.before < 0.002
    assert found.loaded.card.cutoff == pytest.approx(10.0)


def test_the_equations_have_the_forces_of_the_model(argon):
    data, functions = open_dataset(argon.folder), load_fluids("fluids")
    maker = LiquidEquations(data.force_field)
    (frame,) = equations(data, maker, [0])
    coefficients = torch.tensor([*functions.pair, *functions.bond, *functions.angle], dtype=torch.float64)
    model = specialize(functions, data.force_field, "here")
    expected = model(build_graph(data[0], model.cutoff, data.force_field)).forces
    np.testing.assert_allclose(frame.columns @ coefficients * frame.size, expected.flatten(), atol=1e-9)
    tuned = tune(functions, equations(data, maker, [1, 2])).functions
    coefficients = torch.tensor([*tuned.pair, *tuned.bond, *tuned.angle], dtype=torch.float64)
    model = specialize(tuned, data.force_field, "here")
    expected = model(build_graph(data[0], model.cutoff, data.force_field)).forces
    np.testing.assert_allclose(frame.columns @ coefficients * frame.size, expected.flatten(), atol=1e-9)


def test_frames_that_say_nothing_leave_the_functions_as_they_are(argon):
    data, functions = open_dataset(argon.folder), load_fluids("fluids")
    maker = LiquidEquations(data.force_field)
    frames = equations(data, maker, range(3))
    own = torch.tensor([*functions.pair, *functions.bond, *functions.angle], dtype=torch.float64)
    noise = torch.Generator().manual_seed(0)
    blind = [
        replace(f, wanted=f.columns @ own + 0.3 * torch.randn(len(f.forces), generator=noise, dtype=torch.float64))
        for f in frames
    ]
    found = tune(functions, blind)
    assert not found.better
    assert found.functions == functions


def test_functions_that_end_elsewhere_are_used_but_not_tuned(argon, tmp_path):
    other = tmp_path / "other.json"
    shipped = load_fluids("fluids")
    replace(shipped, reach=2.5, pair=shipped.pair[:32]).save(other)
    assert load_for(other, argon.folder).card.cutoff == pytest.approx(2.5 * 3.405)
    with pytest.raises(InputError, match=r"other\.json: its pair function reaches 2\.5 sigma, and --tune .* 3;"):
        tune_for(other, argon.folder, 2)


def test_the_command_says_the_errors_and_refuses_what_it_cannot_do(argon, tmp_path):
    out = tmp_path / "tuned.safetensors"
    arguments = ["specialize", "fluids", str(argon.folder), "--out", str(out), "--tune"]
    done = CliRunner().invoke(app, [*arguments, "1"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "Errors of forces (5 other frames, relative l1)" in " ".join(done.output.split())
    assert load_model(out).card.cutoff == pytest.approx(10.0)
    refused = CliRunner().invoke(app, [*arguments, "7"])
    assert refused.exit_code == 2
    assert "has 6 frames, fewer than the 7 of --tune" in " ".join(refused.output.split())
    with pytest.raises(InputError, match=r"topology\.data: has no frames to fit to"):
        tune_for("fluids", argon.topology, 1)
