"""YAML as settings and descriptions need it: plain, small, each key once, and every mistake has a line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from gnnformd.errors import InputError

__all__ = ["Lines", "Loader", "parse_mapping", "read_mapping", "read_text"]

Lines = dict[tuple[str, ...], int]
"""Line of each key, by its path."""

_SIZE_LIMIT, _DEPTH_LIMIT = 1 << 18, 20


class Loader(yaml.SafeLoader):
    """YAML's safe loader; ``1e-3`` is the number it is in YAML 1.2, and a value stands once, where it is written.

    YAML 1.1 takes ``1e-3`` for text. Aliases are refused: a few of them can stand for more values than fit into memory.
    """

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias and deep nesting."""
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "an alias; write the value itself", mark)
        if self._depth == _DEPTH_LIMIT:
            raise yaml.composer.ComposerError(None, None, f"more than {_DEPTH_LIMIT} levels", mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a file with a mapping.

    Raises
    ------
    InputError
        The file cannot be read or is no mapping of plain YAML; the sentence names the line.
    """
    return parse_mapping(str(path), read_text(path))[0]


def read_text(path: Path) -> str:
    """Read a file of text of at most 256 kilobytes.

    Raises
    ------
    InputError
        There is no such file, it is no text or too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_SIZE_LIMIT + 1)
        if len(content) > _SIZE_LIMIT:
            raise InputError(f"{path}: is larger than 256 kilobytes; name a YAML file.")
        return content.decode("utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a YAML file.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text; name a YAML file.") from error


def parse_mapping(name: str, text: str) -> tuple[dict[str, Any], Lines]:
    """Read the mapping in a text, and the line of each of its keys.

    Parameters
    ----------
    name
        Opens the error messages.
    text
        YAML; an empty one is an empty mapping.

    Raises
    ------
    InputError
        It is no mapping of plain YAML.
    """
    loader = None
    lines: Lines = {}
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        _note_lines(node, (), lines, name)
        data = {} if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}, line {mark.line + 1}" if mark else name
        raise InputError(f"{where}: is not plain YAML ({error.problem}); correct this line.") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(f"{name}, line {line}: is not plain YAML ({error.reason}); correct this line.") from error
    except (ValueError, OverflowError) as error:
        raise InputError(f"{name}: holds a value that cannot be read ({error}); write an ordinary one.") from error
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(data, dict):
        raise InputError(f"{name}: holds no mapping; write lines of the form 'key: value'.")
    return data, lines


def _note_lines(node: yaml.Node | None, path: tuple[str, ...], lines: Lines, name: str) -> None:
    """Write down where each key stands; refuse a key that is given twice or is no text."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*path, str(index))] = item.start_mark.line + 1
            _note_lines(item, (*path, str(index)), lines, name)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.tag != "tag:yaml.org,2002:str":
            shown = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
            raise InputError(f"{name}, line {line}: the key {shown[:40]} is not plain YAML text; quote or correct it.")
        here = (*path, str(key.value))
        if here in lines:
            raise InputError(f"{name}, line {line}: {'.'.join(here)[:80]} is given twice; remove one of them.")
        lines[here] = line
        _note_lines(value, here, lines, name)
