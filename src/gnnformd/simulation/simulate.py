"""Run molecular dynamics with a model and compare the run with a reference."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from gnnformd import __version__
from gnnformd.errors import InputError
from gnnformd.evaluation.liquid.compare import compare_runs
from gnnformd.evaluation.liquid.observed_run import ObservedRun
from gnnformd.files import locked_folder, write_json, write_text
from gnnformd.graph.type_matching import TypeMap
from gnnformd.reference.plain_path import plain_path
from gnnformd.reference.run import ReferenceRun
from gnnformd.reference.thermo import temperature_range
from gnnformd.simulation.lammps.ranks import Ranks
from gnnformd.simulation.lammps.restart import COUNTED, RESTART, check_same_run
from gnnformd.simulation.md_run import OUTSIDE, EngineRun, Interrupted, MDRun
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.start import Start
from gnnformd.simulation.start_file import as_data_file, states_of

if TYPE_CHECKING:
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["simulate"]

_MAX_POINTS = 500
_TEMPERATURE_TOLERANCE = 0.1
_MANIFEST = "simulate.yaml"
_WRITTEN_LAST = ("final.data", "simulate.json")
_WRITTEN = ("trajectory.dump", OUTSIDE, "thermo.csv", "log.lammps", RESTART, COUNTED, *_WRITTEN_LAST)


def simulate(
    loaded: LoadedModel,
    topology: Path,
    settings: SimulationSettings,
    out: Path,
    *,
    compare: Path | None = None,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> MDRun:
    """Run molecular dynamics and write everything into a folder.

    A run that becomes unphysical (forces or positions that are not finite, a temperature ten times too high) ends at
    that step and is returned with ``stable`` false and the reason: that is a result about the model. Ctrl-C ends the
    run after the current step; everything up to there is written, then `Interrupted` is raised, which has the run.
    Where the first forces are refused, nothing is written and the files of an earlier run stay.

    Under MPI every rank calls it with the same arguments; the first one writes and compares, and all get the same
    result or the same exception.

    Parameters
    ----------
    loaded
        The model.
    topology
        LAMMPS data file (positions, types, and charges, bonds and velocities where there are any), LAMMPS restart file,
        extended XYZ or another structure that ASE reads (see `as_data_file`).
    settings
        What to run.
    out
        Folder for ``trajectory.dump``, ``outside.dump``, ``thermo.csv``, ``simulate.json``, ``simulate.yaml`` and the
        files of the engine; created if it does not exist. Files of an earlier run with these names are replaced.
    compare
        Folder of a reference run to compare with.
    resume
        Continue the run of LAMMPS in the folder from its last restart file, to ``settings.steps`` steps in total.
    progress
        Called with steps done and steps to do.

    Raises
    ------
    InputError
        The data file, the model, the reference and the settings do not match, or another process is writing into the
        folder.
    ModelFailure
        The model raised an exception; the step is named.
    """
    ranks = _ranks(settings)
    with ExitStack() as lock:
        with ranks.together():
            if ranks.first:
                lock.enter_context(locked_folder(out))
        with as_data_file(topology, ranks, settings.repeat) as file:
            return _simulate(loaded, topology, file, settings, out, ranks, compare, resume, progress)


def _simulate(
    loaded: LoadedModel,
    topology: Path,
    file: Path,
    settings: SimulationSettings,
    out: Path,
    ranks: Ranks,
    compare: Path | None,
    resume: bool,
    progress: Callable[[int, int], None] | None,
) -> MDRun:
    with ranks.together():
        start = Start.read(file, topology)
        if settings.velocities == "file" and not resume:
            start.velocities()  # LAMMPS would set missing ones to zero
        reference = None if compare is None else ReferenceRun.open(compare)
        if reference is not None:
            start.check_reference(reference)
        if settings.ensemble == "npt" and not all(start.periodic):
            raise InputError(
                f"--ensemble npt: {topology} is not periodic in all directions, so it has no pressure; choose nvt or "
                "nve, or for the stress in the plane of a slab 'fix npt ... x ... y ...' in an input of your own with "
                "gnnformd's Coupling."
            )
        types = start.types_of(loaded)
        start.check_pairs(loaded, types)
        if ranks.first:
            start.warn_of_units(velocities=settings.velocities == "file")
            start.warn_of_other_masses(loaded, types)
            _warn_of_held_atoms(topology, reference)
            for text in (loaded.card.why_unusable, loaded.card.why_inconsistent):
                if text is not None:
                    warnings.warn(f"{loaded.path}: {text}", stacklevel=2)
            loaded.card.warn_of_states(topology, states_of(topology), loaded.path)
            _warn_of_temperature(loaded, settings, reference)
            start.warn_of_empty_space()
            sources = [topology] if reference is None else [topology, reference.trajectory]
            manifest = _manifest(loaded, topology, settings, compare, types)
            if resume:
                check_same_run(out / _MANIFEST, manifest)
            _check_folder(out, sources)

    def begin() -> None:
        with ranks.together():
            if ranks.first:
                _prepare(out, manifest, _WRITTEN_LAST if resume else _WRITTEN)

    engine = _run(loaded, start, types, settings, out, ranks, resume, begin, progress)
    run = None
    with ranks.together():
        if ranks.first:
            if (out / OUTSIDE).exists() and not (out / OUTSIDE).stat().st_size:
                (out / OUTSIDE).unlink()  # no frame was outside
            run = _compared(loaded, start, types, settings, out, engine, reference)
            write_json(out / "simulate.json", run.to_dict())
        if engine.interrupted:
            interrupt = Interrupted(run)
            interrupt.add_note(_what_is_done(out, engine.steps, settings))
            raise interrupt
    result = ranks.share(run)
    assert result is not None
    return result


def _what_is_done(out: Path, steps: int, settings: SimulationSettings) -> str:
    """Say how far an interrupted run came and how to go on."""
    found = f"{steps} of {settings.steps} steps are done, and all files in {out} are complete"
    if (out / RESTART).exists():
        return f"{found}; the same command with --resume goes on from there."
    return f"{found}; there is no restart file to go on from (runs of LAMMPS that stay stable write one)."


def _warn_of_held_atoms(topology: Path, reference: ReferenceRun | None) -> None:
    """Warn where atoms of the reference run, or of the one that the topology is of, never move."""
    own = ReferenceRun.open(topology.parent) if (topology.parent / "reference.yaml").is_file() else None
    for run in (own, reference):
        if run is not None and run.held_atoms:
            warnings.warn(
                f"{run.folder}: {run.held_atoms} of its atoms never move, but here all atoms do; hold them in an input "
                "of your own with gnnformd's Coupling.",
                stacklevel=2,
            )
            return


def _warn_of_temperature(loaded: LoadedModel, settings: SimulationSettings, reference: ReferenceRun | None) -> None:
    """Warn of a temperature that is not that of the reference, or not within that of the training data."""
    if settings.ensemble == "nve" and settings.velocities == "file":
        return
    wanted = settings.temperature
    has = reference.thermo if reference is not None and reference.thermo.is_file() else None
    found = None if has is None else temperature_range([has])
    if found is not None:
        if abs(wanted - found[1]) > _TEMPERATURE_TOLERANCE * found[1]:
            warnings.warn(
                f"the run is at {wanted:.4g} K, and the reference at {found[1]:.4g} K on average; to compare like with "
                f"like, use --temperature {found[1]:.3g}.",
                stacklevel=2,
            )
        return
    seen = loaded.card.temperatures
    if seen is not None and not (
        (1 - _TEMPERATURE_TOLERANCE) * seen[0] <= wanted <= (1 + _TEMPERATURE_TOLERANCE) * seen[1]
    ):
        warnings.warn(
            f"the run is at {wanted:.4g} K, and the training data are between {seen[0]:.4g} and {seen[1]:.4g} K; the "
            "model extrapolates.",
            stacklevel=2,
        )


def _ranks(settings: SimulationSettings) -> Ranks:
    """Return the MPI ranks; their number must be that of the settings."""
    ranks = Ranks() if settings.engine == "ase" else Ranks.world()
    if ranks.size != settings.ranks:
        raise InputError(
            f"ranks: {settings.ranks} requested, but {ranks.size} started; use 'gnnformd simulate --ranks "
            f"{settings.ranks}', or start this program with 'mpiexec -n {settings.ranks}'."
        )
    return ranks


def _run(
    loaded: LoadedModel,
    start: Start,
    types: TypeMap,
    settings: SimulationSettings,
    out: Path,
    ranks: Ranks,
    resume: bool,
    begin: Callable[[], None],
    progress: Callable[[int, int], None] | None,
) -> EngineRun:
    if settings.engine == "lammps":
        from gnnformd.simulation.lammps.engine import run_lammps

        with plain_path(start.path) as file, plain_path(out) as folder:
            start = replace(start, path=file)
            return run_lammps(loaded, start, types, settings, folder, ranks, begin, resume=resume, progress=progress)
    from gnnformd.simulation.ase.engine import run_ase

    return run_ase(loaded, start, types, settings, out, begin, progress=progress)


def _compared(
    loaded: LoadedModel,
    start: Start,
    types: TypeMap,
    settings: SimulationSettings,
    out: Path,
    engine: EngineRun,
    reference: ReferenceRun | None,
) -> MDRun:
    """Collect the results of the run from its files."""
    observed = ObservedRun.of_run(out, start.topology, settings.timestep)
    comparison = compare_runs(
        observed,
        None if reference is None else ObservedRun.of_reference(reference, start.topology),
        start.masses(loaded.card.force_field, types),
        types.names(loaded.card.type_names),
        ensemble=settings.ensemble,
        center_held=engine.center_held,
    )
    return MDRun(
        folder=out,
        settings=settings.model_dump(),
        model=str(loaded.path),
        steps=engine.steps,
        atoms=engine.atoms,
        ranks=settings.ranks,
        microseconds_per_atom_step=1e6 * engine.seconds_per_step / engine.atoms,
        stable=engine.reason is None,
        stopped_at_step=engine.stopped_at_step,
        reason=engine.reason,
        interrupted=engine.interrupted,
        departures=engine.departures,
        comparison=comparison,
        shown_units=loaded.card.shown_units,
        thermo=observed.thermo.downsampled(_MAX_POINTS),
    )


def _manifest(
    loaded: LoadedModel, topology: Path, settings: SimulationSettings, compare: Path | None, types: TypeMap
) -> dict[str, Any]:
    """Record what was run, so that it can be repeated."""
    return {
        "model": str(loaded.path),
        "topology": str(topology),
        "compare": None if compare is None else str(compare),
        "shown_units": loaded.card.shown_units,
        "type_names": list(types.names(loaded.card.type_names)),
        "gnnformd": __version__,
        "settings": settings.model_dump(),
    }


def _check_folder(out: Path, sources: Sequence[Path]) -> None:
    """Refuse a folder with files of others, or with a file that this run needs and would overwrite."""
    existing = [out / name for name in _WRITTEN if (out / name).exists()]
    if existing and not (out / _MANIFEST).exists():
        raise InputError(f"{existing[0]}: was not written by a simulation; choose another folder than {out}.")
    for source in sources:
        if source.resolve().parent == out.resolve() and source.name in _WRITTEN:
            raise InputError(f"{source}: would be overwritten by this run; choose another folder than {out}.")


def _prepare(out: Path, manifest: Mapping[str, Any], old: Sequence[str]) -> None:
    """Write what is run, and delete the files of an earlier run in the folder; nothing else is ever deleted."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / _MANIFEST, yaml.safe_dump(dict(manifest), sort_keys=False))
        for name in old:
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another folder.") from error
