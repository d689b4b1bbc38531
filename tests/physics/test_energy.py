"""Forces, virial and energy of models that have an energy, and smoothness at the cutoff."""

import numpy as np
import pytest


def energy(model, system):
    return model(system.graph(model.cutoff)).energies.item()


def forces(model, system):
    return model(system.graph(model.cutoff)).forces.detach().numpy()


def slope(function, step):
    """Derivative at zero from four values; the error is of order ``step^4``."""
    near, far = (function(k * step) - function(-k * step) for k in (1, 2))
    return (8 * near - far) / (12 * step)


def test_forces_are_the_slope_of_the_energy(conservative_model, system):
    predicted = forces(conservative_model, system)
    usual = np.sqrt(np.mean(predicted**2))
    x = system.frame.positions
    rng = np.random.default_rng(5)

    def along(direction):
        return -slope(lambda t: energy(conservative_model, system.changed(positions=x + t * direction)), 1e-4)

    for atom in rng.choice(len(x), 2, replace=False):
        for axis in range(3):
            push = np.zeros_like(x)
            push[atom, axis] = 1.0
            assert predicted[atom, axis] == pytest.approx(along(push), rel=1e-6, abs=1e-6 * usual)
    # and along one direction in which all atoms move
    push = rng.normal(size=x.shape)
    assert (predicted * push).sum() == pytest.approx(along(push), rel=1e-6)


def test_the_virial_is_the_slope_of_the_energy_under_strain(conservative_model, system):
    prediction = conservative_model(system.graph(conservative_model.cutoff))
    virial = prediction.virials[0].detach().numpy()
    frame, usual = system.frame, np.sqrt(np.mean(virial**2))

    def strained(strain):
        deformed = np.eye(3) + strain
        return energy(
            conservative_model, system.changed(positions=frame.positions @ deformed, cell=frame.cell @ deformed)
        )

    for a, b in [(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0)]:
        unit = np.zeros((3, 3))
        unit[a, b] = 1.0
        derivative = slope(lambda t, unit=unit: strained(t * unit), 1e-5)
        assert virial[a, b] == pytest.approx(-derivative, rel=1e-6, abs=1e-6 * usual)
    np.testing.assert_allclose(virial, virial.T, rtol=1e-10, atol=1e-10 * usual)


def test_the_total_force_is_zero(conservative_model, system):
    predicted = forces(conservative_model, system)
    assert np.abs(predicted).max() > 1e-2
    np.testing.assert_allclose(predicted.sum(axis=0), 0, atol=1e-10 * np.abs(predicted).sum())


def test_the_total_torque_on_a_cluster_is_zero(conservative_model, systems):
    cluster = systems["argon cluster"].changed(periodic=(False, False, False))  # images would turn charged atoms
    predicted = forces(conservative_model, cluster)
    torque = np.cross(cluster.frame.positions, predicted).sum(axis=0)
    np.testing.assert_allclose(torque, 0, atol=1e-10 * np.abs(predicted).sum() * np.abs(cluster.frame.positions).max())


def at_distance(system, i, j, distance):
    """Move atom ``j`` along its line with the nearest image of ``i`` until they are ``distance`` apart."""
    x, cell = system.frame.positions, system.frame.cell
    shift = np.round((x[i] - x[j]) @ np.linalg.inv(cell)) @ cell
    vector = x[j] + shift - x[i]
    moved = x.copy()
    moved[j] = x[i] - shift + vector * distance / np.linalg.norm(vector)
    return system.changed(positions=moved)


def pairs_near_the_cutoff(system, cutoff):
    """Three pairs whose distance is closest to the cutoff, not of one molecule."""
    graph = system.graph(1.3 * cutoff)
    half = graph.edge_count // 2
    gap = (graph.edge_vectors()[:half].norm(dim=1) - cutoff).abs().numpy()
    gap[graph.bond_kind[:half].numpy() > 0] = np.inf
    return [(int(graph.center_index[e]), int(graph.neighbor_index[e])) for e in np.argsort(gap)[:3]]


def test_nothing_jumps_when_a_pair_crosses_the_cutoff(smooth_model, system):
    cutoff, step = smooth_model.cutoff, 1e-7
    for i, j in pairs_near_the_cutoff(system, cutoff):
        inside, outside, beyond = (at_distance(system, i, j, cutoff + k * step) for k in (-1, 1, 3))
        counts = [s.graph(cutoff).edge_count for s in (inside, outside)]
        assert counts[0] - counts[1] == 2
        # the step that crosses the cutoff changes energy and forces as the next one, which crosses nothing
        predicted = [forces(smooth_model, s) for s in (inside, outside, beyond)]
        usual = np.abs(predicted[1]).max()
        np.testing.assert_allclose(predicted[1] - predicted[0], predicted[2] - predicted[1], rtol=0, atol=1e-8 * usual)
        if smooth_model.conservative:
            energies = [energy(smooth_model, s) for s in (inside, outside, beyond)]
            assert energies[1] - energies[0] == pytest.approx(energies[2] - energies[1], rel=0, abs=1e-8)


def test_two_atoms_part_without_a_jump(smooth_model, systems):
    cluster = systems["argon cluster"]
    frame = cluster.frame
    pair = cluster.changed(
        positions=np.array([[1.0, 2.0, 3.0], [4.0, 2.0, 3.0]]), types=frame.types[:2], ids=frame.ids[:2]
    )
    cutoff = smooth_model.cutoff
    together, apart = (at_distance(pair, 0, 1, cutoff * (1 + s)) for s in (-1e-9, 1e-9))
    assert together.graph(cutoff).edge_count > apart.graph(cutoff).edge_count
    np.testing.assert_allclose(forces(smooth_model, together), forces(smooth_model, apart), rtol=0, atol=1e-8)
    assert energy(smooth_model, together) == pytest.approx(energy(smooth_model, apart), rel=0, abs=1e-8)
