"""The model and both of its engines against the plain equations."""

import pytest
import torch
from tests.inference.test_system import CUBE, MODELS, TILTED, model_with_scales, molecules
from tests.model.conftest import FIELD

from gnnformd.graph.build import build_graph, collate
from gnnformd.model.choose_engine import build_engine, prediction_of
from gnnformd.model.density.compile_engine import kernels
from gnnformd.model.density.compile_engine.system import CompileEngine
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.reference import reference_prediction
from gnnformd.model.density.term_registry import PAIR_TERMS
from gnnformd.model.density.terms import PairKinds, PairTerm


def graph_of(model, cell=CUBE):
    frame = molecules(cell)
    frame.positions[3] = frame.positions[0] + [0.9, 0.3, 0]  # closer than in any data
    return build_graph(frame, model.cutoff, FIELD, dtype=torch.float64)


def assert_equal(found, expected, tolerance=1e-8):
    for name in ("forces", "energies", "virials"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max(), name


def by(engine, graph):
    engine.set_neighbors(graph)
    cell = graph.cells[0].numpy()
    return prediction_of(engine.evaluate(graph.positions.numpy(), cell), torch.zeros(0, dtype=torch.float64))


@pytest.mark.parametrize("cell", [CUBE, TILTED], ids=["cube", "tilted"])
@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)
def test_the_model_is_its_equations(settings, cell):
    model = model_with_scales(**settings).model
    graph = graph_of(model, cell)
    expected = reference_prediction(model, graph)
    assert expected.forces.abs().max() > 1
    assert_equal(model(graph), expected)


@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)
def test_the_engine_of_a_processor_is_the_equations(settings):
    model = model_with_scales(**settings).model
    graph = graph_of(model)
    engine = build_engine(model, graph)
    assert engine.name == "numba"
    assert_equal(by(engine, graph), reference_prediction(model, graph))


@pytest.mark.parametrize("settings", [{}, {"layers": 2}, {"bond_kinds": 0}], ids=["one", "two layers", "no bonds"])
def test_the_engine_of_an_accelerator_is_the_equations(settings, monkeypatch):
    monkeypatch.setattr(kernels, "BACKEND", "eager")
    torch._dynamo.reset()
    model = model_with_scales(**settings).model
    graph = graph_of(model)
    assert_equal(by(CompileEngine(model), graph), reference_prediction(model, graph))


def test_a_batch_is_the_equations():
    model = model_with_scales().model
    graph = collate([graph_of(model), graph_of(model, TILTED)])
    assert_equal(model(graph), reference_prediction(model, graph))


class Dispersion(PairTerm):
    """``-C (x_i . x_j) (1 - (s/cutoff)^2)^4 / (1 + s^6)``, half of it between bonded atoms."""

    def __init__(self, settings, inputs):
        super().__init__()
        self.cutoff = settings.cutoff
        self.register_buffer("strength", torch.tensor(30.0))

    def energies(self, distance, pairs):
        product = (pairs.kinds[pairs.first] * pairs.kinds[pairs.second]).sum(1)
        weight = torch.where(pairs.bond_kind == 1, 0.5, 1.0)
        fade = (1 - (distance / self.cutoff).clamp(max=1.0) ** 2) ** 4
        return -self.strength * weight * product * fade / (1 + distance**6)


@pytest.mark.parametrize("settings", [{}, {"layers": 2}, {"bond_kinds": 0}], ids=["one", "two layers", "no bonds"])
def test_a_new_pair_term_reaches_every_engine_through_its_line_in_the_registry(settings, monkeypatch):
    monkeypatch.setitem(PAIR_TERMS, "dispersion", Dispersion)
    monkeypatch.setattr(kernels, "BACKEND", "eager")
    torch._dynamo.reset()
    model = model_with_scales(**settings).model
    graph = graph_of(model)
    with_term = reference_prediction(model, graph)
    model.pair_terms["dispersion"].strength.zero_()
    assert (reference_prediction(model, graph).forces - with_term.forces).abs().max() > 1
    model.pair_terms["dispersion"].strength.fill_(30.0)
    for found in (model(graph), *(by(e, graph) for e in (build_engine(model, graph), CompileEngine(model)))):
        assert_equal(found, with_term)


def test_pair_energies_do_not_depend_on_the_order_of_the_atoms():
    model = model_with_scales().model
    assert isinstance(model, DensityModel)
    graph = graph_of(model)
    kinds = PairKinds.of(graph, model.network.inputs(graph))
    swapped = kinds._replace(first=kinds.second, second=kinds.first)
    distance = graph.half_edge_vectors().norm(dim=1)
    for term in model.each_pair_term():
        torch.testing.assert_close(term.energies(distance, kinds), term.energies(distance, swapped))
