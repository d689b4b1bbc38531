"""Run molecular dynamics with a model and say what came out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from gnnformd import __version__
from gnnformd.errors import InputError
from gnnformd.evaluation.observables import Mean, block_average
from gnnformd.files import write_json, write_text
from gnnformd.reference.run import ReferenceRun
from gnnformd.simulation.md_run import EngineRun, MDRun, Observable
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.start import Start
from gnnformd.simulation.structure import structure
from gnnformd.simulation.thermo import ThermoSeries

if TYPE_CHECKING:
    from gnnformd.model.file import LoadedModel

__all__ = ["simulate"]

_MOST_POINTS = 500
_MANIFEST = "simulate.yaml"
_WRITTEN = ("trajectory.dump", "thermo.csv", "log.lammps", "final.data", "simulate.json")


def simulate(
    loaded: LoadedModel,
    topology: Path,
    settings: SimulationSettings,
    out: Path,
    *,
    compare: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MDRun:
    """Run molecular dynamics and write everything into a folder.

    A run that leaves physics (forces or positions that are not finite, a temperature ten times what it should be)
    ends at that step and comes back with ``stable`` false and the reason: that is a result about the model. Ctrl-C
    ends the run after the step that is under way; what was done is written, then KeyboardInterrupt goes on.

    Parameters
    ----------
    loaded
        The model.
    topology
        LAMMPS data file: positions, types, and charges, bonds and velocities where there are any.
    settings
        What to run.
    out
        Folder for ``trajectory.dump``, ``thermo.csv``, ``simulate.json``, ``simulate.yaml`` and the engine's own
        files; made if it is not there, and what an earlier run left under these names is replaced.
    compare
        Folder of a reference run, whose structure and temperature are set beside the run's.
    progress
        Called with steps done and steps to do.

    Raises
    ------
    InputError
        The data file, the model, the reference and the settings do not fit each other.
    ModelFailure
        The model raised an exception; the step is named.
    """
    start = Start.read(topology)
    start.warn_of_other_atoms(loaded)
    reference = None if compare is None else ReferenceRun.open(compare)
    sources = [topology] if reference is None else [topology, reference.trajectory]
    _prepare(out, _manifest(loaded, topology, settings, compare), sources)
    engine = _run(loaded, start, settings, out, progress)
    run = _judge(loaded, settings, out, engine, reference, len(start.topology.bonds) > 0)
    write_json(out / "simulate.json", run.to_dict())
    if engine.interrupted:
        raise KeyboardInterrupt
    return run


def _run(
    loaded: LoadedModel,
    start: Start,
    settings: SimulationSettings,
    out: Path,
    progress: Callable[[int, int], None] | None,
) -> EngineRun:
    if settings.velocities == "file":
        start.velocities()  # LAMMPS would take missing ones for zero
    if settings.engine == "lammps":
        from gnnformd.simulation.lammps_engine import run_lammps

        return run_lammps(loaded, start, settings, out, progress=progress)
    from gnnformd.simulation.ase_engine import run_ase

    return run_ase(loaded, start, settings, out, progress=progress)


def _judge(
    loaded: LoadedModel,
    settings: SimulationSettings,
    out: Path,
    engine: EngineRun,
    reference: ReferenceRun | None,
    between_molecules: bool,
) -> MDRun:
    """Everything that the files of the run say."""
    thermo = ThermoSeries.read(out / "thermo.csv")
    temperature = _mean(thermo.columns["temperature_K"])
    rdf, observables = structure(
        out / "trajectory.dump",
        None if reference is None else reference.trajectory,
        loaded.card.type_names,
        between_molecules=between_molecules,
    )
    if reference is not None:
        known = _mean(ThermoSeries.read(reference.thermo).columns["temperature_K"])
        error = math.hypot(temperature.standard_error, known.standard_error)
        observables["temperature, K"] = Observable(temperature.value, known.value, error)
    return MDRun(
        folder=out,
        settings=settings.model_dump(),
        model=str(loaded.path),
        steps=engine.steps,
        atoms=engine.atoms,
        ranks=settings.ranks,
        microseconds_per_atom_step=1e6 * engine.seconds_per_step / engine.atoms,
        energy_drift_per_atom_per_ns=thermo.energy_drift(engine.atoms),
        temperature=temperature.value,
        temperature_error=temperature.standard_error,
        stable=engine.reason is None,
        stopped_at_step=engine.stopped_at_step,
        reason=engine.reason,
        interrupted=engine.interrupted,
        observables=observables,
        rdf=rdf,
        thermo=thermo.downsampled(_MOST_POINTS),
    )


def _mean(series: NDArray[np.float64]) -> Mean:
    """Mean and standard error of what is finite; NaN where there is too little."""
    finite = series[np.isfinite(series)]
    return block_average(finite) if len(finite) > 1 else Mean(float("nan"), float("nan"))


def _manifest(
    loaded: LoadedModel, topology: Path, settings: SimulationSettings, compare: Path | None
) -> dict[str, Any]:
    """Say what was run, to run it again."""
    return {
        "model": str(loaded.path),
        "topology": str(topology),
        "compare": None if compare is None else str(compare),
        "gnnformd": __version__,
        "settings": settings.model_dump(),
    }


def _prepare(out: Path, manifest: Mapping[str, Any], sources: Sequence[Path]) -> None:
    """Make the folder, or clear it of an earlier run; nothing else is ever deleted."""
    there = [out / name for name in _WRITTEN if (out / name).exists()]
    if there and not (out / _MANIFEST).exists():
        raise InputError(f"{there[0]}: was not written by a simulation; choose another folder than {out}.")
    for source in sources:
        if source.resolve().parent == out.resolve() and source.name in _WRITTEN:
            raise InputError(f"{source}: would be overwritten by this run; choose another folder than {out}.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / _MANIFEST, yaml.safe_dump(dict(manifest), sort_keys=False))
        for path in there:
            path.unlink()
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another folder.") from error
