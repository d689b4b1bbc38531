import math

import numpy as np
import pytest
from scipy.signal import lfilter

from gnnformd.evaluation.liquid.statistics import (
    Estimate,
    at_least,
    block_count,
    block_means,
    deviation,
    equilibrated_from,
    error_among,
    estimate,
    mean_of_blocks,
    statistical_inefficiency,
)


def correlated(generator, a, count):
    """x' = a x + noise: deviation sqrt(1 / (1 - a^2)), statistical inefficiency (1 + a) / (1 - a)."""
    start = int(20 / (1 - a))
    return lfilter([1.0], [1.0, -a], generator.normal(size=count + start))[start:]


def false_alarms(make, runs):
    """Share of runs called different from an equal one, and share of runs of which something is said."""
    found = np.array([deviation(estimate(make()), estimate(make())) for _ in range(runs)])
    return (np.abs(found) > 2).mean(), np.isfinite(found).mean()


@pytest.mark.parametrize(("a", "count"), [(0.0, 100), (0.9, 2000), (0.98, 10000)])
def test_two_standard_errors_are_passed_in_one_of_twenty_comparisons_of_equals(a, count):
    generator = np.random.default_rng(7)
    alarms, said = false_alarms(lambda: correlated(generator, a, count), 500)
    assert said > 0.9
    assert 0.02 < alarms < 0.075  # 4.6 % are right; 500 comparisons tell that to 0.9 %


def test_members_that_change_more_slowly_than_the_series_is_long_give_no_false_alarms():
    generator = np.random.default_rng(5)
    molecules, frames = 100, 60

    def both():
        fast = generator.normal(size=(frames, molecules, 2))
        values = generator.normal(size=(1, molecules, 1)) + fast  # the energy of a stiff bond, and its vibration
        over_time = estimate(values.mean(axis=(1, 2)))
        groups = np.repeat(np.arange(molecules), 2)
        return over_time, at_least(over_time, error_among(values.mean(axis=0).ravel(), groups))

    pairs = [(both(), both()) for _ in range(400)]
    alarms = [np.mean([abs(deviation(one[k], other[k])) > 2 for one, other in pairs]) for k in (0, 1)]
    assert alarms[0] > 0.5
    assert 0.02 < alarms[1] < 0.075


def test_a_slow_part_under_a_fast_one_is_not_overlooked():
    generator = np.random.default_rng(3)

    def make():
        return correlated(generator, 0.3, 10000) + 0.1 * correlated(generator, 0.98, 10000)

    alarms, said = false_alarms(make, 300)
    assert said > 0.9
    assert alarms < 0.09


@pytest.mark.parametrize(("a", "count"), [(0.9, 60), (0.9, 200), (0.98, 1000), (0.999, 2000)])
def test_of_a_run_not_much_longer_than_its_correlation_nothing_is_said(a, count):
    generator = np.random.default_rng(5)
    alarms, said = false_alarms(lambda: correlated(generator, a, count), 200)
    assert said < 0.05
    assert alarms < 0.01


def test_nothing_is_said_of_three_numbers_however_different():
    assert math.isnan(deviation(estimate([1.0, 1.1, 0.9]), estimate([100.0, 101.0, 99.0])))


def test_a_real_difference_is_found():
    generator = np.random.default_rng(2)
    shift = 8 * math.sqrt(19 / 4000 / (1 - 0.9**2))  # eight standard errors of each mean
    found = deviation(estimate(correlated(generator, 0.9, 4000)), estimate(shift + correlated(generator, 0.9, 4000)))
    assert found < -3.5


@pytest.mark.parametrize("a", [0.0, 0.5, 0.9])
def test_the_statistical_inefficiency_is_the_textbook_value(a):
    g, relative_error = statistical_inefficiency(correlated(np.random.default_rng(1), a, 200_000))
    assert g == pytest.approx((1 + a) / (1 - a), rel=4 * relative_error)
    assert relative_error < 0.05


def test_the_error_of_a_correlated_mean_is_the_textbook_value():
    a, count = 0.9, 2**14
    found = [estimate(correlated(np.random.default_rng(seed), a, count)).standard_error for seed in range(40)]
    expected = math.sqrt(1 / (1 - a**2) / count * (1 + a) / (1 - a))
    assert np.mean(found) == pytest.approx(expected, rel=0.1)


def test_a_series_with_one_slow_swing_has_no_error():
    # a thermostat that ramps: hundreds of samples, and not one independent of the others
    assert block_count(np.linspace(10, 90, 400) + np.random.default_rng(0).normal(0, 3, 400)) == 0


def test_a_constant_series_has_no_error_whatever_its_last_digits():
    found = estimate(np.full(1000, 0.1) + 1e-17)
    assert found.standard_error < 1e-15


def test_numbers_that_are_not_finite_are_left_out():
    assert estimate([math.nan, 1.0, 3.0]).value == 2.0
    assert math.isnan(estimate([math.nan]).value)


def test_blocks_are_cut_from_the_end():
    assert block_means(np.arange(7.0), 2).tolist() == [2.0, 5.0]
    assert block_means(np.arange(8.0).reshape(4, 2), 2).tolist() == [[1.0, 2.0], [5.0, 6.0]]


def test_fewer_than_five_independent_values_give_no_error():
    assert math.isnan(mean_of_blocks([1.0, 2.0, 3.0, 4.0]).standard_error)
    five = mean_of_blocks([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (five.value, five.degrees_of_freedom) == (3.0, 4.0)
    assert five.standard_error == pytest.approx(math.sqrt(2.5 / 5))


def test_few_blocks_make_a_difference_less_significant_as_student_says():
    # 2.571 standard errors at five degrees of freedom are as rare as 1.960 of a normal distribution
    one = Estimate(2.570582, 1.0, 5.0)
    assert deviation(one, Estimate.exactly(0.0)) == pytest.approx(1.959964, abs=1e-5)
    assert deviation(Estimate.exactly(0.0), one) == pytest.approx(-1.959964, abs=1e-5)
    # Welch: two equal errors of five degrees of freedom have ten, 2.228 is the 95 % point
    assert deviation(Estimate(2.228139 * math.sqrt(2), 1.0, 5.0), Estimate(0.0, 1.0, 5.0)) == pytest.approx(
        1.959964, abs=1e-5
    )


def test_the_largest_of_many_differences_is_less_significant():
    one, zero = Estimate(3.0, 1.0, math.inf), Estimate.exactly(0.0)
    # of 19 normal numbers the largest exceeds 3 in 1 - (1 - 0.0027)^19 = 5.0 %, as one exceeds 1.96
    assert deviation(one, zero, comparisons=19) == pytest.approx(1.96, abs=0.01)
    assert deviation(Estimate(60.0, 1.0, math.inf), zero) == 60.0  # far beyond what doubles can say of chances


def test_exact_numbers_are_equal_or_differ_without_end():
    assert deviation(Estimate.exactly(1.0), Estimate.exactly(1.0)) == 0.0
    assert deviation(Estimate.exactly(2.0), Estimate.exactly(1.0)) == math.inf
    assert math.isnan(deviation(Estimate(1.0), Estimate.exactly(1.0)))


def test_the_start_of_a_run_is_left_out_as_far_as_it_drifts():
    generator = np.random.default_rng(4)
    series = correlated(generator, 0.5, 2000)
    assert equilibrated_from(series) <= 400
    decaying = series + 60 * np.exp(-np.arange(2000) / 60)
    assert 200 <= equilibrated_from(decaying) <= 800
    assert equilibrated_from([1.0, 2.0]) == 0
