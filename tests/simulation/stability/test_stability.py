"""Short simulations after a training find models that do not hold atoms together, in bounded time."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import ase.io
import ase.units
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from tests.conftest import LennardJones, Push, load
from tests.training.conftest import write_liquid
from typer.testing import CliRunner

from gnnformd.cli import app
from gnnformd.evaluation.report.report import write_report
from gnnformd.graph.type_matching import TypeMap
from gnnformd.interfaces.ase import Calculator
from gnnformd.model.files.model_file import load_model, read_card
from gnnformd.model.files.stability import CheckedRun, StabilityCheck
from gnnformd.model.interface import Prediction
from gnnformd.reference.generate import generate
from gnnformd.simulation.stability import check, temperature
from gnnformd.simulation.stability.check import check_stability, check_trained, time_allowed
from gnnformd.simulation.stability.pieces import count_pieces, in_vacuum
from gnnformd.simulation.stability.run import Judge, short_run
from gnnformd.simulation.stability.starts import Start, choose_starts, rigid_bonds
from gnnformd.simulation.stability.temperature import Estimates, configurational_temperature, highest_temperature
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.settings import DataSettings
from gnnformd.units import BOLTZMANN

CLOSEST = [[0, "Ar", "Ar", 3.1]]


class Attraction(LennardJones):
    """Lennard-Jones turned upside down: atoms fall into each other."""

    def forward(self, graph) -> Prediction:
        found = super().forward(graph)
        return Prediction(-found.forces, -found.energies, -found.virials)


class Wells(Push):
    """Each atom in a harmonic well of its own."""

    conservative = True
    stiffness = 7.0  # kcal/mol/angstrom^2

    def __init__(self, centers: np.ndarray) -> None:
        super().__init__()
        self.centers = torch.from_numpy(centers)

    def forward(self, graph) -> Prediction:
        away = graph.positions - self.centers
        return Prediction(-self.stiffness * away, 0.5 * self.stiffness * away.square().sum().reshape(1))


def crystal(path: Path, *, frames: int = 6, sites: int = 3, **info: object) -> Path:
    """Argon near the sites of its lattice at about 60 K, without energies."""
    random = np.random.default_rng(0)
    images = []
    for _ in range(frames):
        basis = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
        cells = np.stack(np.meshgrid(*[np.arange(sites)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
        positions = 5.4 * (cells + basis).reshape(-1, 3)
        atoms = Atoms(f"Ar{len(positions)}", positions + random.normal(0, 0.2, positions.shape), pbc=True)
        atoms.set_cell(sites * 5.4 * np.eye(3))
        atoms.calc = SinglePointCalculator(atoms, forces=random.normal(0, 0.05, positions.shape))
        atoms.info |= info
        images.append(atoms)
    ase.io.write(path, images, format="extxyz")
    return path


def test_the_shipped_model_of_argon_passes_on_its_liquid(tmp_path: Path) -> None:
    generate("argon-liquid", tmp_path / "argon", frames=6, variables={"equilibration": "1000", "spacing": "50"})
    found = check_stability(load_model("argon"), [open_dataset(tmp_path / "argon")], seconds=2.0)
    assert found.outcome == "passed", found.details
    assert {run.ensemble for run in found.runs} == {"nve", "nvt", "npt"}
    assert found.temperature_source == "tables of the data"
    assert any("Shortened to 2 s" in note for note in found.notes)
    assert found.timesteps_fs == (2.0,)
    (tmp_path / "bare.dump").write_bytes((tmp_path / "argon" / "trajectory.dump").read_bytes())
    bare = open_dataset(tmp_path / "bare.dump")
    kelvin, source = highest_temperature([bare], Estimates(load(Push()), choose_starts(load(Push()), [bare], 2)))
    assert source == "velocities in the data"
    table = np.genfromtxt(tmp_path / "argon" / "thermo.csv", delimiter=",", names=True)["temperature_K"]
    assert kelvin == pytest.approx(max(table.mean(), table.max() / (1 + 3 * np.sqrt(2 / (3 * 500 - 3)))), rel=1e-3)


def moving(kelvin: float, *, copies: int = 2, elements: tuple[str, ...] = ("Ar",)) -> Atoms:
    """A crystal with velocities of exactly this temperature, whose center of mass rests."""
    atoms = bulk("Ar", "fcc", a=5.4, cubic=True).repeat(copies)
    atoms.symbols = elements * (len(atoms) // len(elements))
    count, masses = len(atoms), atoms.get_masses()
    random = np.random.default_rng(0)
    momenta = random.normal(size=(count, 3)) * np.sqrt(masses)[:, None]
    momenta -= masses[:, None] * momenta.sum(axis=0) / masses.sum()
    kinetic = 0.5 * (momenta**2 / masses[:, None]).sum()
    atoms.set_momenta(momenta * np.sqrt(1.5 * (count - 1) * ase.units.kB * kelvin / kinetic))
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=random.normal(0, 0.01, (count, 3)))
    return atoms


def test_the_highest_temperature_is_that_of_all_frames_also_where_they_are_sorted_by_it(tmp_path: Path) -> None:
    images = [Atoms("Ar", cell=[30] * 3)]  # an isolated atom has no temperature
    images[0].calc = SinglePointCalculator(images[0], energy=0.0, forces=np.zeros((1, 3)))
    images += [moving(kelvin) for kelvin in np.repeat([30.0, 60.0, 120.0], 40)]
    ase.io.write(tmp_path / "sorted.xyz", images, format="extxyz")
    data = [open_dataset(tmp_path / "sorted.xyz")]
    kelvin, source = highest_temperature(data, Estimates(load(Push()), choose_starts(load(Push()), data, 2)))
    assert source == "velocities in the data"
    assert kelvin == pytest.approx(120.0 / (1 + 3 * np.sqrt(2 / 93)), rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*units are not said")
def test_the_highest_temperature_is_that_of_the_last_frames_of_much_data(tmp_path: Path) -> None:
    for name, kelvins in (("a", [30.0] * 60), ("b", [30.0] * 30 + [90.0] * 3)):
        with (tmp_path / f"{name}.dump").open("w") as file:
            for step, kelvin in enumerate(kelvins):
                atoms = moving(kelvin, copies=10)  # 4000 atoms a frame: 372 000 in all
                columns = [atoms.positions, np.zeros((4000, 3)), atoms.get_velocities() * ase.units.fs]
                numbers = np.column_stack([np.arange(1, 4001), np.ones(4000), *columns])
                file.write(f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n4000\nITEM: BOX BOUNDS pp pp pp\n")
                file.write("0 54\n" * 3 + "ITEM: ATOMS id type x y z fx fy fz vx vy vz\n")
                np.savetxt(file, numbers, fmt="%d %d" + " %.4f" * 6 + " %.8f" * 3)
    data = [open_dataset(tmp_path / f"{name}.dump") for name in "ab"]
    kelvin, source = highest_temperature(data, Estimates(load(Push()), choose_starts(load(Push()), data, 2)))
    assert source == "velocities in the data"
    assert kelvin == pytest.approx(90.0 / (1 + 3 * np.sqrt(2 / (3 * 3999))), rel=1e-4)


def test_velocities_of_each_file_go_with_the_masses_of_its_own_types(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "one.xyz", [moving(60.0, elements=("Xe",))] * 3, format="extxyz")
    ase.io.write(tmp_path / "both.xyz", [moving(80.0, elements=("Xe", "He"))] * 3, format="extxyz")
    data = [open_dataset(tmp_path / f"{name}.xyz") for name in ("one", "both")]
    assert [dataset.type_names for dataset in data] == [("Xe",), ("He", "Xe")]
    loaded = load(Push(), None, ("He", "Xe"))
    found = highest_temperature(data, Estimates(loaded, choose_starts(loaded, data, 4)))[0]
    assert found == pytest.approx((60 + 80) / 2, rel=1e-5)


def test_a_temperature_that_frames_say_is_found_to_the_end_of_the_data(tmp_path: Path) -> None:
    images = [moving(30.0) for _ in range(5)]
    for atoms, kelvin in zip(images, (100, 100, 250.5, "?", 50), strict=True):
        atoms.info["Temperature"] = kelvin
    ase.io.write(tmp_path / "said.xyz", images, format="extxyz")
    data = [open_dataset(tmp_path / "said.xyz")]
    assert [frame.temperature for frame in data[0]] == [100, 100, 250.5, None, 50]
    found = highest_temperature(data, Estimates(load(Push()), choose_starts(load(Push()), data, 2)))
    assert found == (250.5, "temperature in the data")


def test_the_shipped_model_of_water_passes_on_its_liquid(tmp_path: Path) -> None:
    few = {"equilibration": "300", "melting": "500", "molecules": "64", "edge": "12.43", "spacing": "50"}
    generate("water", tmp_path / "water", frames=4, variables=few)
    found = check_stability(load_model("water"), [open_dataset(tmp_path / "water")], seconds=1.0)
    assert found.outcome == "passed", found.details
    assert {run.ensemble for run in found.runs} == {"nve", "nvt", "npt"}
    assert found.timesteps_fs == (0.5,)


def test_atoms_that_fall_into_each_other_are_named_with_their_distance(tmp_path: Path) -> None:
    loaded = load(Attraction(5.0), closest_pairs=CLOSEST)
    wrong: list[Atoms] = []
    data = open_dataset(crystal(tmp_path / "argon.xyz", temperature=60))
    found = check_stability(loaded, [data], seconds=20.0, wrong=wrong)
    assert found.outcome in ("outside", "broke")
    assert "runs" in found.verdict and len(found.verdict) <= 80
    failed = found.first_failure
    assert failed is not None and failed.at_picoseconds is not None and 0 < failed.at_picoseconds <= 2
    text = " ".join(found.details)
    assert "from frame 5 of argon.xyz, after" in text
    assert "in training such atoms were at least 3.1 apart" in text
    assert "stability.xyz" in text
    first = wrong[0]
    distances = first.get_all_distances(mic=True)
    assert distances[distances > 0].min() < 0.9 * 3.1


def test_a_run_names_the_first_two_atoms_of_which_there_was_no_such_pair(tmp_path: Path) -> None:
    loaded = load(LennardJones(5.0, shifted=True), closest_pairs=CLOSEST)
    (start,) = choose_starts(loaded, [open_dataset(crystal(tmp_path / "argon.xyz"))], 1)
    judge, atoms = Judge(loaded, start, "nvt", 60.0), Atoms(f"Ar{len(start.masses)}", start.frame.positions)
    for step in range(5):
        unseen = f"atoms 1 and {step} (Ar and Ar, not bonded) are 4 angstrom apart" if step > 2 else None
        atoms.calc = SimpleNamespace(nearest=None, unseen=unseen)
        judge.look(step, atoms)
    assert judge.outside == (
        3 * start.timestep / 1000,
        "atoms 1 and 3 (Ar and Ar, not bonded) are 4 angstrom apart, but no such pair was in training.",
    )
    assert judge.configuration == atoms


def test_a_force_that_is_not_finite_breaks_a_run(tmp_path: Path, helpers: SimpleNamespace) -> None:
    model = helpers.Spoiled(5.0, 10, lambda forces: forces * float("nan"))
    loaded = load(model, closest_pairs=CLOSEST)
    (start,) = choose_starts(loaded, [open_dataset(crystal(tmp_path / "argon.xyz"))], 1)
    calculator = Calculator(loaded, topology=start.topology, types=start.types)
    done = short_run(loaded, calculator, start, "nve", 60.0, seed=1, picoseconds=0.2, seconds=60).run
    assert (done.outcome, done.cause) == ("broke", "forces")
    assert done.at_picoseconds == pytest.approx(10 * 0.002)


def test_lennard_jones_keeps_its_energy_and_the_temperature_of_its_thermostat(tmp_path: Path) -> None:
    loaded = load(LennardJones(5.0, shifted=True), closest_pairs=[[0, "Ar", "Ar", 2.9]])
    (start,) = choose_starts(loaded, [open_dataset(crystal(tmp_path / "argon.xyz", sites=2))], 1)
    calculator = Calculator(loaded, topology=start.topology, types=start.types)
    for ensemble in ("nve", "nvt", "npt"):
        done = short_run(loaded, calculator, start, ensemble, 60.0, seed=1, picoseconds=1.2, seconds=60).run
        assert done.outcome == "passed", done
        assert (done.drift_percent is not None) == (ensemble == "nve")
    assert done.picoseconds == pytest.approx(1.2)


def of_lennard_jones(path: Path, cells: list[np.ndarray], shakes: list[float]) -> Path:
    """Crystals in cells, with displacements of so many angstrom, and all that Lennard-Jones says of them."""
    random, images = np.random.default_rng(2), []
    for cell, shake in zip(cells, shakes, strict=True):
        sites = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
        corners = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
        positions = (corners + sites).reshape(-1, 3) / 2 @ cell + random.normal(0, shake, (32, 3))
        atoms = Atoms("Ar32", positions, cell=cell, pbc=True)
        found = Calculator(load(LennardJones(5.0, shifted=True)))
        results = {name: found.get_property(name, atoms) for name in ("energy", "forces", "stress")}
        atoms.calc = SinglePointCalculator(atoms, **results)
        images.append(atoms)
    ase.io.write(path, images, format="extxyz")
    return path


EDGE = 2 * 5.4


@pytest.mark.parametrize(
    ("cells", "shakes"),
    [
        ([EDGE * s * np.eye(3) for s in (0.97, 1.0, 1.05, 1.1, 1.14)], [0.1] * 5),  # the last ones under tension
        ([EDGE * np.eye(3)[[1, 0, 2]]] * 3, [0.1] * 3),  # left-handed
        ([EDGE * np.eye(3)] * 9, [0.1] * 6 + [0.8] * 3),  # most of them at equilibrium
    ],
    ids=["stretched", "left-handed", "rattled"],
)
def test_the_model_that_made_the_data_passes_whatever_they_are(tmp_path: Path, cells, shakes) -> None:
    data = open_dataset(of_lennard_jones(tmp_path / "argon.xyz", cells, shakes))
    loaded = load(LennardJones(5.0, shifted=True), closest_pairs=[[0, "Ar", "Ar", 2.2]])
    found = check_stability(loaded, [data], seconds=3.0)
    assert found.outcome == "passed", found.details
    assert any("left out: far from equilibrium" in note for note in found.notes) == (max(shakes) > 0.5)


def test_frames_far_from_equilibrium_alone_are_a_reason_not_to_check(tmp_path: Path) -> None:
    data = open_dataset(of_lennard_jones(tmp_path / "argon.xyz", [EDGE * np.eye(3)] * 2, [0.8] * 2))
    found = check_stability(load(LennardJones(5.0, shifted=True)), [data], seconds=3.0)
    assert found.outcome is None
    assert found.skipped is not None and "far from equilibrium" in found.skipped


class Suction(LennardJones):
    """Lennard-Jones with a pressure of minus a thousand gigapascal."""

    def forward(self, graph) -> Prediction:
        found = super().forward(graph)
        return Prediction(found.forces, found.energies, -2e5 * torch.eye(3, dtype=torch.float64)[None])


def test_a_box_that_collapses_ends_a_run_before_it_has_neighbors_without_end(tmp_path: Path) -> None:
    data = open_dataset(of_lennard_jones(tmp_path / "argon.xyz", [EDGE * np.eye(3)], [0.1]))
    loaded = load(Suction(5.0, shifted=True), closest_pairs=[[0, "Ar", "Ar", 0.1]])
    (start,) = choose_starts(loaded, [data], 1)
    calculator = Calculator(loaded, topology=start.topology, types=start.types)
    done = short_run(loaded, calculator, start, "npt", 60.0, seed=1, picoseconds=1.0, seconds=60).run
    assert (done.outcome, done.cause) == ("broke", "volume")
    assert done.reason is not None and "below the smallest of the data" in done.reason


def argon_start(atoms: int = 64, **changes: object) -> Start:
    positions = np.random.default_rng(0).uniform(0, 20, (atoms, 3))
    frame = Frame(
        timestep=0,
        cell=20.0 * np.eye(3),
        origin=np.zeros(3),
        periodic=(False, False, False),
        ids=np.arange(1, atoms + 1),
        types=np.ones(atoms, dtype=np.int64),
        positions=positions,
    )
    return Start("frame 0 of x", replace(frame, **changes), TypeMap((1,)), np.full(atoms, 39.948), ("Ar",) * atoms, 0.0)


def test_a_drift_of_the_energy_is_measured_in_kt_per_atom_and_picosecond() -> None:
    kt = BOLTZMANN * 100.0
    judge = Judge(load(LennardJones(5.0)), argon_start(), "nve", 100.0)
    noise = np.random.default_rng(1).normal(0, 1e-4, 1001)
    picoseconds = 0.002 * np.arange(1001)
    judge.energies = (64 * kt * (0.05 * picoseconds + noise)).tolist()
    judge.temperatures = [100.0] * 1001
    drift = judge.drift()
    assert drift is not None and drift[0] == pytest.approx(5.0, rel=0.01)
    assert judge.verdict(2.0)[0] == "energy"
    judge.energies = (64 * kt * (0.005 * picoseconds + noise)).tolist()
    assert judge.verdict(2.0) == (None, "")


@pytest.mark.parametrize(
    ("ensemble", "ratio", "cause"),
    [("nvt", 1.02, None), ("nvt", 1.4, "temperature"), ("nvt", 0.6, "temperature"), ("nve", 0.6, None)],
)
def test_a_temperature_must_be_that_of_the_thermostat(ensemble, ratio, cause) -> None:
    judge = Judge(load(LennardJones(5.0)), argon_start(), ensemble, 100.0)
    judge.temperatures = [100 * ratio] * 1000
    assert judge.verdict(2.0)[0] == cause


class Springs(Push):
    """Springs between all pairs of a molecule; without stiffness, its atoms fly freely."""

    conservative = True

    def __init__(self, rest: np.ndarray, stiffness: float) -> None:
        super().__init__()
        self.rest, self.stiffness = torch.from_numpy(rest), stiffness

    def forward(self, graph) -> Prediction:
        x = graph.positions.detach().double().requires_grad_()
        i, j = torch.triu_indices(len(x), len(x), 1)
        energy = 0.5 * self.stiffness * ((x[i] - x[j]).norm(dim=1) - self.rest[i, j]).square().sum()
        (gradient,) = torch.autograd.grad(energy, x)
        return Prediction(-gradient, energy.detach().reshape(1))


def methane(path: Path, **box: object) -> tuple[Path, np.ndarray]:
    atoms = molecule("CH4", **box)
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((5, 3)))
    atoms.info["temperature"] = 300.0
    ase.io.write(path, [atoms] * 2, format="extxyz")
    return path, atoms.get_all_distances()


@pytest.mark.parametrize("box", [{}, {"vacuum": 5.0, "pbc": True}], ids=["no box", "box"])
def test_a_molecule_in_a_vacuum_must_not_come_apart(tmp_path: Path, box: dict[str, object]) -> None:
    path, rest = methane(tmp_path / "methane.xyz", **box)
    (start,) = choose_starts(load(Push(), None, ("C", "H")), [open_dataset(path)], 1)
    for stiffness, cause in ((0.0, "pieces"), (500.0, None)):
        loaded = load(Springs(rest, stiffness), None, ("C", "H"))
        calculator = Calculator(loaded, topology=start.topology, types=start.types)
        done = short_run(loaded, calculator, start, "nve", 300.0, seed=1, picoseconds=0.3, seconds=60)
        assert done.run.cause == cause, done.run
        assert (done.configuration is None) == (cause is None)
    free = load(Springs(rest, 0.0), None, ("C", "H"))
    done = short_run(free, Calculator(free), start, "nve", 300.0, seed=1, picoseconds=2.0, seconds=60)
    assert done.run.at_picoseconds is not None and 0.1 < done.run.at_picoseconds < 0.3
    assert done.run.reason is not None
    assert re.fullmatch("the atoms came apart: they are in [2-5] pieces, in the data in at most 1.", done.run.reason)


def test_a_proton_that_moves_to_another_atom_is_no_piece() -> None:
    """The enol of malonaldehyde: its proton between two oxygens, 2.5 angstrom apart."""
    chain = [[0, 0, 0], [-1.2, -0.8, 0], [1.2, -0.8, 0], [-1.25, -2.08, 0], [1.25, -2.08, 0]]
    for x in np.linspace(-0.27, 0.27, 11):
        assert count_pieces(Atoms("C3O2H", [*chain, [x, -2.1, 0]])) == 1
    assert count_pieces(Atoms("C3O2H", [*chain, [0, -4.0, 0]])) == 2


def test_only_molecules_in_a_vacuum_are_counted() -> None:
    assert in_vacuum(molecule("CH3OH")) and in_vacuum(molecule("CH3OH", vacuum=4.0, pbc=True))
    crossing = molecule("CH3OH", vacuum=4.0, pbc=True)
    crossing.translate([4.5, 4.5, 4.5])
    crossing.wrap()
    assert in_vacuum(crossing)
    assert not in_vacuum(bulk("Si", cubic=True)) and not in_vacuum(molecule("C2H4", cell=[9, 9, 1.4], pbc=True))
    assert not in_vacuum(molecule("H2O", vacuum=1.5, pbc=True).repeat(2))


def test_frames_that_are_apart_in_the_data_may_come_apart(tmp_path: Path) -> None:
    near, far = molecule("O2"), molecule("O2")
    far.positions[1] *= 3
    for atoms in (near, far):
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((2, 3)))
    loaded = load(Push(), None, ("O",))
    for images, pieces in (([near] * 3, 1), ([near, far, near], 2)):
        ase.io.write(tmp_path / f"{pieces}.xyz", images, format="extxyz")
        starts = choose_starts(loaded, [open_dataset(tmp_path / f"{pieces}.xyz")], 1)
        assert [start.pieces for start in starts] == [pieces]


def test_the_configurational_temperature_of_harmonic_wells_is_that_of_their_distribution() -> None:
    kt, count = BOLTZMANN * 450.0, 400
    centers = np.random.default_rng(3).uniform(0, 40, (count, 3))
    away = np.random.default_rng(4).normal(0, np.sqrt(kt / Wells.stiffness), (count, 3))
    start = argon_start(count, positions=centers + away, forces=-Wells.stiffness * away)
    found = configurational_temperature(load(Wells(centers).double()), start)
    assert found == pytest.approx(450.0 * (away**2).mean() * Wells.stiffness / kt, rel=1e-4)
    assert found == pytest.approx(450.0, rel=0.1)


def test_data_tell_their_temperature_or_it_is_said_where_it_is_from(tmp_path: Path) -> None:
    loaded = load(Push())
    for info, expected in (
        ({"temperature": 130.0}, (130.0, "temperature in the data")),
        ({"config_type": "liquid_140K"}, (140.0, "config_type of the data")),
        ({}, (300.0, "taken as usual, since the data do not say it")),
    ):
        data = open_dataset(crystal(tmp_path / f"argon{len(str(info))}.xyz", frames=2, **info))
        assert highest_temperature([data], Estimates(loaded, choose_starts(loaded, [data], 2))) == expected


def test_configurational_temperatures_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(loaded: object, start: Start) -> float:
        asked.append(start.name)
        return 60.0

    monkeypatch.setattr(temperature, "configurational_temperature", counted)
    found = check_stability(load(Push(0.0)), [open_dataset(crystal(tmp_path / "argon.xyz", sites=2))], seconds=0.2)
    assert found.temperature_source == temperature.ESTIMATED
    assert sorted(asked) == [f"frame {k} of argon.xyz" for k in (0, 1, 2, 4, 5)]


def test_fluctuations_of_few_atoms_are_not_taken_for_a_higher_temperature() -> None:
    spread = np.sqrt(2 / (3 * 20 - 3))
    assert temperature._without_fluctuation(300.0, 300.0 * (1 + 2.9 * spread), 20) == pytest.approx(300.0)
    assert temperature._without_fluctuation(300.0, 2000.0, 100_000) == pytest.approx(2000.0, rel=0.02)


def test_forces_without_an_energy_get_nvt_alone(tmp_path: Path) -> None:
    data = open_dataset(crystal(tmp_path / "argon.xyz", frames=2, sites=2, temperature=60))
    found = check_stability(load(Push(0.0)), [data], seconds=0.2)
    assert {run.ensemble for run in found.runs} == {"nvt"}
    assert "NVT alone, since the forces of this model have no energy." in found.notes


def test_bonds_of_fixed_length_and_unknown_masses_are_reasons_not_to_check(tmp_path: Path) -> None:
    bonds, positions = np.arange(64).reshape(-1, 2), np.random.default_rng(0).uniform(0, 20, (64, 3))
    positions[1::2] = positions[::2] + np.array([1.1, 0, 0])
    rigid = argon_start(bonds=bonds, positions=positions)
    assert rigid_bonds([rigid])
    assert not rigid_bonds([argon_start(bonds=bonds)])
    loaded = load(Push(), None, ("colloid",))
    write_liquid(tmp_path / "liquid.dump", frames=1)
    loaded = replace(loaded, card=replace(loaded.card, type_names=("a", "b")))
    found = check_stability(loaded, [open_dataset(tmp_path / "liquid.dump")], seconds=1.0)
    assert found.skipped is not None and "mass of atoms of type" in found.skipped


def test_the_first_line_says_that_a_check_was_shortened() -> None:
    whole = CheckedRun("frame 1 of a.xyz", "nvt", 300.0, 2.0, "passed")
    found = StabilityCheck((whole,), planned=1)
    assert found.verdict == "Stability: 1 of 1 runs of 2 ps passed (NVT; 300 K)."
    shorter = replace(found, runs=(replace(whole, picoseconds=0.5),))
    assert shorter.verdict == "Stability: shortened check, 1 of 1 runs of 0.5 ps (not 2 ps) passed."
    assert shorter.details == ["Runs: NVT; 300 K."]
    estimated = replace(found, temperature_source=temperature.ESTIMATED)
    assert estimated.verdict == "Stability: 1 of 1 runs of 2 ps passed (NVT; about 300 K)."
    # as long as they should be, but only a half of them
    fewer = replace(found, planned=2)
    assert fewer.verdict == "Stability: shortened check, 1 of 1 runs of 2 ps passed."
    broken = replace(whole, picoseconds=0.1, outcome="broke", cause="energy", at_picoseconds=0.1, reason="it drifts")
    assert replace(found, runs=(broken,)).verdict == "Stability: 1 of 1 runs broke (NVT; 300 K)."


def test_the_time_is_a_tenth_of_the_training_and_bounded() -> None:
    assert [time_allowed(seconds) for seconds in (0.1, 15.0, 600.0, 1e6)] == [5.0, 5.0, 60.0, 600.0]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    crystal(tmp_path / "argon.xyz", frames=8, sites=2, temperature=60)
    path = tmp_path / "my.yaml"
    path.write_text(
        f"model: {{kind: gamd, cutoff: 4.4, width: 4, layers: 1, node_features: embedding}}\n"
        f"data: {{paths: [{tmp_path / 'argon.xyz'}]}}\n"
        "training: {epochs: 1, batch_size: 4, accelerator: cpu, threads: 1, loggers: []}\n"
    )
    return path


def test_train_says_what_the_check_showed_and_the_model_and_the_report_have_it(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "SHORTEST", 0.5)
    result = CliRunner().invoke(app, ["train", str(config), "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    line = next(line for line in result.output.splitlines() if line.startswith("Stability: "))
    assert len(line) <= 80
    model = tmp_path / "run" / "model.safetensors"
    found = read_card(model).stability
    assert found is not None and found.verdict == line
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert '<section id="stability">' in page and line.removeprefix("Stability: ") in page
    inspected = CliRunner().invoke(app, ["inspect", str(model)]).output
    assert "stability" in inspected and f"{len(found.runs)} runs" in inspected


def test_the_check_can_be_turned_off(config: Path, tmp_path: Path) -> None:
    off = ["--set", "training.stability_check=false"]
    result = CliRunner().invoke(app, ["train", str(config), "--out", str(tmp_path / "run"), *off])
    assert result.exit_code == 0, result.output
    assert "Stability" not in result.output
    assert read_card(tmp_path / "run" / "model.safetensors").stability is None


@pytest.mark.parametrize("error", [RuntimeError("no such kernel"), KeyboardInterrupt()])
def test_a_check_that_fails_leaves_the_training_as_it_was(
    error: BaseException, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(check, "check_stability", fail)
    result = CliRunner().invoke(app, ["train", str(config), "--out", str(tmp_path / "run")])
    assert load_model(tmp_path / "run" / "model.safetensors").card.stability is None
    if isinstance(error, KeyboardInterrupt):
        assert result.exit_code == 130
        assert "The training is complete" in result.stderr
    else:
        assert result.exit_code == 0
        assert "Stability: not checked: the check failed (RuntimeError: no such kernel)." in result.output


def test_the_weights_stay_to_the_bit_when_the_card_gets_the_result(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = ["--set", "training.stability_check=false"]
    CliRunner().invoke(app, ["train", str(config), "--out", str(tmp_path / "run"), *off])
    model = tmp_path / "run" / "model.safetensors"
    before = load_model(model).model.state_dict()
    data = DataSettings(paths=[str(tmp_path / "argon.xyz")])
    monkeypatch.setattr(check, "SHORTEST", 0.3)
    found = check_trained(model, data, 0.0)
    after = load_model(model)
    assert after.card.stability == found
    assert all((before[name] == value).all() for name, value in after.model.state_dict().items())
    assert StabilityCheck.from_dict(found.to_dict()) == found
