import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml

from gnnformd.errors import InputError
from gnnformd.evaluation.forces.curves import curves_to_dict, force_curves
from gnnformd.evaluation.forces.force_errors import force_metrics
from gnnformd.evaluation.report.files import read_folder
from gnnformd.evaluation.report.plots import _log_ticks
from gnnformd.evaluation.report.report import write_report
from gnnformd.evaluation.report.summary import summary
from gnnformd.model.files.stability import CheckedRun, StabilityCheck
from gnnformd.units import KCAL_PER_MOL_PER_EV, SHOWN

COLUMNS = "epoch train_loss validation_loss validation_l1_per_atom validation_x validation_y validation_z"
HEADER = ",".join([*COLUMNS.split(), "learning_rate", "seconds"])


def _run(folder):
    folder.mkdir(parents=True)
    rows = ["1,9000,6480,10,2160,2160,2160,2e-4,30", "2,7000,3240,5,1080,1080,1080,4e-4,60"]
    (folder / "metrics.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": {"kind": "gamd"}, "data": {"paths": [str(folder)]}}))


def _evaluation(model, path):
    generator = np.random.default_rng(0)
    reference = generator.normal(0, 10, (30, 3))
    predicted = reference + 1.0
    force = force_metrics(predicted, reference, ["O", "H"], np.tile([1, 2, 2], 10)).to_dict()
    entry = {"path": path, "frames": 1, "atoms": 30, "force": force, "energy": None, "seconds_per_frame": 0.25}
    parity = {"reference": reference.tolist(), "predicted": predicted.tolist()}
    return {"model": model, "datasets": [{**entry, "parity": parity}]}


def _simulation(**changes):
    r = np.linspace(0.1, 6, 30)
    known = {
        "model": "runs/water/model.safetensors",
        "settings": {"ensemble": "nvt", "temperature": 300.0, "timestep": 2.0},
        "steps": 1000,
        "atoms": 648,
        "ranks": 1,
        "microseconds_per_atom_step": 50.0,
        "energy_drift_per_atom_per_ns": None,
        "temperature": {"mean": 301.5, "standard_error": 2.25},
        "stable": True,
        "stopped_at_step": None,
        "reason": None,
        "observables": {"temperature, K": {"value": 301.5, "reference": 299.0, "error": 2.5, "difference": 1.0}},
        "rdf": {"O-O": {"r": r.tolist(), "g": np.ones(30).tolist(), "reference": np.full(30, 0.75).tolist()}},
        "thermo": {"step": [0, 10, 20], "temperature": [300, None, 303], "total_energy": [-5.0, -5.1, None]},
    }
    return {**known, **changes}


def _observable(*values):
    keys = ("value", "standard_error", "reference", "reference_standard_error", "difference", "verdict")
    return dict(zip(keys, values, strict=True)) | {"error": None}


@pytest.fixture
def demo(tmp_path, stand_ins):
    top = tmp_path / "demo"
    _run(top / "runs" / "water")
    data = top / "data" / "water"
    data.mkdir(parents=True)
    manifest = {
        "system": "water",
        "atoms": 648,
        "frames": 1200,
        "lammps_version": "22 Jul 2025",
        "variables": {"seed": 7},
    }
    (data / "reference.yaml").write_text(yaml.safe_dump({**manifest, "description": "216 molecules"}))
    (top / "evaluate-water.json").write_text(json.dumps(_evaluation("runs/water/model.safetensors", "data/water-test")))
    curves = curves_to_dict("runs/water/model.safetensors", force_curves(stand_ins.load(stand_ins.ClassicalModel())))
    (top / "curves-water.json").write_text(json.dumps(curves))
    (top / "simulate.json").write_text(json.dumps(_simulation()))
    return top


class _Tags(HTMLParser):
    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self):
        super().__init__()
        self.open, self.links, self.text, self.scripts = [], [], [], 0

    def handle_starttag(self, tag, attrs):
        self.links += [v for k, v in attrs if k in ("src", "href") and v]
        self.scripts += tag == "script"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" not in self.open and "style" not in self.open:
            self.text.append(data)


def _parsed(path):
    page = path.read_text(encoding="utf-8")
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    plots = json.loads(re.search(r'id="plots">(.*?)</script>', page, re.DOTALL).group(1))
    return " ".join(" ".join(tags.text).split()), plots, tags.links


def test_a_folder_with_everything_becomes_one_page_that_needs_no_network(demo):
    path = write_report(demo)
    assert path == demo / "report.html"
    assert path.stat().st_size < 6_000_000
    text, plots, links = _parsed(path)
    assert all(link.startswith(("#", "data:")) for link in links)
    for heading in ("Data", "Training", "Accuracy", "Two atoms", "Molecular dynamics", "What next", "How it was made"):
        assert heading in text
    # g(r) first, temperature, energy, parity and errors, 3 curves (nothing along y and z), 3 of training
    assert len(plots) == 11
    assert plots["plot-1"]["layout"]["yaxis"]["title"]["text"] == "g(r)"


def test_the_summary_says_the_numbers_of_the_files(demo):
    text, _, _ = _parsed(write_report(demo))
    assert "One network was trained; its best validation error is 5 kcal mol⁻¹ Å⁻¹ per atom (“water”, epoch 2)" in text
    force = json.loads((demo / "evaluate-water.json").read_text())["datasets"][0]["force"]
    assert f"The forces of “water” are wrong by {100 * force['relative_l1']:.3g} % on “water-test”" in text
    assert "In 2 ps of molecular dynamics of 648 atoms with “water” the temperature was 301.5 ± 2.2 K" in text
    assert "g(r) differs from the reference by at most 0.25" in text
    assert "1 200 frames" in text  # the space is a narrow one that does not break


def test_the_plots_hold_the_data_of_the_files_and_the_seeds_log_beside_its_own_system(demo):
    _, plots, _ = _parsed(write_report(demo))
    training = next(p for p in plots.values() if p["layout"]["yaxis"]["title"]["text"].startswith("error per atom"))
    by_name = {trace["name"]: trace for trace in training["data"]}
    assert by_name["validation"]["y"] == [10, 5]
    assert by_name["x"]["y"] == pytest.approx([10 / 3, 5 / 3], rel=1e-4)
    assert by_name["original"]["y"] == pytest.approx([26.2, 9.4, 6.9, 6.1], abs=0.06)  # the slide
    temperatures = [p for p in plots.values() if p["layout"]["yaxis"]["title"]["text"] == "temperature (K)"]
    assert temperatures[0]["data"][0]["x"] == [0, 0.02, 0.04]
    assert temperatures[0]["data"][0]["y"] == [300, None, 303]


def test_the_commands_to_do_it_again_are_those_of_the_folder_where_the_report_is_written(simulated, monkeypatch):
    monkeypatch.chdir(simulated.parent)
    text, _, _ = _parsed(write_report(Path("demo")))
    assert "gnnformd train demo/runs/water/config.yaml --out demo/runs/water" in text
    assert "data/water-test --json demo/evaluate-water.json" in text
    assert "gnnformd curves runs/water/model.safetensors --json demo/curves-water.json" in text
    assert re.search("simulate m.safetensors 'a b.data' .* --out demo/md --compare ref", text)
    monkeypatch.chdir(simulated)
    text, _, _ = _parsed(write_report(Path()))
    assert "gnnformd train runs/water/config.yaml --out runs/water" in text
    assert "--out md --compare ref" in text


def test_where_the_data_are_generated_is_told(demo, monkeypatch):
    monkeypatch.chdir(demo.parent)
    text, _, _ = _parsed(write_report(Path("demo")))
    assert "gnnformd generate water --out demo/data/water --var seed=7" in text


def test_a_radial_distribution_too_short_to_compare_is_none_of_the_largest_difference(demo):
    r = [1.0, 2.0, 3.0]
    curves = {
        name: {"r": r, "g": [0, 1, 1], "reference": [0, 1, 1 + gap]} for name, gap in (("O-O", 0.1), ("H-H", 0.6))
    }
    known = {f"largest gap of g(r), {name}": _observable(gap, 0.01, 0, 0.01, apart, "") for name, gap, apart in (
        ("O-O", 0.1, 0.5), ("H-H", 0.6, None))}  # fmt: skip
    (demo / "simulate.json").write_text(json.dumps(_simulation(rdf=curves, observables=known)))
    assert "g(r) differs from the reference by at most 0.1" in _parsed(write_report(demo))[0]
    known["largest gap of g(r), O-O"]["difference"] = None
    (demo / "simulate.json").write_text(json.dumps(_simulation(rdf=curves, observables=known)))
    assert "g(r) differs" not in _parsed(write_report(demo))[0]


def test_a_run_folder_alone_has_a_report_written_where_asked(tmp_path):
    _run(tmp_path / "run")
    out = tmp_path / "elsewhere" / "page.html"
    assert write_report(tmp_path / "run", out) == out
    text, plots, _ = _parsed(out)
    assert len(plots) == 3
    assert "Molecular dynamics" not in text
    assert not (tmp_path / "run" / "report.html").exists()


def test_an_unstable_run_is_called_unstable_with_its_reason(demo):
    broken = _simulation(stable=False, stopped_at_step=120, reason="An atom moved 7 angstrom in one step.")
    (demo / "simulate.json").write_text(json.dumps(broken))
    text, _, _ = _parsed(write_report(demo))
    assert "the run stopped at step 120" in text
    assert "Unstable. An atom moved 7 angstrom in one step." in text


def test_the_same_result_in_two_places_is_shown_once(demo):
    (demo / "simulate-water").mkdir()
    (demo / "simulate-water" / "simulate.json").write_text(json.dumps(_simulation()))
    _, plots, _ = _parsed(write_report(demo))
    assert len(plots) == 11


def test_a_comparison_is_told_in_words_a_table_and_curves_with_their_band(demo):
    observables = {
        "density, g/cm3": _observable(1.001, 0.003, 1.012, 0.002, -2.9, "differs: 2.9 standard errors"),
        "diffusion of H2O, 1e-9 m2/s": _observable(2.4, None, 2.3, None, None, "too short to say"),
    }
    msd = {
        "time_ps": [0, 1],
        "value_A2": [0, 1.5],
        "error": [0, 0.3],
        "reference": [0, 1.4],
        "reference_error": [0, 0.4],
    }
    known = _simulation(
        observables=observables,
        verdict={"answer": "differs", "text": "differs: density, g/cm3 (2.9 standard errors)"},
        stability={"stable_ps": 1.5, "reason": "a bond O-H is off by 0.75 angstrom"},
        notes=["the reference has no velocities to compare."],
        mean_squared_displacement={"H2O": msd},
        energy_drift_per_atom_per_ns=0.003,
        energy_drift_percent_of_kT_per_atom_per_ns=0.5,
    )
    (demo / "simulate.json").write_text(json.dumps(known))
    text, plots, _ = _parsed(write_report(demo))
    assert "Compared with the reference: differs: density, g/cm3 (2.9 standard errors)" in text
    assert "Left the band around the reference after 1.5 ps: a bond O-H is off by 0.75 angstrom" in text
    assert "The reference has no velocities to compare." in text
    assert "1.001(3) 1.012(2) -2.9 differs: 2.9 standard errors" in text
    assert "2.4 2.3 – too short to say" in text
    assert "drift of the thermostat's conserved energy 0.003 kcal/mol per atom and ns" in text
    lower, upper, middle, model = next(
        p["data"] for p in plots.values() if len(p["data"]) > 1 and p["data"][1]["name"] == "2 standard errors"
    )
    assert (model["y"], middle["y"]) == ([0, 1.5], [0, 1.4])
    assert upper["y"] == [0, pytest.approx(1.4 + 2 * 0.5)]
    assert lower["y"] == [0, pytest.approx(1.4 - 2 * 0.5)]


def test_a_simulation_outside_the_training_data_is_told(demo):
    known = _simulation()
    asides = {
        "steps": 12,
        "first_step": 57,
        "reason": "atoms 3 and 8 are close.",
        "unusual_steps": 9,
        "unusual_atoms": 0,
    }
    (demo / "simulate.json").write_text(json.dumps(known | {"outside_training": asides}))
    text, _, _ = _parsed(write_report(demo))
    assert "12 steps were outside the range of the training data; the first, step 57: atoms 3 and 8 are close." in text
    assert "had surroundings" not in text
    many = asides | {"unusual_atoms": known["atoms"] * (known["steps"] + 1) // 4}
    (demo / "simulate.json").write_text(json.dumps(known | {"outside_training": many}))
    text, _, _ = _parsed(write_report(demo))
    assert "25 % of the atoms, on average, had surroundings like none in training" in text


def test_what_is_undecided_is_not_shown_as_the_same(demo):
    undecided = {"answer": "too short", "text": "too short to say: g(r) is undecided, 2 of 3 can be compared"}
    (demo / "simulate.json").write_text(json.dumps(_simulation(verdict=undecided)))
    page = write_report(demo).read_text(encoding="utf-8")
    assert f'<b class="">{undecided["text"]}</b>' in page
    assert '<div class="tile"><b><span class="">too short</span>' in page
    same = {"answer": "same", "text": "same, 2 of 3 observables; too short to say: pressure, atm"}
    (demo / "simulate.json").write_text(json.dumps(_simulation(verdict=same)))
    page = write_report(demo).read_text(encoding="utf-8")
    green = '<b class="good">same, 2 of 3 observables</b>'
    assert f"{green}; too short to say: pressure, atm." in page
    assert '<div class="tile"><b><span class="good">same</span>' in page


def test_each_simulation_has_the_name_of_its_folder_and_the_worst_is_in_the_summary(demo):
    (demo / "simulate.json").unlink()
    drift = {"drift, % of kT per atom and ns": _observable(40, 2, 0, 0, None, "differs: above 1")}
    runs = {"md300": {}, "ts_nve": {"observables": drift, "steps": 500}, "water/last": {"steps": 800}}
    for name, changes in runs.items():
        (demo / name).mkdir(parents=True)
        (demo / name / "simulate.json").write_text(json.dumps(_simulation(**changes)))
    page = write_report(demo).read_text(encoding="utf-8")
    model = '<span class="quiet">with “water”</span>'
    assert re.findall(r"<h3>([^<]*)" + re.escape(model), page) == list(runs)
    tile = "molecular dynamics, 1 ps with “water” (ts_nve, the worst of 3 simulations): drift, % of kT per atom and ns"
    assert f'<b><span class="bad">differs</span> <small></small></b><span>{tile} (above 1)</span>' in page
    (demo / "water" / "last" / "simulate.json").write_text(json.dumps(_simulation(stable=False, stopped_at_step=7)))
    text, _, _ = _parsed(write_report(demo))
    assert "unstable molecular dynamics, 2 ps with “water” (water/last, the worst of 3 simulations)" in text
    assert "atoms with “water” (water/last, the worst of 3 simulations) the run stopped at step 7." in text


@pytest.mark.parametrize(
    ("outcomes", "answer", "told"),
    [
        (["passed", "passed"], "same", [("good", "same")]),
        (["passed", "outside"], "same", [("good", "same"), ("bad", "too close")]),
        (["outside", "broke"], "differs", [("bad", "differs"), ("bad", "unstable")]),
        (["outside", "passed"], "differs", [("bad", "differs"), ("bad", "too close")]),
    ],
)
def test_the_summary_has_simulations_and_a_check_after_the_training_that_did_not_pass(demo, outcomes, answer, told):
    (demo / "simulate.json").write_text(json.dumps(_simulation(verdict={"answer": answer, "text": answer})))
    found = read_folder(demo)
    runs = tuple(CheckedRun("frame 1", "nve", 300.0, 2.0, outcome) for outcome in outcomes)
    checked = replace(found.runs[0], stability=StabilityCheck(runs, planned=2))
    text = summary(replace(found, runs=(checked,)), SHOWN["real"])
    assert re.findall(r'<b><span class="(\w*)">([^<]*)</span>', text) == told
    alone = summary(replace(found, runs=(checked,), simulations=()), SHOWN["real"])
    assert ('<span class="good">passed</span>' in alone) == (outcomes == ["passed", "passed"])
    assert "molecular dynamics beside" in text
    assert ("after the training of “water”: 1 of 2 runs" in text) == (len(told) == 2)


def test_names_from_files_cannot_become_markup(demo):
    evil = '</script><script>alert("x")</script>'
    (demo / "evaluate-evil.json").write_text(json.dumps(_evaluation(evil + "&", evil)))
    (demo / "simulate.json").write_text(
        json.dumps(_simulation(stable=False, reason=evil, rdf={evil: _simulation()["rdf"]["O-O"]}))
    )
    manifest = {"system": evil, "description": "<b onclick=x>", "atoms": 3, "frames": evil}
    (demo / "data" / "water" / "reference.yaml").write_text(yaml.safe_dump(manifest))
    tags = _Tags()
    tags.feed(write_report(demo).read_text(encoding="utf-8"))
    assert tags.scripts == 4
    assert "alert(" in " ".join(tags.text)  # as text, and only so
    assert "<b onclick=x>" in " ".join(tags.text)


def test_epochs_are_counted_where_not_all_were_validated(demo):
    rows = ["5,9000,6480,10,2160,2160,2160,2e-4,30", "73,7000,3240,5,1080,1080,1080,4e-4,60"]
    (demo / "runs" / "water" / "metrics.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    text, _, _ = _parsed(write_report(demo))
    assert re.search(r"water\s+gamd\s+73\s+73\s+5\s", text)


def test_the_accuracy_has_energies_and_kinds_of_configuration(demo):
    data = _evaluation("runs/water/model.safetensors", "data/water-test") | {"shown_units": "metal"}
    (entry,) = data["datasets"]
    energy = {"rmse_per_atom": 0.2, "offset_per_atom": -7.0, "mae_per_atom": 0.1, "frames": 12, "mean_per_atom": -7.0}
    kind = {"rmse_per_atom": 0.2, "offset_per_atom": -7.0, "mae_per_atom": 0.05, "frames": 5}  # of an older version
    melt = {"frames": 7, "force": entry["force"], "energy": kind}
    alone = {"frames": 3, "force": None, "energy": None}
    stress = {"mae": 0.01, "rmse": 0.02, "pressure_offset": -0.005, "frames": 12}
    (demo / "evaluate-water.json").write_text(json.dumps(data))
    text, _, _ = _parsed(write_report(demo))
    assert "Errors of the energies" not in text
    entry |= {"energy": energy, "per_config_type": {"melt": melt, "alone": alone}}
    entry |= {"stress": stress, "atoms": 16, "most_atoms": 32}
    (demo / "evaluate-water.json").write_text(json.dumps(data))
    text, _, _ = _parsed(write_report(demo, units=SHOWN["metal"]))
    percent = f"{100 * entry['force']['relative_l1']:.3g} %"
    assert f"melt 7 43.4 43.4 130 {percent}" in text  # 1 and 3 kcal/mol in meV
    assert "Errors of the energies, up to a constant, meV per atom; mean:" in text
    assert "model data frames MAE RMSE mean water water-test 12 4.34 8.67 -304 melt 5 2.17 8.67 –" in text
    assert "alone" not in text
    assert "model data frames MAE RMSE pressure water water-test 12 0.0695 0.139 -0.0347" in text  # GPa
    assert "16 to 32" in text


def test_a_run_without_a_reference_has_no_columns_for_one(demo):
    alone = {
        "temperature, K": _observable(301.5, 2.25, None, None, None, None),
        "center-of-mass temperature, K": _observable(1e-26, None, 0.0, None, None, "below 3"),
    }
    (demo / "simulate.json").write_text(json.dumps(_simulation(observables=alone, verdict=None)))
    text, _, _ = _parsed(write_report(demo))
    assert "observable model verdict temperature, K 302(2) – center-of-mass temperature, K 1e-26 below 3" in text


def test_numbers_that_are_missing_leave_gaps(demo):
    data = json.loads((demo / "evaluate-water.json").read_text())
    data["datasets"][0]["force"]["relative_l1"] = None
    (demo / "evaluate-water.json").write_text(json.dumps(data))
    (demo / "runs" / "water" / "metrics.csv").write_text(HEADER + "\n1,nan,nan,nan,nan,nan,nan,1e-3,1\n")
    text, _, _ = _parsed(write_report(demo))
    assert "nan" not in text.lower()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("evaluate.json", '{"model": "x"', "is not whole JSON"),
        ("evaluate.json", "[1]", "is not a mapping"),
        (
            "evaluate.json",
            '{"model": "x", "datasets": [{}]}',
            r"'gnnformd evaluate' writes \('datasets.0.path' is missing\)",
        ),
        ("curves.json", '{"model": "x", "curves": [{"name": 3}]}', "is not what 'gnnformd curves' writes"),
        ("simulate.json", '{"model": "x"}', "is not what 'gnnformd simulate' writes"),
        ("reference.yaml", "a: [", "is not plain YAML"),
    ],
)
def test_a_damaged_file_is_named_and_no_page_is_written(demo, name, content, message):
    (demo / name).write_text(content)
    with pytest.raises(InputError, match=re.escape(name) + ".*" + message):
        write_report(demo)
    assert not (demo / "report.html").exists()


def test_a_folder_without_results_or_no_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="contains no run and no result"):
        write_report(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        write_report(tmp_path / "nowhere")


def _traces(plots, label):
    return {
        trace["name"]: trace
        for p in plots.values()
        if p["layout"]["yaxis"]["title"]["text"].startswith(label)
        for trace in p["data"]
    }


def test_a_panel_holds_one_quantity_and_the_loss_of_validation_only_where_it_is_the_same(demo):
    run = demo / "runs" / "water"
    _, plots, _ = _parsed(write_report(demo))
    assert set(_traces(plots, "loss")) == {"training", "validation"}
    rows = ["1,0.2,6480,10,2160,2160,2160,2e-4,30,11", "2,0.1,3240,5,1080,1080,1080,4e-4,60,6"]
    (run / "metrics.csv").write_text("\n".join([HEADER + ",train_l1_per_atom", *rows]) + "\n")
    training = {"loss": "huber", "virial_weight": 0.01}
    (run / "config.yaml").write_text(yaml.safe_dump({"model": {"kind": "density"}, "training": training}))
    _, plots, _ = _parsed(write_report(demo))
    assert set(_traces(plots, "loss")) == {"training"}
    errors = _traces(plots, "error per atom")
    assert (errors["training"]["y"], errors["validation"]["y"]) == ([11, 6], [10, 5])
    assert set(errors) == {"training", "validation"}


def test_the_original_study_is_named_beside_its_own_system_alone(demo):
    assert "original study" in _parsed(write_report(demo))[0]
    (demo / "runs" / "water" / "config.yaml").write_text(yaml.safe_dump({"model": {"kind": "density"}}))
    text, plots, _ = _parsed(write_report(demo))
    assert [word for word in ("slide", "original study", "water-seed") if word in text.lower()] == []
    assert "original" not in _traces(plots, "error per atom")


def test_the_parity_plot_counts_every_component_and_the_errors_have_their_place(demo):
    _, plots, _ = _parsed(write_report(demo))
    density = next(t for p in plots.values() for t in p["data"] if t["type"] == "heatmap")
    assert sum(map(sum, density["customdata"])) == 90
    errors = next(p for p in plots.values() if p["layout"]["yaxis"]["title"]["text"] == "components (%)")["data"][0]
    assert 98 < sum(errors["y"]) <= 100  # one of five hundred is left out
    assert errors["x"][int(np.argmax(errors["y"]))] == pytest.approx(1.0, abs=0.05)  # all are off by one


def test_one_epoch_is_no_curve(demo):
    (demo / "runs" / "water" / "metrics.csv").write_text(HEADER + "\n1,9000,6480,10,2160,2160,2160,2e-4,30\n")
    _, plots, _ = _parsed(write_report(demo))
    assert not _traces(plots, "loss")


def test_a_logarithmic_axis_has_at_least_three_ticks():
    for low in (0.0013, 0.2, 1.1, 3.3, 47.0):
        for factor in (3.1, 4, 7, 12, 90, 2000):
            ticks = _log_ticks(low, factor * low)
            assert 3 <= len(ticks) <= 9, (low, factor)
            assert sum(0.8 * low <= tick <= 1.25 * factor * low for tick in ticks) >= 3


@pytest.fixture
def simulated(demo):
    """A run of two molecules of two atoms, and reference data of them."""
    lines = []
    for step in range(0, 30, 10):
        lines += ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", "4", "ITEM: BOX BOUNDS pp pp pp", *["0 10"] * 3]
        lines += ["ITEM: ATOMS id mol type xu yu zu fx fy fz", "1 1 1 9.8 1 1 3 4 0", "2 1 2 10.6 1 1 -3 -4 0"]
        lines += [f"3 2 1 5 5 {5 + step / 10} 0 0 1", f"4 2 2 5 5 {5.9 + step / 10} 0 0 -1"]
    md = demo / "md"
    md.mkdir()
    (demo / "simulate.json").unlink()
    curve = {"r": [1, 2, 3], "g": [0, 1, 1], "reference": None}
    bond = {"length_A": [0.7, 0.8, 1.0], "density_per_A": [0, 1, 0], "reference": None}
    known = {"rdf": dict.fromkeys(("O-O", "H-O", "H-H"), curve), "bond_lengths": {"H-O": bond}, "atoms": 4}
    known["observables"] = {"pressure, atm": {"value": 1, "reference": 1, "difference": None, "needed_ps": 12.2}}
    (md / "simulate.json").write_text(json.dumps(_simulation(**known)))
    settings = {"ensemble": "nvt", "timestep": 2.0, "steps": 1000, "restart_every": None}
    manifest = {"model": "m.safetensors", "topology": "a b.data", "compare": "ref", "settings": settings}
    (md / "simulate.yaml").write_text(yaml.safe_dump(manifest))
    (md / "restart.lammps").touch()
    data = demo / "data" / "water"
    (data / "reference.yaml").write_text(yaml.safe_dump({"system": "water", "atoms": 4, "frames": 3}))
    (data / "thermo.csv").write_text("step,temperature_K\n0,290\n10,300\n20,310\n")
    for path in (md, data):
        (path / "trajectory.dump").write_text("\n".join(lines) + "\n")
    return demo


def test_the_trajectory_can_be_looked_at_in_the_page(simulated):
    page = write_report(simulated).read_text(encoding="utf-8")
    views = json.loads(re.search(r'id="views">(.*?)</script>', page, re.DOTALL).group(1))
    view = views["view-1"]
    assert [(kind["name"], kind["count"]) for kind in view["atoms"]] == [("O", 2), ("H", 2)]
    assert view["times"] == [0.0, 0.02, 0.04]
    assert view["frames"][0] == [980, 100, 100, 500, 500, 500, 60, 100, 100, 500, 500, 590]  # wrapped into the box
    assert {tuple(sorted(view["bonds"][k : k + 2])) for k in (0, 2)} == {(0, 2), (1, 3)}


def test_what_the_data_is_like_is_told(simulated):
    text, plots, _ = _parsed(write_report(simulated))
    assert "300 (290 to 310)" in text
    forces = next(p for p in plots.values() if p["layout"]["yaxis"]["title"]["text"] == "atoms (%)")
    assert sum(v for v in forces["data"][0]["y"] if v) == pytest.approx(100)
    assert re.search(r"0\.8\b", text)  # the closest pair, through the face of the box


def test_what_is_wider_than_a_phone_scrolls_in_a_box_of_its_own_or_is_broken(simulated):
    page = write_report(simulated).read_text(encoding="utf-8")
    assert page.count("<table") == page.count('<div class="scroll"><table') > 3
    style = re.search("<style>(.*?)</style>", page, re.DOTALL).group(1)
    rules = {name.strip(): rule for name, rule in re.findall(r"^([^@{}\n]+)\{([^}]*)\}", style, re.MULTILINE)}
    for name in (".scroll", "pre", "nav"):
        assert "overflow-x: auto" in rules[name], name
    for name in ("p", "h1", "h3", "summary", "figcaption", ".tile > span", "footer"):  # may have paths without a space
        assert "overflow-wrap: anywhere" in rules[name], name
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in page


def test_what_comes_next_can_be_pasted(simulated, monkeypatch):
    monkeypatch.chdir(simulated.parent)
    text, _, _ = _parsed(write_report(Path("demo")))
    go_on = next(line for line in text.split("gnnformd ") if line.startswith("simulate") and "--resume" in line)
    words = shlex.split(go_on.partition("--resume")[0])
    assert words[1:3] == ["m.safetensors", "a b.data"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert options == {
        "--timestep": "2.0", "--steps": "7000", "--out": "demo/md", "--compare": "ref",
    }  # fmt: skip
    assert "gnnformd train demo/runs/water/config.yaml --out demo/runs/water-longer --max-minutes 30" in text


def test_everything_is_shown_in_electronvolts_where_the_data_had_them(demo):
    """1 kcal/mol is 43.36 meV; a report of the same files in both units has the same numbers but for this factor."""
    simulation = _simulation(energy_drift_per_atom_per_ns=0.5, energy_drift_standard_error=0.02, shown_units="metal")
    (demo / "simulate.json").write_text(json.dumps(simulation))
    known = _evaluation("runs/water/model.safetensors", "data/water-test") | {"shown_units": "metal"}
    (demo / "evaluate-water.json").write_text(json.dumps(known))
    data = demo / "data" / "water"
    lines = ["ITEM: TIMESTEP", "0", "ITEM: NUMBER OF ATOMS", "1", "ITEM: BOX BOUNDS pp pp pp", *["0 10"] * 3]
    lines += ["ITEM: ATOMS id type x y z fx fy fz", "1 1 1 1 1 3 0 4"]
    (data / "trajectory.dump").write_text("\n".join(lines) + "\n")
    metal, in_metal, _ = _parsed(write_report(demo))
    real, in_real, _ = _parsed(write_report(demo, units=SHOWN["real"]))
    factor = 1000 / KCAL_PER_MOL_PER_EV
    assert "kcal" not in metal + json.dumps(in_metal, ensure_ascii=False)
    assert "meV" not in real + json.dumps(in_real, ensure_ascii=False)
    assert "conserved energy 21.7(9) meV per atom and ns" in metal
    assert "conserved energy 0.50(2) kcal/mol per atom and ns" in real
    assert "validation error is 217 meV Å⁻¹ per atom" in metal
    assert "1 217 " in metal and "1 5 " in real  # the rms force of the data
    scaled = 0
    for name, plot in in_metal.items():
        other = in_real[name]
        for axis in "xy":
            title = plot["layout"][f"{axis}axis"]["title"]["text"]
            assert title.replace("meV", "kcal mol⁻¹") == other["layout"][f"{axis}axis"]["title"]["text"]
            for trace, in_kcal in zip(plot["data"], other["data"], strict=True):
                by = factor if "meV" in title else 1.0
                values = [(a, b) for a, b in zip(trace[axis], in_kcal[axis], strict=True) if a is not None]
                assert [a for a, _ in values] == pytest.approx([by * b for _, b in values], rel=2e-4, abs=1e-9)
                scaled += "meV" in title
    assert scaled >= 10
