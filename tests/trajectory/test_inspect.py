from __future__ import annotations

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from gnnformd.cli.inspection import describe
from gnnformd.trajectory.inspect import inspect_data
from gnnformd.trajectory.packed.dataset import open_dataset


def test_the_sum_of_a_dump_is_right(write_dump) -> None:
    columns, rows = "id type x y z fx fy fz", ["1 1 1 1 1 3 4 0", "2 2 5 5 5 -3 -4 1"]
    found = inspect_data(write_dump(atoms=2, frames=2, columns=columns, rows=rows, before="ITEM: UNITS\nreal"))
    assert (found["frames"], found["atoms"], found["types"]) == (2, [2, 2], {1: [1, 1], 2: [1, 1]})
    assert found["timesteps"] == [0, 10]
    assert found["force"]["mean"] == pytest.approx((5 + 26**0.5) / 2)
    assert found["force"]["rms"] == pytest.approx((51 / 2) ** 0.5)
    assert found["force"]["largest"] == pytest.approx(26**0.5)
    assert found["force"]["largest_sum_over_frame"] == 1
    assert found["volume_A3"] == pytest.approx([1320, 1320])
    assert found["closest_pair_A"] == pytest.approx(48**0.5)
    assert found["warnings"] == ["1 frame has the positions of an earlier frame (timestep 10)."]
    json.dumps(found)


def test_atoms_of_each_type_and_periodicity_are_those_of_all_frames(tmp_path) -> None:
    path = tmp_path / "mixed.xyz"
    cell = 'Lattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3'
    path.write_text(
        f'1\n{cell} pbc="F F F" energy=1\nNi 0 0 0\n'
        f'3\n{cell} pbc="T T T" energy=1\nNi 0 0 0\nNi 2 0 0\nAl 0 2 0\n'
        f'2\n{cell} pbc="T T F" energy=1\nAl 0 0 0\nAl 2 0 0\n'
    )
    found = inspect_data(path)
    assert found["elements"] == ["Ni", "Al"]
    assert found["types"] == {1: [0, 2], 2: [0, 2]}
    assert found["periodic"] == {"": 1, "xyz": 1, "xy": 1}
    json.dumps(found)


def test_frames_without_a_step_are_named_by_number_and_line(tmp_path) -> None:
    path, line = tmp_path / "three.xyz", 'Properties=species:S:1:pos:R:3:forces:R:3 pbc="F F F" energy=1'
    two, near = (f"2\n{line}\nAr 0 0 0 0 0 0\nAr 0 0 {z} 0 0 0\n" for z in (4, 0.2))
    path.write_text(two + near + two)
    found = inspect_data(path)
    assert found["timesteps"] is None
    assert "atoms overlap: two are 0.2 angstrom apart at frame 2 (line 5)." in found["warnings"]
    assert "1 frame has the positions of an earlier frame (frame 3 (line 9))." in found["warnings"]
    packed = open_dataset(path)
    assert [packed[k].name for k in range(3)] == ["frame 1 (line 1)", "frame 2 (line 5)", "frame 3 (line 9)"]
    path.write_text("".join(text.replace("energy", f"step={k} energy") for k, text in enumerate((two, two, two))))
    found = inspect_data(path)
    assert found["timesteps"] == [0, 2]
    assert "2 frames have the positions of an earlier frame (timesteps 1, 2)." in found["warnings"]
    assert open_dataset(path)[2].name == "timestep 2"


def test_data_without_a_box_have_neither_edges_nor_a_volume(tmp_path) -> None:
    path = tmp_path / "molecule.xyz"
    path.write_text('2\nProperties=species:S:1:pos:R:3 pbc="F F F" energy=1\nAr 0 0 0\nAr 0 0 4\n')
    found = inspect_data(path)
    assert found["cell_lengths_A"] is None and found["volume_A3"] is None
    assert not any("cell" in name or "volume" in name for name, _ in describe(str(path))[0][1])
    slab = 'Lattice="5 0 0 0 6 0 0 0 70" Properties=species:S:1:pos:R:3 pbc="T T F" energy=1'
    path.write_text(f"1\n{slab}\nAr 0 0 0\n")
    found = inspect_data(path)
    assert found["cell_lengths_A"] == [[5.0, 6.0, None]] * 2 and found["volume_A3"] is None
    assert dict(describe(str(path))[0][1])["edges of the cell, angstrom"] == "5 x 6 x -"


def test_the_shortest_distance_is_that_of_all_frames_and_of_none_where_atoms_are_alone(tmp_path) -> None:
    path = tmp_path / "pairs.xyz"
    pairs = [
        f'2\nProperties=species:S:1:pos:R:3 pbc="F F F" energy={-r}\nAr 0 0 0\nAr 0 0 {r}\n' for r in (5, 3.25, 4, 1.5)
    ]
    for count, shortest in ((1, 5.0), (3, 3.25), (4, 1.5)):
        path.write_text("".join(pairs[:count]))
        assert inspect_data(path)["closest_pair_A"] == pytest.approx(shortest)
    path.write_text(pairs[0].replace("Ar 0 0 5", "Ar 0 0 25"))
    assert inspect_data(path)["closest_pair_A"] is None


def test_data_in_ev_are_spoken_of_in_ev(tmp_path) -> None:
    path = tmp_path / "huge.xyz"
    path.write_text(
        '2\nProperties=species:S:1:pos:R:3:forces:R:3 pbc="F F F" energy=1.0\nAr 0 0 0 0 0 -100\nAr 0 0 1 0 0 100\n'
    )
    assert inspect_data(path)["warnings"] == ["forces are huge: 100 eV/angstrom on an atom at frame 1 (line 1)."]


def test_what_looks_wrong_is_told(write_dump) -> None:
    rows = ["1 1 0.1 1 1 5000 0 0", "2 1 9.9 1 1 -5000 0 0"]  # 0.2 angstrom through the wall
    path = write_dump(atoms=2, frames=1, columns="id type x y z fx fy fz", rows=rows)
    path.write_bytes(path.read_bytes() + b"ITEM: TIMESTEP\n")
    found = inspect_data(path)
    assert found["closest_pair_A"] == pytest.approx(0.2)
    text = " ".join(found["warnings"])
    assert "ends inside a frame" in text
    assert "two are 0.2 angstrom apart at timestep 0" in text
    assert "5e+03 kcal/mol/angstrom" in text


def test_a_dump_without_forces_can_be_inspected(write_dump) -> None:
    found = inspect_data(write_dump(columns="id element x y z"))
    assert found["force"] is None and found["elements"] == ["H", "O"]
    assert "3 of 3 frames have no forces" in " ".join(found["warnings"])


def test_temperature_and_energy_come_from_the_table(write_dump, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    write_dump().rename(tmp_path / "run" / "trajectory.dump")
    table = "step,temperature_K,potential_energy\n0,300,-2\n10,310,-3\n20,290,-1\n"
    (tmp_path / "run" / "thermo.csv").write_text(table)
    found = inspect_data(tmp_path / "run")
    assert found["temperature_K"] == [290, 300, 310]
    assert found["energy_kcal_per_mol"] == [-3, -1]
    assert found["molecules"] == 2 and found["bonds"] == 4


@pytest.mark.parametrize("name", ["a.xyz", "a.traj"])
def test_the_temperature_of_momenta_is_that_of_ase(tmp_path: Path, name: str) -> None:
    images = []
    for seed in range(3):
        atoms = molecule("CH3CH2OH")
        MaxwellBoltzmannDistribution(atoms, temperature_K=400, rng=np.random.default_rng(seed))
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((len(atoms), 3)))
        images.append(atoms)
    expected = [atoms.get_temperature() * 27 / 24 for atoms in images]  # ASE counts 3 N degrees of freedom
    # to the digits of LAMMPS's constants in units real
    ase.io.write(tmp_path / name, images)
    found = inspect_data(tmp_path / name)
    assert found["temperature_K"] == pytest.approx([min(expected), np.mean(expected), max(expected)], rel=3e-6)
    assert found["temperature_from"] == "velocities"
    for atoms in images:
        atoms.set_constraint(FixAtoms([0, 1]))
        atoms.set_momenta(atoms.get_momenta())  # sets those of held atoms to zero
    held = [atoms.get_temperature() for atoms in images]
    ase.io.write(tmp_path / name, images)
    assert inspect_data(tmp_path / name)["temperature_K"][1] == pytest.approx(np.mean(held), rel=3e-6)


def test_isotopes_and_atoms_at_rest_have_no_temperature(tmp_path: Path) -> None:
    heavy, still = molecule("H2O"), molecule("H2O")
    MaxwellBoltzmannDistribution(heavy, temperature_K=400, rng=np.random.default_rng(0))
    heavy.set_masses([16.0, 2.014, 2.014])
    still.set_momenta(np.zeros((3, 3)))
    for atoms in (heavy, still):
        columns = [
            name for name in ("symbols", "positions", "momenta", "masses") if name != "masses" or atoms.has(name)
        ]
        ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz", columns=columns)
        assert inspect_data(tmp_path / "a.xyz")["temperature_K"] is None


TORSIONS = """torsions, units = real

4 atoms
1 atom types
1 dihedrals
2 impropers
0 9 xlo xhi
0 9 ylo yhi
0 9 zlo zhi

Masses

1 12.011 # C

Atoms # molecular

1 1 1 0 0 0
2 1 1 1 0 0
3 1 1 1 1 0
4 1 1 1 1 1

Dihedrals

1 1 1 2 3 4

Impropers

1 1 1 2 3 4
2 1 2 1 3 4
"""


def test_dihedrals_and_impropers_of_a_data_file_are_counted_where_there_are_some(tmp_path: Path) -> None:
    (tmp_path / "a.data").write_text(TORSIONS)
    facts = dict(describe(str(tmp_path / "a.data"))[0][1])
    assert (facts["bonds, angles"], facts["dihedrals"], facts["impropers"]) == ("0, 0", 1, 2)
    (tmp_path / "b.data").write_text(TORSIONS.split("Dihedrals")[0])
    assert not {"dihedrals", "impropers"} & dict(describe(str(tmp_path / "b.data"))[0][1]).keys()


def test_units_that_nothing_says_are_told(write_dump) -> None:
    assert "the units are not said and taken to be 'real'" in " ".join(inspect_data(write_dump())["warnings"])
    for units in ("real", "metal"):
        found = inspect_data(write_dump(before=f"ITEM: UNITS\n{units}"))
        assert "units" not in " ".join(found["warnings"])


def test_pressures_of_virials_have_the_sign_of_compression(tmp_path):
    rows = "Ar 0 0 0 0 0 0\nAr 2 2 2 0 0 0\n"
    comment = 'Lattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3:forces:R:3 pbc="T T T"'
    for name, value in (("virial", "{p} 0 0 0 {p} 0 0 0 {p}"), ("stress", "{s} 0 0 0 {s} 0 0 0 {s}")):
        frames = [f'2\n{comment} energy={p} {name}="{value.format(p=p, s=-p / 125)}"\n{rows}' for p in (-1.0, 2.0)]
        (tmp_path / f"{name}.xyz").write_text("".join(frames))
        found = inspect_data(tmp_path / f"{name}.xyz")["virial_pressure_kcal_per_mol_per_A3"]
        assert found == pytest.approx([-23.060548 / 125, 2 * 23.060548 / 125], rel=1e-6)
    (tmp_path / "none.xyz").write_text(f"2\n{comment}\n{rows}")
    assert inspect_data(tmp_path / "none.xyz")["virial_pressure_kcal_per_mol_per_A3"] is None
