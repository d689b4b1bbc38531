import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.force_field import AtomType, ForceField
from gnnformd.graph.type_matching import KnownType, KnownTypes, match_types
from gnnformd.trajectory.formats.data_file import read_topology

FIELD = ForceField((AtomType("OW", 15.9994, -0.82, 0.155, 3.165), AtomType("HW", 1.008, 0.41)))
WATER = KnownTypes.of_names("water", FIELD.names, FIELD)
NOBLE = KnownTypes.of_names("noble", ("Ar", "Kr", "Xe"))


def known(*kinds):
    return KnownTypes("x.data", tuple(k if isinstance(k, KnownType) else KnownType(*k) for k in kinds))


@pytest.mark.parametrize(
    ("data", "used", "numbers"),
    [
        (known(("Xe",), ("Ar",), ("Kr",)), (1, 2, 3), (3, 1, 2)),
        (known(("Kr",)), (1,), (2,)),
        (known((None, 83.8), (None, 39.95)), (1, 2), (2, 1)),
        (known(("noble1", 131.293), ("Ar", 40.0)), (1, 2), (3, 1)),  # a name that says nothing, and one that does
        (known(("H", 1.008), ("Xe",)), (2,), (0, 3)),  # no atom is hydrogen
        (
            known(
                ("Ar", 83.8),
            ),
            (1,),
            (1,),
        ),  # a name counts more than a mass
    ],
)
def test_types_are_found_by_name_and_by_mass_in_any_order(data, used, numbers):
    assert match_types(data, NOBLE, used).numbers == numbers


def test_elements_are_found_by_mass_where_the_model_has_other_names():
    assert match_types(KnownTypes.of_names("w.xyz", ("H", "O")), WATER, (1, 2)).numbers == (2, 1)


def test_parameters_tell_types_of_one_mass_apart():
    model = known(("C1", 12.011, 0.1, 0.1, 3.5), ("C2", 12.011, -0.3, 0.1, 3.5))
    assert match_types(known((None, 12.011, -0.3), (None, 12.011, 0.1)), model, (1, 2)).numbers == (2, 1)
    with pytest.warns(UserWarning, match=r"x.data: several atom types of x.data fit its types 1.*name the types"):
        assert match_types(known((None, 12.011), (None, 12.011)), model, (1, 2)).numbers == (1, 2)


def test_equal_names_in_equal_order_are_the_same_types():
    model = KnownTypes.of_names("m", ("C", "C", "H"))
    assert match_types(KnownTypes.of_names("d", ("C", "C", "H")), model, (1, 2, 3)).numbers == (1, 2, 3)
    assert match_types(KnownTypes.of_names("d", ("H", "C")), KnownTypes.of_names("m", ("C", "H")), (1,)).numbers == (
        2,
        1,
    )


@pytest.mark.parametrize(
    ("data", "listed"),
    [
        (known(("Ne",), ("Ar",)), "Ne, Ar"),
        (
            known(
                (None, 20.18),
            ),
            r"1 \(mass 20.18\)",
        ),
        (known(("Ar",), ("Ar",)), "Ar, Ar"),  # one to one
        (known(("Ar",), ("Kr",), ("Xe",), ("H",)), "Ar, Kr, Xe, H"),
        (known(("Ar",), (None,)), "Ar, 2"),
    ],
)
def test_other_types_are_refused_with_both_lists(data, listed):
    used = range(1, len(data.types) + 1)
    with pytest.raises(
        InputError, match=rf"^x.data: its atom types are {listed}, but those of the model are Ar, Kr, Xe"
    ):
        match_types(data, NOBLE, used)


def test_numbers_count_only_where_nothing_else_is_known_and_with_a_warning():
    with pytest.warns(UserWarning, match=r"x.data: nothing tells .* by number \(1 is Ar, 2 is Kr, 3 is Xe\)"):
        found = match_types(known(), NOBLE, (1, 2))
    assert found.unchanged
    with pytest.warns(UserWarning, match="nothing tells"):
        match_types(known(("Ar", 39.948)), KnownTypes.of_names("m", ("1", "2")), (1,))
    with pytest.raises(InputError):
        match_types(known(), NOBLE, (1, 2), by_number=False)


def test_atoms_get_the_types_of_the_model():
    found = match_types(known(("Xe",), ("Ar",)), NOBLE, (1, 2))
    assert found.of(np.array([1, 2, 2, 1], np.int32)).tolist() == [3, 1, 1, 3]
    assert found.names(("Ar", "Kr", "Xe")) == ("Xe", "Ar")


def test_a_data_file_names_its_types_by_labels_or_by_the_comments_of_masses(tmp_path):
    head = "LAMMPS\n\n2 atoms\n2 atom types\n\n0 9 xlo xhi\n0 9 ylo yhi\n0 9 zlo zhi\n\n"
    atoms = "\nAtoms # atomic\n\n1 {} 1 1 1\n2 {} 3 3 3\n"
    path = tmp_path / "x.data"
    path.write_text(f"{head}Masses\n\n1 1.008 # H of water\n2 15.999\n{atoms.format(1, 2)}")
    assert read_topology(path).type_names == ("H", None)
    path.write_text(
        f"{head}Atom Type Labels\n\n1 Kr\n2 Ar\n\nMasses\n\nKr 83.8 # x\nAr 39.9\n{atoms.format('Ar', 'Kr')}"
    )
    topology = read_topology(path)
    assert topology.type_names == ("Kr", "Ar")
    assert topology.types.tolist() == [2, 1]
    assert match_types(KnownTypes.of_topology(path, topology), NOBLE, (1, 2)).numbers == (2, 1)


def test_types_of_one_name_with_other_parameters_are_not_taken_without_a_word() -> None:
    model = KnownTypes("model", (KnownType("Ar", 40.0, 0.0, 0.24, 3.4), KnownType("Ar", 40.0, 0.0, 0.6, 3.4)))
    with pytest.warns(UserWarning, match=r"several atom types of model fit its types 1, which are taken by number"):
        assert match_types(KnownTypes("data", (KnownType("Ar", 40.0),)), model, [1]).numbers == (1,)
