"""A simulation that goes on from a restart file is the simulation that was not interrupted."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.simulation.lammps.rank_cases import case, read

from gnnformd.errors import InputError
from gnnformd.model.files.model_file import ModelCard, load_model, save_model
from gnnformd.model.registry import build_model
from gnnformd.model.settings import DensitySettings
from gnnformd.reference.library import find_mpich_file, open_lammps
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate
from gnnformd.trajectory.formats.dump import read_dump

SAME = ("trajectory.dump", "thermo.csv", "final.data")


def settings(**changes) -> SimulationSettings:
    values = {"ensemble": "nve", "velocities": "file", "timestep": 4.0, "temperature": 90.0, "steps": 60}
    return SimulationSettings(**values | {"dump_every": 5, "thermo_every": 2, "restart_every": 20} | changes)


class Killed(Exception):
    """Stands for the end of the process: nothing is written after it."""


def kill_at(step: int):
    def look(done: int, _total: int) -> None:
        if done == step:
            raise Killed

    return look


@pytest.fixture(params=["domain", "whole"])
def loaded(request, helpers, tmp_path):
    """A network that is cut into domains, and a model of the whole system."""
    if request.param == "whole":
        return helpers.load(helpers.LennardJones(8.0))
    torch.manual_seed(2)
    network = DensitySettings(electrostatics="none", cutoff=5.0, features=6, width=8, radial_functions=5)
    save_model(tmp_path / "m.safetensors", build_model(network, 1), ModelCard(network, ("Ar",), helpers.argon))
    return load_model(tmp_path / "m.safetensors", dtype=torch.float64)


@pytest.mark.parametrize("ensemble", ["nve", "nvt", "npt"])
def test_a_killed_run_that_goes_on_leaves_the_files_of_one_that_was_not(argon, loaded, tmp_path, ensemble):
    this = settings(ensemble=ensemble)
    simulate(loaded, argon, this, tmp_path / "whole")
    with pytest.raises(Exception, match="Killed"):
        simulate(loaded, argon, this, tmp_path / "cut", progress=kill_at(47))
    steps = [frame.timestep for frame in read_dump(tmp_path / "cut" / "trajectory.dump")]
    assert steps[-1] == 45
    run = simulate(loaded, argon, this, tmp_path / "cut", resume=True)
    assert run.steps == 60
    for name in SAME:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert not [path.name for path in (tmp_path / "cut").glob(".*")]


@pytest.mark.filterwarnings("ignore:step")
def test_frames_outside_of_the_training_data_are_kept_once_and_the_guard_may_change(argon, helpers, tmp_path):
    def outside():
        return [frame.timestep for frame in read_dump(tmp_path / "outside.dump")]

    loaded = helpers.load(helpers.LennardJones(8.0), largest_forces={"Ar": 1e-3})
    with pytest.raises(Exception, match="Killed"):
        simulate(loaded, argon, settings(guard="dump"), tmp_path, progress=kill_at(47))
    assert outside() == list(range(48))
    run = simulate(loaded, argon, settings(guard="dump"), tmp_path, resume=True)
    assert outside() == list(range(61))
    assert (run.departures.steps, run.departures.first_step) == (61, 0)
    run = simulate(loaded, argon, settings(guard="warn", steps=70), tmp_path, resume=True)
    assert (run.departures.steps, run.departures.first_step) == (71, 0)
    assert outside()[-1] == 59  # the last step is done again, and dumps nothing


def test_without_a_record_of_the_steps_outside_a_run_that_goes_on_says_so(argon, helpers, tmp_path):
    loaded = helpers.load(helpers.LennardJones(8.0), largest_forces={"Ar": 1e-3})
    with pytest.warns(UserWarning, match="step 0: "):
        simulate(loaded, argon, settings(steps=20), tmp_path)
    (tmp_path / "restart.json").unlink()
    with pytest.warns(UserWarning, match=r"restart\.json: does not tell how many .* until step 20"):
        run = simulate(loaded, argon, settings(steps=30), tmp_path, resume=True)
    assert run.departures.steps == 11  # 20 to 30


def test_a_finished_run_is_made_longer(argon, loaded, tmp_path):
    simulate(loaded, argon, settings(), tmp_path / "whole")
    simulate(loaded, argon, settings(steps=40), tmp_path / "longer")
    simulate(loaded, argon, settings(), tmp_path / "longer", resume=True)
    for name in SAME:
        assert (tmp_path / "longer" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    data = json.loads((tmp_path / "longer" / "simulate.json").read_text())
    assert data["thermo"]["step"] == list(range(0, 61, 2))


def test_a_run_that_sigterm_ended_goes_on_where_it_stopped(argon, loaded, tmp_path):
    def press(done, _total):
        if done == 33:
            os.kill(os.getpid(), signal.SIGINT)  # as the command line does with SIGTERM

    this = settings(restart_every=None)
    simulate(loaded, argon, this, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        simulate(loaded, argon, this, tmp_path / "cut", progress=press)
    assert json.loads((tmp_path / "cut" / "simulate.json").read_text())["steps"] == 33
    simulate(loaded, argon, this, tmp_path / "cut", resume=True)
    whole, cut = (list(read_dump(tmp_path / name / "trajectory.dump")) for name in ("whole", "cut"))
    assert [frame.timestep for frame in cut] == list(range(0, 61, 5))
    for one, other in zip(whole, cut, strict=True):
        # lists are built anew at a step where they would not have been: sums are taken in another order
        assert np.abs(one.positions - other.positions).max() < 1e-11
        assert np.abs(one.velocities - other.velocities).max() < 1e-13
    steps = np.genfromtxt(tmp_path / "cut" / "thermo.csv", delimiter=",", names=True)["step"]
    assert steps.tolist() == list(range(0, 61, 2))


@pytest.mark.parametrize("ensemble", ["nve", "nvt", "npt"])
def test_with_charges_the_trajectory_is_the_same_to_the_byte(tmp_path, ensemble):
    this = case("water 27 with charges")
    lmp = open_lammps()
    read(lmp, this.frame, [t.mass for t in this.loaded.card.force_field.types])
    for command in ("comm_modify cutoff 6", "change_box all ortho", f"write_data {tmp_path / 'water.data'} nocoeff"):
        lmp.command(command)
    lmp.close()
    short = settings(ensemble=ensemble, timestep=0.05, steps=30, restart_every=10)
    assert simulate(this.loaded, tmp_path / "water.data", short, tmp_path / "whole").steps == 30
    with pytest.raises(Exception, match="Killed"):
        simulate(this.loaded, tmp_path / "water.data", short, tmp_path / "cut", progress=kill_at(27))
    simulate(this.loaded, tmp_path / "water.data", short, tmp_path / "cut", resume=True)
    dumps, tables = ([tmp_path / run / name for run in ("whole", "cut")] for name in ("trajectory.dump", "thermo.csv"))
    assert dumps[0].read_bytes() == dumps[1].read_bytes()
    whole, cut = (np.loadtxt(path, delimiter=",", skiprows=1) for path in tables)
    np.testing.assert_allclose(cut, whole, rtol=1e-12, atol=0)  # LAMMPS adds up squared charges in another order


def test_on_two_ranks_with_charges_the_trajectory_goes_on_too(tmp_path):
    program = [str(find_mpich_file("mpiexec.hydra", "mpiexec")), "-n", "2", sys.executable]
    script = str(Path(__file__).with_name("restart_on_ranks.py"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*program, script, str(tmp_path)], capture_output=True, text=True, env=environment, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    whole, cut = (list(read_dump(tmp_path / name / "trajectory.dump")) for name in ("whole", "cut"))
    assert [frame.timestep for frame in cut] == list(range(0, 31, 5))
    for one, other in zip(whole, cut, strict=True):  # the mesh adds up in another order
        assert np.abs(one.positions - other.positions).max() < 1e-13
        assert np.abs(one.velocities - other.velocities).max() < 1e-14
        assert np.abs(one.forces - other.forces).max() < 1e-10 < np.abs(one.forces).max()
    tables = [np.genfromtxt(tmp_path / name / "thermo.csv", delimiter=",", names=True) for name in ("whole", "cut")]
    for name in tables[0].dtype.names:
        assert np.allclose(tables[0][name], tables[1][name], rtol=1e-11, atol=0), name


def test_what_cannot_go_on_is_said_in_a_sentence(argon, helpers, tmp_path):
    loaded = helpers.load(helpers.LennardJones(8.0))
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"holds no restart\.lammps to go on from; run without --resume"):
        simulate(loaded, argon, settings(), out, resume=True)
    simulate(loaded, argon, settings(steps=20), out)
    with pytest.raises(InputError, match=r"timestep was 4\.0 when the run was started, not 2\.0; give the same"):
        simulate(loaded, argon, settings(timestep=2.0), out, resume=True)
    with pytest.raises(InputError, match=r"--steps: the run in .* has done 20 steps, not 10; ask for more"):
        simulate(loaded, argon, settings(steps=10), out, resume=True)
    with pytest.raises(InputError, match=r"engine was lammps when the run was started, not ase"):
        simulate(loaded, argon, settings(engine="ase", restart_every=None), out, resume=True)
    with pytest.raises(InputError, match=r"restart files are written by LAMMPS only; choose the engine lammps"):
        SimulationSettings.from_options(engine="ase", restart_every=5)
    table = (out / "thermo.csv").read_text()
    (out / "thermo.csv").write_text("")
    with pytest.raises(InputError, match=r"thermo\.csv: the run cannot go on with it"):
        simulate(loaded, argon, settings(), out, resume=True)
    (out / "thermo.csv").write_text(table)
    restart = out / "restart.lammps"
    restart.write_bytes(restart.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"restart\.lammps: is not a whole restart file; run without --resume"):
        simulate(loaded, argon, settings(), out, resume=True)
    (out / "simulate.yaml").write_text("model: [")
    with pytest.raises(InputError, match=r"simulate\.yaml: is damaged; run without --resume"):
        simulate(loaded, argon, settings(), out, resume=True)
