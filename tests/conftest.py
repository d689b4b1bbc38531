from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase import Atoms
from torch import Tensor

from gnnformd.force_field import AtomType, ForceField, HarmonicBond
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.files.model_file import LoadedModel, ModelCard, save_model
from gnnformd.model.interface import ForceModel, Prediction
from gnnformd.model.registry import build_model
from gnnformd.model.settings import GamdSettings
from gnnformd.reference.library import open_lammps

EPSILON, SIGMA, MASS = 0.2378, 3.405, 39.948
ARGON = ForceField((AtomType("Ar", MASS, 0.0, EPSILON, SIGMA),))


class LennardJones(ForceModel):
    """4 eps ((s/r)^12 - (s/r)^6), zero at the cutoff if shifted; forces and virial by automatic differentiation."""

    layers = 1
    conservative = True

    def __init__(self, cutoff: float, shifted: bool = False) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.shifted = shifted

    def forward(self, graph: AtomicGraph) -> Prediction:
        x = graph.positions.detach().requires_grad_()
        strain = torch.zeros((3, 3), dtype=x.dtype, requires_grad=True)
        half = graph.edge_count // 2
        i, j = graph.center_index[:half], graph.neighbor_index[:half]
        flat = x[j] - x[i] + graph.cell_shift[:half] @ graph.cells[0]
        squared = (flat + flat @ strain).square().sum(dim=1)
        assert (squared < self.cutoff**2).all()
        sixth = (SIGMA**2 / squared) ** 3
        edge = (SIGMA / self.cutoff) ** 6 if self.shifted else 0.0
        energy = (4 * EPSILON * (sixth * sixth - sixth - edge * edge + edge)).sum()
        forces, virial = torch.autograd.grad(energy, (x, strain))
        return Prediction(-forces, energy.detach().reshape(1), -virial.reshape(1, 3, 3))


class Push(ForceModel):
    """Forces that are no gradient: the same on every atom."""

    cutoff = 3.4
    layers = 1
    conservative = False

    def __init__(self, force: float = 0.1) -> None:
        super().__init__()
        self.force = force

    def forward(self, graph: AtomicGraph) -> Prediction:
        return Prediction(torch.full_like(graph.positions, self.force))


class Spoiled(LennardJones):
    """Lennard-Jones until a number of evaluations is reached, then ``spoil`` has its way with the forces."""

    def __init__(self, cutoff: float, sound: int, spoil: Callable[[Tensor], Tensor]) -> None:
        super().__init__(cutoff)
        self.left = sound
        self.spoil = spoil

    def forward(self, graph: AtomicGraph) -> Prediction:
        prediction = super().forward(graph)
        self.left -= 1
        return prediction if self.left >= 0 else Prediction(self.spoil(prediction.forces), prediction.energies)


class Graded(LennardJones):
    """Lennard-Jones with extrapolation grades: the first atom has those of ``first``, one after another, others 1."""

    def __init__(self, cutoff: float, first: Iterable[float]) -> None:
        super().__init__(cutoff)
        self.first = iter(first)

    def forward(self, graph: AtomicGraph) -> Prediction:
        grades = torch.ones_like(graph.positions[:, 0])
        grades[0] = next(self.first)
        return replace(super().forward(graph), grades=grades)


def load(
    model: ForceModel, force_field: ForceField | None = ARGON, names: tuple[str, ...] = ("Ar",), **extent: object
) -> LoadedModel:
    """``extent``: what the card says of the largest forces and closest pairs in training."""
    card = ModelCard(GamdSettings(cutoff=model.cutoff), names, force_field, (extent,))
    return LoadedModel(model, card, Path("test.safetensors"))


@contextmanager
def lammps(*commands: str) -> Iterator:
    lmp = open_lammps()
    try:
        for command in commands:
            lmp.command(command)
        yield lmp
    finally:
        lmp.close()


def by_id(lmp, name: str, dim: int = 3) -> np.ndarray:
    """A property of all atoms by ascending id."""
    count = lmp.get_natoms()
    ids = lmp.numpy.extract_atom("id", nelem=count)
    return lmp.numpy.extract_atom(name, nelem=count, dim=dim)[np.argsort(ids)].copy()


@pytest.fixture(scope="session")
def helpers() -> SimpleNamespace:
    return SimpleNamespace(
        LennardJones=LennardJones,
        Push=Push,
        Spoiled=Spoiled,
        Graded=Graded,
        load=load,
        lammps=lammps,
        by_id=by_id,
        argon=ARGON,
    )


@pytest.fixture(scope="session")
def argon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """108 argon atoms of a liquid at about 90 K with velocities, in a cube of 17.2 angstrom."""
    path = tmp_path_factory.mktemp("argon") / "argon.data"
    with lammps(
        "units real",
        "atom_style atomic",
        "lattice fcc 5.74",
        "region box block 0 3 0 3 0 3",
        "create_box 1 box",
        "create_atoms 1 box",
        f"mass 1 {MASS}",
        "pair_style lj/cut 8.0",
        f"pair_coeff 1 1 {EPSILON} {SIGMA}",
        "velocity all create 180 11 mom yes",
        "timestep 4",
        "fix 1 all nve",
        "run 300",
        f"write_data {path}",
    ):
        return path


WATER = ForceField(
    (AtomType("O", 15.9994, -0.82, 0.155, 3.165), AtomType("H", 1.008, 0.41, 0.0, 0.0)),
    bonds=(HarmonicBond((1, 2), 529.581, 1.012),),
)


@pytest.fixture
def water_model(tmp_path) -> Path:
    """File of a small network of the original kind with random weights."""
    torch.manual_seed(3)
    settings = GamdSettings(width=16, cutoff=3.4)
    path = tmp_path / "water.safetensors"
    save_model(path, build_model(settings, 2), ModelCard(settings, ("O", "H"), WATER))
    return path


@pytest.fixture
def water() -> Atoms:
    """Four molecules, atoms of each in the order O, H, H."""
    positions = [[0.0, 0, 0], [1.01, 0, 0], [-0.35, 0.95, 0]]
    shifts = [[0.5, 0.5, 0.5], [3.4, 0.2, 0.4], [0.3, 3.3, 0.8], [3.1, 3.2, 0.6]]
    atoms = Atoms("OH2" * 4, np.concatenate([np.add(positions, s) for s in shifts]), cell=[6.3, 6.4, 6.5], pbc=True)
    atoms.set_array("mol-id", np.repeat([1, 2, 3, 4], 3))
    return atoms


@pytest.fixture
def water_data(water, tmp_path) -> Path:
    """The same as a data file with the coefficients of the classical force field, in no order."""
    atoms = [
        f"{k + 1} {k // 3 + 1} {1 if k % 3 == 0 else 2} {-0.82 if k % 3 == 0 else 0.41} {x!r} {y!r} {z!r}"
        for k, (x, y, z) in enumerate(water.positions.tolist())
    ]
    bonds = [f"{2 * m + k} 1 {3 * m + 1} {3 * m + 1 + k}" for m in range(4) for k in (1, 2)]
    angles = [f"{m + 1} 1 {3 * m + 2} {3 * m + 1} {3 * m + 3}" for m in range(4)]
    counts = "12 atoms\n2 atom types\n8 bonds\n1 bond types\n4 angles\n1 angle types\n"
    bounds = "".join(f"0 {length} {a}lo {a}hi\n" for a, length in zip("xyz", (6.3, 6.4, 6.5), strict=True))
    sections = {
        "Masses": ["1 15.9994", "2 1.008"],
        "Pair Coeffs # lj/cut/coul/long": ["1 0.155 3.165", "2 0 0"],
        "Bond Coeffs # harmonic": ["1 529.581 1.012"],
        "Angle Coeffs # harmonic": ["1 37.95 113.24"],
        "Atoms # full": atoms[::-1],
        "Bonds": bonds,
        "Angles": angles,
    }
    text = "".join(f"\n{name}\n\n" + "\n".join(lines) + "\n" for name, lines in sections.items())
    path = tmp_path / "water.data"
    path.write_text(f"water\n\n{counts}{bounds}{text}")
    return path
