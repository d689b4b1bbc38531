"""What must not change, or must change along with the system."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnformd.graph.build import collate

TIGHT = {"rtol": 1e-10, "atol": 1e-10}


def predict(model, system):
    """Forces as an array, and the whole prediction."""
    prediction = model(system.graph(model.cutoff))
    return prediction.forces.detach().numpy(), prediction


def same_energy(a, b, times=1):
    assert (a.energies is None) == (b.energies is None)
    if a.energies is not None:
        np.testing.assert_allclose(b.energies.detach(), times * a.energies.detach(), **TIGHT)


def test_forces_are_there_and_differ_from_atom_to_atom(model, system):
    forces, prediction = predict(model, system)
    assert forces.shape == (len(system.frame.types), 3)
    assert np.isfinite(forces).all()
    assert (forces.std(axis=0) > 1e-3).all()
    assert model.conservative == (prediction.energies is not None) == (prediction.virials is not None)


def test_moving_everything_changes_nothing(model, system):
    forces, prediction = predict(model, system)
    moved, after = predict(model, system.changed(positions=system.frame.positions + np.array([3.7, -11.2, 0.4])))
    np.testing.assert_allclose(moved, forces, **TIGHT)
    same_energy(prediction, after)


def test_moving_atoms_by_lattice_vectors_changes_nothing(model, system):
    forces, prediction = predict(model, system)
    boxes = np.random.default_rng(0).integers(-3, 4, system.frame.positions.shape)
    moved, after = predict(model, system.changed(positions=system.frame.positions + boxes @ system.frame.cell))
    np.testing.assert_allclose(moved, forces, **TIGHT)
    same_energy(prediction, after)


def test_another_choice_of_lattice_vectors_changes_nothing(model, system):
    forces, prediction = predict(model, system)
    cell = np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ system.frame.cell
    changed, after = predict(model, system.changed(cell=cell))
    np.testing.assert_allclose(changed, forces, **TIGHT)
    same_energy(prediction, after)


def test_renumbering_atoms_renumbers_forces(model, system):
    forces, prediction = predict(model, system)
    frame = system.frame
    order = np.random.default_rng(0).permutation(len(frame.types))
    new_number = np.argsort(order)
    bonds = None if frame.bonds is None else new_number[frame.bonds]
    renumbered = system.changed(positions=frame.positions[order], types=frame.types[order], bonds=bonds)
    permuted, after = predict(model, renumbered)
    np.testing.assert_allclose(permuted, forces[order], **TIGHT)
    same_energy(prediction, after)


def test_a_batch_equals_its_parts(model, systems):
    graphs = [system.graph(model.cutoff) for system in systems.values()]
    together = model(collate(graphs))
    alone = [model(graph) for graph in graphs]
    for name in ("forces", "energies", "virials"):
        whole, parts = getattr(together, name), [getattr(p, name) for p in alone]
        if whole is None:
            assert parts == [None] * len(graphs)
        elif model.batch_wide:  # GraphNorm averages over all atoms that are evaluated together
            assert not torch.allclose(whole, torch.cat(parts), rtol=1e-10, atol=1e-10)
        else:
            torch.testing.assert_close(whole, torch.cat(parts), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("copies", [(2, 1, 1), (2, 2, 2)])
def test_a_repeated_box_has_repeated_forces_and_as_many_times_the_energy(model, system, copies):
    frame = system.frame
    forces, prediction = predict(model, system)
    places = np.array(list(np.ndindex(*copies)))
    atoms, count = len(frame.types), len(places)
    bonds = frame.bonds
    if bonds is not None:
        bonds = np.concatenate([bonds + k * atoms for k in range(count)])
    large = replace(
        frame,
        cell=np.array(copies)[:, None] * frame.cell,
        positions=np.concatenate([frame.positions + p @ frame.cell for p in places]),
        types=np.tile(frame.types, count),
        ids=np.arange(1, count * atoms + 1),
        bonds=bonds,
    )
    repeated, after = predict(model, replace(system, frame=large))
    np.testing.assert_allclose(repeated, np.tile(forces, (count, 1)), **TIGHT)
    same_energy(prediction, after, times=count)
    if prediction.virials is not None:
        np.testing.assert_allclose(after.virials.detach(), count * prediction.virials.detach(), **TIGHT)


@pytest.mark.parametrize("mirrored", [False, True], ids=["rotation", "reflection"])
def test_forces_turn_and_mirror_with_the_system(equivariant_model, system, mirrored):
    forces, prediction = predict(equivariant_model, system)
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn)) * (-1 if mirrored else 1)
    frame = system.frame
    turned, after = predict(equivariant_model, system.changed(positions=frame.positions @ turn, cell=frame.cell @ turn))
    np.testing.assert_allclose(turned, forces @ turn, **TIGHT)
    same_energy(prediction, after)
    if prediction.virials is not None:
        virial = prediction.virials[0].detach().numpy()
        np.testing.assert_allclose(after.virials[0].detach(), turn.T @ virial @ turn, **TIGHT)


def test_atoms_out_of_reach_do_not_matter(local_model, systems):
    # the reach is measured in a long row of boxes, where distance along the row bounds distance
    frame = systems["water"].frame
    count, atoms = 6, len(frame.types)
    row = replace(
        frame,
        cell=np.diag([count, 1, 1]) @ frame.cell,
        positions=np.concatenate([frame.positions + k * frame.cell[0] for k in range(count)]),
        types=np.tile(frame.types, count),
        ids=np.arange(1, count * atoms + 1),
        bonds=np.concatenate([frame.bonds + k * atoms for k in range(count)]),
    )
    system = replace(systems["water"], frame=row)
    pushed = row.positions.copy()
    pushed[0] += [0.1, -0.2, 0.05]
    forces, _ = predict(local_model, system)
    after, _ = predict(local_model, system.changed(positions=pushed))
    reach = local_model.layers * local_model.cutoff * (2 if local_model.conservative else 1) + 0.3
    along = row.positions[:, 0] - row.positions[0, 0]
    length = row.cell[0, 0]
    far = np.abs(along - length * np.round(along / length)) > reach
    assert far.sum() > atoms
    np.testing.assert_allclose(after[far], forces[far], rtol=0, atol=1e-12)
    assert np.abs(after[~far] - forces[~far]).max() > 1e-3
