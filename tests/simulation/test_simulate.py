import json
import math
import os
import pickle
import re
import signal
import warnings
from dataclasses import replace
from itertools import chain, pairwise, repeat

import numpy as np
import pytest
import torch
import yaml
from tests.model.density.test_model import density

from gnnformd.errors import InputError
from gnnformd.evaluation.liquid.observed_run import ObservedRun
from gnnformd.evaluation.liquid.structure import structure
from gnnformd.force_field import AtomType, ForceField
from gnnformd.interfaces.ase import Calculator
from gnnformd.model.files.model_file import LoadedModel, ModelCard, load_model
from gnnformd.simulation.guard import ModelFailure
from gnnformd.simulation.md_run import Interrupted
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.formats.dump import read_dump
from gnnformd.trajectory.read import read_frames

BOTH = pytest.mark.parametrize("engine", ["lammps", "ase"])


def settings(**changes) -> SimulationSettings:
    values = {"ensemble": "nve", "velocities": "file", "timestep": 4.0, "temperature": 90.0, "steps": 40}
    return SimulationSettings(**values | {"dump_every": 5, "thermo_every": 2} | changes)


@pytest.fixture(scope="session")
def reference(argon, helpers, tmp_path_factory):
    """A run of LAMMPS's own potential from the same start, laid out as 'gnnformd generate' does."""
    folder = tmp_path_factory.mktemp("reference")
    with helpers.lammps(
        "units real",
        "pair_style lj/cut 8.0",
        f"read_data {argon}",
        "timestep 4",
        "fix 1 all nve",
        f"dump 1 all custom 5 {folder}/trajectory.dump id type x y z fx fy fz",
        "dump_modify 1 format float %.17g",
        f'fix 2 all print 5 "$(step),$(temp:%.12g)" file {folder}/thermo.csv screen no title "step,temperature_K"',
        "run 200",
    ):
        pass
    (folder / "reference.yaml").write_text(yaml.safe_dump({"system": "argon", "timestep_fs": 4.0}))
    return folder


@BOTH
def test_a_run_leaves_a_trajectory_whose_forces_are_the_models_own(argon, helpers, tmp_path, engine):
    loaded = helpers.load(helpers.LennardJones(8.0))
    run = simulate(loaded, argon, settings(engine=engine), tmp_path / "out")
    frames = list(read_dump(tmp_path / "out" / "trajectory.dump"))
    assert [frame.timestep for frame in frames] == list(range(0, 41, 5))
    assert (run.steps, run.atoms, run.ranks, run.stable, run.reason) == (40, 108, 1, True, None)
    assert run.microseconds_per_atom_step > 0
    last = frames[-1]
    with helpers.lammps("units real", "pair_style lj/cut 8.0", f"read_data {argon}") as lmp:
        wrapped = last.positions - np.floor((last.positions - last.origin) @ np.linalg.inv(last.cell)) @ last.cell
        for atom, place in zip(last.ids, wrapped, strict=True):
            lmp.command("set atom {} x {:.17g} y {:.17g} z {:.17g}".format(atom, *place))
        lmp.command("run 0")
        assert np.abs(helpers.by_id(lmp, "f") - last.forces).max() < 1e-8


@BOTH
def test_atoms_with_surroundings_like_none_in_training_are_counted(argon, helpers, tmp_path, engine):
    grades = chain([1.0, 2.5, 2.1, 1.0], repeat(1.0))
    simulate(helpers.load(helpers.Graded(8.0, grades)), argon, settings(engine=engine, steps=5), tmp_path / "out")
    written = json.loads((tmp_path / "out" / "simulate.json").read_text())["outside_training"]
    assert (written["steps"], written["unusual_steps"], written["unusual_atoms"]) == (0, 2, 2)


def test_lammps_and_ase_go_the_same_way(argon, helpers, tmp_path):
    loaded = helpers.load(helpers.LennardJones(8.0))
    ends = {}
    for engine in ("lammps", "ase"):
        simulate(loaded, argon, settings(engine=engine), tmp_path / engine)
        ends[engine] = list(read_dump(tmp_path / engine / "trajectory.dump"))[-1]
        table = np.genfromtxt(tmp_path / engine / "thermo.csv", delimiter=",", names=True)
        ends[engine, "thermo"] = table[-1]
    moved = ends["ase"].positions - ends["lammps"].positions
    assert np.abs(moved - 17.22 * np.round(moved / 17.22)).max() < 1e-6
    for name in ("step", "time_fs", "temperature_K", "potential_energy", "total_energy", "volume_A3", "pressure_atm"):
        assert ends["ase", "thermo"][name] == pytest.approx(ends["lammps", "thermo"][name], rel=3e-6), name


def test_the_written_files_say_what_design_promises(argon, helpers, tmp_path):
    simulate(helpers.load(helpers.LennardJones(8.0)), argon, settings(), tmp_path)
    data = json.loads((tmp_path / "simulate.json").read_text())
    assert data["steps"] == 40
    assert set(data["temperature"]) == {"mean", "standard_error"}
    assert 50 < data["temperature"]["mean"] < 150
    assert set(data["thermo"]) == {"step", "temperature", "potential_energy", "total_energy"}
    assert data["thermo"]["step"] == list(range(0, 41, 2))
    assert list(data["rdf"]) == ["Ar-Ar"]
    assert data["rdf"]["Ar-Ar"]["reference"] is None
    manifest = yaml.safe_load((tmp_path / "simulate.yaml").read_text())
    assert SimulationSettings(**manifest["settings"]) == settings()
    assert "Loop time" in (tmp_path / "log.lammps").read_text()


def test_a_run_goes_on_from_the_final_data_file_as_if_it_had_not_ended(argon, helpers, tmp_path):
    loaded = helpers.load(helpers.LennardJones(8.0))
    simulate(loaded, argon, settings(), tmp_path / "whole")
    simulate(loaded, argon, settings(steps=20), tmp_path / "first")
    simulate(loaded, tmp_path / "first" / "final.data", settings(steps=20), tmp_path / "second")
    whole = list(read_dump(tmp_path / "whole" / "trajectory.dump"))[-1]
    parts = list(read_dump(tmp_path / "second" / "trajectory.dump"))[-1]
    assert np.abs(whole.forces - parts.forces).max() < 1e-6


def test_the_final_data_file_has_the_names_of_the_start_or_else_of_the_model(argon, helpers, tmp_path):
    loaded = helpers.load(helpers.LennardJones(8.0))
    simulate(loaded, argon, settings(steps=2), tmp_path / "first")
    assert read_topology(argon).type_names is None
    assert read_topology(tmp_path / "first" / "final.data").type_names == ("Ar",)
    text = argon.read_text()
    named = tmp_path / "named.data"
    named.write_text(re.sub(r"(Masses.*\n\n1 .*)", r"\1 # Ar-40", text))
    assert read_topology(named).type_names == ("Ar-40",)
    simulate(loaded, named, settings(steps=2), tmp_path / "second")
    assert read_topology(tmp_path / "second" / "final.data").type_names == ("Ar-40",)
    labels = tmp_path / "labels.data"
    labels.write_text(text.replace("Masses", "Atom Type Labels\n\n1 Argon\n\nMasses", 1))
    simulate(loaded, labels, settings(steps=2), tmp_path / "third")
    assert read_topology(tmp_path / "third" / "final.data").type_names == ("Argon",)


@BOTH
def test_molecules_run_with_the_forces_of_the_network_and_nothing_of_the_classical_force_field(
    water, water_data, water_model, tmp_path, engine
):
    loaded = load_model(water_model, dtype=torch.float64)
    short = settings(engine=engine, velocities="create", timestep=0.5, steps=3, dump_every=1)
    simulate(loaded, water_data, short, tmp_path / "out")
    water.calc = Calculator(loaded)
    for frame in read_dump(tmp_path / "out" / "trajectory.dump"):
        water.positions[:] = frame.positions
        assert np.abs(water.get_forces() * 23.060549 - frame.forces).max() < 1e-9
        assert frame.molecule_ids.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]


@BOTH
def test_a_conservative_model_conserves_energy(argon, helpers, tmp_path, engine):
    # at a tenth of the timestep the error of Verlet is a hundredth: what is left would be the model's
    few = settings(engine=engine, timestep=0.4, thermo_every=1)
    run = simulate(helpers.load(helpers.LennardJones(8.0, shifted=True)), argon, few, tmp_path)
    energy = np.genfromtxt(tmp_path / "thermo.csv", delimiter=",", names=True)["conserved_energy"]
    assert np.ptp(energy) / 108 < 2e-5  # kcal/mol; kT is 0.18
    assert math.isfinite(run.comparison.energy_drift.value)


def test_the_same_structure_as_the_reference_is_found_the_same(argon, helpers, reference, tmp_path):
    loaded = helpers.load(helpers.LennardJones(8.0))
    run = simulate(loaded, argon, settings(steps=200), tmp_path, compare=reference)
    curve = run.comparison.curves["rdf"]["Ar-Ar"]
    g, r = np.array(curve["g"]), np.array(curve["r"])
    assert np.abs(g - np.array(curve["reference"])).max() < 0.02
    assert r[g.argmax()] == pytest.approx(3.7, abs=0.15)  # first shell of liquid argon
    frames = list(read_dump(tmp_path / "trajectory.dump"))
    steps = [b.positions - a.positions for a, b in pairwise(frames)]
    assert np.abs(steps).max() < 1.0  # unwrapped: nothing jumps by a box
    outside = frames[-1].positions - frames[-1].origin
    assert (outside < 0).any() or (outside > 17.22).any()
    temperature = run.comparison.observables["temperature, K"]
    assert temperature.value.value == pytest.approx(temperature.reference.value, rel=1e-3)
    assert run.comparison.verdict.answer != "differs"
    assert (run.comparison.stability.stable_ps, run.comparison.stability.reason) == (0.8, None)


def test_another_structure_than_the_references_is_found_different(argon, helpers, reference, tmp_path):
    # atoms that do not feel each other lose their structure in less than a picosecond
    run = simulate(helpers.load(helpers.Push(0.0)), argon, settings(steps=400), tmp_path, compare=reference)
    assert run.comparison.observables["largest gap of g(r), Ar-Ar"].value.value > 0.5
    assert run.comparison.stability.stable_ps < 1.5
    assert "g(r), Ar-Ar" in run.comparison.stability.reason


def test_another_temperature_than_that_of_the_reference_or_of_the_training_gets_a_remark(
    argon, helpers, reference, tmp_path
):
    loaded = helpers.load(helpers.LennardJones(8.0), temperature_K=[80.0, 90.0, 100.0])
    hot = settings(steps=2, ensemble="nvt", temperature=300.0, velocities="create")
    mean = np.genfromtxt(reference / "thermo.csv", delimiter=",", names=True)["temperature_K"].mean()
    with pytest.warns(UserWarning, match=f"at 300 K, and the reference at {mean:.4g} K on average; .* --temperature"):
        simulate(loaded, argon, hot, tmp_path / "one", compare=reference)
    with pytest.warns(UserWarning, match="at 300 K, and the training data are between 80 and 100 K; the model extrap"):
        simulate(loaded, argon, hot, tmp_path / "two")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="the run is at")
        simulate(loaded, argon, settings(steps=2), tmp_path / "three", compare=reference)  # nve
        same = settings(steps=2, ensemble="nvt", temperature=95.0, velocities="create")
        simulate(loaded, argon, same, tmp_path / "four")


def test_a_short_run_is_no_ground_for_a_verdict(argon, helpers, reference, tmp_path):
    run = simulate(helpers.load(helpers.LennardJones(8.0)), argon, settings(steps=10), tmp_path, compare=reference)
    assert run.comparison.verdict.answer == "too short"
    data = json.loads((tmp_path / "simulate.json").read_text())
    assert data["temperature"]["standard_error"] is None
    temperature = data["observables"]["temperature, K"]
    assert re.fullmatch(r"too short to say; a run of about \S+ ps.* would do", temperature["verdict"])
    assert temperature["needed_ps"] > 0.04


def test_the_last_frame_stands_for_a_run_that_has_none_after_its_equilibration(water_data, water_model, tmp_path):
    few = settings(velocities="create", timestep=0.5, steps=3, dump_every=2)
    simulate(load_model(water_model, dtype=torch.float64), water_data, few, tmp_path / "out")
    side = ObservedRun.of_run(tmp_path / "out", read_topology(water_data), 0.5)
    late, last = (structure(replace(side, first_step=step), None, ["O", "H"]) for step in (3, 2))
    assert json.dumps(late.curves) == json.dumps(last.curves)
    name = "mean bond O-H, angstrom"
    assert late.observables[name].value.value == last.observables[name].value.value


def test_velocities_are_written_as_they_are(argon, helpers, tmp_path):
    ends = {}
    for engine in ("lammps", "ase"):
        simulate(helpers.load(helpers.LennardJones(8.0)), argon, settings(engine=engine), tmp_path / engine)
        frames = list(read_dump(tmp_path / engine / "trajectory.dump"))
        ends[engine] = frames[-1].velocities
        twice_kinetic = 39.948 * (frames[-1].velocities ** 2).sum() * 48.88821291**2
        table = np.genfromtxt(tmp_path / engine / "thermo.csv", delimiter=",", names=True)
        assert twice_kinetic / 2 == pytest.approx(table["kinetic_energy"][-1], rel=1e-5)
    assert np.abs(ends["lammps"] - ends["ase"]).max() < 1e-8


def test_a_mesh_that_pushes_the_system_about_does_not_move_it(water_data, tmp_path):
    few = settings(velocities="create", timestep=0.01, steps=5, dump_every=5)
    model = density()
    loaded = LoadedModel(model.eval(), ModelCard(model.settings, ("O", "H"), None), tmp_path / "made here")
    run = simulate(loaded, water_data, few, tmp_path / "out")
    frame = list(read_dump(tmp_path / "out" / "trajectory.dump"))[-1]
    momenta = np.array([15.9994, 1.008])[frame.types - 1, None] * frame.velocities
    assert np.abs(momenta.sum(axis=0)).max() < 1e-12 < np.abs(momenta).max()
    assert np.abs(frame.forces.sum(axis=0)).max() < 1e-2
    assert "kspace_modify diff ad" in (tmp_path / "out" / "log.lammps").read_text()
    assert "center-of-mass temperature, K" not in run.comparison.observables


@BOTH
@pytest.mark.parametrize("mesh_from", [10, 3000])
def test_learned_charges_on_a_mesh_do_not_move_the_system_either(water_data, tmp_path, engine, mesh_from):
    few = settings(engine=engine, timestep=0.01, steps=5, dump_every=5, velocities="create")
    model = density(electrostatics="learned")
    model.electrostatics.mesh_from = mesh_from
    loaded = LoadedModel(model.eval(), ModelCard(model.settings, ("O", "H"), None), tmp_path / "made here")
    run = simulate(loaded, water_data, few, tmp_path / "out")
    frame = list(read_dump(tmp_path / "out" / "trajectory.dump"))[-1]
    momenta = np.array([15.9994, 1.008])[frame.types - 1, None] * frame.velocities
    assert np.abs(momenta.sum(axis=0)).max() < 1e-12 < np.abs(momenta).max()
    net, size = np.abs(frame.forces.sum(axis=0)).max(), np.abs(frame.forces).max()
    on_mesh = mesh_from == 10
    assert (net > 1e-8 * size) == on_mesh
    assert model.keeps_momentum(len(frame.types), periodic=True) != on_mesh
    assert model.keeps_momentum(len(frame.types), periodic=False)
    assert ("center-of-mass temperature, K" in run.comparison.observables) != on_mesh


def test_a_model_that_is_not_usable_is_simulated_with_a_warning(argon, helpers, tmp_path):
    loaded = helpers.load(helpers.LennardJones(8.0))
    errors = {"validation_l1_per_atom": 0.9, "validation_mean_force": 1.0}
    poor = replace(loaded, card=replace(loaded.card, trained_on=(errors,)))
    with pytest.warns(UserWarning, match="This model is not usable: its forces are wrong by 90 %"):
        simulate(poor, argon, settings(steps=1), tmp_path / "md")


def test_conservation_is_judged_in_per_cent_of_the_heat(argon, helpers, tmp_path):
    few = settings(timestep=0.4, steps=120, thermo_every=2)
    run = simulate(helpers.load(helpers.LennardJones(8.0, shifted=True)), argon, few, tmp_path)
    found = run.comparison.observables["drift, % of kT per atom and ns"]
    data = run.to_dict()
    kT = 0.0019872067 * data["temperature"]["mean"]
    drift = data["energy_drift_per_atom_per_ns"]
    assert found.value.value == pytest.approx(100 * drift / kT, rel=1e-9)
    assert data["energy_drift_percent_of_kT_per_atom_per_ns"] == pytest.approx(100 * drift / kT, rel=1e-9)
    # momentum is conserved to rounding
    assert run.comparison.observables["center-of-mass temperature, K"].value.value < 1e-12


@BOTH
def test_a_model_that_blows_up_ends_with_a_verdict(argon, helpers, tmp_path, engine):
    model = helpers.Spoiled(8.0, sound=20, spoil=lambda forces: forces * 1e6)
    run = simulate(helpers.load(model), argon, settings(engine=engine), tmp_path)
    assert not run.stable
    assert 15 < run.stopped_at_step < 25
    assert "temperature" in run.reason
    assert json.loads((tmp_path / "simulate.json").read_text())["stable"] is False
    frames = list(read_dump(tmp_path / "trajectory.dump"))
    assert all(np.isfinite(frame.forces).all() for frame in frames)
    assert not (tmp_path / "final.data").exists()


@BOTH
def test_a_force_that_is_no_number_ends_with_a_verdict(argon, helpers, tmp_path, engine):
    model = helpers.Spoiled(8.0, sound=12, spoil=lambda forces: forces * torch.nan)
    run = simulate(helpers.load(model), argon, settings(engine=engine), tmp_path)
    assert not run.stable
    assert "force of atom" in run.reason
    assert run.steps < 13


def pushed(helpers) -> LoadedModel:
    """Argon with a force of 40 on one atom from the fourth evaluation on, of a model that saw 20 at most."""

    def kick(forces):
        return torch.cat([torch.tensor([[0.0, 40.0, 0.0]]).to(forces), forces[1:]])

    return helpers.load(helpers.Spoiled(8.0, sound=4, spoil=kick), largest_forces={"Ar": 20.0})


@BOTH
def test_steps_outside_of_the_training_data_are_warned_of_counted_and_dumped(argon, helpers, tmp_path, engine):
    asked = settings(engine=engine, steps=10, guard="dump")
    with pytest.warns(UserWarning, match=r"the force on atom \d+ is 40 kcal/mol/angstrom, in training at most 20"):
        run = simulate(pushed(helpers), argon, asked, tmp_path)
    frames = list(read_dump(tmp_path / "outside.dump"))
    assert [frame.timestep for frame in frames] == list(range(run.departures.first_step, 11))
    assert all(np.linalg.norm(frame.forces, axis=1).max() == pytest.approx(40.0, rel=1e-6) for frame in frames)
    written = json.loads((tmp_path / "simulate.json").read_text())
    assert written["stable"]
    assert written["outside_training"]["steps"] == len(frames)
    assert written["outside_training"]["reason"].startswith("the force on atom")


@BOTH
def test_a_run_can_be_told_to_stop_outside_of_the_training_data(argon, helpers, tmp_path, engine):
    run = simulate(pushed(helpers), argon, settings(engine=engine, steps=10, guard="stop"), tmp_path)
    assert not run.stable
    assert run.stopped_at_step == run.departures.first_step < 5
    assert run.reason.endswith("is 40 kcal/mol/angstrom, in training at most 20.")
    assert not (tmp_path / "outside.dump").exists()


def test_in_a_wide_box_g_is_measured_up_to_15_angstrom(helpers, tmp_path):
    places = "".join(f"{k + 1} 1 {5 * k} {7 * (k % 3)} {9 * (k % 4)}\n" for k in range(8))
    file = tmp_path / "gas.data"
    file.write_text(
        "gas\n\n8 atoms\n1 atom types\n0 40 xlo xhi\n0 40 ylo yhi\n0 40 zlo zhi\n\nMasses\n\n1 39.948\n\n"
        f"Atoms # atomic\n\n{places}"
    )
    run = simulate(
        helpers.load(helpers.LennardJones(8.0)), file, settings(velocities="create", steps=20), tmp_path / "out"
    )
    r = run.comparison.curves["rdf"]["Ar-Ar"]["r"]
    assert r[-1] + r[0] == pytest.approx(15.0)


@BOTH
def test_a_run_inside_of_the_training_data_dumps_nothing(argon, helpers, tmp_path, engine):
    loaded = helpers.load(helpers.LennardJones(8.0), largest_forces={"Ar": 20.0}, closest_pairs=[[0, "Ar", "Ar", 2.0]])
    run = simulate(loaded, argon, settings(engine=engine, steps=10, guard="dump"), tmp_path)
    assert (run.departures.steps, run.departures.reason) == (0, None)
    assert not (tmp_path / "outside.dump").exists()


@BOTH
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("apart", [0.5, 0.0])
def test_atoms_that_the_model_cannot_tell_apart_stop_the_run(tmp_path, engine, compiled, apart):
    model = density(cutoff=5.0, electrostatics="none").double()
    file = tmp_path / "two.data"
    file.write_text(
        "two atoms\n\n2 atoms\n1 atom types\n0 20 xlo xhi\n0 20 ylo yhi\n0 20 zlo zhi\n\nMasses\n\n1 39.948\n\n"
        f"Atoms # atomic\n\n1 1 5 5 5\n2 1 {5 + apart} 5 5\n"
    )
    loaded = LoadedModel(model.eval(), ModelCard(model.settings, ("Ar", "Kr"), None), tmp_path / "m", compiled)
    asked = settings(engine=engine, velocities="create", timestep=0.1)
    run = simulate(loaded, file, asked, tmp_path / "out")
    assert run.stopped_at_step == 0
    assert run.reason.startswith(f"atoms 1 and 2 are {apart:.3g} angstrom apart; below 0.")
    assert run.reason.endswith("the model cannot judge their distance.")


@BOTH
def test_forces_that_are_wrong_from_the_first_step_leave_no_trajectory(argon, helpers, tmp_path, engine):
    model = helpers.Spoiled(8.0, sound=0, spoil=lambda forces: forces * torch.nan)
    run = simulate(helpers.load(model), argon, settings(engine=engine), tmp_path)
    assert (run.stable, run.steps, run.stopped_at_step) == (False, 0, 0)
    assert json.loads((tmp_path / "simulate.json").read_text())["microseconds_per_atom_step"] is None
    assert not (tmp_path / "trajectory.dump").exists()


@BOTH
def test_a_model_that_raises_is_a_fault_and_no_verdict(argon, helpers, tmp_path, engine):
    def fail(_forces):
        raise KeyError("w")

    model = helpers.Spoiled(8.0, sound=12, spoil=fail)
    with pytest.raises(ModelFailure, match="KeyError"):
        simulate(helpers.load(model), argon, settings(engine=engine), tmp_path)
    assert not (tmp_path / "simulate.json").exists()


@BOTH
def test_an_interrupt_leaves_a_trajectory_that_can_be_read(argon, helpers, tmp_path, engine):
    def press(done, _total):
        if done == 12:
            os.kill(os.getpid(), signal.SIGINT)

    loaded = helpers.load(helpers.LennardJones(8.0))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        simulate(loaded, argon, settings(engine=engine), tmp_path, progress=press)
    assert caught.value.run.steps == 12 and pickle.loads(pickle.dumps(caught.value)).run.steps == 12  # to other ranks
    (note,) = caught.value.__notes__
    assert note.startswith(f"12 of 40 steps are done, and all files in {tmp_path} are complete; ")
    assert ("the same command with --resume goes on" in note) == (engine == "lammps")
    assert signal.getsignal(signal.SIGINT) is before
    data = json.loads((tmp_path / "simulate.json").read_text())
    assert (data["interrupted"], data["stable"], data["steps"]) == (True, True, 12)
    assert len(list(read_dump(tmp_path / "trajectory.dump"))) >= 3


@BOTH
def test_a_run_that_is_refused_writes_nothing_and_keeps_an_earlier_one(argon, helpers, tmp_path, engine):
    class Refusing(helpers.LennardJones):
        def forward(self, graph, fixed=None):
            raise InputError("the model: cannot do this; use another.")

    with pytest.raises(InputError, match="cannot do this"):
        simulate(helpers.load(Refusing(8.0)), argon, settings(engine=engine), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    simulate(helpers.load(helpers.LennardJones(8.0)), argon, settings(engine=engine), tmp_path / "old")
    before = {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    with pytest.raises(InputError, match="cannot do this"):
        simulate(helpers.load(Refusing(8.0)), argon, settings(engine=engine, steps=7), tmp_path / "old")
    assert {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before


def test_a_pressure_that_is_not_known_is_refused_before_anything_is_written(argon, helpers, tmp_path):
    with pytest.raises(InputError, match="has no virial, so its pressure is not known"):
        simulate(helpers.load(helpers.Push(5.0)), argon, settings(ensemble="npt"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@BOTH
def test_without_an_energy_nothing_is_said_of_energies_and_the_system_does_not_drift(argon, helpers, tmp_path, engine):
    run = simulate(helpers.load(helpers.Push(5.0)), argon, settings(engine=engine), tmp_path)
    data = run.to_dict()
    assert data["energy_drift_per_atom_per_ns"] is None
    assert set(data["thermo"]["total_energy"]) == {None}
    frames = list(read_dump(tmp_path / "trajectory.dump"))
    assert np.abs(frames[-1].forces - 5.0).max() < 1e-5
    # a push of 5 kcal/mol/A would carry argon 4 A in these 160 fs
    assert np.abs((frames[-1].positions - frames[0].positions).mean(axis=0)).max() < 0.1


@pytest.mark.parametrize("ensemble", ["nvt", "npt"])
def test_the_thermostat_brings_the_system_to_its_temperature(argon, helpers, tmp_path, ensemble):
    hot = settings(ensemble=ensemble, temperature=250.0, velocities="create", steps=400, pressure=2500.0)
    run = simulate(helpers.load(helpers.LennardJones(8.0)), argon, hot, tmp_path)
    series = np.array(run.thermo["temperature"])
    assert series[0] == pytest.approx(250, rel=1e-6)
    assert series[len(series) // 2 :].mean() == pytest.approx(250, abs=40)
    volume = np.genfromtxt(tmp_path / "thermo.csv", delimiter=",", names=True)["volume_A3"]
    assert (np.ptp(volume) > 0) == (ensemble == "npt")
    # the thermostat's own energy is counted
    drift = run.comparison.energy_drift.value * 400 * 4e-6
    assert abs(drift) < 0.01  # kcal/mol per atom over the run


def test_langevin_holds_the_temperature_in_ase(argon, helpers, tmp_path):
    run = simulate(
        helpers.load(helpers.LennardJones(8.0)),
        argon,
        settings(engine="ase", ensemble="nvt", velocities="create", steps=60),
        tmp_path,
    )
    assert run.thermo["temperature"][0] == pytest.approx(90, rel=1e-4)
    assert run.comparison.temperature.value == pytest.approx(90, abs=30)
    assert math.isnan(run.comparison.energy_drift.value)


def test_constant_pressure_without_a_virial_is_refused(argon, helpers, tmp_path):
    with pytest.raises(InputError, match="has no virial"):
        simulate(helpers.load(helpers.Push()), argon, settings(ensemble="npt"), tmp_path)


@pytest.mark.parametrize(("learned", "told"), [({}, True), ({"train_virial_share": 0.01}, False), (None, False)])
def test_a_pressure_that_was_not_learned_is_told(argon, helpers, tmp_path, learned, told):
    loaded = helpers.load(helpers.LennardJones(8.0))
    last = () if learned is None else ({"validation_mean_force": 1.0, **learned},)  # older files do not say it
    loaded = replace(loaded, card=replace(loaded.card, trained_on=last))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        simulate(loaded, argon, settings(ensemble="npt", steps=2), tmp_path)
    assert told == any("was trained without virials" in str(warning.message) for warning in found)


def test_files_of_another_kind_are_never_overwritten(argon, helpers, reference, tmp_path):
    loaded = helpers.load(helpers.LennardJones(8.0))
    before = (reference / "trajectory.dump").read_bytes()
    with pytest.raises(InputError, match="was not written by a simulation"):
        simulate(loaded, argon, settings(), reference)
    assert (reference / "trajectory.dump").read_bytes() == before
    simulate(loaded, argon, settings(steps=2), tmp_path)
    with pytest.raises(InputError, match="would be overwritten"):
        simulate(loaded, tmp_path / "final.data", settings(steps=2), tmp_path)
    simulate(loaded, argon, settings(steps=3), tmp_path)
    assert json.loads((tmp_path / "simulate.json").read_text())["steps"] == 3


def test_velocities_that_the_file_does_not_have_are_asked_for(argon, helpers, tmp_path):
    text = argon.read_text()
    bare = tmp_path / "bare.data"
    bare.write_text(text[: text.index("Velocities")])
    for engine in ("lammps", "ase"):
        loaded, out = helpers.load(helpers.LennardJones(8.0)), tmp_path / engine
        simulate(loaded, argon, settings(engine=engine, steps=2), out)
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        with pytest.raises(InputError, match="no velocity for each atom"):
            simulate(loaded, bare, settings(engine=engine), out)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_velocities_are_drawn_where_ids_have_gaps(argon, helpers, tmp_path):
    gaps = tmp_path / "gaps.data"
    gaps.write_text(re.sub(r"^108 ", "1080 ", argon.read_text(), flags=re.MULTILINE).replace("1080 atoms", "108 atoms"))
    simulate(
        helpers.load(helpers.LennardJones(8.0)),
        gaps,
        settings(velocities="create", steps=5, dump_every=1),
        tmp_path / "out",
    )
    first = next(iter(read_dump(tmp_path / "out" / "trajectory.dump")))
    assert first.ids[-1] == 1080
    assert np.abs(first.velocities).min() > 0
    np.testing.assert_allclose(first.velocities.sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("name", ["ünï", "数据", "two words", "it's", 'say "so"', "a$b", "star*", "50%", "a&b#c[1]"])
def test_every_name_of_a_folder_or_file_works(argon, helpers, tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    file = folder / f"{name}.data"
    file.write_text(argon.read_text())
    loaded, out = helpers.load(helpers.LennardJones(8.0)), folder / f"{name} md"
    simulate(loaded, file, settings(steps=10, restart_every=5), out)
    assert len(list(read_frames(out))) == 3
    simulate(loaded, file, settings(steps=20, restart_every=5), out, resume=True)
    assert [f.timestep for f in read_frames(out)] == [0, 5, 10, 15, 20]
    assert (out / "final.data").exists() and (out / "thermo.csv").exists() and (out / "log.lammps").exists()
    file.write_text(argon.read_text().replace("Atoms # atomic", "Atoms # atomic\n\n1 1 1 1 1", 1))
    with pytest.raises(InputError) as caught:
        simulate(loaded, file, settings(steps=10), folder / "other")
    assert str(file) in str(caught.value)


def with_velocities_of_metal(file, path, title):
    """Write a data file with its velocities in angstrom/ps and another title."""
    _, head, velocities = re.split(r"^LAMMPS.*\n|(?<=Velocities)\n\n", file.read_text(), flags=re.MULTILINE)
    rows = [line.split() for line in velocities.splitlines()]
    scaled = "\n".join(" ".join([row[0], *(repr(1000 * float(v)) for v in row[1:])]) for row in rows)
    path.write_text(f"{title}\n{head}\n\n{scaled}\n")
    return path


@BOTH
def test_velocities_of_a_file_in_units_metal_are_converted(argon, helpers, tmp_path, engine):
    title = "LAMMPS data file via write_data, version 22 Jul 2025, timestep = 1000, units = metal"
    metal = with_velocities_of_metal(argon, tmp_path / "metal.data", title)
    loaded = helpers.load(helpers.LennardJones(8.0))
    frames = []
    for name, file in (("real", argon), ("metal", metal)):
        simulate(loaded, file, settings(engine=engine, steps=10), tmp_path / name)
        frames.append(list(read_dump(tmp_path / name / "trajectory.dump")))
    for real, converted in zip(*frames, strict=True):
        np.testing.assert_allclose(converted.velocities, real.velocities, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(converted.positions, real.positions, rtol=1e-9)


@BOTH
def test_velocities_that_cannot_be_in_real_units_are_refused(argon, helpers, tmp_path, engine):
    unknown = with_velocities_of_metal(argon, tmp_path / "unknown.data", "atoms of somebody")
    with pytest.raises(InputError, match=r"unknown\.data: does not say its units, and the mean velocity would be"):
        simulate(helpers.load(helpers.LennardJones(8.0)), unknown, settings(engine=engine), tmp_path / "out")


def test_atoms_that_are_others_than_the_models_are_refused(argon, helpers, tmp_path):
    oxygen = ForceField((AtomType("O", 15.9994, -0.82, 0.155, 3.165),))
    loaded = helpers.load(helpers.LennardJones(8.0), oxygen, ("O",))
    sentence = r"argon.data: its atom types are 1 \(mass 39.948\), but those of the model are O "
    with pytest.raises(InputError, match=sentence):
        simulate(loaded, argon, settings(steps=1), tmp_path)


def test_a_named_type_of_another_mass_is_pointed_out(argon, helpers, tmp_path):
    heavy = tmp_path / "heavy.data"
    heavy.write_text(re.sub(r"1 39.948\S*", "1 50 # Ar", argon.read_text()))
    with pytest.warns(UserWarning, match=r"heavy.data: type 1 has mass 50, but it is Ar with mass 39.9"):
        simulate(helpers.load(helpers.LennardJones(8.0)), heavy, settings(steps=1), tmp_path / "md")


@BOTH
def test_an_interrupt_during_the_first_forces_is_not_lost(argon, helpers, tmp_path, engine):
    presses = [signal.SIGINT]

    def press(forces):
        if presses:
            os.kill(os.getpid(), presses.pop())
        return forces

    loaded = helpers.load(helpers.Spoiled(8.0, 0, press))
    with pytest.raises(KeyboardInterrupt):
        simulate(loaded, argon, settings(engine=engine, steps=50), tmp_path)
    assert json.loads((tmp_path / "simulate.json").read_text())["steps"] <= 1
