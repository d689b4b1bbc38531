from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from gnnformd.errors import InputError
from gnnformd.graph.build import build_graph, collate
from gnnformd.graph.dataset import GraphDataset


class Frames(list):
    """Frames in memory, in the place of a packed dataset; counts how often frames are read."""

    def __init__(self, frames, force_field=None):
        super().__init__(frames)
        self.force_field = force_field
        self.reads = 0

    def __getitem__(self, index):
        self.reads += 1
        return super().__getitem__(index)


def same(a, b):
    for name, value in vars(a).items():
        other = getattr(b, name)
        assert (value is None) == (other is None), name
        assert value is None or (value.dtype == other.dtype and torch.equal(value, other)), name


@pytest.fixture
def sources(make_water, water_field):
    small = Frames([make_water(2, seed=s) for s in range(4)], water_field)
    large = Frames([make_water(3, seed=s) for s in range(3)])
    return [small, large]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("prepared", [True, False])
def test_a_batch_equals_its_graphs_built_one_by_one(sources, dtype, prepared):
    chosen = [(0, 3), (1, 0), (1, 2), (0, 1)]
    dataset = GraphDataset(sources, chosen, 3.4, dtype=dtype)
    if prepared:
        dataset.prepare()
    graphs = [build_graph(sources[d][f], 3.4, sources[d].force_field, dtype=dtype) for d, f in chosen]
    assert len(dataset) == 4
    for k in range(4):
        same(dataset[k], graphs[k])
    for _ in range(2):
        same(dataset.batch([2, 0, 3]), collate([graphs[2], graphs[0], graphs[3]]))


def test_edges_are_found_once(sources, monkeypatch):
    import gnnformd.graph.build as build

    calls = []
    search = build.neighbor_pairs
    monkeypatch.setattr(build, "neighbor_pairs", lambda *a, **k: calls.append(1) or search(*a, **k))
    dataset = GraphDataset(sources, [(0, k) for k in range(4)], 3.4)
    dataset.batch([0, 1])
    dataset.prepare()
    dataset.batch([0, 1, 2, 3])
    assert len(calls) == 4


def test_preparing_tells_its_progress_and_works_with_threads(sources):
    chosen = [(d, f) for d in (0, 1) for f in range(3)]
    one, two = (GraphDataset(sources, chosen, 3.4) for _ in range(2))
    seen = []
    one.prepare(lambda done, total: seen.append((done, total)))
    two.prepare(threads=3)
    assert seen == [(k, 6) for k in range(1, 7)]
    reads = sources[0].reads
    two.prepare()
    assert sources[0].reads == reads
    same(one.batch(range(6)), two.batch(range(6)))


def test_many_threads_may_ask_at_once(sources):
    chosen = [(d, f) for d in (0, 1) for f in range(3)]
    expected = GraphDataset(sources, chosen, 3.4).batch([0, 5])
    dataset = GraphDataset(sources, chosen, 3.4)
    with ThreadPoolExecutor(4) as pool:
        for graph in pool.map(lambda _: dataset.batch([0, 5]), range(20)):
            same(graph, expected)


def test_bonds_that_change_along_a_trajectory_are_followed(make_water):
    frame = make_water(2)
    loose = replace(frame, bonds=frame.bonds[:4])
    dataset = GraphDataset([Frames([frame, loose, replace(frame, bonds=None), frame])], [(0, k) for k in range(4)], 3.4)
    assert [int((dataset[k].bond_kind == 1).sum()) for k in range(4)] == [32, 8, 0, 32]


def test_the_numbers_kept_are_small(sources):
    dataset = GraphDataset(sources, [(0, 0)], 3.4)
    edges = dataset.batch([0]).edge_count
    kept = dataset._edges[0]
    assert sum(a.nbytes for a in vars(kept).values()) <= 8 * edges // 2


def test_shifts_beyond_a_byte_are_kept(make_water):
    frame = make_water(2)
    away = frame.positions.copy()
    away[5] += 200 * frame.cell[0]
    away[6] -= 200 * frame.cell[0]
    graph = GraphDataset([Frames([replace(frame, positions=away)])], [(0, 0)], 3.4, dtype=torch.float64)[0]
    assert graph.cell_shift.abs().max() > 127
    inside = build_graph(frame, 3.4)
    np.testing.assert_allclose(
        graph.edge_vectors().norm(dim=1).sort().values, inside.edge_vectors().norm(dim=1).sort().values, atol=1e-11
    )


def test_a_data_loader_reads_batches(sources):
    dataset = GraphDataset(sources, [(0, k) for k in range(4)], 3.4)
    loader = DataLoader(dataset, batch_size=2, collate_fn=collate)
    batches = list(loader)
    same(batches[1], dataset.batch([2, 3]))


def test_a_bad_frame_is_named(sources, make_water):
    frame = make_water(2, seed=5)
    bad = Frames([replace(frame, cell=np.zeros((3, 3)))])
    with pytest.raises(InputError, match="timestep 50: "):
        GraphDataset([bad], [(0, 0)], 3.4).prepare(threads=2)
