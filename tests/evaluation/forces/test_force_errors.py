import numpy as np
import pytest

from gnnformd.evaluation.forces.force_errors import ForceErrorAccumulator, force_metrics


def test_every_number_follows_its_definition_on_two_atoms_worked_out_by_hand():
    reference = np.array([[3.0, 0.0, -4.0], [0.0, 1.0, 0.0]])
    predicted = np.array([[2.0, 1.0, -4.0], [0.0, 1.0, 3.0]])
    m = force_metrics(predicted, reference, ["O", "H"], [1, 2])
    assert m.mae == pytest.approx(5 / 6, rel=1e-14)
    assert m.rmse == pytest.approx(np.sqrt(11 / 6), rel=1e-14)
    assert m.l1_per_atom == pytest.approx(5 / 2, rel=1e-14)
    assert m.relative_l1 == pytest.approx(5 / 8, rel=1e-14)
    assert m.relative_norm == pytest.approx(2.5 / 3, rel=1e-14)  # mean length of (5, 1) is 3
    assert (m.per_axis.x, m.per_axis.y, m.per_axis.z) == pytest.approx((0.5, 0.5, 1.5), rel=1e-14)
    assert m.per_type["O"].l1_per_atom == pytest.approx(2.0, rel=1e-14)
    assert m.per_type["O"].relative_norm == pytest.approx(2 / 5, rel=1e-14)
    assert m.per_type["H"].rmse == pytest.approx(np.sqrt(3), rel=1e-14)


def test_gaussian_errors_give_the_mean_and_root_mean_square_of_a_gaussian():
    generator = np.random.default_rng(5)
    reference = generator.normal(0, 10, (400_000, 3))
    predicted = reference + generator.normal(0, 0.5, reference.shape)
    m = force_metrics(predicted, reference, ["Ar"], np.ones(len(reference), dtype=int))
    assert m.rmse == pytest.approx(0.5, rel=3e-3)
    assert m.mae == pytest.approx(0.5 * np.sqrt(2 / np.pi), rel=3e-3)
    # mean |F| of a Gaussian component is 10 sqrt(2/pi), mean ||F|| of a Maxwell distribution 20 sqrt(2/pi)
    assert m.relative_l1 == pytest.approx(0.05, rel=3e-3)
    assert m.relative_norm == pytest.approx(0.075, rel=3e-3)


def test_a_perfect_prediction_has_no_error_and_predicting_zero_has_a_relative_error_of_one():
    reference = np.random.default_rng(0).normal(size=(50, 3))
    types = np.ones(50, dtype=int)
    assert force_metrics(reference, reference, ["Ar"], types).relative_l1 == 0
    assert force_metrics(0 * reference, reference, ["Ar"], types).relative_l1 == pytest.approx(1, rel=1e-14)


def test_frame_by_frame_gives_the_same_as_all_at_once():
    generator = np.random.default_rng(1)
    predicted, reference = generator.normal(size=(2, 90, 3))
    types = generator.integers(1, 4, 90)
    parts = ForceErrorAccumulator(["A", "B", "C"])
    for rows in np.array_split(np.arange(90), 7):
        parts.add(predicted[rows], reference[rows], types[rows])
    whole = force_metrics(predicted, reference, ["A", "B", "C"], types).to_dict()
    streamed = parts.metrics().to_dict()
    for one, other in ((streamed, whole), (streamed["per_type"]["B"], whole["per_type"]["B"])):
        for name in ("mae", "rmse", "l1_per_atom", "relative_l1", "relative_norm", "per_axis"):
            assert one[name] == pytest.approx(other[name], rel=1e-13), name


def test_a_type_without_atoms_is_absent():
    assert list(force_metrics([[1.0, 0, 0]], [[0.0, 0, 0]], ["O", "H"], [2]).per_type) == ["H"]


def test_an_error_beside_forces_of_zero_is_infinitely_large():
    assert force_metrics([[1.0, 0, 0]], [[0.0, 0, 0]], ["Ar"], [1]).relative_l1 == np.inf


def test_the_sample_keeps_pairs_together_is_bounded_and_every_frame_has_the_same_chance():
    errors = ForceErrorAccumulator(["Ar"], sample_atoms=2000, seed=3)
    for frame in range(100):
        reference = np.full((100, 3), float(frame))
        errors.add(reference + 0.25, reference, np.ones(100, dtype=int))
    sample = errors.samples()
    assert sample.reference.shape == sample.predicted.shape == (2000, 3)
    np.testing.assert_array_equal(sample.predicted - sample.reference, 0.25)
    counts = np.bincount(sample.reference[:, 0].astype(int), minlength=100)
    # 20 of 100 expected from every frame, hypergeometric standard deviation 4: chi^2 over 99 degrees of freedom
    chi_squared = ((counts - 20) ** 2 / (20 * 0.8)).sum()
    assert 55 < chi_squared < 155
    first_half = counts[:50].sum()
    assert abs(first_half - 1000) < 4 * np.sqrt(2000 * 0.25 * 0.8)


def test_a_sample_in_json_holds_no_more_components_than_asked_for():
    errors = ForceErrorAccumulator(["Ar"], sample_atoms=900)
    errors.add(np.ones((1000, 3)), np.ones((1000, 3)), np.ones(1000, dtype=int))
    assert np.shape(errors.samples().to_dict(2000)["reference"]) == (666, 3)


@pytest.mark.parametrize(("shape", "types"), [((2, 3), [1]), ((1, 2), [1]), ((1, 3), [3]), ((1, 3), [0])])
def test_arrays_that_do_not_fit_together_are_refused(shape, types):
    with pytest.raises(ValueError, match=r"shapes|types"):
        force_metrics(np.zeros(shape), np.zeros((1, 3)), ["O", "H"], types)
