import numpy as np
import pytest
from scipy.signal import lfilter

from gnnformd.evaluation.figures.md_figures import curves_figure
from gnnformd.evaluation.liquid.md_curves import FAMILIES, MeasuredCurve, curve_to_dict, largest_difference
from gnnformd.evaluation.results import ComparedCurve

R = np.linspace(0.1, 8, 60)
G = 1 + 1.5 * np.exp(-(((R - 3) / 0.4) ** 2)) - np.exp(-R)
IDEAL = 0.4 * R**2


def histograms(generator, frames, a=0.8, shape=G):
    """g(r) of frames whose structure fluctuates slowly, with the scatter of counting."""
    swing = lfilter([1.0], [1.0, -a], generator.normal(size=frames + 200))[200:] * np.sqrt(1 - a * a)
    rate = IDEAL * np.maximum(shape * (1 + 0.1 * swing[:, None]), 0.0)
    return generator.poisson(rate) / IDEAL


def measured(generator, frames=400, **kwargs):
    return MeasuredCurve.of_histograms(R, histograms(generator, frames, **kwargs), IDEAL)


def test_equal_liquids_are_called_different_in_less_than_one_of_twenty_runs():
    generator = np.random.default_rng(11)
    found = [largest_difference(measured(generator), measured(generator)).verdict.answer for _ in range(150)]
    assert found.count("too short") < 15
    assert found.count("differs") <= 13  # 6.8 are expected, and 13 are passed once in a hundred tests


def test_a_shell_that_is_lower_by_a_tenth_is_found():
    generator = np.random.default_rng(1)
    other = G - 0.25 * np.exp(-(((R - 3) / 0.4) ** 2))
    found = largest_difference(measured(generator, 1000), measured(generator, 1000, shape=other))
    assert found.verdict.answer == "differs"
    assert found.value.value == pytest.approx(0.25, abs=4 * found.error)


def test_too_few_frames_say_the_size_of_the_gap_and_nothing_more():
    generator = np.random.default_rng(2)
    found = largest_difference(measured(generator, 12), measured(generator, 400))
    assert found.verdict.answer == "too short"
    assert found.value.value > 0


def test_the_error_of_a_curve_is_the_scatter_of_runs():
    generator = np.random.default_rng(3)
    runs = [measured(generator) for _ in range(60)]
    scatter = np.std([run.value for run in runs], axis=0, ddof=1)[10:]
    mean_error = np.sqrt(np.mean([run.error**2 for run in runs], axis=0))[10:]
    assert np.median(mean_error / scatter) == pytest.approx(1, abs=0.15)


def test_the_error_is_never_below_that_of_counting():
    exact = np.tile(G, (400, 1))  # no two blocks differ
    found = MeasuredCurve.of_histograms(R, exact, IDEAL)
    assert found.error == pytest.approx(np.sqrt(np.maximum(G, 0) / (IDEAL * 400)), rel=1e-9)


def test_places_that_one_side_does_not_know_are_left_out():
    blocks = np.random.default_rng(0).normal(0, 0.1, (10, 5))
    one = MeasuredCurve.of_blocks(np.arange(5.0), blocks)
    value = one.value + 0.01
    value[3] = np.nan
    found = largest_difference(one, MeasuredCurve(one.x, value, one.error, 9.0))
    assert found.value.value == pytest.approx(0.01)
    assert found.verdict.answer == "same"


@pytest.mark.parametrize("family", list(FAMILIES))
def test_each_family_is_written_under_its_keys_and_drawn_with_its_labels(family):
    generator = np.random.default_rng(0)
    curve = curve_to_dict(family, measured(generator), measured(generator))
    keys = FAMILIES[family]
    assert set(curve) == {keys.x_key, keys.y_key, "error", "reference", "reference_error"}
    bare = curve | {"reference": None, "reference_error": None, "error": [None] * 60}
    names = {keys.x_key: "x", keys.y_key: "y"}
    both, alone = (ComparedCurve(**{names.get(k, k): v for k, v in c.items()}) for c in (curve, bare))
    figure = curves_figure(family, {"O-O": both, "O-H": alone, "H-H": both, "H": alone})
    figure.canvas.draw()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == ["O-O", "O-H", "H-H", "H"]
    assert {axes.get_xlabel() for axes in shown} == {keys.x_label}
    assert shown[0].get_ylabel() == shown[3].get_ylabel() == keys.y_label


@pytest.mark.filterwarnings("error")
def test_a_curve_that_is_zero_everywhere_is_drawn():
    figure = curves_figure("rdf", {"Si-Si": ComparedCurve(x=[0.5, 1.0, 1.5], y=[0.0, 0.0, 0.0])})
    assert figure.axes[0].get_ylim() == (0.0, 1.0)
