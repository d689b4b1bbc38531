"""Constants of LAMMPS's ``real`` units, the only units inside the package.

Length angstrom, energy kcal/mol, force kcal/mol/angstrom, time fs, mass g/mol, charge e, temperature K,
pressure atm. The values are those LAMMPS compiles in (``update.cpp``, style ``real``), so that numbers agree
with it to the last digit.
"""

__all__ = [
    "BOLTZMANN",
    "COULOMB",
    "FORCE_TO_ACCELERATION",
    "KCAL_PER_MOL_PER_EV",
    "PRESSURE_ATM",
    "VELOCITY_SQUARED_TO_ENERGY",
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
