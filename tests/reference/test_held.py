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

FREEZE = ("fix 1 all nve", "group low id <= 20\ngroup high subtract all low\nvelocity low set 0 0 0\nfix 1 high nve")
DUMP = ("dump 1 all atom 10 movie.lammpstrj", "dump 1 all custom 10 movie.lammpstrj id type {} vx vy vz")


def temperatures(run):
    with run.thermo.open() as file:
        return [float(row["temperature_K"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize("axes", ["x y z", "xs ys zs", "xu yu zu"])
@pytest.mark.parametrize("counted", [False, True])
def test_temperatures_are_those_of_the_atoms_that_move(argon_input, tmp_path, axes, counted):
    alone = "\ncompute t high temp\ncompute_modify t dynamic/dof yes\nthermo_modify temp t" if counted else ""
    source = argon_input((FREEZE[0], FREEZE[1] + alone), (DUMP[0], DUMP[1].format(axes)))
    with pytest.warns(
        UserWarning, match=r"in\.lmp: 20 of 60 atoms never move; temperatures in thermo\.csv are those of"
    ):
        run = generate(source, tmp_path / "run")
    assert run.held_atoms == run.manifest["held_atoms"] == held_atoms(run.trajectory) == 20
    for found, frame in zip(temperatures(run), read_frames(run.folder), strict=True):
        moving = MASS * FACTOR * (frame.velocities[20:] ** 2).sum() / (3 * 40)
        assert np.abs(frame.velocities[:20]).max() == 0
        # LAMMPS's own count of a group leaves out three degrees of freedom
        assert found == pytest.approx(moving * (120 / 117 if counted else 1), rel=1e-5)


def test_where_all_atoms_move_temperatures_are_lammps_own(argon_input, tmp_path):
    run = generate(argon_input((DUMP[0], DUMP[1].format("x y z"))), tmp_path / "run")
    assert run.held_atoms == 0
    assert "held_atoms" not in run.manifest
    for found, frame in zip(temperatures(run), read_frames(run.folder), strict=True):
        assert found == pytest.approx(MASS * FACTOR * (frame.velocities**2).sum() / (3 * 60 - 3), rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*never move; temperatures")
def test_a_simulation_says_that_it_moves_atoms_that_the_reference_holds(argon_input, helpers, tmp_path):
    run = generate(argon_input(FREEZE, (DUMP[0], DUMP[1].format("x y z"))), tmp_path / "run")
    settings = SimulationSettings(
        ensemble="nve", velocities="file", timestep=1.0, steps=2, dump_every=1, thermo_every=1
    )
    with pytest.warns(
        UserWarning, match=r"run: 20 of its atoms never move, but here all atoms do; hold them in an input"
    ):
        simulate(helpers.load(helpers.LennardJones(8.0)), run.topology, settings, tmp_path / "md")
