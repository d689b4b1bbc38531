"""Short simulations after a training: from which frames, in which ensembles, for how long, and what they showed."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ase import Atoms

from gnnformd.errors import InputError
from gnnformd.files import replacing
from gnnformd.interfaces.ase import Calculator
from gnnformd.model.files.model_file import LoadedModel, load_model, save_card
from gnnformd.model.files.stability import StabilityCheck
from gnnformd.simulation.stability.run import Ensemble, Finished, seconds_per_step, short_run
from gnnformd.simulation.stability.starts import Start, choose_starts, rigid_bonds
from gnnformd.simulation.stability.temperature import Estimates, highest_temperature, near_equilibrium
from gnnformd.trajectory.packed.dataset import PackedDataset, open_datasets

if TYPE_CHECKING:
    from gnnformd.trajectory.settings import DataSettings

__all__ = ["CONFIGURATIONS", "check_stability", "check_trained", "time_allowed"]

Progress = Callable[[int, int], None]

CONFIGURATIONS = "stability.xyz"
"""File of a run folder with the configurations in which runs went wrong."""

FRAMES = 5
PICOSECONDS = 2.0
HOTTER = 1.2

SHARE, SHORTEST, LONGEST = 0.1, 5.0, 600.0
"""Of the training's time, and its bounds in s."""

UNUSED = 0.1
"""Share of the time that pays for more runs, where some ended early."""

WORTHWHILE = 0.5
"""Where there is no time for all runs, there are so few that each is about as long as this, ps."""


@dataclass(frozen=True)
class _Planned:
    start: Start
    temperature: float
    ensemble: Ensemble


def time_allowed(training_seconds: float) -> float:
    """Time for the steps of a check, s: a tenth of the training's, at least 5 s and at most ten minutes."""
    return min(max(SHARE * training_seconds, SHORTEST), LONGEST)


def check_trained(
    model: Path, data: DataSettings, training_seconds: float, *, progress: Progress | None = None
) -> StabilityCheck:
    """Check a model that has just been trained, and write the result into its card.

    Configurations in which a run went wrong are written to ``stability.xyz`` beside the model. Whatever fails in the
    check is a reason in its result; the model file is never worse than before.

    Parameters
    ----------
    model
        Model file in its run folder.
    data
        What it was trained on.
    training_seconds
        How long that took.
    progress
        Called with runs done and runs to do.
    """
    wrong: list[Atoms] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the training has said what there is to say of the data
        try:
            loaded = load_model(model)
            datasets = [dataset for dataset in open_datasets(data) if not dataset.validation]
            seconds = time_allowed(training_seconds)
            found = check_stability(loaded, datasets, seconds=seconds, wrong=wrong, progress=progress)
        except InputError as error:
            return StabilityCheck(skipped=str(error).rstrip("."))
        except Exception as error:  # a check does not make a good training fail
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            return StabilityCheck(skipped=f"the check failed ({reason[:200]})")
    try:
        save_card(model, loaded.card.with_stability(found))
        _write_configurations(model.parent / CONFIGURATIONS, wrong)
    except (InputError, OSError) as error:
        return replace(found, notes=(*found.notes, f"This is not in the run folder: {error}"))
    return found


def check_stability(
    loaded: LoadedModel,
    datasets: Sequence[PackedDataset],
    *,
    seconds: float,
    wrong: list[Atoms] | None = None,
    progress: Progress | None = None,
) -> StabilityCheck:
    """Simulate from five frames at the highest temperature of the data and at 1.2 times it, for 2 ps each.

    NVE, NVT, and NPT where frames are periodic in all directions; NVT alone for forces without an energy. A run passes
    where forces stay finite, no two atoms come closer than 0.9 times the closest such pair in training, the total
    energy of NVE and the temperature stay, the volume stays within 30 % of those of the data, and molecules in a vacuum
    do not come apart. Where the time does not suffice, there are fewer frames and shorter runs, the hotter ones first.
    Frames far from equilibrium are left out.

    Parameters
    ----------
    loaded
        The model, on a processor.
    datasets
        Training data.
    seconds
        Time of all steps; what is made before the first step of each frame comes on top.
    wrong
        Gets the configurations in which runs went wrong.
    progress
        Called with runs done and runs to do.

    Raises
    ------
    InputError
        The model does not fit the data.
    """
    try:
        starts = choose_starts(loaded, datasets, FRAMES)
    except ValueError as error:
        return StabilityCheck(skipped=str(error))
    if rigid_bonds(starts):
        return StabilityCheck(skipped="bonds have a fixed length in the data, which only LAMMPS can keep (fix shake)")
    estimates = Estimates(loaded, starts)
    highest, source = highest_temperature(datasets, estimates)
    every_start, (starts, far) = starts, near_equilibrium(estimates, highest, source)
    if not starts:
        return StabilityCheck(
            skipped=f"the frames of the data are far from equilibrium, with forces as at {far:.2g} K, and would "
            "explode with any model"
        )
    temperatures = tuple(float(f"{value:.3g}") for value in (HOTTER * highest, highest))
    every = [
        _Planned(start, temperature, ensemble)
        for start in reversed(starts)  # the last frames of a trajectory are closest to equilibrium
        for temperature in temperatures
        for ensemble in _ensembles(loaded, start)
    ]
    calculators = _Calculators(loaded)
    cost = seconds_per_step(loaded, calculators.of(starts[-1]), starts[-1], highest) / len(starts[-1].masses)
    chosen = _affordable(every, cost, seconds)
    left, finished = seconds, list[Finished]()
    for number, planned in enumerate(every):
        to_do = len(chosen) - number
        if left <= (0.0 if to_do > 0 else UNUSED * seconds):
            break
        calculator = calculators.of(planned.start)
        calculator.get_forces(planned.start.atoms)  # neighbors and tables are not part of the time
        begin = time.monotonic()
        done = short_run(
            loaded,
            calculator,
            planned.start,
            planned.ensemble,
            planned.temperature,
            seed=number + 1,
            picoseconds=PICOSECONDS,
            seconds=left / max(to_do, 1),
        )
        left -= time.monotonic() - begin
        finished.append(done)
        if wrong is not None and done.configuration is not None:
            done.configuration.info["stability"] = f"{done.run.where}: {done.run.reason}"
            wrong.append(done.configuration)
        if progress is not None:
            progress(number + 1, max(len(chosen), number + 1))
    found = StabilityCheck(
        runs=tuple(done.run for done in finished),
        planned=len(every),
        full_picoseconds=PICOSECONDS,
        timesteps_fs=tuple(sorted({planned.start.timestep for planned in every})),
        temperature_source=source,
    )
    notes = *_notes(loaded, starts, found, highest, seconds), *_left_out(len(every_start) - len(starts), far)
    return replace(found, notes=notes)


def _ensembles(loaded: LoadedModel, start: Start) -> tuple[Ensemble, ...]:
    if not loaded.model.conservative:
        return ("nvt",)
    return ("npt", "nvt", "nve") if all(start.frame.periodic) else ("nvt", "nve")


class _Calculators:
    """One calculator for all frames with the same types, bonds and charges, whose tables are made once."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._known: dict[tuple[object, ...], Calculator] = {}

    def of(self, start: Start) -> Calculator:
        frame = start.frame
        arrays = (frame.types, frame.bonds, frame.charges)
        key = (start.types, *(None if array is None else array.tobytes() for array in arrays))
        if key not in self._known:
            calculator = Calculator(self._loaded, topology=start.topology, types=start.types)
            calculator.warns = False  # the report tells
            self._known[key] = calculator
        return self._known[key]


def _affordable(every: Sequence[_Planned], cost: float, seconds: float) -> Sequence[_Planned]:
    """Take the first runs, as many as have time for a worthwhile length; at least one of each ensemble."""

    def price(planned: _Planned, picoseconds: float) -> float:
        return cost * len(planned.start.masses) * 1000 * picoseconds / planned.start.timestep

    if sum(price(planned, PICOSECONDS) for planned in every) <= seconds:
        return every
    least = len({planned.ensemble for planned in every})
    spent, count = 0.0, 0
    for planned in every:
        spent += price(planned, WORTHWHILE)
        if spent > seconds and count >= least:
            break
        count += 1
    return every[:count]


def _notes(
    loaded: LoadedModel,
    starts: Sequence[Start],
    found: StabilityCheck,
    highest: float,
    seconds: float,
) -> list[str]:
    """Sentences on what was shortened, left out or estimated."""
    notes = []
    if found.shortened:
        lengths = [run.picoseconds for run in found.runs if run.outcome != "broke"]
        shortest = f", the shortest of {min(lengths):.2g} ps" if lengths else ""
        notes.append(
            f"Shortened to {seconds:.0f} s of simulation: {len(found.runs)} of {found.planned} runs of "
            f"{PICOSECONDS:g} ps{shortest}."
        )
    if not loaded.model.conservative:
        notes.append("NVT alone, since the forces of this model have no energy.")
    elif not all(all(start.frame.periodic) for start in starts):
        notes.append("No NPT where frames are not periodic in all directions.")
    if found.temperature_source.startswith(("estimated", "taken")):
        notes.append(f"The highest temperature of the data, {highest:.4g} K, is {found.temperature_source}.")
    return notes


def _left_out(count: int, lowest: float | None) -> list[str]:
    """Sentence on frames that are far from equilibrium."""
    if not count:
        return []
    which = "A frame is" if count == 1 else f"{count} frames are"
    return [f"{which} left out: far from equilibrium, with forces as at {lowest:.2g} K and more."]


def _write_configurations(path: Path, wrong: Sequence[Atoms]) -> None:
    """Write the configurations in which runs went wrong, or remove the file of an earlier training."""
    import ase.io

    if not wrong:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as beside:
        ase.io.write(beside, list(wrong), format="extxyz")
