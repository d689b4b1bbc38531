import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.graph.bonds import bond_kinds, bond_table, refuse_narrow_box
from gnnformd.graph.build import build_graph
from gnnformd.neighbors import neighbor_pairs
from gnnformd.trajectory.frame import Frame


def as_dict(table):
    return {
        (int(k) // table.atom_count, int(k) % table.atom_count): int(v)
        for k, v in zip(table.keys, table.kinds, strict=True)
    }


def distances_in_bonds(bonds, atom_count):
    """Shortest ways by Floyd and Warshall."""
    d = np.full((atom_count, atom_count), 99)
    np.fill_diagonal(d, 0)
    for a, b in bonds:
        d[a, b] = d[b, a] = 1
    for k in range(atom_count):
        d = np.minimum(d, d[:, k, None] + d[None, k])
    return {(i, j): int(d[i, j]) for i in range(atom_count) for j in range(i + 1, atom_count) if d[i, j] <= 3}


def test_a_chain_has_first_second_and_third_neighbors_and_no_fourth():
    table = bond_table(np.array([[0, 1], [2, 1], [2, 3], [3, 4]]), 5)
    assert as_dict(table) == {
        (0, 1): 1, (1, 2): 1, (2, 3): 1, (3, 4): 1, (0, 2): 2, (1, 3): 2, (2, 4): 2, (0, 3): 3, (1, 4): 3,
    }  # fmt: skip


def test_in_a_ring_the_shortest_way_counts():
    four = bond_table(np.array([[0, 1], [1, 2], [2, 3], [3, 0]]), 4)
    assert as_dict(four) == {(0, 1): 1, (1, 2): 1, (2, 3): 1, (0, 3): 1, (0, 2): 2, (1, 3): 2}
    three = bond_table(np.array([[0, 1], [1, 2], [2, 0]]), 3)
    assert set(as_dict(three).values()) == {1}


def test_any_network_of_bonds_gives_its_shortest_ways():
    rng = np.random.default_rng(1)
    for _ in range(10):
        pairs = rng.integers(0, 12, (14, 2))
        bonds = pairs[pairs[:, 0] != pairs[:, 1]]
        table = bond_table(bonds, 12)
        assert as_dict(table) == distances_in_bonds(bonds, 12)
        assert (np.diff(table.keys) > 0).all()


def test_no_bonds_give_an_empty_table():
    for none in (None, np.empty((0, 2), np.int64)):
        assert as_dict(bond_table(none, 5)) == {}


@pytest.mark.parametrize("bond", [[0, 3], [-1, 2]])
def test_a_bond_to_an_atom_that_is_not_there_is_refused(bond):
    with pytest.raises(InputError, match="bond"):
        bond_table(np.array([[0, 1], bond]), 3)


def water(cell, origin):
    molecule = np.array([[0, 0, 0], [1.012, 0, 0], [-0.4, 0.929, 0]])
    positions = molecule + origin
    positions = (positions @ np.linalg.inv(cell) % 1) @ cell  # wrapped: the molecule may be cut by the border
    return positions, bond_table(np.array([[0, 1], [0, 2]]), 3)


@pytest.mark.parametrize("origin", [(2.0, 2.0, 2.0), (0.1, 0.0, 4.9), (4.9, 4.5, 0.0)])
def test_a_molecule_across_the_border_keeps_its_kinds(origin):
    cell = np.array([[5.0, 0, 0], [1.0, 5.0, 0], [-1.0, 0.5, 5.0]])
    positions, table = water(cell, origin)
    i, j, shift = neighbor_pairs(positions, cell, True, 2.0)
    kinds = bond_kinds(table, i, j, shift, positions, cell)
    assert list(zip(i.tolist(), j.tolist(), kinds.tolist(), strict=True)) == [(0, 1, 1), (0, 2, 1), (1, 2, 2)]


def test_of_several_images_only_the_nearest_is_bonded():
    cell = np.diag([4.0, 4.0, 4.0])
    positions, table = water(cell, (3.9, 3.9, 0.1))
    i, j, shift = neighbor_pairs(positions, cell, True, 6.0)
    kinds = bond_kinds(table, i, j, shift, positions, cell)
    assert len(i) > 3 * 10
    lengths = np.linalg.norm(positions[j] - positions[i] + shift @ cell, axis=1)
    bonded = {(int(i[k]), int(j[k]), int(kinds[k])): lengths[k] for k in np.flatnonzero(kinds)}
    hydrogens = np.hypot(1.012 + 0.4, 0.929)
    assert bonded == pytest.approx({(0, 1, 1): 1.012, (0, 2, 1): np.hypot(0.4, 0.929), (1, 2, 2): hydrogens})


def test_bonded_atoms_beyond_the_cutoff_are_no_edge():
    cell = np.diag([9.0, 9.0, 9.0])
    positions, table = water(cell, (4.0, 4.0, 4.0))
    i, j, shift = neighbor_pairs(positions, cell, True, 1.2)
    assert bond_kinds(table, i, j, shift, positions, cell).tolist() == [1, 1]


def chain(width):
    """Butane's carbons, all trans, along the narrow direction of a box; the ends are 3.9 angstrom apart."""
    positions = np.array([[0.0, 0, 0], [1.29, 0.84, 0], [2.58, 0, 0], [3.87, 0.84, 0]]) + 0.3
    return positions, np.diag([width, 12.0, 12.0]), bond_table(np.array([[0, 1], [1, 2], [2, 3]]), 4)


@pytest.mark.parametrize(
    ("width", "cutoff", "known"), [(9.0, 3.0, True), (7.0, 2.0, True), (7.0, 3.5, False), (4.0, 2.0, False)]
)
def test_a_molecule_wider_than_half_of_the_box_is_refused_where_it_meets_its_image(width, cutoff, known):
    positions, cell, table = chain(width)
    tilted = cell + np.array([[0, 0, 0], [3 * width, 0, 0], [0, 0, 0]])  # the same lattice
    ids = np.array([3, 5, 7, 11])
    for box, x in ((cell, positions), (tilted, positions), (cell, positions % width)):
        if known:
            refuse_narrow_box(table, ids, x, box, (True, False, True), cutoff)
            continue
        sentence = rf"3 and \d+ are \d bonds? and .* in this box, which is {width:g} angstrom wide"
        with pytest.raises(InputError, match=sentence):
            refuse_narrow_box(table, ids, x, box, (True, False, True), cutoff)
    refuse_narrow_box(table, ids, positions, cell, (False, True, True), cutoff)


def test_a_graph_is_refused_where_bonds_lead_to_another_image_than_the_nearest():
    positions, cell, _ = chain(7.0)
    bonds, ids = np.array([[0, 1], [1, 2], [2, 3]]), np.arange(1, 5)
    frame = Frame(7, cell, np.zeros(3), (True,) * 3, ids, np.ones(4, np.int64), positions, bonds=bonds)
    with pytest.raises(InputError, match=r"timestep 7: atoms 1 and 4 are 3 bonds and 3\.96 angstrom apart"):
        build_graph(frame, 3.5)
    build_graph(frame, 2.0)
