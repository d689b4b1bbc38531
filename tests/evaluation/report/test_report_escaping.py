"""Whatever names and texts say, the report shows them and a browser runs none of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.evaluation.report.test_report import demo

from gnnformd.evaluation.report.report import write_report

__all__ = ["demo"]

NAME = "<img src=x onerror=document.body.id='ran'>"
TEXT = (
    f"\"'>{NAME}</script><script>document.body.id='ran'</script><!--&lt;</pre></title></textarea>${{title}}"
    "<a href=\"javascript:document.body.id='ran'\">"
)
BROWSER = next((path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name))), None)


def hostile(value: Any, above: str = "") -> Any:
    """Add hostile text to every text, and to the keys that are names."""
    if isinstance(value, dict):
        names = above in ("per_type", "observables", "rdf", "variables")
        return {key + (TEXT if names else ""): hostile(entry, key) for key, entry in value.items()}
    if isinstance(value, list):
        return [hostile(entry, above) for entry in value]
    return value + TEXT if isinstance(value, str) else value


@pytest.fixture
def page(demo: Path) -> str:
    for path in list(demo.rglob("*.json")):
        path.write_text(json.dumps(hostile(json.loads(path.read_text()))))
    for path in list(demo.rglob("*.yaml")):
        path.write_text(yaml.safe_dump(hostile(yaml.safe_load(path.read_text()))))
    figures = demo / "runs" / "water" / "figures"
    figures.mkdir()
    (figures / f"{NAME}.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload=\"document.body.id='ran'\"/>")
    (demo / "runs" / "water").rename(demo / "runs" / NAME)
    (demo / "data" / "water").rename(demo / "data" / NAME)
    return write_report(demo.rename(demo.with_name(NAME))).read_text(encoding="utf-8")


class _Elements(HTMLParser):
    """Elements and attributes that could run something."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0
        self.running: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        for name, value in attributes:
            if name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.running.append((tag, name))


def test_no_text_of_a_file_becomes_an_element_or_a_handler(page: str) -> None:
    assert "document.body.id" in page, "the hostile texts are in the page"
    elements = _Elements()
    elements.feed(page)
    assert elements.scripts == 4 and elements.running == []
    plots = re.search(r'id="plots">(.*?)</script>', page, re.DOTALL)
    assert plots is not None and "<" not in plots[1] and json.loads(plots[1])


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium; the test above reads the page instead")
def test_a_browser_draws_the_plots_and_runs_nothing_else(page: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom")
    done = subprocess.run(
        [str(BROWSER), *options, f"--user-data-dir={tmp_path / 'profile'}", f"file://{tmp_path / 'page.html'}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    body = done.stdout[done.stdout.index("<body") :]
    assert body.startswith("<body>"), "it has no id"
    assert 'class="main-svg"' in body, "the plots are drawn"
    assert not re.search(r"""<a [^>]*href=["']?javascript:""", body)
    assert '<img src="x"' not in body
