"""Output of results and progress: bars and tables on a terminal, plain lines elsewhere, JSON in files."""

from __future__ import annotations

import math
import os
import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from gnnformd.errors import InputError
from gnnformd.files import write_json

__all__ = [
    "Progress",
    "check_writable",
    "number",
    "progress",
    "save_json",
    "say",
    "show_facts",
    "show_note",
    "show_table",
]

SECONDS_BETWEEN_LINES = 5.0
MIN_TEXT = 24  # narrowest column of text that is broken into lines


def say(text: str, *, error: bool = False) -> None:
    """Print a line on standard output or standard error; a terminal gets it broken between words."""
    console = Console(stderr=error, soft_wrap=True, markup=False, highlight=False)
    if console.is_terminal:
        indent = " " * (len(text) - len(text.lstrip()))
        text = textwrap.fill(
            text,
            console.width,
            subsequent_indent=indent and f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    console.print(text)


def show_note(text: str) -> None:
    """Print a sentence below a table, broken between words where tables are, also without a terminal."""
    console = Console(soft_wrap=True, markup=False, highlight=False)
    for line in textwrap.wrap(text, console.width, break_long_words=False, break_on_hyphens=False):
        console.print(line)


class Progress:
    """Callable ``progress(done, total)``; draws a bar on a terminal and prints a line every few seconds elsewhere."""

    def __init__(self, label: str, bars: Bars | None, unit: str) -> None:
        self._label = label
        self._unit = unit
        self._bars = bars
        self._task = bars.add_task(label, total=None, count="") if bars else None
        self._started = self._printed = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` steps are done; of 0 where their number is not known."""
        count = f"{self._unit} {done} of {total}" if total else f"{self._unit} {done}"
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, description=self._label, completed=done, total=total or None, count=count)
            return
        now = time.monotonic()
        if now - self._printed >= SECONDS_BETWEEN_LINES:
            self._printed = now
            say(f"{self._label}: {count}, {now - self._started:.0f} s")

    def stage(self, text: str) -> None:
        """Say what is being done before the first step."""
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, description=f"{self._label}: {text}")
        else:
            say(f"{self._label}: {text} ...")


@contextmanager
def progress(label: str, unit: str) -> Iterator[Progress]:
    """Progress of one long piece of work in ``unit`` (step, frame, stage); the bar goes away when it ends."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Progress(label, None, unit)
        return
    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.fields[count]}"), TimeElapsedColumn())
    with Bars(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        yield Progress(label, bars, unit)


def number(value: Any, digits: int = 4) -> str:
    """Format a number for a table, without an exponent up to five digits; a dash for None or what is not finite."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if 10**digits <= round(abs(value)) < 1e5 else f"{value:.{digits}g}"


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table: the first column is text, the others are numbers.

    A text that does not fit beside its numbers is broken between words or, where it is one word such as a path, has the
    line above them for itself.
    """
    console = Console(markup=False, highlight=False, soft_wrap=True)
    cells = [[cell if isinstance(cell, str) else number(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    right = sum(width + 2 for width in widths[1:])
    first = min(widths[0], max(console.width - right - 2, len(columns[0]), MIN_TEXT))

    def line(text: str, numbers: Sequence[str]) -> str:
        return f"  {text:<{first}}" + "".join(f"  {n:>{w}}" for n, w in zip(numbers, widths[1:], strict=True))

    lines = [title, "", line(columns[0], columns[1:]), "  " + _rule(console) * (first + right)]
    for text, *numbers in cells:
        indent = text[: len(text) - len(text.lstrip())]
        above = textwrap.wrap(text, first, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        *above, last = above or [""]
        if len(last) > first:
            above, last = [*above, last], ""
        lines += [f"  {part}" for part in above] + [line(last, numbers)]
    _print(console, [*lines, ""])


def show_facts(title: str, facts: Iterable[tuple[str, Any]]) -> None:
    """Print names and values; long ones of both are broken between words alone."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    known = [(name, value if isinstance(value, str) else number(value)) for name, value in facts]
    longest, widest = (max(map(len, column), default=0) for column in zip(*known, strict=True)) if known else (0, 0)
    left = 5 + min(longest, max(console.width - 5 - min(widest, MIN_TEXT), MIN_TEXT))
    room = max(console.width - left, MIN_TEXT)
    lines = [title, ""]
    for name, value in known:
        names = textwrap.wrap(name, left - 5, break_long_words=False, break_on_hyphens=False)
        parts = [
            part
            for row in value.splitlines() or [""]
            for part in textwrap.wrap(row, room, break_long_words=False, break_on_hyphens=False) or [""]
        ]
        lines += [f"  {head:<{left - 2}}{part}" for head, part in zip_longest(names, parts, fillvalue="")]
    _print(console, [*lines, ""])


def _print(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(line.rstrip())


def _rule(console: Console) -> str:
    return "─" if console.encoding.lower().startswith("utf") else "-"


def check_writable(path: Path | None) -> Path | None:
    """Refuse a file that cannot be written, before the work whose result goes there.

    Raises
    ------
    InputError
        It is a folder, or the nearest folder above it that exists cannot be written to.
    """
    if path is None:
        return None
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not above.is_dir() or not os.access(above, os.W_OK):
        reason = "is a folder" if path.is_dir() else f"{above} is not a writable folder"
        raise InputError(f"{path}: cannot be written ({reason}); name another file.")
    return path


def save_json(path: Path | None, data: Mapping[str, Any]) -> None:
    """Write a result to a file, if one is given."""
    if path is not None:
        write_json(path, data)
        say(f"Wrote {path}")
