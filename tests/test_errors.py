"""Every sentence of an error says what to do, and the page with all of them is up to date."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from gnnformd.errors import InputError
from gnnformd.reference.executed import ExecutedCommands
from gnnformd.yaml_files import parse_mapping

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def write_errors():
    spec = importlib.util.spec_from_file_location("write_errors", DOCS / "write_errors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def messages(write_errors):
    return write_errors.messages()


def test_the_page_of_errors_is_what_the_code_says(write_errors) -> None:
    assert (DOCS / "errors.md").read_text(encoding="utf-8") == write_errors.page(), "run: python docs/write_errors.py"


def test_every_error_says_what_to_do(messages) -> None:
    assert len(messages) > 200
    without = [m.wrong for m in messages if not m.remedy and "{message}" not in m.wrong and "{sentence}" not in m.wrong]
    assert without == [], "put the remedy behind a semicolon"


def test_no_part_of_the_program_is_left_out(write_errors, messages) -> None:
    assert {m.room for m in messages} <= set(write_errors.ROOMS)


def test_a_sentence_that_is_said_stands_on_the_page(messages) -> None:
    with pytest.raises(InputError) as caught:
        parse_mapping("my.yaml", "a: 1\na: 2\n")
    wrong = "{name}, line {line}: {...} is given twice"
    said = wrong.replace("{name}", "my.yaml").replace("{line}", "2").replace("{...}", "a")
    assert str(caught.value) == f"{said}; remove one of them."
    assert (wrong, "remove one of them.") in [(m.wrong, m.remedy) for m in messages]


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("dimension 2", "{line}: the run is in two dimensions, and models are of three"),
        ("fix b all bond/break 10 1 2.0", "{line}: '{name}' changes bonds between frames, which do not have their own"),
        ("atom_style sphere", "{line}: atoms of style '{style}' are not supported"),
        ("fix a all adapt 1 pair lj/cut epsilon 1 1 v_e", "{line}: 'fix {parts}' changes the force field"),
    ],
)
def test_faults_of_commands_that_lammps_executes_stand_on_the_page(messages, command: str, wrong: str) -> None:
    executed = ExecutedCommands(Path("trajectory.dump"))
    for text in (command, "dump 1 all custom 1 trajectory.dump id"):
        executed.see(text)
    fault = executed.see("run 1")
    assert fault is not None and fault.command == command
    (found,) = [message for message in messages if message.wrong.startswith(wrong)]
    assert found.room == "reference"
    assert re.fullmatch(re.sub(r"\\{.*?\\}", ".*", re.escape(f"{found.wrong}; {found.remedy}")), f"x: {fault.reason}")


def test_the_licence_of_every_dependency_is_listed() -> None:
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = dict(re.findall(r"^\| ([a-z0-9-]+) \| (.+) \|$", (DOCS / "licences.md").read_text(), re.MULTILINE))
    for requirement in project["dependencies"]:
        name = re.split("[<>=]", requirement)[0].lower()
        assert re.search("[A-Z]", listed[name]), f"{name}: run python docs/write_licences.py"
