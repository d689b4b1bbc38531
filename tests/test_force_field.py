"""Force field files: what is written comes back, and what cannot be physics is refused with its line."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from gnnformd.errors import InputError
from gnnformd.force_field import ForceField, Mixing
from gnnformd.reference.systems import SYSTEMS

GOOD = """types:
- {name: O, mass: 15.9994, charge: -0.82, epsilon: 0.155, sigma: 3.165}
- {name: H, mass: 1.008, charge: 0.41}
bonds:
- {types: [1, 2], stiffness: 529.581, length: 1.012}
"""


@pytest.mark.parametrize("name", [name for name, system in SYSTEMS.items() if system.force_field is not None])
@pytest.mark.parametrize("mixing", [None, "geometric", "arithmetic", "other"])
def test_a_force_field_that_is_written_is_read_back(name: str, mixing: Mixing, tmp_path: Path) -> None:
    field = replace(SYSTEMS[name].force_field, mixing=mixing)
    (tmp_path / "field.yaml").write_text(yaml.safe_dump(field.to_dict()))
    assert ForceField.from_yaml(tmp_path / "field.yaml") == field
    assert ForceField.from_dict(field.to_dict()) == field


def test_a_small_number_may_be_written_with_an_exponent(tmp_path: Path) -> None:
    (tmp_path / "field.yaml").write_text("types: [{name: Ne, mass: 2e1, epsilon: 1e-3, sigma: 3}]\n")
    kind = ForceField.from_yaml(tmp_path / "field.yaml").types[0]
    assert (kind.mass, kind.epsilon, kind.sigma) == (20.0, 0.001, 3.0)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("mass: 1.008", "mas: 1.008", r"line 3: types\.1\.mass is missing; add it"),
        ("mass: 1.008", "mass: 1.008, spin: 2", r"line 3: types\.1\.spin is not known"),
        ("mass: 1.008", "mass: -1", r"line 3: types\.1\.mass must be greater than 0, not -1"),
        ("mass: 1.008", "mass: heavy", r"line 3: types\.1\.mass must be a number, not 'heavy'"),
        ("mass: 1.008", "mass: .nan", r"a number of the force field is not finite"),
        ("sigma: 3.165", "sigma: -3", r"line 2: types\.0\.sigma must be at least 0"),
        ("name: H", "name: ''", r"line 3: types\.1\.name must be text, not empty"),
        ("[1, 2]", "[1, 3]", r"line 5: bonds\.0\.types names type 3, but there are 2"),
        ("[1, 2]", "[0, 1]", r"line 5: bonds\.0\.types\.0 must be at least 1"),
        ("bonds:", "bond:", r"line 4: bond is not known"),
        ("types:", "type:", r"types is missing; add it"),
        (GOOD, "types: []", r"line 1: types must be a list with at least 1"),
        (GOOD, "argon", r"holds no mapping"),
    ],
)
def test_a_wrong_force_field_is_refused_with_its_line(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    path = tmp_path / "field.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InputError, match=rf"field\.yaml(, |: ){sentence}"):
        ForceField.from_yaml(path)
