import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.simulation.lammps.rank_cases import case
from tests.simulation.lammps.rank_cases import read as read_frame

from gnnformd.errors import InputError
from gnnformd.inference.training_range import Unstable
from gnnformd.reference.library import open_lammps
from gnnformd.simulation.guard import Guard, ModelFailure
from gnnformd.simulation.lammps.coupling import Coupling


def read(path: Path, *more: str) -> list[str]:
    return ["units real", "atom_style atomic", "pair_style zero 8.0 nocoeff", f"read_data {path}", "timestep 4", *more]


def own(path: Path, cutoff: float, *more: str) -> list[str]:
    """LAMMPS with its own Lennard-Jones potential."""
    return [*read(path), f"pair_style lj/cut {cutoff}", "pair_coeff 1 1 0.2378 3.405", *more]


# 17.22 angstrom wide: 8 is within half the box, 10 is not, with 20 an atom meets its own images
@pytest.mark.parametrize("cutoff", [8.0, 10.0, 20.0])
def test_forces_energy_and_pressure_are_those_of_lammps_itself(argon, helpers, cutoff):
    with helpers.lammps(*own(argon, cutoff, "run 0")) as lmp:
        forces, energy, pressure = helpers.by_id(lmp, "f"), lmp.get_thermo("pe"), lmp.get_thermo("press")
        components = [lmp.get_thermo(name) for name in ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")]
    with helpers.lammps(*read(argon)) as lmp:
        Coupling(lmp, helpers.load(helpers.LennardJones(cutoff))).run(0)
        assert np.abs(helpers.by_id(lmp, "f") - forces).max() < 1e-9
        assert lmp.get_thermo("pe") == pytest.approx(energy, rel=1e-12)
        assert lmp.get_thermo("press") == pytest.approx(pressure, rel=1e-9)
        ours = [lmp.get_thermo(name) for name in ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")]
        assert ours == pytest.approx(components, rel=1e-8, abs=1e-6)


def test_forces_are_those_of_lammps_itself_in_a_tilted_box(argon, helpers):
    tilt = ["change_box all triclinic", "change_box all xy final 5 xz final -3 yz final 2 remap units box"]
    with helpers.lammps(*own(argon, 8.0, *tilt, "run 0")) as lmp:
        forces, pressure = helpers.by_id(lmp, "f"), lmp.get_thermo("press")
    with helpers.lammps(*read(argon, *tilt)) as lmp:
        Coupling(lmp, helpers.load(helpers.LennardJones(8.0))).run(0)
        assert np.abs(helpers.by_id(lmp, "f") - forces).max() < 1e-9
        assert lmp.get_thermo("press") == pytest.approx(pressure, rel=1e-9)


@pytest.mark.parametrize(
    "ensemble", ["nve", "npt temp 90 90 400 iso 500 500 4000"], ids=["constant-energy", "constant-pressure"]
)
def test_the_trajectory_is_that_of_lammps_itself_for_100_steps(argon, helpers, ensemble):
    with helpers.lammps(*own(argon, 8.0, f"fix 1 all {ensemble}", "run 100")) as lmp:
        positions, velocities = helpers.by_id(lmp, "x"), helpers.by_id(lmp, "v")
        volume = lmp.get_thermo("vol")
    with helpers.lammps(*read(argon, f"fix 1 all {ensemble}")) as lmp:
        Coupling(lmp, helpers.load(helpers.LennardJones(8.0))).run(100)
        box = volume ** (1 / 3)
        moved = helpers.by_id(lmp, "x") - positions
        assert np.abs(moved - box * np.round(moved / box)).max() < 1e-8
        assert np.abs(helpers.by_id(lmp, "v") - velocities).max() < 1e-10
        assert lmp.get_thermo("vol") == pytest.approx(volume, rel=1e-10)


def test_energy_is_conserved_as_well_as_by_lammps_itself(argon, helpers):
    def spread(lmp, run) -> float:
        energies = []
        for _ in range(20):
            run(10)
            energies.append(lmp.get_thermo("etotal"))
        return float(np.ptp(energies))

    with helpers.lammps(*own(argon, 8.0, "fix 1 all nve")) as lmp:
        expected = spread(lmp, lambda n: lmp.command(f"run {n}"))
    with helpers.lammps(*read(argon, "fix 1 all nve")) as lmp:
        ours = spread(lmp, Coupling(lmp, helpers.load(helpers.LennardJones(8.0))).run)
    assert ours == pytest.approx(expected, rel=1e-3)


def test_the_classical_force_field_of_an_input_is_put_out_of_force(helpers):
    commands = [
        "units real",
        "atom_style full",
        "region box block 0 20 0 20 0 20",
        "create_box 1 box bond/types 1 angle/types 1 extra/bond/per/atom 2 extra/angle/per/atom 1 "
        "extra/special/per/atom 2",
        "create_atoms 1 single 5 5 5",
        "create_atoms 1 single 6 5 5",
        "create_atoms 1 single 5 6 5",
        "mass 1 39.948",
        "set group all charge 0.5",
        "pair_style lj/cut/coul/long 8 8",
        "pair_coeff 1 1 0.1 3.0",
        "kspace_style pppm 1e-4",
        "bond_style harmonic",
        "bond_coeff 1 500 1.2",
        "angle_style harmonic",
        "angle_coeff 1 50 100",
        "create_bonds single/bond 1 1 2",
        "create_bonds single/bond 1 1 3",
        "create_bonds single/angle 1 2 1 3",
        "run 0",
    ]
    with helpers.lammps(*commands) as lmp:
        assert np.abs(helpers.by_id(lmp, "f")).max() > 1
        Coupling(lmp, helpers.load(helpers.Push(0.25))).run(0)
        assert (helpers.by_id(lmp, "f") == 0.25).all()


def test_the_model_sees_the_bonds_and_charges_that_lammps_has(helpers):
    seen = []

    class Look(helpers.Push):
        def forward(self, graph):
            seen.append(graph)
            return super().forward(graph)

    commands = [
        "units real",
        "atom_style full",
        "region box block 0 20 0 20 0 20",
        "create_box 2 box bond/types 1 extra/bond/per/atom 2 extra/special/per/atom 2",
        # ids 1, 2, 3: hydrogen, oxygen, hydrogen across the boundary, so that rows and bonds are not in file order
        "create_atoms 2 single 0.5 5 5",
        "create_atoms 1 single 19.5 5 5",
        "create_atoms 2 single 19.5 6 5",
        "mass 1 15.9994",
        "mass 2 1.008",
        "set type 1 charge -0.8",
        "set type 2 charge 0.4",
        "pair_style zero 5",
        "pair_coeff * *",
        "bond_style zero",
        "bond_coeff *",
        "create_bonds single/bond 1 2 1",
        "create_bonds single/bond 1 2 3",
    ]
    with helpers.lammps(*commands) as lmp:
        Coupling(lmp, helpers.load(Look(), None, ("O", "H"))).run(0)
    graph = seen[0]
    assert graph.type_index.tolist() == [1, 0, 1]
    assert graph.charges.tolist() == [0.4, -0.8, 0.4]
    kinds = {
        (i, j): k
        for i, j, k in zip(
            graph.center_index.tolist(), graph.neighbor_index.tolist(), graph.bond_kind.tolist(), strict=True
        )
    }
    assert kinds == {(0, 1): 1, (1, 0): 1, (1, 2): 1, (2, 1): 1, (0, 2): 2, (2, 0): 2}
    lengths = graph.edge_vectors().norm(dim=1)
    assert lengths[graph.bond_kind == 1].tolist() == pytest.approx([1.0] * 4)


def test_an_exception_in_the_model_stops_the_run_and_is_reported_with_its_step(argon, helpers, tmp_path):
    def fail(_forces):
        raise ZeroDivisionError("no good")

    dump = tmp_path / "d.dump"
    commands = read(argon, "fix 1 all nve", f"dump 1 all custom 1 {dump} id fx fy fz")
    with helpers.lammps(*commands) as lmp:
        coupling = Coupling(lmp, helpers.load(helpers.Spoiled(8.0, sound=6, spoil=fail)))
        with pytest.raises(ModelFailure, match="failed at step 6: ZeroDivisionError: no good") as caught:
            coupling.run(50)
        assert caught.value.step == 6
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert lmp.extract_global("ntimestep") == 6
    # nothing is written of the step that failed
    assert [line for line in dump.read_text().splitlines() if line.isdigit()][::2] == ["0", "1", "2", "3", "4", "5"]
    assert "nan" not in dump.read_text()


def test_a_force_that_is_no_number_stops_the_run_with_step_and_atom_ids(argon, helpers):
    def spoil(forces):
        forces = forces.clone()
        forces[[4, 16], 1] = torch.nan
        return forces

    with helpers.lammps(*read(argon, "fix 1 all nve")) as lmp:
        coupling = Coupling(lmp, helpers.load(helpers.Spoiled(8.0, sound=3, spoil=spoil)))
        with pytest.raises(Unstable, match="step 3: the force of atom 5, 17 is not finite") as caught:
            coupling.run(50)
        assert caught.value.step == 3
        assert lmp.extract_global("ntimestep") == 3


def test_a_temperature_beyond_the_limit_stops_the_run(argon, helpers):
    with helpers.lammps(*read(argon, "fix 1 all nve")) as lmp:
        kick = helpers.Spoiled(8.0, sound=3, spoil=lambda forces: forces * 1000)
        coupling = Coupling(lmp, helpers.load(kick), guard=Guard(max_temperature=500))
        with pytest.raises(Unstable, match="above the limit of 500 K") as caught:
            coupling.run(50)
        assert caught.value.step == 4


def kick(forces):
    """Push one atom with 40 kcal/mol/A."""
    forces = forces.clone()
    forces[4] = torch.tensor([0.0, 0.0, 40.0])
    return forces


def test_a_force_beyond_those_of_training_is_warned_of_once_and_its_frames_can_be_dumped(argon, helpers, tmp_path):
    dump = f"dump 1 all custom 1 {tmp_path}/outside.dump id fx fy fz"
    with helpers.lammps(*read(argon, "fix 1 all nve")) as lmp:
        model = helpers.Spoiled(8.0, sound=3, spoil=kick)
        coupling = Coupling(lmp, helpers.load(model, largest_forces={"Ar": 20.0}))
        lmp.command(dump)
        lmp.command("dump_modify 1 sort id skip v_gnnformd_inside")
        with pytest.warns(UserWarning) as said:
            coupling.run(6)
        (warning,) = (str(w.message) for w in said)
        assert warning.startswith("step 3: the force on atom 5 is 40 kcal/mol/angstrom, in training at most 20. ")
        assert (coupling.departures.steps, coupling.departures.first_step) == (4, 3)
        assert lmp.extract_global("ntimestep") == 6
    frames = (tmp_path / "outside.dump").read_text().split("ITEM: TIMESTEP\n")[1:]
    assert [int(frame.split()[0]) for frame in frames] == [3, 4, 5, 6]
    assert all("\n5 0 0 40 \n" in frame or "\n5 0 0 40\n" in frame for frame in frames)


def test_at_most_a_hundred_frames_are_dumped(argon, helpers, tmp_path):
    with helpers.lammps(*read(argon, "fix 1 all nve")) as lmp, pytest.warns(UserWarning, match="step 0"):
        coupling = Coupling(lmp, helpers.load(helpers.LennardJones(8.0), largest_forces={"Ar": 1e-3}))
        lmp.command(f"dump 1 all custom 1 {tmp_path}/outside.dump id")
        lmp.command("dump_modify 1 skip v_gnnformd_inside")
        coupling.run(0)
        coupling.run(120)  # the first step is evaluated twice
        assert coupling.departures.steps == 121
    assert (tmp_path / "outside.dump").read_text().count("ITEM: TIMESTEP") == 100


def test_a_force_beyond_those_of_training_stops_the_run_if_asked(argon, helpers):
    with helpers.lammps(*read(argon, "fix 1 all nve")) as lmp:
        model = helpers.Spoiled(8.0, sound=3, spoil=kick)
        loaded = helpers.load(model, largest_forces={"Ar": 20.0})
        with pytest.raises(Unstable, match="step 3: the force on atom 5 is 40 kcal/mol/angstrom"):
            Coupling(lmp, loaded, guard=Guard(stop_outside=True)).run(6)
        assert lmp.extract_global("ntimestep") == 3


@pytest.mark.parametrize(("largest", "steps"), [(26.6, 7), (26.7, 0)])
def test_up_to_one_and_a_half_of_the_largest_force_in_training_is_inside(argon, helpers, largest, steps):
    with helpers.lammps(*read(argon, "fix 1 all nve")) as lmp, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = helpers.Spoiled(8.0, sound=0, spoil=kick)
        coupling = Coupling(lmp, helpers.load(model, largest_forces={"Ar": largest}))
        coupling.run(6)
        assert coupling.departures.steps == steps


@pytest.mark.parametrize(("more", "steps"), [(1e-6, 1), (-1e-6, 0)])
def test_atoms_closer_than_in_training_are_warned_of(argon, helpers, more, steps):
    with helpers.lammps(*read(argon)) as lmp, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        low, high = lmp.extract_box()[:2]
        distance = closest_distance(helpers.by_id(lmp, "x"), high[0] - low[0])
        known = [[0, "Ar", "Ar", distance / 0.9 + more]]
        coupling = Coupling(lmp, helpers.load(helpers.LennardJones(8.0), closest_pairs=known))
        coupling.run(0)
        assert coupling.departures.steps == steps
        assert [
            f"are {distance:.3g} angstrom apart, closer than all such pairs in training" in str(w.message) for w in said
        ] == [True] * steps


@pytest.mark.filterwarnings("error")
def test_steps_at_which_atoms_have_surroundings_like_none_in_training_are_counted(argon, helpers):
    with helpers.lammps(*read(argon, "fix 1 all nve")) as lmp:
        grades = [1.0, 2.0, float("nan"), 2.5, 3.0, 1.0, 2.1, 2.1]
        coupling = Coupling(lmp, helpers.load(helpers.Graded(8.0, grades)))
        coupling.run(5)
        assert (coupling.departures.steps, coupling.departures.unusual) == (0, 2)
        coupling.run(1)  # the first step is evaluated again
        assert (coupling.departures.unusual, coupling.departures.unusual_atoms) == (4, 4)


@pytest.mark.parametrize(("share", "steps"), [(1 + 1e-6, 0), (1 - 1e-6, 1)])
@pytest.mark.filterwarnings("ignore:step 0")
def test_the_force_of_the_mesh_counts_too(share, steps):
    this = case("water 27 charges")
    lmp = open_lammps()
    try:
        read_frame(lmp, this.frame, [15.9994, 1.008])
        Coupling(lmp, this.loaded).run(0)
        count = lmp.get_natoms()
        forces = np.linalg.norm(lmp.numpy.extract_atom("f", nelem=count, dim=3), axis=1)
        types = lmp.numpy.extract_atom("type", nelem=count)
        largest = {name: float(share * forces[types == t].max() / 1.5) for t, name in enumerate("OH", start=1)}
    finally:
        lmp.close()
    card = replace(this.loaded.card, trained_on=({"largest_forces": largest},))
    lmp = open_lammps()
    try:
        read_frame(lmp, this.frame, [15.9994, 1.008])
        coupling = Coupling(lmp, replace(this.loaded, card=card))
        coupling.run(0)
        assert coupling.departures.steps == steps
    finally:
        lmp.close()


def closest_distance(x: np.ndarray, edge: float) -> float:
    delta = x[:, None] - x[None]
    delta -= edge * np.round(delta / edge)
    return float(np.sqrt((delta**2).sum(axis=2) + 1e9 * np.eye(len(x))).min())


def test_atoms_that_lammps_loses_are_counted(argon, helpers):
    with helpers.lammps(*read(argon, "fix 1 all nve")) as lmp:
        kick = helpers.Spoiled(8.0, sound=3, spoil=lambda forces: forces * 1e9)
        with pytest.raises(Unstable, match=r"\d+ of 108 atoms are lost") as caught:
            Coupling(lmp, helpers.load(kick)).run(50)
        assert 3 < caught.value.step < 10


def test_the_first_forces_are_checked_too(argon, helpers):
    with helpers.lammps(*read(argon, "fix 1 all nve")) as lmp:
        model = helpers.Spoiled(8.0, sound=0, spoil=lambda forces: forces * torch.inf)
        with pytest.raises(Unstable, match="and 100 more is not finite"):
            Coupling(lmp, helpers.load(model)).run(0)


def test_a_run_can_be_stopped_at_a_step_and_goes_on_from_there(argon, helpers):
    def watch(step):
        seen.append(step)
        if step == 7 and len(seen) == 8:
            coupling.stop()

    seen = []
    with helpers.lammps(*read(argon, "fix 1 all nve")) as lmp:
        coupling = Coupling(lmp, helpers.load(helpers.LennardJones(8.0)), on_step=watch)
        coupling.run(50)
        assert coupling.interrupted
        assert lmp.extract_global("ntimestep") == 7
        coupling.run(3)
        assert not coupling.interrupted
        assert lmp.extract_global("ntimestep") == 10


def test_other_units_are_refused(helpers):
    with (
        helpers.lammps("units metal", "region b block 0 9 0 9 0 9", "create_box 1 b") as lmp,
        pytest.raises(InputError, match="units metal, and a model acts in 'units real'; write these, with times in fs"),
    ):
        Coupling(lmp, helpers.load(helpers.LennardJones(4.0)))


def test_an_instance_without_atoms_is_refused(helpers):
    with helpers.lammps("units real") as lmp, pytest.raises(InputError, match="no atoms"):
        Coupling(lmp, helpers.load(helpers.LennardJones(4.0)))


def test_a_type_that_the_model_does_not_know_is_refused(helpers):
    commands = ["units real", "region b block 0 9 0 9 0 9", "create_box 2 b", "create_atoms 2 single 1 1 1"]
    with helpers.lammps(*commands) as lmp, pytest.raises(InputError, match=r"atoms of type 2, but .* only 1"):
        Coupling(lmp, helpers.load(helpers.LennardJones(4.0)))


def test_an_error_of_lammps_itself_is_one_sentence(argon, helpers):
    with helpers.lammps(*read(argon, "fix 1 all nve", "compute 2 all temp", "thermo_style custom step c_2")) as lmp:
        coupling = Coupling(lmp, helpers.load(helpers.LennardJones(8.0)))
        lmp.command("uncompute 2")
        with pytest.raises(InputError, match=r"^LAMMPS cannot run: .*Could not find thermo[^\n]*$"):
            coupling.run(1)
