"""The compiled sums over wave vectors against the same sums by PyTorch."""

import numpy as np
import pytest
import torch
from tests.threads import torch_threads

from gnnformd.model.density.ewald import cluster_energy, periodic_energy
from gnnformd.model.density.numba_engine.ewald import ClusterSum, EwaldSum
from gnnformd.model.density.numba_engine.pme import ParticleMeshEwald

BOXES = {"cube": np.diag([9.0, 9.0, 9.0]), "tilted": np.array([[9.0, 0, 0], [2.0, 11.0, 0], [-3.0, 1.0, 7.0]])}


def close_to(found, expected, tolerance):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def assert_same(found, expected, *, energy, others):
    assert found.energy == pytest.approx(expected.energy, rel=energy)
    for name in ("forces", "virial", "potentials"):
        close_to(getattr(found, name), getattr(expected, name), others)


@pytest.mark.parametrize("cell", BOXES.values(), ids=BOXES)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-11), (np.float32, 1e-5)], ids=["64", "32"])
@pytest.mark.parametrize("net", [0.0, 0.7])
def test_energy_forces_and_virial_are_those_of_the_equation(cell, dtype, tolerance, net):
    rng = np.random.default_rng(0)
    scaled, charges = rng.random((60, 3)), rng.normal(size=60)
    charges += (net - charges.sum()) / 60
    splitting, reach = 0.68, 4.6
    found = EwaldSum(np.dtype(dtype), splitting, reach).evaluate(charges, scaled, cell)

    places, box = torch.from_numpy(scaled).requires_grad_(), torch.from_numpy(cell).requires_grad_()
    q = torch.from_numpy(charges).requires_grad_()
    expected = periodic_energy(places, q, box, splitting, reach)
    by_place, by_box, by_charge = torch.autograd.grad(expected, (places, box, q))
    assert found.energy == pytest.approx(expected.item(), rel=tolerance)
    close_to(found.forces, -by_place.numpy() @ np.linalg.inv(cell).T, tolerance)
    close_to(found.virial, -cell.T @ by_box.numpy(), tolerance)
    close_to(found.potentials, by_charge.numpy(), tolerance)


def test_a_cluster_is_summed_over_its_pairs():
    rng = np.random.default_rng(5)
    positions, charges = 7.0 * rng.random((20, 3)), rng.normal(size=20)
    found = ClusterSum(0.68).evaluate(charges, positions, np.eye(3))
    places, q = torch.from_numpy(positions).requires_grad_(), torch.from_numpy(charges).requires_grad_()
    expected = cluster_energy(places, q, 0.68)
    by_place, by_charge = torch.autograd.grad(expected, (places, q))
    assert found.energy == pytest.approx(expected.item(), rel=1e-12)
    close_to(found.forces, -by_place.numpy(), 1e-12)
    close_to(found.virial, -positions.T @ by_place.numpy(), 1e-12)
    close_to(found.potentials, by_charge.numpy(), 1e-12)


def test_threads_and_a_changed_box():
    rng = np.random.default_rng(1)
    scaled, charges = rng.random((33, 3)), rng.normal(size=33)
    ewald = EwaldSum(charges.dtype, 0.7, 4.0)
    with torch_threads(1):
        one = ewald.evaluate(charges, scaled, BOXES["cube"])
    ewald.evaluate(charges, scaled, BOXES["tilted"])
    with torch_threads(2):
        two = ewald.evaluate(charges, scaled, BOXES["cube"])
    assert_same(two, one, energy=1e-13, others=1e-12)


@pytest.mark.parametrize("cell", [*BOXES.values(), np.diag([4.0, 4.5, 5.0])], ids=[*BOXES, "narrow"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["64", "32"])
def test_a_mesh_says_nearly_the_same(cell, dtype):
    rng = np.random.default_rng(2)
    scaled, charges = rng.random((60, 3)), rng.normal(size=60).astype(dtype)
    scaled[0] = 0.0, 1.0 - 2.0**-53, 0.5  # the second is rounded up to a whole number of mesh points
    exact = EwaldSum(np.dtype(np.float64), 0.7, 5.4).evaluate(charges, scaled, cell)
    assert_same(ParticleMeshEwald(charges.dtype, 0.7).evaluate(charges, scaled, cell), exact, energy=3e-6, others=3e-5)


def test_threads_share_a_mesh():
    rng = np.random.default_rng(4)
    scaled, charges = rng.random((61, 3)), rng.normal(size=61)
    mesh = ParticleMeshEwald(charges.dtype, 0.7)
    with torch_threads(1):
        one = mesh.evaluate(charges, scaled, BOXES["tilted"])
    with torch_threads(3):
        three = mesh.evaluate(charges, scaled, BOXES["tilted"])
    assert_same(three, one, energy=1e-12, others=1e-12)


def test_forces_virial_and_potentials_on_a_mesh_are_derivatives_of_its_energy():
    rng = np.random.default_rng(3)
    cell, scaled, charges = BOXES["tilted"], rng.random((20, 3)), rng.normal(size=20)
    mesh = ParticleMeshEwald(charges.dtype, 0.7)
    found = mesh.evaluate(charges, scaled, cell)
    h = 1e-5
    for axis in range(3):
        moved = [scaled + sign * h * np.eye(20)[4][:, None] * np.eye(3)[axis] for sign in (1, -1)]
        energies = [mesh.evaluate(charges, place % 1.0, cell).energy for place in moved]
        assert -(energies[0] - energies[1]) / (2 * h) == pytest.approx(found.forces[4] @ cell[axis], rel=1e-6)
        strained = [
            mesh.evaluate(charges, scaled, cell @ (np.eye(3) + sign * h * np.eye(3)[[axis]].T @ np.ones((1, 3)))).energy
            for sign in (1, -1)
        ]
        assert -(strained[0] - strained[1]) / (2 * h) == pytest.approx(found.virial[axis].sum(), rel=1e-6)
    changed = [mesh.evaluate(charges + sign * h * np.eye(20)[4], scaled, cell).energy for sign in (1, -1)]
    assert (changed[0] - changed[1]) / (2 * h) == pytest.approx(found.potentials[4], rel=1e-8)
