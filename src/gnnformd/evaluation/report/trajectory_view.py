"""A view of a trajectory in three dimensions, drawn by the plotting library that the page holds anyway."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.evaluation.report.plots import Spec
from gnnformd.evaluation.results import SimulationResult
from gnnformd.reference.thermo import dumped_steps
from gnnformd.reference.type_names import distinct_names
from gnnformd.trajectory.formats.dump import read_dump
from gnnformd.trajectory.frame import Frame
from gnnformd.yaml_files import read_mapping

__all__ = ["trajectory_view"]

Float = NDArray[np.float64]

MAX_POSITIONS, MAX_FRAMES, MAX_BYTES = 40_000, 40, 1_000_000_000
"""Atoms times frames, and frames, in a page; and the largest trajectory that is read for one."""

MARGIN = 1.05  # longest bond over the longest in the histogram of the run
COLORS = {"H": "#c9ced6", "O": "#d5463e", "C": "#555c66", "N": "#3b66c9", "Cl": "#3fa34d", "Na": "#8c5fc7"}
OTHERS = ("#3f8fb5", "#c4813d", "#6a994e", "#a05195", "#b5a642")
SIZES = {"H": 3.0}
SIZE = 5.5


def trajectory_view(folder: Path, run: SimulationResult) -> Spec | None:
    """Frames of ``trajectory.dump``, evenly spaced, as a specification; None where there is nothing to be shown.

    Positions are whole hundredths of an angstrom, wrapped into the box. Bonds are pairs of atoms by their index, drawn
    where they are shorter than ``longest``.

    Parameters
    ----------
    folder
        Of the run.
    run
        Its results: lengths of bonds come from the curves.
    """
    path = folder / "trajectory.dump"
    if not path.is_file() or path.stat().st_size > MAX_BYTES or 2 * run.atoms > MAX_POSITIONS:
        return None
    try:
        total = len(dumped_steps(path))
        count = min(total, MAX_FRAMES, MAX_POSITIONS // max(run.atoms, 1))
        chosen = set(np.linspace(0, total - 1, count).round().astype(int).tolist()) if total else set()
        frames = [f for k, f in enumerate(read_dump(path, require_forces=False)) if k in chosen]
    except InputError:
        return None
    if not frames or any(len(frame.types) != len(frames[0].types) for frame in frames):
        return None
    types = np.unique(frames[0].types).tolist()
    names = _names(folder, types, run)
    rows = [np.flatnonzero(frames[0].types == t) for t in types]
    order = np.concatenate(rows)
    longest = {kind: MARGIN * max(curve.x) for kind, curve in run.curves.get("bond_lengths", {}).items() if curve.x}
    timestep = run.settings.timestep or 1.0
    atoms = [
        {
            "name": name,
            "count": len(row),
            "color": COLORS.get(name.split(" ")[0], OTHERS[k % len(OTHERS)]),  # of two types of hydrogen, 'H (3)'
            "size": SIZES.get(name.split(" ")[0], SIZE),
        }
        for k, (name, row) in enumerate(zip(names, rows, strict=True))
    ]
    return {
        "atoms": atoms,
        "frames": [np.round(100 * _wrapped(frame)[order]).astype(int).ravel().tolist() for frame in frames],
        "times": [round(frame.timestep * timestep / 1000, 4) for frame in frames],
        "box": np.round(_edges(frames[0]), 2).tolist(),
        "bonds": _bonds(_wrapped(frames[0])[order], frames[0].cell, np.repeat(names, [len(r) for r in rows]), longest),
        "longest": round(max(longest.values(), default=0.0), 3),
    }


def _names(folder: Path, types: Sequence[int], run: SimulationResult) -> list[str]:
    """Name the types as ``simulate.yaml`` does, else by the pairs of equal ones in g(r), in the order of the types."""
    path = folder / "simulate.yaml"
    known = read_mapping(path).get("type_names") if path.is_file() else None
    if isinstance(known, list) and len(known) >= types[-1]:
        labels = distinct_names([str(name) for name in known])
        return [labels[t - 1] for t in types]
    pairs = run.curves.get("rdf", {})
    halves = [pair[: len(pair) // 2] for pair in pairs]
    equal = [half for half, pair in zip(halves, pairs, strict=True) if pair == f"{half}-{half}"]
    return equal if len(equal) == len(types) else [f"type {t}" for t in types]


def _wrapped(frame: Frame) -> Float:
    fractional = (frame.positions - frame.origin) @ np.linalg.inv(frame.cell)
    wrapped: Float = np.where(frame.periodic, fractional % 1.0, fractional) @ frame.cell
    return wrapped


def _edges(frame: Frame) -> Float:
    """Corners of the box along a path over all of its edges, (16, 3)."""
    path = "000100110010000001101100101111110111011010011001"
    corners: Float = np.array([float(digit) for digit in path]).reshape(16, 3) @ frame.cell
    return corners


def _bonds(positions: Float, cell: Float, names: NDArray[np.str_], longest: dict[str, float]) -> list[int]:
    """Pairs of atoms that are as close as a bond of their kind in an orthogonal box, one after another."""
    if not longest or np.abs(cell - np.diag(np.diag(cell))).max() > 0:
        return []
    from scipy.spatial import cKDTree

    sides = np.diag(cell)
    tree = cKDTree(positions % sides % sides, boxsize=sides)
    pairs = tree.query_pairs(max(longest.values()), output_type="ndarray")
    jump = positions[pairs[:, 0]] - positions[pairs[:, 1]]
    distance = np.linalg.norm(jump - sides * np.round(jump / sides), axis=1)
    kinds = (f"{names[i]}-{names[j]}" for i, j in pairs)
    limits = np.array([longest.get(k, longest.get("-".join(reversed(k.split("-"))), 0.0)) for k in kinds])
    bonds: list[int] = pairs[distance < limits].ravel().tolist()
    return bonds
