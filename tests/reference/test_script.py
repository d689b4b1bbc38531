import pytest

from gnnformd.errors import InputError
from gnnformd.reference.script import read_script, words


def test_a_command_over_several_lines_is_one_with_the_number_of_its_first_line(tmp_path):
    path = tmp_path / "in.lmp"
    path.write_text("units real\nregion b block 0 1 &\n  0 1 &\n 0 1\nmass 1 2 # kg\n")
    lines = read_script(path).files[path]
    assert [line.words for line in lines] == [
        ["units", "real"],
        ["region", "b", "block", "0", "1", "0", "1", "0", "1"],
        ["mass", "1", "2"],
    ]
    assert [(line.number, line.count) for line in lines] == [(1, 1), (2, 3), (5, 1)]


def test_a_triple_quoted_text_is_one_command(tmp_path):
    path = tmp_path / "in.lmp"
    path.write_text('print """dump 1 all custom\nrun 5\n"""\nrun 7\n')
    script = read_script(path)
    assert [line.number for line in script.commands("run")] == [4]
    assert script.commands("dump") == []


def test_included_files_are_read_once_and_keep_their_own_line_numbers(tmp_path):
    (tmp_path / "ff.lmp").write_text("# a\nmass 1 2\n")
    (tmp_path / "in.lmp").write_text("include ff.lmp\ninclude ff.lmp\ninclude ${x}.lmp\nrun 1\njump in.lmp\n")
    script = read_script(tmp_path / "in.lmp")
    assert len(script.files) == 2
    assert [str(line) for line in script.commands("mass")] == [f"{tmp_path / 'ff.lmp'}, line 2"]


def test_a_file_that_is_missing_or_binary_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"absent\.lmp: cannot be read"):
        read_script(tmp_path / "absent.lmp")
    (tmp_path / "binary.lmp").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary\.lmp: is not a text file"):
        read_script(tmp_path / "binary.lmp")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  fix 1 all  nve", ["fix", "1", "all", "nve"]),
        ("if \"$x > 2\" then 'run 3'", ["if", "$x > 2", "then", "run 3"]),
        ('print """a "b" c"""', ["print", 'a "b" c']),
        ("# nothing", []),
    ],
)
def test_words_are_split_as_lammps_splits_them(text, expected):
    assert words(text) == expected
