from pathlib import Path

import pytest

from gnnformd.errors import InputError
from gnnformd.reference.instrument import find_dump, instrument
from gnnformd.reference.script import read_script
from gnnformd.reference.systems import SYSTEMS


def prepared(folder, text):
    (folder / "in.lmp").write_text(text)
    work = folder / "work"
    work.mkdir()
    return instrument(read_script(folder / "in.lmp"), work, work / "t.dump", work / "thermo.txt")


def test_the_copy_has_the_line_numbers_of_the_original(tmp_path):
    text = 'units real\nprint """a\nb"""\nregion b block &\n 0 1\ndump 1 all custom 5 &\n x id fx fy fz\nrun 3\n'
    parts = prepared(tmp_path, text)
    copy = parts.main.read_text().splitlines()
    original = text.splitlines()
    assert len(copy) == len(original)
    assert [copy[i] for i in (0, 1, 2, 7)] == [original[i] for i in (0, 1, 2, 7)]
    assert copy[5].startswith("include ")
    assert parts.dump.number == 6


@pytest.mark.parametrize(
    ("dump", "added", "columns"),
    [
        ("custom 5 x id type x y z fx fy fz", (), "id type x y z FX FY FZ"),
        ("custom 5 x fx type xs ys zs fy fz", ("id",), "FX type xs ys zs FY FZ id"),
        ("custom/gz 5 x.gz id type xu yu zu", ("fx", "fy", "fz"), "id type xu yu zu FX FY FZ"),
        ("atom 5 x", ("id", "type", "x", "y", "z", "fx", "fy", "fz"), "id type x y z FX FY FZ"),
    ],
)
def test_columns_that_a_dump_lacks_are_added(tmp_path, dump, added, columns):
    parts = prepared(tmp_path, f"units real\ndump 1 all {dump}\nrun 1\n")
    assert parts.columns_added == added
    for axis, number in zip("XYZ", "123", strict=True):
        columns = columns.replace(f"F{axis}", f"f_gnnformd_force[{number}]")
    assert f'dump 1 all custom 5 "{tmp_path / "work" / "t.dump"}" {columns}' in parts.commands


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("units real\nrun 1\n", r"in\.lmp: writes no dump; add a line such as 'dump 1 all custom 100"),
        ("units real\ndump 1 water custom 5 x fx fy fz\n", r"in\.lmp, line 2: dumps the group 'water'"),
        (
            "units real\ndump 1 all custom 5 x fx fy fz\ndump 2 all custom 9 y fx fy fz\n",
            r"in\.lmp, line 3: is one of 2 dumps \(lines 2 and 3\)",
        ),
    ],
)
def test_an_input_that_cannot_be_learned_from_is_refused_before_it_runs(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        prepared(tmp_path, text)


def test_the_dump_with_forces_is_taken_and_another_left_alone(tmp_path):
    parts = prepared(tmp_path, "units real\ndump 1 all atom 1 movie\ndump 2 all custom 9 y id type x y z fx fy fz\n")
    assert parts.dump.number == 3
    assert "dump 1 all atom 1 movie" in parts.main.read_text()


def test_a_dump_in_an_included_file_is_found(tmp_path):
    (tmp_path / "output.lmp").write_text("dump 1 all custom 5 x id type x y z fx fy fz\n")
    parts = prepared(tmp_path, "units real\ninclude output.lmp\n")
    assert parts.dump.path == (tmp_path / "output.lmp")
    assert parts.main.read_text().splitlines()[1] == f'include "{tmp_path / "work" / "input-1.lmp"}"'


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_the_built_in_inputs_need_no_column_added(tmp_path, name):
    work = tmp_path
    parts = instrument(read_script(SYSTEMS[name].input), work, work / "t.dump", work / "thermo.txt")
    assert parts.columns_added == ()


@pytest.mark.parametrize(
    ("line", "replaced"),
    [
        ("fix 1 all nve", True),
        ('if "1 == 1" then "fix 1 all nve"', True),
        ("fix 1 all property/atom mol", False),
        ("unfix 1", False),
        ("fix_modify 1 energy yes", False),
    ],
)
def test_fix_store_force_is_defined_before_every_fix_that_needs_a_box(tmp_path, line, replaced):
    parts = prepared(tmp_path, f"units real\n{line}\ndump 1 all custom 5 x id type x y z fx fy fz\n")
    copied = parts.main.read_text().splitlines()[1]
    if not replaced:
        assert copied == line
        return
    first, second = Path(copied.split('"')[1]).read_text().splitlines()
    assert first.endswith('then "fix gnnformd_force all store/force"')
    assert second == line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fix 1 all mdi/qm", r"line 2: the forces of 'fix mdi/qm' come from another program"),
        ("fix 1 all external pf/callback 1 1", r"line 2: the forces of 'fix external' come from another program"),
        ("run_style respa 2 2\nfix 1 all shake 1e-4 20 0 b 1", r"line 3: 'fix shake' changes forces, and under 'run_s"),
    ],
)
def test_an_input_without_forces_of_a_force_field_is_refused(tmp_path, line, message):
    with pytest.raises(InputError, match=message):
        prepared(tmp_path, f"units real\n{line}\ndump 1 all custom 5 x id type x y z fx fy fz\n")


def test_under_respa_the_total_forces_are_dumped(tmp_path):
    parts = prepared(
        tmp_path, "units real\nrun_style respa 2 2\nfix 1 all nve\ndump 1 all custom 5 x id type x y z fx fy fz\n"
    )
    assert parts.fixes is None
    assert not any("gnnformd_force" in command for command in parts.commands)
    assert parts.main.read_text().splitlines()[2] == "fix 1 all nve"


def test_charges_that_change_are_dumped(argon_input):
    equilibrated = ("fix 1 all nve", "fix 1 all nve\nfix q all qeq/reaxff 1 0.0 10.0 1e-6 reaxff")
    dump = ("dump 1 all atom 10", "dump 1 all custom 10")
    for replacements, added in (((), ()), ((equilibrated,), ("q",))):
        path = argon_input(dump, ("movie.lammpstrj", "movie.lammpstrj id type x y z"), *replacements)
        assert find_dump(read_script(path))[1] == ("fx", "fy", "fz", *added)
    path = argon_input(dump, ("movie.lammpstrj", "movie.lammpstrj id type q x y z fx fy fz"), equilibrated)
    assert find_dump(read_script(path))[1] == ()
