"""The whole workflow in five minutes: data, training, evaluation, molecular dynamics, report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnformd.files import write_json

if TYPE_CHECKING:
    from gnnformd.config import Config
    from gnnformd.training.train import TrainedRun

__all__ = ["PRESETS", "Demo", "DemoSize", "System"]

Progress = Callable[[int, int], None]
PRESETS = {"water": "water", "argon": "argon"}
ORIGINAL = "seed-water"  # the network of the original study, which is evaluated beside those that are trained
MD_TIMESTEP = 1.0  # fs, that of the data


@dataclass(frozen=True)
class System:
    """A trajectory that the demo makes.

    Attributes
    ----------
    system
        Name of a built-in system.
    frames
        Frames to write.
    variables
        Values of variables of its input.
    """

    system: str
    frames: int
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DemoSize:
    """How much the demo does; the defaults take under five minutes on two cores.

    Attributes
    ----------
    argon, argon_test
        The whole run of the original study, and a second one with another random seed that no model is trained on.
    water, water_test, water_large
        216 molecules for training; another run and a box of 1600 molecules that no model is trained on.
    water_minutes, argon_minutes
        Longest training on water and on argon.
    md_steps
        Steps of molecular dynamics of water, 1 fs each: as long as the reference, long enough for a verdict.
    """

    argon: System = System("argon", 100)
    argon_test: System = System("argon", 20, {"seed": "113", "equilibration": "2000"})
    water: System = System("water", 100, {"equilibration": "2000", "spacing": "100"})
    water_test: System = System("water", 10, {"seed": "2", "melting": "1000", "equilibration": "1000"})
    water_large: System = System("water-large", 3, {"melting": "600", "equilibration": "200"})
    water_minutes: float = 0.6
    argon_minutes: float = 0.2
    md_steps: int = 10_000


class Demo:
    """Runs the workflow step by step; a finished step is not repeated.

    Parameters
    ----------
    out
        Folder to write.
    say
        Prints a line.
    progress
        ``progress(label, unit)`` is a context that gives a callback ``(done, total)``, which counts in ``unit``.
    presets
        Configuration of each run that is trained.
    size
        Frames, minutes and steps of each part.
    """

    def __init__(
        self,
        out: Path,
        *,
        say: Callable[[str], None],
        progress: Callable[[str, str], AbstractContextManager[Progress]],
        presets: Mapping[str, str] = PRESETS,
        size: DemoSize | None = None,
    ) -> None:
        self._out = out
        self._say = say
        self._progress = progress
        self._presets = presets
        self._size = size or DemoSize()

    def run(self) -> Path:
        """Run the remaining steps and return the path of the report.

        Raises
        ------
        InputError
            The folder cannot be written, or contains something else.
        """
        steps = self._steps()
        begin = time.monotonic()
        for number, (name, title, work) in enumerate(steps, start=1):
            self._step(f"{number:2d}/{len(steps)}", name, title, work)
        self._say(f"Done in {time.monotonic() - begin:.0f} s. The report:")
        return self._out / "report.html"

    def _steps(self) -> list[tuple[str, str, Callable[[], str]]]:
        """Name, title and work of each step; the work returns a summary of its result."""
        size = self._size
        return [
            ("argon", "argon by the original script", lambda: self._generate("argon", size.argon)),
            ("argon-test", "argon once more, for testing", lambda: self._generate("argon-test", size.argon_test)),
            ("water", "216 water molecules", lambda: self._generate("water", size.water)),
            ("water-test", "water once more, for testing", lambda: self._generate("water-test", size.water_test)),
            ("water-large", "1600 water molecules", lambda: self._generate("water-large", size.water_large)),
            ("train-water", "a network on water", lambda: self._train("water", "water", size.water_minutes)),
            ("train-argon", "a network on argon", lambda: self._train("argon", "argon", size.argon_minutes)),
            ("evaluate", "errors on data not trained on", self._evaluate),
            ("curves", "forces between two atoms", self._curves),
            ("simulate", "molecular dynamics with the learned forces", self._simulate),
            ("report", "report", self._report),
        ]

    def _step(self, number: str, name: str, title: str, work: Callable[[], str]) -> None:
        done = self._finished()
        if name in done and name != "report":
            self._say(f"{number}  {title}: done before")
            return
        self._say(f"{number}  {title} ...")
        begin = time.monotonic()
        result = work()
        seconds = time.monotonic() - begin
        self._say(f"       {result} ({seconds:.0f} s)")
        write_json(self._out / "demo.json", {**done, name: {"seconds": round(seconds, 1), "result": result}})

    def _finished(self) -> dict[str, Any]:
        path = self._out / "demo.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return found

    def _data(self, name: str) -> Path:
        return self._out / "data" / name

    def _model(self, run: str) -> Path:
        return self._out / "runs" / run / "model.safetensors"

    def _figure(self, name: str) -> Path:
        return self._out / "figures" / f"{name}.png"

    def _generate(self, name: str, system: System) -> str:
        from gnnformd.reference.generate import generate

        with self._progress(f"LAMMPS, {name}", "step") as progress:
            run = generate(
                system.system,
                self._data(name),
                frames=system.frames,
                variables=system.variables,
                overwrite=True,
                progress=progress,
            )
        return f"{system.frames} frames in {run.folder}"

    def _settings(self, run: str, data: str, minutes: float) -> Config:
        from gnnformd.config import load_config

        paths = f"data.paths=[{json.dumps(str(self._data(data)))}]"
        return load_config(self._presets[run], [paths, f"training.max_minutes={minutes}"])

    def _train(self, name: str, data: str, minutes: float) -> str:
        from gnnformd.training.train import train

        config, out = self._settings(name, data, minutes), self._out / "runs" / name
        with self._progress(f"Training {name}", "step") as progress:
            run = train(config.model, config.data, config.training, out, resume=_started(out), progress=progress)
        return _training_summary(run) + self._stability(name, run, config)

    def _stability(self, name: str, run: TrainedRun, config: Config) -> str:
        """Run short simulations with the model and say what they showed."""
        if not config.training.stability_check:
            return ""
        from gnnformd.simulation.stability.check import check_trained

        with self._progress(f"Checking the stability of {name}", "run") as progress:
            found = check_trained(run.model, config.data, run.records[-1].seconds, progress=progress)
        return f". {found.verdict}"

    def _evaluate(self) -> str:
        import numpy as np

        from gnnformd.evaluation.figures.force_figures import parity_figure, save_figure

        parts = []
        for run, names in {"water": ["water-test", "water-large"], "argon": ["argon-test"]}.items():
            result = self._errors(run, self._model(run), names)
            write_json(self._out / f"evaluate-{run}.json", result)
            for name, entry in zip(names, result["datasets"], strict=True):
                parts.append(_error_on(run, name, entry))
                parity = entry["parity"]
                figure = parity_figure(np.array(parity["reference"]), np.array(parity["predicted"]))
                save_figure(figure, self._figure(f"parity-{run}-on-{name}"))
        names = ["water-test", "argon-test"]  # not in the report, which is on the networks that were trained
        entries = self._errors(ORIGINAL, ORIGINAL, names)["datasets"]
        parts += [_error_on("the network of the original study", *pair) for pair in zip(names, entries, strict=True)]
        return "sum of errors over sum of forces: " + ", ".join(parts)

    def _errors(self, label: str, model: str | Path, names: Sequence[str]) -> dict[str, Any]:
        from gnnformd.evaluation.forces.metrics import evaluate
        from gnnformd.model.files.model_file import load_model
        from gnnformd.trajectory.packed.dataset import open_dataset

        datasets = [open_dataset(self._data(name)) for name in names]
        with self._progress(f"Evaluating {label}", "frame") as progress:
            return evaluate(load_model(model), datasets, batch_size=1, progress=progress).to_dict()

    def _curves(self) -> str:
        from gnnformd.evaluation.figures.force_figures import force_curve_figure, save_figure
        from gnnformd.evaluation.forces.curves import curves_to_dict, force_curves
        from gnnformd.evaluation.formatting import percent
        from gnnformd.model.files.model_file import load_model

        parts = []
        for run in ("water", "argon"):
            found = force_curves(load_model(self._model(run)))
            write_json(self._out / f"curves-{run}.json", curves_to_dict(str(self._model(run)), found))
            save_figure(force_curve_figure(found), self._figure(f"curves-{run}"))
            for curve in found:
                error = curve.relative_rms_error_in_data
                unseen = " (in no data)" if error is None else ""
                parts.append(
                    f"{run}, {curve.name}{unseen} {percent(curve.relative_rms_error if error is None else error)}"
                )
        return "rms error over rms force, at the distances of the data: " + ", ".join(parts)

    def _simulate(self) -> str:
        from gnnformd.model.files.model_file import load_model
        from gnnformd.reference.run import ReferenceRun
        from gnnformd.simulation.settings import SimulationSettings
        from gnnformd.simulation.simulate import simulate

        reference = ReferenceRun.open(self._data("water"))  # at constant temperature, unlike that of argon
        # With new velocities, bonds would stay warmer than in the reference for longer than the run.
        settings = SimulationSettings.from_options(
            temperature=300.0, timestep=MD_TIMESTEP, steps=self._size.md_steps, velocities="file"
        )
        with self._progress("Simulating water", "step") as progress:
            run = simulate(
                load_model(self._model("water")),
                reference.topology,
                settings,
                self._out / "simulate-water",
                compare=reference.folder,
                progress=progress,
            )
        verdict = "stable" if run.stable else f"stopped at step {run.stopped_at_step}: {run.reason}"
        return f"{run.steps} steps of {run.atoms} atoms, {run.microseconds_per_atom_step:.3g} us per atom, {verdict}"

    def _report(self) -> str:
        from gnnformd.evaluation.report.report import write_report

        return f"written from the files in {write_report(self._out).parent}"


def _error_on(model: str, name: str, entry: Mapping[str, Any]) -> str:
    from gnnformd.evaluation.formatting import percent

    return f"{model} on {name} {percent(entry['force']['relative_l1'])}"


def _training_summary(run: TrainedRun) -> str:
    error = run.best.validation_l1_per_atom
    return f"{len(run.records)} epochs, validation |dFx| + |dFy| + |dFz| {error:.3g} kcal/mol/angstrom per atom"


def _started(run: Path) -> bool:
    """Whether an interrupted training left a checkpoint to go on from."""
    return (run / "checkpoints" / "last.ckpt").is_file()
