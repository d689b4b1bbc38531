"""The highest temperature of training data, from what they say of it or from their forces."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnformd.inference.system import Evaluator
from gnnformd.reference.thermo import temperature_range
from gnnformd.simulation.stability.starts import Start, masses_by_type
from gnnformd.trajectory.packed.dataset import PackedDataset
from gnnformd.units import BOLTZMANN

if TYPE_CHECKING:
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["Estimates", "configurational_temperature", "highest_temperature", "near_equilibrium"]

Float = NDArray[np.float64]

USUAL = 300.0
ESTIMATED = (
    "estimated from the forces of the data and the curvature of this model's energy, since the data do not say it (a "
    "poor model estimates it wrongly)"
)
LOWEST, HIGHEST = 50.0, 3000.0
"""K; an estimate outside is no temperature of a simulation."""

_IN_NAME = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)\s?K(?![A-Za-z0-9])")
_DISPLACEMENT = 0.01
_VECTORS, _VECTOR_ATOMS = 8, 2000  # so many vectors, or fewer where they have so many atoms together
_FAR = 2.0

MEASURED = ("tables of the data", "velocities in the data")
"""Sources of a temperature of molecular dynamics, whose frames are at equilibrium."""


class Estimates:
    """Configurational temperatures of frames, which are computed where they are needed first, and once.

    Parameters
    ----------
    loaded
        The model.
    starts
        The frames.
    """

    def __init__(self, loaded: LoadedModel, starts: Sequence[Start]) -> None:
        self.loaded, self.starts = loaded, starts

    @cached_property
    def values(self) -> list[float | None]:
        """See `configurational_temperature`; K, one a frame."""
        return [configurational_temperature(self.loaded, start) for start in self.starts]


def highest_temperature(datasets: Sequence[PackedDataset], estimates: Estimates) -> tuple[float, str]:
    """Find the highest temperature of the data without its fluctuations.

    The first of these that is there: tables of reference runs, ``temperature`` in extended XYZ,
    velocities, a temperature in ``config_type`` ("300K_MD"), `configurational_temperature`, and 300 K.

    Returns
    -------
    float
        K.
    str
        Where it is from, a clause.
    """
    loaded, starts = estimates.loaded, estimates.starts
    atoms = min(len(start.masses) for start in starts)
    tables = [dataset.run_folder / "thermo.csv" for dataset in datasets if dataset.run_folder is not None]
    table = temperature_range([path for path in tables if path.is_file()])
    if table is not None and table[1] > 0:
        return _without_fluctuation(table[1], table[2], atoms), MEASURED[0]
    for values, source in (
        (_said(datasets), "temperature in the data"),
        (_of_velocities(loaded, datasets), MEASURED[1]),
        (_in_names(datasets), "config_type of the data"),
    ):
        if values:
            fluctuate = source == MEASURED[1]
            return _without_fluctuation(float(np.mean(values)), max(values), atoms) if fluctuate else max(
                values
            ), source
    known = [value for value in estimates.values if value is not None]
    known = [value for value in known if value <= HIGHEST] or known
    if known:
        found = _without_fluctuation(float(np.mean(known)), max(known), atoms)
        if found >= LOWEST:
            return float(f"{min(found, HIGHEST):.2g}"), ESTIMATED
    return USUAL, "taken as usual, since the data do not say it"


def _without_fluctuation(mean: float, highest: float, atoms: int) -> float:
    """Highest of temperatures less three standard deviations of that of N atoms, ``T sqrt(2 / (3 N - 3))``."""
    return max(mean, highest / (1 + 3 * math.sqrt(2 / max(3 * atoms - 3, 1))))


def _said(datasets: Sequence[PackedDataset]) -> list[float]:
    """Temperatures that the data say of their frames, K."""
    return [value for dataset in datasets for value in dataset.temperatures.tolist() if not math.isnan(value)]


def _of_velocities(loaded: LoadedModel, datasets: Sequence[PackedDataset]) -> list[float]:
    """Kinetic temperatures of all frames with velocities, K."""
    return [value for dataset in datasets for value in dataset.kinetic_temperatures(masses_by_type(loaded, dataset))]


def _in_names(datasets: Sequence[PackedDataset]) -> list[float]:
    names = {name for dataset in datasets for name in dataset.config_types if name is not None}
    return [float(match[1]) for name in names if (match := _IN_NAME.search(name)) and float(match[1]) > 0]


def configurational_temperature(loaded: LoadedModel, start: Start) -> float | None:
    """Temperature of a frame from its forces and the curvature of the model's energy, K.

    ``k_B T = sum_i |F_i|^2 / sum_i laplacian_i U`` holds on average in the canonical ensemble of classical atoms
    (Rugh 1997; Butler et al. 1998). The forces are those of the data; the Laplacian is that of the model, by central
    differences along random vectors of signs (Hutchinson's estimate of a trace).

    Returns
    -------
    float or None
        None where the model has no energy, the frame no forces, or the curvature is not positive.
    """
    frame = start.frame
    if not loaded.model.conservative or frame.forces is None:
        return None
    known = replace(frame, types=start.types.of(frame.types))
    evaluator, random = Evaluator(loaded, known), np.random.default_rng(0)

    def forces(positions: Float) -> Float:
        found: Float = evaluator.evaluate(positions, frame.cell, frame.periodic).forces.numpy(force=True)
        return found.astype(np.float64)

    curvatures = []
    for _ in range(min(_VECTORS, -(-_VECTOR_ATOMS // max(len(frame.positions), 1)))):
        signs = random.choice((-1.0, 1.0), frame.positions.shape)
        step = _DISPLACEMENT * signs
        ahead, behind = forces(frame.positions + step), forces(frame.positions - step)
        curvatures.append(-float((signs * (ahead - behind)).sum()) / (2 * _DISPLACEMENT))
    curvature = float(np.mean(curvatures))
    if not curvature > 0:
        return None
    return float((frame.forces**2).sum()) / curvature / BOLTZMANN


def near_equilibrium(estimates: Estimates, highest: float, source: str) -> tuple[list[Start], float | None]:
    """Leave out frames whose forces are those of a much higher temperature, as after large random displacements.

    In a simulation the energy of such a frame becomes heat, though the model is right. Frames of molecular dynamics all
    stay, and those whose configurational temperature is not known.

    Parameters
    ----------
    estimates
        Of the frames.
    highest, source
        See `highest_temperature`.

    Returns
    -------
    list of Start
        Frames whose configurational temperature is at most twice the highest temperature, beyond fluctuations.
    float or None
        The lowest configurational temperature of those left out, K.
    """
    if source in MEASURED:
        return list(estimates.starts), None
    near, far = [], []
    for start, value in zip(estimates.starts, estimates.values, strict=True):
        if value is not None and _without_fluctuation(0.0, value, len(start.masses)) > _FAR * highest:
            far.append(value)
        else:
            near.append(start)
    return near, min(far, default=None)
