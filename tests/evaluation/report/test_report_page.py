from gnnformd.evaluation.formatting import number, percent
from gnnformd.evaluation.report.page import Page, table


def test_text_in_a_plot_cannot_end_the_script_it_stands_in():
    page = Page()
    page.plot({"data": [{"name": "</script><b>"}]}, "<title>")
    assert "<" not in page.specs_json()
    assert "\\u003c/script>" in page.specs_json()


def test_titles_and_cells_are_escaped():
    assert "<title>" not in Page().plot({}, "<title>", '"<aside>"')
    assert "<i>" not in table(("<i>",), [("<i>",)])


def test_what_is_not_a_finite_number_is_a_dash():
    assert [number(v) for v in (None, float("nan"), float("inf"))] == ["–", "–", "–"]
    assert [percent(v) for v in (None, float("nan"), float("inf"))] == ["–", "–", "–"]
