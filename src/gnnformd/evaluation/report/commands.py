"""The commands that reproduce the content of a folder, as far as its files record them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gnnformd.evaluation.report.data_files import DEFAULTS, KnownData, all_there, data_of
from gnnformd.evaluation.report.files import Reference, ResultFolder, TrainingRun
from gnnformd.evaluation.results import SimulationResult
from gnnformd.yaml_files import read_mapping

__all__ = ["commands", "next_commands"]


def commands(found: ResultFolder) -> str:
    """One command per line, for the folder that the report was written from; a word in capitals is in no file."""
    lines = [_generate(r, found.folder / r.path) for r in found.references]
    lines += [_train(r, found.folder / r.path) for r in found.runs if r.config_text]
    for result in found.evaluations:
        data = [entry.path for entry in result.content.datasets]
        lines.append(_line("evaluate", result.content.model, *data, "--json", result.path))
    lines += [_line("curves", r.content.model, "--json", r.path) for r in found.curves]
    for simulation in found.simulations:
        manifest = _manifest(simulation.path.parent)
        if manifest is None:
            lines.append(_simulate(simulation.content, simulation.path))
        else:
            lines.append(_line(*_simulation_words(manifest, out=str(simulation.path.parent))))
    return "\n".join(lines)


def _generate(reference: Reference, folder: Path) -> str:
    variables = reference.manifest.get("variables") or {}
    settings = (word for name, value in variables.items() for word in ("--var", f"{name}={value}"))
    return _line("generate", str(reference.manifest.get("system", "SYSTEM")), "--out", folder, *settings)


def _train(run: TrainingRun, folder: Path) -> str:
    start = ("finetune", "MODEL") if run.finetuned else ("train",)
    return _line(*start, folder / "config.yaml", "--out", folder)


def next_commands(found: ResultFolder) -> list[tuple[str, str]]:
    """List what can be done next and the command for it, to be pasted where the report was written.

    Paths begin with the folder as it was given to the report. A command is listed only where it works: with data that
    are there, and for a model that it can be used with.
    """
    top = found.folder
    steps = [("Go on with the simulation until its comparisons have a verdict:", c) for c in _longer_runs(found)]
    run = next((r for r in found.runs if (top / r.path / "model.safetensors").is_file()), None)
    if run is not None:
        steps += _with_model(found, top / run.path / "model.safetensors", data_of(found, run))
    run = next((r for r in found.runs if r.config_text and not r.finetuned), None)
    if run is not None and all_there(run):
        folder = top / run.path
        command = _line("train", folder / "config.yaml", "--out", f"{folder}-longer", "--max-minutes", 30)
        steps.append(("Train longer, in a folder of its own:", command))
    return steps


def _with_model(found: ResultFolder, model: Path, data: Sequence[KnownData]) -> list[tuple[str, str]]:
    """Commands that use a model."""
    from gnnformd.evaluation.forces.curves import pair_cases
    from gnnformd.model.files.model_file import read_card

    top, field = found.folder, read_card(model).force_field
    steps = []
    start = next((s for d in data if (s := d.start()) is not None), None)
    if start is not None and not found.simulations:
        compared = ", and compare with the reference" if "--compare" in start else ""
        command = _line("simulate", model, *start, "--out", top / "md")
        steps.append((f"Run molecular dynamics with it{compared}:", command))
    known = min(data, key=lambda d: d.trained_on, default=None)
    if known is not None and not found.evaluations:
        other = "; data that it was not trained on tell more than these" if known.trained_on else ""
        command = _line("evaluate", model, known.path, *known.options, "--json", top / "evaluate.json")
        steps.append((f"Measure its errors{other}:", command))
    if known is not None:
        command = _line("predict", model, known.path, top / "predictions.xyz", *known.options)
        seen = " (it was trained on these)" if known.trained_on else ""
        steps.append((f"Write its energies and forces beside those of the data{seen}, for plots of your own:", command))
    if field is not None and not found.curves and pair_cases(field):
        command = _line("curves", model, "--json", top / "curves.json")
        steps.append(("Look at the force between two atoms:", command))
    if field is not None and field.liquid is not None:
        steps.append(("Measure its speed beside LAMMPS's own force field:", _line("benchmark", model)))
    return steps


def _longer_runs(found: ResultFolder) -> list[str]:
    """Commands that make simulations as long as their verdicts need."""
    lines = []
    for result in found.simulations:
        run, folder = result.content, result.path.parent
        manifest, timestep = _manifest(folder), run.settings.timestep
        needs = [o.needed_ps for o in run.observables.values() if o.needed_ps is not None]
        if manifest is None or not needs or not timestep or not (folder / "restart.lammps").is_file():
            continue
        steps = math.ceil(max(needs) / timestep) * 1000
        changed = {k: v for k, v in manifest["settings"].items() if v != DEFAULTS.get(k)} | {"steps": steps}
        words = _simulation_words({**manifest, "settings": changed}, out=str(folder))
        lines.append(_line(*words, "--resume"))
    return lines


def _manifest(folder: Path) -> Mapping[str, Any] | None:
    """``simulate.yaml`` of a run; None where there is none of this version."""
    path = folder / "simulate.yaml"
    found = read_mapping(path) if path.is_file() else {}
    known = isinstance(found.get("settings"), Mapping) and "model" in found and "topology" in found
    return found if known else None


def _simulation_words(manifest: Mapping[str, Any], **changes: Any) -> list[str]:
    """Words of the command that made a run, with some settings changed."""
    settings = {k: v for k, v in manifest["settings"].items() if k != "thermo_every" and v is not None} | changes
    if manifest.get("compare") is not None:
        settings["compare"] = manifest["compare"]
    copies = settings.pop("repeat", None)
    options = [word for key, value in settings.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    if copies is not None and list(copies) != [1, 1, 1]:
        options += ["--repeat", *map(str, copies)]
    return ["simulate", str(manifest["model"]), str(manifest["topology"]), *options]


def _simulate(run: SimulationResult, path: Path) -> str:
    settings = run.settings.model_dump(exclude_none=True)
    options = (word for key, value in settings.items() for word in (f"--{key}", str(value)))
    return _line("simulate", run.model, "TOPOLOGY.data", *options, "--out", "DIR", "--json", path)


def _line(*words: str | Path | int) -> str:
    return shlex.join(["gnnformd", *(str(w) for w in words)])
