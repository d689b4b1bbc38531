"""The liquids of a model for many liquids: those it is trained on, and those it never sees.

Everything is made by ``gnnformd generate``; a liquid is a system and a seed, or a system and values of its variables.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["HELD_OUT", "TRAINING", "Liquid"]


@dataclass(frozen=True)
class Liquid:
    """A system of ``gnnformd generate`` with values of its variables."""

    name: str
    system: str
    seed: int
    frames: int = 15
    variables: dict[str, str] = field(default_factory=dict)


_SMALL = {
    "lj-fluid": {"atoms": "128"},
    "charged-fluid": {"atoms": "120"},
    "diatomic": {"molecules": "64"},
    "triatomic": {"molecules": "48"},
    "solution": {"molecules": "42", "salt": "3"},
}
_COUNTS = {"lj-fluid": 40, "charged-fluid": 25, "diatomic": 25, "triatomic": 30, "solution": 10}
_SHORT = {"melting": "600", "equilibration": "600", "spacing": "30"}

TRAINING = [
    Liquid(f"{system}-{seed}", system, seed, variables={**_SMALL[system], **_SHORT})
    for seed in range(1, 1 + max(_COUNTS.values()))
    for system, count in _COUNTS.items()
    if seed <= count
]
"""A hundred and thirty, small and short: many liquids count for more than many frames of one."""

_SPC_FW = {
    "epsilon1": "0.155",
    "sigma1": "3.165",
    "length": "1.012",
    "stiffness": "529.581",
    "angle": "113.24",
    "bending": "37.95",
}
_TIP3P = {"epsilon1": "0.1521", "sigma1": "3.1507", "epsilon2": "0.046", "sigma2": "0.4", "mass1": "15.9994"}
_CO2 = {"epsilon1": "0.0559", "sigma1": "2.757", "epsilon2": "0.15998", "sigma2": "3.033", "mass1": "12.011"}

HELD_OUT = [
    Liquid("argon", "argon", 42),
    Liquid(
        "krypton",
        "lj-fluid",
        1,
        variables={"kinds": "1", "epsilon1": "0.3254", "sigma1": "3.638", "mass1": "83.798", "cutoff": "10"}
        | {"reduced_density": "0.8", "reduced_temperature": "0.75"},
    ),
    Liquid("spc-fw", "water", 1, variables={"equilibration": "3000"}),
    Liquid(  # CHARMM's Lennard-Jones sites on hydrogen; flexible as in LAMMPS's manual
        "flexible-tip3p",
        "triatomic",
        1,
        variables={**_TIP3P, "bare": "1", "mass2": "1.008", "charge2": "0.417", "length": "0.9572", "stiffness": "450"}
        | {"angle": "104.52", "bending": "55", "mixing": "1", "molecules": "125", "edge": "15.5", "step": "0.5"}
        | {"temperature": "300", "equilibration": "3000", "cutoff": "10"},
    ),
    Liquid(  # ions after Joung and Cheatham, J. Phys. Chem. B 112, 9020 (2008), for SPC/E
        "nacl-in-water",
        "solution",
        1,
        variables={**_SPC_FW, "charge": "0.41", "charge3": "1", "mixing": "1", "temperature": "300", "cutoff": "10"}
        | {"epsilon3": "0.3526418", "sigma3": "2.1595", "mass3": "22.98977", "molecules": "120", "salt": "3"}
        | {"epsilon4": "0.0127850", "sigma4": "4.8305", "mass4": "35.453", "edge": "15.6", "equilibration": "3000"},
    ),
    Liquid(  # KCl, the same parameters of ions
        "molten-kcl",
        "charged-fluid",
        1,
        variables={"anions": "1", "mixing": "1", "charge2": "-1", "temperature": "1100", "edge": "20.9", "cutoff": "10"}
        | {"epsilon1": "0.4297054", "sigma1": "2.8384", "mass1": "39.0983", "step": "1"}
        | {"epsilon2": "0.0127850", "sigma2": "4.8305", "mass2": "35.453", "atoms": "256"},
    ),
    Liquid(  # EPM2, flexible: Harris and Yung, J. Phys. Chem. 99, 12021 (1995); Cygan et al., J. Phys. Chem. C (2012)
        "co2",
        "triatomic",
        1,
        variables={**_CO2, "bare": "0", "mass2": "15.9994", "charge2": "-0.3256", "length": "1.149", "mixing": "0"}
        | {"stiffness": "1009.5", "angle": "180", "bending": "54", "edge": "21.3", "temperature": "250", "step": "0.5"}
        | {"cutoff": "10"},
    ),
]
"""Never trained on."""
