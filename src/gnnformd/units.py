"""The units inside the package, which are LAMMPS's ``real``, and the unit styles that are converted to them.

Length angstrom, energy kcal/mol, force kcal/mol/angstrom, time fs, mass g/mol, charge e, temperature K,
pressure atm. The values are those LAMMPS compiles in (``update.cpp``), so that numbers agree with it to the last digit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gnnformd.errors import InputError

__all__ = [
    "BOLTZMANN",
    "COULOMB",
    "FORCE_TO_ACCELERATION",
    "KCAL_PER_MOL_PER_EV",
    "PRESSURE_ATM",
    "REAL",
    "SHOWN",
    "STYLES",
    "VELOCITY_SQUARED_TO_ENERGY",
    "ShownUnits",
    "Units",
]

BOLTZMANN = 0.0019872067
"""Boltzmann's constant in kcal/mol/K."""

COULOMB = 332.06371
"""Energy of two unit charges one angstrom apart, in kcal/mol (LAMMPS ``qqrd2e``)."""

VELOCITY_SQUARED_TO_ENERGY = 48.88821291 * 48.88821291
"""g/mol (angstrom/fs)^2 in kcal/mol (LAMMPS ``mvv2e``)."""

FORCE_TO_ACCELERATION = 1.0 / VELOCITY_SQUARED_TO_ENERGY
"""(kcal/mol/angstrom) / (g/mol) in angstrom/fs^2 (LAMMPS ``ftm2v``)."""

PRESSURE_ATM = 68568.415
"""kcal/mol/angstrom^3 in atm (LAMMPS ``nktv2p``)."""

KCAL_PER_MOL_PER_EV = 23.060549
"""One electronvolt in kcal/mol."""

_SCALES = ("epsilon", "sigma", "mass")
_EXAMPLE = "epsilon=0.238,sigma=3.405,mass=39.948"


@dataclass(frozen=True)
class Units:
    """A unit style of LAMMPS: what one of each of its units is in ``real``.

    Attributes
    ----------
    style
        LAMMPS's name.
    length, time, energy, mass, charge, temperature, pressure
        In angstrom, fs, kcal/mol, g/mol, e, K, atm.
    pressure_of_energy
        Energy per volume in units of the pressure (LAMMPS ``nktv2p``).
    scales
        Of the style ``lj``: epsilon in kcal/mol, sigma in angstrom and mass in g/mol.
    """

    style: str
    length: float
    time: float
    energy: float
    mass: float
    charge: float
    temperature: float
    pressure: float
    pressure_of_energy: float
    scales: tuple[float, float, float] | None = None

    @property
    def velocity(self) -> float:
        """In angstrom/fs."""
        return self.length / self.time

    @property
    def force(self) -> float:
        """In kcal/mol/angstrom."""
        return self.energy / self.length

    @property
    def volume(self) -> float:
        """In angstrom^3."""
        return self.length**3

    def __str__(self) -> str:
        """As `named` reads it and as it stands below ``ITEM: UNITS`` of a dump."""
        if self.scales is None:
            return self.style
        return f"{self.style} " + " ".join(f"{n}={v!r}" for n, v in zip(_SCALES, self.scales, strict=True))

    @classmethod
    def named(cls, text: str, where: str) -> Units:
        """Find units by the name of their style; that of ``lj`` is followed by its scales.

        Parameters
        ----------
        text
            For instance ``metal`` or ``lj epsilon=0.238 sigma=3.405 mass=39.948``.
        where
            What error messages begin with: a file and its line.

        Raises
        ------
        InputError
            The style is not known, or ``lj`` without its scales.
        """
        style, _, scales = text.strip().partition(" ")
        if style == "lj":
            if not scales:
                raise InputError(
                    f"{where}: units 'lj' have no scale; write 'lj {_EXAMPLE.replace(',', ' ')}' with the values of "
                    "the system (kcal/mol, angstrom, g/mol)."
                )
            return cls.lj(scales, where)
        if style not in STYLES or scales:
            raise InputError(f"{where}: units '{text[:40]}' are not supported; use {', '.join(STYLES)}, or lj.")
        return STYLES[style]

    @classmethod
    def lj(cls, scales: str, where: str) -> Units:
        """Give reduced units a scale.

        Energies are in epsilon, lengths in sigma, masses in m, times in ``sigma sqrt(m / epsilon)``, temperatures in
        ``epsilon / k_B``, pressures in ``epsilon / sigma^3``, charges in ``sqrt(4 pi epsilon_0 sigma epsilon)``.

        Parameters
        ----------
        scales
            ``epsilon=0.238,sigma=3.405,mass=39.948`` in kcal/mol, angstrom and g/mol; blanks do for commas.
        where
            What error messages begin with.

        Raises
        ------
        InputError
            They are not three positive numbers of ordinary size with these names.
        """
        pairs = [part.partition("=")[::2] for part in scales.replace(",", " ").split()]
        try:
            found = {name: float(value) for name, value in pairs}
        except ValueError:
            found = {}
        if sorted(found) != sorted(_SCALES) or len(pairs) != len(_SCALES) or not all(map(_ordinary, found.values())):
            raise InputError(
                f"{where}: '{scales[:60]}' does not give epsilon (kcal/mol), sigma (angstrom) and mass (g/mol) as "
                f"positive numbers; write for instance {_EXAMPLE}."
            )
        epsilon, sigma, mass = (found[name] for name in _SCALES)
        return cls(
            style="lj",
            length=sigma,
            time=sigma * math.sqrt(VELOCITY_SQUARED_TO_ENERGY * mass / epsilon),
            energy=epsilon,
            mass=mass,
            charge=math.sqrt(epsilon * sigma / COULOMB),
            temperature=epsilon / BOLTZMANN,
            pressure=PRESSURE_ATM * epsilon / sigma**3,
            pressure_of_energy=1.0,
            scales=(epsilon, sigma, mass),
        )


def _ordinary(value: float) -> bool:
    return 1e-9 < value < 1e9


def _si(style: str, boltzmann: float, angstrom: float, charge: float, atm: float) -> Units:
    """Units of which one of mass times velocity squared is one of energy.

    Parameters
    ----------
    style
        Name.
    boltzmann, angstrom, charge, atm
        Boltzmann's constant, one angstrom, the elementary charge and one atmosphere in these units; a second is the
        unit of time.
    """
    length, time, energy = 1 / angstrom, 1e15, BOLTZMANN / boltzmann
    mass = energy / (VELOCITY_SQUARED_TO_ENERGY * (length / time) ** 2)
    return Units(style, length, time, energy, mass, 1 / charge, 1.0, 1 / atm, 1.0)


REAL = Units("real", 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, PRESSURE_ATM)
"""The units inside the package."""

STYLES = {
    "real": REAL,
    "metal": Units("metal", 1.0, 1e3, KCAL_PER_MOL_PER_EV, 1.0, 1.0, 1.0, 1 / 1.01325, 1.6021765e6),
    # LAMMPS moves the atoms by velocity times fs, so velocities are in Bohr/fs (its mvv2e is 1.03275^2).
    "electron": Units(
        "electron", 1 / 1.88972612, 1.0, BOLTZMANN / 3.16681534e-6, 1.0, 1.0, 1.0, 1 / 101325, 2.94210108e13
    ),
    "si": _si("si", 1.3806504e-23, 1e-10, 1.6021765e-19, 101325.0),
    "cgs": _si("cgs", 1.3806504e-16, 1e-8, 4.8032044e-10, 1013250.0),
}
"""Unit styles by name, but ``lj``."""


@dataclass(frozen=True)
class ShownUnits:
    """Units of results that are shown to people.

    Attributes
    ----------
    force_unit, energy_unit, per_atom_unit
        Names of the units of forces, of energies of frames, and of energies per atom.
    force, energy, per_atom
        How many of them are one kcal/mol/angstrom, and one kcal/mol.
    force_symbol, per_atom_symbol
        As they stand in figures.
    stress_unit, stress
        Of stresses, and how many of it are one kcal/mol/angstrom^3.
    """

    force_unit: str
    force: float
    energy_unit: str
    energy: float
    per_atom_unit: str
    per_atom: float
    force_symbol: str
    per_atom_symbol: str
    stress_unit: str
    stress: float


_MEV = 1000 / KCAL_PER_MOL_PER_EV
_GPA = PRESSURE_ATM * 101325e-9

SHOWN = {
    "real": ShownUnits(
        "kcal/mol/angstrom", 1.0, "kcal/mol", 1.0, "kcal/mol", 1.0, "kcal mol⁻¹ Å⁻¹", "kcal mol⁻¹", "atm", PRESSURE_ATM
    ),
    "metal": ShownUnits("meV/angstrom", _MEV, "eV", _MEV / 1000, "meV", _MEV, "meV Å⁻¹", "meV", "GPa", _GPA),
}
"""Units that results can be shown in."""
