"""The changes that CONTRIBUTING.md walks through are made, in memory, and their tests run."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```python\n# (\S+?)(?:: (\w+))?\n(.*?)```", re.DOTALL)


def blocks(title: str) -> list[tuple[str, str, str]]:
    """Path, name of a registry or nothing, and code of each block of a section."""
    text = (ROOT / "CONTRIBUTING.md").read_text().split(f"### {title}\n")[1].split("\n### ")[0].split("\n## ")[0]
    return BLOCK.findall(text)


def module_of(path: str) -> str:
    return path.removeprefix("src/").removesuffix(".py").replace("/", ".")


@pytest.mark.parametrize("title", ["A new energy term", "A new file format", "A new observable"])
def test_a_change_is_one_file_its_test_and_one_line_of_a_registry(title, tmp_path, monkeypatch):
    (source, _, code), (registered_in, registry, line), (_, _, test) = blocks(title)
    assert not (ROOT / source).exists() and len(line.strip().splitlines()) == 1
    module = ModuleType(module_of(source))
    exec(compile(code, source, "exec"), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    room = importlib.import_module(module_of(registered_in))
    ((name, entry),) = eval(f"{{{line}}}", {**vars(room), **vars(module)}).items()
    monkeypatch.setitem(getattr(room, registry), name, entry)
    tests: dict[str, object] = {}
    exec(compile(test, "test", "exec"), tests)
    functions = [function for name, function in tests.items() if name.startswith("test_")]
    assert functions
    for number, function in enumerate(functions):
        folder = tmp_path / str(number)
        folder.mkdir()
        function(**({"tmp_path": folder} if "tmp_path" in function.__code__.co_varnames else {}))
