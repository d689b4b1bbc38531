"""Write docs/config.md from the settings classes: `make docs`."""

from __future__ import annotations

import typing
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gnnformd.config import Config, preset_names, settings_classes

HEAD = """# Configuration

A training is described by a YAML file with three parts, `model`, `data` and `training`:

```yaml
model:
  kind: gamd
  cutoff: 3.4
data:
  paths: [data/water]
training:
  epochs: 10
```

Settings that are left out have the defaults below; a misspelt one is an error with the line and the nearest name. Any
setting can be changed on the command line: `--set training.epochs=20`.

`gnnformd train auto --data FILE` looks at the data and chooses the settings, and prints each that depends on them with
the reason: the cutoff (some sixty neighbors, in a gap between shells of g(r); that of the force field for
Lennard-Jones), layers (two where the potential is not known), the degree of the harmonics (4 for
solids and liquids whose potential is not known), kinds of bond and electrostatics (where the data have bonds and
charges), energies and virials (where all frames have them), optimizer, the split, minutes.

Ready-made files are used by name: {presets}. They lie in `src/gnnformd/configs`, and explain each of their lines. The
run folder contains the complete configuration in `config.yaml`, which can be trained again.

Lengths are in angstrom. This page is written by `make docs` from the settings classes.
"""


def page() -> str:
    """Text of docs/config.md."""
    parts = [HEAD.format(presets=", ".join(f"`{name}`" for name in preset_names()))]
    for part in Config.model_fields:
        for settings in settings_classes(part):
            kind = settings.model_fields["kind"].default if "kind" in settings.model_fields else None
            parts.append(f"## {part}" + (f", `kind: {kind}`" if kind else ""))
            parts.append("| setting | values | default | meaning |\n|---|---|---|---|\n" + "\n".join(_rows(settings)))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _rows(settings: type[BaseModel]) -> list[str]:
    rows: list[str] = []
    for name, field in settings.model_fields.items():
        values = _type(field.annotation) + _bounds(field)
        meaning = field.description or {"kind": "Which network."}[name]
        cells = (f"`{name}`", values, _default(field), meaning)
        rows.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return rows


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, UnionType):
        return " or ".join(_type(argument) for argument in arguments)
    if origin in (list, tuple):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return "mapping"
    if origin is typing.Annotated:
        return _type(arguments[0])
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path", NoneType: "none"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bounds(field: FieldInfo) -> str:
    words = {"gt": "over", "ge": "at least", "lt": "under", "le": "at most"}
    found = [f"{word} {getattr(m, key):g}" for m in field.metadata for key, word in words.items() if hasattr(m, key)]
    return f", {', '.join(found)}" if found else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(to be given)"
    value = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"`{list(value)}`" if isinstance(value, tuple) else f"`{value}`"


if __name__ == "__main__":
    Path(__file__).with_name("config.md").write_text(page(), encoding="utf-8")
