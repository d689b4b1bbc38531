import numpy as np
import pytest
import torch

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.build import build_graph
from gnnformd.graph.within_cutoff import within_cutoff
from gnnformd.inference.moving_graph import MovingGraph
from gnnformd.trajectory.frame import Frame

CUTOFF = 4.0


def frame(positions, cell, periodic=(True, True, True)) -> Frame:
    count = len(positions)
    bonds = np.arange(count // 3)[:, None, None] * 3 + np.array([[0, 1], [0, 2]])
    return Frame(
        timestep=0,
        cell=cell,
        origin=np.zeros(3),
        periodic=periodic,
        ids=np.arange(1, count + 1),
        types=np.ones(count, dtype=np.int64),
        positions=positions,
        bonds=bonds.reshape(-1, 2),
    )


def waters(rng, count, cell) -> np.ndarray:
    centers = rng.random((count, 3)) @ cell
    offsets = np.array([[0.0, 0, 0], [1, 0, 0], [-0.3, 0.95, 0]])
    return (centers[:, None] + offsets).reshape(-1, 3)


def edges(graph) -> dict[tuple[int, int], list[tuple[float, ...]]]:
    """Vectors and kinds of bond of the edges of each pair, sorted: what a model sees, whatever the order."""
    found: dict[tuple[int, int], list[tuple[float, ...]]] = {}
    vectors = graph.edge_vectors().numpy().round(6) + 0.0
    rows = zip(
        graph.center_index.tolist(), graph.neighbor_index.tolist(), vectors, graph.bond_kind.tolist(), strict=True
    )
    for i, j, vector, kind in rows:
        found.setdefault((i, j), []).append((*vector, kind))
    return {pair: sorted(entries) for pair, entries in found.items()}


class Moving:
    """What is within the cutoff of the neighbors that a `MovingGraph` has."""

    def __init__(self, start: Frame, skin: float = 1.0) -> None:
        self.moving = MovingGraph(start, CUTOFF, None, skin=skin)

    @property
    def searches(self) -> int:
        return self.moving.searches

    def at(self, *where) -> AtomicGraph:
        wide, positions, cell = self.moving.at(*where)
        return within_cutoff(wide, torch.from_numpy(positions), torch.from_numpy(cell), CUTOFF)


CELLS = {
    "cube": np.diag([11.0, 11.0, 11.0]),
    "tilted": np.array([[11.0, 0, 0], [3.0, 10.0, 0], [-2.0, 4.0, 12.0]]),
    "shorter than twice the cutoff": np.diag([6.0, 9.0, 14.0]),
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_atoms_that_wander_have_the_graph_of_a_new_search_at_every_step(cell):
    rng = np.random.default_rng(5)
    positions = waters(rng, 30, cell)
    graph = Moving(frame(positions, cell))
    for step in range(40):
        positions = positions + rng.normal(scale=0.06, size=positions.shape) + 0.3  # with a drift of all atoms
        inside = positions - np.floor(positions @ np.linalg.inv(cell)) @ cell
        given = inside if step % 3 else positions  # an engine wraps atoms when it likes
        expected = build_graph(frame(inside, cell), CUTOFF)
        assert edges(graph.at(given, cell, (True, True, True))) == edges(expected)
    assert 1 < graph.searches < 20


def test_a_box_that_breathes_and_shears_has_the_graph_of_a_new_search_at_every_step():
    rng = np.random.default_rng(6)
    start = CELLS["cube"]
    scaled = waters(rng, 30, start) @ np.linalg.inv(start)
    graph = Moving(frame(scaled @ start, start))
    for step in range(40):
        strain = 0.1 * np.sin(step / 6) * np.array([[1.0, 0, 0], [0.5, -0.7, 0], [-0.4, 0.3, 0.8]])
        cell = start @ (np.eye(3) + strain)
        scaled = scaled + rng.normal(scale=0.003, size=scaled.shape)
        expected = build_graph(frame(scaled @ cell, cell), CUTOFF)
        assert edges(graph.at(scaled @ cell, cell, (True, True, True))) == edges(expected)
    assert 1 < graph.searches < 40


def test_a_pair_at_the_edge_of_the_skin_is_found_as_soon_as_it_is_inside_the_cutoff():
    # both atoms move towards each other, the worst that a displacement can do
    cell = np.diag([30.0, 30.0, 30.0])
    graph = Moving(frame(np.array([[0.0, 0, 0], [5.001, 0, 0], [15.0, 15, 15]]), cell))
    found = []
    for step in range(200):
        x = 0.005 * step
        positions = np.array([[x, 0, 0], [5.001 - x, 0, 0], [15.0, 15, 15]])
        assert (graph.at(positions, cell, (True, True, True)).edge_count == 2) == (5.001 - 2 * x < CUTOFF)
        found.append(graph.searches)
    assert found[-1] < 10


def test_a_box_that_shrinks_brings_atoms_together_that_do_not_move_in_it():
    scaled = np.array([[0.0, 0, 0], [5.001 / 30, 0, 0], [0.5, 0.5, 0.5]])
    graph = Moving(frame(scaled * 30, np.diag([30.0] * 3)))
    for width in np.arange(30.0, 20.0, -0.1):
        cell = np.diag([width] * 3)
        assert (graph.at(scaled @ cell, cell, (True, True, True)).edge_count == 2) == (5.001 / 30 * width < CUTOFF)


def test_a_drift_of_all_atoms_needs_no_new_search():
    rng = np.random.default_rng(7)
    cell = CELLS["tilted"]
    positions = waters(rng, 20, cell)
    graph = Moving(frame(positions, cell))
    first = edges(graph.at(positions, cell, (True, True, True)))
    for step in range(20):
        assert edges(graph.at(positions + 0.7 * step, cell, (True, True, True))) == first
    assert graph.searches == 1


def test_directions_that_are_not_periodic_have_no_images():
    cell = np.diag([5.0, 5.0, 5.0])
    positions = np.array([[0.2, 0.2, 0.2], [4.8, 0.2, 0.2], [0.2, 4.8, 0.2]])
    graph = Moving(frame(positions, cell, (True, False, False)))
    assert set(edges(graph.at(positions, cell, (True, False, False)))) == {(0, 1), (1, 0)}
    assert graph.at(positions, np.zeros((3, 3)), (False, False, False)).edge_count == 0
    # far outside the box, where wrapping would bring the atoms together
    assert graph.at(positions * 100, cell, (False, False, False)).edge_count == 0


def test_float32_coordinates_are_as_good_far_from_the_origin():
    cell = np.diag([11.0, 11.0, 11.0])
    positions = waters(np.random.default_rng(8), 20, cell)
    lengths = []
    for offset in (0.0, 11.0 * 1000):
        moving = MovingGraph(frame(positions, cell), CUTOFF, None)
        graph, _, _ = moving.at(positions + offset, cell, (True, True, True))
        lengths.append(graph.to(dtype=torch.float32).edge_vectors().norm(dim=1))
    assert (lengths[0] - lengths[1]).abs().max() < 5e-6
