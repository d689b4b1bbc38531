import itertools
from concurrent.futures import ThreadPoolExecutor

import ase
import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from scipy.spatial import KDTree

from gnnformd import neighbors
from gnnformd.errors import InputError
from gnnformd.neighbors import neighbor_pairs

CUBE = np.diag([6.0, 6.0, 6.0])


def sum_over_images(positions, cell, periodic, cutoff):
    """All pairs within the cutoff by looking at every image that could be in reach, one by one."""
    # an image shifted n times along a lattice vector is at least n heights away, less the spread of the atoms
    spread = np.linalg.norm(positions.max(axis=0) - positions.min(axis=0))
    rows = np.where(np.asarray(periodic)[:, None], cell, np.eye(3))
    heights = 1 / np.linalg.norm(np.linalg.inv(rows), axis=0)
    reach = [int((cutoff + spread) / h) + 1 if p else 0 for h, p in zip(heights, periodic, strict=True)]
    found = set()
    for shift in itertools.product(*[range(-n, n + 1) for n in reach]):
        vectors = positions[None, :] - positions[:, None] + np.array(shift) @ np.where(np.isfinite(cell), cell, 0)
        for i, j in np.argwhere(np.linalg.norm(vectors, axis=-1) < cutoff):
            if i < j or (i == j and shift > (0, 0, 0)):
                found.add((int(i), int(j), *shift))
    return sorted(found)


def as_list(pairs):
    i, j, shift = pairs
    return [(int(a), int(b), *map(int, s)) for a, b, s in zip(i, j, shift, strict=True)]


def random_box(rng, kind):
    cell = np.diag(rng.uniform(3, 7, 3))
    if kind != "rectangular":
        cell += np.tril(rng.uniform(-2.5, 2.5, (3, 3)), -1)
    if kind == "turned":
        cell = cell @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return cell


@pytest.mark.parametrize("kind", ["rectangular", "triclinic", "turned"])
@pytest.mark.parametrize("cutoff", [1.5, 3.4, 8.0])  # up to more than twice the box
def test_the_list_equals_a_sum_over_images(kind, cutoff):
    rng = np.random.default_rng(7)
    for _ in range(4):
        cell = random_box(rng, kind)
        positions = rng.uniform(0, 1, (9, 3)) @ cell
        assert as_list(neighbor_pairs(positions, cell, True, cutoff)) == sum_over_images(
            positions, cell, (True,) * 3, cutoff
        )


@pytest.mark.parametrize("periodic", list(itertools.product([False, True], repeat=3)))
def test_only_periodic_directions_have_images(periodic):
    rng = np.random.default_rng(8)
    for kind in ("rectangular", "triclinic", "turned"):
        cell = random_box(rng, kind)
        positions = rng.uniform(-0.7, 1.7, (9, 3)) @ cell
        assert as_list(neighbor_pairs(positions, cell, periodic, 5.0)) == sum_over_images(
            positions, cell, periodic, 5.0
        )


def test_atoms_far_outside_the_box_are_found_with_the_right_shift():
    rng = np.random.default_rng(9)
    cell = random_box(rng, "triclinic")
    inside = rng.uniform(0, 1, (12, 3)) @ cell
    outside = inside + rng.integers(-300, 300, (12, 3)) @ cell

    def vectors(positions):
        i, j, shift = neighbor_pairs(positions, cell, True, 4.0)
        return i, j, np.array(sorted((positions[j] - positions[i] + shift @ cell).round(6).tolist()))

    for a, b in zip(vectors(inside), vectors(outside), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


@pytest.mark.parametrize("periodic", [(True, True, True), (True, False, True), (False, False, False)])
def test_the_list_has_the_pairs_of_ase(periodic):
    rng = np.random.default_rng(10)
    cell = random_box(rng, "triclinic") * 1.5
    atoms = ase.Atoms(numbers=np.full(40, 18), positions=rng.uniform(0, 1, (40, 3)) @ cell, cell=cell, pbc=periodic)
    i, j, shift = neighbor_list("ijS", atoms, 4.4)
    expected = sorted(
        (int(a), int(b), *map(int, s))
        for a, b, s in zip(i, j, shift, strict=True)
        if a < b or (a == b and tuple(s) > (0, 0, 0))
    )
    assert as_list(neighbor_pairs(atoms.positions, cell, periodic, 4.4)) == expected


def test_an_atom_alone_in_a_cube_meets_each_image_once():
    # cubic lattice: 6 neighbors at 1 lattice constant, 12 at sqrt(2), 8 at sqrt(3); half of them are listed
    for cutoff, count in ((5.9, 0), (6.1, 6), (8.6, 18), (10.5, 26)):
        i, j, _ = neighbor_pairs(np.zeros((1, 3)), CUBE, True, cutoff)
        assert len(i) == count // 2
        assert not i.any()
        assert not j.any()


def test_pairs_are_sorted_also_those_of_images():
    rng = np.random.default_rng(11)
    for atoms, edge, cutoff in ((4000, 40.0, 4.0), (30, 5.0, 9.0)):
        i, j, shift = neighbor_pairs(rng.uniform(-5, edge, (atoms, 3)), np.eye(3) * edge, True, cutoff)
        rows = np.column_stack([i, j, shift])
        np.testing.assert_array_equal(np.lexsort(rows.T[::-1]), np.arange(len(rows)))
        assert len(np.unique(rows, axis=0)) == len(rows)


@pytest.mark.parametrize("cutoff", [2.5, 4.1, 7.9])  # cells as large as the cutoff, and half as large
@pytest.mark.parametrize("kind", ["rectangular", "triclinic"])
@pytest.mark.parametrize("periodic", [(True, True, True), (True, False, False)])
def test_many_atoms_have_the_pairs_of_a_tree(cutoff, kind, periodic):
    rng = np.random.default_rng(13)
    cell = 3 * random_box(rng, kind)
    positions = rng.uniform(-0.2, 1.3, (600, 3)) @ cell
    i, j, shift = neighbor_pairs(positions, cell, periodic, cutoff)
    assert (np.linalg.norm(positions[j] - positions[i] + shift @ cell, axis=1) < cutoff).all()
    wrapped = positions - np.floor(positions @ np.linalg.inv(cell)) * periodic @ cell
    images = itertools.product(*[(-1, 0, 1) if flag else (0,) for flag in periodic])
    tree, count = KDTree(wrapped), 0
    for image in images:
        count += tree.count_neighbors(KDTree(wrapped + np.array(image) @ cell), cutoff)
    assert 2 * len(i) + len(positions) == count


def test_frames_are_searched_by_threads():
    rng = np.random.default_rng(14)
    frames = [rng.uniform(0, 12, (500, 3)) for _ in range(8)]
    alone = [as_list(neighbor_pairs(x, 2 * CUBE, True, 3.0)) for x in frames]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda x: as_list(neighbor_pairs(x, 2 * CUBE, True, 3.0)), frames)) == alone


def test_the_box_does_not_matter_where_nothing_is_periodic():
    positions = np.array([[0.0, 0, 0], [0, 0, 1], [0, 0, 1e6]])
    assert as_list(neighbor_pairs(positions, np.zeros((3, 3)), False, 2.0)) == [(0, 1, 0, 0, 0)]


def test_a_slab_needs_no_third_lattice_vector():
    positions = np.array([[0.5, 0, 0], [5.5, 0, 3]])
    pairs = neighbor_pairs(positions, np.diag([6.0, 6.0, 0.0]), (True, True, False), 3.5)
    assert as_list(pairs) == [(0, 1, -1, 0, 0)]


@pytest.mark.parametrize("far", [1e3, 1e6, 1e12])
def test_an_atom_that_flew_away_is_no_trouble(far, monkeypatch):
    rng = np.random.default_rng(12)
    positions = rng.uniform(0, 5, (20, 3))
    expected = as_list(neighbor_pairs(positions, CUBE, False, 2.0))
    assert expected
    flown = np.vstack([positions, [[0.0, 0.0, far], [0.0, 0.0, -far], [0.0, 1.5, far]]])
    searched = []
    search = neighbors.half_list
    monkeypatch.setattr(neighbors, "half_list", lambda x, *rest: searched.append(np.ptp(x, axis=0)) or search(x, *rest))
    assert as_list(neighbor_pairs(flown, CUBE, False, 2.0)) == [*expected, (20, 22, 0, 0, 0)]
    assert (searched[0] < 15).all()  # the empty space was taken out


def test_long_and_thin_boxes_are_searched():
    long = np.diag([4.0, 4.0, 1e6])
    positions = np.array([[0, 0, 1.0], [0, 0, 5e5], [0, 0, 5e5 + 1.0], [0, 0, 1e6 - 0.5]])
    assert as_list(neighbor_pairs(positions, long, True, 2.0)) == [(0, 3, 0, 0, -1), (1, 2, 0, 0, 0)]
    # a square lattice of 800 x 800 atoms in a plane has four neighbors an atom
    plane = np.stack([*np.mgrid[0:800, 0:800], np.zeros((800, 800))], axis=-1).reshape(-1, 3)
    i, _, shift = neighbor_pairs(plane, np.diag([800.0, 800.0, 1.0]), (True, True, False), 1.1)
    assert len(i) == 2 * 800 * 800
    assert (shift[:, :2] != 0).any(axis=1).sum() == 2 * 800


def test_a_slanted_plane_with_a_long_third_axis_has_all_its_pairs():
    cell = np.array([[3.11, 0, 0], [-7.43, 2.13, 0], [0, 0, 3e5]])
    positions = np.random.default_rng(5).uniform(0, 1, (5, 3)) @ (cell * [[1], [1], [3e-5]])
    found = as_list(neighbor_pairs(positions, cell, True, 8.34))
    assert found == sum_over_images(positions, cell, (True, True, False), 8.34)


def test_many_images_of_one_atom_are_sorted():
    i, _, shift = neighbor_pairs(np.zeros((1, 3)), np.eye(3), True, 12.001)
    # Gauss's sphere problem: 7153 lattice points within 12 of one of them, itself among them (OEIS A000605)
    assert 2 * len(i) + 1 == 7153
    np.testing.assert_array_equal(np.lexsort(shift.T[::-1]), np.arange(len(i)))


def test_a_box_that_is_nearly_flat_is_refused():
    cell = np.array([[10.0, 0, 0], [10.0, 1e-3, 0], [0, 0, 10.0]])
    with pytest.raises(InputError, match=r"the box is 0\.001 angstrom thin.*check the box"):
        neighbor_pairs(np.zeros((2, 3)), cell, True, 6.0)


def test_no_atoms_have_no_pairs():
    i, j, shift = neighbor_pairs(np.empty((0, 3)), CUBE, True, 3.0)
    assert (i.shape, j.shape, shift.shape) == ((0,), (0,), (0, 3))


@pytest.mark.parametrize("cutoff", [0.0, -1.0, np.nan, np.inf])
def test_a_cutoff_that_is_no_positive_number_is_refused(cutoff):
    with pytest.raises(InputError, match="cutoff"):
        neighbor_pairs(np.zeros((2, 3)), CUBE, True, cutoff)


@pytest.mark.parametrize(
    "cell",
    [
        np.zeros((3, 3)),
        np.diag([6.0, 6.0, 0.0]),
        np.array([[6.0, 0, 0], [6, 0, 0], [0, 0, 6]]),
        np.array([[6.1, 0.3, 0.7], [0.2, 5.3, 1.9], [6.3, 5.6, 2.6]]),
        np.diag([6.0, np.nan, 6.0]),
        np.eye(2),
    ],
)
def test_a_cell_without_a_volume_is_refused(cell):
    with pytest.raises(InputError, match="lattice vector"):
        neighbor_pairs(np.zeros((2, 3)), cell, True, 3.0)


def test_an_atom_a_million_boxes_away_is_refused():
    with pytest.raises(InputError, match="box lengths outside"):
        neighbor_pairs(np.array([[0.0, 0, 0], [0, 1e12, 0]]), CUBE, True, 3.0)


def test_a_position_that_is_not_finite_is_refused_and_named():
    positions = np.zeros((3, 3))
    positions[1, 2] = np.nan
    with pytest.raises(InputError, match="atom number 2 "):
        neighbor_pairs(positions, CUBE, True, 3.0)


@pytest.mark.parametrize("periodic", [True, False])
def test_pairs_that_would_not_fit_into_memory_are_refused_before_the_search(periodic):
    positions = np.random.default_rng(0).uniform(0, 6, (27, 3)) if periodic else np.zeros((10**6, 3))
    positions[-1] += 5.0
    with pytest.raises(InputError, match=r"a cutoff of 10000 angstrom joins so many pairs .*; lower model\.cutoff"):
        neighbor_pairs(positions, CUBE, periodic, 1e4)
    i, _, _ = neighbor_pairs(positions[:27], CUBE, periodic, 20.0)
    assert len(i) > 300
