import csv

import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.reference.generate import generate
from gnnformd.reference.library import open_lammps, potentials_folder
from gnnformd.reference.run import ReferenceRun
from gnnformd.trajectory.formats.data_file import periodic_directions, read_topology
from gnnformd.trajectory.read import read_frames
from gnnformd.units import BOLTZMANN, PRESSURE_ATM

SLIDE = """337 1 -10.8427 -10.4041 -9.6201 0.111551 -0.694874 0.816131
80 1 -11.4759 -6.92209 -8.1658 -1.2953 -1.40647 -0.520197
179 1 -12.6327 -12.299 -12.4528 -0.0491539 0.00615476 -0.348215
50 1 -10.5481 -7.81052 -11.9976 -0.829663 -0.00326355 -1.20126
1 1 -6.36677 -12.542 -10.6472 0.0330129 -0.151112 -0.0707339
89 1 -3.40216 -7.68648 -9.35792 -0.28323 -0.333796 0.509244
231 1 -6.15924 -10.0801 -7.77694 0.26985 0.0405483 -1.35934
175 1 -3.01399 -11.7082 -12.8122 0.328601 0.275039 0.126978"""
"""The frame printed on the slide: id type x y z fx fy fz."""


def frames(run):
    """Step, box bounds and rows of every frame, read without the package's own reader."""
    found = []
    for text in run.trajectory.read_text().split("ITEM: TIMESTEP\n")[1:]:
        lines = text.splitlines()
        columns = lines[7].split()[2:]
        rows = np.array([line.split() for line in lines[8:]], dtype=float)
        found.append((int(lines[0]), np.array([b.split() for b in lines[4:7]], dtype=float), columns, rows))
    return found


def thermo(run):
    with run.thermo.open() as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}


@pytest.fixture(scope="module")
def argon(tmp_path_factory):
    return generate("argon", tmp_path_factory.mktemp("argon") / "run", frames=2)


@pytest.fixture(scope="module")
def water(tmp_path_factory):
    steps = []
    out = tmp_path_factory.mktemp("water") / "run"
    run = generate("water-seed", out, frames=104, progress=lambda done, total: steps.append((done, total)))
    return run, steps


def test_the_seeds_argon_script_gives_the_frame_on_the_slide(argon):
    step, bounds, columns, rows = frames(argon)[0]
    slide = np.array([line.split() for line in SLIDE.splitlines()], dtype=float)
    assert step == 20000
    assert columns == ["id", "type", "x", "y", "z", "fx", "fy", "fz"]
    assert rows[:8, 0].astype(int).tolist() == [337, 80, 179, 50, 1, 89, 231, 175]
    assert np.abs(rows[:8, 2:5] - slide[:, 2:5]).max() < 3e-3
    assert np.abs(rows[:8, 5:] - slide[:, 5:]).max() < 3e-3
    assert np.abs(np.abs(bounds) - 13.5595).max() < 1e-4


def test_the_thermo_table_obeys_the_definitions_of_its_columns(argon):
    table = thermo(argon)
    assert table["step"].tolist() == [20000, 20100]
    kinetic = 1.5 * (400 - 1) * BOLTZMANN * table["temperature_K"]  # the centre of mass does not count
    np.testing.assert_allclose(table["kinetic_energy"], kinetic, rtol=1e-12)
    np.testing.assert_allclose(table["total_energy"], table["potential_energy"] + kinetic, rtol=1e-12)
    mean = (table["pxx_atm"] + table["pyy_atm"] + table["pzz_atm"]) / 3
    np.testing.assert_allclose(table["pressure_atm"], mean, rtol=1e-9)
    edges = [np.prod(bounds[:, 1] - bounds[:, 0]) for _, bounds, _, _ in frames(argon)]
    np.testing.assert_allclose(table["volume_A3"], edges, rtol=1e-12)


def test_forces_energy_and_virial_are_those_of_the_lennard_jones_formula(argon):
    table = thermo(argon)
    for index, (_, bounds, _, rows) in enumerate(frames(argon)):
        box = bounds[:, 1] - bounds[:, 0]
        apart = rows[:, None, 2:5] - rows[None, :, 2:5]
        apart -= box * np.round(apart / box)  # the cutoff is less than half the box
        distance = np.linalg.norm(apart, axis=2) + 1e9 * np.eye(400)
        power = np.where(distance < 10.0, (3.405 / distance) ** 6, 0.0)
        pair = (24 * 0.2378 * (2 * power**2 - power) / distance**2)[:, :, None] * apart
        virial = 0.5 * np.einsum("ija,ijb->ab", apart, pair)
        np.testing.assert_allclose(rows[:, 5:], pair.sum(1), atol=1e-10)
        assert table["potential_energy"][index] == pytest.approx(2 * 0.2378 * (power**2 - power).sum(), rel=1e-12)
        for a, b in ("xx", "yy", "zz", "xy", "xz", "yz"):
            expected = virial["xyz".index(a), "xyz".index(b)]
            assert table[f"virial_{a}{b}"][index] == pytest.approx(expected, abs=1e-8)


def test_pressure_is_kinetic_energy_and_virial_over_volume(water):
    table = thermo(water[0])
    virial = table["virial_xx"] + table["virial_yy"] + table["virial_zz"]
    pressure = (2 * table["kinetic_energy"] + virial) / (3 * table["volume_A3"]) * PRESSURE_ATM
    np.testing.assert_allclose(table["pressure_atm"], pressure, rtol=1e-9, atol=1e-8)


def test_the_ramp_of_the_thermostat_is_in_the_description(argon):
    assert "1 K to 90 K anew" in argon.manifest["description"]
    assert argon.manifest["variables"]["seed"] == "42"
    assert (argon.manifest["frames"], argon.manifest["atoms"], argon.manifest["units"]) == (2, 400, "real")
    assert argon.manifest["lammps_version"] == "22 Jul 2025"


def test_the_seeds_water_repeats_a_frame_where_one_dump_ends_and_the_next_begins(water):
    run, _ = water
    found = frames(run)
    steps = [step for step, *_ in found]
    assert len(found) == run.manifest["frames"] == 104
    assert steps[100] == steps[101]
    assert np.unique(np.diff(steps)).tolist() == [0, 5]
    first, second = (rows[rows[:, 0].argsort()][:, 3:6] for _, _, _, rows in found[100:102])
    box = found[100][1][:, 1] - found[100][1][:, 0]
    apart = first - second
    assert np.abs(apart - box * np.round(apart / box)).max() < 1e-9
    assert thermo(run)["step"].tolist() == steps
    assert found[0][2] == ["id", "mol", "type", "x", "y", "z", "fx", "fy", "fz"]


def test_the_seeds_water_starts_cold(water):
    assert thermo(water[0])["temperature_K"][0] == 0.0


def test_the_drawn_temperature_is_recorded(water):
    assert 280 < float(water[0].manifest["variables"]["temperature"]) < 360


def test_progress_grows_to_the_total(water):
    _, steps = water
    done = [step for step, _ in steps]
    assert done == sorted(done)
    assert steps[-1] == (520, 520)


def test_forces_have_all_digits(water):
    # Of 17 significant digits hardly any number needs fewer than 12.
    run, _ = water
    text = run.trajectory.read_text().splitlines()[9].split()
    assert all(len(value.strip("-").replace(".", "")) > 12 for value in text[-3:])


def test_total_force_is_zero_without_long_range_forces(argon):
    for _, _, _, rows in frames(argon):
        assert np.abs(rows[:, 5:].sum(0)).max() < 1e-10


@pytest.fixture
def user_run(argon_input, tmp_path):
    return generate(argon_input(), tmp_path / "out", seed=7)


@pytest.mark.parametrize("table", ["step pe", "step temp pe", "step etotal pzz", "step press"])
def test_the_thermo_table_does_not_depend_on_that_of_the_input(argon_input, tmp_path, table):
    plain = thermo(generate(argon_input(), tmp_path / "plain"))
    path = argon_input(("run 20\n", f"thermo_style custom {table}\nthermo 5\nrun 20\n"))
    found = thermo(generate(path, tmp_path / "run"))
    for name, expected in plain.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-9, err_msg=name)


EQUILIBRATED = (
    ("atom_style atomic", "atom_style charge"),
    ("pair_style lj/cut 8.0", "pair_style lj/cut/coul/cut 8.0"),
    ("dump 1 all atom 10", "dump 1 all atom 5"),
)


def test_energies_that_lack_those_of_charges_on_their_atoms_are_left_out(argon_input, tmp_path):
    (tmp_path / "qeq.txt").write_text("1 4.0 10.0 0 0 0\n")
    charges = ("fix 1 all nve", f"fix 1 all nve\nfix q all qeq/point 5 8.0 1e-8 200 {tmp_path}/qeq.txt")
    with pytest.warns(UserWarning, match=r"line 13: with 'pair_style lj/cut/coul/cut', LAMMPS's energy lacks that of"):
        run = generate(argon_input(*EQUILIBRATED, charges), tmp_path / "run")
    read = list(read_frames(run.folder))
    assert len(read) == 11
    assert all(frame.energy is None and frame.virial is not None and frame.charges is not None for frame in read)


def test_a_dump_between_two_equilibrations_of_charges_is_refused(argon_input, tmp_path):
    charges = ("fix 1 all nve", "fix 1 all nve\nfix q all qeq/point 2 8.0 1e-8 200 qeq.txt")
    with pytest.raises(InputError, match="line 13: the charges change every 2 steps, and the dump has frames in betw"):
        generate(argon_input(*EQUILIBRATED, charges), tmp_path / "run")
    embedded = (charges[1], 'fix 1 all nve\nif "1 == 1" then "fix q all qeq/point 2 8.0 1e-8 200 qeq.txt"')
    with pytest.raises(InputError, match="line 13: the charges change every 2 steps"):
        generate(argon_input(*EQUILIBRATED, charges, embedded), tmp_path / "run")
    often = ("movie.lammpstrj", "movie.lammpstrj\ndump_modify 1 every 3")
    with pytest.raises(InputError, match="line 13: the charges change every 2 steps, and the dump has frames in betw"):
        generate(argon_input(*EQUILIBRATED, charges, often), tmp_path / "run")
    seldom = ("movie.lammpstrj", "movie.lammpstrj\ndump_modify 1 every 4")
    with pytest.raises(InputError, match=r"qeq\.txt"):  # LAMMPS goes on to the missing file
        generate(argon_input(*EQUILIBRATED, charges, seldom), tmp_path / "run")
    variable = ("qeq/point 2", "qeq/point ${seed}")
    told = pytest.warns(
        UserWarning, match=r"line 13: the charges change every \$\{seed\} steps, and the dump is every 5;"
    )
    with told, pytest.raises(InputError, match=r"qeq\.txt"):
        generate(argon_input(*EQUILIBRATED, charges, variable), tmp_path / "run")


def test_a_users_input_gets_a_dump_with_forces(user_run, tmp_path):
    found = frames(user_run)
    assert [step for step, *_ in found] == [0, 10, 20, 30, 40, 50]
    assert found[0][2] == ["id", "type", "x", "y", "z", "fx", "fy", "fz"]
    assert user_run.manifest["columns_added"] == ["id", "type", "x", "y", "z", "fx", "fy", "fz"]
    assert user_run.manifest["seed"] == "7"
    assert thermo(user_run)["step"].tolist() == [0, 10, 20, 30, 40, 50]
    assert [p.name for p in (tmp_path / "user").iterdir()] == ["in.lmp"]
    assert sorted(p.name for p in user_run.folder.iterdir()) == [
        "log.lammps",
        "reference.yaml",
        "thermo.csv",
        "topology.data",
        "trajectory.dump",
    ]


def test_lammps_reads_the_topology_back_and_finds_the_forces_of_the_last_frame(user_run):
    rows = frames(user_run)[-1][3]
    lmp = open_lammps()
    for command in (
        "units real",
        "atom_style atomic",
        "pair_style lj/cut 8.0",
        f"read_data {user_run.topology}",
        "thermo_modify norm no",
        "run 0",
    ):
        lmp.command(command)
    forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
    energy = lmp.get_thermo("pe")
    lmp.close()
    np.testing.assert_allclose(rows[rows[:, 0].argsort()][:, 5:], forces, atol=1e-11)
    assert energy == pytest.approx(thermo(user_run)["potential_energy"][-1], rel=1e-12)


def test_a_seed_makes_a_run_that_can_be_repeated(argon_input, user_run, tmp_path):
    again = generate(argon_input(), tmp_path / "again", variables={"seed": "7"})
    other = generate(argon_input(), tmp_path / "other")
    assert again.trajectory.read_bytes() == user_run.trajectory.read_bytes()
    assert other.trajectory.read_bytes() != user_run.trajectory.read_bytes()


def test_a_folder_that_is_taken_is_refused_and_overwritten_only_on_request(argon_input, user_run):
    with pytest.raises(InputError, match="contains a reference run"):
        generate(argon_input(), user_run.folder)
    replaced = generate(argon_input(), user_run.folder, overwrite=True)
    assert ReferenceRun.open(user_run.folder).manifest["seed"] == replaced.manifest["seed"] == "42"
    with pytest.raises(
        InputError, match=r"trajectory.dump: is a file, not a reference run; give a folder made by 'gnn"
    ):
        ReferenceRun.open(user_run.trajectory)
    (user_run.folder / "reference.yaml").unlink()
    with pytest.raises(InputError, match="contains other files"):
        generate(argon_input(), user_run.folder, overwrite=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 3}, r"in\.lmp: has no variable 'frames' to set to 3; it has seed; write 'variable frames index 3'"),
        ({"variables": {"pressure": "2"}}, "has no variable 'pressure'"),
        ({"ranks": 0}, "--ranks: 0 is not a number of processes"),
        ({"frames": 0}, "--frames: 0 is not a number of frames"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_before_the_run(argon_input, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        generate(argon_input(), tmp_path / "out", **options)


def test_a_misspelt_variable_is_answered_with_the_near_one_and_no_file_of_the_package(argon_input, tmp_path):
    with pytest.raises(InputError) as caught:
        generate("water", tmp_path / "out", variables={"temperatur": "300"})
    assert str(caught.value).startswith(
        "water: has no variable 'temperatur' to set to 300; did you mean 'temperature'? It has edge, "
    )
    assert ".lmp" not in str(caught.value)
    with pytest.raises(
        InputError, match=r"in\.lmp: has no variable 'sed' to set to 5; did you mean 'seed'\? It has seed"
    ):
        generate(argon_input(), tmp_path / "out", variables={"sed": "5"})


def test_a_name_that_is_no_system_and_no_file_lists_the_systems(tmp_path):
    with pytest.raises(InputError, match=r"argonn: is neither a built-in system \(argon, .*water-seed"):
        generate("argonn", tmp_path / "out")


def test_a_dump_after_the_last_run_is_named(argon_input, tmp_path):
    path = argon_input(("dump 1 all atom 10 movie.lammpstrj\nrun 20\nrun 30", "run 20\ndump 1 all atom 10 movie"))
    with pytest.raises(InputError, match=r"in\.lmp, line 14: no frame was written"):
        generate(path, tmp_path / "out")


def test_two_ranks_give_the_forces_of_one(argon_input, user_run, tmp_path):
    two = generate(argon_input(), tmp_path / "two", seed=7, ranks=2)
    assert two.manifest["ranks"] == 2
    assert " on 2 procs for 20 steps" in (two.folder / "log.lammps").read_text()
    # The first frame has the same positions, numbered otherwise; later ones differ by how rounding errors grow.
    one_rows, two_rows = (frames(run)[0][3][:, 2:] for run in (user_run, two))
    np.testing.assert_allclose(two_rows[two_rows[:, 0].argsort()], one_rows[one_rows[:, 0].argsort()], atol=1e-10)
    np.testing.assert_allclose(thermo(two)["potential_energy"][0], thermo(user_run)["potential_energy"][0], rtol=1e-12)


def test_an_error_on_two_ranks_comes_out_once_and_ends_both(argon_input, tmp_path):
    with pytest.raises(InputError, match=r"in\.lmp, line 14: LAMMPS says: Invalid run command N value"):
        generate(argon_input(("run 20", "run -20")), tmp_path / "out", ranks=2)


def lennard_jones(rows, bounds, cutoff=8.0):
    """Forces, energy and virial of the argon of ``argon_input``; rows are id, type, x, y, z, ..."""
    box = bounds[:, 1] - bounds[:, 0]
    apart = rows[:, None, 2:5] - rows[None, :, 2:5]
    apart -= box * np.round(apart / box)
    square = (apart**2).sum(axis=2)
    near = (square > 0) & (square < cutoff**2)
    power = np.where(near, 3.405**2 / np.where(near, square, 1.0), 0.0) ** 3
    over = 24 * 0.2378 * (2 * power**2 - power) / np.where(near, square, 1.0)
    virial = 0.5 * np.einsum("ij,ija,ijb->ab", over, apart, apart)
    return (over[:, :, None] * apart).sum(axis=1), 0.5 * 4 * 0.2378 * (power**2 - power).sum(), virial


FIXES = {
    "langevin": "fix 2 all langevin 90 90 50 771 zero yes",
    "setforce": "region low block INF INF INF INF 0 9\ngroup low region low\nfix 2 low setforce 0 0 0",
    "addforce": "fix 2 all addforce 0.5 0 0\nfix_modify 2 energy yes virial yes",
    "wall/harmonic": "change_box all boundary p p f\nfix 2 all wall/harmonic zlo 0 5 0 3\nfix_modify 2 energy yes",
}


@pytest.mark.parametrize("name", sorted(FIXES))
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_forces_energy_and_virial_are_those_before_fixes(argon_input, tmp_path, name, first):
    integrate = "fix 1 all nve"
    lines = f"{FIXES[name]}\n{integrate}" if first else f"{integrate}\n{FIXES[name]}"
    with pytest.warns(UserWarning, match=f"'fix {name}' changes the forces on the atoms"):
        run = generate(argon_input((integrate, lines)), tmp_path / "run")
    table = thermo(run)
    for k, (_, bounds, columns, rows) in enumerate(frames(run)):
        assert columns == ["id", "type", "x", "y", "z", "fx", "fy", "fz"]
        if name == "wall/harmonic":
            bounds[2] = -1000.0, 1000.0  # not periodic
        forces, energy, virial = lennard_jones(rows, bounds)
        np.testing.assert_allclose(rows[:, 5:], forces, atol=1e-9 * np.abs(forces).max())
        assert table["potential_energy"][k] == pytest.approx(energy, rel=1e-10)
        assert table["virial_xx"][k] == pytest.approx(virial[0, 0], rel=1e-9)
        assert table["virial_yz"][k] == pytest.approx(virial[1, 2], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("flags", "periodic"), [("p p f", (True, True, False)), ("s p m", (False, True, False))])
def test_the_data_file_says_in_which_directions_a_run_was_not_periodic(argon_input, tmp_path, flags, periodic):
    # without a word a slab became a crystal with a gap, and a simulation from it had a volume and a pressure
    run = generate(argon_input(("fix 1 all nve", f"change_box all boundary {flags}\nfix 1 all nve")), tmp_path / "run")
    assert periodic_directions(run.topology) == periodic
    frame = next(iter(read_frames(run.folder)))
    assert frame.periodic == periodic


def test_the_data_file_of_a_periodic_run_has_no_boundary(user_run):
    assert "boundary" not in user_run.topology.read_text()


def test_a_fix_whose_order_cannot_be_followed_is_refused(argon_input, tmp_path):
    script = argon_input(("fix 1 all nve", "variable f string hidden.lmp\ninclude ${f}"))
    (script.parent / "hidden.lmp").write_text("fix 2 all langevin 90 90 50 771\nfix 1 all nve\n")
    with pytest.raises(InputError, match=r"in\.lmp: 'fix 2 \.\.\. langevin' changes forces and is defined in a way"):
        generate(script, tmp_path / "run")


@pytest.mark.parametrize(
    "line",
    [
        "dump_modify 1 format float %.2f",
        'dump_modify 1 format 3 "%.1f" sort id',
        "dump_modify 1 format line '%d %d %.1f %.1f %.1f %.1f %.1f %.1f' thresh x > 10",
        'if "1 == 1" then "dump_modify 1 format float %.2f"',
        "variable n index 1\ndump_modify ${n} format float %.2f",
    ],
)
def test_dump_modify_takes_no_digits_away(argon_input, tmp_path, line):
    run = generate(argon_input(("run 20", f"{line}\nrun 20")), tmp_path / "run")
    for _, bounds, _, rows in frames(run):
        assert len(rows) == 60
        forces, _, _ = lennard_jones(rows, bounds)
        np.testing.assert_allclose(rows[:, 5:], forces, atol=1e-9 * np.abs(forces).max())


def test_runs_whose_steps_begin_again_keep_their_energies(argon_input, tmp_path):
    loop = """variable i loop 3
label again
velocity all scale $(30*v_i)
reset_timestep 0
dump 1 all atom 10 movie.lammpstrj
run 20
undump 1
next i
jump SELF again
"""
    run = generate(argon_input(("dump 1 all atom 10 movie.lammpstrj\nrun 20\nrun 30\n", loop)), tmp_path / "run")
    read = list(read_frames(run.folder))
    assert [frame.timestep for frame in read] == [0, 10, 20] * 3
    for frame, (_, bounds, _, rows) in zip(read, frames(run), strict=True):
        _, energy, virial = lennard_jones(rows, bounds)
        assert frame.energy == pytest.approx(energy, rel=1e-10)
        np.testing.assert_allclose(frame.virial, virial, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["ünï", "数据", "two words", "it's", 'say "so"', "a$b", "star*", "50%", "a&b#c[1]"])
def test_every_name_of_a_folder_or_file_works(argon_input, tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    script = argon_input(("run 30\n", "")).rename(folder / f"{name}.lmp")
    run = generate(script, folder / f"{name} run")
    assert len(list(read_frames(run.folder))) == 3
    assert run.topology.exists()
    assert {path.name for path in folder.iterdir()} == {script.name, run.folder.name}


def test_a_file_that_lammps_cannot_name_gives_a_sentence(argon_input, tmp_path):
    script = argon_input(
        ("create_atoms 1 random 60 ${seed} NULL overlap 3.0 maxtry 100", "read_data ü.data add append")
    )
    with pytest.raises(InputError, match=r"line 10: LAMMPS says: .* LAMMPS takes only names of ASCII letters"):
        generate(script, tmp_path / "run")


@pytest.mark.parametrize("change", ["bom", "crlf", "no line end"])
def test_input_files_of_other_editors_are_read(argon_input, tmp_path, change):
    script = argon_input()
    text = script.read_bytes()
    changed = {"bom": b"\xef\xbb\xbf" + text, "crlf": text.replace(b"\n", b"\r\n"), "no line end": text.rstrip()}
    script.write_bytes(changed[change])
    assert len(list(read_frames(generate(script, tmp_path / "run").folder))) == 6


def test_frames_of_a_minimization_have_forces_before_fixes_and_no_energies(argon_input, tmp_path):
    script = argon_input(
        ("run 20\nrun 30\n", "dump_modify 1 every 1\nfix r all box/relax iso 100\nminimize 0 0 5 20\n")
    )
    run = generate(script, tmp_path / "run")
    read = list(read_frames(run.folder))
    assert len(read) == 6
    for frame, (_, bounds, _, rows) in zip(read, frames(run), strict=True):
        np.testing.assert_allclose(rows[:, 5:], lennard_jones(rows, bounds)[0], rtol=1e-7, atol=1e-7)
        assert frame.energy is None or frame.timestep == 0


@pytest.mark.parametrize("name", ["1", "${dump_id}"])
@pytest.mark.parametrize(
    ("every", "steps"), [("5", [0, 5, 10, 15, 20, 25]), ("7", [0, 7, 14, 21]), ("v_next", [1, 2, 3, 10, 20])]
)
def test_frames_have_energies_where_the_interval_of_the_dump_changes(argon_input, tmp_path, every, steps, name):
    script = argon_input(
        ("dump 1 all atom 10", "variable dump_id index 1\nvariable next equal logfreq(1,3,10)\ndump 1 all atom 10"),
        ("run 20\nrun 30\n", f"dump_modify {name} every {every}\nrun 25\n"),
    )
    run = generate(script, tmp_path / "run run")
    read = list(read_frames(run.folder))
    assert [frame.timestep for frame in read] == steps
    for frame, (_, bounds, _, rows) in zip(read, frames(run), strict=True):
        assert frame.energy == pytest.approx(lennard_jones(rows, bounds)[1], rel=1e-7)


@pytest.mark.parametrize(
    ("change", "without"),
    [
        ("reset_timestep 3\ndump_modify 1 first yes", "1 of 4 frames has"),
        ("dump_modify 1 every/time 4.0", "[0-9]+ of [0-9]+ frames have"),
        ('if "1 == 1" then "dump_modify 1 every 4"', "[0-9]+ of [0-9]+ frames have"),
    ],
)
def test_frames_at_steps_without_energies_are_told_with_the_line(argon_input, tmp_path, change, without):
    script = argon_input(("run 20\nrun 30\n", f"{change}\nrun 30\n"))
    line = 13 + change.count("\n") + 1
    with pytest.warns(UserWarning, match=rf"in\.lmp, line {line}: {without} no energies \(the first at step [34]\)"):
        generate(script, tmp_path / "run")


def test_potential_files_that_come_with_lammps_are_found_and_named(argon_input, tmp_path, monkeypatch):
    monkeypatch.delenv("LAMMPS_POTENTIALS", raising=False)
    path = argon_input(
        ("units real", "units metal"),
        ("mass 1 39.948\n", ""),
        ("pair_style lj/cut 8.0", "pair_style eam"),
        ("pair_coeff 1 1 0.2378 3.405", "pair_coeff 1 1 Cu_u3.eam"),
    )
    run = generate(path, tmp_path / "out")
    assert run.manifest["potentials_of_lammps"] == ["Cu_u3.eam"]
    assert run.type_names == ("Cu",)
    own = potentials_folder() / "Cu_u3.eam"
    (path.parent / "Cu_u3.eam").write_bytes(own.read_bytes())
    beside = generate(path, tmp_path / "beside")
    assert beside.manifest["potentials_of_lammps"] == []
    np.testing.assert_array_equal(frames(run)[-1][3], frames(beside)[-1][3])


def test_a_folder_of_potentials_that_the_user_names_is_the_only_one(argon_input, tmp_path, monkeypatch):
    monkeypatch.setenv("LAMMPS_POTENTIALS", str(tmp_path))
    path = argon_input(
        ("pair_style lj/cut 8.0", "pair_style eam"), ("pair_coeff 1 1 0.2378 3.405", "pair_coeff 1 1 Cu_u3.eam")
    )
    with pytest.raises(InputError, match=r"line 9: .*cannot open eam potential file Cu_u3\.eam"):
        generate(path, tmp_path / "out")


def test_the_topology_has_the_names_of_the_types(argon_input, tmp_path):
    run = generate(argon_input(), tmp_path / "out", names=["Argon"])
    assert read_topology(run.topology).type_names == ("Argon",)


def test_a_variable_that_a_loop_has_used_up_is_left_out(argon_input, tmp_path):
    loop = "variable T index 60 90\nlabel again\nvelocity all create ${T} 5\nrun 10\nnext T\njump SELF again\n"
    run = generate(argon_input(("run 20\nrun 30\n", loop)), tmp_path / "run")
    assert run.manifest["frames"] == 3
    assert run.manifest["variables"] == {"seed": "42"}
