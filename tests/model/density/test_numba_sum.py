"""The compiled loops against the same sums by PyTorch, which the physics tests check by themselves."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.model.density.test_model import density, pair, water
from tests.threads import torch_threads

from gnnformd.model.density.kernels.one_layer import evaluate
from gnnformd.model.density.kernels.simd import BYTES, lanes_of, load, store, transpose
from gnnformd.model.density.kernels.simd_functions import total
from gnnformd.numba_jit import kernel

VARIANTS = {
    "water": {},
    "no bonds of their own": {"bond_kinds": 0},
    "three kinds of bond, many functions": {"bond_kinds": 3, "radial_functions": 19, "bonded_functions": 4},
    "vectors": {"l_max": 1, "body_order": 3},
    "distances": {"l_max": 0, "body_order": 2},
    "degree three": {"l_max": 3},
    "degree four, two layers": {"l_max": 4, "layers": 2, "message_channels": 3},
    "three layers": {"layers": 3, "message_channels": 3},
    "whole vectors of features": {"l_max": 4, "layers": 2, "message_channels": 3, "features": 16},
    "whole vectors of features, degree three": {"l_max": 3, "features": 32},
    "features that fill no vector": {"l_max": 4, "features": 12},
}


def outcome(model, graph, compiled):
    """Everything a model says, and the gradient of it all in its parameters."""
    model.network.compiled = compiled
    model.zero_grad()
    said = model.train()(graph)
    weights = torch.linspace(-1, 2, said.forces.numel()).to(said.forces).view_as(said.forces)
    ((said.forces * weights).sum() + said.virials.square().sum() + said.energies.sum()).backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return said.energies.detach(), said.forces.detach(), said.virials.detach(), gradient


def close(a, b, tolerance):
    return (a - b).abs().max() <= tolerance * a.abs().max()


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 2e-4)], ids=["64", "32"])
def test_compiled_and_plain_sums_agree(settings, dtype, tolerance):
    graph = water(0)
    model = density(**settings)
    model.initialize(graph)
    model, graph = model.to(dtype), graph.to(dtype=dtype)
    plain, fast = outcome(model, graph, False), outcome(model, graph, True)
    for name, a, b in zip(("energies", "forces", "virials", "gradient"), plain, fast, strict=True):
        assert close(a, b, tolerance), name


def test_threads_change_nothing():
    graph = water(1)
    model = density(layers=2)
    model.initialize(graph)
    with torch_threads(1):
        one = outcome(model, graph, True)
    with torch_threads(2):
        two = outcome(model, graph, True)
    for a, b in zip(one, two, strict=True):
        assert close(a, b, 1e-13)


def test_an_atom_without_neighbors_is_no_trouble():
    forces = outcome(density(electrostatics="none"), pair(9.0), True)[1]
    assert torch.equal(forces, torch.zeros(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_block_of_numbers_is_transposed(dtype):
    @kernel
    def transposed(source, target, width):
        transpose(source, 1, width + 2, target, 0, width)

    width = BYTES // np.dtype(dtype).itemsize
    source = np.arange(width * (width + 2) + 1).astype(dtype)
    target = np.zeros((width, width), dtype)
    transposed(source, target, width)
    rows = np.stack([source[1 + k * (width + 2) :][:width] for k in range(width)])
    assert (target == rows.T).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_compute_what_numbers_do(dtype):
    @kernel
    def result(a, b, out):
        x, y = load(a, 0), load(b, 0)
        store(out, 0, (x + 2.0 * y) * x - y / x)
        return total(x), lanes_of(a)

    width = BYTES // np.dtype(dtype).itemsize
    a, b = np.linspace(1, 2, width).astype(dtype), np.linspace(-3, 5, width).astype(dtype)
    out = np.zeros(width, dtype)
    summed, lanes = result(a, b, out)
    assert lanes == width
    assert np.allclose(out, (a + 2 * b) * a - b / a, rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)
    assert np.isclose(summed, a.sum(), rtol=1e-6)


def test_machine_code_is_renewed_when_any_file_of_the_loops_has_changed():
    folder = Path(evaluate.py_func.__code__.co_filename).parent
    newest = max(path.stat().st_mtime_ns for path in folder.glob("*.py"))
    assert evaluate._cache._cache_file._source_stamp[1] == newest


def test_models_are_built_without_numba():
    code = "import sys, gnnformd.model.registry; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_the_loops_changes_no_operator_of_other_users_of_numba():
    code = """
import sys
import gnnformd.model.density.kernels.many_layers
from numba.core.typing.templates import builtin_registry
templates = [t for _, function in builtin_registry.globals for t in getattr(function, "templates", ())]
assert templates
sys.exit(any(base.__module__.startswith("gnnformd") for t in templates for base in t.__mro__))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
