"""Tables of pair energies against the functions they stand for."""

import math

import numpy as np
import pytest
import torch
from tests.model.density.test_model import density

from gnnformd.model.density.numba_engine.pair_tables import pair_tables, smooth_table, step_of
from gnnformd.model.density.radial import radial_functions


def read(table, r, step):
    """Value and slope of a table at distances."""
    row = np.minimum((r / step).astype(int), len(table) - 1)
    t = r / step - row
    powers = t[:, None] ** np.arange(8)
    slopes = np.arange(8) * np.concatenate([np.zeros((len(t), 1)), powers[:, :-1]], axis=1)
    return (table[row] * powers).sum(1), (table[row] * slopes).sum(1) / step


@pytest.mark.parametrize(("cutoff", "count"), [(3.4, 12), (9.37, 16), (2.1, 17), (5.0, 48)])
def test_a_table_has_the_fitted_potential_and_its_slope(cutoff, count):
    model = density(types=2, cutoff=cutoff, radial_functions=count, node_features="embedding", electrostatics="none")
    inputs, used = torch.eye(2, dtype=torch.float64), np.ones((2, 4, 2), bool)
    which, tables = pair_tables(model, inputs, used)
    r = np.random.default_rng(0).uniform(0.5, cutoff, 500)
    distances = torch.from_numpy(r)
    values, slopes = (f.numpy() for f in radial_functions(distances, torch.ones_like(distances), cutoff, count))
    matrices = model.fitted_pairs.coefficients[:count]  # not bonded
    factors = 0.5 * (matrices[:, 0, 1] + matrices[:, 1, 0]).numpy()  # kinds 0 and 1, half for each atom
    value, slope = read(tables[which[0, 1]], r, step_of(model))
    assert np.abs(value - factors @ values).max() < 1e-12 * np.abs(factors @ values).max()
    assert np.abs(slope - factors @ slopes).max() < 1e-11 * np.abs(factors @ slopes).max()
    assert read(tables[which[0, 1]], np.array([cutoff]), step_of(model)) == (pytest.approx(0, abs=1e-30),) * 2
    assert which[0, 1] != which[1, 1]
    assert not tables[0].any()


def test_the_smooth_part_of_coulomb_energy_is_tabulated():
    model = density(cutoff=5.0, electrostatics="fixed")
    a = model.electrostatics.splitting
    r = np.linspace(0.0, 5.0, 777)[1:]
    value, slope = read(smooth_table(model), r, step_of(model))
    erf = np.array([math.erf(a * x) for x in r])
    gauss = 2 * a / math.sqrt(math.pi) * np.exp(-((a * r) ** 2))
    assert np.abs(value - erf / r).max() < 1e-14
    assert np.abs(slope - (gauss - erf / r) / r).max() < 1e-12
    assert read(smooth_table(model), np.zeros(1), step_of(model))[0] == pytest.approx(2 * a / math.sqrt(math.pi))
