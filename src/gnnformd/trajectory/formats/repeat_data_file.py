"""A LAMMPS data file with several copies of the box of another one beside each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from gnnformd.errors import InputError
from gnnformd.trajectory.formats.data_file import (
    DataLine,
    DataSection,
    periodic_directions,
    read_topology,
    split_data_file,
)
from gnnformd.trajectory.frame import Int, Topology

__all__ = ["repeat_data_file"]

_MEMBERS = {"Bonds": 2, "Angles": 3, "Dihedrals": 4, "Impropers": 4}
_TIE = 1e-9  # angstrom; images that are so much farther are as near
_KEPT = ("Masses", "Atom Type Labels", *(f"{name[:-1]} Type Labels" for name in _MEMBERS))


class _Molecules(NamedTuple):
    """Molecules made whole across the sides of the box.

    Attributes
    ----------
    shifts
        Lattice vectors that are added to the position of each atom, (N, 3).
    endless
        Whether an atom belongs to a molecule that is bonded to its own images, (N,).
    """

    shifts: Int
    endless: NDArray[np.bool_]


def repeat_data_file(source: Path, target: Path, copies: tuple[int, int, int], where: Path) -> None:
    """Write a data file with copies of the box along its lattice vectors, numbered as LAMMPS's ``replicate`` does.

    Atom ``i`` of copy ``(x, y, z)`` has the id ``i + (x + X (y + Y z)) I``, where ``X, Y, Z`` are the numbers of copies
    and ``I`` is the largest id; molecules count in the same way. Bonds join nearest images, so that molecules across a
    side of the box stay whole and bonds across it lead into the next copy. Types, their masses and names, charges and
    velocities are those of the source; coefficients of a force field are left out.

    Parameters
    ----------
    source
        A data file.
    target
        File to write.
    copies
        At least 1 each.
    where
        The user's file, for messages.

    Raises
    ------
    InputError
        The source cannot be read, two images of a bonded atom are equally near, or a direction in which there shall be
        copies is not periodic.
    """
    title, header, sections = split_data_file(source)
    topology = read_topology(source)
    periodic = periodic_directions(source)
    for axis, flag, number in zip("xyz", periodic, copies, strict=True):
        if number > 1 and not flag:
            raise InputError(
                f"{where}: is not periodic along {axis}, so it has no copies there; repeat it once along {axis}."
            )
    molecules = _whole_molecules(topology, _images(periodic), where)
    with target.open("w") as file:
        file.write(f"{title}\n\n")
        file.writelines(f"{line}\n" for line in _header(header, topology, copies))
        for name, section in sections.items():
            if name in _KEPT:
                file.write(f"\n{name}\n\n")
                file.writelines(f"{_with_comment(line)}\n" for line in section.lines)
        columns, rows = _atoms(topology, molecules, copies)
        file.write(f"\nAtoms # {columns}\n\n")
        file.writelines(f"{row}\n" for row in rows)
        if "Velocities" in sections:
            file.write("\nVelocities\n\n")
            file.writelines(f"{row}\n" for row in _velocities(sections["Velocities"], topology, copies))
        for name, size in _MEMBERS.items():
            if name in sections and sections[name].lines:
                file.write(f"\n{name}\n\n")
                rows = _tuples(sections[name], size, topology, molecules, copies, _images(periodic), where)
                file.writelines(f"{row}\n" for row in rows)


def _with_comment(line: DataLine) -> str:
    return " ".join(line.words) + (f" # {line.comment}" if line.comment else "")


def _header(header: dict[str, DataLine], topology: Topology, copies: tuple[int, int, int]) -> Iterator[str]:
    counted = ("atoms", *(name.lower() for name in _MEMBERS))
    cell = topology.cell * np.array(copies)[:, None]
    for key, line in header.items():
        if key in counted:
            yield f"{int(line.words[0]) * int(np.prod(copies))} {key}"
        elif key in ("avec", "bvec", "cvec"):
            yield f"{' '.join(map(repr, cell['abc'.index(key[0])].tolist()))} {key}"
        elif key in ("xlo xhi", "ylo yhi", "zlo zhi"):
            axis = "xyz".index(key[0])
            low = float(topology.origin[axis])
            yield f"{low!r} {low + float(cell[axis, axis])!r} {key}"
        elif key == "xy xz yz":
            yield f"{float(cell[1, 0])!r} {float(cell[2, 0])!r} {float(cell[2, 1])!r} {key}"
        else:
            yield f"{' '.join(line.words)} {key}"


def _copies(copies: tuple[int, int, int]) -> Int:
    """Lattice vectors to each copy in the order of their numbers, (C, 3)."""
    z, y, x = np.indices(copies[::-1]).reshape(3, -1)
    return np.stack([x, y, z], axis=1)


def _number(of: Int, copies: tuple[int, int, int]) -> Int:
    """Find the number of the copy at a lattice vector, which may be in a periodic image, (..., 3) to (...)."""
    x, y, z = np.moveaxis(of % np.array(copies), -1, 0)
    number: Int = x + copies[0] * (y + copies[1] * z)
    return number


def _atoms(topology: Topology, molecules: _Molecules, copies: tuple[int, int, int]) -> tuple[str, Iterator[str]]:
    """Atom style, and the lines of all copies."""
    has_molecules, has_charges = topology.molecule_ids is not None, topology.charges is not None
    style = {(True, True): "full", (True, False): "molecular", (False, True): "charge", (False, False): "atomic"}
    whole = topology.positions + molecules.shifts @ topology.cell
    last = int(topology.ids.max())

    def rows() -> Iterator[str]:
        for number, vector in enumerate(_copies(copies)):
            names = [(topology.ids + number * last).tolist()]
            if topology.molecule_ids is not None:
                ids = topology.molecule_ids
                separate = (ids > 0) & ~molecules.endless
                names.append((ids + separate * number * int(ids.max())).tolist())
            names.append(topology.types.tolist())
            numbers = [] if topology.charges is None else [topology.charges.tolist()]
            numbers += (whole + vector @ topology.cell).T.tolist()
            for row in zip(*names, *numbers, strict=True):
                yield " ".join(map(repr, row))

    return style[has_molecules, has_charges], rows()


def _velocities(section: DataSection, topology: Topology, copies: tuple[int, int, int]) -> Iterator[str]:
    last = int(topology.ids.max())
    for number in range(int(np.prod(copies))):
        for line in section.lines:
            # what is no id is named where velocities are read
            known = line.words[0].isdigit()
            name = str(int(line.words[0]) + number * last) if known else line.words[0]
            yield " ".join([name, *line.words[1:]])


def _tuples(
    section: DataSection,
    size: int,
    topology: Topology,
    molecules: _Molecules,
    copies: tuple[int, int, int],
    images: Int,
    where: Path,
) -> Iterator[str]:
    """Lines of the bonds, or of what else joins atoms, of all copies."""
    for line in section.lines:
        if len(line.words) < 2 + size or not all(word.isdigit() for word in line.words[2:]):
            raise InputError(f"{where}, line {line.number}: does not name {size} atoms by their ids; correct it.")
    ids = np.array([[int(word) for word in line.words[2 : 2 + size]] for line in section.lines])  # (M, k)
    rows = np.searchsorted(topology.ids, ids).clip(max=len(topology.ids) - 1)
    if (topology.ids[rows] != ids).any():
        line = section.lines[int(np.flatnonzero((topology.ids[rows] != ids).any(axis=1))[0])]
        raise InputError(f"{where}, line {line.number}: names an atom that does not exist; correct it.")
    away = np.zeros((*rows.shape, 3), np.int64)  # copies from that of the first member
    for k in range(1, size):
        steps = _nearest_images(topology, images, rows[:, k - 1], rows[:, k])[0]
        steps += molecules.shifts[rows[:, k - 1]] - molecules.shifts[rows[:, k]]
        away[:, k] = away[:, k - 1] + steps * molecules.endless[rows[:, k], None]
    last, count = int(topology.ids.max()), len(rows)
    kinds = [line.words[1] for line in section.lines]
    for number, vector in enumerate(_copies(copies)):
        named = ids + last * _number(vector + away, copies)
        for index, (kind, members) in enumerate(zip(kinds, named.tolist(), strict=True), start=1):
            yield f"{number * count + index} {kind} {' '.join(map(str, members))}"


def _images(periodic: Sequence[bool]) -> Int:
    """Lattice vectors to the images around a box, itself included, (27, 3) if all directions are periodic."""
    steps = [(-1, 0, 1) if flag else (0,) for flag in periodic]
    return np.array(list(itertools.product(*steps)), dtype=np.int64)


def _nearest_images(topology: Topology, images: Int, first: Int, second: Int) -> tuple[Int, NDArray[np.bool_]]:
    """Lattice vectors to add to the second atoms, (M, 3), and whether another image is as near, (M,)."""
    vectors = topology.positions[second] - topology.positions[first]
    near = -np.round(vectors @ np.linalg.inv(topology.cell)).astype(np.int64) * images.any(axis=0)
    distances = np.stack([np.linalg.norm(vectors + (near + more) @ topology.cell, axis=1) for more in images], axis=1)
    found: Int = near + images[distances.argmin(axis=1)]
    order = np.sort(np.pad(distances, ((0, 0), (0, 1)), constant_values=np.inf), axis=1)
    return found, order[:, 1] <= order[:, 0] + _TIE


def _whole_molecules(topology: Topology, images_around: Int, where: Path) -> _Molecules:
    """Put bonded atoms beside each other, and what else is one molecule by its id near the first of its atoms."""
    count, bonds = len(topology.ids), topology.bonds
    shifts, endless = np.zeros((count, 3), np.int64), np.zeros(count, bool)
    images, tied = _nearest_images(topology, images_around, bonds[:, 0], bonds[:, 1])
    for one, other in topology.ids[bonds[tied]][:1].tolist():
        raise InputError(
            f"{where}: two images of atom {other} are equally near to atom {one}, to which it is bonded, so that it is "
            "not known which copy the bond leads to; give a larger box."
        )
    graph = coo_matrix((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(count, count)).tocsr()
    component = connected_components(graph, directed=False)[1]
    roots = np.unique(component, return_index=True)[1]
    step_of = {tuple(pair): step for pair, step in zip(bonds.tolist(), images, strict=True)}
    step_of |= {(j, i): -step for (i, j), step in step_of.items()}
    for root in roots[np.bincount(component) > 1].tolist():
        order, before = breadth_first_order(graph, root, directed=False)
        for atom in order[1:].tolist():
            shifts[atom] = shifts[before[atom]] + step_of[int(before[atom]), atom]
    open_ = (shifts[bonds[:, 1]] - shifts[bonds[:, 0]] != images).any(axis=1)
    endless[:] = np.isin(component, component[bonds[open_, 0]])
    if topology.molecule_ids is not None:
        _gather(topology, images_around, topology.molecule_ids, roots, component, shifts)
    return _Molecules(shifts, endless)


def _gather(
    topology: Topology, images: Int, molecules: Int, roots: Sequence[int] | Int, component: Int, shifts: Int
) -> None:
    """Move parts of a molecule that no bond joins to where they are nearest to its first atom; molecule 0 is none."""
    numbers, first = np.unique(molecules, return_index=True)
    lead = first[np.searchsorted(numbers, molecules[roots])]  # (parts,)
    apart = (molecules[roots] != 0) & (component[lead] != component[roots])
    if not apart.any():
        return
    ends, starts = np.asarray(roots)[apart], lead[apart]
    moved = _nearest_images(topology, images, starts, ends)[0] + shifts[starts] - shifts[ends]
    of_part = np.zeros((int(component.max()) + 1, 3), np.int64)
    of_part[component[ends]] = moved
    shifts += of_part[component]
