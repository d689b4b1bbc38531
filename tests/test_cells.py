"""Cells of every shape through all doors: each gives the forces, energy and virial of a plain sum over images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator

from gnnformd.errors import InputError
from gnnformd.force_field import AtomType, ForceField
from gnnformd.graph.atomic_graph import HalfEdges
from gnnformd.graph.build import build_graph
from gnnformd.inference.batch import Predictor
from gnnformd.inference.system import Evaluator
from gnnformd.interfaces.ase import Calculator
from gnnformd.model.density.reference import reference_prediction
from gnnformd.model.files.model_file import LoadedModel, ModelCard
from gnnformd.model.registry import build_model
from gnnformd.model.settings import DensitySettings
from gnnformd.reference.library import open_lammps
from gnnformd.simulation.ase.dump_file import write_dump_frame
from gnnformd.simulation.lammps.coupling import Coupling
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.read import read_frames
from gnnformd.units import KCAL_PER_MOL_PER_EV as EV

pytestmark = pytest.mark.filterwarnings("ignore:.*the units are not said")

CUTOFF = 4.0
FIELD = ForceField((AtomType("O", 15.9994), AtomType("H", 1.008)))
ALL, SLAB, WIRE, NONE = (True,) * 3, (True, True, False), (False, True, False), (False,) * 3


def turned(cell) -> np.ndarray:
    """The same crystal in another orientation, as a general triclinic cell."""
    rotation = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    return np.asarray(cell, dtype=float) @ (rotation * np.sign(np.linalg.det(rotation)))


@dataclass(frozen=True)
class Cell:
    """A box; ``layer`` puts all atoms into the plane z = 0."""

    rows: np.ndarray
    periodic: tuple[bool, bool, bool] = ALL
    layer: bool = False


TILTED = [[9.0, 0, 0], [2.5, 8.0, 0], [-3.0, 1.5, 7.0]]
CELLS = {
    "cube": Cell(9.0 * np.eye(3)),
    "orthogonal": Cell(np.diag([6.0, 9.0, 12.5])),
    "tilted": Cell(np.array(TILTED)),
    "strongly tilted": Cell(np.array([[6.0, 0, 0], [17.0, 7.0, 0], [-23.0, 19.0, 8.0]])),
    "general": Cell(turned(TILTED)),
    "general, strongly tilted": Cell(turned([[6.0, 0, 0], [17.0, 7.0, 0], [-23.0, 19.0, 8.0]])),
    "cyclic permutation of axes": Cell(np.array([[0, 9.0, 0], [0, 0, 8.0], [7.0, 0, 0]])),
    "left-handed": Cell(np.array(TILTED)[[1, 0, 2]]),
    "left-handed, mirrored": Cell(np.diag([9.0, 8.0, -7.0])),
    "thinner than the cutoff": Cell(np.diag([3.1, 11.0, 12.0])),
    "thin in all directions": Cell(np.array([[3.1, 0, 0], [1.2, 3.3, 0], [-0.7, 1.1, 3.2]])),
    "thin, general": Cell(turned([[3.1, 0, 0], [1.2, 11.0, 0], [-0.7, 1.1, 12.0]])),
    "slab": Cell(np.diag([7.0, 8.0, 25.0]), SLAB),
    "tilted slab": Cell(np.array([[7.0, 0, 0], [2.5, 8.0, 0], [0, 0, 25.0]]), SLAB),
    "general slab": Cell(turned([[7.0, 0, 0], [2.5, 8.0, 0], [0, 0, 25.0]]), SLAB),
    "wire": Cell(np.diag([21.0, 5.0, 22.0]), WIRE),
    "one layer, periodic": Cell(np.diag([9.0, 8.0, 7.0]), layer=True),
    "one layer, not periodic": Cell(np.diag([9.0, 8.0, 1.0]), SLAB, layer=True),
    "box without periodic directions": Cell(np.diag([9.0, 8.0, 7.0]), NONE),
}
RIGHT_HANDED = [name for name in CELLS if "left" not in name]
IN_SPACE = {
    "slab without a third vector": Cell(np.diag([7.0, 8.0, 0.0]), SLAB),
    "wire with one vector": Cell(np.diag([0.0, 5.0, 0.0]), WIRE),
    "no vectors": Cell(np.zeros((3, 3)), NONE),
}


def frame_in(cell: Cell, seed: int = 2) -> Frame:
    """Up to eight atoms at least 1.1 angstrom from each other and from images, some of them outside of the box."""
    rng = np.random.default_rng(seed)
    filled = np.where(np.abs(cell.rows).sum(axis=1, keepdims=True) > 0, cell.rows, 5.0 * np.eye(3))
    images = np.array(list(np.ndindex(5, 5, 5))) - 2
    images = np.unique(images * np.array(cell.periodic), axis=0) @ filled
    chosen: list[np.ndarray] = []
    for _ in range(400):
        scaled = rng.uniform(size=3)
        trial = scaled @ filled
        if cell.layer:
            trial[2] = 0.0
        others = np.array([*chosen, trial])
        distances = np.linalg.norm(others[:, None] + images - trial, axis=-1).ravel()
        if np.sort(distances)[1:2].min(initial=9.0) > 1.1 and len(chosen) < 8:
            chosen.append(trial)
    shifts = rng.integers(-1, 2, (len(chosen), 3)) * np.array(cell.periodic)
    positions = np.array(chosen) + shifts @ filled
    if cell.layer:
        positions[:, 2] = 0.0
    types = np.resize([1, 2, 2], len(chosen))
    return Frame(0, cell.rows, np.zeros(3), cell.periodic, np.arange(1, len(chosen) + 1), types, positions)


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        settings = DensitySettings(
            cutoff=CUTOFF, features=6, width=8, radial_functions=5, bonded_functions=4, electrostatics="none"
        )
        model = build_model(settings, 2).double()
        graph = build_graph(frame_in(CELLS["cube"]), CUTOFF, FIELD)
        model.initialize(replace(graph, forces=10 * torch.randn(graph.positions.shape, dtype=torch.float64)))
        model.contacts.distances.clamp_(max=1.0)
        model.network.type_energies.copy_(torch.tensor([-300.0, -40.0]))
    return LoadedModel(model.eval(), ModelCard(settings, ("O", "H"), FIELD), Path("small.safetensors"))


@dataclass(frozen=True)
class Answer:
    """Forces, energy and virial, kcal/mol and angstrom; what a door does not give is None."""

    forces: np.ndarray
    energy: float | None
    virial: np.ndarray | None


def answer_of(prediction) -> Answer:
    virial = prediction.virials[0].numpy()
    return Answer(prediction.forces.numpy(), float(prediction.energies[0]), virial)


def sum_over_images(loaded: LoadedModel, frame: Frame) -> Answer:
    """The equations of the model over every image of every pair within the cutoff, found by trying them all."""
    periodic = np.array(frame.periodic)
    count = len(frame.types)
    # a pair within the cutoff has a difference of scaled coordinates below cutoff / height in a periodic direction
    rows = frame.cell[periodic]
    dual = np.linalg.pinv(rows).T if len(rows) else np.zeros((0, 3))  # (P, 3)
    reach = np.zeros(3, dtype=int)
    reach[periodic] = np.ceil(CUTOFF * np.linalg.norm(dual, axis=1) + np.ptp(frame.positions @ dual.T, axis=0))
    shifts = np.array(list(np.ndindex(*(2 * reach + 1)))) - reach
    cell = np.where(periodic[:, None], frame.cell, 0.0)
    pairs = []
    for i in range(count):
        for j in range(i, count):
            vectors = frame.positions[j] - frame.positions[i] + shifts @ cell
            near = shifts[np.linalg.norm(vectors, axis=1) < CUTOFF].tolist()
            pairs += [(i, j, *shift) for shift in near if i < j or shift > [0, 0, 0]]  # images of an atom once
    table = torch.tensor(pairs).reshape(-1, 5)
    graph = build_graph(replace(frame, cell=np.eye(3), periodic=NONE), 0.01, FIELD)
    graph = replace(graph, cells=torch.tensor(cell[None]), periodic=torch.tensor([frame.periodic]))
    edges = HalfEdges(table[:, 0], table[:, 1], table[:, 2:].double(), torch.zeros(len(table), dtype=torch.int64))
    return answer_of(reference_prediction(loaded.model, graph.with_half_edges(edges)))


def evaluate(loaded: LoadedModel, frame: Frame) -> Answer:
    return answer_of(Evaluator(loaded, frame).evaluate(frame.positions, frame.cell, frame.periodic))


def assert_same(found: Answer, expected: Answer, tolerance: float = 1e-9) -> None:
    """Relative to the largest force; energies and virials absolutely, kcal/mol."""
    scale = max(1.0, np.abs(expected.forces).max())
    assert np.abs(found.forces - expected.forces).max() < tolerance * scale
    if found.energy is not None:
        assert found.energy == pytest.approx(expected.energy, rel=tolerance)
    if found.virial is not None:
        assert np.abs(found.virial - expected.virial).max() < tolerance * max(1.0, np.abs(expected.virial).max())


@pytest.fixture(params=CELLS)
def cell(request) -> Cell:
    return CELLS[request.param]


@pytest.fixture(params=RIGHT_HANDED)
def right_handed(request) -> Cell:
    return CELLS[request.param]


@pytest.fixture(params={**CELLS, **IN_SPACE})
def any_cell(request) -> Cell:
    return (CELLS | IN_SPACE)[request.param]


@pytest.mark.parametrize("compiled", [True, False], ids=["loops", "torch"])
def test_the_evaluator_sums_over_all_images(loaded, any_cell, compiled):
    frame = frame_in(any_cell)
    assert_same(evaluate(replace(loaded, compiled=compiled), frame), sum_over_images(loaded, frame))


def test_the_predictor_of_datasets_sums_over_all_images(loaded, any_cell):
    frame = frame_in(any_cell)
    assert_same(answer_of(Predictor(loaded, FIELD)([frame])), sum_over_images(loaded, frame))


def test_the_calculator_of_ase_sums_over_all_images(loaded, any_cell):
    frame = frame_in(any_cell)
    atoms = ase.Atoms(["OHH"[t % 3 - 1] for t in frame.types], frame.positions, cell=frame.cell, pbc=frame.periodic)
    atoms.calc = Calculator(loaded)
    virial = None
    if atoms.cell.rank == 3:
        virial = -atoms.get_stress(voigt=False) * atoms.get_volume() * EV
    expected = sum_over_images(loaded, frame)
    assert_same(Answer(atoms.get_forces() * EV, atoms.get_potential_energy() * EV, virial), expected)


def with_targets(loaded: LoadedModel, frame: Frame) -> tuple[Frame, Answer]:
    expected = sum_over_images(loaded, frame)
    return replace(frame, forces=expected.forces, energy=expected.energy, virial=expected.virial), expected


def assert_read_back(loaded: LoadedModel, found: Frame, written: Frame, expected: Answer) -> None:
    assert_same(evaluate(loaded, found), expected)
    assert found.periodic == written.periodic
    assert np.abs(found.forces - expected.forces).max() < 1e-9
    for name in ("energy", "virial"):
        if getattr(found, name) is not None:
            assert np.allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-9)


def test_a_dump_is_read_as_it_was_written(loaded, cell, tmp_path):
    frame, expected = with_targets(loaded, frame_in(cell))
    path = tmp_path / "t.dump"
    with path.open("w") as file:
        write_dump_frame(file, frame)
    (found,) = read_frames(path)
    assert_read_back(loaded, found, frame, expected)


def test_extended_xyz_of_ase_is_read(loaded, any_cell, tmp_path):
    frame, expected = with_targets(loaded, frame_in(any_cell))
    atoms = ase.Atoms(np.where(frame.types == 1, 8, 1), frame.positions, cell=frame.cell, pbc=frame.periodic)
    results = {"energy": expected.energy / EV, "forces": expected.forces / EV}
    if atoms.cell.rank == 3:
        results["stress"] = -expected.virial[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] / atoms.get_volume() / EV
    atoms.calc = SinglePointCalculator(atoms, **results)
    path = tmp_path / "t.xyz"
    ase.io.write(path, atoms)
    (found,) = read_frames(path)
    # hydrogen comes first by atomic number; coordinates have eight digits
    found = replace(found, types=3 - found.types, positions=frame.positions)
    rows = np.abs(frame.cell).any(axis=1)
    assert np.abs(found.cell - frame.cell)[rows].max(initial=0.0) < 1e-7
    found = replace(found, cell=frame.cell)
    assert_same(evaluate(loaded, found), expected)
    assert np.abs(found.forces - expected.forces).max() < 1e-6
    assert found.energy == pytest.approx(expected.energy, rel=1e-7)
    if "stress" in results:
        assert np.abs(found.virial - expected.virial).max() < 1e-5


def test_packed_frames_are_those_of_the_file(loaded, cell, tmp_path):
    frame, expected = with_targets(loaded, frame_in(cell))
    with (tmp_path / "t.dump").open("w") as file:
        write_dump_frame(file, frame)
    (found,) = open_dataset(tmp_path / "t.dump", cache=tmp_path / "cache")
    assert_read_back(loaded, found, frame, expected)


def data_file(path: Path, frame: Frame) -> Path:
    """A general triclinic data file, or a restricted one where the cell allows it."""
    (a, ay, az), (xy, b, bz), (xz, yz, c) = frame.cell.tolist()
    x, y, z = frame.origin.tolist()
    if ay == az == bz == 0 and min(a, b, c) > 0:
        box = f"{x!r} {x + a!r} xlo xhi\n{y!r} {y + b!r} ylo yhi\n{z!r} {z + c!r} zlo zhi\n"
        if (xy, xz, yz) != (0, 0, 0):
            box += f"{xy!r} {xz!r} {yz!r} xy xz yz\n"
    else:
        rows = zip("abc", frame.cell.tolist(), strict=True)
        box = "".join(f"{u!r} {v!r} {w!r} {name}vec\n" for name, (u, v, w) in rows)
        box += f"{x!r} {y!r} {z!r} abc origin\n"
    atoms = zip(frame.ids.tolist(), frame.types.tolist(), frame.positions.tolist(), strict=True)
    rows = "".join(f"{i} {t} {u!r} {v!r} {w!r}\n" for i, t, (u, v, w) in atoms)
    path.write_text(
        f"a box, units = real\n\n{len(frame.ids)} atoms\n2 atom types\n{box}\n"
        f"Masses\n\n1 15.9994 # O\n2 1.008 # H\n\nAtoms # atomic\n\n{rows}"
    )
    return path


def test_a_data_file_is_read(loaded, right_handed, tmp_path):
    frame = frame_in(right_handed)
    found = read_topology(data_file(tmp_path / "t.data", frame))
    again = replace(frame, cell=found.cell, positions=found.positions, types=found.types)
    assert_same(evaluate(loaded, again), sum_over_images(loaded, frame))


def test_lammps_sums_over_all_images(loaded, right_handed, tmp_path):
    if right_handed is CELLS["one layer, not periodic"]:
        right_handed = replace(right_handed, rows=np.diag([9.0, 8.0, 4.0]))  # LAMMPS refuses one much thinner
    frame = frame_in(right_handed)
    path = data_file(tmp_path / "t.data", frame)
    expected = sum_over_images(loaded, frame)
    lmp = open_lammps()
    try:
        general = "abc origin" in path.read_text()
        flags = " ".join("p" if p else "f" for p in frame.periodic)
        for command in (
            "units real", "atom_style atomic", "atom_modify map array", f"boundary {flags}",
            f"pair_style zero {CUTOFF} nocoeff", f"read_data {path}",
        ):  # fmt: skip
            lmp.command(command)
        coupling = Coupling(lmp, loaded)
        coupling.run(0)
        ids = lmp.numpy.extract_atom("id", nelem=len(frame.ids))
        forces = np.empty((len(ids), 3))
        forces[ids - 1] = lmp.numpy.extract_atom("f", nelem=len(ids), dim=3)
        low, high, xy, yz, xz, *_ = lmp.extract_box()
        a, b, c = np.subtract(high, low)
        energy, volume = lmp.get_thermo("pe"), lmp.get_thermo("vol")
        # the atoms rest, so that the pressure has no kinetic part
        components = [lmp.get_thermo(name) for name in ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")]
    finally:
        lmp.close()
    rotation = np.eye(3)
    if general:
        rotation = np.linalg.solve(np.array([[a, 0, 0], [xy, b, 0], [xz, yz, c]]), frame.cell)  # of vectors of LAMMPS
    xx, yy, zz, xy, xz, yz = components
    virial = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) * volume / 68568.415
    assert_same(Answer(forces @ rotation, energy, rotation.T @ virial @ rotation), expected)


@pytest.mark.parametrize("name", ["left-handed", "left-handed, mirrored"])
def test_a_left_handed_data_file_is_refused_by_name(name, tmp_path):
    path = data_file(tmp_path / "t.data", frame_in(CELLS[name]))
    with pytest.raises(InputError, match=r"t\.data: the lattice vectors in the header are left-handed"):
        read_topology(path)


def test_a_folder_of_deepmd_is_read(loaded, cell, tmp_path):
    frame, expected = with_targets(loaded, frame_in(cell))
    part = tmp_path / "deepmd" / "set.000"
    part.mkdir(parents=True)
    (part.parent / "type.raw").write_text(" ".join(str(t - 1) for t in frame.types))
    if not any(frame.periodic):
        (part.parent / "nopbc").touch()
    elif not all(frame.periodic):
        pytest.skip("the format has all directions periodic, or none")
    rows = {"coord": frame.positions, "box": frame.cell, "force": frame.forces / EV}
    rows |= {"energy": np.array(frame.energy / EV), "virial": frame.virial / EV}
    for name, values in rows.items():
        np.save(part / f"{name}.npy", values.reshape(1, -1))
    (found,) = read_frames(part.parent)
    assert_read_back(loaded, found, frame, expected)


@pytest.mark.parametrize("engine", ["ase", "lammps"])
@pytest.mark.parametrize("name", ["general", "general, strongly tilted", "strongly tilted"])
def test_the_trajectory_of_a_simulation_has_the_box_of_the_data_file(loaded, name, engine, tmp_path):
    frame = frame_in(CELLS[name])
    out = tmp_path / "run"
    settings = SimulationSettings(engine=engine, ensemble="nve", steps=4, dump_every=2, timestep=0.01, temperature=50)
    run = simulate(loaded, data_file(tmp_path / "t.data", frame), settings, out)
    assert run.stable
    first, second, last = read_frames(out)
    for found in (first, second, last):
        assert abs(np.linalg.det(found.cell)) == pytest.approx(np.linalg.det(frame.cell), rel=1e-12)
        assert_same(replace(evaluate(loaded, found), energy=None, virial=None), Answer(found.forces, None, None))
    metric = first.cell @ first.cell.T
    assert np.allclose(metric, frame.cell @ frame.cell.T, rtol=1e-12, atol=1e-10)
    # the same crystal, in LAMMPS's orientation or in that of the file
    assert evaluate(loaded, first).energy == pytest.approx(evaluate(loaded, frame).energy, rel=1e-10)


EQUIVALENT = {
    "tilted": np.array([[1, 0, 0], [2, 1, 0], [-3, 2, 1]]),
    "axes exchanged": np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
    "axes reversed": np.diag([-1, 1, 1]),
}


@pytest.mark.parametrize("compiled", [True, False], ids=["loops", "torch"])
@pytest.mark.parametrize("name", EQUIVALENT)
def test_charges_do_not_depend_on_which_vectors_span_the_lattice(name, compiled):
    field = replace(FIELD, types=(AtomType("O", 15.9994, -0.8), AtomType("H", 1.008, 0.4)))
    frame = frame_in(CELLS["tilted"])
    with torch.random.fork_rng():
        torch.manual_seed(4)
        settings = DensitySettings(cutoff=CUTOFF, features=6, width=8, radial_functions=5, electrostatics="fixed")
        model = build_model(settings, 2).double().eval()
    loaded = LoadedModel(model, ModelCard(settings, ("O", "H"), field), Path("charged.safetensors"), compiled)
    expected = evaluate(loaded, frame)
    assert np.abs(expected.forces).max() > 10
    assert_same(evaluate(loaded, replace(frame, cell=EQUIVALENT[name] @ frame.cell)), expected)
    orientation = np.linalg.solve(frame.cell, turned(frame.cell))
    found = evaluate(loaded, replace(frame, cell=frame.cell @ orientation, positions=frame.positions @ orientation))
    rotated = Answer(expected.forces @ orientation, expected.energy, orientation.T @ expected.virial @ orientation)
    assert_same(found, rotated)


FLAT = {
    "no vectors": np.zeros((3, 3)),
    "parallel vectors": np.array([[5.0, 0, 0], [10.0, 0, 0], [0, 0, 5.0]]),
    "a plane": np.array([[5.0, 0, 0], [0, 5.0, 0], [5.0, 5.0, 0]]),
}


@pytest.mark.parametrize("name", FLAT)
def test_periodic_directions_without_a_volume_are_refused(loaded, name, tmp_path):
    frame = replace(frame_in(CELLS["cube"]), cell=FLAT[name])
    with pytest.raises(InputError, match="do not span a volume"):
        evaluate(loaded, frame)
    atoms = ase.Atoms("OH", [[0, 0, 0], [1, 0, 0]], cell=frame.cell, pbc=True)
    atoms.calc = Calculator(loaded)
    with pytest.raises(InputError, match="do not span a volume"):
        atoms.get_forces()
