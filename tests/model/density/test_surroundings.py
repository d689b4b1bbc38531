"""Extrapolation grades: their definition, every engine, and where they come from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from tests.inference.test_system import CUBE, MODELS, TILTED, model_with_scales, molecules
from tests.model.conftest import FIELD
from tests.model.density.test_energy_floor import halves
from tests.model.density.test_model import water
from tests.model.density.test_reference import by, graph_of

from gnnformd.graph.build import build_graph, collate
from gnnformd.inference.domain_forces import DomainForces
from gnnformd.model.choose_engine import build_engine
from gnnformd.model.density.compile_engine import kernels
from gnnformd.model.density.compile_engine.system import CompileEngine
from gnnformd.model.density.surroundings import Surroundings
from gnnformd.model.files.model_file import load_model, save_model


def taken(samples=5000, width=40, types=2, seed=0):
    """Surroundings taken from random activations, which are returned with their types."""
    generator = torch.Generator().manual_seed(seed)
    scales = torch.logspace(1, -3, width, dtype=torch.float64)
    activations = torch.randn(samples, width, generator=generator, dtype=torch.float64) * scales + 3.0
    kinds = torch.randint(0, types, (samples,), generator=generator)
    activations[kinds == 1] *= 2.0
    known = Surroundings(types + 1, width).double()
    known.take(zip(activations.split(700), kinds.split(700), strict=True))
    return known, activations, kinds


def test_grades_are_distances_to_the_nearest_of_the_farthest_points():
    known, activations, kinds = taken()
    grades = known(activations, kinds).numpy()
    for kind in (0, 1):
        own = activations[kinds == kind].numpy()
        kept_back = np.arange(len(own)) // (len(own) // 160) % 4 == 3
        others = own[~kept_back]
        variances, vectors = np.linalg.eigh(np.cov(others.T, bias=True))
        largest = np.argsort(variances)[-32:]
        z = (own - others.mean(axis=0)) @ vectors[:, largest]
        z /= np.sqrt(variances[largest] + 0.01 * variances.mean())
        points = z[~kept_back]
        chosen = [int(np.argmin((points**2).sum(axis=1)))]
        while len(chosen) < 64:
            chosen.append(int(np.argmax(cdist(points, points[chosen]).min(axis=1))))
        distances = cdist(z, points[chosen]).min(axis=1)
        np.testing.assert_allclose(grades[kinds == kind], distances / distances.max(), atol=1e-7)
        assert np.count_nonzero(grades[kinds == kind] < 1e-6) == 64
        assert grades[kinds == kind].max() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("samples", [64, 200, 1000, 20_000])
@pytest.mark.parametrize("seed", range(3))
def test_others_like_the_data_hardly_ever_have_grades_above_two_however_few_the_data_are(samples, seed):
    known, _, _ = taken(samples, types=1, seed=seed)
    others = torch.randn(50_000, 40, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    grades = known(
        others * torch.logspace(1, -3, 40, dtype=torch.float64) + 3.0, torch.zeros(50_000, dtype=torch.int64)
    )
    assert (grades > 2.0).double().mean() < 1e-3
    assert 0.3 < grades.median() < 1.1


def test_atoms_unlike_the_data_have_large_grades_and_those_like_them_small_ones():
    known, activations, kinds = taken()
    others = torch.randn(20_000, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    others = others * torch.logspace(1, -3, 40, dtype=torch.float64) + 3.0
    same = known(others, torch.zeros(20_000, dtype=torch.int64))
    assert 1.0 < same.max() < 1.5  # four times as many
    moved = activations[kinds == 0].mean(0).repeat(2, 1)
    moved[:, 0] += torch.tensor([100.0, 1000.0])  # 10 and 100 standard deviations
    near, far = known(moved, torch.zeros(2, dtype=torch.int64)).tolist()
    assert near > 1.5
    assert far == pytest.approx(10.0 * near, rel=0.3)


def test_types_with_few_atoms_and_those_that_never_vary_are_not_known():
    known = Surroundings(4, 20).double()
    assert not known.known
    generator = torch.Generator().manual_seed(0)
    kinds = torch.tensor([0] * 63 + [1] * 64 + [2] * 100)
    activations = torch.randn(227, 20, generator=generator, dtype=torch.float64)
    activations[kinds == 2] = 1.0
    known.take([(activations, kinds)])
    assert (known.scale > 0).tolist() == [False, True, False, False]
    assert known(100.0 + activations, kinds).isnan().tolist() == (kinds != 1).tolist()


def graded(**settings):
    """A model whose readouts are not zero, and that knows the surroundings in some frames of water."""
    loaded = model_with_scales(**settings)
    with torch.no_grad():
        for readout in loaded.model.network.readouts:
            readout.last.weight.normal_(generator=torch.Generator().manual_seed(1))
    graph = graph_of(loaded.model)
    loaded.model.learn_range([graph, graph_of(loaded.model, TILTED), water(0).to(dtype=torch.float64)])
    return loaded, graph


@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)
def test_every_engine_of_a_processor_has_the_same_grades(settings):
    loaded, graph = graded(**settings)
    model = loaded.model
    learned = model(graph).grades
    assert learned.max().item() < 1.0 + 1e-9
    for cell in (CUBE, TILTED):
        other = graph_of(model, cell)
        engine = build_engine(model, other)
        assert engine.name == "numba"
        expected = model(other).grades
        assert expected.shape == (81,)
        # a distance of zero is rounded to 1e-8
        torch.testing.assert_close(torch.as_tensor(by(engine, other).grades), expected, rtol=1e-8, atol=3e-7)
    batch = collate([graph, other])
    torch.testing.assert_close(model(batch).grades, torch.cat([learned, expected]), rtol=1e-8, atol=3e-7)
    assert [part.grades.shape for part in model(batch).split([81, 81])] == [(81,), (81,)]
    assert model.train()(graph).grades is None


@pytest.mark.parametrize("settings", [{}, {"layers": 2}], ids=["one", "two layers"])
def test_the_engine_of_an_accelerator_has_the_same_grades(settings, monkeypatch):
    monkeypatch.setattr(kernels, "BACKEND", "eager")
    torch._dynamo.reset()
    loaded, _ = graded(**settings)
    other = graph_of(loaded.model, TILTED)
    expected = loaded.model(other).grades
    torch.testing.assert_close(
        torch.as_tensor(by(CompileEngine(loaded.model), other).grades), expected, rtol=1e-8, atol=3e-7
    )


def test_a_model_that_knows_nothing_gives_no_grades():
    model = model_with_scales().model
    graph = graph_of(model)
    assert model(graph).grades is None
    assert by(build_engine(model, graph), graph).grades is None


def test_a_model_file_keeps_the_surroundings_and_new_data_remove_them(tmp_path):
    loaded, graph = graded()
    save_model(tmp_path / "model.safetensors", loaded.model, loaded.card)
    again = load_model(tmp_path / "model.safetensors", dtype=torch.float64).model
    torch.testing.assert_close(again(graph).grades, loaded.model(graph).grades, rtol=1e-4, atol=1e-2)
    again.adapt(water(1), torch.full((4, 2, 2), torch.inf), same_types=True)
    assert again(graph).grades is None


@pytest.mark.parametrize("compiled", [True, False], ids=["loops", "pytorch"])
@pytest.mark.parametrize("settings", [{}, {"layers": 2}], ids=["one layer", "two layers"])
def test_each_domain_has_the_grades_of_its_own_atoms(settings, compiled):
    loaded, _ = graded(electrostatics="none", **settings)
    loaded = replace(loaded, compiled=compiled)
    frame = replace(molecules(), periodic=(False, False, False), cell=np.diag([40.0] * 3))
    expected = loaded.model(build_graph(frame, 3.4, FIELD, dtype=torch.float64)).grades.numpy()
    found = np.full(81, np.nan)
    for order, domain in halves(frame):
        found[order[: domain.own_count]] = DomainForces(loaded, domain.types).evaluate(domain).grades
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=3e-7)
