"""Write docs/commands.md from the command line's own parser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer

from gnnformd.cli import app
from gnnformd.config import preset_descriptions

BAR = "\\|"

HEAD = """# Commands

`gnnformd COMMAND --help` prints the same. Options that take several values are repeated. Exit status 2 means an error
in the input, told in one sentence ([errors](errors.md)).

This page is written by `python docs/write_commands.py` from the command line itself.
"""


def page() -> str:
    """Text of docs/commands.md."""
    group: Any = typer.main.get_command(app)
    context = group.context_class(group, info_name="gnnformd")
    names = group.list_commands(context)
    parts = [HEAD, "| command | |\n|---|---|"]
    parts[-1] += "".join(f"\n| [`{name}`](#{name}) | {_sentence(group.commands[name])} |" for name in names)
    for name in names:
        command = group.commands[name]
        inner = command.context_class(command, info_name=name, parent=context)
        parts.append(f"## {name}\n\n{_prose(command.help)}")
        parts.append(f"```\n{' '.join(command.get_usage(inner).removeprefix('Usage: ').split())}\n```")
        rows = [row for parameter in command.params if (row := _row(parameter, inner))]
        parts.append("| | default | |\n|---|---|---|\n" + "\n".join(rows))
    listed = "\n".join(f"| `{k}` | {_cell(v)} |" for k, v in preset_descriptions().items())
    parts.append(f"## Configurations by name\n\n| name | |\n|---|---|\n{listed}")
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _sentence(command: Any) -> str:
    """First sentence of the help of a command."""
    return _cell(_prose(command.help).split("\n\n")[0])


def _prose(text: str) -> str:
    """Help as paragraphs."""
    return "\n\n".join(" ".join(part.split()) for part in text.replace("\b", "").strip().split("\n\n"))


def _row(parameter: Any, context: Any) -> str | None:
    """One argument or option; nothing for hidden ones."""
    record = parameter.get_help_record(context)
    if record is None:
        return None
    name, text = record
    brackets = re.search(r"\s*\[([^\[\]]*)\]$", text)
    note = "" if brackets is None else brackets[1]
    text = text if brackets is None else text[: brackets.start()]
    default = note.removeprefix("default: ")
    shown = f"`{default}`" if note.startswith("default: ") and " " not in default else default
    return f"| `{name.replace('|', BAR)}` | {_cell(shown)} | {_cell(text)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    Path(__file__).with_name("commands.md").write_text(page(), encoding="utf-8")
