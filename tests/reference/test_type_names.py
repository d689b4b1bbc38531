import numpy as np
import pytest
from ase.data import atomic_masses, chemical_symbols

from gnnformd.errors import InputError
from gnnformd.reference.generate import generate
from gnnformd.reference.type_names import element_of_mass, names_of_types, united_atom


@pytest.mark.parametrize(
    ("mass", "name"),
    [
        (15.9994, "O"), (16.0, "O"), (16.043, None), (16.04, None), (15.035, None), (14.0067, "N"), (14.01, "N"),
        (14.027, None), (14.03, None), (13.019, None), (12.01, "C"), (1.0, "H"), (22.99, "Na"), (35.453, "Cl"),
        (35.5, "Cl"), (28.06, "Si"), (63.55, "Cu"), (58.71, "Ni"), (72.0, None), (100.0, None),
    ],
)  # fmt: skip
def test_a_mass_is_that_of_an_element_or_of_none(mass, name):
    assert element_of_mass(mass) == name


def test_every_element_is_found_by_its_mass():
    for number in range(1, 84):
        for mass in (atomic_masses[number], round(atomic_masses[number], 2)):
            assert element_of_mass(mass) == chemical_symbols[number]
            assert united_atom(mass) is None


@pytest.mark.parametrize(
    ("masses", "log", "names"),
    [
        ([22.98977, 35.453], "pair_coeff * * 0.01 2.0", ("Na", "Cl")),
        ([16.043, 16.0], "mass 1 16.043\nmass 2 16.0", ("1", "O")),
        ([16.043, 15.035], "mass 1 16.043 # CH4 united\nmass 2 15.035 #", ("CH4", "2")),
        ([28.06], "pair_coeff * * Si.sw Si", ("Si",)),
        ([1.0, 1.0], "pair_coeff * * ${f} C Si\npair_coeff * * SiC.tersoff C Si", ("C", "Si")),
        ([1.0, 1.0], "pair_coeff * * meam library.meam Si C SiC.meam Si C # words", ("Si", "C")),
        ([40.0, 1.0, 4.0026], "pair_coeff * * sw Si.sw NULL Si NULL\npair_coeff 1 * lj/cut 0.1 3.2", ("1", "Si", "He")),
        ([63.55], "pair_coeff * * Cu_u3.eam", ("Cu",)),
        ([63.55], "pair_coeff 1 1 Cu_u3.eam", ("Cu",)),
        ([1.008, np.nan, None], "read_data gone.data", ("H", "2", "3")),
    ],
)
def test_types_are_named_by_comments_potentials_and_masses(tmp_path, masses, log, names):
    (tmp_path / "log").write_text(f"units metal\n{log}\nrun 0\n")
    assert names_of_types(masses, tmp_path / "log", tmp_path / "none", tmp_path) == names


INPUT = """units metal
atom_style atomic
{before}
pair_style lj/cut 4
pair_coeff * * 0.01 2.0
fix 1 all nve
dump 1 all custom 1 x.dump id type x y z
run 0
"""
LABELS = """region b block 0 9 0 9 0 9
create_box 2 b
labelmap atom 1 OW 2 HW
create_atoms OW random 5 77 NULL overlap 2 maxtry 100
create_atoms HW random 5 99 NULL overlap 2 maxtry 100
mass OW 15.9994
mass HW 1.008 # hydrogen
"""


def test_labels_name_the_types(tmp_path):
    script = tmp_path / "in.lmp"
    script.write_text(INPUT.format(before=LABELS))
    run = generate(script, tmp_path / "run")
    assert run.type_names == run.force_field.names == ("OW", "HW")


def test_comments_of_a_data_file_name_its_types(tmp_path):
    rows = "\n".join(f"{k} {1 + k % 2} {3.0 * k} 0 0" for k in range(1, 5))
    (tmp_path / "two.data").write_text(
        f"two\n\n4 atoms\n2 atom types\n0 20 xlo xhi\n0 9 ylo yhi\n0 9 zlo zhi\n\nMasses\n\n1 40 # Big one\n"
        f"2 16.043 # CH4\n\nAtoms # atomic\n\n{rows}\n"
    )
    script = tmp_path / "in.lmp"
    script.write_text(INPUT.format(before="variable f index two.data\nread_data ${f}"))
    assert generate(script, tmp_path / "run").type_names == ("Big", "CH4")
    assert generate(script, tmp_path / "own", names=["A", "B"]).type_names == ("A", "B")
    with pytest.raises(InputError, match=r"--names: 1 names \(A\) are given for 2 types of atoms"):
        generate(script, tmp_path / "other", names=["A"])
