"""Properties of a finished LAMMPS run: sizes, variables and the force field."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["describe", "mixing_rule", "plain_style"]

Float: TypeAlias = NDArray[np.float64]

_ACCELERATOR = re.compile(r"/(omp|opt|gpu|intel|kk(/device|/host)?)$")


def describe(lmp: Any, variable_names: list[str]) -> dict[str, Any]:
    """Collect the content of ``reference.yaml``; every rank must call it.

    Parameters
    ----------
    lmp
        A LAMMPS instance at the end of its input.
    variable_names
        Names of index-style variables to record.
    """
    variables = {}
    for name in variable_names:
        if lmp.has_id("variable", name):  # one whose values a loop has used up is no more
            value = lmp.extract_variable(name)
            if isinstance(value, str):
                variables[name] = value
    return {
        "units": lmp.extract_global("units"),
        "lammps_version": lmp.version(),
        "atoms": int(lmp.get_natoms()),
        "periodic": [flag == 1 for flag in lmp.extract_box()[5]],
        "timestep": lmp.extract_global("dt"),
        "variables": variables,
        "pair_style": str(lmp.extract_global("pair_style")),
        "types": _types(lmp),
        "mixing": _mixing(lmp),
        "bond_types": _bonded(lmp, "bonds"),
        "angle_types": _bonded(lmp, "angles"),
        "tail_energy": float(lmp.get_thermo("etail")),
        "special_lj": _special(lmp, "special_lj"),
        "special_coul": _special(lmp, "special_coul"),
    }


def _gather(lmp: Any, name: str, kind: int) -> np.ndarray[Any, Any]:
    """Values of all atoms in LAMMPS's order; ids may have gaps."""
    return np.array(lmp.gather_atoms_concat(name, kind, 1))


def _types(lmp: Any) -> list[dict[str, float | None]]:
    """Mass, charge (None where it differs from atom to atom), epsilon and sigma of each type."""
    count = lmp.extract_setting("ntypes")
    masses = lmp.extract_atom("mass")
    types = _gather(lmp, "type", 0)
    charges = _gather(lmp, "q", 1) if lmp.extract_setting("q_flag") else None
    epsilon, sigma = (lmp.extract_pair(name) for name in ("epsilon", "sigma"))
    found: list[dict[str, float | None]] = []
    for t in range(1, count + 1):
        values = np.unique(charges[types == t]) if charges is not None else np.zeros(1)
        found.append(
            {
                "mass": float(masses[t]) if masses else None,
                "charge": float(values[0]) if len(values) == 1 else (0.0 if len(values) == 0 else None),
                "epsilon": None if epsilon is None else float(epsilon[t][t]),
                "sigma": None if sigma is None else float(sigma[t][t]),
            }
        )
    return found


def _mixing(lmp: Any) -> str | None:
    epsilon, sigma = (lmp.extract_pair(name) for name in ("epsilon", "sigma"))
    if epsilon is None or sigma is None:
        return None
    numbers = range(1, lmp.extract_setting("ntypes") + 1)
    epsilons, sigmas = (np.array([[float(m[i][j]) for j in numbers] for i in numbers]) for m in (epsilon, sigma))
    return mixing_rule(epsilons, sigmas)


def plain_style(style: str) -> str:
    """Name of a style without the suffix of an accelerator package.

    >>> plain_style("lj/cut/coul/long/omp"), plain_style("harmonic/shift")
    ('lj/cut/coul/long', 'harmonic/shift')
    """
    return _ACCELERATOR.sub("", style)


def mixing_rule(epsilon: Float, sigma: Float, tolerance: float = 1e-9) -> str | None:
    """Find the rule that gives epsilon and sigma of all pairs of types, as `ForceField.mixing` has it.

    Parameters
    ----------
    epsilon, sigma
        Of each pair of types, (T, T).
    tolerance
        Relative difference up to which numbers are equal.
    """
    one, other = np.triu_indices(len(epsilon), 1)
    own_epsilon, own_sigma = (m.diagonal() for m in (epsilon, sigma))
    pair_epsilon, pair_sigma = (m[one, other] for m in (epsilon, sigma))
    if not np.allclose(pair_epsilon, np.sqrt(own_epsilon[one] * own_epsilon[other]), rtol=tolerance, atol=0.0):
        return "other"
    there = pair_epsilon > 0.0  # sigma does not matter where epsilon is zero
    one, other, pair_sigma = one[there], other[there], pair_sigma[there]
    rules = {
        "geometric": np.sqrt(own_sigma[one] * own_sigma[other]),
        "arithmetic": 0.5 * (own_sigma[one] + own_sigma[other]),
    }
    fitting = [name for name, expected in rules.items() if np.allclose(pair_sigma, expected, rtol=tolerance, atol=0.0)]
    if len(fitting) == len(rules):
        return None  # all sigmas are equal, or there are no pairs
    return fitting[0] if fitting else "other"


def _bonded(lmp: Any, kind: str) -> dict[str, list[list[int]]]:
    """Atom types that each type of bond or angle joins; a type may join several pairs or triples."""
    if lmp.extract_global(f"n{kind}") in (None, 0):
        return {}
    width = 3 if kind == "bonds" else 4
    rows = np.array(getattr(lmp, f"gather_{kind}")()[1]).reshape(-1, width)
    ids, types = _gather(lmp, "id", 0), _gather(lmp, "type", 0)
    order = np.argsort(ids)
    joined = types[order][np.searchsorted(ids[order], rows[:, 1:])]
    joined = np.where((joined[:, :1] > joined[:, -1:]), joined[:, ::-1], joined)  # the same from both ends
    return {str(t): np.unique(joined[rows[:, 0] == t], axis=0).tolist() for t in np.unique(rows[:, 0])}


def _special(lmp: Any, name: str) -> list[float]:
    weights = lmp.extract_global(name)
    return [float(w) for w in weights[1:4]]
