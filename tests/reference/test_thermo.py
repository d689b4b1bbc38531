from gnnformd.reference.instrument import THERMO_COLUMNS
from gnnformd.reference.thermo import dumped_steps, write_thermo


def row(step, value):
    return ",".join([str(step)] + [str(value)] * (len(THERMO_COLUMNS) - 1))


def table(tmp_path, printed, steps):
    (tmp_path / "printed").write_text("# Fix print output for fix thermo\n" + "\n".join(printed) + "\n")
    write_thermo(tmp_path / "printed", steps, tmp_path / "thermo.csv")
    lines = (tmp_path / "thermo.csv").read_text().splitlines()
    assert lines[0].split(",") == list(THERMO_COLUMNS)
    return lines[1:]


def test_a_row_printed_again_when_a_run_goes_on_is_left_out(tmp_path):
    assert table(tmp_path, [row(0, 1), row(5, 2), row(5, 3), row(10, 4)], [0, 5, 10]) == [
        row(0, 1),
        row(5, 2),
        row(10, 4),
    ]


def test_a_frame_dumped_twice_has_two_rows(tmp_path):
    assert table(tmp_path, [row(0, 1), row(5, 2), row(5, 3), row(10, 4)], [0, 5, 5, 10]) == [
        row(0, 1),
        row(5, 2),
        row(5, 3),
        row(10, 4),
    ]


def test_a_frame_without_values_keeps_its_place(tmp_path):
    rows = table(tmp_path, [row(0, 1), row(10, 4)], [0, 5, 10])
    assert rows[1] == "5" + "," * (len(THERMO_COLUMNS) - 1)
    assert rows[2] == row(10, 4)


def test_the_steps_of_a_dump_are_found_without_reading_its_frames(tmp_path):
    path = tmp_path / "t.dump"
    path.write_text("".join(f"ITEM: TIMESTEP\n{n}\nITEM: NUMBER OF ATOMS\n0\n" for n in (0, 50, 100)))
    assert dumped_steps(path) == [0, 50, 100]
    assert dumped_steps(tmp_path / "absent") == []
