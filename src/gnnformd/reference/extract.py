"""Properties of a finished LAMMPS run: sizes, variables and the force field."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["describe"]


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
        value = lmp.extract_variable(name)
        if isinstance(value, str):
            variables[name] = value
    return {
        "units": lmp.extract_global("units"),
        "lammps_version": lmp.version(),
        "atoms": int(lmp.get_natoms()),
        "timestep": lmp.extract_global("dt"),
        "variables": variables,
        "types": _types(lmp),
        "mixing": _mixing(lmp),
        "bond_types": _bonded(lmp, "bonds"),
        "angle_types": _bonded(lmp, "angles"),
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
    """Rule that gives epsilon and sigma of all pairs of types: see `gnnformd.force_field.ForceField.mixing`."""
    epsilon, sigma = (lmp.extract_pair(name) for name in ("epsilon", "sigma"))
    if epsilon is None or sigma is None:
        return None
    count = lmp.extract_setting("ntypes")
    one, other = np.triu_indices(count, 1)
    table = [
        np.array([[float(m[i][j]) for j in range(1, count + 1)] for i in range(1, count + 1)]) for m in (epsilon, sigma)
    ]
    own_epsilon, own_sigma = (m.diagonal() for m in table)
    pair_epsilon, pair_sigma = (m[one, other] for m in table)
    if not np.allclose(pair_epsilon, np.sqrt(own_epsilon[one] * own_epsilon[other]), rtol=1e-9, atol=0.0):
        return "other"
    there = pair_epsilon > 0.0  # sigma does not matter where epsilon is zero
    one, other, pair_sigma = one[there], other[there], pair_sigma[there]
    rules = {
        "geometric": np.sqrt(own_sigma[one] * own_sigma[other]),
        "arithmetic": 0.5 * (own_sigma[one] + own_sigma[other]),
    }
    fitting = [name for name, expected in rules.items() if np.allclose(pair_sigma, expected, rtol=1e-9, atol=0.0)]
    if len(fitting) == len(rules):
        return None  # all sigmas are equal, or there are no pairs
    return fitting[0] if fitting else "other"


def _bonded(lmp: Any, kind: str) -> dict[str, list[int]]:
    """Atom types that each type of bond or angle joins, from the first one of its kind."""
    if lmp.extract_global(f"n{kind}") in (None, 0):
        return {}
    width = 3 if kind == "bonds" else 4
    rows = np.array(getattr(lmp, f"gather_{kind}")()[1]).reshape(-1, width)
    type_of = dict(zip(_gather(lmp, "id", 0).tolist(), _gather(lmp, "type", 0).tolist(), strict=True))
    return {str(t): [type_of[a] for a in rows[rows[:, 0] == t][0, 1:].tolist()] for t in np.unique(rows[:, 0])}


def _special(lmp: Any, name: str) -> list[float]:
    weights = lmp.extract_global(name)
    return [float(w) for w in weights[1:4]]
