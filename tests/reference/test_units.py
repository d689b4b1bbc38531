"""Inputs in every unit style of LAMMPS, against LAMMPS itself and against CODATA's constants."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from ase.data import atomic_masses, atomic_numbers

from gnnformd.errors import InputError
from gnnformd.reference.generate import generate
from gnnformd.reference.library import load_lammps, open_lammps
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.read import read_frames
from gnnformd.units import BOLTZMANN, COULOMB, PRESSURE_ATM, STYLES, VELOCITY_SQUARED_TO_ENERGY, Units

KCAL_PER_EV = 23.060549  # LAMMPS's own factor from metal to real
POTENTIALS = Path(load_lammps().__file__).parent / "share" / "lammps" / "potentials"

CRYSTALS = {
    "Cu": ("fcc 3.615", 1, "eam", "* * Cu_u3.eam", "Cu_u3.eam"),
    "Ni,Al": ("fcc 3.55", 2, "eam/alloy", "* * NiAlH_jea.eam.alloy Ni Al", "NiAlH_jea.eam.alloy"),
    "Si": ("diamond 5.431", 1, "sw", "* * Si.sw Si", "Si.sw"),
    "Si,C": ("diamond 4.359", 2, "tersoff", "* * SiC.tersoff Si C", "SiC.tersoff"),
}
"""Lattice, number of types, pair style, coefficients and potential file."""


def crystal(folder: Path, elements: str) -> Path:
    lattice, types, style, coefficients, file = CRYSTALS[elements]
    folder.mkdir(exist_ok=True)
    (folder / file).write_bytes((POTENTIALS / file).read_bytes())
    masses = "\n".join(f"mass {n} {atomic_masses[atomic_numbers[e]]}" for n, e in enumerate(elements.split(","), 1))
    (folder / "in.lmp").write_text(f"""units metal
lattice {lattice}
region box block 0 2 0 2 0 2
create_box {types} box
create_atoms 1 box
{"set type 1 type/ratio 2 0.5 8123" if types == 2 else ""}
{masses}
pair_style {style}
pair_coeff {coefficients}
displace_atoms all random 0.1 0.1 0.1 5543
velocity all create 600 4928
fix 1 all npt temp 600 600 0.1 aniso 0 0 1.0
compute virial all pressure NULL virial
thermo_style custom step time temp press pe ke vol c_virial[*]
dump 1 all custom 10 own.dump id type x y z vx vy vz
run 20
""")
    return folder / "in.lmp"


@pytest.mark.parametrize("elements", CRYSTALS)
def test_an_input_in_metal_runs_as_it_stands_and_gives_lammps_own_numbers(tmp_path, elements, monkeypatch):
    script = crystal(tmp_path / "user", elements)
    run = generate(script, tmp_path / "run")
    frame = list(read_frames(run.folder))[-1]
    monkeypatch.chdir(script.parent)
    lmp = open_lammps()
    lmp.file(str(script))
    order = np.argsort(np.array(lmp.gather_atoms_concat("id", 0, 1)))
    positions, velocities, forces = (
        np.array(lmp.gather_atoms_concat(name, 1, 3)).reshape(-1, 3)[order] for name in "xvf"
    )
    own = {name: lmp.get_thermo(name) for name in ("time", "temp", "press", "pe", "ke", "vol")}
    pressures = list(lmp.numpy.extract_compute("virial", 0, 1))
    volume_in_ev = own["vol"] / lmp.extract_global("nktv2p")
    lmp.close()
    np.testing.assert_allclose(frame.forces, forces * KCAL_PER_EV, rtol=1e-13, atol=1e-10)
    np.testing.assert_allclose(frame.velocities, velocities * 1e-3, rtol=1e-14)
    np.testing.assert_allclose(frame.positions, positions, rtol=1e-14)
    assert frame.energy == pytest.approx(own["pe"] * KCAL_PER_EV, rel=1e-13)
    xx, yy, zz, xy, xz, yz = np.array(pressures) * volume_in_ev * KCAL_PER_EV
    np.testing.assert_allclose(frame.virial, [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]], rtol=1e-10, atol=1e-10)
    row = thermo(run)[-1]
    assert row["time_fs"] == pytest.approx(own["time"] * 1e3, rel=1e-13)
    assert row["temperature_K"] == own["temp"]
    assert row["pressure_atm"] == pytest.approx(own["press"] / 1.01325, rel=1e-13)
    assert row["kinetic_energy"] == pytest.approx(own["ke"] * KCAL_PER_EV, rel=1e-13)
    assert row["volume_A3"] == own["vol"]
    assert run.manifest["timestep_fs"] == 1.0
    assert run.manifest["units"] == "metal"
    assert script.read_text().startswith("units metal")
    assert open_dataset(run.folder).type_names == run.type_names == tuple(elements.split(","))


def thermo(run):
    with run.thermo.open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


SALT = """units {units}
atom_style charge
read_data salt.data
pair_style lj/cut/coul/cut {cutoff!r}
pair_coeff 1 1 {e1!r} {s1!r}
pair_coeff 2 2 {e2!r} {s2!r}
pair_coeff 1 2 {e12!r} {s12!r}
neighbor {skin!r} bin
timestep {step!r}
fix 1 all nve
dump 1 all custom 10 own.dump id type q x y z vx vy vz
run 20
"""

SCALES = "epsilon=0.5,sigma=3.0,mass=20"
BOHR = 0.529177210903
SI = {"length": 1e-10, "mass": 1e-3 / 6.02214076e23, "time": 1e-15, "energy": 4184 / 6.02214076e23}
ONE = {
    "real": {"length": 1.0, "mass": 1.0, "time": 1.0, "energy": 1.0, "charge": 1.0},
    "metal": {"length": 1.0, "mass": 1.0, "time": 1e-3, "energy": 4184 / 96485.33212, "charge": 1.0},
    "electron": {"length": 1 / BOHR, "mass": 1.0, "time": 1.0, "energy": 1 / 627.5094740631, "charge": 1.0},
    "si": {**SI, "charge": 1.602176634e-19},
    "cgs": {
        "length": 1e-8,
        "mass": SI["mass"] * 1e3,
        "time": 1e-15,
        "energy": SI["energy"] * 1e7,
        "charge": 4.80320471e-10,
    },
    "lj": {
        "length": 1 / 3.0,
        "mass": 1 / 20,
        # sigma sqrt(m / epsilon) in fs: 3 angstrom, 0.020 kg/mol, 2092 J/mol
        "time": 1 / (3e-10 * math.sqrt(0.020 / 2092) / 1e-15),
        "energy": 2.0,
        "charge": math.sqrt(332.06371 / 1.5),
    },
}
"""One angstrom, g/mol, fs, kcal/mol and e in each style, by CODATA."""


def salt(folder: Path, style: str) -> Path:
    one = ONE[style]
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = (2.9 * grid + rng.uniform(-0.2, 0.2, grid.shape)) * one["length"]
    velocities = rng.normal(0, 5e-3, grid.shape) * one["length"] / one["time"]
    types = 1 + grid.sum(axis=1) % 2
    charges = np.where(types == 1, 0.8, -0.8) * one["charge"]
    edge = 11.6 * one["length"]
    rows = [
        f"{k} {t} {q!r} {' '.join(map(repr, x.tolist()))}"
        for k, (t, q, x) in enumerate(zip(types, charges.tolist(), positions, strict=True), 1)
    ]
    folder.mkdir()
    (folder / "salt.data").write_text(
        f"salt\n\n64 atoms\n2 atom types\n0 {edge!r} xlo xhi\n0 {edge!r} ylo yhi\n0 {edge!r} zlo zhi\n\nMasses\n\n"
        f"1 {22.98976928 * one['mass']!r}\n2 {35.45 * one['mass']!r} # Cl\n\nAtoms # charge\n\n"
        + "\n".join(rows)
        + "\n\nVelocities\n\n"
        + "\n".join(f"{k} {' '.join(map(repr, v.tolist()))}" for k, v in enumerate(velocities, 1))
        + "\n"
    )
    energies = {name: value * one["energy"] for name, value in {"e1": 0.1, "e2": 0.2, "e12": 0.15}.items()}
    lengths = {n: v * one["length"] for n, v in {"s1": 2.4, "s2": 3.8, "s12": 2.9, "cutoff": 5.0, "skin": 1.0}.items()}
    (folder / "in.lmp").write_text(SALT.format(units=style, step=1.0 * one["time"], **energies, **lengths))
    return folder / "in.lmp"


@pytest.fixture(scope="module")
def in_real(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    return generate(salt(folder / "user", "real"), folder / "run")


@pytest.mark.parametrize("style", ["metal", "electron", "si", "cgs", "lj"])
def test_the_same_system_in_other_units_gives_the_same_data(tmp_path, in_real, style):
    run = generate(salt(tmp_path / "user", style), tmp_path / "run", lj_scales=SCALES if style == "lj" else None)
    for frame, expected in zip(read_frames(run.folder), read_frames(in_real.folder), strict=True):
        for name in ("cell", "origin", "positions", "forces", "velocities", "virial", "charges"):
            close(getattr(frame, name), getattr(expected, name))
        close(frame.energy, expected.energy)
        assert frame.types.tolist() == expected.types.tolist()
    for row, expected in zip(thermo(run), thermo(in_real), strict=True):
        for name in row:
            close(row[name], expected[name], abs(expected["pressure_atm"]) if name.endswith("_atm") else None)
    found, expected = (read_topology(each.topology) for each in (run, in_real))
    for name in ("positions", "cell", "origin", "masses", "charges"):
        close(getattr(found, name), getattr(expected, name))
    close(run.manifest["timestep_fs"], 1.0)
    assert run.type_names == in_real.type_names == ("Na", "Cl")
    field, expected = run.force_field, in_real.force_field
    for kind, other in zip(field.types, expected.types, strict=True):
        close(
            [kind.mass, kind.charge, kind.epsilon, kind.sigma], [other.mass, other.charge, other.epsilon, other.sigma]
        )
    close(field.lj_cutoff, 5.0)


def close(found, expected, size=None):
    """LAMMPS's constants of 2006 and 2010 differ from CODATA's by up to 1e-5."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=3e-5, atol=3e-5 * (size or np.abs(expected).max()))


def test_lammps_reads_the_data_file_in_real_and_finds_the_forces(tmp_path):
    run = generate(salt(tmp_path / "user", "si"), tmp_path / "run")
    frame = list(read_frames(run.folder))[-1]
    lmp = open_lammps()
    for command in (
        "units real",
        "atom_style charge",
        "pair_style lj/cut/coul/cut 5.0",
        f"read_data {run.topology}",
        "pair_coeff 1 1 0.1 2.4",
        "pair_coeff 2 2 0.2 3.8",
        "pair_coeff 1 2 0.15 2.9",
        "run 0",
    ):
        lmp.command(command)
    forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
    temperature = lmp.get_thermo("temp")
    lmp.close()
    close(frame.forces, forces)
    assert temperature == pytest.approx(thermo(run)[-1]["temperature_K"], rel=1e-6)


@pytest.mark.parametrize("style", STYLES)
def test_the_constants_are_those_of_the_installed_lammps(style):
    lmp = open_lammps()
    lmp.command(f"units {style}")
    own = {
        name: lmp.extract_global(name)
        for name in ("boltz", "mvv2e", "nktv2p", "qqr2e", "angstrom", "femtosecond", "qelectron")
    }
    lmp.close()
    units = STYLES[style]
    assert units.pressure_of_energy == own["nktv2p"]
    assert units.length == 1 / own["angstrom"]
    assert units.time == pytest.approx(1 / own["femtosecond"], rel=1e-15)
    assert units.charge == 1 / own["qelectron"]
    # Its constants of one style agree with those of another to the digits they are given with.
    assert units.energy * own["boltz"] / units.temperature == pytest.approx(BOLTZMANN, rel=1e-7)
    kinetic = own["mvv2e"] * units.energy / (units.mass * units.velocity**2)
    assert kinetic == pytest.approx(VELOCITY_SQUARED_TO_ENERGY, rel=1e-7)
    assert own["qqr2e"] * units.energy * units.length / units.charge**2 == pytest.approx(COULOMB, rel=1e-5)
    assert own["nktv2p"] * units.pressure == pytest.approx(PRESSURE_ATM * units.energy / units.volume, rel=1e-6)


def test_reduced_units_follow_from_their_scales():
    argon = Units.lj("epsilon=0.2378,sigma=3.405,mass=39.948", "here")
    # Rahman, Phys. Rev. 136, A405 (1964): epsilon/k = 120 K, sigma = 3.4 angstrom; the unit of time is 2.16 ps.
    assert argon.temperature == pytest.approx(119.67, abs=0.01)
    assert argon.time == pytest.approx(2156, abs=2)
    assert argon.pressure == pytest.approx(413.0, abs=0.2)  # 41.9 MPa
    assert Units.named(str(argon), "here") == argon


@pytest.mark.parametrize(
    ("style", "scales", "message"),
    [
        ("lj", None, r"in\.lmp, line 1: units 'lj' have no scale; give the energy .* --lj-scales epsilon="),
        ("real", SCALES, r"--lj-scales: .*in\.lmp, line 1 has 'units real', which need no scales"),
        ("lj", "epsilon=0.5,sigma=3.0", r"--lj-scales: 'epsilon=0\.5,sigma=3\.0' does not give epsilon"),
        ("lj", "epsilon=0.5,sigma=-3.0,mass=1", "positive numbers"),
        ("lj", "epsilon=0.5,sigma=nan,mass=1", "positive numbers"),
        ("lj", "epsilon=0.5,sigma=1e200,mass=1", "positive numbers"),
        ("lj", "epsilon=0.5,sigma=3,mass=1,mass=2", "positive numbers"),
        ("nano", None, r"in\.lmp, line 1: units 'nano' are not supported; use real, metal, electron, si, cgs, or lj"),
        ("${u}", SCALES, r"--lj-scales: .*in\.lmp has 'units metal', which need no scales"),
    ],
)
def test_units_that_cannot_be_converted_are_refused(tmp_path, style, scales, message):
    script = salt(tmp_path / "user", "metal")
    script.write_text(script.read_text().replace("units metal", f"units {style}", 1))
    if style == "${u}":
        script.write_text("variable u index metal\n" + script.read_text())
    with pytest.raises(InputError, match=message):
        generate(script, tmp_path / "run", lj_scales=scales)
    assert [path.name for path in tmp_path.iterdir()] == ["user"]


def test_an_input_without_units_is_in_reduced_ones(tmp_path):
    script = salt(tmp_path / "user", "lj")
    script.write_text(script.read_text().replace("units lj\n", "", 1))
    with pytest.raises(InputError, match=r"in\.lmp: has no 'units' line, which means 'lj': units 'lj' have no scale"):
        generate(script, tmp_path / "run")
    assert generate(script, tmp_path / "run", lj_scales=SCALES).manifest["units"].startswith("lj epsilon=0.5 sigma=3.0")


def test_units_in_a_variable_are_those_of_the_run(tmp_path):
    script = salt(tmp_path / "user", "metal")
    script.write_text("variable u index metal\n" + script.read_text().replace("units metal", "units ${u}", 1))
    run = generate(script, tmp_path / "run")
    assert run.manifest["units"] == "metal"
    assert run.trajectory.read_text().startswith("ITEM: UNITS\nmetal\nITEM: TIMESTEP\n")


def test_particles_with_columns_of_unknown_units_are_refused(tmp_path):
    script = tmp_path / "in.lmp"
    script.write_text(
        "units si\natom_style sphere\nregion b block 0 4e-9 0 4e-9 0 4e-9\ncreate_box 1 b\n"
        "create_atoms 1 random 9 77 NULL\nneighbor 1e-10 bin\nset type 1 mass 1e-25\n"
        "pair_style zero 1e-9\npair_coeff * *\ntimestep 1e-15\n"
        "dump 1 all custom 1 d id type x y z\nrun 1\n"
    )
    with pytest.raises(InputError, match=r"in\.lmp, line 2: atoms of style 'sphere' are not supported; use one"):
        generate(script, tmp_path / "run")
