"""Motion: paths of molecules and velocities of atoms along a trajectory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.reference.type_names import distinct_names
from gnnformd.units import BOLTZMANN, FORCE_TO_ACCELERATION, VELOCITY_SQUARED_TO_ENERGY

if TYPE_CHECKING:
    from gnnformd.trajectory.frame import Frame

__all__ = ["Bodies", "Motion", "follow", "molecules"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_MAX_NUMBERS = 10_000_000
_MIN_BODIES = 50


@dataclass(frozen=True)
class Bodies:
    """What diffuses as a whole: molecules where there are bonds, otherwise single atoms.

    Attributes
    ----------
    index
        Body of each atom, (N,).
    names
        Formula of each body, ``H2O`` or ``Ar``; atoms of several types of one name are counted together.
    """

    index: Int
    names: tuple[str, ...]


def molecules(types: Int, bonds: Int | None, names: Sequence[str]) -> Bodies:
    """Group bonded atoms into molecules, named by their formula.

    Parameters
    ----------
    types
        LAMMPS types, (N,).
    bonds
        Pairs of atom indices, (M, 2), or None.
    names
        ``names[t - 1]`` names type t.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.empty((0, 2), np.int64) if bonds is None else bonds
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(types), len(types)))
    count, index = connected_components(graph, directed=False)
    atoms = np.zeros((count, len(names)), np.int64)
    np.add.at(atoms, (index, types - 1), 1)
    kinds, which = np.unique(atoms, axis=0, return_inverse=True)
    formulas = [_formula(row, names) for row in kinds.tolist()]
    return Bodies(index.astype(np.int64), tuple(formulas[k] for k in which.ravel().tolist()))


def _formula(counts: Sequence[int], names: Sequence[str]) -> str:
    """Carbon first, then hydrogen, then all others by the alphabet (Hill); without carbon all by the alphabet.

    Names that end with a digit are told from the numbers: ``1(20)`` is twenty times type 1.
    """
    total = Counter[str]()
    for name, n in zip(names, counts, strict=True):
        if n:
            total[name] += n
    first = ("C", "H") if "C" in total else ()
    ordered = [name for name in first if name in total] + sorted(name for name in total if name not in first)
    if any(name[-1:].isdigit() for name in ordered):  # names of types, of which numbers would be a part
        return " ".join(name + (f"({total[name]})" if total[name] > 1 else "") for name in ordered)
    return "".join(name + (str(total[name]) if total[name] > 1 else "") for name in ordered)


@dataclass(frozen=True)
class Motion:
    """Paths of bodies and velocities of atoms, relative to the center of mass of the system.

    Attributes
    ----------
    times_ps
        Of the frames, evenly spaced, (T,).
    paths
        By name of the body: unwrapped centers of mass, angstrom, (T, G, 3).
    velocities
        By type of atom: angstrom/fs, (T, n, 3); None where the trajectory has none.
    center_temperature
        ``M V^2 / (3 k_B)`` of the center of mass of the system in each frame, K, (T,); None without velocities.
    frequency
        Root mean square frequency ``sqrt(<(F / m)^2> / <v^2>)`` of the type of atom where it is highest, rad/fs. None
        without velocities or forces.
    molecules
        By type of atom: body of each atom that has velocities, (n,); where it is not there, each atom is its own.
    periodic
        Whether the box is periodic in some direction.
    """

    times_ps: Float
    paths: dict[str, Float]
    velocities: dict[str, Float] | None
    center_temperature: Float | None
    frequency: float | None
    molecules: dict[str, Int] = field(default_factory=dict)
    periodic: bool = True

    @property
    def interval_ps(self) -> float:
        """Time from frame to frame, ps."""
        return float(self.times_ps[1] - self.times_ps[0])

    @property
    def duration_ps(self) -> float:
        """Time from the first frame to the last, ps."""
        return float(self.times_ps[-1] - self.times_ps[0])


def follow(
    frames: Iterable[Frame],
    timestep_fs: float,
    masses: Float,
    bodies: Bodies,
    names: Sequence[str],
    *,
    count: int,
) -> Motion:
    """Follow bodies and atoms through a trajectory.

    Atoms are unwrapped from frame to frame by the nearest image in fractional coordinates (correct as long as none
    moves by half a box between two frames). A change of the box rescales coordinates, which is not diffusion: paths are
    fractional coordinates times the mean cell. Of very many bodies or atoms an evenly spaced subset is kept.

    Parameters
    ----------
    frames
        Evenly spaced in time; a frame with the step of the frame before it is skipped.
    timestep_fs
        Of the simulation.
    masses
        g/mol, (N,).
    bodies
        What diffuses.
    names
        ``names[t - 1]`` names type t; types of one name are told apart by their numbers.
    count
        Approximate number of frames, which sets the size of the subset.

    Raises
    ------
    InputError
        There are fewer than two frames, or their spacing changes.
    """
    tracker: _Tracker | None = None
    for frame in frames:
        if tracker is None:
            tracker = _Tracker(frame, masses, bodies, names, max(_MIN_BODIES, _MAX_NUMBERS // (3 * max(count, 1))))
        tracker.add(frame)
    if tracker is None or len(tracker.steps) < 2:
        raise InputError("a displacement needs at least two frames; run more steps or dump more often.")
    if len(set(np.diff(tracker.steps).tolist())) > 1:
        raise InputError("the frames are not evenly spaced in time; give one run with a constant dump interval.")
    return tracker.result(timestep_fs)


class _Tracker:
    """Accumulates frames one by one into what `Motion` holds."""

    def __init__(self, first: Frame, masses: Float, bodies: Bodies, names: Sequence[str], max_bodies: int) -> None:
        self.masses, self.periodic = masses, any(first.periodic)
        self.chosen = {
            name: _evenly_spaced(_where(bodies.names, name), max_bodies) for name in sorted(set(bodies.names))
        }
        self.rows = np.concatenate(list(self.chosen.values()))
        self.weights = _center_weights(bodies.index, masses, self.rows)
        labels = distinct_names(names)
        self.atoms = {labels[t - 1]: np.flatnonzero(first.types == t) for t in np.unique(first.types).tolist()}
        self.sampled = {name: _evenly_spaced(atoms, max_bodies) for name, atoms in self.atoms.items()}
        self.molecules = {name: bodies.index[atoms] for name, atoms in self.sampled.items()}
        self.steps: list[int] = []
        self.before: Float | None = None
        self.unwrapped: Float = np.zeros((len(masses), 3))
        self.cell: Float = np.zeros((3, 3))
        self.centers: list[Float] = []
        self.velocities: dict[str, list[Float]] = {name: [] for name in self.atoms}
        self.center_temperatures: list[float] = []
        self.squares = {name: np.zeros(2) for name in self.atoms}  # sums of (F / m)^2 and v^2

    def add(self, frame: Frame) -> None:
        if self.steps and frame.timestep == self.steps[-1]:
            return
        self.steps.append(frame.timestep)
        fractional = (frame.positions - frame.origin) @ np.linalg.inv(frame.cell)
        if self.before is None:
            self.unwrapped = fractional.copy()
        else:
            jump = fractional - self.before
            self.unwrapped += jump - np.where(frame.periodic, np.round(jump), 0.0)
        self.before = fractional
        self.cell = self.cell + frame.cell
        center = self.masses @ self.unwrapped / self.masses.sum()
        self.centers.append(self.weights @ self.unwrapped - center)  # (G, 3)
        if frame.velocities is not None:
            self._add_velocities(frame, frame.velocities)

    def _add_velocities(self, frame: Frame, velocities: Float) -> None:
        center = self.masses @ velocities / self.masses.sum()
        twice_kinetic = self.masses.sum() * float(center @ center) * VELOCITY_SQUARED_TO_ENERGY
        self.center_temperatures.append(twice_kinetic / (3.0 * BOLTZMANN))
        for name, atoms in self.atoms.items():
            self.velocities[name].append(velocities[self.sampled[name]] - center)
            if frame.forces is not None:
                acceleration = frame.forces[atoms] / self.masses[atoms, None] * FORCE_TO_ACCELERATION
                self.squares[name] += np.square(acceleration).sum(), np.square(velocities[atoms]).sum()

    def result(self, timestep_fs: float) -> Motion:
        paths = np.stack(self.centers) @ (self.cell / len(self.steps))  # (T, G, 3)
        ends = np.cumsum([len(rows) for rows in self.chosen.values()])
        by_name = dict(zip(self.chosen, np.split(paths, ends[:-1], axis=1), strict=True))
        moving = len(self.center_temperatures) == len(self.steps)
        frequencies = [float(np.sqrt(a / v)) for a, v in self.squares.values() if v > 0]
        steps = np.array(self.steps, dtype=np.float64)
        return Motion(
            times_ps=(steps - steps[0]) * timestep_fs * 1e-3,
            paths=by_name,
            velocities={name: np.stack(v) for name, v in self.velocities.items()} if moving else None,
            center_temperature=np.array(self.center_temperatures) if moving else None,
            frequency=max(frequencies) if moving and frequencies else None,
            molecules=self.molecules,
            periodic=self.periodic,
        )


def _where(names: Sequence[str], name: str) -> Int:
    return np.flatnonzero(np.array(names) == name)


def _evenly_spaced(rows: Int, count: int) -> Int:
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]


def _center_weights(index: Int, masses: Float, rows: Int) -> Any:
    """Sparse (G, N) matrix that maps coordinates of atoms to the centers of mass of the chosen bodies."""
    from scipy.sparse import csr_array

    row_of = np.full(int(index.max()) + 1, -1)
    row_of[rows] = np.arange(len(rows))
    atoms = np.flatnonzero(row_of[index] >= 0)
    body = row_of[index[atoms]]
    total = np.bincount(body, weights=masses[atoms], minlength=len(rows))
    return csr_array((masses[atoms] / total[body], (body, atoms)), shape=(len(rows), len(masses)))
