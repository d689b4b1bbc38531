"""The compiled loops against the same model in PyTorch."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.model.conftest import FIELD
from tests.model.density.test_model import density, water
from tests.threads import torch_threads
from typer.testing import CliRunner

from gnnformd.cli import app
from gnnformd.errors import InputError
from gnnformd.graph.build import build_graph
from gnnformd.inference.domain import Domain, NeighborLists
from gnnformd.inference.domain_forces import DomainForces
from gnnformd.inference.system import Evaluator
from gnnformd.model.choose_engine import GraphPredictor
from gnnformd.model.density.numba_engine.one_layer import OneLayer
from gnnformd.model.files.model_file import LoadedModel, ModelCard, load_model
from gnnformd.trajectory.frame import Frame

CUBE, TILTED = np.diag([9.3, 9.3, 9.3]), np.array([[9.3, 0, 0], [1.5, 9.0, 0], [-2.0, 1.0, 9.6]])
MODELS = {
    "water": {},
    "three kinds of bond": {"bond_kinds": 3, "radial_functions": 19, "bonded_functions": 4},
    "no bonds of their own": {"bond_kinds": 0},
    "pairs": {"l_max": 0, "body_order": 2},
    "vectors": {"l_max": 1, "body_order": 3},
    "three bodies": {"body_order": 3},
    "embedding": {"node_features": "embedding", "electrostatics": "none"},
    "odd widths": {"features": 21, "width": 37},
    "degree three": {"l_max": 3, "features": 21},
    "degree four, three bodies": {"l_max": 4, "body_order": 3, "electrostatics": "none"},
    "two layers": {"layers": 2},
    "two layers of degree three": {"layers": 2, "l_max": 3, "width": 37},
    "three layers of degree four": {"layers": 3, "l_max": 4, "message_channels": 5},
    "three layers of pairs": {"layers": 3, "l_max": 0, "body_order": 2},
    "two layers of vectors": {"layers": 2, "l_max": 1, "body_order": 3, "message_channels": 5, "width": 37},
    "two layers, no bonds of their own": {"layers": 2, "bond_kinds": 0, "electrostatics": "none"},
    "learned charges": {"electrostatics": "learned"},
    "three layers, learned charges": {"layers": 3, "electrostatics": "learned", "width": 37},
}


def molecules(cell=CUBE):
    """27 waters on a shaken lattice that fills the box."""
    rng = np.random.default_rng(3)
    molecule = np.array([[0, 0, 0], [1.012, 0, 0], [-0.3996, 0.9298, 0]])
    turns = np.linalg.qr(rng.normal(size=(27, 3, 3)))[0]
    centers = (np.array(list(np.ndindex(3, 3, 3))) / 3 @ cell)[:, None]
    return Frame(
        timestep=0,
        cell=cell,
        origin=np.zeros(3),
        periodic=(True, True, True),
        ids=np.arange(1, 82),
        types=np.tile([1, 2, 2], 27),
        positions=(centers + molecule @ turns + rng.normal(0, 0.04, (27, 3, 3))).reshape(-1, 3),
        bonds=np.array([[3 * k, 3 * k + h] for k in range(27) for h in (1, 2)]),
    )


def both(loaded, frame, loops=True):
    """What the compiled loops, if there are some for it, and PyTorch say."""
    answers = []
    place = frame.positions, frame.cell, frame.periodic
    for compiled in (True, False):
        evaluator = Evaluator(replace(loaded, compiled=compiled), frame)
        answers.append(evaluator.evaluate(*place))
        if compiled:
            assert (evaluator.at(*place)[0].name == "numba") == loops
    return answers


def assert_equal(fast, plain, tolerance):
    scale = plain.forces.abs().max()
    assert (fast.forces - plain.forces).abs().max() <= tolerance * scale
    assert (fast.energies - plain.energies).abs().max() <= tolerance * plain.energies.abs().max().clamp(min=1.0)
    assert (fast.virials - plain.virials).abs().max() <= tolerance * plain.virials.abs().max()


def model_with_scales(**settings):
    model = density(**settings)
    model.initialize(water(0))
    if model.network.charges is not None:
        torch.nn.init.normal_(model.network.charges.weight, std=0.05)
    return LoadedModel(model.eval(), ModelCard(model.settings, ("O", "H"), FIELD), Path("made here"))


SOME = pytest.mark.parametrize(
    "settings",
    [{}, {"layers": 2}, {"electrostatics": "learned"}],
    ids=["one layer", "two layers", "learned charges"],
)


@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)
def test_every_kind_of_model(settings):
    assert_equal(*both(model_with_scales(**settings), molecules()), 1e-8)


@SOME
@pytest.mark.parametrize("cell", [TILTED, 0.7 * CUBE], ids=["tilted", "shorter than twice the cutoff"])
def test_any_box(cell, settings):
    assert_equal(*both(model_with_scales(**settings), molecules(cell)), 1e-8)


@SOME
def test_open_boundaries(settings):
    frame = replace(molecules(), periodic=(False, False, False), cell=np.diag([40.0] * 3))
    assert_equal(*both(model_with_scales(**settings), frame), 1e-8)


@SOME
def test_atoms_pushed_into_each_other(settings):
    frame = molecules()
    frame.positions[3] = frame.positions[0] + [0.9, 0.3, 0]
    frame.positions[4] = frame.positions[3] + [0.45, 0, 0]
    assert_equal(*both(model_with_scales(**settings), frame), 1e-8)


@SOME
@pytest.mark.parametrize("count", [1, 3, 7, 11])
def test_blocks_that_are_not_full(settings, count, monkeypatch):
    """Rows without an atom hold anything: here no numbers."""
    frame = molecules()
    atoms = slice(3 * count)
    frame = replace(
        frame,
        ids=frame.ids[atoms],
        types=frame.types[atoms],
        positions=frame.positions[atoms],
        bonds=frame.bonds[: 2 * count],
    )
    loaded, empty = model_with_scales(**settings), np.empty
    both(loaded, frame)  # loops are compiled with numpy's own

    def without_numbers(*arguments, **names):
        array = empty(*arguments, **names)
        if array.dtype.kind == "f":
            array.fill(np.nan)
        return array

    monkeypatch.setattr(np, "empty", without_numbers)
    assert_equal(*both(loaded, frame), 1e-8)


@SOME
def test_no_atoms_at_all(settings):
    none = np.empty(0, np.int64)
    frame = replace(molecules(), ids=none, types=none, positions=np.empty((0, 3)), bonds=np.empty((0, 2), np.int64))
    fast, plain = both(model_with_scales(**settings), frame, loops=False)
    assert len(fast.forces) == 0 and fast.energies.item() == plain.energies.item() == 0.0


def test_learned_charges_follow_the_surroundings():
    loaded, frame = model_with_scales(electrostatics="learned"), molecules()
    frozen = replace(loaded, model=deepcopy(loaded.model))
    torch.nn.init.zeros_(frozen.model.network.charges.weight)
    assert error(both(loaded, frame)[0], both(frozen, frame)[0]) > 0.01


def test_a_slab_of_charges_is_refused_by_compiled_models_too():
    frame = replace(molecules(), periodic=(True, True, False))
    for settings in ({}, {"electrostatics": "learned"}):
        loaded = model_with_scales(**settings)
        with pytest.raises(InputError, match="periodic in some directions only"):
            Evaluator(loaded, frame).evaluate(frame.positions, frame.cell, frame.periodic)


def test_single_precision():
    loaded = load_model("water", dtype=torch.float32)
    exact = both(load_model("water", dtype=torch.float64), molecules())[0]
    fast, plain = both(loaded, molecules())
    assert error(fast, exact) < 1e-5
    assert error(fast, exact) < 2 * error(plain, exact)


def test_single_precision_of_two_layers():
    exact = model_with_scales(layers=2)
    single = replace(exact, model=deepcopy(exact.model).float())
    fast, plain = both(single, molecules())
    assert error(fast, both(exact, molecules())[0]) < 5e-6
    assert error(plain, both(exact, molecules())[1]) < 5e-6


def error(answer, exact):
    return (answer.forces.double() - exact.forces).norm() / exact.forces.norm()


@SOME
def test_threads_change_nothing(settings):
    loaded, frame = model_with_scales(**settings), molecules()
    with torch_threads(1):
        one = both(loaded, frame)[0]
    with torch_threads(2):
        two = both(loaded, frame)[0]
    assert_equal(one, two, 1e-13)


@SOME
def test_atoms_that_wander_keep_the_right_neighbors(settings):
    loaded, frame = model_with_scales(**settings), molecules()
    rng = np.random.default_rng(0)
    fast, plain = (Evaluator(replace(loaded, compiled=c), frame) for c in (True, False))
    positions = frame.positions.copy()
    for _ in range(12):
        positions += rng.normal(0, 0.12, (27, 1, 3)).repeat(3, axis=1).reshape(-1, 3)
        assert_equal(*(e.evaluate(positions, frame.cell, frame.periodic) for e in (fast, plain)), 1e-8)


def test_after_forgetting_nothing_depends_on_earlier_boxes():
    loaded, frame = model_with_scales(), molecules()
    loaded.model.electrostatics.mesh_from = 1
    tight = 0.97 * frame.positions, 0.97 * frame.cell, frame.periodic
    used, fresh = Evaluator(loaded, frame), Evaluator(loaded, frame)
    used.evaluate(frame.positions, frame.cell, frame.periodic)
    expected = fresh.evaluate(*tight).forces
    assert (used.evaluate(*tight).forces - expected).abs().max() > 1e-5  # by the mesh of the larger box
    used.forget()
    assert torch.equal(used.evaluate(*tight).forces, expected)


@SOME
def test_a_live_evaluator_has_the_weights_of_now(settings):
    loaded, frame = model_with_scales(**settings), molecules()
    where = frame.positions, frame.cell, frame.periodic
    live = Evaluator(loaded, frame)
    predictor, graph = GraphPredictor(loaded.model), build_graph(frame, loaded.model.cutoff, FIELD)
    before, _ = live.evaluate(*where), predictor([graph])
    with torch.no_grad():
        for weight in loaded.model.parameters():
            weight.mul_(1.01)
    changed = live.evaluate(*where)
    assert not torch.equal(changed.forces, before.forces)
    assert torch.equal(changed.forces, Evaluator(loaded, frame).evaluate(*where).forces)
    assert torch.equal(predictor([graph]).forces, GraphPredictor(loaded.model)([graph]).forces)
    with torch.no_grad():
        for buffer in loaded.model.buffers():
            if buffer.is_floating_point():
                buffer.mul_(1.01)
    rescaled = live.evaluate(*where)
    assert not torch.equal(rescaled.forces, changed.forces)
    assert torch.equal(rescaled.forces, Evaluator(loaded, frame).evaluate(*where).forces)
    assert torch.equal(predictor([graph]).forces, GraphPredictor(loaded.model)([graph]).forces)
    loaded.model.float()
    single = live.evaluate(*where)
    assert single.forces.dtype == torch.float32
    assert torch.equal(single.forces, Evaluator(loaded, frame).evaluate(*where).forces)


def test_a_live_domain_has_the_weights_of_now():
    model = density(node_features="embedding", electrostatics="none")
    model.initialize(water(0))
    loaded = LoadedModel(model.eval(), ModelCard(model.settings, ("O", "H"), None), Path("made here"))
    none = np.empty(0, np.int64)
    lists = NeighborLists(np.array([0, 1]), np.array([1], np.int32), none.reshape(0, 2), none)
    domain = Domain(1, np.array([1, 2]), np.array([1, 2]), None, np.array([[0.0, 0, 0], [0, 0, 3.0]]), lists)
    live = DomainForces(loaded, np.array([1]))
    before = live.evaluate(domain).forces.copy()
    loaded.model.float()
    with torch.no_grad():
        for weight in loaded.model.parameters():
            weight.mul_(1.01)
    after = live.evaluate(domain).forces
    assert np.abs(after - before).max() > 1e-4 * np.abs(before).max()
    assert np.array_equal(after, DomainForces(loaded, np.array([1])).evaluate(domain).forces)


def test_what_has_no_compiled_loops_is_left_to_pytorch(monkeypatch):
    monkeypatch.setattr("gnnformd.model.density.engines.MAX_SPECIES", 1)  # kinds of atoms
    fast, plain = both(model_with_scales(), molecules(), loops=False)
    assert torch.equal(fast.forces, plain.forces)


@pytest.mark.parametrize("layers", [1, 2])
def test_charges_of_each_atom_take_no_loops_from_a_model_that_does_not_use_them(layers):
    loaded = model_with_scales(node_features="embedding", electrostatics="none", layers=layers)
    generator = np.random.default_rng(0)
    frames = [replace(molecules(), charges=generator.normal(0, 0.3, 81)) for _ in range(2)]  # as those of ReaxFF
    fast, plain = both(loaded, frames[0])
    assert_equal(fast, plain, 1e-8)
    graphs = [build_graph(frame, loaded.model.cutoff, FIELD) for frame in frames]
    predictor = GraphPredictor(loaded.model)
    first = predictor([graphs[0]])
    engine = predictor._engine
    assert torch.equal(predictor([graphs[1]]).forces, first.forces)
    assert predictor._engine is engine


@pytest.mark.parametrize("engine", ["lammps", "ase"])
def test_the_command_can_ask_for_pytorch(engine, argon, tmp_path, monkeypatch):
    def no(*arguments):
        raise AssertionError("compiled loops were used")

    monkeypatch.setattr(OneLayer, "evaluate", no)
    words = ["simulate", "argon", str(argon), "--steps", "2", "--engine", engine, "--out", str(tmp_path / "md")]
    assert CliRunner().invoke(app, words).exit_code != 0
    assert CliRunner().invoke(app, [*words, "--torch"]).exit_code == 0


def test_a_domain_may_meet_types_that_its_own_atoms_are_not_of():
    model = density(node_features="embedding", electrostatics="none")
    model.initialize(water(0))
    loaded = LoadedModel(model.eval(), ModelCard(model.settings, ("O", "H"), None), Path("made here"))
    none = np.empty(0, np.int64)
    lists = NeighborLists(np.array([0, 1]), np.array([1], np.int32), none.reshape(0, 2), none)
    places = np.array([[0.0, 0, 0], [0, 0, 3.0]])
    domain = Domain(1, np.array([1, 2]), np.array([1, 2]), None, places, lists)
    share = DomainForces(loaded, np.array([1])).evaluate(domain)
    assert np.abs(share.forces).max() > 0
    assert np.abs(share.forces.sum(axis=0)).max() < 1e-12


def test_a_rank_that_was_empty_at_first_tells_of_unseen_pairs_and_refuses_none():
    model = density(node_features="embedding", electrostatics="none")
    model.initialize(water(0))
    pairs = ({"closest_pairs": [[0, "O", "O", 2.0], [0, "H", "H", 2.0]]},)
    loaded = LoadedModel(model.eval(), ModelCard(model.settings, ("O", "H"), None, pairs), Path("made here"))
    none, away = np.empty(0, np.int64), np.empty((0, 3))
    empty = NeighborLists(np.array([0]), np.empty(0, np.int32), none.reshape(0, 2), none)
    lists = NeighborLists(np.array([0, 1]), np.array([1], np.int32), none.reshape(0, 2), none)
    places = np.array([[0.0, 0, 0], [0, 0, 2.5]])
    domain = Domain(1, np.array([7, 9]), np.array([1, 2]), None, places, lists)
    with pytest.raises(
        InputError, match=r"atoms 7 and 9 \(O and H, not bonded\) are 2.5 angstrom apart, but no such pair"
    ):
        DomainForces(loaded, np.array([1])).evaluate(domain)
    forces = DomainForces(loaded, none)
    nothing = Domain(0, none, none, None, away, empty)
    forces.evaluate(nothing)
    forces.evaluate(domain)
    assert forces.unseen == "atoms 7 and 9 (O and H, not bonded) are 2.5 angstrom apart"
    forces.evaluate(nothing)
    assert forces.unseen is None


def test_bonded_pairs_of_a_domain_are_those_of_its_pairs_that_have_a_kind():
    generator, own, ghosts = np.random.default_rng(4), 12, 9
    pairs = [(i, j) for i in range(own) for j in range(i + 1, own + ghosts) if generator.random() < 0.5]
    kinds = {pair: int(generator.integers(0, 4)) for pair in pairs}
    rows = [[] for _ in range(own)]
    for (i, j), kind in kinds.items():
        rows[i].append(j | kind << 30)
        if j < own:
            rows[j].append(i | kind << 30)  # own atoms list each other
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    neighbor = np.array([entry for row in rows for entry in row], dtype=np.uint32).view(np.int32)
    outer = np.array([(i, j) for i in range(own, own + ghosts) for j in range(i + 1, own + ghosts)])
    lists = NeighborLists(start, neighbor, outer, generator.integers(0, 4, len(outer)))
    every = {tuple(edge) for edge in np.array(lists.half_edges()).T.tolist()}
    bonded = {tuple(edge) for edge in np.array(lists.bonded_half_edges()).T.tolist()}
    assert {edge for edge in every if edge[2] > 0} == bonded
    assert {edge[:2] for edge in bonded if edge[0] < own} == {pair for pair, kind in kinds.items() if kind > 0}
    assert len(lists.bonded_half_edges()[0]) == len(bonded) > 50


def test_operations_of_two_layers_are_counted():
    loaded = model_with_scales(layers=2, bond_kinds=0, node_features="embedding", electrostatics="none")
    frame = replace(molecules(), types=np.ones(81, np.int64), bonds=np.empty((0, 2), np.int64))
    evaluator = Evaluator(loaded, frame)
    engine, *_ = evaluator.at(frame.positions, frame.cell, frame.periodic)
    k, f, w, c = 12, 6, 8, 8  # functions, features, width, messages; 9 harmonics, 17 components of mixtures, 3 degrees
    first = 4 * (17 * k * f + 3 * f * w + 2 * w * w + w * c)
    second = 4 * (17 * c * k * f + 3 * f * w + 2 * w * w)
    edges = 10 * (16 * k + 54 * k) + 10 * (16 * k + 54 * k * c)
    assert engine.operations_per_atom(10.0) == first + second + edges


@pytest.mark.parametrize("settings", [{}, {"layers": 2}], ids=["one layer", "two layers"])
def test_forces_in_single_precision_do_not_depend_on_how_far_a_domain_is_from_the_origin(settings):
    model = density(electrostatics="none", **settings)
    model.initialize(water(0))
    loaded = LoadedModel(model.float().eval(), ModelCard(model.settings, ("O", "H"), FIELD), Path("made here"), False)
    frame = replace(molecules(), periodic=(False, False, False), cell=np.diag([40.0] * 3))
    graph = build_graph(frame, model.cutoff, FIELD, dtype=torch.float64)
    order = torch.argsort(graph.center_index, stable=True)
    start = np.concatenate([[0], np.cumsum(torch.bincount(graph.center_index, minlength=81).numpy())])
    neighbor = (graph.neighbor_index | (graph.bond_kind << 30))[order].numpy().astype(np.uint32).view(np.int32)
    none = np.empty(0, np.int64)
    lists = NeighborLists(start, neighbor, none.reshape(0, 2), none)
    near, far = (
        DomainForces(loaded, frame.types).evaluate(
            Domain(81, frame.ids, frame.types, None, frame.positions + shift, lists)
        )
        for shift in (0.0, 4096.0)  # the positions have a dozen digits behind the point in float64 alone
    )
    assert np.abs(far.forces - near.forces).max() < 1e-5 * np.abs(near.forces).max()
