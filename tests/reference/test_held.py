"""Inputs that hold some of their atoms."""

import csv

import numpy as np
import pytest

from gnnformd.reference.generate import generate
from gnnformd.reference.held import held_atoms
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate
from gnnformd.trajectory.read import read_frames

MASS, FACTOR = 39.948, 48.88821291**2 / 0.0019872067
"""g/mol; what m v^2 in g/mol and angstrom/fs is in kcal/mol, over Boltzmann's constant."""

GROUPS = "group low id <= 20\ngroup high subtract all low\n"
FREEZE = ("fix 1 all nve", f"{GROUPS}velocity low set 0 0 0\nfix 1 high nve")
DUMP = ("dump 1 all atom 10 movie.lammpstrj", "dump 1 all custom 10 movie.lammpstrj id type x y z vx vy vz")


def temperatures(run):
    with run.thermo.open() as file:
        return [float(row["temperature_K"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize("axes", ["x y z", "xs ys zs", "xu yu zu"])
@pytest.mark.parametrize("still", [True, False])
def test_temperatures_are_those_of_the_atoms_that_move(argon_input, tmp_path, axes, still):
    hold = FREEZE if still else (FREEZE[0], f"{GROUPS}fix 1 high nve")  # what is not integrated keeps its velocity
    source = argon_input(hold, (DUMP[0], DUMP[1].replace("x y z", axes)))
    with pytest.warns(
        UserWarning, match=r"20 of 60 atoms never move; temperatures in thermo\.csv are those of the oth"
    ):
        run = generate(source, tmp_path / "run")
    assert run.held_atoms == run.manifest["held_atoms"] == 20
    assert held_atoms(run.trajectory).tolist() == [[atom, 1] for atom in range(1, 21)]
    for found, frame in zip(temperatures(run), read_frames(run.folder), strict=True):
        assert found == pytest.approx(MASS * FACTOR * (frame.velocities[20:] ** 2).sum() / (3 * 40), rel=1e-5)
        assert (np.abs(frame.velocities[:20]).max() == 0) == still


@pytest.mark.parametrize(("compute", "axes", "freedom"), [("temp", 3, 117), ("temp/partial 0 1 1", 2, 78)])
def test_temperatures_that_the_input_chooses_stay(argon_input, tmp_path, compute, axes, freedom):
    chosen = f"\ncompute t high {compute}\ncompute_modify t dynamic/dof yes\nthermo_modify temp t"
    source = argon_input((FREEZE[0], FREEZE[1] + chosen), DUMP)
    with pytest.warns(UserWarning, match=r"20 of 60 atoms never move; temperatures in thermo\.csv are LAMMPS's own"):
        run = generate(source, tmp_path / "run")
    for found, frame in zip(temperatures(run), read_frames(run.folder), strict=True):
        squares = (frame.velocities[20:, 3 - axes :] ** 2).sum()
        assert found == pytest.approx(MASS * FACTOR * squares / freedom, rel=1e-5)


@pytest.mark.filterwarnings("error:.*never move")
def test_atoms_that_are_moved_one_after_another_are_not_held(argon_input, tmp_path):
    moves = "".join(
        f"group one{k} id {k}\ndisplace_atoms one{k} move 0.01 0 0 units box\nrun 10\n" for k in range(1, 6)
    )
    source = argon_input(
        ("velocity all create 90 ${seed}\nfix 1 all nve\n", ""), DUMP, ("run 20\nrun 30\n", f"run 0\n{moves}")
    )
    assert generate(source, tmp_path / "run").held_atoms == 0


def test_where_all_atoms_move_temperatures_are_lammps_own(argon_input, tmp_path):
    run = generate(argon_input(DUMP), tmp_path / "run")
    assert run.held_atoms == 0
    assert "held_atoms" not in run.manifest
    for found, frame in zip(temperatures(run), read_frames(run.folder), strict=True):
        assert found == pytest.approx(MASS * FACTOR * (frame.velocities**2).sum() / (3 * 60 - 3), rel=1e-5)


@pytest.mark.parametrize("text", ["id type x y", "type x y z"])
def test_a_dump_without_places_tells_nothing(tmp_path, text):
    row = " ".join("1" for _ in text.split())
    head = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS pp pp pp\n0 1\n0 1\n0 1\n"
    frame = f"{head}ITEM: ATOMS {text}\n{row}\n"
    (tmp_path / "a.dump").write_text(3 * frame)
    assert held_atoms(tmp_path / "a.dump").tolist() == []


@pytest.mark.filterwarnings("ignore:.*never move; temperatures")
def test_a_simulation_says_that_it_moves_atoms_that_the_reference_holds(argon_input, helpers, tmp_path):
    run = generate(argon_input(FREEZE, DUMP), tmp_path / "run")
    settings = SimulationSettings(
        ensemble="nve", velocities="file", timestep=1.0, steps=2, dump_every=1, thermo_every=1
    )
    with pytest.warns(
        UserWarning, match=r"run: 20 of its atoms never move, but here all atoms do; hold them in an input"
    ):
        simulate(helpers.load(helpers.LennardJones(8.0)), run.topology, settings, tmp_path / "md")
