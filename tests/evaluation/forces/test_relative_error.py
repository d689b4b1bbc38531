import math
from types import SimpleNamespace

from gnnformd.evaluation.forces.relative_error import has_forces, mean_force, relative_error


def errors(l1: float, force: float) -> SimpleNamespace:
    return SimpleNamespace(l1_per_atom=l1, relative_l1=l1 / force if force else math.inf)


def test_frames_almost_without_forces_have_no_percentage():
    liquid, relaxed, zero = errors(1.5, 30.0), errors(9.0, 0.8), errors(0.1, 0.0)
    usual = mean_force([liquid, relaxed, zero])
    assert usual == 30.0
    assert relative_error(liquid, usual) == "5.00 %"
    assert relative_error(relaxed, usual) == relative_error(zero, usual) == "F ~ 0"  # it would be 1130 %
    assert relative_error(errors(4.0, 2.0), usual) == "200 %"  # worse than to predict zero, and forces to speak of


def test_forces_below_the_noise_of_the_data_are_none_on_their_own():
    assert not has_forces(errors(0.1, 0.06), mean_force([errors(0.1, 0.06)]))
    assert has_forces(errors(0.1, 0.2), mean_force([errors(0.1, 0.2)]))


def test_a_model_without_error_has_none_in_per_cent():
    assert relative_error(SimpleNamespace(l1_per_atom=0.0, relative_l1=0.0), 30.0) == "0 %"
