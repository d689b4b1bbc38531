"""The Coulomb energy against Madelung constants, a direct sum, and LAMMPS."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.force_field import AtomType, ForceField
from gnnformd.graph.build import build_graph
from gnnformd.model.density.electrostatics import Electrostatics
from gnnformd.model.registry import build_model
from gnnformd.model.settings import DensitySettings
from gnnformd.reference.library import open_lammps
from gnnformd.trajectory.frame import Frame
from gnnformd.units import COULOMB, PRESSURE_ATM


def frame_of(positions, cell, types, *, periodic=(True, True, True), bonds=None):
    positions = np.asarray(positions, dtype=float)
    return Frame(
        timestep=0,
        cell=np.asarray(cell, dtype=float),
        origin=np.zeros(3),
        periodic=periodic,
        ids=np.arange(1, len(positions) + 1),
        types=np.asarray(types),
        positions=positions,
        bonds=bonds,
    )


def ions(charge, **special):
    return ForceField(types=(AtomType("A", 1.0, charge), AtomType("B", 1.0, -charge)), **special)


def coulomb_only(cutoff, accuracy=6.5):
    """A model whose network says nothing, so that only the Coulomb energy is left."""
    model = build_model(DensitySettings(cutoff=cutoff, features=2, width=2, repulsion=0.0), 2).double().eval()
    model.network.energy_scale.zero_()
    model.electrostatics = Electrostatics(cutoff, accuracy) if accuracy else model.electrostatics
    return model


@dataclass(frozen=True)
class Reference:
    """What LAMMPS says."""

    energy: float
    forces: np.ndarray
    virial: np.ndarray


WATER = ForceField(types=(AtomType("O", 15.9994, -0.82), AtomType("H", 1.008, 0.41)), special_coul=(0.0, 0.0, 1.0))

INPUT = """
units real
atom_style full
pair_style coul/long 4.5
bond_style zero
kspace_style ewald 1e-8
pair_modify table 0
special_bonds coul 0 0 1
read_data {data}
pair_coeff * *
bond_coeff * 1.0
kspace_modify gewald 1.2 kmax/ewald 22 22 22
compute virial all pressure NULL pair kspace
thermo_style custom step pe c_virial[1] c_virial[2] c_virial[3] c_virial[4] c_virial[5] c_virial[6]
run 0 post no
"""


def data_file(frame):
    lines = ["", "", f"{len(frame.types)} atoms", f"{len(frame.bonds)} bonds", "2 atom types", "1 bond types", ""]
    lines += [f"0 {frame.cell[k, k]!r} {axis}lo {axis}hi" for k, axis in enumerate("xyz")]
    lines += ["", "Masses", "", "1 15.9994", "2 1.008", "", "Atoms", ""]
    for k, (t, x) in enumerate(zip(frame.types, frame.positions, strict=True)):
        charge = WATER.types[t - 1].charge
        lines.append(f"{k + 1} {k // 3 + 1} {t} {charge} {x[0]!r} {x[1]!r} {x[2]!r}")
    lines += ["", "Bonds", ""]
    lines += [f"{k + 1} 1 {a + 1} {b + 1}" for k, (a, b) in enumerate(frame.bonds)]
    return "\n".join(lines).replace("np.float64(", "").replace(")", "") + "\n"


@pytest.fixture
def water_by_lammps(tmp_path):
    rng = np.random.default_rng(2)
    molecule = np.array([[0, 0, 0], [1.012, 0, 0], [-0.3996, 0.9298, 0]])
    turns = np.linalg.qr(rng.normal(size=(27, 3, 3)))[0]
    cell = np.diag([9.3, 9.6, 10.1])
    centers = np.stack(np.meshgrid(*[np.arange(3) / 3] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3) @ cell
    positions = (centers + molecule @ turns + rng.normal(0, 0.05, (27, 3, 3))).reshape(-1, 3)
    bonds = np.array([[3 * k, 3 * k + h] for k in range(27) for h in (1, 2)])
    frame = frame_of(positions, cell, np.tile([1, 2, 2], 27), bonds=bonds)
    data = tmp_path / "water.data"
    data.write_text(data_file(frame))
    lammps = open_lammps(["-log", "none", "-screen", "none"])
    lammps.commands_string(INPUT.format(data=data))
    order = np.argsort(lammps.numpy.extract_atom("id")[:81])
    forces = np.array(lammps.numpy.extract_atom("f")[:81])[order]
    energy = lammps.get_thermo("pe")
    xx, yy, zz, xy, xz, yz = lammps.numpy.extract_compute("virial", 0, 1)
    virial = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) * np.linalg.det(cell) / PRESSURE_ATM
    lammps.close()
    return frame, WATER, Reference(energy, forces, virial)


def rock_salt(cells, edge):
    places = np.array(list(np.ndindex(2 * cells, 2 * cells, 2 * cells)))
    return places * edge / 2, np.eye(3) * edge * cells, places.sum(axis=1) % 2 + 1


@pytest.mark.parametrize(("cells", "accuracy", "tolerance"), [(1, 6.5, 1e-9), (2, 6.5, 1e-9), (1, None, 5e-5)])
def test_rock_salt_has_its_madelung_constant(cells, accuracy, tolerance):
    positions, cell, types = rock_salt(cells, 5.6)
    graph = build_graph(frame_of(positions, cell, types), 6.0, ions(0.7))
    energy = coulomb_only(6.0, accuracy)(graph).energies.item()
    expected = -1.7475645946331821906 * COULOMB * 0.7**2 / 2.8 * len(positions) / 2
    assert energy == pytest.approx(expected, rel=tolerance)


def test_cesium_chloride_has_its_madelung_constant():
    positions = [[0, 0, 0], [2.0, 2.0, 2.0]]
    graph = build_graph(frame_of(positions, np.eye(3) * 4.0, [1, 2]), 5.0, ions(1.0))
    energy = coulomb_only(5.0)(graph).energies.item()
    assert energy == pytest.approx(-1.762674773070988 * COULOMB / (2 * math.sqrt(3)), rel=1e-9)


def test_two_ions_in_empty_space_follow_coulombs_law():
    model = coulomb_only(5.0)
    for distance in (1.5, 4.6, 4.99, 7.0, 30.0):
        pair = frame_of([[0, 0, 0], [distance, 0, 0]], np.zeros((3, 3)), [1, 2], periodic=(False, False, False))
        prediction = model(build_graph(pair, 5.0, ions(0.5)))
        assert prediction.energies.item() == pytest.approx(-0.25 * COULOMB / distance, rel=1e-9)
        assert prediction.forces[0, 0].item() == pytest.approx(0.25 * COULOMB / distance**2, rel=1e-7)


def test_ions_in_a_large_box_are_almost_in_empty_space():
    model = coulomb_only(5.0)
    pair = frame_of([[0, 0, 0], [3.0, 0, 0]], np.eye(3) * 60.0, [1, 2])
    alone = replace(pair, periodic=(False, False, False))
    forces = [model(build_graph(frame, 5.0, ions(0.5))).forces[0, 0].item() for frame in (pair, alone)]
    # a dipole of 1.5 e A among its images: 4 pi/3 C q p / V
    assert forces[0] - forces[1] == pytest.approx(-4 * math.pi / 3 * COULOMB * 0.5 * 1.5 / 60.0**3, rel=0.05)


@pytest.mark.parametrize("weights", [(0.0, 0.0, 1.0), (0.3, 0.5, 0.8)])
def test_special_weights_scale_the_interaction_of_neighbors_in_a_molecule(weights):
    positions = np.array([[0, 0, 0], [1.2, 0, 0], [1.8, 1.1, 0], [3.0, 1.2, 0.4]])
    charges = np.array([0.5, -0.5, 0.5, -0.5])
    bonds = np.array([[0, 1], [1, 2], [2, 3]])
    molecule = frame_of(positions, np.zeros((3, 3)), [1, 2, 1, 2], periodic=(False, False, False), bonds=bonds)
    graph = build_graph(molecule, 6.0, ions(0.5, special_coul=weights))
    energy = coulomb_only(6.0)(graph).energies.item()
    expected = 0.0
    for i in range(4):
        for j in range(i + 1, 4):
            distance = np.linalg.norm(positions[j] - positions[i])
            expected += weights[j - i - 1] * COULOMB * charges[i] * charges[j] / distance
    assert energy == pytest.approx(expected, rel=1e-9)


def test_a_slab_is_refused():
    slab = frame_of([[0, 0, 0], [2.0, 0, 0]], np.eye(3) * 10.0, [1, 2], periodic=(True, True, False))
    with pytest.raises(InputError, match="periodic in some directions only"):
        coulomb_only(4.0)(build_graph(slab, 4.0, ions(0.5)))


@pytest.mark.parametrize(("accuracy", "tolerance"), [(6.5, 1e-4), (None, 2e-2)])
# LAMMPS evaluates erfc to 1e-7 (Abramowitz and Stegun 7.1.26)
def test_lammps_finds_the_same_forces_energy_and_virial_in_water(water_by_lammps, accuracy, tolerance):
    frame, force_field, reference = water_by_lammps
    assert np.abs(reference.forces).max() > 10
    prediction = coulomb_only(6.0, accuracy)(build_graph(frame, 6.0, force_field))
    assert prediction.energies.item() == pytest.approx(reference.energy, abs=10 * tolerance)
    np.testing.assert_allclose(prediction.forces, reference.forces, atol=tolerance)
    np.testing.assert_allclose(prediction.virials[0], reference.virial, atol=100 * tolerance)


def test_the_mesh_for_many_atoms_gives_the_sum_over_wave_vectors(water_by_lammps):
    frame, force_field, _ = water_by_lammps
    model = coulomb_only(6.0, None)
    graph = build_graph(frame, 6.0, force_field)
    summed = model(graph)
    model.electrostatics = Electrostatics(6.0, mesh_from=1)
    meshed = model(graph)
    assert meshed.energies.item() == pytest.approx(summed.energies.item(), abs=0.1)
    assert (meshed.forces - summed.forces).abs().max() < 0.02
    assert (meshed.virials - summed.virials).abs().max() < 0.5


def test_the_energy_is_the_same_for_any_cutoff():
    rng = np.random.default_rng(0)
    frame = frame_of(rng.uniform(0, 9, (20, 3)), np.diag([9.0, 9.5, 10.0]), np.arange(20) % 2 + 1)
    energies = []
    for cutoff in (3.5, 6.0):
        model = coulomb_only(cutoff)
        model.contacts.distances.fill_(1e-3)
        energies.append(model(build_graph(frame, cutoff, ions(0.4))).energies.item())
    assert energies[0] == pytest.approx(energies[1], rel=1e-9)


def test_a_net_charge_is_neutralized_by_a_uniform_background():
    # one ion and its images: Wigner's constant of the simple cubic lattice, -2.837297 C q^2 / (2 L)
    frame = frame_of([[1.0, 2.0, 3.0]], np.eye(3) * 7.0, [1])
    prediction = coulomb_only(5.0)(build_graph(frame, 5.0, ions(1.0)))
    assert prediction.energies.item() == pytest.approx(-2.837297 * COULOMB / (2 * 7.0), rel=1e-6)
    assert prediction.forces.abs().max() < 1e-9
