"""What reference data is like: temperature, density, forces, closest pairs; from at most 40 of its frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.evaluation.liquid.energy_drift import GRAMS_PER_CM3
from gnnformd.evaluation.liquid.thermo_table import ThermoSeries
from gnnformd.reference.run import ReferenceRun
from gnnformd.reference.thermo import dumped_steps
from gnnformd.reference.type_names import distinct_names
from gnnformd.trajectory.read import read_frames

__all__ = ["DataSummary", "summarize"]

Float = NDArray[np.float64]

MAX_FRAMES, MAX_BYTES, MAX_PAIR = 40, 1_000_000_000, 4.0
BINS = 80


@dataclass(frozen=True)
class DataSummary:
    """Numbers about a reference run.

    Attributes
    ----------
    temperature
        Mean, lowest and highest of the thermo table, K; None without one.
    density
        Lowest and highest of the frames, g/cm3; None where masses are unknown.
    forces
        By name of the type: length of the force, kcal/mol/angstrom, at the middle of each bin, and the share of atoms
        in it.
    force_rms
        By name of the type, kcal/mol/angstrom.
    closest
        By pair of names, of atoms that are not bonded and of bonded ones (with ``bonded`` behind): shortest distance,
        angstrom.
    """

    temperature: tuple[float, float, float] | None
    density: tuple[float, float] | None
    forces: Mapping[str, tuple[Float, Float]]
    force_rms: Mapping[str, float]
    closest: Mapping[str, float]


def summarize(folder: Path) -> DataSummary | None:
    """Read frames of a reference run; None where it cannot be read or is very large.

    Parameters
    ----------
    folder
        With ``reference.yaml``.
    """
    from gnnformd.graph.build import build_graph
    from gnnformd.graph.distances import shortest_distances

    try:
        run = ReferenceRun.open(folder)
        if run.trajectory.stat().st_size > MAX_BYTES:
            return None
        total = len(dumped_steps(run.trajectory))
        chosen = set(np.linspace(0, total - 1, min(total, MAX_FRAMES)).round().astype(int).tolist()) if total else set()
        frames = [f for k, f in enumerate(read_frames(folder, require_forces=False)) if k in chosen]
        if not frames:
            return None
        field = run.force_field
        count = int(frames[0].types.max())
        names = distinct_names(field.names if field else [f"type {t}" for t in range(1, count + 1)])
        norms: dict[str, list[Float]] = {name: [] for name in names}
        densities, shortest = [], np.full((4, count, count), np.inf)
        for frame in frames:
            if field is not None:
                mass = float(np.array([t.mass for t in field.types])[frame.types - 1].sum())
                densities.append(GRAMS_PER_CM3 * mass / abs(float(np.linalg.det(frame.cell))))
            for t, name in enumerate(names, start=1):
                if frame.forces is not None:
                    norms[name].append(np.linalg.norm(frame.forces[frame.types == t], axis=1))
            graph = build_graph(frame, MAX_PAIR, field)
            found = shortest_distances(graph, graph.half_edge_vectors().norm(dim=1), count)
            shortest = np.minimum(shortest, found.numpy())
    except (InputError, OSError, ValueError, LookupError):
        return None
    heat = ThermoSeries.read(run.thermo).columns.get("temperature_K", np.empty(0))
    heat = heat[np.isfinite(heat)]
    lengths = {name: np.concatenate(parts) for name, parts in norms.items() if sum(len(part) for part in parts)}
    return DataSummary(
        temperature=(float(heat.mean()), float(heat.min()), float(heat.max())) if len(heat) else None,
        density=(min(densities), max(densities)) if densities else None,
        forces={name: _histogram(values) for name, values in lengths.items()},
        force_rms={name: float(np.sqrt((values**2).mean())) for name, values in lengths.items()},
        closest=_closest(shortest, names),
    )


def _histogram(values: Float) -> tuple[Float, Float]:
    counts, edges = np.histogram(values, bins=BINS, range=(0.0, max(float(values.max()), 1e-9)))
    return (edges[1:] + edges[:-1]) / 2, counts / len(values)


def _closest(shortest: Float, names: Sequence[str]) -> dict[str, float]:
    """Not bonded: 1-4 pairs and all that are farther apart along the molecule."""
    found = {}
    for one in range(len(shortest[0])):
        for other in range(one, len(shortest[0])):
            pair = f"{names[one]}-{names[other]}"
            for suffix, distance in (
                ("", min(shortest[0, one, other], shortest[3, one, other])),
                (" bonded", shortest[1, one, other]),
            ):
                if np.isfinite(distance):
                    found[pair + suffix] = float(distance)
    return found
