"""The classical start: potentials as smooth as the data ask for, and none where they do not help."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.model.density.test_model import approaches, density

from gnnformd.graph.build import build_graph, collate
from gnnformd.model.density import classical_fit
from gnnformd.model.settings import DensitySettings
from gnnformd.trajectory.frame import Frame


def liquid(seed, atoms=60):
    """Atoms at random, none closer than 1.8 angstrom."""
    rng = np.random.default_rng(seed)
    positions: list[np.ndarray] = []
    while len(positions) < atoms:
        new = 10.0 * rng.random(3)
        apart = np.array([new - old for old in positions]).reshape(-1, 3)
        apart -= 10.0 * np.round(apart / 10.0)
        if not len(apart) or np.linalg.norm(apart, axis=1).min() > 1.8:
            positions.append(new)
    frame = Frame(
        timestep=0,
        cell=10.0 * np.eye(3),
        origin=np.zeros(3),
        periodic=(True, True, True),
        ids=np.arange(1, atoms + 1),
        types=np.ones(atoms, dtype=np.int64),
        positions=np.array(positions),
        forces=rng.normal(0, 20, (atoms, 3)),
    )
    return build_graph(frame, 3.4, dtype=torch.float64)


def started(frames):
    """Model after the fit of its potentials to the forces of some frames, without the network."""
    batch = collate(frames)
    model = density(types=1, node_features="embedding", electrostatics="none", repulsion=0.0, bond_kinds=0).eval()
    torch.nn.init.zeros_(model.fitted_pairs.coefficients)
    model.network.energy_scale.zero_()
    model.contacts.take(approaches(batch, types=1))
    model.fit_classical(batch)
    return model


def error(model, graph):
    return (model.fixed_part(graph).forces - graph.forces).square().mean().sqrt().item()


def with_pair_forces(graph, noise, seed=0):
    """Forces of ``12 (1 - r/3.4)^3`` between all pairs, and others that no pair potential describes."""
    vectors = graph.half_edge_vectors()
    r = vectors.norm(dim=1)
    slope = -36.0 / 3.4 * (1 - r / 3.4) ** 2
    forces = graph.sum_pair_forces(slope[:, None] * vectors / r[:, None])
    rng = np.random.default_rng(seed)
    return replace(graph, forces=forces + torch.from_numpy(rng.normal(0, noise, forces.shape)))


def test_forces_that_no_potential_describes_give_none():
    model = started([liquid(k) for k in range(8)])
    assert model.fitted_pairs.coefficients.abs().max() == 0


@pytest.mark.parametrize("count", [1, 2, 4, 10])
def test_fitted_potentials_are_never_worse_than_none_in_frames_that_are_new(count):
    frames = [with_pair_forces(liquid(k), noise=3.0, seed=k) for k in range(count)]
    model, new = started(frames), with_pair_forces(liquid(99), noise=3.0, seed=99)
    assert error(model, new) < 1.02 * new.forces.square().mean().sqrt().item()
    assert model.fitted_pairs.coefficients.abs().max() < 100  # kcal/mol, of energies of a few


def test_too_few_forces_to_keep_some_back_give_no_potentials():
    graph = with_pair_forces(liquid(25, atoms=3), noise=0.0)
    assert len(graph.half_edges.center) == 2
    model = started([graph])
    assert model.fitted_pairs.coefficients.abs().max() == 0


def test_what_is_exact_is_found_from_few_frames():
    frames = [with_pair_forces(liquid(k), noise=0.0) for k in range(4)]
    new = with_pair_forces(liquid(99), noise=0.0)
    assert error(started(frames), new) < 0.01 * new.forces.square().mean().sqrt().item()


def test_a_prior_of_smooth_potentials_is_as_strong_as_the_data_ask_for(monkeypatch):
    frames = [with_pair_forces(liquid(k, atoms=25), noise=1.0, seed=k) for k in range(4)]
    new = with_pair_forces(liquid(99), noise=0.0)
    chosen = error(started(frames), new)
    monkeypatch.setattr(classical_fit, "STRENGTHS", classical_fit.STRENGTHS[:1])
    assert chosen < 0.5 * error(started(frames), new)


@pytest.mark.parametrize(("noise", "classical"), [(0.02, True), (1.0, False)])
def test_a_new_model_has_potentials_where_they_leave_little(noise, classical):
    frames = [with_pair_forces(liquid(k), noise=noise, seed=k) for k in range(8)]
    model = density(types=1, node_features="embedding", electrostatics="none", repulsion=0.0, bond_kinds=0).eval()
    torch.nn.init.zeros_(model.fitted_pairs.coefficients)
    model.initialize(collate(frames))
    assert (model.fitted_pairs.coefficients.abs().max() > 0) == classical


def test_potentials_that_would_have_too_many_numbers_are_none(monkeypatch):
    frames = [with_pair_forces(liquid(k), noise=0.0) for k in range(4)]
    count = DensitySettings().radial_functions  # of one pair of types
    monkeypatch.setattr(classical_fit, "MOST_OF_TYPES", count)
    assert started(frames).fitted_pairs.coefficients.abs().max() > 0
    monkeypatch.setattr(classical_fit, "MOST_OF_TYPES", count - 1)
    assert started(frames).fitted_pairs.coefficients.abs().max() == 0


def test_frames_that_all_are_kept_back_give_no_potentials():
    frames = [with_pair_forces(liquid(k), noise=0.0) for k in range(4)]
    unknown = [replace(frame, forces=torch.full_like(frame.forces, torch.nan)) for frame in frames[:3]]
    assert started([*unknown, frames[3]]).fitted_pairs.coefficients.abs().max() == 0
