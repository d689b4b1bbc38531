"""Structure of a run compared with the reference: g(r), bonds, angles, dihedrals, and how long the run is stable."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.evaluation.liquid.geometry import angles, bond_lengths, by_types, chains_of_four, dihedrals, histograms
from gnnformd.evaluation.liquid.md_curves import MeasuredCurve, curve_to_dict, largest_difference
from gnnformd.evaluation.liquid.observed_run import ObservedRun
from gnnformd.evaluation.liquid.radial import MAX_DISTANCE, RadialDistribution, narrowest_width, radial_distribution
from gnnformd.evaluation.liquid.stability import Departure, bonds_leave, earliest, rdf_leaves
from gnnformd.evaluation.liquid.statistics import MIN_BLOCKS, Estimate, at_least, error_among, estimate
from gnnformd.evaluation.liquid.verdict import Observable
from gnnformd.trajectory.frame import Frame

__all__ = ["Structure", "structure"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_MAX_FRAMES, _MIN_FRAMES, _MAX_ATOMS = 2000, 25, 2_500_000
"""Bounds of the number of frames that are compared, and of the atoms in all of them together."""

_MEASURES: Mapping[str, Callable[[Sequence[Frame], Int], Float]] = {
    "bonds": bond_lengths,
    "angles": angles,
    "dihedrals": dihedrals,
}
_BINS = 100
_BETWEEN_ISOMERS, _MIN_TURNS = 110.0, 20.0
"""Dihedral between cis or gauche and trans, degrees; changes of a chain from which on its mean has a known error."""

_MOLECULAR_BAND, _ATOMIC_BAND = 3.0, 1.0
"""Fu et al. (arXiv 2210.07237) allow 3 angstrom for water and 1 angstrom for a material without molecules."""


@dataclass(frozen=True)
class Structure:
    """Comparison of the structure.

    Attributes
    ----------
    observables
        Largest difference of each g(r); mean and width of each kind of bond and angle; mean cosine of dihedrals.
    curves
        By family and name, as written to JSON.
    departure
        When the run left the band around the reference; None if it did not.
    checked_ps
        Length of the part of the run that was checked; None where there was nothing to check.
    """

    observables: dict[str, Observable]
    curves: dict[str, dict[str, dict[str, Any]]]
    departure: Departure | None
    checked_ps: float | None


@dataclass(frozen=True)
class _Sampled:
    """Frames of one run, and which of them are equilibrated, (T,); the last one always is."""

    run: ObservedRun
    frames: list[Frame]
    equilibrated: NDArray[np.bool_]

    @classmethod
    def of(cls, run: ObservedRun | None) -> _Sampled | None:
        if run is None:
            return None
        frames = run.sampled_frames(max(_MIN_FRAMES, min(_MAX_FRAMES, _MAX_ATOMS // len(run.topology.ids))))
        if not frames:
            return None
        first = min(run.first_step, frames[-1].timestep)
        return cls(run, frames, np.array([f.timestep >= first for f in frames]))

    @property
    def molecules_known(self) -> bool:
        return all(frame.molecule_ids is not None for frame in self.frames)


@dataclass(frozen=True)
class _Members:
    """All bonds, all angles or all dihedrals of one kind.

    Attributes
    ----------
    values
        Length, angle or dihedral in each frame, (T, M).
    molecule
        Molecule of each, (M,).
    """

    values: Float
    molecule: Int


def structure(run: ObservedRun, reference: ObservedRun | None, names: Sequence[str]) -> Structure:
    """Compare the structure of at most 2000 frames of each run, fewer of large systems.

    Pairs within a molecule are left out of g(r) where both dumps have molecule ids.

    Parameters
    ----------
    run, reference
        The reference may be None.
    names
        ``names[t - 1]`` names type t.
    """
    ours, theirs = _Sampled.of(run), _Sampled.of(reference)
    if ours is None:
        return Structure({}, {}, None, None)
    observables: dict[str, Observable] = {}
    curves: dict[str, dict[str, dict[str, Any]]] = {}
    departures = [
        _compare_rdf(ours, theirs, names, observables, curves),
        _compare_bonds(ours, theirs, names, observables, curves),
    ]
    _compare_angles(ours, theirs, names, observables, curves)
    _compare_dihedrals(ours, theirs, names, observables, curves)
    compared = any(curve["reference"] is not None for curve in curves.get("rdf", {}).values())
    checked = compared or len(run.topology.bonds) > 0
    times = _times_ps(ours)
    return Structure(observables, curves, earliest(departures), float(times[-1] - times[0]) if checked else None)


def _compare_rdf(
    ours: _Sampled,
    theirs: _Sampled | None,
    names: Sequence[str],
    observables: dict[str, Observable],
    curves: dict[str, dict[str, dict[str, Any]]],
) -> Departure | None:
    both = [sampled for sampled in (ours, theirs) if sampled is not None]
    if not all(all(frame.periodic) for sampled in both for frame in sampled.frames):
        return None  # there is no mean density in empty space
    exclude_molecules = len(ours.run.topology.bonds) > 0 and all(sampled.molecules_known for sampled in both)
    # a little less than half because of rounding
    r_max = min(MAX_DISTANCE, 0.499 * min(narrowest_width(frame) for sampled in both for frame in sampled.frames))
    found = [radial_distribution(s.frames, names, r_max=r_max, exclude_molecules=exclude_molecules) for s in both]
    means = [
        {pair: MeasuredCurve.of_histograms(c.r, c.g[s.equilibrated], c.ideal) for pair, c in curve.items()}
        for s, curve in zip(both, found, strict=True)
    ]
    known: Mapping[str, MeasuredCurve] = means[1] if theirs is not None else {}
    curves["rdf"] = {pair: curve_to_dict("rdf", mean, known.get(pair)) for pair, mean in means[0].items()}
    for pair, mean in means[0].items():
        if pair in known:
            gap = largest_difference(mean, known[pair])
            observables[f"largest gap of g(r), {pair}"] = replace(gap, asked_first="g(r)")
    checked: dict[str, RadialDistribution] = {pair: c for pair, c in found[0].items() if pair in known}
    if not checked:
        return None
    band = _MOLECULAR_BAND if len(ours.run.topology.bonds) else _ATOMIC_BAND
    return rdf_leaves(_times_ps(ours), checked, known, band)


def _compare_bonds(
    ours: _Sampled,
    theirs: _Sampled | None,
    names: Sequence[str],
    observables: dict[str, Observable],
    curves: dict[str, dict[str, dict[str, Any]]],
) -> Departure | None:
    lengths = _by_kind(ours, "bonds", names)
    known = {} if theirs is None else _by_kind(theirs, "bonds", names)
    for kind, mine in lengths.items():
        other = known.get(kind)
        curves.setdefault("bond_lengths", {})[kind] = _distribution("bond_lengths", ours, mine, theirs, other)
        observables |= _mean_and_width(f"bond {kind}, angstrom", ours, mine, theirs, other)
    # without a reference bonds are compared with the first frame of the run
    means = {
        kind: float((known[kind].values if kind in known else mine.values[:1]).mean()) for kind, mine in lengths.items()
    }
    return bonds_leave(_times_ps(ours), {kind: mine.values for kind, mine in lengths.items()}, means)


def _compare_angles(
    ours: _Sampled,
    theirs: _Sampled | None,
    names: Sequence[str],
    observables: dict[str, Observable],
    curves: dict[str, dict[str, dict[str, Any]]],
) -> None:
    known = {} if theirs is None else _by_kind(theirs, "angles", names)
    for kind, mine in _by_kind(ours, "angles", names).items():
        other = known.get(kind)
        curves.setdefault("angles", {})[kind] = _distribution("angles", ours, mine, theirs, other)
        observables |= _mean_and_width(f"angle {kind}, degrees", ours, mine, theirs, other)


def _compare_dihedrals(
    ours: _Sampled,
    theirs: _Sampled | None,
    names: Sequence[str],
    observables: dict[str, Observable],
    curves: dict[str, dict[str, dict[str, Any]]],
) -> None:
    """Distributions, and mean cosines: of chains that turn in steps a width would say nothing."""
    known = {} if theirs is None else _by_kind(theirs, "dihedrals", names)
    for kind, mine in _by_kind(ours, "dihedrals", names).items():
        other = known.get(kind)
        curves.setdefault("dihedrals", {})[kind] = _distribution("dihedrals", ours, mine, theirs, other, (0.0, 180.0))
        found = _mean_cosine(ours, mine)
        reference = None if theirs is None or other is None else _mean_cosine(theirs, other)
        if theirs is not None and other is not None and _turn_rarely((ours, mine), (theirs, other)):
            found = replace(found, standard_error=math.nan)
        observables[f"mean cosine of dihedral {kind}"] = Observable(found, reference)


def _mean_cosine(sampled: _Sampled, members: _Members) -> Estimate:
    cosines = np.cos(np.radians(members.values[sampled.equilibrated]))
    return at_least(estimate(cosines.mean(axis=1)), error_among(cosines.mean(axis=0), members.molecule))


def _turn_rarely(*runs: tuple[_Sampled, _Members]) -> bool:
    """Whether the chains of few molecules are in different isomers, between which they hardly changed.

    The spread along such a run is that of vibrations, and there are too few molecules for one among them.
    """
    if min(len(np.unique(members.molecule)) for _, members in runs) >= MIN_BLOCKS:
        return False
    far = [members.values[sampled.equilibrated] > _BETWEEN_ISOMERS for sampled, members in runs]
    if all((of_run == far[0][0]).all() for of_run in far):
        return False
    turns = [np.count_nonzero(of_run[1:] != of_run[:-1], axis=0).mean() for of_run in far]
    return bool(min(turns) < _MIN_TURNS)


def _by_kind(sampled: _Sampled, what: str, names: Sequence[str]) -> dict[str, _Members]:
    """Lengths, angles or dihedrals in each frame by the names of the types."""
    topology = sampled.run.topology
    members: Int = chains_of_four(topology.bonds) if what == "dihedrals" else getattr(topology, what)
    if not len(members):
        return {}
    values = _MEASURES[what](sampled.frames, members)
    atoms = members[:, 1]
    molecule = atoms if topology.molecule_ids is None else topology.molecule_ids[atoms]
    kinds = by_types(members, topology.types, names)
    return {kind: _Members(values[:, rows], molecule[rows]) for kind, rows in kinds.items()}


def _distribution(
    family: str,
    ours: _Sampled,
    mine: _Members,
    theirs: _Sampled | None,
    known: _Members | None,
    limits: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Histograms between limits, or where nearly all values are."""
    if limits is None:
        everything = np.concatenate([members.values.ravel() for members in (mine, known) if members is not None])
        limits = float(np.quantile(everything, 0.0002)), float(np.quantile(everything, 0.9998))
    low, high = limits
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    middle = (edges[1:] + edges[:-1]) / 2

    def measured(sampled: _Sampled, members: _Members) -> MeasuredCurve:
        return MeasuredCurve.of_histograms(middle, *histograms(members.values[sampled.equilibrated], edges))

    reference = None if theirs is None or known is None else measured(theirs, known)
    return curve_to_dict(family, measured(ours, mine), reference)


def _mean_and_width(
    name: str, ours: _Sampled, mine: _Members, theirs: _Sampled | None, known: _Members | None
) -> dict[str, Observable]:
    found = _estimates(ours, mine)
    others = (None, None) if theirs is None or known is None else _estimates(theirs, known)
    labels = f"mean {name}", f"width of {name}"
    return {label: Observable(one, other) for label, one, other in zip(labels, found, others, strict=True)}


def _estimates(sampled: _Sampled, members: _Members) -> tuple[Estimate, Estimate]:
    """Mean and width over the equilibrated frames.

    A stiff bond keeps its vibrational energy for many ps. A shorter series does not show how slowly mean and width
    change, but the spread among molecules does: the larger of the two errors is taken.
    """
    values = members.values[sampled.equilibrated]
    mean, width = (estimate(reduce(values, axis=1)) for reduce in (np.mean, np.std))
    squares = (values - values.mean()) ** 2
    of_mean, of_square = (error_among(x.mean(axis=0), members.molecule) for x in (values, squares))
    return at_least(mean, of_mean), at_least(width, of_square / (2 * width.value) if width.value > 0 else 0.0)


def _times_ps(sampled: _Sampled) -> Float:
    steps = np.array([frame.timestep for frame in sampled.frames], dtype=np.float64)
    times: Float = steps * (sampled.run.timestep_fs or 0.0) * 1e-3
    return times
