from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.trajectory.inspect import inspect_data
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.read import find_sources, read_frames

DATA = """two waters

6 atoms
2 atom types
4 bonds
0 10 xlo xhi
0 11 ylo yhi
0 12 zlo zhi

Atoms # full

1 1 1 -0.8 0 0 0
2 1 2 0.4 0 0 0
3 1 2 0.4 0 0 0
4 2 1 -0.8 0 0 0
5 2 2 0.4 0 0 0
6 2 2 0.4 0 0 0

Bonds

1 1 1 2
2 1 1 3
3 1 4 5
4 1 4 6
"""
BONDS = [[0, 1], [0, 2], [3, 4], [3, 5]]


@pytest.fixture
def run_folder(write_dump, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    write_dump(columns="id type x y z fx fy fz").rename(folder / "trajectory.dump")
    (folder / "topology.data").write_text(DATA)
    (folder / "thermo.csv").write_text("step,temperature_K,potential_energy\n0,300,-12.5\n10,301,nan\n20,302,-13.25\n")
    (folder / "reference.yaml").write_text("system: test\n")
    return folder


def test_a_run_folder_gives_bonds_charges_and_energies(run_folder: Path) -> None:
    frames = list(read_frames(run_folder))
    assert [f.energy for f in frames] == [-12.5, None, -13.25]
    for frame in frames:
        assert frame.bonds is not None and frame.bonds.tolist() == BONDS
        assert frame.charges is not None and frame.charges.tolist() == [-0.8, 0.4, 0.4] * 2
        assert frame.molecule_ids is not None and frame.molecule_ids.tolist() == [1, 1, 1, 2, 2, 2]
    assert frames[0].bonds is frames[1].bonds


def test_a_folder_of_simulate_has_its_types_and_bonds_in_its_last_state(run_folder: Path) -> None:
    (run_folder / "topology.data").rename(run_folder / "final.data")
    assert open_dataset(run_folder).type_names is None
    masses = "Masses\n\n1 15.9994  # O\n2 1.008  # H\n\nAtoms # full"
    (run_folder / "final.data").write_text(DATA.replace("Atoms # full", masses))
    (run_folder / "reference.yaml").rename(run_folder / "simulate.yaml")
    dataset = open_dataset(run_folder)
    assert dataset.type_names == ("O", "H") and dataset[0].bonds.tolist() == BONDS


def test_a_table_gives_virials_where_all_six_numbers_are(run_folder: Path) -> None:
    names = ",".join(f"virial_{axes}" for axes in ("xx", "yy", "zz", "xy", "xz", "yz"))
    (run_folder / "thermo.csv").write_text(f"step,{names}\n0,1,2,3,4,5,6\n10,1,2,nan,4,5,6\n")
    frames = list(read_frames(run_folder))
    assert frames[0].virial is not None and frames[0].virial.tolist() == [[1, 4, 5], [4, 2, 6], [5, 6, 3]]
    assert [f.virial for f in frames[1:]] == [None, None] and [f.energy for f in frames] == [None] * 3
    (run_folder / "thermo.csv").write_text("step,virial_xx\n0,1\n")
    assert [f.virial for f in read_frames(run_folder)] == [None] * 3


def test_a_run_folder_needs_nothing_but_its_dump(run_folder: Path) -> None:
    for name in ("topology.data", "thermo.csv", "reference.yaml"):
        (run_folder / name).unlink()
    assert [(f.energy, f.bonds) for f in read_frames(run_folder)] == [(None, None)] * 3
    (run_folder / "trajectory.dump").unlink()
    with pytest.raises(InputError, match=r"run: contains neither 'trajectory\.dump' nor 'type\.raw'"):
        list(read_frames(run_folder))


def test_molecules_give_the_same_bonds_as_the_data_file(write_dump, tmp_path: Path) -> None:
    (tmp_path / "two.data").write_text(DATA)
    path = write_dump()
    with_rule, with_file = list(read_frames(path)), list(read_frames(path, topology=tmp_path / "two.data"))
    assert [f.bonds.tolist() for f in with_rule if f.bonds is not None] == [BONDS] * 3
    assert [f.bonds.tolist() for f in with_file if f.bonds is not None] == [BONDS] * 3


WATERS = """6
Lattice="10 0 0 0 11 0 0 0 12" pbc="T T T" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.0
""" + "".join(f"{name} {k} 0 0 0 0 0\n" for k, name in enumerate("OHHOHH"))


@pytest.mark.parametrize("masses", ["1 15.9994\n2 1.008", "1 16.0 # O\n2 1.0 # H"])
def test_elements_are_numbered_as_in_the_data_file(tmp_path: Path, masses: str) -> None:
    (tmp_path / "two.data").write_text(DATA.replace("Atoms # full", f"Masses\n\n{masses}\n\nAtoms # full"))
    (tmp_path / "two.xyz").write_text(WATERS)
    (frame,) = read_frames(tmp_path / "two.xyz", topology=tmp_path / "two.data")
    assert frame.types.tolist() == [1, 2, 2, 1, 2, 2]  # by atomic number alone hydrogen would be 1
    assert frame.bonds is not None and frame.bonds.tolist() == BONDS
    dataset = open_dataset(tmp_path / "two.xyz", topology=tmp_path / "two.data")
    assert dataset.type_names == ("O", "H") and dataset[0].types.tolist() == frame.types.tolist()
    found = inspect_data(tmp_path / "two.xyz", topology=tmp_path / "two.data")
    assert found["elements"] == ["O", "H"] and found["bonds"] == 4


def test_molecules_without_a_rule_leave_bonds_unknown_and_say_so(write_dump) -> None:
    rows = [f"{k} 1 {k} 0 0 0 0 0 0" for k in range(1, 4)]
    path = write_dump(atoms=3, rows=rows, before="ITEM: UNITS\nreal")
    with pytest.warns(UserWarning, match=r"water\.dump: molecule 1: .* give a LAMMPS data file") as caught:
        assert [f.bonds for f in read_frames(path)] == [None] * 3
    assert len(caught) == 1


def test_a_topology_of_another_system_is_refused(write_dump, tmp_path: Path) -> None:
    (tmp_path / "two.data").write_text(DATA)
    with pytest.raises(InputError, match=r"its 3 atoms are not the 6 atoms of .*two\.data"):
        list(read_frames(write_dump(atoms=3), topology=tmp_path / "two.data"))
    (tmp_path / "two.data").write_text(DATA.replace("1 1 1 -0.8", "1 1 2 -0.8"))
    with pytest.raises(InputError, match=r"atom types differ from .*two\.data"):
        list(read_frames(write_dump(), topology=tmp_path / "two.data"))


def test_a_damaged_table_of_energies_is_named(run_folder: Path) -> None:
    (run_folder / "thermo.csv").write_text("step,potential_energy\n0,-1\n10,\n")
    with pytest.raises(InputError, match=r"thermo\.csv, line 3"):
        list(read_frames(run_folder))
    (run_folder / "thermo.csv").write_text("step,pe\n0,-1\n")
    assert [f.energy for f in read_frames(run_folder)] == [None] * 3


def test_steps_that_occur_again_keep_their_own_energies(run_folder: Path) -> None:
    dump, table = run_folder / "trajectory.dump", run_folder / "thermo.csv"
    dump.write_text(dump.read_text() * 2)
    table.write_text("step,potential_energy\n0,1\n10,2\n20,3\n0,4\n10,5\n20,6\n")
    assert [f.energy for f in read_frames(run_folder)] == [1, 2, 3, 4, 5, 6]
    with gzip.open(run_folder / "trajectory.dump.gz", "wt") as file:
        file.write(dump.read_text())
    text = dump.read_text()
    dump.unlink()
    assert [f.energy for f in read_frames(run_folder)] == [1, 2, 3, 4, 5, 6]
    dump.write_text(text[: len(text) // 2])
    with pytest.raises(InputError, match=r"thermo\.csv: steps occur more than once, and they"):
        list(read_frames(run_folder))
    table.write_text("step,potential_energy\n0,1\n10,2\n20,3\n20,3.0000000001\n")
    assert [f.energy for f in read_frames(run_folder)] == [1, 2, 3.0000000001]


def test_the_kind_of_file_is_told_from_its_first_line(write_dump, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\nProperties=species:S:1:pos:R:3:forces:R:3\nAr 0 0 0 1 2 3\n")
    mixed = list(read_frames([write_dump("b.txt"), tmp_path / "a.txt"]))
    assert [len(f.ids) for f in mixed] == [6, 6, 6, 1]
    (tmp_path / "c.txt").write_text("hello\n")
    with pytest.raises(InputError, match=r"c\.txt: is of no known format: .*LAMMPS dump \(first line 'ITEM: \.\.\.'\)"):
        list(read_frames(tmp_path / "c.txt"))


def test_forces_are_only_asked_for_where_needed(write_dump) -> None:
    path = write_dump(columns="id type x y z")
    assert all(f.forces is None for f in read_frames(path, require_forces=False))
    with pytest.raises(InputError, match="the forces are missing"):
        list(read_frames(path))


def test_sources_name_what_belongs_together(run_folder: Path) -> None:
    (source,) = find_sources(str(run_folder))
    names = ["trajectory.dump", "topology.data", "thermo.csv", "reference.yaml"]
    assert [f.name for f in source.files] == names
    with pytest.raises(InputError, match="no data given"):
        find_sources([])


def test_the_arrays_of_a_frame_belong_together(run_folder: Path) -> None:
    for frame in read_frames(run_folder):
        for array in (frame.types, frame.molecule_ids, frame.charges, frame.forces, frame.positions):
            assert array is not None and len(array) == len(frame.ids)
        assert np.all(np.diff(frame.ids) > 0)


@pytest.mark.parametrize("name", ["trajectory.dump", "trajectory.dump.gz"])
def test_the_trajectory_of_a_run_brings_what_stands_beside_it(run_folder: Path, name: str) -> None:
    path = run_folder / name
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress((run_folder / "trajectory.dump").read_bytes()))
    (source,) = find_sources(path)
    assert (source.file, source.topology) == (path, run_folder / "topology.data")
    assert [f.energy for f in read_frames(path)] == [-12.5, None, -13.25]


def test_a_dump_beside_a_run_is_only_a_dump(run_folder: Path) -> None:
    other = (run_folder / "trajectory.dump").rename(run_folder / "other.dump")
    (source,) = find_sources(other)
    assert source.files == [other]


def test_the_number_of_atoms_of_a_dump_may_change(write_dump, tmp_path: Path) -> None:
    parts = [write_dump(f"{n}.dump", atoms=n, frames=1, seed=n, columns="id element x y z fx fy fz") for n in (6, 3, 9)]
    path = tmp_path / "all.dump"
    path.write_text("".join(part.read_text() for part in parts))
    with pytest.warns(UserWarning, match=r"all\.dump, line 24: 3 atoms, but 6 in the previous frame; were atoms lost"):
        found = list(read_frames(path))
    assert [len(frame.types) for frame in found] == [6, 3, 9]
    for frame, part in zip(found, parts, strict=True):
        (alone,) = read_frames(part)
        np.testing.assert_array_equal(frame.positions, alone.positions)
        np.testing.assert_array_equal(frame.forces, alone.forces)
        np.testing.assert_array_equal(frame.types, alone.types)
