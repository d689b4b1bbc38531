from pathlib import Path

import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.reference.executed import ExecutedCommands
from gnnformd.reference.generate import generate
from gnnformd.reference.run import ReferenceRun
from gnnformd.trajectory.read import read_frames

COULOMB = 332.06371
"""LAMMPS's constant of units real, kcal/mol angstrom / e^2."""

CHARGED = (
    ("atom_style atomic", "atom_style charge"),
    ("create_box 1 box\nmass 1 39.948", "create_box 2 box\nmass 1 39.948\nmass 2 39.948"),
    (
        "pair_style lj/cut 8.0\npair_coeff 1 1 0.2378 3.405",
        "pair_style lj/cut/coul/cut 8.0\npair_coeff * * 0.2378 3.405",
    ),
    ("velocity", "set type 1 type/fraction 2 0.5 11\nset type 1 charge 0.2\nset type 2 charge -0.2\nvelocity"),
)
"""Argon with two types, which have charges."""


def lennard_jones_and_coulomb(frame, epsilons=(0.2378, 0.2378)):
    """Forces of a frame with its own charges; epsilon of each type, geometrically mixed."""
    box = np.diagonal(frame.cell)
    apart = frame.positions[:, None] - frame.positions[None]
    apart -= box * np.round(apart / box)
    square = (apart**2).sum(axis=2)
    near = (square > 0) & (square < 64.0)
    square = np.where(near, square, 1.0)
    power = np.where(near, 3.405**2 / square, 0.0) ** 3
    own = np.sqrt(np.array(epsilons)[frame.types - 1])
    over = 24 * np.outer(own, own) * (2 * power**2 - power) / square
    if frame.charges is not None:
        over += np.where(near, COULOMB * np.outer(frame.charges, frame.charges) / square**1.5, 0.0)
    return (over[:, :, None] * apart).sum(axis=1)


@pytest.mark.parametrize(
    ("change", "charges"),
    [
        (("run 20\n", "run 20\nset type 1 charge 0.5\nset type 2 charge -0.5\n"), [0.2, 0.2, 0.2, 0.5, 0.5, 0.5]),
        (
            ("fix 1 all nve", "fix 1 all nve\nvariable c equal 0.1+0.01*step\nfix 2 all adapt 10 atom charge v_c"),
            [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        ),
    ],
)
def test_frames_have_their_own_charges_where_these_change(argon_input, tmp_path, change, charges):
    # all frames had the charges of the last one
    run = generate(argon_input(*CHARGED, change), tmp_path / "run")
    assert run.manifest["force_field"] is None
    read = list(read_frames(run.folder))
    for frame, charge in zip(read, charges, strict=True):
        assert frame.charges.max() == pytest.approx(charge, rel=1e-12)
        expected = lennard_jones_and_coulomb(frame)
        np.testing.assert_allclose(frame.forces, expected, atol=1e-7 * np.abs(expected).max())


def test_charges_that_do_not_change_are_not_dumped(argon_input, tmp_path):
    run = generate(argon_input(*CHARGED), tmp_path / "run")
    assert "q" not in run.manifest["columns_added"]
    assert [kind["charge"] for kind in run.manifest["force_field"]["types"]] == [0.2, -0.2]
    for frame in read_frames(run.folder):
        expected = lennard_jones_and_coulomb(frame)
        np.testing.assert_allclose(frame.forces, expected, atol=1e-7 * np.abs(expected).max())


def test_atoms_that_exchange_their_types_have_those_of_each_frame(argon_input, tmp_path):
    # such a run was written, but could not be read
    swap = (
        ("create_box 1 box", "create_box 2 box\nmass 2 83.798"),
        (
            "pair_coeff 1 1 0.2378 3.405",
            "pair_coeff 1 1 0.2378 3.405\npair_coeff 2 2 0.5 3.405\npair_modify mix geometric",
        ),
        ("velocity", "set type 1 type/fraction 2 0.5 11\nvelocity"),
        ("fix 1 all nve", "fix 1 all nve\nfix 2 all atom/swap 5 20 77 300 types 1 2 semi-grand no ke yes"),
    )
    run = generate(argon_input(*swap), tmp_path / "run")
    read = list(read_frames(run.folder))
    assert not np.array_equal(read[0].types, read[-1].types)
    assert [kind["epsilon"] for kind in run.manifest["force_field"]["types"]] == [0.2378, 0.5]
    for frame in read:
        assert len(frame.bonds) == 0
        expected = lennard_jones_and_coulomb(frame, (0.2378, 0.5))
        np.testing.assert_allclose(frame.forces, expected, atol=1e-7 * np.abs(expected).max())


def test_atoms_that_leave_a_run_are_in_the_frames_before(argon_input, tmp_path):
    leave = ("fix 1 all nve", "fix 1 all nve\nfix 2 all evaporate 20 3 box 88")
    run = generate(argon_input(leave), tmp_path / "run")
    with pytest.warns(UserWarning, match="57 atoms, but 60 in the previous frame"):
        read = list(read_frames(run.folder))
    assert [len(frame.ids) for frame in read] == [60, 60, 57, 57, 54, 54]
    for frame in read:
        expected = lennard_jones_and_coulomb(frame)
        np.testing.assert_allclose(frame.forces, expected, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            [("run 20\n", "run 20\npair_coeff 1 1 0.3 3.405\n")],
            r"line 15: changes the force field between frames, which must be of one; define the dump after it, or ",
        ),
        (
            [("run 20\n", "variable e index 0.3\nrun 20\npair_coeff 1 1 ${e} 3.405\n")],
            r"line 16: changes the force field between frames",
        ),
        (
            [("run 20\n", "echo none\nlog none\nrun 20\npair_style lj/cut 7.0\npair_coeff 1 1 0.2378 3.405\n")],
            r"line 17: changes the force field between frames",
        ),
        (
            [("run 30", 'run 30 every 10 "pair_coeff 1 1 0.3 3.405"')],
            r"line 15: changes the force field between frames",
        ),
        (
            [("fix 1 all nve", "fix 1 all nve\nvariable e equal 0.2\nfix 2 all adapt 1 pair lj/cut epsilon 1 1 v_e")],
            r"line 14: 'fix adapt' changes the force field between frames",
        ),
        (
            [
                ("pair_style lj/cut 8.0", "comm_modify vel yes\npair_style hybrid/overlay lj/cut 8 dpd/tstat 9 9 8 5"),
                ("pair_coeff 1 1 0.2378 3.405", "pair_coeff 1 1 lj/cut 0.2378 3.405\npair_coeff 1 1 dpd/tstat 0.1"),
            ],
            r"line 9: the forces of 'dpd/tstat' depend on more than the positions of atoms",
        ),
        (
            [("atom_style atomic", "atom_style sphere"), ("mass 1 39.948\n", "")],
            r"line 2: atoms of style 'sphere' are not supported; use one of angle, atomic, bond, charge, full, ",
        ),
    ],
)  # fmt: skip
def test_frames_that_no_model_can_learn_from_end_a_run_at_once(argon_input, tmp_path, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        generate(argon_input(*changes), tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["user"]


def test_two_dimensions_are_refused(argon_input, tmp_path):
    path = argon_input()
    path.write_text(
        "units real\ndimension 2\nlattice sq 3.8\nregion b block 0 6 0 6 -0.5 0.5\ncreate_box 1 b\n"
        "create_atoms 1 box\nmass 1 39.948\npair_style lj/cut 8.0\npair_coeff 1 1 0.2378 3.405\nfix 1 all nve\n"
        "dump 1 all atom 10 a\nrun 20\n"
    )
    with pytest.raises(InputError, match=r"line 2: the run is in two dimensions, and models are of three"):
        generate(path, tmp_path / "run")


@pytest.mark.parametrize("number", [1, 3])
def test_a_force_field_that_is_said_again_or_changes_outside_of_the_dump_is_no_change(argon_input, tmp_path, number):
    early = "pair_style soft 3.0\npair_coeff * * 10.0\nrun 5\npair_style lj/cut 8.0\npair_coeff 1 1 0.2378 3.405\n"
    loop = f"variable i loop {number}\nlabel again\npair_coeff 1 1 0.2378 3.405\nrun 10\nnext i\njump SELF again\n"
    late = "undump 1\npair_coeff 1 1 0.1 3.0\nrun 5\n"
    path = argon_input(("dump 1", f"{early}dump 1"), ("run 20\nrun 30\n", loop + late))
    run = ReferenceRun.open(generate(path, tmp_path / "run").folder)
    read = list(read_frames(run.folder))
    assert len(read) == number
    for frame in read:
        expected = lennard_jones_and_coulomb(frame)
        np.testing.assert_allclose(frame.forces, expected, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("command", ["fix 3 all bond/break 10 1 2.5", "fix 3 all bond/react a b c"])
def test_bonds_that_change_between_frames_are_refused(tmp_path, command):
    from gnnformd.reference.executed import ExecutedCommands

    executed = ExecutedCommands(tmp_path / "t.dump")
    for line in (f'dump 1 all custom 5 "{tmp_path}/t.dump" id type', command):
        assert executed.see(line) is None
    at_fault, fault = executed.see("run 10")
    assert at_fault == command
    assert fault.startswith(f"'fix {command.split()[3]}' changes bonds between frames")
    assert executed.see("unfix 3") is None
    assert executed.see("run 10") is None
    assert executed.see("delete_bonds all bond 1") is None
    assert executed.see("run 10")[1].startswith("'delete_bonds' changes bonds between frames")
    assert executed.see("undump 1") is None
    assert executed.see("run 10") is None


def test_what_a_fix_keeps_for_atoms_is_not_in_the_topology(argon_input, tmp_path):
    # neither this program nor LAMMPS could read it without the fix
    kept = ("velocity", "fix p all property/atom i_flag\nset group all i_flag 3\nvelocity")
    run = generate(argon_input(kept), tmp_path / "run")
    assert len(list(read_frames(run.folder))) == 6
    assert "i_flag" not in run.topology.read_text()


@pytest.mark.parametrize(
    ("pair_style", "found"),
    [
        ("lj/cut/coul/long 8.0", True),
        ("lj/cut/tip4p/long 1 2 1 1 0.15 8.0", False),
        ("hybrid/overlay lj/cut 8.0 tip4p/long/omp 1 2 1 1 0.15 8.0", False),
    ],
)
def test_charges_of_tip4p_are_not_those_of_the_atoms(pair_style: str, found: bool) -> None:
    executed = ExecutedCommands(Path("trajectory.dump"))
    for line in (f"pair_style {pair_style}", "kspace_style pppm/tip4p 1e-4"):
        executed.see(line)
    assert executed.long_range_coulomb is found


def test_tail_corrections_are_told(argon_input, tmp_path, recwarn):
    generate(argon_input(), tmp_path / "without")
    assert not any("tail" in str(said.message) for said in recwarn)
    with pytest.warns(
        UserWarning, match=r"in\.lmp: 'pair_modify tail yes' adds what lies beyond the cutoff to energies"
    ):
        generate(argon_input(("pair_coeff 1 1", "pair_modify tail yes\npair_coeff 1 1")), tmp_path / "with")
