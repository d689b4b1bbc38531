"""The documentation is built as a site without a warning, needs no network, and its tutorials run."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.tour import follow

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
UNCHECKED = ["--set", "training.stability_check=false"]
TINY = ["--set", "training.epochs=1", "--set", "model.features=4", "--set", "model.width=8", *UNCHECKED]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; links and anchors inside it are checked by mkdocs, whose warnings are errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_of_the_documentation_is_part_of_the_site(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS)).with_suffix(".html").is_file()


def test_the_site_asks_no_network(site: Path) -> None:
    loads = re.compile(
        r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href|srcset)=[\"']?((?:https?:)?//[^\"'\s>]+)"
    )
    fetched = {url for page in site.rglob("*.html") for url in loads.findall(page.read_text(encoding="utf-8"))}
    assert fetched == set()
    styles = [style.read_text(encoding="utf-8") for style in site.rglob("*.css")]
    assert styles
    assert not any(re.search(r"url\(\s*[\"']?(?:https?:)?//|@import", style) for style in styles)


def test_the_api_pages_describe_what_they_name(site: Path) -> None:
    named = [n for page in (DOCS / "api").glob("*.md") for n in re.findall(r"^::: (\S+)$", page.read_text(), re.M)]
    pages = "".join(page.read_text(encoding="utf-8") for page in (site / "api").glob("*.html"))
    assert len(named) > 30
    for name in named:
        assert f'id="{name}"' in pages


def test_anchors_that_pages_outside_the_site_name_exist(site: Path) -> None:
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for page, anchor in re.findall(r"\]\(docs/([^)#]+)\.md#([^)]+)\)", text):
            assert f'id="{anchor}"' in (site / f"{page}.html").read_text(encoding="utf-8"), f"{name}: {page}#{anchor}"


def test_the_first_page_has_the_numbers_of_the_readme() -> None:
    rows = re.findall(r"^\|.*\|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) > 3
    assert set(rows) <= set((DOCS / "index.md").read_text(encoding="utf-8").splitlines())


def test_every_table_of_results_has_the_command_that_prints_it() -> None:
    for section in re.split(r"^## ", (DOCS / "results.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        before = ""
        for part in section.split("\n\n"):
            if not part.startswith("|"):
                before += part
                continue
            head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines())
            if "command" in head:
                assert all(row[head.index("command")] and row[head.index("machine, date")] for row in rows), part
            else:
                assert re.search(r"`(python|gnnformd|make|pytest)\s", before), part


def test_the_page_of_commands_is_what_the_command_line_says() -> None:
    pinned = re.search(r"^typer==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    if pinned is None or metadata.version("typer") != pinned[1]:
        pytest.skip("types of options are written as by the pinned version of typer")
    spec = importlib.util.spec_from_file_location("write_commands", DOCS / "write_commands.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "commands.md").read_text(encoding="utf-8") == module.page(), "run: python docs/write_commands.py"


def test_the_tutorial_on_lammps_data_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = {
        "generate": ["--frames", "12", "--var", "equilibration=20"],
        "train": TINY,
        "simulate": ["--steps", "20"],
    }
    follow(DOCS / "tutorial-lammps.md", small, monkeypatch)
    assert (tmp_path / "runs/salt/report.html").stat().st_size > 0
    assert (tmp_path / "runs/salt/md/trajectory.dump").stat().st_size > 0


def test_the_tutorial_on_a_dft_data_set_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = {"make_data.py": ["3"], "train": TINY, "simulate": ["--steps", "20"]}
    follow(DOCS / "tutorial-dft.md", small, monkeypatch)
    assert (tmp_path / "parity.png").stat().st_size > 0
    assert (tmp_path / "runs/alloy/report.html").stat().st_size > 0
