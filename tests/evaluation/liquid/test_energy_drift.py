import numpy as np
import pytest

from gnnformd.evaluation.liquid.energy_drift import GRAMS_PER_CM3, energy_drift


def test_the_drift_is_the_slope_in_kcal_per_mol_per_atom_and_nanosecond():
    # 100 atoms gain 1 kcal/mol in 500 fs: 20 kcal/mol per atom and ns, whatever oscillates about the line
    steps = np.arange(0, 1001)
    energy = -700 + steps * 0.5 / 500 + 0.3 * np.cos(2 * np.pi * steps / 10)
    found = energy_drift(steps * 0.5, energy, atoms=100)
    assert found.value == pytest.approx(20, rel=0.01)
    assert abs(found.value - 20) < 3 * found.standard_error < 1


def test_the_error_of_a_drift_is_that_of_a_regression():
    # y = noise of deviation s about a line: the slope scatters by s / sqrt(sum (t - mean t)^2)
    time, generator = np.arange(800) * 2.0, np.random.default_rng(1)
    found = [energy_drift(time, generator.normal(0, 0.5, 800), atoms=1) for _ in range(60)]
    expected = 0.5 / np.sqrt(((time - time.mean()) ** 2).sum()) * 1e6
    assert np.std([f.value for f in found]) == pytest.approx(expected, rel=0.25)
    assert np.mean([f.standard_error for f in found]) == pytest.approx(expected, rel=0.1)


def test_where_nothing_is_conserved_there_is_no_drift_and_few_samples_have_no_error():
    assert np.isnan(energy_drift(np.arange(5.0), np.full(5, np.nan), 10).value)
    assert np.isnan(energy_drift(np.empty(0), np.empty(0), 10).value)
    few = energy_drift(np.arange(5.0), np.arange(5.0), atoms=10)
    assert few.value == pytest.approx(1e5, rel=1e-12)
    assert np.isnan(few.standard_error)


def test_the_density_of_water_is_one_gram_per_cubic_centimeter():
    # 55.51 mol in a liter
    volume_of_a_molecule = 1e27 / (55.51 * 6.02214076e23)  # angstrom^3
    assert 18.015 * GRAMS_PER_CM3 / volume_of_a_molecule == pytest.approx(1.0, rel=1e-4)
