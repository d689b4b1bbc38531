import os
import subprocess
import sys

import pytest

from gnnformd.errors import InputError
from gnnformd.reference.library import find_mpich_file, lammps_errors, lammps_sentence, open_lammps


def test_lammps_starts_without_any_environment_variable():
    program = "from gnnformd.reference.library import open_lammps; print(open_lammps().version())"
    bare = {key: os.environ[key] for key in ("HOME",) if key in os.environ}
    done = subprocess.run([sys.executable, "-c", program], env=bare, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "20250722"


def test_the_files_of_mpich_are_found_in_the_environment():
    library = find_mpich_file("libmpi.so.12", "libmpi.12.dylib")
    assert library is not None
    assert library.is_file()
    assert find_mpich_file("no-such-program") is None


def test_an_argument_lammps_does_not_know_is_the_users_fault():
    with pytest.raises(InputError, match="'-bogus"):
        open_lammps(["-bogus"])


def test_an_error_of_lammps_comes_out_in_its_own_words():
    lmp = open_lammps()
    with pytest.raises(InputError) as caught, lammps_errors("water.yaml"):
        lmp.command("pair_style none/such 10")
    lmp.close()
    assert str(caught.value) == ("water.yaml: Unrecognized pair style 'none/such' (in 'pair_style none/such 10').")


def test_errors_of_python_inside_the_block_pass_unchanged():
    with pytest.raises(ZeroDivisionError), lammps_errors():
        1 / 0  # noqa: B018


def test_the_sentence_keeps_the_address_of_the_explanation_and_drops_the_source_line():
    message = (
        "ERROR on proc 0: Substitution for illegal variable x\n"
        "For more information see https://docs.lammps.org/err0013 (src/src/input.cpp:665)"
    )
    assert lammps_sentence(message) == (
        "Substitution for illegal variable x; see https://docs.lammps.org/err0013",
        None,
    )
