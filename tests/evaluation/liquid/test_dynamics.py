import math

import numpy as np
import pytest

from gnnformd.evaluation.liquid.dynamics import (
    diffusion,
    displacement_blocks,
    segment_ps,
    spectrum,
    spectrum_interval_fs,
    velocity_blocks,
)
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
    found = diffusion(*displacement_blocks(run, "Ar", segment_ps(run.duration_ps)))
    assert found.value == pytest.approx(20, abs=3 * found.standard_error)
    assert 0.1 < found.standard_error < 1.5
    assert found.degrees_of_freedom == 7


def test_the_error_of_a_diffusion_coefficient_is_the_scatter_of_runs():
    found = []
    for seed in range(40):
        run = motion(brownian(800, 30, 0.2, seed))
        found.append(diffusion(*displacement_blocks(run, "Ar", segment_ps(run.duration_ps))))
    errors = np.array([f.standard_error for f in found])
    assert np.isfinite(errors).sum() >= 36  # now and then chance makes the displacement look bent
    scatter = np.std([f.value for f in found], ddof=1)
    assert np.sqrt(np.nanmean(errors**2)) == pytest.approx(scatter, rel=0.3)


def test_free_flight_and_cages_are_no_diffusion():
    velocity = np.random.default_rng(0).normal(size=(1, 50, 3))
    flight = motion(np.arange(800)[:, None, None] * 0.05 * velocity)
    found = diffusion(*displacement_blocks(flight, "Ar", segment_ps(flight.duration_ps)))
    assert math.isnan(found.standard_error)


def test_too_few_lags_give_no_coefficient():
    run = motion(brownian(40, 10, 0.2, 0))
    assert math.isnan(diffusion(*displacement_blocks(run, "Ar", segment_ps(run.duration_ps))).value)


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
    lags, blocks = velocity_blocks(motion(velocities=velocity), "Ar", 0.2)
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
    lags, blocks = velocity_blocks(motion(velocities=velocity), "Ar", 5.0)
    assert len(blocks) == 8
    assert lags[-1] == pytest.approx(2.0)
    assert blocks.mean(axis=0)[:30] == pytest.approx(np.exp(-lags[:30] / 0.1), abs=0.02)


def test_the_spectrum_of_a_vibration_has_its_peak_at_the_right_wavenumber_and_is_normalised():
    # 1000 1/cm is 29.979 THz, a period of 33.356 fs
    time = np.arange(8000) * 0.001
    phase = np.random.default_rng(0).random((1, 40, 3)) * 2 * np.pi
    velocity = np.cos(2 * np.pi * time[:, None, None] / 0.0333564 + phase)
    found = spectrum(*velocity_blocks(motion(velocities=velocity, interval=0.001), "Ar", 1.0))
    assert found.x[found.value.argmax()] == pytest.approx(1000, abs=12)
    assert found.x[-1] == 5000
    assert np.trapezoid(found.value, found.x) == pytest.approx(1, abs=0.02)


def test_a_spectrum_asks_for_frames_that_show_twice_the_frequency_of_the_fastest_atoms():
    # 2150 1/cm, hydrogen in water, is 0.405 rad/fs
    assert spectrum_interval_fs(motion(brownian(5, 1, 1, 0), frequency=0.405)) == pytest.approx(3.88, abs=0.01)
    assert math.isnan(spectrum_interval_fs(motion(brownian(5, 1, 1, 0))))


def test_without_velocities_there_is_no_autocorrelation():
    with pytest.raises(ValueError, match="no velocities"):
        velocity_blocks(motion(brownian(5, 1, 1, 0)), "Ar", 1.0)
