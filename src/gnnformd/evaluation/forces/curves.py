"""Force curves: forces between two atoms at distance d, by a model and by the force field of its training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.force_field import AtomType, ForceField, HarmonicBond
from gnnformd.inference.batch import needs_physical_features
from gnnformd.trajectory.frame import Frame
from gnnformd.units import COULOMB

if TYPE_CHECKING:
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["Curve", "PairCase", "curves_to_dict", "force_curves", "pair_cases", "pair_force"]

Float = NDArray[np.float64]

BOX = 60.0
"""Edge of the empty box, angstrom: far beyond every cutoff, and so large that the periodic images of the pair add
less than 0.02 kcal/mol/angstrom in a model with an Ewald sum."""

# The ranges of the original figures and the parameters they were drawn for; for other systems they are scaled.
LENNARD_JONES_RANGE, LENNARD_JONES_SIGMA = (2.5, 4.5), 3.165
COULOMB_RANGE = (1.0, 5.0)
BOND_RANGE, BOND_LENGTH = (0.90, 1.15), 1.012


@dataclass(frozen=True)
class PairCase:
    """Two atoms whose distance is scanned.

    Attributes
    ----------
    name
        Interaction between them: ``Lennard-Jones``, ``Coulomb`` or ``harmonic bond``.
    detail
        Which atoms and which parameters.
    types
        LAMMPS types of the atom at the origin and of the one at (d, 0, 0).
    bonded
        Whether the two are joined by a bond.
    force_field
        Parameters of these types, as given to the model.
    distance
        angstrom, (n,).
    in_data
        Whether such a pair can occur in the data: false where charges or epsilons were changed to isolate one term.
    """

    name: str
    detail: str
    types: tuple[int, int]
    bonded: bool
    force_field: ForceField
    distance: Float
    in_data: bool = True


@dataclass(frozen=True)
class Curve:
    """Reference and predicted force on the second atom of a pair.

    The first atom is at the origin, the second at (d, 0, 0): a positive x component is repulsive, y and z must
    vanish.

    Attributes
    ----------
    name, detail
        See `PairCase`.
    distance
        angstrom, (n,).
    reference, predicted
        kcal/mol/angstrom, (n, 3).
    data_from
        Shortest distance of such a pair in the training data, angstrom; None if there was none, or if it is unknown.
    """

    name: str
    detail: str
    distance: Float
    reference: Float
    predicted: Float
    data_from: float | None = None

    @property
    def rms_error(self) -> float:
        """``sqrt(mean ||predicted - reference||^2)`` over the curve, kcal/mol/angstrom."""
        return _rms(self.predicted - self.reference)

    @property
    def relative_rms_error(self) -> float:
        """`rms_error` over the rms of the reference, ``sqrt(mean ||reference||^2)``."""
        return self.rms_error / _rms(self.reference)

    @property
    def relative_rms_error_in_data(self) -> float | None:
        """`relative_rms_error` over the distances that occur in the training data, or None."""
        if self.data_from is None or not (self.distance >= self.data_from).any():
            return None
        inside = self.distance >= self.data_from
        return _rms((self.predicted - self.reference)[inside]) / _rms(self.reference[inside])

    @property
    def max_transverse(self) -> float:
        """Largest ``|y|`` or ``|z|`` of the prediction, kcal/mol/angstrom."""
        return float(np.abs(self.predicted[:, 1:]).max())

    def to_dict(self) -> dict[str, Any]:
        """Return what is written as JSON; ``reference`` and ``predicted`` are mappings of x, y and z."""
        return {
            "name": self.name,
            "detail": self.detail,
            "units": {"distance": "angstrom", "force": "kcal/mol/angstrom"},
            "force_on": "second atom, at (d, 0, 0); the first is at the origin",
            "distance": self.distance.tolist(),
            "reference": {axis: self.reference[:, k].tolist() for k, axis in enumerate("xyz")},
            "predicted": {axis: self.predicted[:, k].tolist() for k, axis in enumerate("xyz")},
            "rms_error": self.rms_error,
            "relative_rms_error": self.relative_rms_error,
            "data_from": self.data_from,
            "relative_rms_error_in_data": self.relative_rms_error_in_data,
            "max_transverse": self.max_transverse,
        }


def force_curves(loaded: LoadedModel, *, points: int = 101) -> list[Curve]:
    """Scan two isolated atoms over the distances of the original figures.

    Parameters
    ----------
    loaded
        A model whose card has the force field it learned from.
    points
        Distances on each curve.

    Raises
    ------
    InputError
        The model file has no force field, so there is nothing to compare with.
    """
    field = loaded.card.force_field
    if field is None:
        raise InputError(
            f"{loaded.path}: the model file has no force field to compare its curves with; train on data that has one."
        )
    cases = pair_cases(field, separable=needs_physical_features(loaded.card), points=points)
    if not cases:
        raise InputError(
            f"{loaded.path}: its force field has no Lennard-Jones term, charge or bond; curves need one of them."
        )
    return [_scan(loaded, case) for case in cases]


def curves_to_dict(model: str, curves: Sequence[Curve]) -> dict[str, Any]:
    """Return what ``curves`` writes as JSON.

    Parameters
    ----------
    model
        Path or name of the model.
    curves
        Result of `force_curves`.
    """
    return {"model": model, "curves": [c.to_dict() for c in curves]}


def pair_cases(field: ForceField, *, separable: bool = True, points: int = 101) -> list[PairCase]:
    """Choose the pairs that show each term of a force field.

    - Lennard-Jones: two atoms of the type with the largest epsilon, not bonded, their charges set to zero.
    - Coulomb: the pair of types with the most negative ``q_i q_j`` (else the largest in magnitude), not bonded;
      epsilon is set to zero unless one of the two is zero already (water: O and H unchanged).
    - Harmonic bond: two atoms joined by the stiffest bond, unchanged.

    Parameters
    ----------
    field
        Describes the types.
    separable
        Whether charges and epsilons are inputs of the model, so that they can be changed. With learned vectors per type
        they are not: pairs are taken unchanged, and ``detail`` names the interactions.
    points
        Distances on each curve.
    """
    found = (_lennard_jones(field, separable, points), _coulomb(field, separable, points), _bond(field, points))
    return [case for case in found if case is not None]


def pair_force(case: PairCase) -> Float:
    """Force on the second atom by the force field, kcal/mol/angstrom, (n, 3).

    ``F_x = w_LJ 24 eps/d (2 (sigma/d)^12 - (sigma/d)^6) + w_C C q_1 q_2 / d^2 - 2 k (d - r0)`` with geometric mixing
    (LAMMPS's default) and the last term for bonded atoms, whose weights ``w`` are those of ``special_bonds``; atoms
    that are not bonded have weights of 1.
    """
    field, d = case.force_field, case.distance
    first, second = (field.types[t - 1] for t in case.types)
    weight_lj, weight_coul = (field.special_lj[0], field.special_coul[0]) if case.bonded else (1.0, 1.0)
    epsilon, sigma = np.sqrt(first.epsilon * second.epsilon), np.sqrt(first.sigma * second.sigma)
    power = (sigma / d) ** 6
    force = np.where(d < field.lj_cutoff, weight_lj * 24 * epsilon / d * (2 * power**2 - power), 0.0)
    force = force + weight_coul * COULOMB * first.charge * second.charge / d**2
    if case.bonded:
        bond = _bond_between(field, case.types)
        force = force - 2 * bond.stiffness * (d - bond.length)
    return np.stack([force, np.zeros_like(d), np.zeros_like(d)], axis=1)


def _scan(loaded: LoadedModel, case: PairCase) -> Curve:
    import torch

    from gnnformd.graph.build import build_graph
    from gnnformd.model.choose_engine import GraphPredictor

    graphs = [build_graph(_pair(case, float(d)), loaded.card.cutoff, case.force_field) for d in case.distance]
    # a network that averages over all it is given must not average over several distances
    parts = [[graph] for graph in graphs] if loaded.model.batch_wide else [graphs]
    predict = GraphPredictor(loaded.model.eval(), fast=False)  # pairs of atoms are many and small
    predictions = [predict(part).forces.detach().cpu() for part in parts]
    forces = torch.cat(predictions).double().numpy()  # (2 n, 3)
    first, second = (t - 1 for t in case.types)
    shortest = loaded.model.closest_in_data(int(case.bonded), first, second) if case.in_data else None
    return Curve(case.name, case.detail, case.distance, pair_force(case), forces[1::2], shortest)


def _pair(case: PairCase, distance: float) -> Frame:
    return Frame(
        timestep=0,
        cell=np.eye(3) * BOX,
        origin=np.full(3, -BOX / 2),
        periodic=(False, False, False),
        ids=np.array([1, 2]),
        types=np.array(case.types),
        positions=np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]]),
        molecule_ids=np.array([1, 1 if case.bonded else 2]),
        bonds=np.array([[0, 1]] if case.bonded else [], dtype=np.int64).reshape(-1, 2),
    )


def _lennard_jones(field: ForceField, separable: bool, points: int) -> PairCase | None:
    t = max(range(1, len(field.types) + 1), key=lambda t: field.types[t - 1].epsilon)
    atom = field.types[t - 1]
    if atom.epsilon == 0 or atom.sigma == 0:
        return None
    detail = f"{atom.name} and {atom.name}, not bonded"
    if atom.charge and separable:
        field, detail = _changed(field, t, replace(atom, charge=0.0)), f"{detail}, charges set to zero"
    elif atom.charge:
        detail = f"{detail}, Lennard-Jones and Coulomb together"
    grid = _grid(LENNARD_JONES_RANGE, atom.sigma / LENNARD_JONES_SIGMA, points)
    return PairCase("Lennard-Jones", detail, (t, t), False, field, grid, in_data=not (atom.charge and separable))


def _coulomb(field: ForceField, separable: bool, points: int) -> PairCase | None:
    def product(pair: tuple[int, int]) -> float:
        return field.types[pair[0] - 1].charge * field.types[pair[1] - 1].charge

    pairs = list(combinations_with_replacement(range(1, len(field.types) + 1), 2))
    pair = min(pairs, key=product)
    if product(pair) >= 0:
        pair = max(pairs, key=product)
    if product(pair) == 0:
        return None
    first, second = (field.types[t - 1] for t in pair)
    detail = f"{first.name} and {second.name}, not bonded"
    changed = bool(first.epsilon * second.epsilon) and separable
    if changed:
        for t in pair:
            field = _changed(field, t, replace(field.types[t - 1], epsilon=0.0, sigma=0.0))
        detail = f"{detail}, epsilons set to zero"
    elif first.epsilon * second.epsilon:
        detail = f"{detail}, Coulomb and Lennard-Jones together"
    return PairCase("Coulomb", detail, pair, False, field, _grid(COULOMB_RANGE, 1.0, points), in_data=not changed)


def _bond(field: ForceField, points: int) -> PairCase | None:
    if not field.bonds:
        return None
    bond = max(field.bonds, key=lambda b: b.stiffness)
    first, second = (field.types[t - 1].name for t in bond.types)
    grid = _grid(BOND_RANGE, bond.length / BOND_LENGTH, points)
    return PairCase("harmonic bond", f"{first} and {second}, bonded", bond.types, True, field, grid)


def _bond_between(field: ForceField, types: tuple[int, int]) -> HarmonicBond:
    return next(b for b in field.bonds if sorted(b.types) == sorted(types))


def _changed(field: ForceField, number: int, changed: AtomType) -> ForceField:
    return replace(field, types=tuple(changed if k == number else t for k, t in enumerate(field.types, start=1)))


def _grid(limits: tuple[float, float], scale: float, points: int) -> Float:
    return np.linspace(limits[0] * scale, limits[1] * scale, points)


def _rms(vectors: Float) -> float:
    return float(np.sqrt((vectors**2).sum(axis=1).mean()))
