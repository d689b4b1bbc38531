"""YAML files: what is no plain mapping is refused with its line, whatever it would stand for."""

import tracemalloc
from pathlib import Path

import pytest

from gnnformd.errors import InputError
from gnnformd.yaml_files import parse_mapping, read_mapping

BOMB = "a: &a [x, x]\n" + "".join(
    f"{c}: &{c} [*{p}, *{p}]\n" for p, c in zip("abcdefghijkl", "bcdefghijklm", strict=True)
)


def test_numbers_are_those_of_yaml_1_2() -> None:
    assert parse_mapping("f", "a: 1e-3\nb: 2E+5\nc: 7\n")[0] == {"a": 1e-3, "b": 2e5, "c": 7}


def test_each_key_has_its_line() -> None:
    assert parse_mapping("f", "a:\n  b: 1\n  c:\n  - d: 2\n")[1] == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", "0"): 4,
        ("a", "c", "0", "d"): 4,
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\na: 2\n", r"f, line 2: a is given twice; remove one of them\."),
        ("a: 1\nyes: 2\n", r"f, line 2: the key yes is not plain YAML text; quote or correct it\."),
        ("a: 1\n2024-01-01: 2\n", r"f, line 2: the key 2024-01-01 is not plain YAML text"),
        ("? [a]\n: 1\n", r"f, line 1: the key a list or mapping is not plain YAML text"),
        ("a: 1\nb: [", r"f, line 2: is not plain YAML"),
        ("a: 1\nb: \x07\n", r"f, line 2: is not plain YAML"),
        ("a: " + "[" * 10_000, r"f, line 1: is not plain YAML \(more than 20 levels\)"),
        ("a: " + "9" * 5000, r"f: holds a value that cannot be read"),
        ("a: 2024-13-77\n", r"f: holds a value that cannot be read"),
        ("a: !!python/object/apply:os.system [ls]\n", r"f, line 1: is not plain YAML"),
        ("a: &a [*a]\n", r"f, line 1: is not plain YAML \(an alias; write the value itself\)"),
        ("<<: {a: 1}\n", r"f, line 1: the key << is not plain YAML text"),
        ("- a\n", r"f: holds no mapping"),
    ],
)
def test_what_is_not_plain_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse_mapping("f", text)


def test_aliases_cannot_be_blown_up_to_fill_the_memory() -> None:
    tracemalloc.start()
    with pytest.raises(InputError, match="an alias"):
        parse_mapping("f", BOMB)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_what_is_no_file_of_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_text("a: 1\n" + "# nothing\n" * 30_000)
    (tmp_path / "binary.yaml").write_bytes(b"a: \xff\n")
    for name, sentence in (("large.yaml", "larger than 256 kilobytes"), ("binary.yaml", "is not text"), (".", "read")):
        with pytest.raises(InputError, match=sentence):
            read_mapping(tmp_path / name)
