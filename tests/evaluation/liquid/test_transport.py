from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gnnformd.evaluation.liquid.transport import transport
from gnnformd.trajectory.frame import Frame

INTERVAL_FS = 20.0


def run(path, periodic=(True, True, True)):
    """A run of free atoms with frames 20 fs apart."""
    count = len(path[0])
    topology = SimpleNamespace(types=np.ones(count, int), bonds=np.empty((0, 2), int), ids=np.arange(1, count + 1))

    def frames():
        for k, positions in enumerate(path):
            yield Frame(
                timestep=10 * k,
                cell=np.eye(3) * 12.0,
                origin=np.zeros(3),
                periodic=periodic,
                ids=topology.ids,
                types=topology.types,
                positions=positions,
            )

    return SimpleNamespace(timestep_fs=INTERVAL_FS / 10, topology=topology, steps=list(range(len(path))), frames=frames)


def displacement(path, lag):
    moved = path - path.mean(axis=1, keepdims=True)
    return np.square(moved[lag:] - moved[:-lag]).sum(axis=2).mean()


def walk(steps, seed):
    return np.cumsum(np.random.default_rng(seed).normal(0, 0.05, (steps, 10, 3)), axis=0)


@pytest.mark.parametrize("reference", [None, 1])
def test_a_short_run_has_a_curve_of_many_points_from_all_its_starts(reference):
    """A run of 2 ps: its eighths have lags up to 0.12 ps, seven points."""
    path, other = walk(101, 0), walk(101, 1)
    found = transport(run(path), None if reference is None else run(other), np.array([39.9]), ["Ar"], 300.0)
    curve = found.curves["mean_squared_displacement"]["Ar"]
    assert len(curve["time_ps"]) >= 20
    assert curve["time_ps"][:2] == pytest.approx([0.0, 0.02])
    for lag in (1, 7, len(curve["time_ps"]) - 1):
        assert curve["value_A2"][lag] == pytest.approx(displacement(path, lag), rel=1e-5)
        if reference is not None:
            assert curve["reference"][lag] == pytest.approx(displacement(other, lag), rel=1e-5)


def test_a_cluster_that_turns_does_not_diffuse():
    turned = np.arange(2001)[:, None] * np.array([[0.003, 0.0]])  # radians a frame
    shape = np.random.default_rng(0).normal(size=(10, 2)) * 3
    cosine, sine = np.cos(turned[:, :1]), np.sin(turned[:, :1])
    x, y = shape.T
    path = np.stack([x * cosine - y * sine, x * sine + y * cosine, np.zeros((2001, 10))], axis=2)
    for periodic in (True, False):
        found = transport(run(path, periodic=(periodic,) * 3), None, np.array([39.9]), ["Ar"], 300.0)
        (note,) = found.notes
        assert ("would do" in note) == periodic
        assert note.endswith("in empty space and turn together.") != periodic


def test_a_long_run_has_errors():
    curve = transport(run(walk(2001, 0)), None, np.array([39.9]), ["Ar"], 300.0).curves["mean_squared_displacement"]
    assert np.isfinite(curve["Ar"]["error"][1:]).all()


def test_the_note_on_a_missing_coefficient_says_over_which_time_displacements_are_known():
    velocity = np.random.default_rng(0).normal(0, 0.01, (1, 10, 3))
    found = transport(run(np.arange(201)[:, None, None] * velocity), None, np.array([39.9]), ["Ar"], 300.0)
    (note,) = found.notes
    assert note.startswith("diffusion of Ar in the run: velocities are correlated for 0.")
    assert "but known over 0.38 ps only, as the mean over 8 parts of the run; a run of about " in note


def test_what_holds_for_several_elements_is_said_once():
    made = run(walk(2001, 0), periodic=(False,) * 3)
    made.topology.types[5:] = 2
    (note,) = transport(made, None, np.array([39.9, 83.8]), ["Ar", "Kr"], 300.0).notes
    assert note.startswith("diffusion of Ar, Kr in the run: no diffusion, because the atoms are in empty space")


def moving(path, speed, seed):
    """A run with velocities whose center of mass moves, angstrom/fs."""
    velocities = np.random.default_rng(seed).normal(0, 2e-3, (len(path), 10, 3))
    velocities += speed - velocities.mean(axis=1, keepdims=True)
    made = run(path)
    frames = made.frames

    def with_velocities():
        for frame, v in zip(frames(), velocities, strict=True):
            yield replace(frame, velocities=v)

    made.frames = with_velocities
    return made


@pytest.mark.parametrize(("ours", "theirs", "known"), [(3e-4, 0.0, True), (3e-4, 3e-4, False), (3e-4, None, True)])
def test_a_moving_center_of_mass_is_judged_unless_that_of_the_reference_moves(ours, theirs, known):
    # 10 atoms of 40 g/mol at 3e-4 angstrom/fs in each direction: N m v^2 / (3 k) = 43.3 K
    other = None if theirs is None else moving(walk(101, 1), theirs, 1)
    found = transport(moving(walk(101, 0), ours, 0), other, np.array([40.0]), ["Ar"], 300.0)
    if known:
        observable = found.observables["center-of-mass temperature, K"]
        assert observable.value.value == pytest.approx(43.3, rel=1e-2)
        assert observable.reference.value == 0.0
    else:
        assert "center-of-mass temperature, K" not in found.observables
        assert any("the center of mass of the reference moves (up to 43.3 K)" in note for note in found.notes)
