"""From the functions that liquids share and the force field of one liquid to a density model of this liquid."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnformd.errors import InputError
from gnnformd.force_field import ForceField, HarmonicAngle
from gnnformd.graph.distances import CONTACT_SHARE
from gnnformd.model.density.bond_angles import POWERS
from gnnformd.model.density.layer import DensityLayer, Readout
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.scaled_pairs import ScaledPairs
from gnnformd.model.density.settings import ScaledSettings
from gnnformd.model.fluids.functions import FluidFunctions
from gnnformd.reference.type_names import distinct_names
from gnnformd.trajectory.frame import Topology
from gnnformd.units import BOLTZMANN

__all__ = [
    "PairParameters",
    "check_topology",
    "cutoff_of",
    "end_of",
    "parameters_of",
    "second_neighbors",
    "seen_pairs",
    "specialize",
    "state_of",
    "warn_outside",
]

Float = NDArray[np.float64]

LONGEST_BOND = 0.35  # of the cutoff; from half of it on bonds fade out
REPULSION = 4000.0  # of atoms closer than ever in training, in units of the largest epsilon
ANGLES, ANGLE_WIDTH = 200, 0.13  # radian: an angle potential is best within two or three widths of its minimum


class PairParameters:
    """Parameters of each pair of types: ``epsilon``, ``sigma``, ``stiffness`` and ``length``, (T, T).

    Parameters
    ----------
    field
        The force field of a liquid.
    source
        Names it in error messages.

    Raises
    ------
    InputError
        How epsilon and sigma of two types are combined is not known, or is none of the rules.
    """

    def __init__(self, field: ForceField, source: object) -> None:
        own = np.array([kind.epsilon for kind in field.types]), np.array([kind.sigma for kind in field.types])
        there = [k for k, kind in enumerate(field.types) if kind.epsilon > 0 and kind.sigma > 0]
        if field.mixing == "other":
            raise InputError(
                f"{source}: a pair of types has Lennard-Jones parameters of its own, which no rule gives from those of "
                "the two types; use a force field without such pairs."
            )
        if field.mixing is None and len({field.types[k].sigma for k in there}) > 1:
            raise InputError(
                f"{source}: does not say how sigmas of different types are combined; add 'mixing: geometric' or "
                "'mixing: arithmetic' to the force field."
            )
        self.epsilon: Float = np.sqrt(np.outer(*[own[0] * (own[1] > 0)] * 2))
        sigma = own[1]
        mean = 0.5 * (sigma[:, None] + sigma) if field.mixing == "arithmetic" else np.sqrt(np.outer(sigma, sigma))
        self.largest_sigma = max((field.types[k].sigma for k in there), default=0.0)
        self.sigma: Float = np.where(self.epsilon > 0, mean, 1.0)
        scale = np.maximum(sigma[:, None], sigma)
        self.scale: Float = np.where(self.epsilon > 0, mean, np.where(scale > 0, scale, self.largest_sigma))
        self.stiffness: Float = np.zeros_like(mean)
        self.length: Float = np.zeros_like(mean)
        for bond in field.bonds:
            a, b = (number - 1 for number in bond.types)
            if bond.length == 0:
                raise InputError(f"{source}: a bond of length 0 has no unit of length; use a force field without one.")
            for key in ((a, b), (b, a)):
                known = self.stiffness[key], self.length[key]
                if known[1] > 0 and known != (bond.stiffness, bond.length):
                    raise InputError(
                        f"{source}: has two different bonds between types {a + 1} and {b + 1}; give the atoms of one "
                        "of them another type."
                    )
                self.stiffness[key], self.length[key] = bond.stiffness, bond.length


def specialize(functions: FluidFunctions, field: ForceField, source: object) -> DensityModel:
    """Make the density model of one liquid, float64.

    Its network is zero. Everything in it is in units of the force field, so that a liquid with lengths times a
    and energies times b has forces times b/a.

    Parameters
    ----------
    functions
        What liquids share.
    field
        The force field of the liquid.
    source
        Names it in error messages.

    Raises
    ------
    InputError
        The force field has no Lennard-Jones; or a bond is long beside where that ends; or its angles cannot be told
        apart; or see `PairParameters`.
    """
    parameters, count = PairParameters(field, source), len(field.types)
    if parameters.largest_sigma == 0:
        raise InputError(
            f"{source}: no type has epsilon and sigma, so there is no unit of length; use a force field with "
            "Lennard-Jones parameters."
        )
    cutoff = cutoff_of(field, functions.reach)
    if parameters.length.max(initial=0.0) > LONGEST_BOND * cutoff:
        raise InputError(
            f"{source}: a bond is {parameters.length.max():g} angstrom long, too long for a model that reaches "
            f"{cutoff:.3g} angstrom; train a model on this liquid."
        )
    energy = float(parameters.epsilon.max())
    changes: dict[str, Any] = {
        "cutoff": cutoff,
        "features": 1,  # of the network, which is zero: as small as can be
        "width": 1,
        "l_max": 0,
        "body_order": 2,
        "radial_functions": 2,
        "bonded_functions": 2,
        "bond_kinds": 2 if field.bonds else 0,
        "node_features": "embedding",
        "electrostatics": "fixed" if any(kind.charge for kind in field.types) else "none",
        "repulsion": REPULSION * energy,
        "scaled_functions": len(functions.pair),
        "scaled_reach": functions.reach,
        "scaled_end": end_of(field, functions.reach),
    }
    settings = ScaledSettings(**changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the same liquid has the same model, whatever was drawn before
        model = DensityModel(settings, count).double()
    with torch.no_grad():
        model.network.energy_scale.fill_(energy)
        _silence(model)
        term = model.pair_terms["scaled"]
        assert isinstance(term, ScaledPairs)
        term.pair.copy_(torch.tensor(functions.pair, dtype=torch.float64))
        term.bond.copy_(torch.tensor(functions.bond, dtype=torch.float64))
        term.epsilons.copy_(torch.from_numpy(parameters.epsilon))
        term.sigmas.copy_(torch.from_numpy(parameters.sigma))
        term.stiffnesses.copy_(torch.from_numpy(parameters.stiffness))
        term.lengths.copy_(torch.from_numpy(parameters.length))
        term.weights.copy_(torch.tensor((1.0, *field.special_lj)))
        model.angles.coefficients.copy_(_angles(functions, field, source))
        model.contacts.distances.copy_(_contacts(model.contacts.distances, functions, field, parameters))
    return model.eval()


def end_of(field: ForceField, reach: float) -> float | None:
    """Where Lennard-Jones of a force field ends, angstrom; None if that is not before functions of this reach end.

    Parameters
    ----------
    field
        The force field.
    reach
        Of the functions, in units of sigma.
    """
    return field.lj_cutoff if field.lj_cutoff < (1 - 1e-6) * reach * _largest_sigma(field) else None


def cutoff_of(field: ForceField, reach: float) -> float:
    """Where the last pair of atoms stops to feel each other but for charges, angstrom; parameters as for `end_of`."""
    return end_of(field, reach) or reach * _largest_sigma(field)


def _largest_sigma(field: ForceField) -> float:
    return max(kind.sigma for kind in field.types if kind.epsilon > 0)


def _silence(model: DensityModel) -> None:
    """Make the network zero."""
    for layer in model.network.layers:
        assert isinstance(layer, DensityLayer)
        nn.init.zeros_(layer.polynomial.weight)
        if layer.couplings is not None:
            nn.init.zeros_(layer.couplings.weight)
    for readout in model.network.readouts:
        assert isinstance(readout, Readout)
        nn.init.zeros_(readout.last.weight)


def _contacts(unseen: Tensor, functions: FluidFunctions, field: ForceField, parameters: PairParameters) -> Tensor:
    """Contact distances, angstrom, (4, T, T); bonds that the force field does not have keep theirs."""
    contacts = unseen.clone()
    closest = functions.closest
    share = np.where(parameters.epsilon > 0, closest["pair"], closest["bare_pair"])
    apart = torch.from_numpy(CONTACT_SHARE * share * parameters.scale)
    contacts[0], contacts[3] = apart, apart
    for a, b in zip(*np.nonzero(parameters.length), strict=True):
        contacts[1, a, b] = CONTACT_SHARE * closest["bond"] * parameters.length[a, b]
    for one, other, distance in second_neighbors(field, parameters):
        contacts[2, one, other] = contacts[2, other, one] = CONTACT_SHARE * closest["second"] * distance
    return contacts


def second_neighbors(field: ForceField, parameters: PairParameters) -> Iterator[tuple[int, int, float]]:
    """Types of the ends of each angle, and their distance at rest, angstrom."""
    for angle in field.angles:
        a, m, c = (number - 1 for number in angle.types)
        one, other = parameters.length[a, m], parameters.length[m, c]
        square = one**2 + other**2 - 2 * one * other * np.cos(np.radians(angle.angle))
        yield a, c, float(np.sqrt(square))


def _angles(functions: FluidFunctions, field: ForceField, source: object) -> Tensor:
    """Coefficients of the powers of the cosine, (POWERS, T, T): of a middle and one of its two ends.

    Raises
    ------
    InputError
        Energies of the angles of one middle are no sums over their ends.
    """
    count = len(field.types)
    coefficients = torch.zeros(POWERS, count, count, dtype=torch.float64)
    for middle in range(1, count + 1):
        angles = [angle for angle in field.angles if angle.types[1] == middle]
        if not angles:
            continue
        rows = np.zeros((len(angles), count))
        for row, angle in zip(rows, angles, strict=True):
            row[angle.types[0] - 1] += 1.0
            row[angle.types[2] - 1] += 1.0
        wanted = np.stack([_powers_of_cosine(functions, angle) for angle in angles])  # (A, POWERS)
        found = np.linalg.lstsq(rows, wanted, rcond=1e-9)[0]  # (T, POWERS)
        if np.abs(rows @ found - wanted).max() > 1e-9 * np.abs(wanted).max():
            raise InputError(
                f"{source}: angles around type {middle} ({field.names[middle - 1]}) differ in a way that is no sum "
                "over their two ends; give the middles of different angles different types."
            )
        coefficients[:, middle - 1] = torch.from_numpy(found.T)
    return coefficients


def _powers_of_cosine(functions: FluidFunctions, angle: HarmonicAngle) -> Float:
    """Polynomial in the cosine whose slopes are nearest to those of an angle potential, kcal/mol, (POWERS,)."""
    rest = np.radians(angle.angle)
    theta = np.linspace(max(rest - 3 * ANGLE_WIDTH, 0.05), min(rest + 3 * ANGLE_WIDTH, np.pi), ANGLES)
    bend = theta - rest
    slope = sum(n * c * bend ** (n - 1) for n, c in enumerate(functions.angle, start=2))
    weight = np.exp(-0.5 * (bend / ANGLE_WIDTH) ** 2)
    powers = np.stack([-n * np.cos(theta) ** (n - 1) * np.sin(theta) for n in range(1, POWERS + 1)], axis=1)
    fitted: Float = np.linalg.lstsq(weight[:, None] * powers, weight * slope, rcond=None)[0]
    return angle.stiffness * fitted


def check_topology(field: ForceField, topology: Topology, source: object) -> None:
    """Refuse a system with bonds or angles that its force field does not describe.

    Parameters
    ----------
    field
        Knows one bond for each pair of types and one angle for each three.
    topology
        Of the system.
    source
        Names it in error messages.

    Raises
    ------
    InputError
        Names the types.
    """
    if topology.bonds is None or len(topology.bonds) == 0:
        return
    types = topology.types
    bonds = {tuple(sorted(bond.types)) for bond in field.bonds}
    for pair in np.unique(np.sort(types[topology.bonds], axis=1), axis=0).tolist():
        if tuple(pair) not in bonds:
            raise InputError(f"{source}: no bond between types {pair[0]} and {pair[1]} is in its force field; add it.")
    described = {_ordered(angle.types) for angle in field.angles}
    partners: dict[int, list[int]] = {}
    for a, b in topology.bonds.tolist():
        partners.setdefault(a, []).append(int(types[b]))
        partners.setdefault(b, []).append(int(types[a]))
    found = {
        _ordered((one, int(types[atom]), other))
        for atom, ends in partners.items()
        for k, one in enumerate(ends)
        for other in ends[k + 1 :]
    }
    for angle in sorted(found - described):
        raise InputError(
            f"{source}: no angle of types {', '.join(map(str, angle))} is in its force field; models for many liquids "
            "need one between each two bonds of an atom."
        )


def _ordered(types: tuple[int, int, int]) -> tuple[int, int, int]:
    a, middle, c = types
    return min(a, c), middle, max(a, c)


def warn_outside(
    functions: FluidFunctions,
    field: ForceField,
    source: object,
    *,
    topology: Topology | None = None,
    temperature: float | None = None,
) -> None:
    """Warn of parameters, density and temperature that no liquid of the training had the like of.

    Parameters
    ----------
    functions
        Know the ranges of the training; what they do not know of is not judged.
    field, topology
        Of the liquid.
    source
        Names it in the warning.
    temperature
        Of a simulation, K.
    """
    found = parameters_of(field) | state_of(field, topology, temperature)
    outside = []
    for name, values in found.items():
        if name not in functions.ranges and name in _STATE:
            continue
        low, high = functions.ranges.get(name, (0.0, 0.0))
        wrong = [value for value in values if not low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        outside += [f"{_STATE.get(name, name)} {value:g} (from {low:.3g} to {high:.3g})" for value in wrong]
    if outside:
        warnings.warn(
            f"{source}: outside the training of the model are {', '.join(outside)}; check the forces.", stacklevel=2
        )


_STATE = {"density": "density in 1/sigma^3", "temperature": "temperature in epsilon/k_B"}


def state_of(field: ForceField, topology: Topology | None, temperature: float | None) -> dict[str, list[float]]:
    """Density and temperature of a liquid in units of its Lennard-Jones parameters.

    Parameters
    ----------
    field
        Of the liquid.
    topology
        Its atoms, for ``density``, the sum of ``sigma^3`` over all atoms with Lennard-Jones divided by the volume.
    temperature
        K, for ``temperature``, ``k_B T`` divided by the largest epsilon.
    """
    found = {}
    if topology is not None:
        cubes = np.array([kind.sigma**3 if kind.epsilon > 0 else 0.0 for kind in field.types])
        volume = abs(float(np.linalg.det(topology.cell)))
        found["density"] = [float(cubes[topology.types - 1].sum()) / volume]
    if temperature is not None:
        found["temperature"] = [BOLTZMANN * temperature / max(kind.epsilon for kind in field.types)]
    return found


def parameters_of(field: ForceField) -> dict[str, list[float]]:
    """Parameters of a force field by the names of `FluidFunctions.ranges`; charges without their signs."""
    found = {
        "epsilon": [kind.epsilon for kind in field.types if kind.epsilon > 0 and kind.sigma > 0],
        "sigma": [kind.sigma for kind in field.types if kind.epsilon > 0 and kind.sigma > 0],
        "charge": [abs(kind.charge) for kind in field.types if kind.charge],
        "stiffness": [bond.stiffness for bond in field.bonds],
        "length": [bond.length for bond in field.bonds],
        "bending": [angle.stiffness for angle in field.angles],
        "angle": [angle.angle for angle in field.angles],
    }
    return {name: values for name, values in found.items() if values}


def seen_pairs(model: DensityModel, field: ForceField) -> list[tuple[int, str, str, float]]:
    """Kinds of bond and names of types that the model knows, and how close they came: for its card."""
    distances, labels = model.contacts.distances.double(), distinct_names(field.names)
    found = []
    for kind, one, other in product(range(4), range(len(field.types)), range(len(field.types))):
        if one <= other and model.closest_in_data(kind, one, other) is not None:
            found.append((kind, labels[one], labels[other], float(distances[kind, one, other]) / CONTACT_SHARE))
    return found
