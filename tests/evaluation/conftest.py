"""Small stand-ins: a model that is the classical force field itself, and a dataset in memory."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gnnformd.force_field import AtomType, ForceField, HarmonicAngle, HarmonicBond
from gnnformd.model.files.model_file import LoadedModel, ModelCard
from gnnformd.model.interface import ForceModel, Prediction
from gnnformd.model.settings import GamdSettings
from gnnformd.trajectory.frame import Frame
from gnnformd.units import COULOMB

WATER = ForceField(
    types=(AtomType("O", 15.9994, -0.82, 0.155, 3.165), AtomType("H", 1.008, 0.41)),
    bonds=(HarmonicBond((1, 2), 529.581, 1.012),),
    angles=(HarmonicAngle((2, 1, 2), 37.95, 113.24),),
    special_lj=(0.0, 0.0, 0.5),
    special_coul=(0.0, 0.0, 1.0),
)
ARGON = ForceField(types=(AtomType("Ar", 39.948, 0.0, 0.2378, 3.405),))


class ClassicalModel(ForceModel):
    """Lennard-Jones, plain Coulomb and harmonic bonds over the edges of the graph, as an energy to differentiate."""

    conservative = True
    layers = 1

    def __init__(self, cutoff: float = 12.0, field: ForceField = WATER, offset: float = 0.0) -> None:
        super().__init__()
        self.cutoff, self.offset = cutoff, offset
        self.bond = field.bonds[0] if field.bonds else HarmonicBond((1, 1), 0.0, 1.0)
        self.scale = torch.nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, graph):
        positions = graph.positions.detach().clone().requires_grad_(True)
        graph = type(graph)(**{**vars(graph), "positions": positions})
        half = graph.edge_count // 2
        i, j, kind = graph.center_index[:half], graph.neighbor_index[:half], graph.bond_kind[:half]
        r = graph.edge_vectors()[:half].norm(dim=1)
        power = (torch.sqrt(graph.sigmas[i] * graph.sigmas[j]) / r) ** 6
        pair = 4 * torch.sqrt(graph.epsilons[i] * graph.epsilons[j]) * (power**2 - power)
        pair = pair + COULOMB * graph.charges[i] * graph.charges[j] / r
        bond = self.bond.stiffness * (r - self.bond.length) ** 2
        energy = torch.where(kind == 1, bond, torch.where(kind == 0, pair, torch.zeros_like(pair)))
        energies = torch.zeros(graph.graph_count, dtype=r.dtype).index_add(0, graph.graph_index[i], energy)
        (gradient,) = torch.autograd.grad(self.scale * energies.sum(), positions)
        atoms = torch.bincount(graph.graph_index, minlength=graph.graph_count)
        return Prediction(forces=-gradient, energies=self.scale * energies + self.offset * atoms)


class SidewaysModel(ForceModel):
    """Not conservative: the true pair force turned by 90 degrees, and one training-only quantity, dropout."""

    conservative = False
    layers = 1

    def __init__(self, cutoff: float = 12.0) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.weight = torch.nn.Parameter(torch.zeros((), dtype=torch.float32))
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, graph):
        forces = torch.zeros_like(graph.positions)
        forces[:, 1] = self.dropout(torch.full_like(forces[:, 1], 2.0)) + self.weight
        return Prediction(forces=forces)


@dataclass
class MemoryDataset:
    """Frames in a list, with what `PackedDataset` offers."""

    frames: list[Frame]
    force_field: ForceField | None = None
    path: Path = field(default_factory=lambda: Path("memory"))
    type_names: tuple[str, ...] | None = None
    topology: None = None
    states: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        return self.frames[index]


def load(model: ForceModel, field: ForceField | None = WATER, *, node_features: str = "physical"):
    """What `load_model` returns, for a model in memory."""
    names = ("O", "H") if field is None else field.names
    settings = GamdSettings(cutoff=model.cutoff, node_features=node_features)
    card = ModelCard(settings=settings, type_names=names, force_field=field)
    return LoadedModel(model=model, card=card, path=Path("model.safetensors"))


@pytest.fixture
def stand_ins():
    return SimpleNamespace(
        ClassicalModel=ClassicalModel,
        SidewaysModel=SidewaysModel,
        MemoryDataset=MemoryDataset,
        load=load,
        WATER=WATER,
        ARGON=ARGON,
    )
