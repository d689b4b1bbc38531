import threading
import time

import pytest

from gnnformd.errors import InputError
from gnnformd.reference.generate import generate
from gnnformd.reference.launch import _last_error


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "fix 1 all nve",
            "fix 1 all nvx",
            "line 12: LAMMPS says: Unrecognized fix style 'nvx' (in 'fix 1 all nvx'); correct the input.",
        ),
        (
            "run 30",
            "run ${nope}",
            "line 15: LAMMPS says: Substitution for illegal variable nope; see https://docs.lammps.org/err0013 "
            "(in 'run ${nope}'); correct the input.",
        ),
        (
            "dump 1 all atom 10 movie.lammpstrj",
            "dump 1 all custom 10 x id type nonsense fx fy fz",
            "line 13: LAMMPS says: Invalid attribute nonsense in dump custom command "
            "(in 'dump 1 all custom 10 x id type nonsense fx fy fz'); correct the input.",
        ),
        (
            "mass 1 39.948",
            "include ff.lmp",
            "ff.lmp, line 2: LAMMPS says: Unknown command: masss 1 2 (in 'masss 1 2'); correct the input.",
        ),
        ("run 20", "quit", "line 14: 'quit' ends LAMMPS before the topology can be written; remove this line."),
    ],
)
def test_an_error_of_lammps_names_the_file_the_line_and_the_command(argon_input, tmp_path, old, new, message):
    path = argon_input((old, new))
    (path.parent / "ff.lmp").write_text("# force field\nmasss 1 2\n")
    with pytest.raises(InputError) as caught:
        generate(path, tmp_path / "out")
    assert str(caught.value).endswith(message)
    assert str(caught.value).startswith(str(path.parent))
    assert [p.name for p in tmp_path.iterdir()] == ["user"]  # nothing half-written is left


def test_the_same_command_twice_is_told_apart_by_how_often_it_ran(argon_input, tmp_path):
    # The second 'run 20' loses its atoms: the first must not be blamed.
    path = argon_input(("run 20\nrun 30", "run 20\ntimestep 100000\nrun 20"))
    with pytest.raises(InputError, match=r"in\.lmp, line 16: LAMMPS says: Lost atoms"):
        generate(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("number", "name", "remedy"),
    [(9, "Killed", "give it more memory"), (11, "Segmentation fault", "look at this command")],
)
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_killed_lammps_leaves_this_program_alive_and_says_how_far_it_came(
    argon_input, tmp_path, number, name, remedy, ranks
):
    path = argon_input(("run 30", f'shell "kill -{number} $PPID"'))
    with pytest.raises(
        InputError, match=rf"in\.lmp, line 15: LAMMPS was ended by signal {number} \({name}\) in "
    ) as caught:
        generate(path, tmp_path / "out", ranks=ranks)
    assert remedy in str(caught.value)
    assert "Loop time" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["user"]


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("style", ["eam", "eam/alloy", "sw", "tersoff", "meam"])
def test_a_missing_potential_file_is_named_in_lammps_own_sentence(argon_input, tmp_path, style, ranks):
    # The destructor of pair_style eam crashes after this error.
    elements = "" if style == "eam" else " Si none.pot Si" if style == "meam" else " Si"
    path = argon_input(
        ("pair_style lj/cut 8.0", f"pair_style {style}"),
        ("pair_coeff 1 1 0.2378 3.405", f"pair_coeff * * none.pot{elements}"),
    )
    with pytest.raises(InputError, match=r"in\.lmp, line 9: LAMMPS says: [Cc]annot open .* file.*none\.pot"):
        generate(path, tmp_path / "out", ranks=ranks)


def test_an_error_that_only_the_output_has_is_found():
    printed = [
        "run 20",
        "ERROR on proc 0: Something (src/src/pair.cpp:58)",
        "Last input line: run 20",
        "",
        "= BAD TERMINATION",
    ]
    assert _last_error(printed) == "\n".join(printed[1:3])
    assert _last_error(["run 20", "Loop time"]) is None


def test_an_interruption_ends_the_run_and_leaves_nothing(argon_input, tmp_path):
    path = argon_input(("run 30", "run 100000000"))

    def interrupt(done, total):
        if done > 100:
            raise KeyboardInterrupt

    threads, started = threading.active_count(), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        generate(path, tmp_path / "out", progress=interrupt)
    assert time.monotonic() - started < 60  # it did not wait for the end of the run
    assert [p.name for p in tmp_path.iterdir()] == ["user"]
    assert threading.active_count() == threads
