"""What ASE's own test suite (test_fd, test_traj, optimize, md) asks of a calculator, asked of ours."""

import copy
import pickle

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.fd import FiniteDifferenceCalculator
from ase.filters import FrechetCellFilter
from ase.io import read, write
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import MTKNPT, NoseHooverChainNVT
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS, FIRE, LBFGS, MDMin

import gnnformd
from gnnformd.interfaces.ase import Calculator

EV = 23.060549  # kcal/mol


class Counted:
    """Lennard-Jones that counts how often it is asked."""

    def __init__(self, helpers):
        self.asked = 0

        class Model(helpers.LennardJones):
            def forward(model, graph):
                self.asked += 1
                return super().forward(graph)

        self.loaded = helpers.load(Model(5.0, shifted=True))


@pytest.fixture
def crystal(helpers) -> Atoms:
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=3)
    atoms.calc = Calculator(helpers.load(helpers.LennardJones(5.0, shifted=True)))
    return atoms


@pytest.fixture
def shipped(water) -> Atoms:
    water.calc = gnnformd.Calculator("water", dtype=torch.float64)
    return water


def test_forces_and_stress_of_the_water_model_are_those_of_ases_finite_differences(shipped):
    forces, stress, energy = shipped.get_forces(), shipped.get_stress(), shipped.get_potential_energy()
    shipped.calc = FiniteDifferenceCalculator(shipped.calc, eps_disp=1e-4, eps_strain=1e-5)
    assert shipped.get_potential_energy() == energy
    assert np.abs(forces).max() > 0.1
    assert np.abs(shipped.get_forces() - forces).max() < 2e-6 * np.abs(forces).max()
    assert np.abs(shipped.get_stress() - stress).max() < 2e-6 * np.abs(stress).max()


def test_results_are_kept_until_something_changes_and_all_come_from_one_evaluation(crystal, helpers):
    counted = Counted(helpers)
    crystal.calc = Calculator(counted.loaded)
    assert crystal.calc.calculation_required(crystal, ["energy"])
    energy = crystal.get_potential_energy()
    crystal.get_forces()
    crystal.get_stress()
    assert crystal.get_potential_energy(force_consistent=True) == energy
    assert counted.asked == 1
    assert not crystal.calc.calculation_required(crystal, ["energy", "forces", "stress"])
    crystal.positions[3, 1] += 0.01
    assert crystal.calc.calculation_required(crystal, ["energy"])
    assert crystal.calc.get_property("energy", crystal, allow_calculation=False) is None
    assert crystal.get_potential_energy() != energy
    crystal.set_cell(crystal.cell * 1.01)
    crystal.get_potential_energy()
    crystal.pbc = (True, True, False)
    crystal.get_potential_energy()
    assert counted.asked == 4


def test_what_a_user_does_to_a_result_changes_no_later_one(crystal):
    crystal.get_forces()[:] = 0.0
    assert np.abs(crystal.get_forces()).max() > 0.01


def test_a_trajectory_file_brings_energy_forces_and_stress_back(crystal, tmp_path):
    energy, forces, stress = crystal.get_potential_energy(), crystal.get_forces(), crystal.get_stress()
    write(tmp_path / "crystal.traj", crystal)
    back = read(tmp_path / "crystal.traj")
    assert back.get_potential_energy() == energy
    assert np.abs(back.get_forces() - forces).max() < 1e-12
    assert np.abs(back.get_stress() - stress).max() < 1e-12
    assert back.calc.name == "gnnformd"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda calc: pickle.loads(pickle.dumps(calc))])
def test_a_copy_is_a_calculator_of_its_own(shipped, duplicate):
    forces, energy = shipped.get_forces(), shipped.get_potential_energy()
    other = shipped.copy()
    other.calc = duplicate(shipped.calc)
    assert np.abs(other.get_forces() - forces).max() == 0
    other.positions[0] += 0.05
    assert other.get_potential_energy() != energy
    assert np.abs(shipped.get_forces() - forces).max() == 0
    assert shipped.get_potential_energy() == energy


def test_a_calculator_made_again_from_the_file_gives_the_same_numbers(water, water_model):
    found = []
    for _ in range(2):
        water.calc = gnnformd.Calculator(water_model)
        found.append(water.get_forces())
    assert np.abs(found[0] - found[1]).max() == 0


@pytest.mark.parametrize("optimizer", [BFGS, LBFGS, FIRE, MDMin])
def test_ases_optimizers_reach_the_perfect_crystal(crystal, optimizer):
    options = {"dt": 0.1} if optimizer is MDMin else {}
    assert optimizer(crystal, logfile=None, **options).run(fmax=1e-4, steps=400)
    perfect = crystal.copy()
    perfect.positions[:] = (bulk("Ar", "fcc", a=5.3, cubic=True) * (2, 2, 2)).positions
    perfect.calc = crystal.calc
    found = crystal.get_potential_energy()
    assert found == pytest.approx(perfect.get_potential_energy(), abs=1e-5)


def test_a_crystal_whose_cell_relaxes_ends_without_stress_at_the_lattice_constant_of_lennard_jones(crystal):
    crystal.positions[:] = (bulk("Ar", "fcc", a=5.3, cubic=True) * (2, 2, 2)).positions
    crystal.rattle(0.01, seed=1)
    assert BFGS(FrechetCellFilter(crystal), logfile=None).run(fmax=2e-4, steps=100)
    assert np.abs(crystal.get_stress()).max() < 1e-6
    # 12 neighbors within 5 angstrom, and no other shell: the minimum of the pair, 2^(1/6) sigma
    assert crystal.get_volume() == pytest.approx(8 * (2 ** (1 / 6) * 3.405 * np.sqrt(2)) ** 3, rel=1e-5)


def _molecular_dynamics(name, atoms):
    step = 2.0 * units.fs
    if name == "VelocityVerlet":
        return VelocityVerlet(atoms, step)
    if name == "Langevin":
        return Langevin(atoms, step, temperature_K=40, friction=0.002 / units.fs, fixcm=False)
    if name == "Bussi":
        return Bussi(atoms, step, temperature_K=40, taut=100 * units.fs, rng=np.random.default_rng(1))
    if name == "NoseHooverChainNVT":
        return NoseHooverChainNVT(atoms, step, temperature_K=40, tdamp=100 * units.fs)
    bar = units.bar
    return MTKNPT(atoms, step, temperature_K=40, pressure_au=1 * bar, tdamp=100 * units.fs, pdamp=1000 * units.fs)


@pytest.mark.parametrize("name", ["VelocityVerlet", "Langevin", "Bussi", "NoseHooverChainNVT", "MTKNPT"])
def test_ases_molecular_dynamics_runs_and_conserves_what_it_should(crystal, name):
    MaxwellBoltzmannDistribution(crystal, temperature_K=40, rng=np.random.default_rng(2))
    Stationary(crystal)
    dynamics = _molecular_dynamics(name, crystal)
    conserved = getattr(dynamics, "get_conserved_energy", crystal.get_total_energy)
    before = conserved()
    dynamics.run(60)
    assert 10 < crystal.get_temperature() < 80
    if name != "Langevin" and (name != "Bussi" or hasattr(dynamics, "get_conserved_energy")):
        assert abs(conserved() - before) < 2e-4  # eV, of 0.17 eV of heat
