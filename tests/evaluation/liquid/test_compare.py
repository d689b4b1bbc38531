"""Comparisons of thermo tables alone: the runs have no trajectory."""

import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gnnformd.evaluation.liquid.compare import compare_runs
from gnnformd.evaluation.liquid.observed_run import ObservedRun
from gnnformd.evaluation.liquid.thermo_table import THERMO_COLUMNS, ThermoSeries
from gnnformd.units import BOLTZMANN

ATOMS = 100
MASSES = np.array([39.948])


def correlated(count, tau, seed, sigma=1.0):
    """A stationary series with the autocorrelation ``exp(-t / tau)``."""
    keep, generator = math.exp(-1.0 / tau), np.random.default_rng(seed)
    noise, values = generator.normal(size=count), np.empty(count)
    values[0] = noise[0]
    for k in range(1, count):
        values[k] = keep * values[k - 1] + math.sqrt(1 - keep**2) * noise[k]
    return sigma * values


def observed(temperature, energy=None, interval=100.0):
    count = len(temperature)
    columns = {name: np.full(count, np.nan) for name in THERMO_COLUMNS}
    columns |= {
        "step": np.arange(count) * interval,
        "time_fs": np.arange(count) * interval,
        "temperature_K": temperature,
    }
    if energy is not None:
        columns["potential_energy"] = energy
    topology = SimpleNamespace(ids=np.arange(ATOMS), types=np.ones(ATOMS, np.int64), bonds=np.empty((0, 2), np.int64))
    return ObservedRun(Path("none.dump"), topology, ThermoSeries(columns), 1.0, 0)


def test_with_a_reference_that_heats_up_nothing_is_compared():
    run = observed(50 + correlated(200, 3, 0))
    ramp = observed(np.linspace(1, 90, 200) + correlated(200, 3, 1))
    found = compare_runs(run, ramp, MASSES, ["Ar"], ensemble="nvt")
    assert found.verdict is None
    assert found.observables["temperature, K"].reference is None
    assert "no stationary mean" in found.notes[0]
    assert re.search(r"its temperature goes from [01]\.\d+ K to (89|90|91)", found.notes[0])
    assert "constant temperature" in found.notes[0]


def test_a_reference_that_is_still_melting_has_no_stationary_mean():
    steady = 90 + correlated(400, 3, 0)
    kinetic = 1.5 * ATOMS * BOLTZMANN * 90
    melting = observed(steady, -500 + 0.3 * kinetic * np.linspace(0, 1, 400) + correlated(400, 3, 2))
    assert "potential energy rises by" in melting.drift()
    assert observed(steady, -500 + correlated(400, 3, 2)).drift() is None


@pytest.mark.parametrize("tau", [1, 10, 30, 60])
def test_a_stationary_reference_is_compared(tau):
    # 100 atoms: the temperature fluctuates by 8 %
    assert [observed(90 + correlated(300, tau, seed, 7.3)).drift() for seed in range(100)].count(None) >= 97


def test_what_is_too_short_names_a_length_that_would_do():
    reference = observed(90 + correlated(5000, 4, 4))
    enough = []
    for seed in range(20):
        short = observed(90 + correlated(60, 4, seed))
        observable = compare_runs(short, reference, MASSES, ["Ar"], ensemble="nvt").observables["temperature, K"]
        assert observable.verdict.answer == "too short"
        assert observable.verdict.text.startswith("too short to say; a run of about ")
        assert math.isnan(observable.reference_needed_ps)
        assert 6 < observable.needed_ps < 200
        longer = observed(90 + correlated(math.ceil(observable.needed_ps * 10), 4, 100 + seed))
        again = compare_runs(longer, reference, MASSES, ["Ar"], ensemble="nvt").observables["temperature, K"]
        enough.append(again.verdict.answer != "too short")
    assert sum(enough) >= 14  # the correlation time of a run that is too short is known badly


def test_a_reference_that_is_too_short_is_named_as_such():
    run, reference = observed(90 + correlated(5000, 4, 3)), observed(90 + correlated(20, 1, 4))
    found = compare_runs(run, reference, MASSES, ["Ar"], ensemble="nvt")
    assert found.observables["temperature, K"].verdict.text.startswith("too short to say; a reference of about ")
    assert found.verdict.text.endswith(" ps would do")


@pytest.mark.parametrize(("tau", "answer"), [(2, "same"), (200, "too short")])
def test_at_constant_pressure_runs_are_the_same_once_their_densities_are(tau, answer):
    runs = [observed(90 + correlated(400, 2, seed)) for seed in (10, 20)]
    for seed, run in enumerate(runs):
        run.thermo.columns["volume_A3"] = 5000 + correlated(400, tau, 60 + seed, 50.0)
        run.thermo.columns["pressure_atm"] = correlated(400, 2, 30 + seed, 100.0)
    found = compare_runs(*runs, MASSES, ["Ar"], ensemble="npt")
    assert found.observables["density, g/cm3"].verdict.answer == answer
    assert found.verdict.answer == answer
    assert ("density is undecided, 2 of 3 observables" in found.verdict.text) == (answer == "too short")


@pytest.mark.parametrize(("percent_per_ns", "answer"), [(5000.0, "differs"), (60.0, "too short")])
def test_a_drift_of_some_picoseconds_is_judged_if_it_is_large(percent_per_ns, answer):
    series = observed(90 + correlated(100, 2, 3))
    columns = dict(series.thermo.columns)
    per_atom = percent_per_ns / 100 * 0.0019872 * 90 * columns["time_fs"] * 1e-6
    columns["conserved_energy"] = len(series.topology.ids) * per_atom + correlated(100, 1, 5, 1e-6)
    run = ObservedRun(Path("none.dump"), series.topology, ThermoSeries(columns), 1.0, 0)
    other = observed(91 + correlated(400, 2, 8))
    observable = compare_runs(run, other, MASSES, ["Ar"], ensemble="nve").observables["drift, % of kT per atom and ns"]
    assert observable.value.value == pytest.approx(percent_per_ns, rel=0.05)
    assert observable.verdict.answer == answer


def test_a_drift_that_cannot_be_told_from_its_bound_names_a_length():
    columns = observed(90 + correlated(400, 2, 3)).thermo.columns
    energy = correlated(400, 2, 5, 0.05)
    run = ObservedRun(Path("none.dump"), observed(columns["temperature_K"]).topology, ThermoSeries(columns), 1.0, 0)
    columns |= {"conserved_energy": energy, "potential_energy": energy}
    other = observed(91 + correlated(400, 2, 8))
    observable = compare_runs(run, other, MASSES, ["Ar"], ensemble="nve").observables["drift, % of kT per atom and ns"]
    margin, distance = 2 * observable.value.standard_error, abs(abs(observable.value.value) - 1.0)
    assert margin > distance
    assert observable.verdict.answer == "too short"
    assert observable.needed_ps == pytest.approx((margin / distance) ** 2 * 39.9, rel=1e-3)


@pytest.mark.parametrize(
    ("rise", "said"), [(0.0, None), (0.01, None), (0.14, "rises by 14 %"), (-0.1, "falls by 10 %")]
)
def test_a_density_that_changes_along_a_run_is_told(rise, said):
    runs = [observed(90 + correlated(400, 2, seed)) for seed in (1, 2)]
    for seed, run in enumerate(runs):
        run.thermo.columns["volume_A3"] = 5000 + correlated(400, 3, 70 + seed, 50.0)
        run.thermo.columns["pressure_atm"] = correlated(400, 3, 80 + seed, 100.0)
    runs[1].thermo.columns["volume_A3"] = runs[1].thermo.columns["volume_A3"] / (1 + rise * np.linspace(0, 1, 400))
    notes = [n for n in compare_runs(*runs, MASSES, ["Ar"], ensemble="npt").notes if "density of" in n]
    assert len(notes) == (said is not None)
    assert said is None or f"the density of the reference {said}" in notes[0]
