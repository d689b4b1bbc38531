"""Long-range sums of which each part of a system computes its own atoms' share, as ranks do."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from tests.threads import torch_threads

from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.coulomb_system import DomainSystem, fractional
from gnnformd.model.density.numba_engine.ewald import EwaldSum
from gnnformd.model.density.numba_engine.pme import ParticleMeshEwald
from gnnformd.model.density.numba_engine.results import PartOfSystem
from gnnformd.model.settings import DensitySettings

CELL = np.array([[9.0, 0, 0], [2.0, 11.0, 0], [-3.0, 1.0, 7.0]])
SIZES = [20, 0, 13]  # one part has no atoms


class Together:
    """Threads in the place of ranks."""

    def __init__(self, count):
        self.barrier, self.values = Barrier(count, timeout=60), [None] * count

    def run(self, work):
        """What ``work(part, total)`` gives for each part."""
        with ThreadPoolExecutor(len(self.values)) as pool, torch_threads(1):
            return list(pool.map(lambda part: work(part, lambda v: self.total(part, v)), range(len(self.values))))

    def total(self, part, values):
        self.values[part] = np.array(values)
        self.barrier.wait()
        found = sum(self.values)
        self.barrier.wait()
        return found


class Others:
    def __init__(self, total):
        self.sum = total


def system():
    rng = np.random.default_rng(11)
    scaled, charges = rng.random((sum(SIZES), 3)), rng.normal(size=sum(SIZES))  # with a net charge
    ends = np.cumsum(SIZES)
    return scaled, charges, [slice(end - size, end) for size, end in zip(SIZES, ends, strict=True)]


def assert_sum_to(parts, whole):
    assert sum(part.energy for part in parts) == pytest.approx(whole.energy, rel=1e-12)
    assert np.allclose(
        sum(part.virial for part in parts), whole.virial, rtol=0, atol=1e-11 * np.abs(whole.virial).max()
    )
    for name in ("forces", "potentials"):
        joined, expected = np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name)
        assert np.allclose(joined, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("kind", [EwaldSum, ParticleMeshEwald])
def test_parts_of_a_system_sum_to_the_whole(kind):
    scaled, charges, parts = system()

    def new():
        return kind(np.dtype(float), 0.7, 4.6) if kind is EwaldSum else kind(np.dtype(float), 0.7)

    def work(part, total):
        own = parts[part]
        here = PartOfSystem(SIZES[part] / sum(SIZES), float(charges.sum()), total)
        return new().evaluate(charges[own], scaled[own], CELL, here)

    assert_sum_to(Together(3).run(work), new().evaluate(charges, scaled, CELL))


def test_domains_whose_meshes_are_of_different_boxes_begin_anew_together():
    model = DensityModel(DensitySettings(electrostatics="learned", cutoff=4.0), 1).double()
    model.electrostatics.mesh_from = 10
    scaled, charges, parts = system()
    larger = 1.04 * CELL  # a mesh stays the same until an edge has changed by a twentieth, but a new one is finer

    def work(part, total):
        system = DomainSystem(model, Others(total))
        for cell in (CELL, larger):
            if part == 2:
                system = DomainSystem(model, Others(total))
            system.move(scaled[parts[part]] @ cell, cell)
            found = system.long_range(charges[parts[part]])
        return found

    whole = ParticleMeshEwald(np.dtype(float), model.electrostatics.splitting)
    assert_sum_to(Together(3).run(work), whole.evaluate(charges, fractional(scaled @ larger, larger), larger))
