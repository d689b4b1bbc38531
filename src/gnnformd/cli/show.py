"""Output of results and progress: bars and tables on a terminal, plain lines elsewhere, JSON in files."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from gnnformd.errors import InputError
from gnnformd.files import write_json

__all__ = ["Progress", "check_writable", "number", "progress", "save_json", "say", "show_facts", "show_table"]

SECONDS_BETWEEN_LINES = 5.0


def say(text: str) -> None:
    """Print one line on standard output."""
    Console(soft_wrap=True, markup=False, highlight=False).print(text)


class Progress:
    """Callable ``progress(done, total)``; draws a bar on a terminal and prints a line every few seconds elsewhere."""

    def __init__(self, label: str, bars: Bars | None) -> None:
        self._label = label
        self._bars = bars
        self._task = bars.add_task(label, total=None) if bars else None
        self._started = self._printed = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` steps are done."""
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=done, total=total)
            return
        now = time.monotonic()
        if now - self._printed >= SECONDS_BETWEEN_LINES:
            self._printed = now
            say(f"{self._label}: {done} of {total}, {now - self._started:.0f} s")


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """Progress of one long piece of work; the bar goes away when it ends."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Progress(label, None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        yield Progress(label, bars)


def number(value: Any, digits: int = 4) -> str:
    """Format a number for a table; a dash for None or a number that is not finite."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table: the first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=index > 0, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, str) else number(cell) for cell in row))
    Console(markup=False, highlight=False).print(table)


def show_facts(title: str, facts: Iterable[tuple[str, Any]]) -> None:
    """Print a table of names and values."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, value if isinstance(value, str) else number(value))
    Console(markup=False, highlight=False).print(table)


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
