"""The demo tells the whole story once, and does not tell it twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gnnformd.demo import PRESETS, Demo, DemoSize, System
from gnnformd.reference.systems import SYSTEMS
from gnnformd.simulation.stability import check

FEW = {"equilibration": "100", "melting": "200"}
TINY = DemoSize(
    argon=System("argon", 8, {"equilibration": "200", "spacing": "20"}),
    argon_test=System("argon", 2, {"seed": "113", "equilibration": "200", "spacing": "20"}),
    water=System("water", 8, {**FEW, "molecules": "64", "edge": "12.43", "spacing": "10"}),
    water_test=System("water", 2, {**FEW, "molecules": "64", "edge": "12.43", "seed": "2"}),
    water_large=System("water-large", 2, {**FEW, "molecules": "125", "edge": "15.53"}),
    md_steps=20,
)
PRESET = """
model: {kind: gamd, cutoff: 3.4, width: 8, layers: 1}
training: {epochs: 1, batch_size: 2, loggers: []}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


def tell(place: Path) -> tuple[list[str], list[str], Path]:
    """Lines that were said, labels of the progress, and the path of the report."""
    preset = place / "tiny.yaml"
    preset.write_text(PRESET)
    said: list[str] = []
    labels: list[str] = []

    @contextmanager
    def progress(label: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        assert unit in ("step", "frame", "run")
        labels.append(label)
        yield lambda done, total: None

    demo = Demo(
        place / "out",
        say=said.append,
        progress=progress,
        presets=dict.fromkeys(PRESETS, str(preset)),
        size=TINY,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "SHORTEST", 0.2)
        return said, labels, demo.run()


def test_the_demo_makes_everything_and_says_each_step_with_its_time(place: Path) -> None:
    said, labels, report = tell(place)
    out = place / "out"
    assert [line.split()[0] for line in said[:-1:2]] == [f"{k}/11" for k in range(1, 12)]
    assert all("Stability: " in said[2 * k + 1] for k in (5, 6))
    assert all(line.endswith(" s)") for line in said[1:-1:2])
    assert len(labels) >= 8, "long steps show their progress"
    for run in PRESETS:
        assert (out / "runs" / run / "model.safetensors").is_file()
    judged = json.loads((out / "evaluate-water.json").read_text())
    assert [Path(d["path"]).name for d in judged["datasets"]] == ["water-test", "water-large"]
    assert [d["atoms"] for d in judged["datasets"]] == [192, 375]
    assert "the network of the original study on argon-test" in next(
        line for line in said if "over sum of forces" in line
    )
    assert not (out / "evaluate-seed-water.json").exists()
    moved = json.loads((out / "simulate-water" / "simulate.json").read_text())
    assert (moved["steps"], moved["atoms"]) == (20, 192)
    assert "g(r)" in "".join(moved["observables"]) or moved["rdf"]
    assert report == out / "report.html"
    assert report.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html")


def test_a_second_demo_uses_what_is_there_and_only_writes_the_report_again(place: Path) -> None:
    out = place / "out"
    report = out / "report.html"
    report.unlink()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != "demo.json"}
    said, labels, _ = tell(place)
    assert sum("done before" in line for line in said) == 10
    assert labels == []
    assert report.is_file()
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_the_demo_runs_the_argon_of_the_seed_whole() -> None:
    assert DemoSize().argon == System("argon", SYSTEMS["argon"].frames)
    assert DemoSize().argon_test.variables["seed"] != "42"
