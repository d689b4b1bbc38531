import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.io import write
from tests.simulation.lammps.rank_cases import (
    ARGON,
    CASES,
    FAILURES,
    LEARNED,
    WATER,
    argon_frame,
    case,
    density_model,
    read,
    run,
)

from gnnformd.errors import InputError
from gnnformd.evaluation.liquid.thermo_table import ThermoSeries
from gnnformd.graph.build import build_graph
from gnnformd.graph.type_matching import TypeMap
from gnnformd.inference.domain import Domain, NeighborLists
from gnnformd.inference.domain_forces import DomainForces
from gnnformd.model.choose_engine import exchanges_messages
from gnnformd.model.files.model_file import load_model, save_model
from gnnformd.reference.library import find_mpich_file, open_lammps
from gnnformd.simulation.lammps.coupling import Coupling
from gnnformd.simulation.lammps.joint_evaluation import JointEvaluation
from gnnformd.simulation.lammps.neighbor_source import choose_source
from gnnformd.simulation.lammps.ranks import Ranks
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.units import PRESSURE_ATM

STILL = [name for name in CASES if "moving" not in name]
SCRIPT = Path(__file__).with_name("rank_cases.py")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the cases give on 1, 2, 3 and 4 ranks, and the folder with what each of two ranks is told of failures."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("ranks")
    found = {(name, 1): run(case(name), Ranks()) for name in CASES}
    for ranks, names in ((2, (*CASES, *FAILURES)), (3, CASES[2:5]), (4, CASES)):
        mpiexec = str(find_mpich_file("mpiexec.hydra", "mpiexec"))
        command = [mpiexec, "-n", str(ranks), sys.executable, str(SCRIPT), str(folder), *names]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            timeout=500,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        for name in set(names) & set(CASES):
            found[name, ranks] = dict(np.load(folder / f"{name}.{ranks}.npz"))
    return found, folder


def on_any_number(results, name: str) -> list[dict[str, np.ndarray]]:
    return [found for (known, _), found in results[0].items() if known == name]


@pytest.mark.parametrize("name", [name for name in STILL if "on a mesh" not in name])  # PyTorch has another mesh
def test_forces_energy_and_virial_are_those_of_python_on_any_number_of_ranks(results, name):
    this = case(name)
    model, frame = this.loaded.model, this.frame
    expected = model(build_graph(frame, model.cutoff, this.loaded.card.force_field))
    volume = abs(np.linalg.det(frame.cell))
    v = expected.virials[0].numpy()
    pressure = np.array([v[0, 0], v[1, 1], v[2, 2], v[0, 1], v[0, 2], v[1, 2]]) / volume * PRESSURE_ATM
    mesh = "with charges" in name  # of PPPM
    # fitted potentials are sums of functions times thousands that nearly cancel: rounding is a hundred times larger
    for found in on_any_number(results, name):
        assert np.abs(found["forces"] - expected.forces.numpy()).max() < (1e-6 if mesh else 1e-9)
        assert found["energy"] == pytest.approx(float(expected.energies[0]), rel=1e-13, abs=5e-6 if mesh else 1e-9)
        assert found["pressure"] == pytest.approx(pressure, rel=1e-10, abs=1e-2 if mesh else 1e-6)


@pytest.mark.parametrize("name", STILL)
def test_every_number_of_ranks_gives_the_same_to_the_last_digits(results, name):
    one = results[0][name, 1]
    assert np.abs(one["forces"]).max() > 1
    for many in on_any_number(results, name)[1:]:
        assert np.abs(many["forces"] - one["forces"]).max() < 1e-10
        assert many["energy"] == pytest.approx(float(one["energy"]), rel=1e-12)
        assert many["pressure"] == pytest.approx(one["pressure"], rel=1e-9, abs=1e-6)


def test_the_network_in_pytorch_says_the_same_as_the_compiled_loops(results, monkeypatch):
    name = "water 27 with charges"
    monkeypatch.setattr("gnnformd.model.density.engines.MAX_SPECIES", 0)
    found, loops = run(case(name), Ranks()), results[0][name, 1]
    assert np.abs(found["forces"] - loops["forces"]).max() < 1e-7  # the loops have erf from a table
    assert found["energy"] == pytest.approx(float(loops["energy"]), abs=1e-7)
    assert found["pressure"] == pytest.approx(loops["pressure"], rel=1e-7, abs=1e-3)


def test_a_rank_may_have_no_atoms(results):
    assert 0 in results[0]["argon, empty domains", 4]["own"]
    assert 0 in results[0]["water 27, learned charges, empty domains", 4]["own"]
    assert 0 in results[0]["water 27, embedded, two layers, empty domains", 4]["own"]


def test_ghosts_reach_one_cutoff_where_ranks_tell_each_other_what_atoms_send():
    for name, exchanges in (
        ("water 27, embedded, two layers", True),
        ("water 27, learned charges, two layers, tilted", True),
        ("water 27, two layers", False),  # PyTorch may have to take over, for more than 16 species
        ("water 216", False),
    ):
        loaded = case(name).loaded
        assert exchanges_messages(loaded.model) is exchanges
        assert not exchanges_messages(loaded.model, fast=False)


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize(
    "name",
    ["argon, moving", "water 27, embedded, two layers, moving", "water 27, learned charges, two layers, moving"],
)
def test_atoms_wander_from_rank_to_rank_and_move_as_on_one(results, name, ranks):
    one, many, edges = results[0][name, 1], results[0][name, ranks], np.diag(case(name).frame.cell)
    assert many["builds"] >= 2
    assert (many["own_at_end"] != many["own"]).any()
    moved = many["positions"] - one["positions"]
    assert np.abs(moved - edges * np.round(moved / edges)).max() < 1e-10
    assert np.abs(many["forces"] - one["forces"]).max() < 1e-9


def test_learned_charges_of_the_cases_matter_and_keep_momentum(results):
    this = case("water 27, learned charges")
    learned = this.loaded.model.network
    for found in on_any_number(results, "water 27, learned charges"):
        assert np.abs(found["forces"].sum(axis=0)).max() < 1e-11
    with torch.no_grad():
        learned.charges.weight.zero_()
    assert np.abs(run(this, Ranks())["forces"] - results[0]["water 27, learned charges", 2]["forces"]).max() > 1


def test_forces_and_pressure_are_those_of_lammps_itself(results):
    lmp = open_lammps()
    try:
        this = case("argon, empty domains")
        read(lmp, this.frame, [39.948])
        for command in ("pair_style lj/cut 8.0", "pair_coeff 1 1 0.2378 3.405", "run 0"):
            lmp.command(command)
        pressure = [lmp.get_thermo(p) for p in ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")]
        energy = lmp.get_thermo("pe")
        order = np.argsort(lmp.numpy.extract_atom("id", nelem=36))
        forces = lmp.numpy.extract_atom("f", nelem=36, dim=3)[order].copy()
    finally:
        lmp.close()
    for found in on_any_number(results, "argon, empty domains"):
        assert np.abs(found["forces"] - forces).max() < 1e-11
        assert found["energy"] == pytest.approx(energy, rel=1e-12)
        assert found["pressure"] == pytest.approx(pressure, rel=1e-10, abs=1e-8)


def test_pressure_is_the_slope_of_the_energy_when_the_box_is_strained():
    this = case("water 27 with charges")
    frame, h = this.frame, 2e-4

    def at(stretch: float) -> dict[str, np.ndarray]:
        wider = replace(frame, cell=stretch * frame.cell, positions=stretch * frame.positions)
        return run(replace(this, frame=wider), Ranks())

    energies = [float(at(1 + k * h)["energy"]) for k in (-2, -1, 1, 2)]
    slope = (energies[0] - 8 * energies[1] + 8 * energies[2] - energies[3]) / (12 * h)
    expected = -slope / (3 * np.linalg.det(frame.cell)) * PRESSURE_ATM
    assert at(1.0)["pressure"][:3].mean() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("an exception", "ModelFailure: the model failed at step 3: ZeroDivisionError: no good"),
        ("no number", "Unstable: step 3: the force of atom "),
        ("a lost atom", "Unstable: step 4: 1 of 125 atoms are lost"),
        (
            "an unknown type",
            "InputError: LAMMPS: its atom types are 1 (mass 39.948), 2 (mass 39.948), but those of ",
        ),
        ("too close", "Unstable: step 0: atoms 101 and 102 are 0.5 angstrom apart"),
        ("a large force", "Unstable: step 3: the force on atom "),
        *((name, "ModelFailure: the model failed at step 3: ZeroDivisionError: no good") for name in LEARNED),
    ],
)
def test_what_goes_wrong_on_one_rank_is_told_to_all_and_ends_them(results, name, told):
    texts = [(results[1] / f"{name}.{rank}.txt").read_text() for rank in (0, 1)]
    assert texts[0].startswith(told)
    assert texts[0] == texts[1]


class TwoRanks(Ranks):
    size = 2


def test_a_model_that_cannot_be_cut_is_refused_on_many_ranks(helpers):
    with pytest.raises(InputError, match="cannot run on 2 ranks, because it looks at all atoms at once; use one rank"):
        choose_source(None, helpers.load(helpers.Push()), TwoRanks(), 1e-5, TypeMap(()))


def test_learned_charges_that_ranks_cannot_share_are_refused():
    this = case("water 27, learned charges")
    assert this.loaded.model.indivisible is None
    accelerated = density_model(this.frame, WATER, "learned", 1).model.to("meta")  # no processor
    assert accelerated.indivisible.endswith("on processors alone evaluate them")
    lmp = open_lammps()
    try:
        read(lmp, this.frame, [15.9994, 1.008])
        plain = replace(this.loaded, compiled=False)
        with pytest.raises(InputError, match=r"cannot run on 2 ranks, because .* PyTorch \(--torch\) .*; use one rank"):
            choose_source(lmp, plain, TwoRanks(), 1e-5, TypeMap((1, 2)))
        lmp.command("change_box all boundary f p p")
        with pytest.raises(InputError, match="the box is not periodic in all directions; use one rank"):
            choose_source(lmp, this.loaded, TwoRanks(), 1e-5, TypeMap((1, 2)))
    finally:
        lmp.close()


def test_learned_charges_of_more_species_than_the_loops_have_are_refused(monkeypatch):
    monkeypatch.setattr("gnnformd.model.density.engines.MAX_SPECIES", 0)
    none = np.empty(0, np.int64)
    lists = NeighborLists(np.array([0, 1]), np.array([1], np.int32), none.reshape(0, 2), none)
    places = np.array([[0.0, 0, 0], [0, 0, 3.0]])
    domain = Domain(1, np.array([1, 2]), np.array([1, 2]), None, places, lists, np.eye(3))
    forces = DomainForces(case("water 27, learned charges").loaded, np.array([1, 2]), JointEvaluation(Ranks()))
    with pytest.raises(InputError, match="at most 16 species of atoms"):
        forces.evaluate(domain)


def test_fixed_charges_in_a_box_with_walls_stay_whole():
    this = case("water 27 with charges")
    frame = replace(this.frame, cell=np.diag([16.0] * 3), positions=this.frame.positions + 3.0)
    lmp = open_lammps()
    try:
        lmp.command("boundary f f f")
        read(lmp, frame, [15.9994, 1.008])
        Coupling(lmp, this.loaded).run(0)
        walls = replace(frame, periodic=(False, False, False))
        expected = this.loaded.model(build_graph(walls, 4.0, this.loaded.card.force_field))
        assert lmp.get_thermo("pe") == pytest.approx(float(expected.energies[0]), rel=1e-10)
    finally:
        lmp.close()


@pytest.fixture
def argon_model(tmp_path) -> Path:
    frame = argon_frame(np.diag([19.5] * 3), (5, 5, 5))
    loaded = density_model(frame, ARGON, "none", 1)
    save_model(tmp_path / "argon.safetensors", loaded.model, loaded.card)
    return tmp_path / "argon.safetensors"


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from gnnformd.cli import main; main()", "simulate"]
    return subprocess.run([*program, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=300)


def test_the_command_starts_its_ranks_and_writes_what_one_rank_writes(argon, argon_model, tmp_path):
    options = ("--steps", 4, "--timestep", 0.2, "--ensemble", "nve", "--ranks", 2)
    done = command(argon_model, argon, "--out", tmp_path / "two", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Molecular dynamics") == 1
    assert yaml.safe_load((tmp_path / "two" / "simulate.yaml").read_text())["settings"]["ranks"] == 2
    settings = SimulationSettings(ensemble="nve", steps=4, timestep=0.2)
    simulate(load_model(argon_model), argon, settings, tmp_path / "one")
    two, one = (ThermoSeries.read(tmp_path / name / "thermo.csv").columns for name in ("two", "one"))
    for name, values in one.items():
        assert two[name] == pytest.approx(values, rel=1e-5)
    assert (tmp_path / "two" / "final.data").exists()


@pytest.mark.filterwarnings("ignore:.*empty space")
def test_a_structure_that_ase_reads_is_a_start_on_two_ranks(argon, argon_model, tmp_path):
    topology = read_topology(argon)
    atoms = Atoms("Ar108", topology.positions - topology.origin)  # in empty space
    write(tmp_path / "argon.xyz", atoms, format="extxyz")
    settings = {"ensemble": "nve", "steps": 4, "timestep": 0.2}
    options = (word for name, value in settings.items() for word in (f"--{name}", value))
    done = command(argon_model, tmp_path / "argon.xyz", "--out", tmp_path / "two", *options, "--ranks", 2)
    assert done.returncode == 0, done.stderr
    simulate(load_model(argon_model), tmp_path / "argon.xyz", SimulationSettings(**settings), tmp_path / "one")
    two, one = (ThermoSeries.read(tmp_path / name / "thermo.csv").columns for name in ("two", "one"))
    assert two["potential_energy"] == pytest.approx(one["potential_energy"], rel=1e-5)


def test_a_mistake_is_told_once_by_all_ranks_together(argon_model, tmp_path):
    done = command(argon_model, tmp_path / "none.data", "--out", tmp_path / "out", "--ranks", 2)
    assert done.returncode == 2
    assert done.stderr.count("none.data") == 1
    assert len(done.stderr.strip().splitlines()) == 1


def test_more_ranks_than_processes_are_refused_by_the_function(helpers, argon, tmp_path):
    loaded = helpers.load(helpers.LennardJones(8.0))
    with pytest.raises(InputError, match="ranks: 3 requested, but 1 started"):
        simulate(loaded, argon, SimulationSettings(ranks=3), tmp_path)
