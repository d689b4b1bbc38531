"""Copies of a box are numbered as LAMMPS numbers them, and molecules stay whole across its sides."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.graph.bonds import bond_table
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.formats.repeat_data_file import repeat_data_file

TILTED = "0 6 xlo xhi\n1 8 ylo yhi\n-2 5 zlo zhi\n0.5 -0.3 1.1 xy xz yz\n"
INSIDE = """molecules, units = metal

7 atoms
2 atom types
2 bonds
1 bond types
1 angles
1 angle types
1 dihedrals
1 dihedral types
BOX
Masses

1 16.0 # O
2 1.0 # H

Bond Coeffs # harmonic

1 100 1

Atoms # full

1 1 1 -0.8 3.0 4.0 1.0
2 1 2 0.4 3.9 4.0 1.0
3 1 2 0.4 3.0 4.9 1.0
5 0 1 0.1 1.0 2.0 3.0
9 0 1 0.1 2.0 2.0 -1.0
7 3 2 -0.1 1.0 6.0 3.5
8 3 2 -0.1 1.0 6.5 3.6

Velocities

1 1.0 0 0
2 0 2.0 0
3 0 0 3.0
5 0.5 0 0
7 0 0 7
8 0 0 8
9 0 9 0

Bonds

1 1 1 2
2 1 1 3

Angles

1 1 2 1 3

Dihedrals

1 1 2 1 3 5
""".replace("BOX\n", TILTED + "\n")


def written(folder: Path, text: str) -> Path:
    path = folder / "start.data"
    path.write_text(text)
    return path


def test_copies_are_those_of_lammps_replicate(helpers, tmp_path):
    path, copies = written(tmp_path, INSIDE), (2, 1, 3)
    repeat_data_file(path, tmp_path / "own.data", copies, path)
    styles = [f"{kind}_style zero nocoeff" for kind in ("bond", "angle", "dihedral")]
    begin = ["units metal", "atom_style full", "pair_style zero 3 nocoeff", *styles]
    for name, source in (("lammps", f"{path} nocoeff"), ("again", tmp_path / "own.data")):
        copy = ["replicate 2 1 3"] if name == "lammps" else []
        end = [
            "pair_coeff * *",
            *(f"{kind}_coeff *" for kind in ("bond", "angle", "dihedral")),
            f"write_data {tmp_path}/{name}.data nocoeff",
        ]
        with helpers.lammps(*begin, f"read_data {source}", *copy, *end):
            pass
    own, again, theirs = (read_topology(tmp_path / f"{name}.data") for name in ("own", "again", "lammps"))
    assert own.type_names == ("O", "H")
    for found in (own, again):
        for name in ("ids", "types", "molecule_ids", "charges", "masses"):
            np.testing.assert_array_equal(getattr(found, name), getattr(theirs, name), err_msg=name)
        np.testing.assert_allclose(found.cell, theirs.cell, atol=1e-12)
        apart = (found.positions - theirs.positions) @ np.linalg.inv(theirs.cell)
        np.testing.assert_allclose(apart, np.round(apart), atol=1e-12)
        for name in ("bonds", "angles"):
            assert sorted(getattr(found, name).tolist()) == sorted(getattr(theirs, name).tolist())

    def rows(name: str, section: str) -> list[list[str]]:
        text = (tmp_path / f"{name}.data").read_text().split(f"\n{section}\n\n")[1].split("\n\n")[0]
        return sorted(line.split()[1:] if section == "Dihedrals" else line.split() for line in text.splitlines())

    assert rows("again", "Dihedrals") == rows("lammps", "Dihedrals")
    assert rows("again", "Velocities") == rows("lammps", "Velocities")


def across(folder: Path, positions: list[list[float]], bonds: list[tuple[int, int]], molecules: list[int]) -> Path:
    atoms = "".join(
        f"{n} {m} 1 {x} {y} {z}\n" for n, (m, (x, y, z)) in enumerate(zip(molecules, positions, strict=True), 1)
    )
    rows = "".join(f"{n} 1 {i} {j}\n" for n, (i, j) in enumerate(bonds, 1))
    head = f"units = real\n\n{len(positions)} atoms\n1 atom types\n{len(bonds)} bonds\n1 bond types\n{TILTED}\n"
    return written(
        folder, f"{head}Masses\n\n1 12\n\nAtoms # molecular\n\n{atoms}" + (f"\nBonds\n\n{rows}" if rows else "")
    )


def test_a_molecule_across_sides_of_the_box_is_whole_in_each_copy(tmp_path):
    a, b, c = read_topology(written(tmp_path, INSIDE)).cell
    chain = np.array([[5.8, 7.6, 4.7], [6.9, 8.2, 5.2], [7.6, 8.9, 5.9]])
    path = across(tmp_path, (chain - [[0, 0, 0], a, a + b + c]).tolist(), [(1, 2), (2, 3)], [4, 4, 4])
    repeat_data_file(path, tmp_path / "own.data", (2, 2, 2), path)
    found = read_topology(tmp_path / "own.data")
    lengths = np.linalg.norm(found.positions[found.bonds[:, 0]] - found.positions[found.bonds[:, 1]], axis=1)
    expected = np.linalg.norm(np.diff(chain, axis=0), axis=1)
    np.testing.assert_allclose(np.sort(lengths), np.sort(np.tile(expected, 8)), atol=1e-9)
    assert (found.molecule_ids[found.bonds[:, 0]] == found.molecule_ids[found.bonds[:, 1]]).all()
    assert np.bincount(found.molecule_ids)[4::4].tolist() == [3] * 8


def test_an_endless_chain_is_bonded_to_the_next_copy(tmp_path):
    path = across(tmp_path, [[0.5, 2, 2], [2.5, 2, 2], [4.5, 2, 2]], [(1, 2), (2, 3), (3, 1)], [1, 1, 1])
    repeat_data_file(path, tmp_path / "own.data", (3, 1, 2), path)
    found = read_topology(tmp_path / "own.data")
    assert found.molecule_ids.tolist() == [1] * 18
    table = bond_table(found.bonds, 18)
    # two rings of nine: each atom has two neighbors, two second and two third ones
    assert np.bincount(table.kinds).tolist() == [0, 18, 18, 18]
    vectors = found.positions[found.bonds[:, 1]] - found.positions[found.bonds[:, 0]]
    inside = vectors @ np.linalg.inv(found.cell)
    np.testing.assert_allclose(np.linalg.norm((inside - np.round(inside)) @ found.cell, axis=1), 2.0, atol=1e-9)


def test_parts_of_a_molecule_without_bonds_are_in_one_copy(tmp_path):
    path = across(tmp_path, [[0.2, 2, 2], [5.7, 2, 2], [3, 3, 3], [3, 4, 3]], [], [2, 2, 0, 0])
    repeat_data_file(path, tmp_path / "own.data", (2, 1, 1), path)
    found = read_topology(tmp_path / "own.data")
    for number in (2, 4):
        one, other = found.positions[found.molecule_ids == number]
        assert np.linalg.norm(one - other) == pytest.approx(0.5)
    assert (found.molecule_ids == 0).sum() == 4


def test_a_bond_to_two_images_that_are_equally_near_is_refused(tmp_path):
    path = across(tmp_path, [[1, 2, 2], [4, 2, 2]], [(1, 2)], [1, 1])
    with pytest.raises(InputError, match=r"start\.data: two images of atom 2 are equally near to atom 1"):
        repeat_data_file(path, tmp_path / "own.data", (2, 1, 1), path)


def test_a_direction_that_is_not_periodic_is_not_repeated(tmp_path):
    path = written(tmp_path, INSIDE.replace("metal", "metal, boundary = p p s"))
    with pytest.raises(InputError, match=r"start\.data: is not periodic along z, so it has no copies there"):
        repeat_data_file(path, tmp_path / "own.data", (1, 1, 2), path)
    repeat_data_file(path, tmp_path / "own.data", (2, 1, 1), path)
    assert "boundary = p p s" in (tmp_path / "own.data").read_text()


def test_copies_of_a_random_box_have_the_distances_of_the_box(tmp_path):
    path = written(tmp_path, INSIDE)
    repeat_data_file(path, tmp_path / "own.data", (2, 3, 2), path)
    single, found = read_topology(path), read_topology(tmp_path / "own.data")

    def distances(topology):
        images = np.array(list(product(*[range(-6, 7)] * 3))) @ topology.cell
        apart = np.linalg.norm(topology.positions - topology.positions[0] + images[:, None], axis=2)
        return np.sort(apart[apart < 12])

    np.testing.assert_allclose(distances(found), distances(single), atol=1e-9)
