"""LAMMPS input files as text: split into logical lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gnnformd.errors import InputError

__all__ = ["Script", "ScriptLine", "read_script", "words"]

_WORD = re.compile(r'"""[\s\S]*?"""|"[^"]*"|\'[^\']*\'|\S+')


@dataclass(frozen=True)
class ScriptLine:
    """One command, possibly spread over several lines of the file.

    Attributes
    ----------
    text
        The command as LAMMPS sees it, lines joined.
    path
        The file.
    number
        Line of the file where it starts, from 1.
    count
        Number of lines of the file it spans.
    """

    text: str
    path: Path
    number: int
    count: int

    @property
    def words(self) -> list[str]:
        """Words without comment and quotes."""
        return words(self.text)

    def __str__(self) -> str:
        return f"{self.path}, line {self.number}"


@dataclass(frozen=True)
class Script:
    """An input file and, in order of first mention, the files it includes or jumps to by a plain name."""

    path: Path
    files: dict[Path, list[ScriptLine]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[ScriptLine]:
        for lines in self.files.values():
            yield from lines

    def commands(self, name: str) -> list[ScriptLine]:
        """All lines that start with this command."""
        return [line for line in self if line.words[:1] == [name]]


def words(text: str) -> list[str]:
    """Split a command as LAMMPS does: at blanks outside quotes, without the comment.

    >>> words("print 'hello # you' # a comment")
    ['print', 'hello # you']
    """
    found = []
    for match in _WORD.finditer(text):
        word = match.group()
        if word.startswith("#"):
            break
        quote = '"""' if word.startswith('"""') else word[0]
        quoted = quote in ('"""', '"', "'") and len(word) >= 2 * len(quote) and word.endswith(quote)
        found.append(word[len(quote) : -len(quote)] if quoted else word)
    return found


def linked_file(line: ScriptLine, base: Path) -> Path | None:
    """Find the file a line includes or jumps to, if it is given by name and exists."""
    parts = line.words
    if len(parts) < 2 or parts[0] not in ("include", "jump") or parts[1] == "SELF" or "$" in parts[1]:
        return None
    path = (base / parts[1]).resolve()
    return path if path.is_file() else None


def read_script(path: Path) -> Script:
    """Read an input file and what it includes.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    script = Script(path)
    waiting = [path]
    seen = set()
    while waiting:
        current = waiting.pop(0)
        if current.resolve() in seen:
            continue
        seen.add(current.resolve())
        script.files[current] = lines = _logical_lines(current)
        # LAMMPS opens included files relative to where it runs, which is the folder of the main file.
        waiting += [linked for line in lines if (linked := linked_file(line, path.parent))]
    return script


def _logical_lines(path: Path) -> list[ScriptLine]:
    try:
        physical = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a LAMMPS input file.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a text file; give a LAMMPS input file.") from error
    lines = []
    start, text = 0, ""
    for index, raw in enumerate(physical):
        stripped = raw.rstrip()
        open_quotes = (text + stripped).count('"""') % 2 == 1
        if stripped.endswith("&"):
            text += stripped[:-1]
            continue
        text += stripped
        if open_quotes:
            text += "\n"
            continue
        lines.append(ScriptLine(text, path, start + 1, index + 1 - start))
        start, text = index + 1, ""
    if text:
        lines.append(ScriptLine(text, path, start + 1, len(physical) - start))
    return lines
