import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.evaluation.liquid.motion import follow, molecules
from gnnformd.trajectory.frame import Frame

CUBE = np.eye(3) * 12.0


def frames(path, *, types=None, wrap=False, cells=None, every=10, velocities=None, forces=None):
    types = np.ones(len(path[0]), dtype=int) if types is None else types
    for k, positions in enumerate(path):
        cell = CUBE if cells is None else cells[k]
        yield Frame(
            timestep=every * k,
            cell=cell,
            origin=np.zeros(3),
            periodic=(True, True, True),
            ids=np.arange(1, len(positions) + 1),
            types=types,
            positions=positions % np.diag(cell) if wrap else positions,
            velocities=None if velocities is None else velocities[k],
            forces=None if forces is None else forces[k],
        )


def walk(steps, atoms, sigma, seed):
    return np.cumsum(np.random.default_rng(seed).normal(0, sigma, (steps, atoms, 3)), axis=0) + 6.0


def atoms_of(count):
    return molecules(np.ones(count, dtype=int), None, ["Ar"])


def test_wrapped_positions_are_followed_across_the_walls():
    path = walk(50, 20, 0.5, 1)
    free = follow(frames(path), 2.0, np.ones(20), atoms_of(20), ["Ar"], count=50)
    wrapped = follow(frames(path, wrap=True), 2.0, np.ones(20), atoms_of(20), ["Ar"], count=50)
    moved = [m.paths["Ar"] - m.paths["Ar"][0] for m in (free, wrapped)]
    # each atom against the common center, which is followed as well
    expected = path - path.mean(axis=1, keepdims=True)
    assert np.abs(moved[0] - (expected - expected[0])).max() < 1e-12
    assert np.abs(moved[1] - moved[0]).max() < 1e-12
    assert free.times_ps[:3].tolist() == [0.0, 0.02, 0.04]


def test_bonded_atoms_move_as_one_body_named_by_its_formula():
    types = np.array([1, 2, 2, 1, 2, 2, 3])
    bonds = np.array([[0, 1], [0, 2], [3, 4], [3, 5]])
    bodies = molecules(types, bonds, ["O", "H", "Na"])
    assert bodies.names == ("H2O", "H2O", "Na")
    masses = np.array([16.0, 1.0, 1.0, 16.0, 1.0, 1.0, 1e9])  # the heavy ion holds the common center
    path = np.repeat(np.linspace(1, 11, 21).reshape(-1, 1, 1), 7, axis=1).repeat(3, axis=2)
    path[:, 6] = 6.0
    path[:, 1] += 0.9 * np.sin(np.arange(21))[:, None]  # a hydrogen that shakes moves the center by an eighteenth
    found = follow(frames(path, types=types), 1.0, masses, bodies, ["O", "H", "Na"], count=21)
    moved = found.paths["H2O"][:, 0] - found.paths["H2O"][0, 0]
    expected = np.linspace(0, 10, 21) + 0.9 * np.sin(np.arange(21)) / 18
    assert np.abs(moved - expected[:, None]).max() < 1e-6
    assert np.abs(found.paths["Na"]).max() < 1e-6


def test_names_that_are_numbers_are_told_from_how_many_there_are():
    chain = np.array([[k, k + 1] for k in range(19)])
    bodies = molecules(np.ones(21, np.int64), chain, ["1"])
    assert bodies.names == ("1(20)", "1")
    assert molecules(np.array([1, 1, 2]), np.array([[0, 1], [1, 2]]), ["C4", "H"]).names == ("C4(2) H",)


def test_velocities_of_types_of_one_name_are_kept_apart_and_their_molecule_has_one_formula():
    # methanol with OPLS's two types of hydrogen
    types, names = np.array([1, 2, 3, 4, 4, 4]), ["C", "O", "H", "H"]
    bodies = molecules(types, np.array([[0, 1], [1, 2], [0, 3], [0, 4], [0, 5]]), names)
    assert set(bodies.names) == {"CH4O"}
    generator = np.random.default_rng(4)
    path, velocities = generator.random((5, 6, 3)), generator.normal(size=(5, 6, 3))
    found = follow(frames(path, types=types, velocities=velocities), 1.0, np.ones(6), bodies, names, count=5)
    assert {name: v.shape for name, v in found.velocities.items()} == {
        "C": (5, 1, 3), "O": (5, 1, 3), "H (3)": (5, 1, 3), "H (4)": (5, 3, 3)
    }  # fmt: skip
    center = velocities.mean(axis=1)
    assert found.velocities["H (3)"][:, 0] == pytest.approx(velocities[:, 2] - center, abs=1e-12)


def test_the_drift_of_the_whole_box_is_taken_off_positions_and_velocities_and_told_in_kelvin():
    path = np.full((20, 5, 3), 1.0) + np.arange(20)[:, None, None] * 0.4
    velocity = np.full((20, 5, 3), 1e-3)
    found = follow(frames(path, velocities=velocity), 2.0, np.full(5, 40.0), atoms_of(5), ["Ar"], count=20)
    assert np.ptp(found.paths["Ar"], axis=0).max() < 1e-12
    assert np.abs(found.velocities["Ar"]).max() < 1e-18
    # M V^2 / 3 k_B in SI: 200 g/mol, sqrt(3) * 1e-3 angstrom/fs = 173.2 m/s
    expected = 0.2 / 6.02214076e23 * 3 * 100.0**2 / (3 * 1.380649e-23)
    assert found.center_temperature == pytest.approx(np.full(20, expected), rel=1e-5)


def test_a_box_that_breathes_with_its_atoms_moves_none_of_them():
    cells = [CUBE * (1 + 0.02 * k) for k in range(6)]
    fractional = np.random.default_rng(2).random((30, 3))
    found = follow(
        frames([fractional @ c for c in cells], cells=cells), 1.0, np.ones(30), atoms_of(30), ["Ar"], count=6
    )
    assert np.ptp(found.paths["Ar"], axis=0).max() < 1e-12


def test_the_frequency_of_a_harmonic_oscillator_is_found_from_forces_and_velocities():
    # m x'' = -k x with m = 1.008 g/mol, k = 1059 kcal/mol/A^2: sqrt(k / m) = 0.6630 rad/fs (4184 J, 6.022e23)
    omega = np.sqrt(1059 * 4184 / 6.02214076e23 * 1e20 / (1.008e-3 / 6.02214076e23)) * 1e-15
    time = np.linspace(0, 200 * np.pi / omega, 4001)[:-1]
    swing = 0.1 * np.cos(omega * time)[:, None, None] * np.array([[[1.0, 0, 0], [-1.0, 0, 0]]])
    velocity = -0.1 * omega * np.sin(omega * time)[:, None, None] * np.array([[[1.0, 0, 0], [-1.0, 0, 0]]])
    found = follow(
        frames(swing + 5.0, velocities=velocity, forces=-1059 * swing),
        1.0,
        np.full(2, 1.008),
        atoms_of(2),
        ["H"],
        count=4000,
    )
    assert found.frequency == pytest.approx(omega, rel=1e-5)


def test_a_frame_that_repeats_the_step_before_it_is_left_out():
    path = walk(6, 4, 0.1, 0)
    doubled = [f for frame in frames(path) for f in (frame, frame)]
    found = follow(doubled, 1.0, np.ones(4), atoms_of(4), ["Ar"], count=12)
    assert len(found.times_ps) == 6


def test_one_frame_or_uneven_frames_have_no_motion():
    some = list(frames(walk(4, 3, 0.1, 0)))
    with pytest.raises(InputError, match="at least two frames"):
        follow(some[:1], 1.0, np.ones(3), atoms_of(3), ["Ar"], count=1)
    with pytest.raises(InputError, match="not evenly spaced"):
        follow([some[0], some[1], some[3]], 1.0, np.ones(3), atoms_of(3), ["Ar"], count=3)


def test_of_very_many_atoms_an_even_choice_is_followed():
    found = follow(frames(walk(3, 200, 0.1, 0)), 1.0, np.ones(200), atoms_of(200), ["Ar"], count=100_000)
    assert found.paths["Ar"].shape == (3, 50, 3)
