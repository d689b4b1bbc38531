"""The barostat moves the box as that of LAMMPS does with its own potential, in every shape it can have."""

import numpy as np
import pytest
from tests.conftest import EPSILON, SIGMA

from gnnformd.errors import InputError
from gnnformd.reference.library import potentials_at_hand
from gnnformd.simulation.lammps.engine import CONSERVED
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.formats.dump import read_dump
from gnnformd.units import BOLTZMANN

STEPS, BOX = 60, [f"length_{axis}_A" for axis in "abc"] + [f"{angle}_degrees" for angle in ("alpha", "beta", "gamma")]


def settings(barostat: str, **more: object) -> SimulationSettings:
    values = {"ensemble": "npt", "barostat": barostat, "temperature": 90.0, "pressure": 500.0, "velocities": "file"}
    return SimulationSettings(**values | {"timestep": 2.0, "steps": STEPS, "dump_every": 20, "thermo_every": 5} | more)


@pytest.fixture(scope="module")
def tilted(argon, helpers, tmp_path_factory):
    """The liquid in a tilted box."""
    path = tmp_path_factory.mktemp("tilted") / "tilted.data"
    commands = ["units real", "pair_style lj/cut 8.0", f"read_data {argon}", "change_box all triclinic"]
    tilts = "change_box all xy final 2.0 xz final -1.0 yz final 1.5 remap units box"
    with helpers.lammps(*commands, tilts, f"write_data {path}"):
        return path


@pytest.mark.parametrize(
    ("barostat", "shape"), [("iso", "cube"), ("aniso", "cube"), ("tri", "cube"), ("aniso", "tilted"), ("tri", "tilted")]
)
def test_the_box_goes_the_way_of_lammps_with_its_own_potential(argon, tilted, helpers, tmp_path, barostat, shape):
    start = argon if shape == "cube" else tilted
    run = simulate(helpers.load(helpers.LennardJones(8.0)), start, settings(barostat), tmp_path / "out")
    table = np.genfromtxt(tmp_path / "out" / "thermo.csv", delimiter=",", names=True)
    commands = ["units real", "pair_style lj/cut 8.0", f"read_data {start}", "timestep 2"]
    commands += ["change_box all triclinic"] if barostat == "tri" else []
    commands += [f"pair_coeff 1 1 {EPSILON} {SIGMA}", "neigh_modify every 1 delay 0 check yes"]
    commands += [f"fix 1 all npt temp 90 90 200 {barostat} 500 500 2000", f"run {STEPS}"]
    keywords = ("cella", "cellb", "cellc", "cellalpha", "cellbeta", "cellgamma")
    with helpers.lammps(*commands) as lmp:
        box = [lmp.get_thermo(name) for name in keywords]
        conserved, positions = lmp.get_thermo("econserve"), helpers.by_id(lmp, "x")
        if barostat == "iso":  # of which econserve counts two kT too many for the first variable of the chain
            conserved -= 2 * BOLTZMANN * 90.0 * lmp.extract_fix("1", 0, 1, 8)
    np.testing.assert_allclose([table[name][-1] for name in BOX], box, rtol=1e-8)
    assert table["conserved_energy"][-1] == pytest.approx(conserved, rel=1e-8)
    *_, last = read_dump(tmp_path / "out" / "trajectory.dump")
    apart = (last.positions - positions) @ np.linalg.inv(last.cell)
    np.testing.assert_allclose(apart, np.round(apart), atol=1e-7)
    # what moves is an observable, what does not is none
    moving = {name for name in run.comparison.observables if name.startswith("box ")}
    lengths = {f"box length {axis}, angstrom" for axis in "abc"}
    angles = {f"box angle {name}, degrees" for name in ("alpha", "beta", "gamma")}
    if barostat == "iso":
        assert not moving
    else:
        assert moving == lengths | (angles if barostat == "tri" else set())  # aniso keeps the angles of a tilted box


def test_an_isotropic_barostat_conserves_the_energy_that_is_written(helpers):
    commands = """units metal
lattice fcc 3.63
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
pair_style eam
pair_coeff 1 1 Cu_u3.eam
velocity all create 600 12345 mom yes rot no dist gaussian
timestep 0.002
fix ensemble all npt temp 300 300 0.2 iso 0 0 2.0
thermo 2000
run 2000"""
    with potentials_at_hand(), helpers.lammps(*commands.splitlines(), f"variable conserved equal {CONSERVED}") as lmp:
        energies = []
        for _ in range(40):
            lmp.command("run 50 pre no post no")
            energies.append((lmp.extract_variable("conserved"), lmp.get_thermo("econserve")))
    ours, econserve = 1000 * np.std(energies, axis=0) / 32  # meV per atom
    assert ours < 0.03
    assert econserve > 10 * ours  # else LAMMPS has mended it, and the formula can go


@pytest.mark.parametrize("barostat", ["aniso", "tri"])
def test_a_run_whose_box_changes_its_shape_goes_on(argon, helpers, tmp_path, barostat):
    loaded = helpers.load(helpers.LennardJones(8.0))
    simulate(loaded, argon, settings(barostat, restart_every=20), tmp_path / "whole")
    simulate(loaded, argon, settings(barostat, restart_every=20, steps=40), tmp_path / "parts")
    simulate(loaded, argon, settings(barostat, restart_every=20), tmp_path / "parts", resume=True)
    whole, parts = (np.genfromtxt(tmp_path / name / "thermo.csv", delimiter=",")[1:] for name in ("whole", "parts"))
    np.testing.assert_allclose(parts, whole, rtol=1e-9)  # to the last bit where the box is not tilted
    with pytest.raises(InputError, match=rf"barostat was {barostat} when the run was started, not iso"):
        simulate(loaded, argon, settings("iso", steps=80), tmp_path / "parts", resume=True)


def test_a_run_of_an_earlier_version_goes_on_with_the_columns_it_has(argon, helpers, tmp_path):
    loaded, table = helpers.load(helpers.LennardJones(8.0)), tmp_path / "thermo.csv"
    simulate(loaded, argon, settings("iso", steps=20), tmp_path)
    fewer = [line.split(",")[:9] for line in table.read_text().splitlines()]
    table.write_text("".join(",".join(row) + "\n" for row in fewer))
    simulate(loaded, argon, settings("iso", steps=40), tmp_path, resume=True)
    found = np.genfromtxt(table, delimiter=",", names=True)
    assert found.dtype.names == tuple(fewer[0])
    assert found["step"].tolist() == list(range(0, 41, 5))


def test_the_box_of_a_start_file_that_is_not_tilted_may_tilt(argon, helpers, tmp_path):
    simulate(helpers.load(helpers.LennardJones(8.0)), argon, settings("tri"), tmp_path / "out")
    assert read_topology(tmp_path / "out" / "final.data").cell[2, 0] != 0.0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"barostat": "tri"}, r"^the barostat tri needs the ensemble npt, not nvt; choose npt or leave barostat\.$"),
        ({"barostat": "xy", "ensemble": "npt"}, r"^--barostat: input should be 'iso', 'aniso' or 'tri'\.$"),
        ({"barostat": "aniso", "ensemble": "npt", "engine": "ase"}, r"^npt \(aniso\) is available in LAMMPS only"),
    ],
)
def test_what_the_barostat_cannot_do_is_said(options, sentence):
    with pytest.raises(InputError, match=sentence):
        SimulationSettings.from_options(**options)
