"""Bond lengths, angles and dihedrals along a trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnformd.reference.type_names import distinct_names

if TYPE_CHECKING:
    from gnnformd.trajectory.frame import Frame

__all__ = ["angles", "bond_lengths", "by_types", "chains_of_four", "dihedrals", "histograms"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


def bond_lengths(frames: Sequence[Frame], bonds: Int) -> Float:
    """Length of each bond in each frame by the minimum image, angstrom, (T, M).

    Parameters
    ----------
    frames
        Of the same atoms.
    bonds
        Pairs of atom indices, (M, 2).
    """
    return np.stack([np.linalg.norm(_nearest(f, bonds[:, 0], bonds[:, 1]), axis=1) for f in frames])


def angles(frames: Sequence[Frame], triples: Int) -> Float:
    """Angle at the middle atom of each triple in each frame, degrees, (T, K).

    Parameters
    ----------
    frames
        Of the same atoms.
    triples
        Atom indices, the middle atom second, (K, 3).
    """
    found = []
    for frame in frames:
        one, other = (_nearest(frame, triples[:, 1], triples[:, end]) for end in (0, 2))
        across = np.linalg.norm(np.cross(one, other), axis=1)
        found.append(np.degrees(np.arctan2(across, (one * other).sum(axis=1))))
    return np.stack(found)


def chains_of_four(bonds: Int) -> Int:
    """Four atoms in a row, joined by bonds, each chain once, (Q, 4).

    Examples
    --------
    >>> chains_of_four(np.array([[0, 1], [1, 2], [2, 3], [2, 4]])).tolist()
    [[0, 1, 2, 3], [0, 1, 2, 4]]

    Parameters
    ----------
    bonds
        Pairs of atom indices, (M, 2).
    """
    bonded: dict[int, list[int]] = {}
    for one, other in bonds.tolist():
        bonded.setdefault(one, []).append(other)
        bonded.setdefault(other, []).append(one)
    chains = [
        (start, one, other, end)
        for one, other in bonds.tolist()
        for start in bonded[one]
        for end in bonded[other]
        if start != other and end not in (one, start)
    ]
    return np.array(chains, dtype=np.int64).reshape(-1, 4)


def dihedrals(frames: Sequence[Frame], chains: Int) -> Float:
    """Dihedral of each chain of four atoms in each frame, from 0 (cis) to 180 degrees (trans), (T, Q).

    Parameters
    ----------
    frames
        Of the same atoms.
    chains
        Atom indices, (Q, 4).
    """
    found = []
    for frame in frames:
        first, middle, last = (_nearest(frame, chains[:, k], chains[:, k + 1]) for k in range(3))
        # n = first x middle and m = middle x last: n . m, and |n x m| = |middle| |first . m|
        along = _dot(first, middle) * _dot(middle, last) - _dot(first, last) * _dot(middle, middle)
        across = np.sqrt(_dot(middle, middle)) * np.abs(_dot(first, np.cross(middle, last)))
        found.append(np.degrees(np.arctan2(across, along)))
    return np.stack(found)


def by_types(members: Int, types: Int, names: Sequence[str]) -> dict[str, Int]:
    """Rows of bonds, angles or chains by the names of their types; ``H-O`` and ``O-H`` are the same.

    Parameters
    ----------
    members
        Atom indices, (M, 2), (M, 3) or (M, 4).
    types
        LAMMPS types of the atoms, (N,).
    names
        ``names[t - 1]`` names type t; types of one name are told apart by their numbers.
    """
    labels = distinct_names(names)
    found: dict[str, list[int]] = {}
    for row, kinds in enumerate(types[members].tolist()):
        ordered = min(kinds, kinds[::-1])
        found.setdefault("-".join(labels[t - 1] for t in ordered), []).append(row)
    return {name: np.array(rows) for name, rows in found.items()}


def histograms(values: Float, edges: Float) -> tuple[Float, Float]:
    """Density of the values of each frame, (T, n), and the number of values per frame at a density of 1, (n,).

    Parameters
    ----------
    values
        (T, M); values outside the edges are counted in the first or last bin.
    edges
        Of the bins, (n + 1,).
    """
    width = np.diff(edges)
    clipped = np.clip(values, edges[0], np.nextafter(edges[-1], -np.inf))
    counts = np.stack([np.histogram(frame, bins=edges)[0] for frame in clipped])
    return counts / (values.shape[1] * width), values.shape[1] * width


def _dot(one: Float, other: Float) -> Float:
    products: Float = np.einsum("ij,ij->i", one, other)
    return products


def _nearest(frame: Frame, start: Int, end: Int) -> Float:
    """Vectors between atoms by the minimum image in the periodic directions."""
    delta = frame.positions[end] - frame.positions[start]
    fractional = delta @ np.linalg.inv(frame.cell)
    shift = np.where(frame.periodic, np.round(fractional), 0.0)
    nearest: Float = delta - shift @ frame.cell
    return nearest
