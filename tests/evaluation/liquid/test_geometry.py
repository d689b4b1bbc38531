import numpy as np
import pytest
from ase import Atoms

from gnnformd.evaluation.liquid.geometry import angles, bond_lengths, by_types, chains_of_four, dihedrals, histograms
from gnnformd.trajectory.frame import Frame

SKEW = np.array([[6.0, 0, 0], [1.5, 5.5, 0], [-1.0, 1.2, 6.5]])


def frame(positions):
    count = len(positions)
    types = np.tile([1, 2, 2], count // 3)
    return Frame(0, SKEW, np.zeros(3), (True,) * 3, np.arange(1, count + 1), types, positions)


def test_lengths_and_angles_are_ases_in_a_tilted_box_with_molecules_cut_by_its_walls():
    rng = np.random.default_rng(0)
    shape = np.array([[0, 0, 0], [1.0, 0, 0], [-0.3, 0.9, 0]])
    positions = (rng.random((8, 1, 3)) @ SKEW + shape + rng.normal(0, 0.05, (8, 3, 3))).reshape(-1, 3)
    wrapped = (positions @ np.linalg.inv(SKEW) % 1.0) @ SKEW
    bonds = np.array([[3 * m, 3 * m + k] for m in range(8) for k in (1, 2)])
    triples = np.array([[3 * m + 1, 3 * m, 3 * m + 2] for m in range(8)])
    atoms = Atoms("OH2" * 8, wrapped, cell=SKEW, pbc=True)
    lengths = [atoms.get_distance(i, j, mic=True) for i, j in bonds]
    bends = [atoms.get_angle(i, j, k, mic=True) for i, j, k in triples]
    assert bond_lengths([frame(wrapped)], bonds)[0] == pytest.approx(lengths, rel=1e-12)
    assert angles([frame(wrapped)], triples)[0] == pytest.approx(bends, rel=1e-10)


def test_dihedrals_are_ases_without_their_sign_in_a_tilted_box():
    rng = np.random.default_rng(1)
    steps = rng.normal(0, 0.8, (39, 4, 3))
    steps[:, 0] = rng.random((39, 3)) @ SKEW
    positions = (np.cumsum(steps, axis=1).reshape(-1, 3) @ np.linalg.inv(SKEW) % 1.0) @ SKEW
    chains = np.arange(156).reshape(39, 4)
    atoms = Atoms("H156", positions, cell=SKEW, pbc=True)
    turns = [atoms.get_dihedral(*chain, mic=True) for chain in chains]
    found = dihedrals([frame(positions)], chains)
    assert found.shape == (1, 39)
    assert found[0] == pytest.approx([min(turn, 360 - turn) for turn in turns], abs=1e-6)


def test_chains_of_four_go_once_along_each_way_of_three_bonds():
    ethane = np.array([[0, 1], *([0, k] for k in (2, 3, 4)), *([k, 1] for k in (5, 6, 7))])
    found = {tuple(min(chain, chain[::-1])) for chain in chains_of_four(ethane).tolist()}
    assert found == {(one, 0, 1, other) for one in (2, 3, 4) for other in (5, 6, 7)}
    assert len(chains_of_four(ethane)) == 9
    triangle, square = np.array([[0, 1], [1, 2], [2, 0]]), np.array([[0, 1], [1, 2], [2, 3], [3, 0]])
    assert len(chains_of_four(triangle)) == 0
    assert len(chains_of_four(square)) == 4
    assert chains_of_four(np.empty((0, 2), np.int64)).shape == (0, 4)


def test_bonds_and_angles_are_sorted_by_the_names_of_their_types_whatever_their_direction():
    types = np.array([1, 2, 2, 1])
    found = by_types(np.array([[0, 1], [2, 0], [0, 3]]), types, ["O", "H"])
    assert {name: rows.tolist() for name, rows in found.items()} == {"O-H": [0, 1], "O-O": [2]}
    assert list(by_types(np.array([[1, 0, 2]]), types, ["O", "H"])) == ["H-O-H"]


def test_bonds_to_two_kinds_of_hydrogen_are_two_kinds_of_bond():
    found = by_types(np.array([[0, 1], [0, 2]]), np.array([1, 2, 3]), ["C", "H", "H"])
    assert {name: rows.tolist() for name, rows in found.items()} == {"C-H (2)": [0], "C-H (3)": [1]}


def test_a_histogram_integrates_to_one_and_counts_what_lies_outside_in_its_ends():
    values = np.random.default_rng(1).normal(1.0, 0.1, (4, 500))
    edges = np.linspace(0.9, 1.1, 21)
    density, ideal = histograms(values, edges)
    assert density.sum(axis=1) * 0.01 == pytest.approx(np.ones(4), rel=1e-12)
    assert ideal == pytest.approx(np.full(20, 500 * 0.01))
    assert density[0, -1] * ideal[-1] == (values[0] >= edges[-2]).sum()
