"""Fluids that a seed draws: their forces are those of the force field in reference.yaml."""

from itertools import product

import numpy as np
import pytest

from gnnformd.reference.generate import generate
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.read import read_frames
from gnnformd.units import COULOMB

SHORT = {"melting": "50", "equilibration": "10", "spacing": "1"}
FLUIDS = {
    "lj-fluid": {"atoms": "20"},
    "charged-fluid": {"atoms": "24"},
    "diatomic": {"molecules": "12"},
    "triatomic": {"molecules": "12"},
    "solution": {"molecules": "9", "salt": "2"},
}


def make(folder, name, seed, **variables):
    return generate(
        name, folder / f"{name}-{seed}", seed=seed, frames=1, variables={**SHORT, **FLUIDS[name], **variables}
    )


def pair_forces(run, field, frame):
    """Forces of Lennard-Jones, bonds and angles by their formulas, and the half of the Coulomb energy that is sums."""
    topology = read_topology(run.topology)
    box, x = frame.cell.diagonal(), frame.positions
    types = frame.types - 1
    forces = np.zeros_like(x)
    bonds = [] if topology.bonds is None else topology.bonds.tolist()
    angles = [] if topology.angles is None else topology.angles.tolist()
    special = {frozenset(bond) for bond in bonds} | {frozenset((a, c)) for a, _, c in angles}

    def nearest(vector):
        return vector - box * np.round(vector / box)

    reach = int(np.ceil(field.lj_cutoff / box.min()))
    images = [box * np.array(n) for n in product(range(-reach, reach + 1), repeat=3)]
    for i, j in product(range(len(x)), repeat=2):
        one, other = field.types[types[i]], field.types[types[j]]
        epsilon = np.sqrt(one.epsilon * other.epsilon)
        arithmetic = field.mixing == "arithmetic"
        sigma = 0.5 * (one.sigma + other.sigma) if arithmetic else np.sqrt(one.sigma * other.sigma)
        close = nearest(x[i] - x[j])
        for image in images:
            apart = close + image
            r = np.linalg.norm(apart)
            bonded = frozenset((i, j)) in special and not image.any()
            if 0 < r < field.lj_cutoff and not bonded:
                power = (sigma / r) ** 6
                forces[i] += 24 * epsilon * (2 * power**2 - power) / r**2 * apart
    for i, j in bonds:
        bond = next(b for b in field.bonds if set(b.types) == {types[i] + 1, types[j] + 1})
        apart = nearest(x[i] - x[j])
        r = np.linalg.norm(apart)
        pull = -2 * bond.stiffness * (r - bond.length) * apart / r
        forces[i] += pull
        forces[j] -= pull
    for a, b, c in angles:
        (angle,) = field.angles
        u, v = nearest(x[a] - x[b]), nearest(x[c] - x[b])
        lengths = np.linalg.norm(u), np.linalg.norm(v)
        cosine = u @ v / lengths[0] / lengths[1]
        torque = -2 * angle.stiffness * (np.arccos(cosine) - np.radians(angle.angle)) / -np.sqrt(1 - cosine**2)
        on_a = torque * (v / lengths[1] - cosine * u / lengths[0]) / lengths[0]
        on_c = torque * (u / lengths[0] - cosine * v / lengths[1]) / lengths[1]
        forces[a] += on_a
        forces[c] += on_c
        forces[b] -= on_a + on_c
    return forces, special


def ewald_forces(x, charges, box, excluded, splitting=0.5, waves=14):
    """Coulomb forces of a periodic box, of all pairs but the excluded ones (their nearest images)."""
    from scipy.special import erfc

    forces = np.zeros_like(x)
    apart = x[:, None] - x[None]
    apart -= box * np.round(apart / box)
    for image in (box * np.array(n) for n in product(range(-1, 2), repeat=3)):
        d = apart + image
        r = np.linalg.norm(d, axis=2)
        r[r == 0] = np.inf
        slope = erfc(splitting * r) / r**2 + 2 * splitting / np.sqrt(np.pi) * np.exp(-((splitting * r) ** 2)) / r
        forces += np.einsum("j,ij,ijk->ik", charges, slope / r, d)
    counts = np.array([n for n in product(range(-waves, waves + 1), repeat=3) if any(n)])
    k = 2 * np.pi * counts / box
    square = (k**2).sum(1)
    phase = x @ k.T
    factor = 4 * np.pi / np.prod(box) * np.exp(-square / (4 * splitting**2)) / square
    cosines, sines = charges @ np.cos(phase), charges @ np.sin(phase)
    forces += (factor * (np.sin(phase) * cosines - np.cos(phase) * sines)) @ k
    forces *= COULOMB * charges[:, None]
    for i, j in (tuple(pair) for pair in excluded):
        d = apart[i, j]
        pull = COULOMB * charges[i] * charges[j] / np.linalg.norm(d) ** 3 * d
        forces[i] -= pull
        forces[j] += pull
    return forces


@pytest.mark.parametrize(
    ("name", "seed", "variables"),
    [
        ("lj-fluid", 1, {"kinds": "3", "mixing": "0"}),
        ("lj-fluid", 2, {"kinds": "2", "mixing": "1"}),
        ("lj-fluid", 3, {"kinds": "1"}),
        ("diatomic", 1, {"kinds": "1"}),
        ("diatomic", 2, {"kinds": "2", "charge": "0"}),
        ("triatomic", 1, {"bare": "0", "charge2": "0"}),
    ],
)
def test_forces_without_charges_are_those_of_the_formulas(tmp_path, name, seed, variables):
    run = make(tmp_path, name, seed, **variables)
    (frame,) = read_frames(run.trajectory)
    expected, _ = pair_forces(run, run.force_field, frame)
    np.testing.assert_allclose(frame.forces, expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["charged-fluid", "diatomic", "triatomic", "solution"])
def test_forces_with_charges_have_the_coulomb_forces_of_all_images(tmp_path, name):
    run = make(tmp_path, name, 4, **({"kinds": "2"} if name == "diatomic" else {}))
    (frame,) = read_frames(run.trajectory)
    field = run.force_field
    charges = np.array([kind.charge for kind in field.types])[frame.types - 1]
    assert abs(charges.sum()) < 1e-9
    assert np.abs(charges).min() > 0
    expected, special = pair_forces(run, field, frame)
    expected += ewald_forces(frame.positions, charges, frame.cell.diagonal(), special)
    # LAMMPS's mesh is asked for 1e-5 of the force between two unit charges at 1 angstrom
    difference = frame.forces - expected
    assert np.sqrt((difference**2).mean()) < 3e-5 * COULOMB


@pytest.mark.parametrize("name", FLUIDS)
def test_the_seed_draws_the_fluid_and_what_is_set_changes_nothing_else(tmp_path, name):
    one, other = (make(tmp_path / part, name, seed) for part, seed in (("a", 5), ("b", 6)))
    assert one.force_field.types != other.force_field.types
    changed = make(tmp_path / "c", name, 5, epsilon1="0.123")
    drawn = {key for key, value in one.manifest["variables"].items() if value != changed.manifest["variables"][key]}
    assert drawn - {"edge", "step", "temperature"} == {"epsilon1"}
    assert changed.force_field.types[0].epsilon == 0.123


def test_a_pair_that_no_rule_gives_is_reported(tmp_path, argon_input):
    change = ("mass 1 39.948\n", "mass * 39.948\n"), ("create_box 1 box", "create_box 2 box")
    source = argon_input(*change, ("0.2378 3.405\n", "0.2378 3.405\npair_coeff 2 2 0.1 3\npair_coeff 1 2 0.15 3.2\n"))
    assert generate(source, tmp_path / "run").force_field.mixing == "other"
