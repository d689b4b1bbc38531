"""Runs the code blocks of a page one after another: files that it shows, and commands in blocks marked ``sh``."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from matplotlib import pyplot
from typer.testing import CliRunner

from gnnformd.cli import app

BLOCK = re.compile(r'^```(\w+)(?: title="(\S+)")?\n(.*?)^```$', flags=re.DOTALL | re.MULTILINE)


def follow(page: Path, small: Mapping[str, Sequence[str]], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Write the files of a page into the current folder and run its commands, in their order.

    Parameters
    ----------
    page
        A page in Markdown. Blocks with a title are files; ``sh`` blocks have commands; others are not run.
    small
        Words to add to a command, by its name or that of its script, so that it takes seconds.
    monkeypatch
        For the arguments of scripts.

    Returns
    -------
    list
        The commands, as they stand on the page.
    """
    commands = []
    for language, title, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if title:
            Path(title).write_text(text, encoding="utf-8")
        elif language == "sh":
            for words in map(shlex.split, text.replace("\\\n", " ").splitlines()):
                commands.append(words)
                arguments = [*words[1:], *small.get(words[1], [])]
                if words[0] == "python":
                    monkeypatch.setattr(sys, "argv", arguments)
                    runpy.run_path(words[1], run_name="__main__")
                    pyplot.close("all")
                    continue
                assert words[0] == "gnnformd", words
                result = CliRunner().invoke(app, arguments, catch_exceptions=False)
                assert result.exit_code == 0, f"{' '.join(words)}\n{result.output}"
    return commands
