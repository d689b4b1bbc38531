"""The commands that reproduce the content of a folder, as far as its files record them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from gnnformd.evaluation.report.files import Reference, ResultFolder, TrainingRun
from gnnformd.evaluation.results import SimulationResult

__all__ = ["commands"]


def commands(found: ResultFolder) -> str:
    """One command per line, with paths relative to the folder; a word in capitals stands for what no file records."""
    lines = [_generate(r) for r in found.references]
    lines += [_train(r) for r in found.runs if r.config_text]
    for result in found.evaluations:
        data = [entry.path for entry in result.content.datasets]
        lines.append(_line("evaluate", result.content.model, *data, "--json", result.path.name))
    lines += [_line("curves", r.content.model, "--json", r.path.name) for r in found.curves]
    lines += [_simulate(r.content, r.path.name) for r in found.simulations]
    return "\n".join(lines)


def _generate(reference: Reference) -> str:
    variables = reference.manifest.get("variables") or {}
    settings = (word for name, value in variables.items() for word in ("--var", f"{name}={value}"))
    return _line("generate", str(reference.manifest.get("system", "SYSTEM")), "--out", reference.path, *settings)


def _train(run: TrainingRun) -> str:
    start = ("finetune", "MODEL") if run.finetuned else ("train",)
    return _line(*start, f"{run.path}/config.yaml", "--out", run.path)


def _simulate(run: SimulationResult, name: str) -> str:
    settings = run.settings.model_dump(exclude_none=True)
    options = (word for key, value in settings.items() for word in (f"--{key}", str(value)))
    return _line("simulate", run.model, "TOPOLOGY.data", *options, "--out", "DIR", "--json", name)


def _line(*words: str | Iterable[str]) -> str:
    return shlex.join(["gnnformd", *(str(w) for w in words)])
