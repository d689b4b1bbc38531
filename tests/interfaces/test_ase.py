import re
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import CalculationFailed, PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.io import read
from ase.optimize import BFGS

import gnnformd
from gnnformd.errors import InputError
from gnnformd.graph.build import build_graph
from gnnformd.interfaces.ase import Calculator
from gnnformd.model.files.model_file import load_model
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.frame import Frame

EV = 23.060549  # kcal/mol


@pytest.fixture
def crystal():
    atoms = bulk("Ar", "fcc", a=5.4, cubic=True) * (2, 2, 2)
    atoms.rattle(0.15, seed=3)
    return atoms


def direct(path, atoms, bonds) -> np.ndarray:
    """Forces of the network itself, eV/angstrom."""
    types = np.where(atoms.numbers == 8, 1, 2)
    frame = Frame(
        0, np.asarray(atoms.cell), np.zeros(3), (True,) * 3, np.arange(1, 13), types, atoms.positions, bonds=bonds
    )
    loaded = load_model(path, dtype=torch.float64)
    with torch.no_grad():
        return loaded.model(build_graph(frame, 3.4, loaded.card.force_field)).forces.numpy() / EV


def test_energy_forces_and_stress_are_those_of_ases_own_lennard_jones(crystal, helpers):
    crystal.calc = Calculator(helpers.load(helpers.LennardJones(5.0, shifted=True)))
    energy, forces, stress = crystal.get_potential_energy(), crystal.get_forces(), crystal.get_stress()
    # ASE shifts by the value at the cutoff, too
    crystal.calc = AseLennardJones(sigma=3.405, epsilon=0.2378 / EV, rc=5.0, smooth=False)
    assert energy == pytest.approx(crystal.get_potential_energy(), rel=1e-12)
    assert np.abs(forces - crystal.get_forces()).max() < 1e-12
    assert np.abs(stress - crystal.get_stress()).max() < 1e-12


def test_forces_and_stress_are_the_slopes_of_the_energy(crystal, helpers):
    crystal.calc = Calculator(helpers.load(helpers.LennardJones(5.0, shifted=True)))
    crystal.set_cell(crystal.cell.array @ np.array([[1.0, 0.02, 0], [0, 0.97, 0.03], [0, 0, 1.01]]), scale_atoms=True)
    some = [0, 7, 31]
    numeric = calculate_numerical_forces(crystal, eps=1e-4, iatoms=some)
    assert np.abs(crystal.get_forces()[some] - numeric).max() < 1e-6
    assert np.abs(crystal.get_stress() - calculate_numerical_stress(crystal, eps=1e-5)).max() < 1e-6


def test_the_forces_of_a_model_file_are_those_of_the_network(water, water_model):
    water.calc = gnnformd.Calculator(water_model, dtype=torch.float64)
    bonds = np.array([[3 * m, 3 * m + k] for m in range(4) for k in (1, 2)])
    expected = direct(water_model, water, bonds)
    assert np.abs(water.get_forces() - expected).max() < 1e-12
    assert np.abs(expected - direct(water_model, water, bonds[:0])).max() > 1e-6  # the bonds matter


def test_a_topology_gives_types_charges_and_bonds(water, water_data, water_model):
    water.calc = Calculator(water_model, dtype=torch.float64)
    expected = water.get_forces()
    nameless = Atoms("X12", water.positions, cell=water.cell, pbc=True)
    for topology in (water_data, read_topology(water_data)):
        nameless.calc = Calculator(water_model, topology=topology, dtype=torch.float64)
        assert np.abs(nameless.get_forces() - expected).max() < 1e-12
    few = nameless[:11]
    few.calc = Calculator(water_model, topology=water_data)
    with pytest.raises(InputError, match="11 atoms, but 12 in the topology"):
        few.get_forces()


def test_atoms_read_by_ase_from_a_data_file_need_nothing_more(argon, helpers):
    atoms = read(argon, format="lammps-data", units="real")
    atoms.calc = Calculator(helpers.load(helpers.LennardJones(8.0)))
    with helpers.lammps("units real", "pair_style lj/cut 8.0", f"read_data {argon}", "run 0") as lmp:
        assert np.abs(atoms.get_forces() * EV - helpers.by_id(lmp, "f")).max() < 1e-9


def test_a_system_that_changes_is_noticed(water, water_model):
    calc = Calculator(water_model, dtype=torch.float64)
    water.calc = calc
    whole = water.get_forces()
    part = water[:6]
    part.calc = calc
    assert part.get_forces().shape == (6, 3)
    assert np.abs(water.get_forces() - whole).max() == 0
    water.arrays["mol-id"][:] = [1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 0]
    calc.reset()
    assert np.abs(water.get_forces() - whole).max() > 1e-6


def test_molecules_without_bonds_are_asked_for(water, water_model):
    del water.arrays["mol-id"]
    water.calc = Calculator(water_model)
    with pytest.raises(InputError, match="these atoms have no bonds"):
        water.get_forces()


def test_an_element_that_the_model_does_not_know_is_named(helpers):
    atoms = Atoms("ArXe", [[0, 0, 0], [0, 0, 4]])
    atoms.calc = Calculator(helpers.load(helpers.LennardJones(5.0)))
    with pytest.raises(InputError, match="knows Ar, but not Xe"):
        atoms.get_forces()


def test_a_model_without_energy_has_none(helpers):
    atoms = Atoms("Ar2", [[0, 0, 0], [0, 0, 4]])
    atoms.calc = Calculator(helpers.load(helpers.Push(23.060549)))
    assert np.abs(atoms.get_forces() - 1).max() < 1e-12
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_potential_energy()


def test_a_molecule_in_vacuum_has_energy_and_forces_and_no_stress(helpers):
    atoms = Atoms("Ar2", [[0, 0, 0], [0, 0, 3.405]])
    atoms.calc = Calculator(helpers.load(helpers.LennardJones(50.0)))
    assert atoms.get_potential_energy() == pytest.approx(0, abs=1e-7)
    assert atoms.get_forces()[:, 2] * EV == pytest.approx([-24 * 0.2378 / 3.405, 24 * 0.2378 / 3.405])
    with pytest.raises((PropertyNotImplementedError, ValueError)):
        atoms.get_stress()


def test_a_force_that_is_no_number_raises(helpers):
    atoms = Atoms("Ar2", [[0, 0, 0], [0, 0, 4]])
    atoms.calc = Calculator(helpers.load(helpers.Spoiled(5.0, sound=0, spoil=lambda forces: forces * torch.nan)))
    with pytest.raises(CalculationFailed, match="force of atom 0 is not finite"):
        atoms.get_forces()


def test_an_optimizer_finds_the_minimum_of_a_pair(helpers):
    atoms = Atoms("Ar2", [[0, 0, 0], [0, 0, 4.2]])
    atoms.calc = Calculator(helpers.load(helpers.LennardJones(20.0)))
    BFGS(atoms, logfile=None).run(fmax=1e-7, steps=100)
    assert atoms.get_distance(0, 1) == pytest.approx(2 ** (1 / 6) * 3.405, rel=1e-5)


def test_the_package_loads_ase_only_when_the_calculator_is_asked_for():
    code = "import sys, gnnformd; assert not {'ase', 'torch'} & set(sys.modules); gnnformd.Calculator; import ase"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Calculater'"):
        gnnformd.Calculater  # noqa: B018


def test_a_structure_outside_the_training_data_is_told_once(recwarn):
    atoms = Atoms("Ar2", [[0, 0, 0], [4.0, 0, 0]], cell=[20] * 3, pbc=True)
    atoms.calc = Calculator("argon")
    atoms.calc.loaded.model.network.surroundings.remove()  # those of two atoms alone are like none in a liquid
    for place in (4.0, 3.6, 3.2, 2.8, 2.7, 2.6, 3.0, 2.7, 4.6, 2.7):  # the last two are other structures
        atoms.positions[1, 0] = place
        atoms.get_forces()
    told = [str(warning.message) for warning in recwarn if "extrapolates" in str(warning.message)]
    assert len(told) == 2
    for text in told:
        assert re.match(r"the force on atom [12] is .* in training at most|atoms 1 and 2 are 2.7 angstrom apart", text)
    atoms.calc.warns = False
    recwarn.clear()
    atoms.positions[1, 0] = 2.5
    atoms.get_forces()
    assert not len(recwarn)


def test_surroundings_like_none_in_training_are_told_where_they_last(crystal, helpers, recwarn):
    grades = [1.5, *[2.5] * 19, 1.0, *[2.5] * 19, 2.7, 2.7, 2.6]
    crystal.calc = Calculator(helpers.load(helpers.Graded(5.0, grades)))
    for number, grade in enumerate(grades[:-1]):
        crystal.positions[0, 0] += 0.01
        crystal.get_forces()
        assert crystal.calc.grades.tolist() == [grade] + [1.0] * 31
        assert len(recwarn) == (number >= 40)  # twenty calculations on end
    sentence = (
        "the surroundings of atom 1 are like none in training (extrapolation grade {}). The model test.safetensors"
    )
    assert str(recwarn[0].message) == sentence.format(2.7) + " extrapolates."
    crystal.positions[0, 0] += 0.6  # another structure
    crystal.get_forces()
    assert str(recwarn[1].message) == sentence.format(2.6) + " extrapolates."


def test_a_charge_that_the_training_data_did_not_have_is_told_of_each_structure(crystal, helpers):
    loaded = helpers.load(helpers.LennardJones(5.0, shifted=True))
    loaded = replace(loaded, card=replace(loaded.card, trained_on=({"states": {"charge": ["0"]}},)))
    crystal.info["charge"] = 1
    crystal.calc = Calculator(loaded)
    with pytest.warns(
        UserWarning, match=r"the atoms: 'charge' is 1, but 0 in the training data of .*; no model is told"
    ):
        crystal.get_forces()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        crystal.rattle(0.01, seed=4)  # the same structure
        crystal.get_forces()
        crystal.info["charge"] = 0
        crystal.rattle(0.01, seed=5)
        crystal.get_forces()
    crystal.info["charge"] = 2
    crystal.rattle(0.01, seed=6)
    with pytest.warns(UserWarning, match="'charge' is 2, but 0"):
        crystal.get_forces()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        crystal.info["charge"] = 0
        crystal.calc = Calculator(loaded)
        crystal.get_forces()


def test_extrapolation_is_told_again_where_an_atom_has_moved_on(helpers):
    loaded = helpers.load(helpers.LennardJones(5.0, shifted=True))
    loaded = replace(loaded, card=replace(loaded.card, trained_on=({"largest_forces": {"Ar": 1e-3}},)))
    pair = Atoms("Ar2", [[0, 0, 0], [3.5, 0, 0]])
    pair.calc = Calculator(loaded)
    told = []
    for distance in (3.5, 3.3, 3.1, 3.0, 2.9, 2.7, 2.5, 2.3, 2.1, 1.8):
        pair.positions[1, 0] = distance
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pair.get_forces()
        told += [distance] * len(caught)
    assert told == [3.5, 2.9, 1.8]  # after half an angstrom, then after one


def test_nothing_is_calculated_of_no_atoms(helpers):
    nothing = Atoms(calculator=Calculator(helpers.load(helpers.LennardJones(5.0))))
    with pytest.raises(InputError, match="there are no atoms"):
        nothing.get_forces()
