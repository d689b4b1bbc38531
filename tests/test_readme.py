"""Every command of the README works, in its order; only sizes are made small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gnnformd.config import preset_names
from gnnformd.reference.systems import SYSTEMS
from tests.tour import follow

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
UNCHECKED = ["--set", "training.stability_check=false"]
SMALL = {
    "generate": ["--frames", "12", "--var", "equilibration=200", "--var", "spacing=20"],
    "train": ["--set", "model.width=8", "--set", "model.layers=1", "--set", "training.epochs=2", *UNCHECKED],
    "finetune": ["--set", "model.width=8", "--set", "model.layers=1", "--set", "training.epochs=1", *UNCHECKED],
    "simulate": ["--steps", "20"],
    "benchmark": ["--atoms", "125"],
}


def test_the_commands_of_the_tour_run_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = follow(ROOT / "README.md", SMALL, monkeypatch)
    assert {words[1] for words in commands} >= {
        "generate",
        "inspect",
        "train",
        "evaluate",
        "curves",
        "simulate",
        "report",
        "benchmark",
        "finetune",
    }
    for name in ("evaluate.json", "curves.json", "figures/curves.png", "md/trajectory.dump", "report.html"):
        assert (tmp_path / "runs/argon" / name).stat().st_size > 0
    assert (tmp_path / "runs/again/model.safetensors").is_file()


def test_names_of_systems_and_presets_in_the_readme_exist() -> None:
    for system in re.findall(r"gnnformd generate (\S+)", README):
        assert system in SYSTEMS or system == "--list`"
    for preset in re.findall(r"gnnformd train (\S+)", README):
        assert preset in (*preset_names(), "auto", "...")


def test_links_of_the_readme_lead_somewhere() -> None:
    pages = [
        ROOT / "README.md",
        ROOT / "ARCHITECTURE.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"
