"""What tests run on many ranks: ``mpiexec -n N python rank_cases.py FOLDER CASE...`` writes ``FOLDER/CASE.N.npz``.

Each case builds its system from fixed seeds, so that every number of ranks, and Python alone, has the same one.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from gnnformd.force_field import AtomType, ForceField, HarmonicBond
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.build import build_graph
from gnnformd.model.density.numba_engine.learned_charges import LearnedCharges
from gnnformd.model.files.model_file import LoadedModel, ModelCard
from gnnformd.model.interface import ForceModel, Prediction
from gnnformd.model.registry import build_model
from gnnformd.model.settings import DensitySettings
from gnnformd.reference.library import open_lammps
from gnnformd.simulation.guard import Guard
from gnnformd.simulation.lammps.coupling import Coupling
from gnnformd.simulation.lammps.ranks import Ranks
from gnnformd.trajectory.frame import Frame

EPSILON, SIGMA, MASS = 0.2378, 3.405, 39.948
ARGON = ForceField((AtomType("Ar", MASS, 0.0, EPSILON, SIGMA),))
WATER = ForceField(
    (AtomType("O", 15.9994, -0.82, 0.155, 3.165), AtomType("H", 1.008, 0.41, 0.0, 0.0)),
    bonds=(HarmonicBond((1, 2), 529.581, 1.012),),
)
STEPS = 20


class LennardJones(ForceModel):
    """LAMMPS's ``lj/cut`` as a model that can be cut into domains; ``spoil`` may do something at each evaluation."""

    cutoff, layers, conservative, indivisible = 8.0, 1, True, None

    def __init__(self, spoil=lambda calls, forces: forces) -> None:
        super().__init__()
        self.calls, self.spoil = 0, spoil

    def forward(self, graph: AtomicGraph) -> Prediction:
        x = graph.positions.detach().requires_grad_()
        half = graph.edge_count // 2
        i, j = graph.center_index[:half], graph.neighbor_index[:half]
        vectors = (x[j] - x[i] + graph.cell_shift[:half] @ graph.cells[0]).detach().requires_grad_()
        sixth = (SIGMA**2 / vectors.square().sum(1)) ** 3
        ends = 2.0 if graph.owned is None else graph.owned[i].double() + graph.owned[j].double()
        energy = (0.5 * ends * 4 * EPSILON * (sixth * sixth - sixth)).sum()
        (pull,) = torch.autograd.grad(energy, vectors)
        forces = torch.zeros_like(graph.positions).index_add(0, i, pull).index_add(0, j, -pull)
        self.calls += 1
        virial = -(vectors.detach().T @ pull)
        return Prediction(self.spoil(self.calls, forces), energy.detach().reshape(1), virial[None])


def water_frame(edge: int, cell: np.ndarray) -> Frame:
    """``edge``^3 molecules of random orientation on a lattice in a cell."""
    rng = np.random.default_rng(7)
    count = edge**3
    places = (np.indices((edge,) * 3).reshape(3, -1).T + 0.25) / edge @ cell
    turns = np.linalg.qr(rng.normal(size=(count, 3, 3)))[0]
    shape = np.array([[0.0, 0, 0], [1.0, 0, 0], [-0.33, 0.94, 0]])
    positions = (places[:, None] + shape @ turns + rng.normal(scale=0.04, size=(count, 3, 3))).reshape(-1, 3)
    bonds = (np.arange(count)[:, None, None] * 3 + np.array([[0, 1], [0, 2]])).reshape(-1, 2)
    return Frame(
        timestep=0,
        cell=cell,
        origin=np.zeros(3),
        periodic=(True, True, True),
        ids=np.arange(1, 3 * count + 1),
        types=np.tile([1, 2, 2], count),
        positions=positions,
        bonds=bonds,
        charges=np.tile([-0.82, 0.41, 0.41], count),
    )


def argon_frame(cell: np.ndarray, counts: tuple[int, int, int]) -> Frame:
    """Atoms 3.9 angstrom apart in the lower corner of a box."""
    rng = np.random.default_rng(8)
    positions = 3.9 * np.indices(counts).reshape(3, -1).T + rng.uniform(0.2, 0.8, (int(np.prod(counts)), 3))
    types = np.ones(len(positions), dtype=np.int64)
    return Frame(0, cell, np.zeros(3), (True, True, True), np.arange(1, len(types) + 1), types, positions)


def density_model(
    frame: Frame, field: ForceField, electrostatics: str, layers: int, nodes: str = "physical"
) -> LoadedModel:
    """A small network with random weights and scales from the frame, in float64."""
    torch.manual_seed(5)
    settings = DensitySettings(
        electrostatics=electrostatics,
        layers=layers,
        cutoff=4.0,
        features=6,
        width=8,
        radial_functions=5,
        bonded_functions=4,
        message_channels=3,
        node_features=nodes,
    )
    model = build_model(settings, len(field.types)).double()
    graph = build_graph(frame, model.cutoff, field)
    model.initialize(replace(graph, forces=10 * torch.randn(graph.positions.shape, dtype=torch.float64)))
    if electrostatics == "fixed":
        model.electrostatics.reach *= 2  # wave vectors that the model leaves out are in LAMMPS's mesh
    if electrostatics == "learned":
        with torch.no_grad():
            model.network.charges.weight.mul_(600 if layers == 1 else 30)  # a tenth of an e beside those of the data
    return LoadedModel(model.eval(), ModelCard(settings, tuple(field.names), field), Path("small.safetensors"))


@dataclass
class Case:
    frame: Frame
    loaded: LoadedModel
    commands: tuple[str, ...] = ()
    steps: int = 0


def case(name: str) -> Case:
    cube = np.diag([18.6] * 3)
    small = np.diag([9.3, 9.4, 9.5])
    tilted = np.array([[9.3, 0, 0], [3.0, 9.4, 0], [-2.0, 2.5, 9.5]])
    if name.startswith("water"):
        frame = water_frame(6, cube) if "216" in name else water_frame(3, tilted if "tilted" in name else small)
        electrostatics = "learned" if "learned" in name else "fixed" if "charges" in name else "none"
        nodes = "embedding" if "embedded" in name else "physical"
        layers = 3 if "three layers" in name else 2 if "two layers" in name else 1
        loaded = density_model(frame, WATER, electrostatics, layers, nodes)
        if "on a mesh" in name:
            loaded.model.electrostatics.mesh_from = 50
        if "empty domains" in name:
            frame = replace(frame, cell=np.diag([44.0, 12.0, 12.0]))
        if "moving" in name:
            drift = "velocity all set 0.45 0.3 0.25"  # through the domains, before the forces bring atoms together
            return Case(frame, loaded, (drift, "timestep 0.2", "fix move all nve"), 12)
        return Case(frame, loaded)
    card = ModelCard(DensitySettings(), ("Ar",), ARGON)
    if name == "argon, empty domains":
        frame = argon_frame(np.diag([60.0, 12.0, 12.0]), (4, 3, 3))
        return Case(frame, LoadedModel(LennardJones(), card, Path("lj")))
    frame = argon_frame(np.diag([19.5] * 3), (5, 5, 5))
    move = ("velocity all create 900 5 loop all", "timestep 8", "fix move all nve")
    return Case(frame, LoadedModel(LennardJones(), card, Path("lj")), move, STEPS)


CASES = (
    "water 216",
    "water 27 with charges",
    "water 27 with charges, tilted",
    "water 27 with charges, two layers",
    "water 27, two layers",
    "water 27, embedded, two layers",
    "water 27, embedded, three layers, tilted",
    "water 27, embedded, two layers, empty domains",
    "water 27, embedded, two layers, moving",
    "water 27, learned charges",
    "water 27, learned charges, two layers, tilted",
    "water 27, learned charges on a mesh",
    "water 27, learned charges, empty domains",
    "water 27, learned charges, two layers, moving",
    "argon, empty domains",
    "argon, moving",
)


def read(lmp, frame: Frame, masses: list[float]) -> None:
    """Give LAMMPS the frame."""
    (a, _, _), (xy, b, _), (xz, yz, c) = frame.cell.tolist()
    molecules = frame.bonds is not None
    commands = [
        "units real",
        f"atom_style {'full' if molecules else 'atomic'}",
        "atom_modify map array",
        f"region box prism 0 {a!r} 0 {b!r} 0 {c!r} {xy!r} {xz!r} {yz!r}",
        f"create_box {len(masses)} box"
        + (" bond/types 1 extra/bond/per/atom 2 extra/special/per/atom 4" if molecules else ""),
        "pair_style zero 4.0 nocoeff",
        "pair_coeff * *",
        *(f"mass {t + 1} {mass}" for t, mass in enumerate(masses)),
    ]
    for command in commands:
        lmp.command(command)
    lmp.create_atoms(len(frame.types), frame.ids.tolist(), frame.types.tolist(), frame.positions.ravel().tolist())
    if molecules:
        lmp.command("bond_style zero")
        lmp.command("bond_coeff *")
        for kind, charge in enumerate((-0.82, 0.41), start=1):
            lmp.command(f"set type {kind} charge {charge}")
        for number, (first, second) in enumerate((frame.bonds + 1).tolist(), start=1):
            special = "yes" if number == len(frame.bonds) else "no"
            lmp.command(f"create_bonds single/bond 1 {first} {second} special {special}")


def gathered(lmp, ranks: Ranks, name: str, count: int) -> np.ndarray:
    """A property of all atoms by id, from all ranks."""
    own = lmp.extract_setting("nlocal")
    values = np.zeros((count, 3))
    if own:
        ids = lmp.numpy.extract_atom("id", nelem=own)
        values[ids - 1] = lmp.numpy.extract_atom(name, nelem=own, dim=3)
    return ranks.sum(values)


def run(this: Case, ranks: Ranks) -> dict[str, np.ndarray]:
    """Forces, positions, energy and pressure in LAMMPS at the end of the case."""
    lmp = open_lammps()
    try:
        field = this.loaded.card.force_field
        read(lmp, this.frame, [t.mass for t in field.types])
        for command in this.commands:
            lmp.command(command)
        coupling = Coupling(lmp, this.loaded, kspace_accuracy=1e-9)
        own = lmp.extract_setting("nlocal")
        coupling.run(this.steps)
        count = len(this.frame.types)
        return {
            "forces": gathered(lmp, ranks, "f", count),
            "positions": gathered(lmp, ranks, "x", count),
            "energy": np.array(lmp.get_thermo("pe")),
            "pressure": np.array([lmp.get_thermo(p) for p in ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")]),
            "own": ranks.sum(np.eye(ranks.size)[ranks.rank] * own),
            "own_at_end": ranks.sum(np.eye(ranks.size)[ranks.rank] * lmp.extract_setting("nlocal")),
            "builds": np.array(lmp.get_thermo("nbuild")),
        }
    finally:
        lmp.close()


def spoiled(name: str, rank: int) -> Case:
    """Argon where something goes wrong on the second rank only, or between two atoms."""
    this = case("argon, moving")

    def spoil(calls: int, forces: Tensor) -> Tensor:
        if rank != 1 or calls < 4:
            return forces
        if name == "an exception":
            raise ZeroDivisionError("no good")
        if name == "a large force":
            forces[0] = torch.tensor([0.0, 80.0, 0.0])
        else:
            forces[0] = torch.nan if name == "no number" else forces[0] * 1e9
        return forces

    if name == "an unknown type":
        this.frame.types[-1] = 2
    model = this.loaded.model
    model.spoil = spoil
    if name == "too close":
        loaded = density_model(this.frame, ARGON, "none", 1)
        this.frame.positions[100] = this.frame.positions[101] + [0.5, 0, 0]
        return replace(this, loaded=loaded)
    if name == "a large force":
        card = replace(this.loaded.card, trained_on=({"largest_forces": {"Ar": 50.0}},))
        return replace(this, loaded=replace(this.loaded, card=card))
    return this


LEARNED = {  # where the second rank fails, with sums over all ranks before, between and after
    "learned charges, before them": "_forwards",
    "learned charges, in their potentials": "_close",
    "learned charges, after them": "_backwards",
    "learned charges, after a step": None,
}
FAILURES = ("an exception", "no number", "a lost atom", "an unknown type", "too close", "a large force", *LEARNED)


def failing(name: str, ranks: Ranks) -> str:
    """What this rank is told of a failure."""
    if name in LEARNED:
        return failing_with_learned_charges(LEARNED[name], ranks)
    this = spoiled(name, ranks.rank)
    return told(this, [MASS] * int(this.frame.types.max()), guard=Guard(stop_outside=True))


def failing_with_learned_charges(method: str | None, ranks: Ranks) -> str:
    """Fail on the second rank at step 3, in a method of the loops or after the step."""
    this = case("water 27, learned charges, two layers, moving")
    masses, calls = [t.mass for t in WATER.types], 0

    def spoil(*_: object) -> None:
        nonlocal calls
        calls += 1
        if ranks.rank == 1 and calls == 4:
            raise ZeroDivisionError("no good")

    if method is None:
        return told(this, masses, on_step=spoil)
    original = getattr(LearnedCharges, method)

    def spoiled_method(*arguments: object) -> object:
        spoil()
        return original(*arguments)

    with mock.patch.object(LearnedCharges, method, spoiled_method):
        return told(this, masses)


def told(this: Case, masses: list[float], **options: object) -> str:
    """What a run of the case raises."""
    lmp = open_lammps()
    try:
        read(lmp, this.frame, masses)
        for command in this.commands:
            lmp.command(command)
        Coupling(lmp, this.loaded, **options).run(STEPS)
        return "nothing"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        lmp.close()


def main() -> None:
    torch.set_num_threads(1)
    folder, names, ranks = Path(sys.argv[1]), sys.argv[2:], Ranks.world()
    for name in names:
        if name in FAILURES:
            (folder / f"{name}.{ranks.rank}.txt").write_text(failing(name, ranks))
            continue
        result = run(case(name), ranks)
        if ranks.first:
            np.savez(folder / f"{name}.{ranks.size}.npz", **result)


if __name__ == "__main__":
    main()
