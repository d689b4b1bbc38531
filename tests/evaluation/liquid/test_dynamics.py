import itertools
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from gnnformd.evaluation.liquid.dynamics import (
    diffusion,
    displacement_blocks,
    segment_ps,
    spectrum,
    spectrum_interval_fs,
    velocity_correlation,
    velocity_curve,
)
from gnnformd.evaluation.liquid.md_curves import largest_difference
from gnnformd.evaluation.liquid.motion import Motion


def motion(path=None, velocities=None, interval=0.01, frequency=None):
    count = len(path if path is not None else velocities)
    return Motion(
        times_ps=np.arange(count) * interval,
        paths={} if path is None else {"Ar": path},
        velocities=None if velocities is None else {"Ar": velocities},
        center_temperature=None,
        frequency=frequency,
    )


def brownian(steps, bodies, sigma, seed):
    return np.cumsum(np.random.default_rng(seed).normal(0, sigma, (steps, bodies, 3)), axis=0)


def test_brownian_motion_has_the_diffusion_coefficient_it_was_made_with():
    # steps of deviation s each dt: D = s^2 / 2 dt = 0.2^2 / 0.02 ps = 2 A^2/ps = 20e-9 m^2/s
    run = motion(brownian(4000, 100, 0.2, 1))
    found = coefficient(run)
    assert found.value == pytest.approx(20, abs=3 * found.standard_error)
    assert 0.1 < found.standard_error < 1.5
    assert found.degrees_of_freedom == 7


def test_the_error_of_a_diffusion_coefficient_is_the_scatter_of_runs():
    found = [coefficient(motion(brownian(800, 100, 0.2, seed))) for seed in range(40)]
    known = [f for f in found if f is not None]
    assert len(known) >= 36  # now and then chance makes the displacement look bent
    scatter = np.std([f.value for f in known], ddof=1)
    assert np.sqrt(np.mean([f.standard_error**2 for f in known])) == pytest.approx(scatter, rel=0.3)


def langevin(steps, bodies, tau, seed, *, interval=0.01, trap=0.0):
    """Paths of free particles with ``<v(0) v(t)> = e^(-t / tau)`` (1 A^2/ps^2 an axis), or bound by a spring."""
    generator, keep = np.random.default_rng(seed), math.exp(-interval / tau)
    velocity, position = generator.normal(size=(bodies, 3)), np.zeros((bodies, 3))
    path = np.empty((steps, bodies, 3))
    for k in range(steps):
        kick = math.sqrt(1 - keep**2) * generator.normal(size=(bodies, 3))
        velocity = keep * velocity + kick - trap * position * interval
        position = position + velocity * interval
        path[k] = position
    return path


def measured(run):
    return diffusion(*displacement_blocks(run, "Ar", segment_ps(run.duration_ps)))


def coefficient(run):
    return measured(run).coefficient


def test_a_langevin_particle_diffuses_with_its_temperature_over_its_friction():
    # D = <v^2> tau = 1 A^2/ps^2 * 0.1 ps, 1e-9 m^2/s in an A^2/ps of 10
    found = coefficient(motion(langevin(12_000, 100, 0.1, 1)))
    assert found.value == pytest.approx(1.0, abs=3 * found.standard_error)
    assert found.standard_error < 0.05


def test_of_a_ballistic_regime_there_is_no_coefficient_and_the_length_it_names_would_do():
    found = measured(motion(langevin(200, 100, 0.1, 1)))  # lags up to 0.2 ps
    assert found.coefficient is None
    assert "not linear yet" in found.reason or "correlated" in found.reason
    assert 10 < found.needed_ps < 200
    for seed in range(3):
        longer = motion(langevin(round(found.needed_ps / 0.01), 100, 0.1, seed))
        again = measured(longer)
        if again.coefficient is None:  # a short run knows its own decay badly: it may ask once more
            again = measured(motion(langevin(round(again.needed_ps / 0.01), 100, 0.1, seed)))
        assert again.coefficient.value == pytest.approx(1.0, abs=4 * again.coefficient.standard_error)


def test_velocities_of_few_atoms_are_not_called_correlated_for_the_noise_of_long_times():
    # e^(-t / 0.05 ps) is below 0.05 after 0.15 ps
    found = [measured(motion(langevin(400, 51, 0.05, seed, interval=0.02), interval=0.02)).reason for seed in range(40)]
    told = [float(re.search(r"correlated for ([\d.]+) ps", reason)[1]) for reason in found if "correlated" in reason]
    assert len(told) > 20
    assert 0.1 < np.median(told) < 0.2
    assert sum(time > 0.3 for time in told) <= 8  # of 40; 18 with one noise for all times


def test_free_flight_is_no_diffusion():
    velocity = np.random.default_rng(0).normal(size=(1, 50, 3))
    assert coefficient(motion(np.arange(800)[:, None, None] * 0.05 * velocity)) is None


def test_atoms_on_their_sites_do_not_diffuse_and_no_length_is_named():
    for steps in (800, 4000):
        found = measured(motion(langevin(steps, 100, 0.1, 2, trap=100.0)))
        assert (found.coefficient, math.isnan(found.needed_ps)) == (None, True)
        assert found.reason.startswith("no diffusion on this time scale")


def test_no_coefficient_is_ever_negative():
    for seed in range(60):
        path = np.random.default_rng(seed).normal(0, 0.1, (400, 5, 3)) + brownian(400, 5, 1e-3 * (seed % 7), seed)
        found = coefficient(motion(path))
        assert found is None or found.value > 0


def test_one_body_does_not_move_in_its_own_frame():
    assert measured(motion(np.full((100, 1, 3), 1e-16))).reason == "nothing moves"


def test_too_few_lags_give_no_coefficient():
    found = measured(motion(brownian(40, 10, 0.2, 0)))
    assert found.coefficient is None
    assert "too few frames" in found.reason


def test_the_displacement_of_a_stretch_is_the_average_over_all_starts():
    path = brownian(40, 7, 0.3, 5)
    lags, blocks = displacement_blocks(motion(path), "Ar", 0.1)
    assert (lags[1], blocks.shape) == (0.01, (4, 10))
    for block, part in zip(blocks, path.reshape(4, 10, 7, 3), strict=True):
        for lag in (1, 4, 9):
            moved = part[lag:] - part[: len(part) - lag]
            assert block[lag] == pytest.approx((moved**2).sum(axis=2).mean(), rel=1e-4)


def test_the_autocorrelation_of_velocities_is_the_average_over_all_starts():
    velocity = np.random.default_rng(3).normal(size=(40, 6, 3))
    found = velocity_correlation(motion(velocities=velocity), "Ar", 0.2)
    lags, blocks = found.lags_ps, found.blocks
    assert (len(lags), blocks.shape) == (10, (2, 10))
    part = velocity[:20]
    for lag in (0, 1, 5):
        product = (part[lag:] * part[: 20 - lag]).sum(axis=2).mean()
        assert blocks[0][lag] == pytest.approx(product / (part**2).sum(axis=2).mean(), rel=1e-12)


def test_a_langevin_velocity_decays_exponentially():
    # v' = e^(-dt / tau) v + noise
    generator, keep = np.random.default_rng(1), math.exp(-0.01 / 0.1)
    velocity = np.empty((4000, 60, 3))
    velocity[0] = generator.normal(size=(60, 3))
    for k in range(1, 4000):
        velocity[k] = keep * velocity[k - 1] + math.sqrt(1 - keep**2) * generator.normal(size=(60, 3))
    found = velocity_correlation(motion(velocities=velocity), "Ar", 5.0)
    lags, blocks = found.lags_ps, found.blocks
    assert len(blocks) == 8
    assert lags[-1] == pytest.approx(2.0)
    assert blocks.mean(axis=0)[:30] == pytest.approx(np.exp(-lags[:30] / 0.1), abs=0.02)


def vibrating(seed, molecules=40, atoms=3):
    """Two modes that never exchange energy: it is that which Boltzmann's distribution gave each molecule."""
    generator, time = np.random.default_rng(seed), np.arange(400)[:, None, None, None] * 0.005
    found = np.zeros((400, molecules, atoms, 3))
    for period in (0.031, 0.27):
        energy, phase = generator.exponential(size=(molecules, 1, 1)), generator.random((molecules, 1, 3))
        found += np.sqrt(energy) * np.cos(2 * np.pi * (time / period + phase))
    return replace(
        motion(velocities=found.reshape(400, -1, 3), interval=0.005),
        molecules={"Ar": np.repeat(np.arange(molecules), atoms)},
    )


def test_molecules_that_keep_their_vibrational_energy_do_not_differ_by_it():
    runs = [velocity_curve(velocity_correlation(vibrating(seed), "Ar", 0.25)) for seed in range(60)]
    apart = [largest_difference(one, other).difference > 2 for one, other in zip(runs[::2], runs[1::2], strict=True)]
    assert sum(apart) <= 4  # 4.6 % of 30
    scatter = np.std([run.value for run in runs], axis=0, ddof=1)[1:]
    assert np.mean([run.error[1:] for run in runs], axis=0) / scatter == pytest.approx(1.0, abs=0.35)


def test_atoms_of_one_molecule_are_no_independent_values():
    run = vibrating(0)
    apart = velocity_correlation(replace(run, molecules={}), "Ar", 0.25)  # three atoms of a molecule move alike here
    joined = velocity_correlation(run, "Ar", 0.25)
    assert (velocity_curve(joined).error[5:] > 1.2 * velocity_curve(apart).error[5:]).all()


def test_the_error_of_a_spectrum_is_its_scatter_over_runs_also_where_molecules_keep_their_energy():
    runs = [spectrum(velocity_correlation(vibrating(seed), "Ar", 0.25)) for seed in range(60)]
    values, errors = np.array([run.value for run in runs]), np.array([run.error for run in runs])
    peaks = values.mean(axis=0) > 0.1 * values.mean(axis=0).max()
    assert peaks.sum() > 10
    ratio = errors.mean(axis=0)[peaks] / values.std(axis=0, ddof=1)[peaks]
    assert ratio == pytest.approx(1.0, abs=0.35)


def test_the_spectrum_of_a_vibration_has_its_peak_at_the_right_wavenumber_and_is_normalised():
    # 1000 1/cm is 29.979 THz, a period of 33.356 fs
    time = np.arange(8000) * 0.001
    phase = np.random.default_rng(0).random((1, 40, 3)) * 2 * np.pi
    velocity = np.cos(2 * np.pi * time[:, None, None] / 0.0333564 + phase)
    found = spectrum(velocity_correlation(motion(velocities=velocity, interval=0.001), "Ar", 1.0))
    assert found.x[found.value.argmax()] == pytest.approx(1000, abs=12)
    assert found.x[-1] == 5000
    assert np.trapezoid(found.value, found.x) == pytest.approx(1, abs=0.02)


def test_a_spectrum_asks_for_frames_that_show_twice_the_frequency_of_the_fastest_atoms():
    # 2150 1/cm, hydrogen in water, is 0.405 rad/fs
    assert spectrum_interval_fs(motion(brownian(5, 1, 1, 0), frequency=0.405)) == pytest.approx(3.88, abs=0.01)
    assert math.isnan(spectrum_interval_fs(motion(brownian(5, 1, 1, 0))))


def test_without_velocities_there_is_no_autocorrelation():
    with pytest.raises(ValueError, match="no velocities"):
        velocity_correlation(motion(brownian(5, 1, 1, 0)), "Ar", 1.0)


def crystal(seed: int, *, stiffness: float = 1.0) -> Motion:
    """Sixty normal modes of twenty atoms, each with an energy of its own as at equilibrium, which it keeps."""
    modes = np.random.default_rng(0)  # those of the crystal
    shapes, _ = np.linalg.qr(modes.normal(size=(60, 60)))
    frequencies = modes.uniform(20, 90, 60) * np.sqrt(stiffness)  # 1/ps
    start = np.random.default_rng(seed)
    times = 0.005 * np.arange(2000)
    phases = frequencies * times[:, None] + start.uniform(0, 2 * np.pi, 60)
    velocities = np.sqrt(start.exponential(size=60)) * np.cos(phases) @ shapes.T
    return Motion(times, {}, {"Ar": velocities.reshape(-1, 20, 3)}, None, None)


def test_two_runs_of_a_crystal_whose_modes_keep_their_energies_are_the_same() -> None:
    def deviation(one: Motion, other: Motion, *, bound: bool) -> float:
        curves = (velocity_curve(velocity_correlation(m, "Ar", 10.0 / 8), bound=bound) for m in (one, other))
        return largest_difference(*curves).difference

    runs = [crystal(seed) for seed in range(1, 13)]
    pairs = list(itertools.pairwise(runs))
    assert sum(deviation(*pair, bound=True) > 2 for pair in pairs) == 0
    assert sum(deviation(*pair, bound=False) > 2 for pair in pairs) > 8
    assert deviation(runs[0], crystal(20, stiffness=1.7), bound=True) > 3


def test_the_error_of_modes_is_the_spread_between_runs() -> None:
    found = [velocity_correlation(crystal(seed), "Ar", 10.0 / 8) for seed in range(60)]
    curves = np.array([velocity_curve(each).value for each in found])
    spread = curves.std(axis=0, ddof=1)[5:60]
    expected = np.mean([velocity_curve(each, bound=True).error for each in found], axis=0)[5:60]
    assert np.median(expected / spread) == pytest.approx(1.0, abs=0.1)
