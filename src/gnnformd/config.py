"""Config: everything a training needs to know, read from a YAML file and checked strictly.

A file has three parts, ``model``, ``data`` and ``training``; their settings are defined where they are used
(`gnnformd.model.settings`, `gnnformd.trajectory.settings`, `gnnformd.training.settings`). Whatever a file leaves
out takes its default; whatever it misspells stops with the file, the line and the nearest name.
"""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gnnformd.errors import InputError, fault_of
from gnnformd.model.settings import ModelSettings
from gnnformd.training.settings import TrainingSettings
from gnnformd.trajectory.settings import DataSettings
from gnnformd.yaml_files import parse_mapping, read_text

__all__ = ["Config", "dump_config", "is_preset", "load_config", "make_config", "preset_names", "settings_classes"]


class Config(BaseModel):
    """One training: which network, on which data, how.

    Attributes
    ----------
    model
        The network; ``kind`` chooses it.
    data
        Trajectories and how they are split into training and validation frames.
    training
        Epochs, batch, learning rate, devices.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    model: ModelSettings = Field(description="The network; `kind` chooses it.")
    data: DataSettings = Field(default_factory=DataSettings, description="Trajectories and their split.")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="Epochs, batch, learning rate.")


def preset_names() -> list[str]:
    """Names of the configurations that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _presets().iterdir() if entry.name.endswith(".yaml"))


def preset_descriptions() -> dict[str, str]:
    """Names of the configurations that come with the package, and the first sentence of the comment in each."""
    first = {name: (_presets() / f"{name}.yaml").read_text(encoding="utf-8") for name in preset_names()}
    return {
        name: text.splitlines()[0].removeprefix("# ").partition(". ")[0].rstrip(".:") for name, text in first.items()
    }


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration and check every key and value.

    Parameters
    ----------
    source
        A YAML file, or the name of a preset (`preset_names`).
    overrides
        Changes of the form ``a.b=value`` (the value is YAML), applied on top of the file in order.

    Raises
    ------
    InputError
        The file cannot be read, or a key or value is wrong; the sentence names the line and the nearest key.
    """
    name, text = _read(source)
    data, lines = parse_mapping(name, text)
    return _checked(name, data, {key: f"{name}, line {line}" for key, line in lines.items()}, overrides)


def make_config(data: Mapping[str, Any], overrides: Sequence[str] = (), name: str = "configuration") -> Config:
    """Check the mapping of a configuration, as `load_config` does with a file.

    Parameters
    ----------
    data
        Its parts, not changed.
    overrides
        See `load_config`.
    name
        Where it comes from, for messages.

    Raises
    ------
    InputError
        A key or value is wrong.
    """
    return _checked(name, copy.deepcopy(dict(data)), {}, overrides)


def _checked(name: str, data: dict[str, Any], origin: dict[tuple[str, ...], str], overrides: Sequence[str]) -> Config:
    for override in overrides:
        key = _apply(data, override)
        for covered in [known for known in origin if known[: len(key)] == key]:
            del origin[covered]
        origin[key] = f"--set {override}"
    try:
        # Through JSON, strictness lets a list be a tuple and a text a path, and still no text be a number.
        return Config.model_validate_json(json.dumps(data, allow_nan=False, default=str), strict=True)
    except ValidationError as error:
        raise InputError(_sentence(error.errors()[0], data, origin, name)) from error
    except ValueError as error:  # only json.dumps raises it: a value is NaN or infinite
        raise InputError(f"{name}: a number is not finite; write an ordinary number.") from error


def dump_config(config: Config) -> str:
    """YAML text of a complete configuration; `load_config` reads it back to an equal one."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def is_preset(source: str | Path) -> bool:
    """Whether this is the name of a preset, and of no file."""
    return str(source) in preset_names() and not Path(source).is_file()


def _presets() -> Any:
    return files("gnnformd") / "configs"


def _read(source: str | Path) -> tuple[str, str]:
    """Name for messages, and text."""
    path = Path(source)
    if is_preset(source):
        return f"preset {source}", (_presets() / f"{source}.yaml").read_text(encoding="utf-8")
    if not path.exists():
        names = ", ".join(preset_names())
        raise InputError(f"{path}: there is no such file; name a YAML file or one of the presets: {names}.")
    return str(path), read_text(path)


def _apply(data: dict[str, Any], override: str) -> tuple[str, ...]:
    """Set one value in place; returns its path."""
    key, equals, text = override.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise InputError(f"--set {override}: is not of the form part.key=value; write for example training.epochs=10.")
    try:
        value = parse_mapping("value", f"value: {text}")[0]["value"]
    except InputError as error:
        raise InputError(f"--set {override}: the value is not YAML; quote it.") from error
    node = data
    for part in path[:-1]:
        if node.get(part) is None:
            node[part] = {}
        node = node[part]
        if not isinstance(node, dict):
            raise InputError(f"--set {override}: {part} has no settings below it; name a key such as training.epochs.")
    node[path[-1]] = value
    return path


def _sentence(
    error: Mapping[str, Any], data: Mapping[str, Any], origin: Mapping[tuple[str, ...], str], name: str
) -> str:
    """Turn pydantic's first finding into one sentence with its location and a remedy."""
    path = _path_in_data(error["loc"], data)
    key = ".".join(path)
    known = [origin[path[:n]] for n in range(len(path), 0, -1) if path[:n] in origin]
    # --set a.b=c where a is wrong
    below = [location for longer, location in origin.items() if longer[: len(path)] == path]
    where = (known + below + [name])[0]
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{where}: {key} is no setting; {_nearest(path, data)}"
    if kind == "missing":
        return f"{where}: {key} is missing; add it."
    if kind == "union_tag_not_found":
        return f"{where}: {key}.kind is missing; add it ({' or '.join(_kinds())})."
    if kind == "union_tag_invalid":
        return f"{where}: {key}.kind must be {' or '.join(_kinds())}, not {context.get('tag')!r}."
    return f"{where}: {key} {fault_of(error)}."


def _path_in_data(location: Sequence[str | int], data: Mapping[str, Any]) -> tuple[str, ...]:
    """Find the keys of the file in an error's location, which has the names of a union's members between them."""
    path: list[str] = []
    node: Any = data
    for index, part in enumerate(location):
        last = index == len(location) - 1
        inside = (isinstance(node, Mapping) and part in node) or (isinstance(node, list) and isinstance(part, int))
        if inside:
            node = node[part]
        elif not (last and isinstance(node, Mapping)):
            continue  # a tag, not a key
        path.append(str(part))
    return tuple(path)


def settings_classes(part: str) -> list[type[BaseModel]]:
    """Find the settings classes of one part of the configuration; `model` has one for each kind."""
    return _members(Config.model_fields[part].annotation)


def _kinds() -> dict[str, type[BaseModel]]:
    """Find the settings class of each kind of model."""
    return {member.model_fields["kind"].default: member for member in settings_classes("model")}


def _members(annotation: Any) -> list[type[BaseModel]]:
    """Find the settings classes inside an annotation such as ``Annotated[A | B, ...]`` or ``A | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is None:
        return []
    inner = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    return [member for part in inner for member in _members(part)]


def _nearest(path: tuple[str, ...], data: Mapping[str, Any]) -> str:
    """Advice for an unknown key: the most similar one beside it, else anywhere, else the list of what there is."""
    known = _keys(data)
    beside = sorted({k[len(path) - 1] for k in known if len(k) >= len(path) and k[: len(path) - 1] == path[:-1]})
    if close := difflib.get_close_matches(path[-1], beside, n=1):
        return f"did you mean {'.'.join((*path[:-1], close[0]))}?"
    if close := difflib.get_close_matches(path[-1], {k[-1] for k in known}, n=1, cutoff=0.75):
        return f"did you mean {' or '.join('.'.join(k) for k in sorted(known) if k[-1] == close[0])}?"
    return f"here one may set {', '.join(beside)}."


def _keys(data: Mapping[str, Any]) -> set[tuple[str, ...]]:
    """Every key that this file may set; those of the model depend on its kind."""
    kind = data.get("model", {}).get("kind") if isinstance(data.get("model"), Mapping) else None
    keys: set[tuple[str, ...]] = set()

    def collect(model: type[BaseModel], prefix: tuple[str, ...]) -> None:
        for field, info in model.model_fields.items():
            keys.add((*prefix, field))
            for member in _members(info.annotation):
                collect(member, (*prefix, field))

    for part, info in Config.model_fields.items():
        keys.add((part,))
        for member in [_kinds()[kind]] if part == "model" and kind in _kinds() else _members(info.annotation):
            collect(member, (part,))
    return keys
