import sys
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.evaluation.figures.force_figures import (
    force_curve_figure,
    learning_curve_figure,
    molecular_dynamics_figure,
    parity_figure,
    save_figure,
)
from gnnformd.evaluation.forces.curves import force_curves


@pytest.fixture
def forces():
    generator = np.random.default_rng(0)
    reference = generator.normal(0, 10, (500, 3))
    return reference, reference + generator.normal(0, 1, reference.shape)


def _figures(stand_ins, forces):
    time = np.arange(50.0)
    yield parity_figure(*forces)
    yield learning_curve_figure(range(1, 9), 9.0 - np.arange(8), 10.0 - np.arange(8), np.full(8, 1e-3))
    yield force_curve_figure(force_curves(stand_ins.load(stand_ins.ClassicalModel())))
    yield molecular_dynamics_figure(time, 300 + time, time, target=300)


def test_every_axis_of_every_figure_has_a_label_and_every_figure_can_be_written(stand_ins, forces, tmp_path):
    for number, figure in enumerate(_figures(stand_ins, forces)):
        figure.canvas.draw()
        labels = [axes.get_xlabel() + axes.get_ylabel() for axes in figure.axes]
        shared = [axes.get_shared_x_axes().get_siblings(axes) for axes in figure.axes]
        for label, siblings in zip(labels, shared, strict=True):
            assert label or any(a.get_xlabel() for a in siblings)
        save_figure(figure, tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").read_bytes().startswith(b"\x89PNG")


def test_drawing_touches_no_global_state(stand_ins, forces):
    before = dict(matplotlib.rcParams)
    for _ in _figures(stand_ins, forces):
        pass
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_force_curves_stand_in_the_seeds_three_by_three(stand_ins):
    curves = force_curves(stand_ins.load(stand_ins.ClassicalModel()))
    figure = force_curve_figure(curves)
    assert len(figure.axes) == 9
    for row, curve in enumerate(curves):
        for column in range(3):
            reference, predicted = figure.axes[3 * row + column].get_lines()
            np.testing.assert_array_equal(reference.get_ydata(), curve.reference[:, column])
            np.testing.assert_array_equal(predicted.get_ydata(), curve.predicted[:, column])


def test_a_sideways_force_fits_into_its_panel(stand_ins):
    (curve,) = force_curves(stand_ins.load(stand_ins.SidewaysModel(), stand_ins.ARGON))
    figure = force_curve_figure([replace(curve, predicted=curve.predicted * 10)])
    low, high = figure.axes[1].get_ylim()
    assert low < -20 < 20 < high


def test_the_learning_curve_marks_the_best_epoch_and_shows_the_seeds_log():
    figure = learning_curve_figure(
        [1, 2, 3], [9, 8, 7], [5.0, 3.0, 4.0], [1, 1, 1], original_epochs=[1], original_validation=[6]
    )
    assert figure.axes[0].get_title(loc="left") == "Best epoch 2: 3"
    names = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert names == ["training", "validation", "validation, original log"]


def test_all_three_formats_are_written_and_others_refused(forces, tmp_path):
    figure = parity_figure(*forces)
    for ending, start in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")):
        save_figure(figure, tmp_path / "new" / f"parity.{ending}")
        assert (tmp_path / "new" / f"parity.{ending}").read_bytes().startswith(start)
    with pytest.raises(InputError, match=r"parity\.bmp: figures are written as \.png, \.pdf or \.svg"):
        save_figure(figure, tmp_path / "parity.bmp")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["parity.pdf", "parity.png", "parity.svg"]


def test_a_figure_that_cannot_be_written_leaves_nothing_behind(forces, tmp_path):
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(InputError, match=r"taken\.png: cannot be written"):
        save_figure(parity_figure(*forces), tmp_path / "taken.png")
    assert [p.name for p in tmp_path.iterdir()] == ["taken.png"]
