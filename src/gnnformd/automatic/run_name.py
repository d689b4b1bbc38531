"""What a training may be called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["run_name"]

GENERAL = re.compile(r"(train|training|test|data|dataset|frames|all|dump|trajectory|topology|reference|md|run)[\W_\d]*")
"""Names of files and folders that do not tell what the data are of."""

LONGEST = 40


def run_name(paths: Sequence[str]) -> str:
    """Name a training by its data: by their files and folders, with the folder above where a name is a general one.

    Parameters
    ----------
    paths
        As ``data.paths``.

    Examples
    --------
    >>> run_name(["Cu.dump"]), run_name(["data/NaCl"]), run_name(["NaCl/train.xyz"]), run_name(["train.xyz"])
    ('Cu', 'NaCl', 'NaCl-train', 'train')
    >>> run_name(["data/solid", "data/liquid"]), run_name(["runs/cu-*/trajectory.dump"])
    ('solid-and-liquid', 'cu')
    """
    names = list(dict.fromkeys(filter(None, map(_name, paths))))
    joined = "-and-".join(names)
    if len(joined) > LONGEST:
        joined = f"{names[0]}-and-{len(names) - 1}-more" if len(names) > 1 else joined[:LONGEST]
    return joined or "auto"


def _name(path: str) -> str:
    parts = [_plain(part) for part in Path(path).parts]
    parts = [part for part in parts if part]
    if not parts:
        return ""
    last = parts[-1]
    if len(parts) < 2 or not GENERAL.fullmatch(last.lower()):
        return last
    above = parts[-2]
    if GENERAL.fullmatch(above.lower()):
        return last
    return above if last in ("trajectory", "topology", "reference") else f"{above}-{last}"


def _plain(part: str) -> str:
    """Take a part of a path without its suffixes, and only with characters that need no quotes."""
    stem = part.split(".")[0] if not part.startswith(".") else ""
    return re.sub(r"[^\w+-]+", "-", stem).strip("-_")
