"""What runs on accelerators against the same model in PyTorch as it stands; here on a processor."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.inference.test_system import (
    CUBE,
    MODELS,
    TILTED,
    assert_equal,
    model_with_scales,
    molecules,
)
from tests.simulation.lammps.rank_cases import case, run

from gnnformd.errors import InputError
from gnnformd.inference.system import Evaluator
from gnnformd.model.density.compile_engine import kernels
from gnnformd.model.density.model import DensityModel
from gnnformd.simulation.lammps.ranks import Ranks


@pytest.fixture(autouse=True)
def processors_are_accelerators(monkeypatch):
    """Take the compiler's front end, which refuses what it cannot take whole, but no code generator."""

    monkeypatch.setattr(DensityModel, "_on_processor", False)
    monkeypatch.setattr(kernels, "BACKEND", "eager")
    torch._dynamo.reset()


def both(loaded, frame):
    """What the kernels and the model itself say."""
    fast, plain = (Evaluator(replace(loaded, compiled=compiled), frame) for compiled in (True, False))
    assert fast.at(frame.positions, frame.cell, frame.periodic)[0].name == "torch.compile"
    return tuple(e.evaluate(frame.positions, frame.cell, frame.periodic) for e in (fast, plain))


KNOWN = {name: settings for name, settings in MODELS.items() if settings.get("electrostatics") != "learned"}


@pytest.mark.parametrize("settings", KNOWN.values(), ids=KNOWN)
def test_every_kind_of_model(settings):
    assert_equal(*both(model_with_scales(**settings), molecules()), 1e-11)


@pytest.mark.parametrize("cell", [TILTED, 0.7 * CUBE], ids=["tilted", "shorter than twice the cutoff"])
def test_any_box(cell):
    assert_equal(*both(model_with_scales(), molecules(cell)), 1e-11)


def test_open_boundaries_and_atoms_without_neighbors():
    frame = replace(molecules(), periodic=(False, False, False), cell=np.diag([40.0] * 3))
    frame.positions[:3] += 30.0
    assert_equal(*both(model_with_scales(), frame), 1e-11)


def test_atoms_pushed_into_each_other():
    frame = molecules()
    frame.positions[3] = frame.positions[0] + [0.9, 0.3, 0]
    frame.positions[4] = frame.positions[3] + [0.45, 0, 0]
    loaded = model_with_scales()
    assert_equal(*both(loaded, frame), 1e-11)
    fast, plain = (Evaluator(replace(loaded, compiled=compiled), frame) for compiled in (True, False))
    for evaluator in (fast, plain):
        evaluator.evaluate(frame.positions, frame.cell, frame.periodic)
    assert {fast.nearest.one, fast.nearest.other} == {plain.nearest.one, plain.nearest.other}
    assert fast.nearest.distance == pytest.approx(plain.nearest.distance, rel=1e-12)


def test_generated_derivatives(monkeypatch):
    monkeypatch.setattr(kernels, "BACKEND", "aot_eager")
    settings = {"features": 3, "width": 4, "radial_functions": 3, "bonded_functions": 2}
    assert_equal(*both(model_with_scales(**settings), molecules()), 1e-11)


def test_more_variants_than_are_compiled_unasked():
    frame = molecules()
    for degree in range(3):
        for order in (2, 3, 4):
            loaded = model_with_scales(features=2, width=2, l_max=degree, body_order=order)
            assert_equal(*both(loaded, frame), 1e-11)


def test_a_compiler_that_fails_is_named(monkeypatch):
    def broken(graph, inputs):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(kernels, "BACKEND", broken)
    with pytest.raises(InputError, match=r"cannot compile the model here .*take --torch"):
        both(model_with_scales(), molecules())


def test_atoms_that_wander_in_a_box_that_changes_are_compiled_once():
    loaded, frame = model_with_scales(), molecules()
    rng = np.random.default_rng(0)
    fast, plain = (Evaluator(replace(loaded, compiled=c), frame) for c in (True, False))
    positions, cell = frame.positions.copy(), frame.cell
    torch._dynamo.utils.counters.clear()
    for _ in range(12):
        positions += rng.normal(0, 0.12, (27, 1, 3)).repeat(3, axis=1).reshape(-1, 3)
        cell = cell @ (np.eye(3) + rng.normal(0, 0.002, (3, 3)))
        assert_equal(*(e.evaluate(positions, cell, frame.periodic) for e in (fast, plain)), 1e-11)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.parametrize("name", ["water 27 with charges, tilted", "water 27 with charges, two layers"])
def test_domains_of_lammps(name, monkeypatch):
    this = case(name)
    calls = []
    evaluate = kernels.CompiledEnergies.evaluate
    monkeypatch.setattr(
        kernels.CompiledEnergies, "evaluate", lambda *arguments: calls.append(1) or evaluate(*arguments)
    )
    fast = run(this, Ranks.world())
    assert calls
    plain = run(replace(this, loaded=replace(this.loaded, compiled=False)), Ranks.world())
    for name, tolerance in (("forces", 1e-9), ("energy", 1e-10), ("pressure", 1e-9)):
        assert np.abs(fast[name] - plain[name]).max() < tolerance * np.abs(plain[name]).max()
