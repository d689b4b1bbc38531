"""Radial distribution functions of a run beside those of the reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnformd.evaluation.observables import radial_distribution
from gnnformd.reference.thermo import dumped_steps
from gnnformd.simulation.md_run import Observable
from gnnformd.trajectory.dump import read_dump
from gnnformd.trajectory.frame import Frame

__all__ = ["structure"]

Float = NDArray[np.float64]
Curves = dict[str, dict[str, list[float] | None]]

_MOST_FRAMES = 200
_BLOCKS = 5


@dataclass(frozen=True)
class _Curve:
    """g(r) of one pair of types and its standard error, both (n,)."""

    r: Float
    g: Float
    error: Float


def structure(
    trajectory: Path, reference: Path | None, type_names: Sequence[str], *, between_molecules: bool
) -> tuple[Curves, dict[str, Observable]]:
    """g(r) of each pair of types, and its largest difference from the reference's.

    Standard errors come from five blocks of consecutive frames; at most 200 frames, evenly chosen, are used.

    Parameters
    ----------
    trajectory, reference
        Dumps; the reference may be None.
    type_names
        ``type_names[t - 1]`` names type t.
    between_molecules
        Leave out pairs within a molecule, if both dumps name the molecules.

    Returns
    -------
    curves
        ``{pair: {"r": ..., "g": ..., "reference": ...}}``, empty if the run left no frame.
    observables
        For each pair the largest difference, its standard error at that distance, and zero as reference.
    """
    frames = _some_frames(trajectory)
    if not frames:
        return {}, {}
    others = [] if reference is None else _some_frames(reference)
    together = [*frames, *others]
    exclude = between_molecules and all(frame.molecule_ids is not None for frame in together)
    # a little less than half, against rounding
    reach = 0.499 * min(_narrowest(frame) for frame in together)
    ours = _curves(frames, type_names, reach, exclude)
    theirs = _curves(others, type_names, reach, exclude) if others else {}
    curves: Curves = {}
    observables: dict[str, Observable] = {}
    for pair, curve in ours.items():
        other = theirs.get(pair)
        known = None if other is None else other.g.tolist()
        curves[pair] = {"r": curve.r.tolist(), "g": curve.g.tolist(), "reference": known}
        if other is not None:
            difference = np.abs(curve.g - other.g)
            worst = int(difference.argmax())
            error = math.hypot(curve.error[worst], other.error[worst])
            observables[f"largest difference of g(r), {pair}"] = Observable(float(difference[worst]), 0.0, error)
    return curves, observables


def _some_frames(trajectory: Path) -> list[Frame]:
    """At most 200 frames, evenly chosen."""
    count = len(dumped_steps(trajectory))
    if count == 0:
        return []
    chosen = set(np.linspace(0, count - 1, min(count, _MOST_FRAMES)).round().astype(int).tolist())
    return [frame for index, frame in enumerate(read_dump(trajectory, require_forces=False)) if index in chosen]


def _curves(frames: Sequence[Frame], names: Sequence[str], reach: float, exclude: bool) -> dict[str, _Curve]:
    """Mean over all frames, and the standard error of the means of blocks; NaN for a single frame."""
    blocks = [part for part in np.array_split(np.arange(len(frames)), _BLOCKS) if len(part)]
    weights = np.array([len(part) for part in blocks]) / len(frames)  # (B,)
    found = [
        radial_distribution([frames[i] for i in part], names, r_max=reach, exclude_molecules=exclude) for part in blocks
    ]
    curves = {}
    for pair, first in found[0].items():
        g = np.stack([block[pair].g for block in found])  # (B, n)
        error = g.std(axis=0, ddof=1) / np.sqrt(len(g)) if len(g) > 1 else np.full(g.shape[1], np.nan)
        curves[pair] = _Curve(first.r, weights @ g, error)
    return curves


def _narrowest(frame: Frame) -> float:
    """Smallest distance between opposite faces of the box, angstrom."""
    return float((1.0 / np.linalg.norm(np.linalg.inv(frame.cell), axis=0)).min())
