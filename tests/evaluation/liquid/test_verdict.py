import math

import numpy as np
import pytest

from gnnformd.evaluation.liquid.statistics import Estimate
from gnnformd.evaluation.liquid.verdict import Observable, judged_together, overall


def known(value, error=1.0):
    return Estimate(value, error, math.inf)


def test_each_comparison_has_its_verdict():
    assert Observable(known(1.0)).verdict is None
    assert Observable(known(1.0), known(3.5)).verdict.text == "same within 2 standard errors"
    far = Observable(known(0.0), known(10.0)).verdict
    assert (far.answer, far.text) == ("differs", "differs: 7.1 standard errors")
    assert Observable(Estimate(1.0), known(100.0)).verdict.text == "too short to say"


@pytest.mark.parametrize(
    ("value", "error", "answer"),
    [(0.5, 0.1, "same"), (-2.0, 0.1, "differs"), (0.5, 2.0, "too short"), (0.5, math.nan, "too short")],
)
def test_what_must_vanish_is_judged_by_its_bound_and_its_error(value, error, answer):
    bounded = Observable(Estimate(value, error, 10), Estimate.exactly(0.0), bound=1.0)
    assert bounded.verdict.answer == answer
    assert math.isnan(bounded.difference)


def test_the_whole_run_is_judged_with_the_number_of_comparisons_in_mind():
    generator = np.random.default_rng(0)
    answers = []
    for _ in range(1000):
        values = generator.normal(size=12)
        answers.append(
            overall({str(k): Observable(known(v), Estimate.exactly(0.0)) for k, v in enumerate(values)}).answer
        )
    share = answers.count("differs") / len(answers)
    assert share == pytest.approx(0.0455, abs=0.02)  # of twelve single verdicts 43 % would have one that differs


def test_a_row_agrees_with_the_verdict_on_all():
    """Of four comparisons the largest exceeds 2.52 standard errors in 4.55 % of all runs: 2.3 is chance, 2.6 is not."""
    rows = {"a": 0.1, "b": -0.5, "c": 1.0, "density, g/cm3": 2.3}
    by_chance = judged_together({name: Observable(known(z), Estimate.exactly(0.0)) for name, z in rows.items()})
    assert [o.verdict.answer for o in by_chance.values()] == ["same"] * 4
    assert by_chance["density, g/cm3"].verdict.text == "same: 2.3 standard errors, chance among 4 observables"
    whole = overall(by_chance)
    assert (whole.answer, whole.text) == (
        "same",
        "same, 4 of 4 observables (more than 2 standard errors apart, no more than by chance: density, g/cm3, 2.3)",
    )
    apart = judged_together({**by_chance, "density, g/cm3": Observable(known(2.6), Estimate.exactly(0.0))})
    assert [o.verdict.answer for o in apart.values()] == ["same"] * 3 + ["differs"]
    assert overall(apart).text == "differs: density, g/cm3 (2.6 standard errors)"


def test_names_with_commas_are_told_apart():
    same, silent = Observable(known(0.0), known(0.1)), Observable(Estimate(0.0), known(1.0), needed_ps=12.0)
    found = overall({"a": same, "b": same, "density, g/cm3": silent, "pressure, atm": silent})
    assert found.text == (
        "same within 2 standard errors, 2 of 4 observables; too short to say: density, g/cm3; pressure, atm "
        "(a run of about 12 ps would do)"
    )


def test_the_verdict_on_all_names_what_differs_and_what_could_not_be_told():
    same, off, silent = (
        Observable(known(0.0), known(0.1)),
        Observable(known(0.0), known(20.0)),
        Observable(Estimate(0.0), known(1.0)),
    )
    assert overall({"a": same}).text == "same within 2 standard errors, 1 of 1 observables"
    both = overall({"a": same, "b": off})
    assert (both.answer, both.text) == ("differs", "differs: b (14.1 standard errors)")
    part = overall({"a": same, "c": same, "d": silent})
    assert part.text == "same within 2 standard errors, 2 of 3 observables; too short to say: d"
    assert overall({"a": Observable(known(1.0))}) is None


def test_one_observable_of_many_is_not_enough_to_call_two_runs_the_same():
    silent = Observable(Estimate(0.0), known(1.0))
    found = overall({"a": Observable(known(0.0), known(0.1)), "b": silent, "c": silent})
    assert (found.answer, found.text) == ("too short", "too short to say: only 1 of 3 observables can be compared")


def test_a_broken_bound_counts_whatever_else_agrees():
    drift = Observable(known(5.0, 0.1), Estimate.exactly(0.0), bound=1.0)
    assert overall({"a": Observable(known(0.0), known(0.1)), "drift": drift}).text == "differs: drift (above 1)"


def test_what_is_within_its_bound_is_no_comparison_with_the_reference():
    # the center of mass of every run is at rest: that alone calls no two liquids the same
    resting = Observable(Estimate.exactly(1e-25), Estimate.exactly(0.0), bound=3.0)
    same, silent = Observable(known(0.0), known(0.1)), Observable(Estimate(0.0), known(1.0))
    assert overall({"at rest": resting, "temperature": silent}).answer == "too short"
    assert overall({"at rest": resting}) is None
    assert (
        overall({"at rest": resting, "temperature": same}).text == "same within 2 standard errors, 1 of 1 observables"
    )


def test_unknown_errors_are_nothing_in_json():
    data = Observable(Estimate(1.0), known(2.0)).to_dict()
    assert math.isnan(data["standard_error"]) and math.isnan(data["difference"])
    assert (data["value"], data["reference"], data["reference_standard_error"]) == (1.0, 2.0, 1.0)
    assert Observable(known(1.0)).to_dict()["reference"] is None


def test_no_run_is_the_same_while_what_is_asked_first_is_undecided():
    same = Observable(known(0.0), known(0.1))
    density = Observable(Estimate(0.5), Estimate(0.6), needed_ps=26.0, reference_needed_ps=111.0, asked_first="density")
    gap = Observable(Estimate(0.2), known(0.0), needed_ps=45.0, asked_first="g(r)")
    diffusion = Observable(Estimate(1.0), known(1.0), needed_ps=900.0)
    bonds = dict.fromkeys("abcdef", same)
    found = overall({**bonds, "density, g/cm3": density, "C-C": gap, "C-H": gap, "diffusion": diffusion})
    assert (found.answer, found.text) == (
        "too short",
        "too short to say: density and g(r) are undecided, 6 of 10 observables can be compared; "
        "a run of about 45 ps and a reference of about 120 ps would do",
    )
    few = overall({"a": same, "density, g/cm3": density, "diffusion": diffusion})
    assert few.text.startswith("too short to say: density is undecided, only 1 of 3 observables can be compared; a run")
    assert "about 900 ps" in few.text  # half of them are needed as well


def test_one_radial_distribution_is_enough_and_a_density_without_a_reference_is_not_asked():
    same = Observable(known(0.0), known(0.1))
    gap, told = (Observable(value, known(0.0), asked_first="g(r)") for value in (Estimate(0.2), known(0.1)))
    alone = Observable(Estimate(0.5), asked_first="density")
    found = overall({"a": same, "density, g/cm3": alone, "C-C": gap, "C-H": told})
    assert (found.answer, found.text) == (
        "same",
        "same within 2 standard errors, 2 of 3 observables; too short to say: C-C",
    )


def test_a_row_that_differs_decides_whatever_else_is_undecided():
    gap = Observable(Estimate(0.2), known(0.0), asked_first="g(r)")
    assert overall({"a": Observable(known(0.0), known(20.0)), "C-C": gap}).answer == "differs"
