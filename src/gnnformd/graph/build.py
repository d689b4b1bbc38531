"""Build graphs from frames, and batches from graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnformd.errors import InputError
from gnnformd.force_field import ForceField
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.bonds import BondTable, bond_kinds, bond_table, refuse_narrow_box
from gnnformd.neighbors import neighbor_pairs
from gnnformd.trajectory.frame import EQUAL_WEIGHTS, Frame

__all__ = ["StoredEdges", "build_graph", "collate", "find_edges", "join_frames"]

_JOINED = ("positions", "cells", "periodic", "special_coul", "type_index", "charges", "epsilons", "sigmas")


@dataclass(frozen=True)
class StoredEdges:
    """The first half of a frame's edges in the smallest integers that hold them: 8 bytes an edge for 648 atoms.

    Attributes
    ----------
    center_index, neighbor_index
        (E/2,), unsigned.
    cell_shift
        (E/2, 3), signed.
    bond_kind
        (E/2,), int8.
    """

    center_index: NDArray[np.unsignedinteger]
    neighbor_index: NDArray[np.unsignedinteger]
    cell_shift: NDArray[np.signedinteger]
    bond_kind: NDArray[np.int8]


def find_edges(frame: Frame, cutoff: float, table: BondTable | None = None) -> StoredEdges:
    """Neighbor pairs of a frame and their kinds of bond.

    Parameters
    ----------
    frame
        Positions, cell and bonds are used.
    cutoff
        angstrom.
    table
        ``bond_table(frame.bonds, len(frame.types))`` if it is known already.

    Raises
    ------
    InputError
        The frame cannot be searched: see `neighbor_pairs`, `bond_table` and `refuse_narrow_box`. The message names
        the frame.
    """
    atom_count = len(frame.types)
    try:
        if table is None:
            table = bond_table(frame.bonds, atom_count)
        refuse_narrow_box(table, frame.ids, frame.positions, frame.cell, frame.periodic, cutoff)
        i, j, shift = neighbor_pairs(frame.positions, frame.cell, frame.periodic, cutoff)
    except InputError as error:
        raise InputError(f"{frame.name}: {error}") from error
    kinds = bond_kinds(table, i, j, shift, frame.positions, frame.cell)
    index_type = np.min_scalar_type(max(atom_count - 1, 0))
    shift_type = np.min_scalar_type(-1 - int(np.abs(shift).max(initial=0)))
    return StoredEdges(i.astype(index_type), j.astype(index_type), shift.astype(shift_type), kinds)


def build_graph(
    frame: Frame,
    cutoff: float,
    force_field: ForceField | None = None,
    *,
    dtype: torch.dtype = torch.float64,
    table: BondTable | None = None,
) -> AtomicGraph:
    """Make the graph of one frame, on the CPU.

    Charges are those of the frame, or of the types of the force field, or zero; the
    Lennard-Jones parameters come from the force field or are zero.

    Parameters
    ----------
    frame
        Any box; directions that are not periodic get no images.
    cutoff
        Edges join atoms closer than this, angstrom.
    force_field
        Physical parameters per type of atom.
    dtype
        Of the floating-point fields but the energies.
    table
        ``bond_table(frame.bonds, len(frame.types))`` if it is known already, as for many frames of one system.

    Raises
    ------
    InputError
        The force field does not describe a type of the frame, or the frame cannot be searched for neighbors.
    """
    return join_frames([frame], [find_edges(frame, cutoff, table)], [force_field], dtype=dtype)


def join_frames(
    frames: Sequence[Frame],
    edges: Sequence[StoredEdges],
    force_fields: Sequence[ForceField | None],
    *,
    dtype: torch.dtype,
) -> AtomicGraph:
    """Make one batch of frames whose edges are known.

    The batch has those targets (forces, energies, virials) that any frame has; those of frames without are NaN.

    Parameters
    ----------
    frames, edges, force_fields
        One of each per graph.
    dtype
        Of the floating-point fields but the energies.

    Raises
    ------
    InputError
        A force field does not describe a type of its frame.
    """
    sizes = np.array([len(f.types) for f in frames])
    charges, epsilons, sigmas = (
        np.concatenate(column)
        for column in zip(*(_features(f, field) for f, field in zip(frames, force_fields, strict=True)), strict=True)
    )

    def floats(array: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(array).to(dtype)

    def targets(
        values: Sequence[NDArray[np.float64] | float | None], shapes: Sequence[tuple[int, ...]]
    ) -> list[NDArray[np.float64]] | None:
        if all(v is None for v in values):
            return None
        return [
            np.full(shape, np.nan) if v is None else np.asarray(v, dtype=np.float64)
            for v, shape in zip(values, shapes, strict=True)
        ]

    forces = targets([f.forces for f in frames], [(size, 3) for size in sizes])
    energies = targets([f.energy for f in frames], [()] * len(frames))
    virials = targets([f.virial for f in frames], [(3, 3)] * len(frames))
    weighted = any(f.weights != EQUAL_WEIGHTS for f in frames)
    center, neighbor, shift, kind = _mirrored(edges, np.cumsum(sizes) - sizes, dtype)
    return AtomicGraph(
        positions=floats(np.concatenate([f.positions for f in frames])),
        cells=floats(np.stack([f.cell for f in frames])),
        periodic=torch.tensor([[bool(flag) for flag in f.periodic] for f in frames]),
        special_coul=floats(np.array([(1.0, 1.0, 1.0) if f is None else f.special_coul for f in force_fields])),
        type_index=torch.from_numpy(np.concatenate([f.types for f in frames]) - 1),
        charges=floats(charges),
        epsilons=floats(epsilons),
        sigmas=floats(sigmas),
        center_index=center,
        neighbor_index=neighbor,
        cell_shift=shift,
        bond_kind=kind,
        graph_index=torch.from_numpy(np.repeat(np.arange(len(frames)), sizes)),
        forces=None if forces is None else floats(np.concatenate(forces)),
        energies=None if energies is None else torch.from_numpy(np.stack(energies)),
        virials=None if virials is None else floats(np.stack(virials)),
        weights=floats(np.array([f.weights for f in frames])) if weighted else None,
    )


def _features(frame: Frame, field: ForceField | None) -> tuple[NDArray[np.float64], ...]:
    """Charge, epsilon and sigma of each atom."""
    if field is None:
        zeros = np.zeros(len(frame.types))
        return (zeros if frame.charges is None else frame.charges), zeros, zeros
    lowest, highest = int(frame.types.min(initial=1)), int(frame.types.max(initial=1))
    if lowest < 1 or highest > len(field.types):
        wrong = lowest if lowest < 1 else highest
        raise InputError(
            f"{frame.name}: atom type {wrong} is not among the {len(field.types)} types of the force "
            f"field ({', '.join(field.names)}); add it there or use the force field of this system."
        )
    per_type = np.array(field.parameters)
    charges, epsilons, sigmas = per_type[frame.types - 1].T
    return (charges if frame.charges is None else frame.charges), epsilons, sigmas


def _mirrored(
    edges: Sequence[StoredEdges], first_atom: NDArray[np.int64], dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Write the first halves of all graphs, then the second halves, into new tensors."""
    half = sum(len(e.center_index) for e in edges)
    center, neighbor, kind = (torch.empty(2 * half, dtype=torch.int64) for _ in range(3))
    shift = torch.empty((2 * half, 3), dtype=dtype)
    # numpy casts and copies into the tensors' memory in one pass; there is no temporary in full width
    views = [t.numpy() for t in (center, neighbor, kind)]
    shifts = np.concatenate([e.cell_shift for e in edges]) if edges else np.empty((0, 3), np.int8)
    start = 0
    for e, offset in zip(edges, first_atom, strict=True):
        part = slice(start, start + len(e.center_index))
        np.add(e.center_index, offset, out=views[0][part])
        np.add(e.neighbor_index, offset, out=views[1][part])
        views[2][part] = e.bond_kind
        start = part.stop
    shift[:half] = torch.from_numpy(shifts)
    center[half:], neighbor[half:] = neighbor[:half], center[:half]
    kind[half:] = kind[:half]
    torch.neg(shift[:half], out=shift[half:])
    return center, neighbor, shift, kind


def collate(graphs: Sequence[AtomicGraph]) -> AtomicGraph:
    """Join graphs, or batches, into one batch; edges stay in mirrored halves.

    The first halves of all graphs come first, then all second halves. Targets, and owned atoms, are those that every
    graph has.

    Parameters
    ----------
    graphs
        At least one, all on one device and of one floating-point type.
    """
    first_atom = list(accumulate((g.atom_count for g in graphs[:-1]), initial=0))
    first_graph = list(accumulate((g.graph_count for g in graphs[:-1]), initial=0))

    def join(name: str) -> Tensor:
        return torch.cat([getattr(g, name) for g in graphs])

    def join_if_all(name: str) -> Tensor | None:
        return None if any(getattr(g, name) is None for g in graphs) else join(name)

    def join_halves(values: list[Tensor]) -> Tensor:
        return torch.cat([v[: len(v) // 2] for v in values] + [v[len(v) // 2 :] for v in values])

    return AtomicGraph(
        **{name: join(name) for name in _JOINED},
        center_index=join_halves([g.center_index + first for g, first in zip(graphs, first_atom, strict=True)]),
        neighbor_index=join_halves([g.neighbor_index + first for g, first in zip(graphs, first_atom, strict=True)]),
        cell_shift=join_halves([g.cell_shift for g in graphs]),
        bond_kind=join_halves([g.bond_kind for g in graphs]),
        graph_index=torch.cat([g.graph_index + first for g, first in zip(graphs, first_graph, strict=True)]),
        forces=join_if_all("forces"),
        energies=join_if_all("energies"),
        virials=join_if_all("virials"),
        weights=None if all(g.weights is None for g in graphs) else torch.cat([_weights_of(g) for g in graphs]),
        owned=join_if_all("owned"),
    )


def _weights_of(graph: AtomicGraph) -> Tensor:
    return graph.positions.new_ones(graph.graph_count, 3) if graph.weights is None else graph.weights
