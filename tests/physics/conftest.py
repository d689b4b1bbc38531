"""Models and systems of the physics tests.

A new model is one line of `MODELS`. Every model is checked for translation, periodic images, permutation, batches and
replicated boxes; the flags of its line say what else it promises.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tests.model.density.test_model import no_part_at_zero
from tests.threads import torch_threads

from gnnformd.force_field import AtomType, ForceField
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.build import build_graph
from gnnformd.model.files.model_file import load_model
from gnnformd.model.interface import ForceModel, Prediction
from gnnformd.model.registry import build_model
from gnnformd.model.settings import DensitySettings, GamdSettings
from gnnformd.trajectory.frame import Frame


class PairPotential(ForceModel):
    """``sum_ij c_ij (1 - (r/cutoff)^2)^3 / r`` with ``c_ij`` from types, charges and kind of bond.

    It has every property asked for here by construction, so the tests themselves are tested on it.
    """

    def __init__(self, cutoff: float) -> None:
        super().__init__()
        self.cutoff, self.layers, self.conservative = cutoff, 1, True

    def forward(self, graph: AtomicGraph, fixed: Prediction | None = None) -> Prediction:
        positions = graph.positions.detach().requires_grad_()
        vectors = replace(graph, positions=positions).edge_vectors()
        vectors = vectors[: graph.edge_count // 2]
        i, j = (k[: graph.edge_count // 2] for k in (graph.center_index, graph.neighbor_index))
        kind = graph.bond_kind[: graph.edge_count // 2]
        per_atom = 0.5 * graph.type_index + graph.epsilons + 0.1 * graph.sigmas
        strength = per_atom[i] * per_atom[j] + graph.charges[i] * graph.charges[j] + kind + 0.3
        r = vectors.norm(dim=1)
        pair = strength * (1 - (r / self.cutoff) ** 2) ** 3 / r
        energies = pair.new_zeros(graph.graph_count).index_add(0, graph.graph_index[i], pair)
        gradient, pull = torch.autograd.grad(energies.sum(), (positions, vectors))
        virial = -vectors[:, :, None] * pull[:, None, :]
        virials = virial.new_zeros(graph.graph_count, 3, 3).index_add(0, graph.graph_index[i], virial)
        return Prediction(-gradient, energies.detach(), virials.detach())


@dataclass(frozen=True)
class ModelCase:
    """A model and what it promises beyond what all models do.

    Attributes
    ----------
    build
        Makes the network.
    conservative
        Forces are the negative gradient of an energy.
    equivariant
        Forces turn and mirror with the system.
    smooth
        Forces do not jump when a pair crosses the cutoff.
    local
        Forces do not depend on atoms beyond the reach that `ForceModel.layers` states.
    repulsive
        Atoms that are closer than in any data are driven apart.
    """

    name: str
    build: Callable[[], ForceModel]
    conservative: bool = False
    equivariant: bool = False
    smooth: bool = False
    local: bool = False
    repulsive: bool = False


def gamd(**settings) -> Callable[[], ForceModel]:
    return lambda: build_model(GamdSettings(**settings), 2)


def density(**settings) -> Callable[[], ForceModel]:
    return lambda: no_part_at_zero(build_model(DensitySettings(features=8, width=16, **settings), 2))


SYMMETRIC = {"conservative": True, "equivariant": True, "smooth": True, "repulsive": True}

MODELS = [
    ModelCase(
        "pair potential", lambda: PairPotential(3.4), conservative=True, equivariant=True, smooth=True, local=True
    ),
    ModelCase("gamd", gamd()),
    ModelCase("gamd, stored statistics", gamd(statistics="stored"), local=True),
    ModelCase("gamd, embedding", gamd(node_features="embedding")),
    ModelCase("gamd, locally equivariant", gamd(locally_equivariant=True)),
    ModelCase("density", density(cutoff=3.4), **SYMMETRIC),
    ModelCase("density, local", density(cutoff=3.4, electrostatics="none", bond_kinds=2), **SYMMETRIC, local=True),
    ModelCase("density, degree four", density(cutoff=3.4, electrostatics="none", l_max=4), **SYMMETRIC),
    ModelCase("density, two layers", density(cutoff=2.6, layers=2, electrostatics="learned"), **SYMMETRIC),
    ModelCase(
        "density, embedding",
        density(cutoff=3.4, electrostatics="none", bond_kinds=0, node_features="embedding", body_order=3),
        **SYMMETRIC,
        local=True,
    ),
    ModelCase("density, trained on water", lambda: load_model("water").model, **SYMMETRIC),
]


WATER = ForceField(types=(AtomType("O", 15.9994, -0.82, 0.155, 3.165), AtomType("H", 1.008, 0.41)))
ARGON = ForceField(types=(AtomType("Ar", 39.948, 0.0, 0.2378, 3.405),))


@dataclass(frozen=True)
class System:
    """A frame and the force field that describes its types."""

    frame: Frame
    force_field: ForceField

    def changed(self, **fields) -> "System":
        """The same system with other fields of the frame."""
        return replace(self, frame=replace(self.frame, **fields))

    def graph(self, cutoff: float) -> AtomicGraph:
        return build_graph(self.frame, cutoff, self.force_field)


def frame_of(positions, cell, types, bonds=None):
    return Frame(
        timestep=0,
        cell=np.asarray(cell, dtype=float),
        origin=np.zeros(3),
        periodic=(True, True, True),
        ids=np.arange(1, len(positions) + 1),
        types=types,
        positions=positions,
        bonds=bonds,
    )


def water_box(cell, seed):
    """3 x 3 x 3 molecules of the SPC/Fw geometry on a jittered lattice along the lattice vectors."""
    rng = np.random.default_rng(seed)
    molecule = np.array([[0, 0, 0], [1.012, 0, 0], [-0.3996, 0.9298, 0]])
    turns = np.linalg.qr(rng.normal(size=(27, 3, 3)))[0]
    centers = np.stack(np.meshgrid(*[np.arange(3) / 3] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3) @ cell
    positions = (centers + molecule @ turns + rng.normal(0, 0.05, (27, 3, 3))).reshape(-1, 3)
    bonds = np.array([[3 * k, 3 * k + h] for k in range(27) for h in (1, 2)])
    return System(frame_of(positions, cell, np.tile([1, 2, 2], 27), bonds), WATER)


def argon_cluster():
    """A cubic piece of an argon crystal, shaken, in a box with empty space around it."""
    rng = np.random.default_rng(3)
    lattice = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = 2.9 * lattice + rng.normal(0, 0.2, (27, 3)) + 4.0
    return System(frame_of(positions, np.diag([16.0, 17.0, 18.0]), np.ones(27, np.int64)), ARGON)


SYSTEMS = {
    "water": water_box(np.diag([9.3, 9.3, 9.3]), 1),
    "triclinic water": water_box(np.array([[9.3, 0, 0], [2.5, 9.0, 0], [-2.0, 1.5, 9.4]]), 2),
    "argon cluster": argon_cluster(),
}


@pytest.fixture(params=SYSTEMS)
def system(request):
    return SYSTEMS[request.param]


@pytest.fixture
def systems():
    return SYSTEMS


PROMISES = {
    "model": lambda case: True,
    "conservative_model": lambda case: case.conservative,
    "equivariant_model": lambda case: case.equivariant,
    "smooth_model": lambda case: case.smooth,
    "local_model": lambda case: case.local,
    "repulsive_model": lambda case: case.repulsive,
}


def pytest_generate_tests(metafunc):
    """A test that asks for, say, `smooth_model` runs over the models that promise to be smooth."""
    for name in PROMISES.keys() & set(metafunc.fixturenames):
        cases = [case for case in MODELS if PROMISES[name](case)]
        metafunc.parametrize(name, cases, ids=[case.name for case in cases], indirect=True)


def _built(request):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = request.param.build().double().eval()
    assert network.conservative == request.param.conservative
    return network


model, conservative_model, equivariant_model, smooth_model, local_model, repulsive_model = (
    pytest.fixture(name=name)(_built) for name in PROMISES
)


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order."""
    with torch_threads(1):
        yield
