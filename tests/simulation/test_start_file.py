"""A simulation starts from files of every kind and unit style, and goes the same way from all of them."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.units import fs

from gnnformd.errors import InputError
from gnnformd.simulation.lammps.ranks import Ranks
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate
from gnnformd.simulation.start import Start
from gnnformd.simulation.start_file import as_data_file
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.formats.dump import read_dump

# One angstrom, angstrom/fs, g/mol in each style, by CODATA.
STYLES = {
    "metal": (1.0, 1e3, 1.0),
    "electron": (1 / 0.529177210903, 1 / 0.529177210903, 1.0),
    "si": (1e-10, 1e5, 1.66053906660e-27),
    "cgs": (1e-8, 1e7, 1.66053906660e-24),
    "lj epsilon=0.2378 sigma=3.405 mass=39.948": (1 / 3.405, 1e5 / np.sqrt(0.2378 * 4184 / 0.039948), 1 / 39.948),
}


@pytest.fixture(scope="module")
def velocities(argon):
    return Start.read(argon).velocities()


@pytest.fixture(scope="module")
def restart(argon, helpers, tmp_path_factory):
    """A restart file in metal, with a pair style that a restart file does not have the coefficients of."""
    path = tmp_path_factory.mktemp("restart") / "argon.restart"
    with helpers.lammps("units real", "pair_style lj/cut 8.0", f"read_data {argon}", "run 0") as lmp:
        positions, velocities, box = helpers.by_id(lmp, "x"), helpers.by_id(lmp, "v"), lmp.extract_box()
    (low, high) = box[0], box[1]
    bounds = " ".join(f"{a!r} {b!r}" for a, b in zip(low, high, strict=True))
    commands = ["units metal", f"region b block {bounds}", "create_box 1 b", "mass 1 39.948"]
    commands += ["create_atoms 1 single {:.17g} {:.17g} {:.17g}".format(*x) for x in positions]
    commands += [
        "set atom {} vx {:.17g} vy {:.17g} vz {:.17g}".format(n, *v) for n, v in enumerate(velocities * 1e3, 1)
    ]
    commands += ["pair_style table linear 10", "fix 1 all nvt temp 90 90 0.1", f"write_restart {path} noinit"]
    with helpers.lammps(*commands):
        pass
    return path


def data_file(path: Path, argon: Path, style: str, velocities) -> Path:
    length, velocity, mass = STYLES[style]
    topology = read_topology(argon)
    low, high = topology.origin * length, (topology.origin + np.diag(topology.cell)) * length
    bounds = "".join(f"{a!r} {b!r} {x}lo {x}hi\n" for a, b, x in zip(low.tolist(), high.tolist(), "xyz", strict=True))
    atoms = "".join(
        f"{n} 1 {x!r} {y!r} {z!r}\n" for n, (x, y, z) in enumerate((topology.positions * length).tolist(), 1)
    )
    rows = "".join(f"{n} {x!r} {y!r} {z!r}\n" for n, (x, y, z) in enumerate((velocities * velocity).tolist(), 1))
    path.write_text(
        f"argon, units = {style}\n\n{len(topology.ids)} atoms\n1 atom types\n{bounds}\nMasses\n\n1 {39.948 * mass!r}\n"
        f"\nPair Coeffs # lj/cut\n\n1 9.9 9.9\n\nAtoms # atomic\n\n{atoms}\nVelocities\n\n{rows}"
    )
    return path


def final(loaded, start, out, engine="lammps"):
    options = SimulationSettings(
        engine=engine, ensemble="nve", velocities="file", timestep=4.0, temperature=90.0, steps=20, dump_every=20
    )
    assert simulate(loaded, start, options, out).stable
    frame = list(read_dump(out / "trajectory.dump"))[-1]
    inside = (frame.positions - frame.origin) @ np.linalg.inv(frame.cell)
    return inside, frame.velocities


def same(found, expected, tolerance):
    """Whether two frames are the same but for whole edges of the box."""
    apart = found[0] - expected[0]
    assert np.abs(apart - np.round(apart)).max() < tolerance
    assert np.abs(found[1] - expected[1]).max() < tolerance * np.abs(expected[1]).max()


@pytest.fixture(scope="module")
def expected(argon, helpers, tmp_path_factory):
    return final(helpers.load(helpers.LennardJones(8.0)), argon, tmp_path_factory.mktemp("real") / "out")


@pytest.mark.parametrize("style", STYLES)
def test_a_data_file_in_other_units_is_converted(argon, helpers, tmp_path, style, velocities, expected):
    start = data_file(tmp_path / "argon.data", argon, style, velocities)
    found = final(helpers.load(helpers.LennardJones(8.0)), start, tmp_path / "out")
    same(found, expected, 3e-6)


@pytest.mark.parametrize("engine", ["lammps", "ase"])
def test_a_restart_file_of_another_program_in_metal_is_a_start(helpers, tmp_path, restart, expected, engine):
    found = final(helpers.load(helpers.LennardJones(8.0)), restart, tmp_path / "out", engine)
    same(found, expected, 1e-7)


@pytest.mark.parametrize("engine", ["lammps", "ase"])
def test_extended_xyz_is_a_start(argon, helpers, tmp_path, velocities, expected, engine):
    topology = read_topology(argon)
    atoms = Atoms("Ar108", topology.positions - topology.origin, cell=topology.cell, pbc=True)
    atoms.set_masses([39.948] * 108)
    atoms.set_velocities(velocities / fs)
    write(
        tmp_path / "argon.xyz",
        [atoms[:5], atoms],
        format="extxyz",
        columns=["symbols", "positions", "momenta", "masses"],
    )
    found = final(helpers.load(helpers.LennardJones(8.0)), tmp_path / "argon.xyz", tmp_path / "out", engine)
    same(found, expected, 3e-7)


@pytest.mark.parametrize("engine", ["lammps", "ase"])
def test_a_run_from_momenta_begins_at_the_temperature_that_ase_says(argon, helpers, tmp_path, engine):
    topology = read_topology(argon)
    atoms = Atoms("Ar108", topology.positions - topology.origin, cell=topology.cell, pbc=True)
    MaxwellBoltzmannDistribution(atoms, temperature_K=140, rng=np.random.default_rng(0))
    Stationary(atoms)
    write(tmp_path / "argon.xyz", atoms, format="extxyz")
    options = SimulationSettings(engine=engine, ensemble="nve", velocities="file", timestep=1.0, steps=1)
    run = simulate(helpers.load(helpers.LennardJones(8.0)), tmp_path / "argon.xyz", options, tmp_path / "out")
    assert run.stable
    table = np.genfromtxt(tmp_path / "out" / "thermo.csv", delimiter=",", names=True)
    expected = atoms.get_temperature() * 108 / 107  # ASE counts 3 N degrees of freedom
    assert np.atleast_1d(table["temperature_K"])[0] == pytest.approx(expected, rel=3e-6)


def test_a_tilted_left_handed_cell_keeps_distances(tmp_path):
    rng = np.random.default_rng(2)
    atoms = Atoms(
        "NaClNaCl", cell=[[0, 6.0, 1], [5.5, 0.4, 0], [1, 0, 7.0]], pbc=True, scaled_positions=rng.random((4, 3))
    )
    atoms.set_initial_charges([1, -1, 1, -1])
    assert np.linalg.det(atoms.cell.array) < 0
    write(tmp_path / "POSCAR", atoms, format="vasp")
    write(tmp_path / "salt.xyz", atoms, format="extxyz")
    for name in ("POSCAR", "salt.xyz"):
        with as_data_file(tmp_path / name, Ranks()) as file:
            topology = read_topology(file)
        read = Atoms("X4", topology.positions, cell=topology.cell, pbc=True)
        assert np.linalg.det(topology.cell) > 0
        order = np.argsort(topology.types, kind="stable")
        assert topology.type_names == ("Na", "Cl")
        found, own = (
            each.get_all_distances(mic=True)[np.ix_(rows, rows)]
            for each, rows in ((read, order), (atoms, [0, 2, 1, 3]))
        )
        np.testing.assert_allclose(found, own, atol=1e-7)
    assert topology.charges.tolist() == [1, -1, 1, -1]


@pytest.mark.parametrize("title", ["units = electron", "argon, units=electron", "UNITS electron, argon"])
def test_the_title_of_a_converted_file_says_its_units_however_they_were_written(tmp_path: Path, title: str) -> None:
    bohr = 0.529177210903
    path = written(tmp_path, title + body(9 / bohr, 4 / bohr, 39.948, " # atomic"))
    with as_data_file(path, Ranks()) as made:
        assert read_topology(made).cell.diagonal() == pytest.approx([9.0, 9.0, 9.0])


def written(folder: Path, text: str) -> Path:
    path = folder / "start.data"
    path.write_text(text)
    return path


def body(edge, half, mass, style=""):
    bounds = "".join(f"0 {edge} {axis}lo {axis}hi\n" for axis in "xyz")
    atoms = f"Atoms{style}\n\n1 1 0 0 0\n2 1 {half} 0 0\n"
    return f"\n\n2 atoms\n1 atom types\n{bounds}\nMasses\n\n1 {mass}\n\n{atoms}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title" + body(9e-10, 4e-10, 1, " # atomic"), "not 'real' or 'metal': there are .* atoms in a cubic"),
        ("title" + body(9, 4, 6e-26), "not 'real' or 'metal': a mass is 6e-26 g/mol; write 'units = '"),
        ("units = lj" + body(9, 4, 1), "line 1: units 'lj' have no scale; write 'lj epsilon="),
        ("units = nano" + body(9, 4, 1), "line 1: units 'nano' are not supported"),
        ("units = si" + body(9e-10, 4e-10, 6e-26), r"name it \('Atoms # STYLE'\)"),
        ("ITEM: TIMESTEP\n0\n", "is a trajectory, which has no masses and bonds; start from"),
        ('2\nLattice="9 0 0 0 9"\nAr 0 0 0\nAr 0 0 4\n', "cannot be read as extended XYZ"),
    ],
)
def test_a_file_that_is_no_start_is_named(helpers, tmp_path, text, message):
    with pytest.raises(InputError, match=rf"start\.data.*{message}"):
        final(helpers.load(helpers.LennardJones(3.0)), written(tmp_path, text), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_taken_for_granted_is_said(helpers, tmp_path):
    text = "title" + body(9, 4, 39.948) + "\nVelocities\n\n1 0 0 1e-3\n2 0 0 -1e-3\n"
    with pytest.warns(
        UserWarning, match=r"start\.data: does not say its units; lengths are taken to be in angstrom, .*/fs"
    ):
        final(helpers.load(helpers.LennardJones(3.0)), written(tmp_path, text), tmp_path / "out")


def forces(out: Path) -> tuple[np.ndarray, np.ndarray]:
    frame = next(iter(read_dump(out / "trajectory.dump")))
    return frame.forces, frame.velocities


@pytest.mark.parametrize("engine", ["lammps", "ase"])
@pytest.mark.parametrize("kind", ["data", "xyz", "restart"])
def test_copies_of_a_start_file_of_any_kind_have_its_forces(argon, helpers, restart, tmp_path, engine, kind):
    loaded, start = helpers.load(helpers.LennardJones(8.0)), {"data": argon, "restart": restart}.get(kind)
    if start is None:
        topology, start = read_topology(argon), tmp_path / "argon.xyz"
        atoms = Atoms("Ar108", topology.positions - topology.origin, cell=topology.cell, pbc=True)
        atoms.set_velocities(np.random.default_rng(3).normal(size=(108, 3)) * 1e-3 / fs)
        write(start, atoms, format="extxyz", columns=["symbols", "positions", "momenta"])
    options = {"engine": engine, "ensemble": "nve", "velocities": "file", "temperature": 90.0, "steps": 2}
    simulate(loaded, start, SimulationSettings(**options), tmp_path / "one")
    run = simulate(loaded, start, SimulationSettings(**options, repeat=(2, 1, 2)), tmp_path / "four")
    assert run.atoms == 4 * 108
    for single, copies in zip(forces(tmp_path / "one"), forces(tmp_path / "four"), strict=True):
        np.testing.assert_allclose(copies, np.tile(single, (4, 1)), atol=1e-7 * np.abs(single).max())
    tables = [np.genfromtxt(tmp_path / name / "thermo.csv", delimiter=",", names=True) for name in ("one", "four")]
    one, four = (table["potential_energy"].flat[0] for table in tables)
    assert four == pytest.approx(4 * one, rel=1e-9)
    assert "repeat:\n  - 2" in (tmp_path / "four" / "simulate.yaml").read_text()


def test_a_run_of_copies_goes_on_where_it_ended(argon, helpers, tmp_path):
    loaded = helpers.load(helpers.LennardJones(8.0))
    options = {"ensemble": "nve", "temperature": 90.0, "timestep": 2.0, "repeat": (2, 1, 1), "restart_every": 5}
    simulate(loaded, argon, SimulationSettings(**options, steps=5), tmp_path / "out")
    with pytest.raises(InputError, match=r"repeat was \(2, 1, 1\) when the run was started, not \(1, 1, 1\)"):
        other = SimulationSettings(**options | {"repeat": (1, 1, 1)}, steps=10)
        simulate(loaded, argon, other, tmp_path / "out", resume=True)
    run = simulate(loaded, argon, SimulationSettings(**options, steps=10), tmp_path / "out", resume=True)
    assert (run.steps, run.atoms) == (10, 216)


@pytest.mark.parametrize("copies", [(0, 1, 1), (-2, 1, 1)])
def test_copies_that_are_none_are_refused(copies):
    with pytest.raises(InputError, match=r"^--repeat: input should be greater than or equal to 1\.$"):
        SimulationSettings.from_options(repeat=copies)


def cluster(folder: Path, count: int = 13, **box: object) -> tuple[Path, Atoms]:
    """Argon atoms on a sphere and in its center, a little apart from their sites, with velocities."""
    rng, golden = np.random.default_rng(5), np.pi * (3 - np.sqrt(5))
    z = np.linspace(-0.92, 0.92, count - 1)
    ring = np.sqrt(1 - z**2)[:, None] * np.stack(
        [np.cos(golden * np.arange(count - 1)), np.sin(golden * np.arange(count - 1))], 1
    )
    positions = np.vstack([np.zeros(3), 3.9 * np.column_stack([ring, z])]) + rng.normal(scale=0.05, size=(count, 3))
    atoms = Atoms(f"Ar{count}", positions, masses=[39.948] * count, **box)
    atoms.set_velocities(rng.normal(scale=1e-3, size=(count, 3)) / fs)
    path = folder / "cluster.xyz"
    write(path, atoms, format="extxyz", columns=["symbols", "positions", "momenta", "masses"])
    return path, atoms


def own_forces(helpers, atoms: Atoms) -> np.ndarray:
    from gnnformd.interfaces.ase import Calculator

    atoms.calc = Calculator(helpers.load(helpers.LennardJones(8.0)))
    return atoms.get_forces() * 23.060549


@pytest.mark.parametrize("engine", ["lammps", "ase"])
def test_a_cluster_moves_in_empty_space(helpers, tmp_path, engine):
    path, atoms = cluster(tmp_path)
    loaded = helpers.load(helpers.LennardJones(8.0))
    options = {"engine": engine, "ensemble": "nve", "velocities": "file", "timestep": 2.0, "steps": 200}
    with pytest.warns(UserWarning, match=r"cluster\.xyz: has no box; its 13 atoms move in empty space\."):
        run = simulate(loaded, path, SimulationSettings(**options, temperature=50.0, dump_every=200), tmp_path / "out")
    assert run.stable
    first, last = read_dump(tmp_path / "out" / "trajectory.dump")
    np.testing.assert_allclose(first.forces, own_forces(helpers, atoms), atol=1e-6)
    assert first.periodic == last.periodic == (False, False, False)
    # LAMMPS with its own potential, in a box that follows the atoms
    commands = ["units real", "boundary s s s", "region box block -9 9 -9 9 -9 9", "create_box 1 box", "mass 1 39.948"]
    commands += ["create_atoms 1 single {:.17g} {:.17g} {:.17g}".format(*x) for x in atoms.positions]
    commands += [
        "set atom {} vx {:.17g} vy {:.17g} vz {:.17g}".format(n, *v)
        for n, v in enumerate(atoms.get_velocities() * fs, 1)
    ]
    commands += ["pair_style lj/cut 8.0", "pair_coeff 1 1 0.2378 3.405", "timestep 2", "fix 1 all nve", "run 200"]
    with helpers.lammps(*commands) as lmp:
        np.testing.assert_allclose(last.positions, helpers.by_id(lmp, "x"), atol=2e-5)
    table = np.genfromtxt(tmp_path / "out" / "thermo.csv", delimiter=",", names=True)
    assert np.ptp(table["total_energy"]) < 1e-3 * 13
    assert np.isnan(table["pressure_atm"]).all() and np.isnan(table["volume_A3"]).all()
    assert run.to_dict()["rdf"] == {}


def test_the_end_of_a_run_in_empty_space_is_a_start_in_empty_space(helpers, tmp_path):
    path, _ = cluster(tmp_path)
    loaded, options = (
        helpers.load(helpers.LennardJones(8.0)),
        {"ensemble": "nve", "velocities": "file", "timestep": 2.0},
    )
    with pytest.warns(UserWarning, match="empty space"):
        simulate(loaded, path, SimulationSettings(**options, steps=20), tmp_path / "one")
        simulate(loaded, tmp_path / "one" / "final.data", SimulationSettings(**options, steps=20), tmp_path / "two")
        simulate(
            loaded, tmp_path / "one" / "restart.lammps", SimulationSettings(**options, steps=20), tmp_path / "three"
        )
        simulate(loaded, path, SimulationSettings(**options, steps=40), tmp_path / "one", resume=True)
    whole, *parts = ([*read_dump(tmp_path / name / "trajectory.dump")][-1] for name in ("one", "two", "three"))
    for part in parts:
        assert part.periodic == (False, False, False)
        np.testing.assert_allclose(part.positions, whole.positions, atol=1e-7)


@pytest.mark.parametrize("engine", ["lammps", "ase"])
@pytest.mark.parametrize("pbc", [(True, True, False), (True, False, True), (False, True, True), (False, True, False)])
def test_a_slab_and_a_wire_are_periodic_where_they_were(helpers, tmp_path, engine, pbc):
    cell = np.array([[17.0, 1.0, 0.5], [-2.0, 18.0, 1.0], [0.0, 3.0, 19.0]])
    path, atoms = cluster(tmp_path, cell=cell, pbc=pbc)
    loaded = helpers.load(helpers.LennardJones(8.0))
    options = SimulationSettings(engine=engine, ensemble="nve", velocities="file", steps=1, dump_every=1)
    with pytest.warns(UserWarning, match="is not periodic along [xyz]"):
        simulate(loaded, path, options, tmp_path / "out")
    first, _ = read_dump(tmp_path / "out" / "trajectory.dump")
    assert first.periodic == pbc
    # the structure is turned as LAMMPS wants it: sizes of forces and velocities stay
    np.testing.assert_allclose(
        np.linalg.norm(first.forces, axis=1), np.linalg.norm(own_forces(helpers, atoms), axis=1), atol=1e-6
    )
    np.testing.assert_allclose(
        np.linalg.norm(first.velocities, axis=1), np.linalg.norm(atoms.get_velocities() * fs, axis=1), atol=1e-9
    )


def test_a_flat_molecule_and_its_impossible_runs(helpers, tmp_path):
    write(tmp_path / "flat.xyz", Atoms("Ar3", [[0, 0, 0], [3.8, 0, 0], [0, 3.8, 0]]), format="xyz")
    loaded = helpers.load(helpers.LennardJones(8.0))
    with pytest.warns(UserWarning, match=r"flat\.xyz: has no box; its 3 atoms move in empty space"):
        run = simulate(loaded, tmp_path / "flat.xyz", SimulationSettings(temperature=10.0, steps=5), tmp_path / "out")
    assert run.stable and run.steps == 5
    for options, sentence in (
        ({"ensemble": "npt"}, r"--ensemble npt: .*flat\.xyz is not periodic in all directions, so it has no pressure"),
        ({"repeat": (2, 1, 1)}, r"flat\.xyz: is not periodic along x, so it has no copies there"),
    ):
        with pytest.raises(InputError, match=sentence):
            simulate(loaded, tmp_path / "flat.xyz", SimulationSettings(**options, steps=5), tmp_path / "no")


def test_a_periodic_direction_without_a_vector_is_refused(helpers, tmp_path):
    path, _ = cluster(tmp_path, cell=[9.0, 9.0, 0.0], pbc=(True, True, False))
    path.write_text(path.read_text().replace('pbc="T T F"', 'pbc="T T T"'))
    with pytest.raises(InputError, match=r"cluster\.xyz: is periodic along directions without a lattice vector"):
        simulate(helpers.load(helpers.LennardJones(8.0)), path, SimulationSettings(steps=1), tmp_path / "out")


@pytest.mark.parametrize("name", ["argon.cif", "POSCAR", "argon.pdb", "argon.traj", "argon.gen", "argon.xsf"])
def test_every_structure_that_ase_reads_is_a_start(argon, helpers, tmp_path, name):
    topology = read_topology(argon)
    atoms = Atoms("Ar108", topology.positions - topology.origin, cell=topology.cell, pbc=True)
    write(tmp_path / name, atoms)
    loaded, options = helpers.load(helpers.LennardJones(8.0)), SimulationSettings(steps=1, dump_every=1)
    simulate(loaded, tmp_path / name, options, tmp_path / "out")
    frame = next(iter(read_dump(tmp_path / "out" / "trajectory.dump")))
    expected = own_forces(helpers, atoms)  # pdb has three decimals
    np.testing.assert_allclose(frame.forces, expected, atol=0.1 if name.endswith("pdb") else 1e-3)


def test_an_atom_far_outside_of_the_box_is_named(argon, tmp_path):
    lines = argon.read_text().splitlines()
    row = next(k for k, line in enumerate(lines) if line.startswith("Atoms")) + 2
    words = lines[row].split()
    lines[row] = " ".join([*words[:2], "1e39", *words[3:]])
    (tmp_path / "far.data").write_text("\n".join(lines) + "\n")
    with pytest.raises(
        InputError, match=rf"far\.data: atom {words[0]} is \de\+37 box lengths outside the box; correct"
    ):
        Start.read(tmp_path / "far.data")
