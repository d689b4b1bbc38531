"""The force field that an input sets up is found without its run."""

import pytest

from gnnformd.errors import InputError
from gnnformd.force_field import HarmonicBond
from gnnformd.reference.input_force_field import set_up
from gnnformd.reference.pair_styles import LENNARD_JONES
from gnnformd.reference.systems import SPC_FW, SYSTEMS


def test_an_input_is_followed_up_to_its_first_run(tmp_path):
    made = set_up(SYSTEMS["water"].input, tmp_path)
    assert made.force_field == SPC_FW
    assert made.pair_style == "lj/cut/coul/long"
    assert "648 atoms" in made.topology.read_text()


def test_a_run_in_an_included_file_is_refused_by_name(tmp_path):
    (tmp_path / "more.lmp").write_text("minimize 0 0 1 1\n")
    (tmp_path / "in.lmp").write_text("units real\ninclude more.lmp\nrun 1\n")
    with pytest.raises(InputError, match=r"more\.lmp, line 1: 'minimize' stands in an included file"):
        set_up(tmp_path / "in.lmp", tmp_path)


def test_an_error_of_lammps_names_the_line(tmp_path):
    (tmp_path / "in.lmp").write_text("units real\npair_style none_such 1\nrun 1\n")
    with pytest.raises(InputError, match=r"in\.lmp, line 2: LAMMPS says: .*none_such"):
        set_up(tmp_path / "in.lmp", tmp_path)


ARGON = """units {units}
lattice fcc 5.78
region box block 0 3 0 3 0 3
create_box 1 box
create_atoms 1 box
mass 1 39.948
{potential}
run 100000000
"""


def test_the_smallest_cutoff_of_lennard_jones_is_found(tmp_path):
    potential = "pair_style lj/cut 10.0\npair_coeff 1 1 0.2378 3.405 3.8"
    (tmp_path / "in.lmp").write_text(ARGON.format(units="real", potential=potential))
    assert set_up(tmp_path / "in.lmp", tmp_path).force_field.lj_cutoff == 3.8


CHARGED = """units real
atom_style charge
boundary p p p
region box block 0 30 0 30 0 30
create_box 2 box
create_atoms 1 single 10 10 10
create_atoms 2 single {x} 10 10
set type 1 charge 0.2
set type 2 charge -0.2
mass * 39.948
pair_style {style}
pair_coeff * * {coefficients}
{solver}
run 0 post no
"""


@pytest.mark.parametrize(
    ("style", "solver"),
    [
        ("lj/cut 6.0", ""),
        ("lj/cut/coul/cut 6.0 8.0", ""),
        ("lj/cut/coul/debye 0.3 6.0 8.0", ""),
        ("lj/cut/coul/dsf 0.2 6.0 8.0", ""),
        ("lj/cut/coul/wolf 0.2 6.0 8.0", ""),
        ("lj/cut/coul/long 6.0 8.0", "kspace_style ewald 1e-4"),
        ("lj/cut/coul/long/cs 6.0 8.0", "kspace_style ewald 1e-4"),
        ("lj/cut/coul/msm 6.0 8.0", "kspace_style msm 1e-4"),
    ],
)
def test_a_style_that_counts_as_lennard_jones_is_that_up_to_the_cutoff_that_is_found(tmp_path, helpers, style, solver):
    text = CHARGED.format(x=14, style=style, coefficients="0.2378 3.405", solver=solver)
    (tmp_path / "in.lmp").write_text(text)
    name, *numbers = style.split()
    made, cutoff = set_up(tmp_path / "in.lmp", tmp_path), float(numbers[LENNARD_JONES[name] - 2])
    if name.endswith(("dsf", "wolf")):  # LAMMPS does not tell their parameters
        assert made.force_field is None
    else:
        assert made.force_field.lj_cutoff == cutoff
        assert made.force_field.parameters == [(0.2, 0.2378, 3.405), (-0.2, 0.2378, 3.405)]
    for distance in (3.4, cutoff - 1e-3, cutoff + 1e-3):
        text = CHARGED.format(x=10 + distance, style=style, coefficients="0.2378 3.405", solver=solver)
        with helpers.lammps(*text.splitlines()) as lmp:
            ratio = (3.405 / distance) ** 6
            expected = 4 * 0.2378 * (ratio**2 - ratio) if distance < cutoff else 0.0
            assert lmp.get_thermo("evdwl") == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("style", "coefficients"),
    [
        ("lj/cut/soft 1 0.5 6.0", "0.2378 3.405 0.9"),
        ("lj/cut/coul/cut/soft 1 0.5 10.0 6.0", "0.2378 3.405 0.9"),
        ("lj/charmmfsw/coul/charmmfsh 5.0 6.0", "0.2378 3.405"),
        ("lj/class2 6.0", "0.2378 3.405"),
        ("lj/expand 6.0", "0.2378 3.405 0.5"),
        ("lj/gromacs 5.0 6.0", "0.2378 3.405"),
        ("lj/smooth 5.0 6.0", "0.2378 3.405"),
        ("lj/smooth/linear 6.0", "0.2378 3.405"),
        ("lj96/cut 6.0", "0.2378 3.405"),
        ("mie/cut 6.0", "0.2378 3.405 12 6"),
    ],
)
def test_a_style_whose_name_is_like_lennard_jones_is_none(tmp_path, style, coefficients):
    text = CHARGED.format(x=14, style=style, coefficients=coefficients, solver="")
    before = "pair_style lj/cut 10.0\npair_coeff * * 0.2378 3.405\n"  # is no more when the run begins
    (tmp_path / "in.lmp").write_text(text.replace("pair_style", f"{before}pair_style", 1))
    made = set_up(tmp_path / "in.lmp", tmp_path)
    assert (made.force_field, made.pair_style) == (None, style.split()[0])


def test_other_units_and_other_potentials_are_told(tmp_path):
    (tmp_path / "in.lmp").write_text(ARGON.format(units="metal", potential="pair_style zero 5.0\npair_coeff * *"))
    with pytest.raises(InputError, match="is in units 'metal'; run it with 'gnnformd generate'"):
        set_up(tmp_path / "in.lmp", tmp_path)
    (tmp_path / "in.lmp").write_text(ARGON.format(units="real", potential="pair_style zero 5.0\npair_coeff * *"))
    made = set_up(tmp_path / "in.lmp", tmp_path)
    assert (made.force_field, made.pair_style) == (None, "zero")


THREE_TYPES = """units real
atom_style full
region box block 0 30 0 30 0 30
create_box 3 box bond/types 2 extra/bond/per/atom 2 extra/special/per/atom 2
create_atoms 1 single 5 5 5
create_atoms 2 single 6 5 5
create_atoms 3 single 5 6 5
create_atoms 1 single 15 15 15
create_atoms 3 single 16 15 15
mass * 12
pair_style lj/cut 10.0
pair_coeff * * 0.1 3.0
bond_style harmonic
bond_coeff 1 300 1.0
bond_coeff 2 500 1.1
create_bonds single/bond 1 1 2
create_bonds single/bond 1 1 3
create_bonds single/bond 2 4 5
run 0
"""


def test_a_bond_type_that_joins_several_pairs_of_types_has_all_of_them(tmp_path):
    (tmp_path / "in.lmp").write_text(THREE_TYPES)
    assert set(set_up(tmp_path / "in.lmp", tmp_path).force_field.bonds) == {
        HarmonicBond((1, 2), 300.0, 1.0),
        HarmonicBond((1, 3), 300.0, 1.0),
        HarmonicBond((1, 3), 500.0, 1.1),
    }
