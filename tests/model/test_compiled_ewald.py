"""The compiled sums over wave vectors against the same sums by PyTorch."""

import numpy as np
import pytest
import torch

from gnnformd.model.compiled_ewald import CompiledEwald
from gnnformd.model.compiled_mesh import CompiledMesh
from gnnformd.model.density_ewald import periodic_energy
from tests.threads import torch_threads

BOXES = {"cube": np.diag([9.0, 9.0, 9.0]), "tilted": np.array([[9.0, 0, 0], [2.0, 11.0, 0], [-3.0, 1.0, 7.0]])}


@pytest.mark.parametrize("cell", BOXES.values(), ids=BOXES)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-11), (np.float32, 1e-5)], ids=["64", "32"])
@pytest.mark.parametrize("net", [0.0, 0.7])
def test_energy_forces_and_virial_are_those_of_the_equation(cell, dtype, tolerance, net):
    rng = np.random.default_rng(0)
    scaled, charges = rng.random((60, 3)), rng.normal(size=60)
    charges += (net - charges.sum()) / 60
    splitting, reach = 0.68, 4.6
    energy, forces, virial = CompiledEwald(charges.astype(dtype), splitting, reach).evaluate(scaled, cell)

    places, box = torch.from_numpy(scaled).requires_grad_(), torch.from_numpy(cell).requires_grad_()
    expected = periodic_energy(places, torch.from_numpy(charges), box, splitting, reach)
    by_place, by_box = torch.autograd.grad(expected, (places, box))
    wanted = -by_place.numpy() @ np.linalg.inv(cell).T
    assert energy == pytest.approx(expected.item(), rel=tolerance)
    np.testing.assert_allclose(forces, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())
    expected_virial = -cell.T @ by_box.numpy()
    np.testing.assert_allclose(virial, expected_virial, rtol=0, atol=tolerance * np.abs(expected_virial).max())


def test_threads_and_a_changed_box():
    rng = np.random.default_rng(1)
    scaled, charges = rng.random((33, 3)), rng.normal(size=33)
    ewald = CompiledEwald(charges, 0.7, 4.0)
    with torch_threads(1):
        one = ewald.evaluate(scaled, BOXES["cube"])
    ewald.evaluate(scaled, BOXES["tilted"])
    with torch_threads(2):
        two = ewald.evaluate(scaled, BOXES["cube"])
    np.testing.assert_allclose(two[1], one[1], rtol=0, atol=1e-12 * np.abs(one[1]).max())
    assert two[0] == pytest.approx(one[0], rel=1e-13)


@pytest.mark.parametrize("cell", [*BOXES.values(), np.diag([4.0, 4.5, 5.0])], ids=[*BOXES, "narrow"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["64", "32"])
def test_a_mesh_says_nearly_the_same(cell, dtype):
    rng = np.random.default_rng(2)
    scaled, charges = rng.random((60, 3)), rng.normal(size=60).astype(dtype)
    scaled[0] = 0.0, 1.0 - 2.0**-53, 0.5  # the second is rounded up to a whole number of mesh points
    exact = CompiledEwald(charges.astype(np.float64), 0.7, 5.4).evaluate(scaled, cell)
    mesh = CompiledMesh(charges, 0.7).evaluate(scaled, cell)
    assert mesh[0] == pytest.approx(exact[0], rel=3e-6)
    for fast, slow in zip(mesh[1:], exact[1:], strict=True):
        np.testing.assert_allclose(fast, slow, rtol=0, atol=3e-5 * np.abs(slow).max())


def test_threads_share_a_mesh():
    rng = np.random.default_rng(4)
    scaled, charges = rng.random((61, 3)), rng.normal(size=61)
    mesh = CompiledMesh(charges, 0.7)
    with torch_threads(1):
        one = mesh.evaluate(scaled, BOXES["tilted"])
    with torch_threads(3):
        three = mesh.evaluate(scaled, BOXES["tilted"])
    for some, alone in zip(three, one, strict=True):
        np.testing.assert_allclose(some, alone, rtol=0, atol=1e-12 * np.abs(alone).max())


def test_forces_and_virial_on_a_mesh_are_derivatives_of_its_energy():
    rng = np.random.default_rng(3)
    cell, scaled, charges = BOXES["tilted"], rng.random((20, 3)), rng.normal(size=20)
    mesh = CompiledMesh(charges, 0.7)
    _, forces, virial = mesh.evaluate(scaled, cell)
    h = 1e-5
    for axis in range(3):
        moved = [scaled + sign * h * np.eye(20)[4][:, None] * np.eye(3)[axis] for sign in (1, -1)]
        energies = [mesh.evaluate(place % 1.0, cell)[0] for place in moved]
        assert -(energies[0] - energies[1]) / (2 * h) == pytest.approx(forces[4] @ cell[axis], rel=1e-6)
        strained = [
            mesh.evaluate(scaled, cell @ (np.eye(3) + sign * h * np.eye(3)[[axis]].T @ np.ones((1, 3))))[0]
            for sign in (1, -1)
        ]
        assert -(strained[0] - strained[1]) / (2 * h) == pytest.approx(virial[axis].sum(), rel=1e-6)
