from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.trajectory.formats.data_file import read_topology, velocity_unit
from gnnformd.trajectory.molecules import molecules_to_bonds

WATER = """LAMMPS data file via write_data, version 22 Jul 2025, timestep = 0, units = real

6 atoms
2 atom types
4 bonds
1 bond types
2 angles
1 angle types

-1.0 9.0 xlo xhi
0.0 11.0 ylo yhi   # a comment
0.0 12.0 zlo zhi
1.5 -0.5 0.25 xy xz yz

Masses

2 1.008   # H
1 15.9994 # O

Pair Coeffs # lj/cut

1 0.155 3.165
2 0.0 0.0

Bond Coeffs # harmonic

1 529.581 1.012

Atoms # full

12 7 2 0.41 2.0 0.0 0.0 0 0 0
10 7 1 -0.82 1.0 0.0 0.0 0 -1 0
11 7 2 0.41 1.0 1.0 0.0 1 0 0

20 9 1 -0.82 5.0 5.0 5.0 0 0 0
21 9 2 0.41 6.0 5.0 5.0 0 0 0
22 9 2 0.41 5.0 6.0 5.0 0 0 0

Velocities

12 0 0 0
10 0 0 0

Bonds

1 1 10 11
2 1 10 12
3 1 20 21
4 1 20 22

Angles

1 1 11 10 12
2 1 21 20 22
"""


def read(text: str, folder: Path):
    path = folder / "water.data"
    path.write_text(text)
    return read_topology(path)


def test_a_data_file_is_read_to_the_letter(tmp_path: Path) -> None:
    topology = read(WATER, tmp_path)
    assert topology.ids.tolist() == [10, 11, 12, 20, 21, 22]
    assert topology.types.tolist() == [1, 2, 2, 1, 2, 2]
    assert topology.molecule_ids is not None and topology.molecule_ids.tolist() == [7, 7, 7, 9, 9, 9]
    assert topology.charges is not None and topology.charges.tolist() == [-0.82, 0.41, 0.41] * 2
    assert topology.masses is not None and topology.masses.tolist() == [15.9994, 1.008]
    assert topology.bonds.tolist() == [[0, 1], [0, 2], [3, 4], [3, 5]]
    assert topology.angles.tolist() == [[1, 0, 2], [4, 3, 5]]
    assert topology.positions[:3].tolist() == [[1, 0, 0], [1, 1, 0], [2, 0, 0]]
    assert topology.cell.tolist() == [[10, 0, 0], [1.5, 11, 0], [-0.5, 0.25, 12]]
    assert topology.origin.tolist() == [-1, 0, 0]


@pytest.mark.parametrize(
    ("hint", "row", "has_charge", "has_molecule"),
    [
        ("atomic", "5 1 1.0 2.0 3.0", False, False),
        ("charge", "5 1 0.5 1.0 2.0 3.0", True, False),
        ("molecular", "5 3 1 1.0 2.0 3.0", False, True),
        ("bond", "5 3 1 1.0 2.0 3.0", False, True),
        ("angle", "5 3 1 1.0 2.0 3.0", False, True),
        ("full", "5 3 1 0.5 1.0 2.0 3.0", True, True),
    ],
)
@pytest.mark.parametrize("hinted", [True, False])
@pytest.mark.parametrize("images", ["", " 0 1 -1"])
def test_every_atom_style_is_told_by_hint_or_columns(
    tmp_path: Path, hint: str, row: str, has_charge: bool, has_molecule: bool, hinted: bool, images: str
) -> None:
    title = f"Atoms # {hint}" if hinted else "Atoms"
    topology = read(
        f"by hand\n\n1 atoms\n1 atom types\n0 4 xlo xhi\n0 4 ylo yhi\n0 4 zlo zhi\n\n{title}\n\n{row}{images}\n",
        tmp_path,
    )
    assert topology.positions.tolist() == [[1, 2, 3]]
    assert (topology.charges is not None, topology.molecule_ids is not None) == (has_charge, has_molecule)
    assert topology.bonds.shape == (0, 2) and topology.angles.shape == (0, 3)
    assert topology.masses is None


def test_type_labels_stand_for_numbers(tmp_path: Path) -> None:
    text = WATER.replace("Masses", "Atom Type Labels\n\n1 OW\n2 HW\n\nMasses").replace("2 1.008", "HW 1.008")
    topology = read(text.replace("20 9 1 ", "20 9 OW "), tmp_path)
    assert topology.types.tolist() == [1, 2, 2, 1, 2, 2]
    assert topology.masses is not None and topology.masses.tolist() == [15.9994, 1.008]


def test_a_general_triclinic_box_keeps_its_three_vectors(tmp_path: Path) -> None:
    box = "-1.0 9.0 xlo xhi\n0.0 11.0 ylo yhi   # a comment\n0.0 12.0 zlo zhi\n1.5 -0.5 0.25 xy xz yz\n"
    general = "0 2 0 avec\n-3 0 0 bvec\n0 1 4 cvec\n0.5 0.25 0 abc origin\n"
    topology = read(WATER.replace(box, general), tmp_path)
    assert topology.cell.tolist() == [[0, 2, 0], [-3, 0, 0], [0, 1, 4]]
    assert topology.origin.tolist() == [0.5, 0.25, 0]


FAULTS = [
    ("6 atoms", "7 atoms", r"line 29: 6 atoms follow, but the header says 7"),
    ("4 bonds", "5 bonds", r"the header says 5 bonds, but 4 are listed"),
    ("Atoms # full", "Atoms # sphere", r"line 29: atom style 'sphere' is not supported"),
    ("12 7 2 0.41 2.0", "12 7 2 0.41", r"line 31: 9 columns instead of id mol type q x y z"),
    ("12 7 2 0.41 2.0", "12 7 2 0.41 nan", r"line 31: .* has no finite number as word 5"),
    ("12 7 2 0.41 2.0", "12 7 two 0.41 2.0", r"line 31: .* has no whole number as word 3"),
    ("12 7 2 0.41 2.0", "11 7 2 0.41 2.0", r"line 33: atom id 11 occurs twice"),
    ("4 1 20 22", "4 1 20 23", r"line 49: it names an atom id that is not in section 'Atoms'"),
    ("4 1 20 22", "4 1 20", r"line 49: .* has no whole number as word 4"),
    ("2 1.008", "3 1.008", r"line 17: 'Masses' does not list every atom type once"),
    ("0.0 12.0 zlo zhi", "", r"the header has no line 'zlo zhi'"),
    ("0.0 12.0 zlo", "0.0 -12.0 zlo", r"the volume of the box in the header is zero"),
    ("units = real", "units = lj", r"line 1: units 'lj' are not supported"),
    ("4 bonds\n", "what is this\n", r"line 5: 'what is this' is not a header line"),
    ("Atoms # full", "Ellipsoids", r"has no section 'Atoms'"),
]


@pytest.mark.parametrize(("right", "wrong", "message"), FAULTS)
def test_a_fault_is_named_with_file_and_line(tmp_path: Path, right: str, wrong: str, message: str) -> None:
    assert right in WATER
    with pytest.raises(InputError, match=r"water\.data.*" + message):
        read(WATER.replace(right, wrong, 1), tmp_path)


def test_a_row_that_fits_no_style_is_refused(tmp_path: Path) -> None:
    text = "x\n\n1 atoms\n1 atom types\n0 4 xlo xhi\n0 4 ylo yhi\n0 4 zlo zhi\n\nAtoms\n\n1 1 0 0\n"
    with pytest.raises(InputError, match=r"line 11: 4 columns match no atom style"):
        read(text, tmp_path)


def test_a_missing_data_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.data: cannot be read"):
        read_topology(tmp_path / "none.data")


def test_lammps_writes_a_data_file_that_is_read_back(tmp_path: Path) -> None:
    from gnnformd.reference.library import open_lammps

    start, end = WATER.index("Velocities"), WATER.index("Bonds\n\n1 1 10")  # LAMMPS wants them of all atoms
    (tmp_path / "in.data").write_text((WATER[:start] + WATER[end:]).replace("1 0 0\n\n20", "1 0 0\n20"))
    lammps = open_lammps()
    lammps.commands_string(
        f"""units real
        atom_style full
        pair_style lj/cut 3.0
        bond_style harmonic
        angle_style none
        read_data {tmp_path / "in.data"}
        write_data {tmp_path / "out.data"}
        """
    )
    ids = lammps.numpy.extract_atom("id")[:6]
    order = np.argsort(ids)
    topology = read_topology(tmp_path / "out.data")
    np.testing.assert_array_equal(topology.ids, ids[order])
    np.testing.assert_array_equal(topology.charges, lammps.numpy.extract_atom("q")[:6][order])
    np.testing.assert_array_equal(topology.molecule_ids, lammps.numpy.extract_atom("molecule")[:6][order])
    np.testing.assert_allclose(topology.positions, lammps.numpy.extract_atom("x")[:6][order], rtol=0, atol=1e-14)
    pairs = {frozenset(topology.ids[bond].tolist()) for bond in topology.bonds}
    assert pairs == {frozenset(bond[1:].tolist()) for bond in lammps.numpy.gather_bonds()}
    lammps.close()


def test_for_water_the_molecule_rule_gives_the_bonds_of_the_data_file(tmp_path: Path) -> None:
    topology = read(WATER, tmp_path)
    shuffle = np.random.default_rng(0).permutation(6)
    assert topology.molecule_ids is not None
    bonds = molecules_to_bonds(topology.molecule_ids[shuffle], topology.types[shuffle])
    found = {frozenset(shuffle[list(bond)].tolist()) for bond in bonds}
    assert found == {frozenset(bond.tolist()) for bond in topology.bonds}


def test_two_atoms_of_one_molecule_are_bonded_whatever_their_types() -> None:
    assert molecules_to_bonds(np.array([4, 4, 5, 5]), np.array([1, 1, 1, 2])).tolist() == [[0, 1], [2, 3]]


def test_single_atoms_and_molecule_zero_have_no_bonds() -> None:
    assert molecules_to_bonds(np.array([0, 0, 0, 3]), np.array([1, 2, 2, 1])).shape == (0, 2)
    assert molecules_to_bonds(np.array([], dtype=np.int64), np.array([], dtype=np.int64)).shape == (0, 2)


@pytest.mark.parametrize("types", [[1, 1, 2, 2], [1, 2, 3], [1, 1, 1]])
def test_a_molecule_whose_bonds_do_not_follow_from_types_is_refused(types: list[int]) -> None:
    with pytest.raises(InputError, match=r"molecule 6: .* give a LAMMPS data file"):
        molecules_to_bonds(np.full(len(types), 6), np.array(types))


@pytest.mark.parametrize(
    ("title", "unit"),
    [
        ("LAMMPS data file via write_data, timestep = 0, units = real", 1.0),
        ("LAMMPS data file via write_data, timestep = 0, units = metal", 1e-3),
        ("UNITS Metal", 1e-3),
        ("two units of water", None),
        ("", None),
    ],
)
def test_the_unit_of_velocities_follows_from_the_title(tmp_path: Path, title: str, unit: float | None) -> None:
    path = tmp_path / "w.data"
    path.write_text(title + "\n" + WATER.split("\n", 1)[1])
    assert velocity_unit(path) == unit


@pytest.mark.parametrize("name", ["p", "my_fix", "7"])
def test_sections_of_fixes_are_skipped(tmp_path: Path, name: str) -> None:
    # LAMMPS writes what a fix keeps for atoms under its id; the rows were taken for those of the section before
    plain, with_fix = tmp_path / "plain.data", tmp_path / "fix.data"
    plain.write_text(WATER)
    rows = "\n".join(f"{k} 5 0.25" for k in range(1, 7))
    with_fix.write_text(f"{WATER}\n{name} # i_flag d_value\n\n{rows}\n")
    expected, found = read_topology(plain), read_topology(with_fix)
    for one, other in ((expected.angles, found.angles), (expected.bonds, found.bonds), (expected.ids, found.ids)):
        np.testing.assert_array_equal(one, other)
