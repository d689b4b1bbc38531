"""The force field in a data file is that of the LAMMPS run that wrote the file."""

import re

import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.force_field import HarmonicAngle, HarmonicBond
from gnnformd.trajectory.formats.data_force_field import read_force_field
from gnnformd.units import KCAL_PER_MOL_PER_EV

SETUP = """atom_style full
pair_style lj/cut/coul/cut 9.5
bond_style harmonic
angle_style harmonic
read_data {source}
set type 1 charge -0.82
set type 2 charge 0.41
pair_coeff 1 1 0.155 3.165
pair_coeff 2 2 0.046 0.4
bond_coeff 1 529.581 1.012
angle_coeff 1 37.95 113.24"""


@pytest.fixture
def written(water_data, helpers, tmp_path):
    """Data file that LAMMPS writes of four molecules, with a rule of mixing and in a unit style."""

    def write(mixing="arithmetic", units="real", pairs="pair ij"):
        path = tmp_path / f"{mixing}-{units}.data"
        commands = [*SETUP.format(source=water_data).splitlines(), f"pair_modify mix {mixing}"]
        with helpers.lammps(f"units {units}", *commands, "run 0", f"write_data {path} {pairs}"):
            return path

    return write


@pytest.mark.parametrize("mixing", ["arithmetic", "geometric"])
def test_parameters_of_pairs_tell_the_rule_of_mixing(written, mixing):
    found = read_force_field(written(mixing))
    field = found.field
    assert field.mixing == mixing
    assert found.pair_style == "lj/cut/coul/cut"
    np.testing.assert_allclose(field.parameters, [(-0.82, 0.155, 3.165), (0.41, 0.046, 0.4)])
    assert [kind.mass for kind in field.types] == [15.9994, 1.008]
    assert field.names == ("O", "H")
    assert field.bonds == (HarmonicBond((1, 2), 529.581, 1.012),)
    assert field.angles == (HarmonicAngle((2, 1, 2), 37.95, 113.24),)
    assert field.lj_cutoff == 9.5
    assert found.assumed == ("'special_bonds lj/coul 0 0 0'",)


def test_another_rule_is_named(written):
    assert read_force_field(written("sixthpower")).field.mixing == "other"


def test_parameters_of_types_leave_mixing_and_cutoff_open(written):
    found = read_force_field(written(pairs=""))
    assert found.field.mixing is None
    assert found.assumed == ("Lennard-Jones up to 10 angstrom", "'special_bonds lj/coul 0 0 0'")


def test_energies_in_metal_are_converted(written):
    field = read_force_field(written(units="metal")).field
    assert field.types[0].epsilon == pytest.approx(0.155 * KCAL_PER_MOL_PER_EV)
    assert field.bonds[0].stiffness == pytest.approx(529.581 * KCAL_PER_MOL_PER_EV)
    assert field.angles[0].angle == 113.24


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("units = real", "", "does not say the units of its coefficients; write 'units = real'"),
        ("PairIJ Coeffs # lj/cut/coul/cut", "PairIJ Coeffs", r"line \d+: 'PairIJ Coeffs' does not say the style"),
        ("# lj/cut/coul/cut", "# buck", r"line \d+: pair style 'buck' is not Lennard-Jones"),
        ("# lj/cut/coul/cut", "# hybrid", r"line \d+: pair style 'hybrid' is not Lennard-Jones"),
        ("Bond Coeffs # harmonic", "Bond Coeffs # harmonic/shift", r"line \d+: bond style 'harmonic/shift' is not"),
        ("Angle Coeffs # harmonic", "Angle Coeffs # charmm", r"line \d+: angle style 'charmm' is not 'harmonic'"),
        ("Angle Coeffs # harmonic\n\n1 37.95 113.24\n", "", "has angles, but no section 'Angle Coeffs'; add it"),
        ("1 529.581 1.012", "1 529.581", r"line \d+: '1 529\.581' lacks coefficients of its style"),
        ("1 529.581 1.012", "2 529.581 1.012", r"line \d+: 'Bond Coeffs' has no coefficients of type 1"),
        ("1 angle types", "1 angle types\n3 dihedrals", r"line \d+: has dihedrals, which no model for many liquids"),
        ("2 2 0.046 0.4", "2 3 0.046 0.4", r"line \d+: word 2 is no type"),
        ("\n1 2 0.", "\n1 1 0.", r"line \d+: 'PairIJ Coeffs' has no coefficients of types 1 and 2"),
        (" -0.82 ", " -0.81 ", "atoms of type 1 have charges from -0.82 to -0.81; give atoms with"),
    ],
)
def test_what_is_missing_or_of_another_kind_is_refused_by_name(written, old, new, sentence):
    path = written()
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=f"{re.escape(str(path))}[,:] .*{sentence}|{sentence}"):
        read_force_field(path)


def test_a_file_without_coefficients_says_where_to_get_some(written):
    path = written(pairs="nocoeff")
    with pytest.raises(InputError, match=r"has neither 'Pair Coeffs' nor 'PairIJ Coeffs'.*write_data FILE pair ij"):
        read_force_field(path)
