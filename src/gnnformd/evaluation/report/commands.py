"""The commands that make the content of a folder once more, as far as its files tell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from gnnformd.evaluation.report.files import Reference, ResultFolder, TrainingRun

__all__ = ["commands"]


def commands(found: ResultFolder) -> str:
    """One command a line, with paths relative to the folder; where a file does not tell, a word in capitals stands."""
    lines = [_generate(r) for r in found.references]
    lines += [_train(r) for r in found.runs if r.config_text]
    for result in found.evaluations:
        data = [str(entry["path"]) for entry in result.data["datasets"]]
        lines.append(_line("evaluate", str(result.data["model"]), *data, "--json", result.path.name))
    lines += [_line("curves", str(r.data["model"]), "--json", r.path.name) for r in found.curves]
    lines += [_simulate(r.data, r.path.name) for r in found.simulations]
    return "\n".join(lines)


def _generate(reference: Reference) -> str:
    variables = reference.manifest.get("variables") or {}
    settings = (word for name, value in variables.items() for word in ("--var", f"{name}={value}"))
    return _line("generate", str(reference.manifest.get("system", "SYSTEM")), "--out", reference.place, *settings)


def _train(run: TrainingRun) -> str:
    start = ("finetune", "MODEL") if run.finetuned else ("train",)
    return _line(*start, f"{run.place}/config.yaml", "--out", run.place)


def _simulate(data: Mapping[str, Any], name: str) -> str:
    settings = data.get("settings") or {}
    known = ("engine", "ensemble", "temperature", "timestep", "steps")
    options = (word for key in known if key in settings for word in (f"--{key}", str(settings[key])))
    return _line("simulate", str(data["model"]), "TOPOLOGY.data", *options, "--out", "DIR", "--json", name)


def _line(*words: str | Iterable[str]) -> str:
    return shlex.join(["gnnformd", *(str(w) for w in words)])
