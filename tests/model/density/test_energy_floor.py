"""The floor of the network's energies: its form, every engine, and where it comes from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.inference.test_system import CUBE, MODELS, TILTED, model_with_scales, molecules
from tests.model.conftest import FIELD
from tests.model.density.test_model import slope_of, water
from tests.model.density.test_reference import assert_equal, by, graph_of

from gnnformd.graph.build import build_graph, collate
from gnnformd.inference.domain import Domain, NeighborLists
from gnnformd.inference.domain_forces import DomainForces
from gnnformd.model.choose_engine import build_engine
from gnnformd.model.density.compile_engine import kernels
from gnnformd.model.density.compile_engine.system import CompileEngine
from gnnformd.model.density.energy_floor import EnergyFloor, saturated
from gnnformd.model.density.reference import reference_prediction
from gnnformd.model.files.model_file import load_model, pretrained_names, save_model


def with_floor(model, graph):
    """Let half of the atoms of the graph be below the start of the floor, and some farther than it is deep."""
    floor = model.network.floor
    floor.remove()
    energies = model._bare_energies(graph)
    model.network.energy_scale.mul_(100.0 / (energies.median() - energies.quantile(0.1)))
    energies = model._bare_energies(graph)
    for kind in range(2):
        own = energies[graph.type_index == kind]
        floor.start[kind], floor.depth[kind] = own.median(), own.median() - own.quantile(0.1)
    return model


def test_nothing_changes_above_the_start_and_nothing_falls_below_the_depth():
    start, depth = torch.full((4001,), -3.0).double(), torch.full((4001,), 0.7).double()
    energies = torch.linspace(-40.0, 37.0, 4001, dtype=torch.float64)
    found = saturated(energies, start, depth)
    assert torch.equal(found[energies >= -3.0], energies[energies >= -3.0])
    assert found.min() > -3.0 - 0.7 - 1e-12
    assert (found.diff() >= 0).all()


def test_two_derivatives_are_continuous_at_the_start():
    start, depth = torch.tensor([2.0]).double(), torch.tensor([0.5]).double()
    close = torch.tensor([2.0 - 1e-4], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(saturated(close, start, depth).sum(), close, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), close)
    assert slope.item() == pytest.approx(1.0, abs=1e-6)
    assert curvature.item() == pytest.approx(0.0, abs=2e-3)
    below = torch.linspace(-3.0, 1.99, 50, dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(saturated(below, start, depth).sum(), below)
    expected = slope_of(lambda x: saturated(x, start, depth), below.detach())
    torch.testing.assert_close(slopes, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("cell", [CUBE, TILTED], ids=["cube", "tilted"])
@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)
def test_the_model_with_a_floor_is_its_equations(settings, cell):
    model = model_with_scales(**settings).model
    graph = graph_of(model, cell)
    expected = reference_prediction(with_floor(model, graph), graph)
    assert_equal(model(graph), expected)
    batch = collate([graph, graph_of(model)])
    assert_equal(model(batch), reference_prediction(model, batch))
    model.network.floor.remove()
    change = (reference_prediction(model, graph).forces - expected.forces).abs().max()
    assert change > 1e-4 * expected.forces.abs().max()


@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)
def test_the_engine_of_a_processor_has_the_floor(settings):
    model = model_with_scales(**settings).model
    graph = graph_of(model)
    with_floor(model, graph)
    engine = build_engine(model, graph)
    assert engine.name == "numba"
    assert_equal(by(engine, graph), reference_prediction(model, graph))


@pytest.mark.parametrize("settings", [{}, {"layers": 2}], ids=["one", "two layers"])
def test_the_engine_of_an_accelerator_has_the_floor(settings, monkeypatch):
    monkeypatch.setattr(kernels, "BACKEND", "eager")
    torch._dynamo.reset()
    model = model_with_scales(**settings).model
    graph = graph_of(model)
    with_floor(model, graph)
    assert_equal(by(CompileEngine(model), graph), reference_prediction(model, graph))


def test_forces_with_a_floor_are_the_derivative_of_the_energy():
    model = model_with_scales(layers=2).model
    graph = graph_of(model)
    with_floor(model, graph)
    direction = torch.randn(graph.positions.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    energies = [model(replace(graph, positions=graph.positions + s * 1e-5 * direction)).energies[0] for s in (1, -1)]
    slope = float(energies[0] - energies[1]) / 2e-5
    assert slope == pytest.approx(-float((model(graph).forces * direction).sum()), rel=1e-6)


def test_the_floor_is_that_of_the_data():
    floor = EnergyFloor(3)
    rng = np.random.default_rng(0)
    energies, types = torch.from_numpy(rng.normal(5.0, 2.0, 20_000)), torch.from_numpy(rng.integers(0, 2, 20_000))
    floor.take(zip(energies.split(1000), types.split(1000), strict=True))
    for kind in (0, 1):
        own = energies[types == kind]
        assert floor.start[kind].item() < own.min()
        assert floor.start[kind].item() == pytest.approx(5.0 - 6.3 * 2.0, abs=1.5)
        assert floor.depth[kind].item() == pytest.approx(2.5 * 2.0, abs=0.8)
    assert floor.start[2].item() < -1e38  # never met
    floor.remove()
    assert (floor.start < -1e38).all()


def test_nothing_changes_in_the_data_the_floor_was_taken_from():
    model = model_with_scales().model
    graph = water(0)
    before = model(graph)
    model.learn_range([graph, water(1)])
    assert (model.network.floor.start > -1e38).all()
    after = model(graph)
    assert torch.equal(before.energies, after.energies)
    assert torch.equal(before.forces, after.forces)


def test_a_model_file_keeps_the_floor_and_new_data_remove_it(tmp_path):
    loaded = model_with_scales()
    loaded.model.learn_range([water(0)])
    save_model(tmp_path / "model.safetensors", loaded.model, loaded.card)
    again = load_model(tmp_path / "model.safetensors").model
    torch.testing.assert_close(again.network.floor.start.double(), loaded.model.network.floor.start)
    again.double().adapt(water(1), torch.full((4, 2, 2), torch.inf), same_types=True)
    assert (again.network.floor.start < -1e38).all()


@pytest.mark.parametrize("name", [name for name in pretrained_names() if load_model(name).card.kind == "density"])
def test_shipped_models_have_a_floor_and_grades(name):
    network = load_model(name).model.network
    assert (network.floor.start > -100.0).all()
    assert (network.surroundings.scale > 0.0).all()


def halves(frame):
    """The first 40 of 81 atoms and the others, each as a domain, with the rows that its atoms have in the frame."""
    none = np.empty(0, np.int64)
    for order in (np.arange(81), np.roll(np.arange(81), -40)):
        own = 40 if order[0] == 0 else 41
        part = replace(frame, types=frame.types[order], positions=frame.positions[order], bonds=None)
        inverse = np.argsort(order)
        graph = build_graph(replace(part, bonds=inverse[frame.bonds]), 3.4, FIELD, dtype=torch.float64)
        rows = torch.argsort(graph.center_index, stable=True)
        start = np.concatenate([[0], np.cumsum(torch.bincount(graph.center_index, minlength=81).numpy())])
        neighbor = (graph.neighbor_index | (graph.bond_kind << 30))[rows].numpy().astype(np.uint32).view(np.int32)
        lists = NeighborLists(start, neighbor, none.reshape(0, 2), none)
        yield order, Domain(own, part.ids, part.types, None, part.positions, lists)


@pytest.mark.parametrize("compiled", [True, False], ids=["loops", "pytorch"])
@pytest.mark.parametrize("settings", [{}, {"layers": 2}], ids=["one layer", "two layers"])
def test_forces_of_two_domains_add_up_to_those_of_the_system(settings, compiled):
    loaded = replace(model_with_scales(electrostatics="none", **settings), compiled=compiled)
    frame = replace(molecules(), periodic=(False, False, False), cell=np.diag([40.0] * 3))
    whole = build_graph(frame, 3.4, FIELD, dtype=torch.float64)
    expected = reference_prediction(with_floor(loaded.model, whole), whole)
    forces, energy = np.zeros((81, 3)), 0.0
    for order, domain in halves(frame):
        found = DomainForces(loaded, domain.types).evaluate(domain)
        forces[order] += found.forces
        energy += found.energy
    assert np.abs(forces - expected.forces.numpy()).max() < 1e-8 * np.abs(expected.forces.numpy()).max()
    assert energy == pytest.approx(expected.energies.item(), rel=1e-8)
