import numpy as np
import pytest

from gnnformd.evaluation.liquid.md_curves import MeasuredCurve
from gnnformd.evaluation.liquid.radial import RadialDistribution
from gnnformd.evaluation.liquid.stability import bonds_leave, earliest, rdf_leaves

R = np.linspace(0.05, 9.95, 100)
IDEAL = np.full(100, 50.0)


def series(frames, off_from, size, ideal=IDEAL):
    """g = 1 with the scatter of counting, raised by ``size`` in every bin from a frame on."""
    g = np.random.default_rng(0).poisson(ideal, (frames, 100)) / ideal
    g[off_from:] += size
    return {"O-O": RadialDistribution("O-O", R, g, ideal)}


REFERENCE = {"O-O": MeasuredCurve(R, np.ones(100), np.zeros(100), 9.0)}


def test_a_run_like_its_reference_never_leaves_the_band_although_few_pairs_scatter():
    times = np.arange(400) * 0.5  # two frames a window: the scatter alone adds up to 1.3 angstrom
    assert rdf_leaves(times, series(400, 400, 0.0, IDEAL * 0.4), REFERENCE, 1.0) is None


def test_the_moment_the_liquid_falls_apart_is_found_to_a_picosecond():
    times = np.arange(400) * 0.1
    gone = rdf_leaves(times, series(400, 237, 0.35), REFERENCE, 3.0)  # 0.35 * 10 angstrom = 3.5
    # the window from 23 to 24 ps holds three good frames and seven bad ones: 2.5; the next is over 3
    assert gone.time_ps == pytest.approx(24.0)
    assert gone.reason == "the difference of g(r), O-O, integrates to 3.4 angstrom (3 is allowed)"
    assert rdf_leaves(times, series(400, 237, 0.25), REFERENCE, 3.0) is None


def test_a_bond_that_breaks_is_named_with_its_time():
    lengths = np.random.default_rng(0).normal(1.0, 0.03, (50, 20))
    times = np.arange(50) * 0.2
    assert bonds_leave(times, {"O-H": lengths}, {"O-H": 1.0}) is None
    lengths[30:, 7] = 1.75
    gone = bonds_leave(times, {"O-H": lengths}, {"O-H": 1.0})
    assert (gone.time_ps, gone.reason) == (6.0, "a bond O-H is off by 0.75 angstrom")


def test_the_first_departure_counts():
    lengths = np.ones((10, 1))
    lengths[4:] = 2.0
    late = bonds_leave(np.arange(10.0), {"a": lengths}, {"a": 1.0})
    early = bonds_leave(np.arange(10.0), {"b": np.roll(lengths, -2, axis=0)}, {"b": 1.0})
    assert earliest([None, late, early]) is early
    assert earliest([None, None]) is None


def test_bonds_of_beads_that_are_far_apart_may_stretch_as_much_as_they_are_longer():
    lengths = np.random.default_rng(1).normal(4.8, 0.16, (50, 20))
    lengths[7, 3] = 5.7
    times = np.arange(50) * 0.2
    assert bonds_leave(times, {"A-A": lengths}, {"A-A": 4.8}) is None
    lengths[30, 3] = 6.3  # over 1.44 angstrom
    assert bonds_leave(times, {"A-A": lengths}, {"A-A": 4.8}).time_ps == pytest.approx(6.0)
