"""Write docs/errors.md from the messages in the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parents[1] / "src" / "gnnformd"

HEAD = """# Errors

An error in the input ends a command with one sentence on standard error and exit status 2. It names the file and the
line or key, says what is wrong, and after the semicolon what to do. They are listed below by the part of the program
that raises them; `{...}` marks a value. Exit status 1 with a traceback is a bug: please report it. Exit status 130 or
143 means that Ctrl-C or SIGTERM ended the command; all files written until then are complete.

A wrong value in a configuration, a force field or a model file is reported as `{key} must be a number, not {value}` (or
another type, or a bound); [Settings](config.md) lists what each setting takes.

This page is written by `python docs/write_errors.py` from the code.
"""

ROOMS = {
    "cli": "The command line",
    "config": "Configurations",
    "automatic": "Settings chosen from the data (`train auto`)",
    "units": "Units",
    "reference": "Reference runs (`generate`)",
    "trajectory": "Data",
    "force_field": "Force fields",
    "neighbors": "Neighbors",
    "yaml_files": "YAML files",
    "files": "Writing files",
    "graph": "Graphs",
    "model": "Models and model files",
    "training": "Training",
    "inference": "Forces of a model",
    "evaluation": "Evaluation and reports",
    "interfaces": "ASE, torch-sim and LAMMPS's mliap",
    "simulation": "Molecular dynamics",
}


class Message(NamedTuple):
    """A sentence: the room that says it, what is wrong, and what to do ('' where the code gives no remedy)."""

    room: str
    wrong: str
    remedy: str


def messages() -> list[Message]:
    """Find every sentence of an InputError, and those of validators of settings."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for text in _texts(ast.parse(path.read_text(encoding="utf-8")), path.name == "settings.py"):
            if not re.search("[a-z]", re.sub(r"\{.*?\}|timestep", "", text)):
                continue  # it passes on the message of another error
            wrong, remedy = _parted(text)
            found[(wrong, remedy)] = Message(room, wrong, remedy)
    return list(found.values())


def page() -> str:
    """Text of docs/errors.md."""
    parts, found = [HEAD], messages()
    unknown = {message.room for message in found} - set(ROOMS)
    assert not unknown, f"rooms without a title: {unknown}"
    for room, title in ROOMS.items():
        in_room = [m for m in found if m.room == room]
        rows = "\n".join(f"| {_cell(m.wrong)} | {_cell(m.remedy)} |" for m in in_room)
        if in_room:
            parts.append(f"## {title}\n\n| message | remedy |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


def _texts(tree: ast.Module, settings: bool) -> Iterator[str]:
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    makers = {
        name: f for name, f in functions.items() if isinstance(f.returns, ast.Name) and f.returns.id == "InputError"
    }
    constants = {_name(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
            continue
        if node.func.id == "Fault":  # of a line of an input
            reason = constants.get(_name(node.args[1]), node.args[1])
            yield from (f"{{line}}: {text}" for text in _sentences(reason, functions))
        elif node.func.id == "InputError" or (settings and node.func.id == "ValueError"):
            yield from _sentences(node.args[0], functions)
        elif node.func.id in makers:
            yield from _filled(makers[node.func.id], node)


def _sentences(argument: ast.expr, functions: dict[str, ast.FunctionDef]) -> list[str]:
    """Texts of a literal, or of what a function of the module returns."""
    if isinstance(argument, ast.Call) and isinstance(argument.func, ast.Attribute):  # "...".replace("\n", " ")
        return _sentences(argument.func.value, functions)
    if isinstance(argument, ast.Call) and isinstance(argument.func, ast.Name) and argument.func.id in functions:
        returns = [n.value for n in ast.walk(functions[argument.func.id]) if isinstance(n, ast.Return) and n.value]
        return [text for value in returns for text in _sentences(value, {})]
    text = _text(argument)
    return [text] if " " in text and not text.endswith(": {text}.") else []


def _filled(maker: ast.FunctionDef, call: ast.Call) -> list[str]:
    """Put the literal texts of a call into the sentence of a function that makes the error."""
    values = {parameter.arg: _text(value) for parameter, value in zip(maker.args.args, call.args, strict=False)}
    templates = [
        n.args[0] for n in ast.walk(maker) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "InputError"
    ]
    texts = [_text(template, values) for template in templates]
    return [text for text in texts if text != _text(templates[0])]


def _text(node: ast.expr, values: dict[str, str] | None = None) -> str:
    """Text of a string; what is filled in is named as the code names it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.BinOp):
        return _text(node.left, values) + _text(node.right, values)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, values) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        name = _name(node.value)
        known = (values or {}).get(name, "")
        return known if " " in known else f"{{{name}}}"
    return f"{{{_name(node)}}}"


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    return "..."


def _parted(text: str) -> tuple[str, str]:
    """Part a sentence into what is wrong and what to do."""
    wrong, semicolon, remedy = text.rpartition("; ")
    if semicolon:
        return wrong, remedy
    if text.endswith("?"):
        wrong, _, remedy = text.rpartition(", ")
        return (wrong, remedy) if wrong else ("", text)
    return text, "write a value as it must be." if " must be " in text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    Path(__file__).with_name("errors.md").write_text(page(), encoding="utf-8")
