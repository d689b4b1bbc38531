"""ObservedRun: one of the two runs that are compared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.evaluation.liquid.statistics import MIN_BLOCKS, change_along, equilibrated_from
from gnnformd.evaluation.liquid.thermo_table import ThermoSeries
from gnnformd.reference.run import ReferenceRun
from gnnformd.reference.thermo import dumped_steps
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.formats.dump import read_dump
from gnnformd.trajectory.frame import Frame, Topology
from gnnformd.units import BOLTZMANN

__all__ = ["ObservedRun"]

Float = NDArray[np.float64]

_MAX_CHANGE, _MIN_DEVIATION = 0.1, 8.0


@dataclass(frozen=True)
class ObservedRun:
    """A trajectory, its thermo table and its topology.

    Attributes
    ----------
    trajectory
        Dump; may be missing or empty.
    topology
        Types, bonds and angles of its atoms.
    thermo
        Of the whole run, equilibration included.
    timestep_fs
        None where it is unknown.
    first_step
        First step of the equilibrated part.
    """

    trajectory: Path
    topology: Topology
    thermo: ThermoSeries
    timestep_fs: float | None
    first_step: int

    @classmethod
    def of_run(cls, folder: Path, topology: Topology, timestep_fs: float) -> ObservedRun:
        """Take the files of a run."""
        thermo = ThermoSeries.read(folder / "thermo.csv")
        return cls(folder / "trajectory.dump", topology, thermo, timestep_fs, _first_step(thermo))

    @classmethod
    def of_reference(cls, run: ReferenceRun, like: Topology) -> ObservedRun:
        """Take the files of a reference run; without a data file in its folder it gets the topology ``like``.

        Raises
        ------
        InputError
            A file is damaged.
        """
        topology = read_topology(run.topology) if run.topology.exists() else like
        thermo = ThermoSeries.read(run.thermo)
        recorded = run.manifest.get("timestep_fs")
        timestep = float(recorded) if isinstance(recorded, int | float) else None
        return cls(run.trajectory, topology, thermo, timestep, _first_step(thermo))

    def column(self, name: str) -> Float:
        """Column of the thermo table from the first equilibrated step on; empty where it does not exist."""
        columns = self.thermo.columns
        if name not in columns:
            return np.empty(0)
        values = columns[name][columns["step"] >= self.first_step]
        found: Float = values[np.isfinite(values)]
        return found

    def needed_ps(self, lengths: float) -> float:
        """Length of a run whose equilibrated part is so many times as long, ps; NaN where it is unknown."""
        steps = self.thermo.columns["step"]
        if self.timestep_fs is None or not len(steps):
            return math.nan
        equilibrated = float(steps[-1]) - self.first_step
        return (self.first_step - float(steps[0]) + lengths * equilibrated) * self.timestep_fs * 1e-3

    def drift(self) -> str | None:
        """Why the equilibrated part has no stationary mean, in a few words; None if nothing speaks against one.

        Temperature and potential energy are fitted by straight lines. A change of over a tenth of the temperature from
        end to end (of the energy: of 3/2 N k_B T) is a drift where it is eight of its standard errors.
        """
        temperature = self.column("temperature_K")
        if len(temperature) < MIN_BLOCKS:
            return None
        mean, scale = float(temperature.mean()), 1.5 * len(self.topology.ids) * BOLTZMANN
        for name, values in (("temperature", temperature), ("energy", self.column("potential_energy") / scale)):
            if len(values) != len(temperature):
                continue
            change, error = change_along(values)
            if abs(change) <= max(_MAX_CHANGE * mean, _MIN_DEVIATION * error):
                continue
            if name == "temperature":
                start, end = (max(0.0, mean + sign * change / 2) for sign in (-1, 1))
                return f"its temperature goes from {start:.3g} K to {end:.3g} K"
            percent = 100 * abs(change) / mean
            return f"its potential energy {'rises' if change > 0 else 'falls'} by {percent:.2g} % of the kinetic energy"
        return None

    @property
    def steps(self) -> Sequence[int]:
        """Steps of all frames."""
        return dumped_steps(self.trajectory)

    def frames(self) -> Iterator[Frame]:
        """All equilibrated frames.

        Raises
        ------
        InputError
            The trajectory holds other atoms than the topology.
        """
        return (frame for frame in self._all_frames() if frame.timestep >= self.first_step)

    def sampled_frames(self, max_frames: int) -> list[Frame]:
        """At most ``max_frames`` frames, evenly spaced over the whole run.

        Raises
        ------
        InputError
            The trajectory holds other atoms than the topology.
        """
        count = len(self.steps)
        if count == 0:
            return []
        chosen = set(np.linspace(0, count - 1, min(count, max_frames)).round().astype(int).tolist())
        return [frame for index, frame in enumerate(self._all_frames()) if index in chosen]

    def _all_frames(self) -> Iterator[Frame]:
        if not self.steps:
            return
        for frame in read_dump(self.trajectory, require_forces=False):
            if not np.array_equal(frame.types, self.topology.types):
                raise InputError(
                    f"{self.trajectory}: its {len(frame.types)} atoms are not those of the topology "
                    f"({len(self.topology.types)} atoms); compare runs of one system."
                )
            yield frame


def _first_step(thermo: ThermoSeries) -> int:
    """First step after the drift of the potential energy, or of the temperature where there is no energy."""
    columns = thermo.columns
    for name in ("potential_energy", "temperature_K"):
        series = columns.get(name, np.empty(0))
        if len(series) and np.isfinite(series).all():
            return int(columns["step"][equilibrated_from(series)])
    return 0
