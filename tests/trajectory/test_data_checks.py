"""Data that cannot be right is told from data that can."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gnnformd.reference.generate import generate
from gnnformd.reference.systems import ARGON, SPC_FW
from gnnformd.trajectory.data_checks import DataChecks, check_split, frame_digest, frame_key
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.packed.dataset import PackedDataset, open_dataset
from gnnformd.units import KCAL_PER_MOL_PER_EV


def sentences(frames: list[Frame], field=None) -> str:
    checks = DataChecks(field)
    for frame in frames:
        checks.add(frame)
    return " ".join(checks.problems())


@pytest.fixture(scope="module")
def argon(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    folder = tmp_path_factory.mktemp("data")
    return open_dataset(generate("argon", folder / "argon", frames=3, variables={"equilibration": "400"}).folder)


@pytest.fixture(scope="module")
def water(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    folder = tmp_path_factory.mktemp("data")
    short = {"melting": "200", "equilibration": "200"}
    return open_dataset(generate("water", folder / "water", frames=2, variables=short).folder)


def test_what_lammps_wrote_is_above_suspicion(argon: PackedDataset, water: PackedDataset) -> None:
    assert sentences(list(argon), ARGON) == ""
    assert sentences(list(water), SPC_FW) == ""


@pytest.mark.parametrize("factor", [KCAL_PER_MOL_PER_EV, 1 / KCAL_PER_MOL_PER_EV])
def test_forces_in_other_units_are_noticed(argon: PackedDataset, water: PackedDataset, factor: float) -> None:
    for data, field in ((argon, ARGON), (water, SPC_FW)):
        wrong = [replace(frame, forces=frame.forces * factor) for frame in data]
        assert "times as large as those of the force field" in sentences(wrong, field)


def test_numbers_that_are_no_forces_are_noticed(argon: PackedDataset) -> None:
    random = np.random.default_rng(0)
    wrong = [replace(frame, forces=random.normal(size=frame.positions.shape)) for frame in argon]
    assert "do not even roughly sum to zero" in sentences(wrong)
    assert "do not even roughly sum to zero" in sentences(
        [replace(frame, forces=frame.positions - frame.origin) for frame in argon]
    )
    assert "all forces are zero" in sentences([replace(f, forces=np.zeros_like(f.positions)) for f in argon])


def test_frames_that_repeat_or_stand_still_are_noticed(argon: PackedDataset) -> None:
    assert "1 frame has the positions of an earlier frame" in sentences([*argon, argon[0]])
    still = [replace(argon[0], positions=argon[0].positions + shift) for shift in (0.0, 1e-4, -1e-4)]
    assert "all frames are the same" in sentences(still)


def test_charges_that_do_not_cancel_are_noticed(water: PackedDataset) -> None:
    frame = water[0]
    assert frame.charges is not None
    charges = frame.charges + 0.41 * (np.arange(len(frame.charges)) == 5)
    assert "the charges do not sum to zero but to 0.41 e" in sentences([replace(frame, charges=charges)])
    keep = slice(0, -1)
    lost = replace(
        frame, charges=None, bonds=None, types=frame.types[keep], positions=frame.positions[keep], forces=None
    )
    assert "to -0.41 e" in sentences([lost], SPC_FW)


def test_overlap_and_huge_forces_are_noticed(argon: PackedDataset) -> None:
    positions, forces = argon[0].positions.copy(), np.array(argon[0].forces)
    positions[1] = positions[0] + [0.1, 0, 0]
    forces[0], forces[1] = [1e6, 0, 0], [-1e6, 0, 0]
    found = sentences([replace(argon[0], positions=positions, forces=forces)])
    assert "two are 0.1 angstrom apart" in found and "1e+06 kcal/mol/angstrom" in found


def test_bonds_that_are_not_known_are_noticed(water: PackedDataset) -> None:
    assert "those of the atoms are unknown" in sentences([replace(water[0], bonds=None)], SPC_FW)


def test_frames_on_both_sides_of_a_split_are_counted(argon: PackedDataset) -> None:
    keys = [frame_key(frame) for frame in argon]
    assert check_split(keys[:2], keys[2:]) == []
    assert check_split(keys[:2], keys[1:])[0].startswith("1 of 2 validation frames is also a training frame; ")


def test_two_atoms_or_frames_of_different_size_are_no_trouble(tmp_path: Path, argon: PackedDataset) -> None:
    few = replace(argon[0], **{k: getattr(argon[0], k)[:2] for k in ("ids", "types", "positions", "forces")})
    assert sentences([few, argon[1]], ARGON) == ""


def test_frames_that_differ_in_cell_or_types_alone_do_not_repeat(argon: PackedDataset) -> None:
    frame = replace(argon[0], forces=None, virial=None, energy=-1.0)
    stretched = replace(frame, cell=1.01 * frame.cell)
    exchanged = replace(frame, types=np.where(np.arange(len(frame.types)) == 0, 2, frame.types))
    others = [stretched, exchanged, replace(frame, periodic=(True, True, False))]
    assert len({frame_key(one) for one in (frame, *others)}) == 4
    assert len({frame_digest(one) for one in (frame, *others)}) == 4
    assert frame_digest(replace(frame, energy=2.0, bonds=np.array([[0, 1]]))) == frame_digest(frame)  # the same atoms
    assert all(
        "frames" not in sentences([frame, other]).replace("2 of 2 frames have no forces", "") for other in others
    )
    apart = {"periodic": (False, False, False)}
    assert frame_key(replace(frame, **apart)) == frame_key(replace(stretched, **apart))
    assert frame_digest(replace(frame, **apart)) == frame_digest(replace(stretched, **apart))


def test_single_atoms_without_forces_are_no_trouble(argon: PackedDataset) -> None:
    arrays = {k: getattr(argon[0], k)[:1] for k in ("ids", "types", "positions")}
    one = replace(argon[0], **arrays, forces=np.zeros((1, 3)))
    assert sentences([one, replace(one, cell=1.1 * one.cell)]) == ""


def test_two_dimensional_data_in_a_thin_periodic_box_are_noticed(argon: PackedDataset) -> None:
    def flat(frame: Frame, thickness: float = 0.8, **changes: object) -> Frame:
        positions, forces, cell = frame.positions.copy(), frame.forces.copy(), frame.cell.copy()
        positions[:, 2], forces[:, 2], cell[2, 2] = 0.1, 0.0, thickness
        return replace(frame, positions=positions, forces=forces, cell=cell, virial=None, **changes)

    told = "all atoms lie in a plane across z and no force leaves it, but the periodic box is only 0.8 angstrom thick"
    assert told in sentences([flat(frame) for frame in argon])
    assert "plane" not in sentences([flat(argon[0]), argon[1]])
    assert "plane" not in sentences([flat(frame, thickness=15.0) for frame in argon])
    assert "plane" not in sentences([flat(frame, periodic=(True, True, False)) for frame in argon])


def test_forces_of_held_atoms_that_were_set_to_zero_are_noticed(argon: PackedDataset) -> None:
    # each force is of a usual size, and with few held atoms the sum is small beside it
    frame = argon[0]
    one, layer, along_z = (frame.forces.copy() for _ in range(3))
    one[np.argmax(np.abs(one[:, 0]))] = 0.0
    layer[:40] = 0.0
    along_z[:40, 2] = 0.0
    end = "and the others do not sum to zero; if these atoms were held, write the forces that act on them."
    for forces, atoms in ((one, "1 atom"), (layer, "40 atoms"), (along_z, "40 atoms")):
        told = sentences([replace(frame, forces=forces)], ARGON)
        assert told == f"forces on {atoms} of {frame.name} are exactly zero, {end}"
    alone = frame.forces.copy()
    alone[:40] = 0.0
    alone[40:] -= alone[40:].mean(axis=0)  # atoms without neighbors, which have no force
    assert sentences([replace(frame, forces=alone)]) == ""


def test_energies_that_are_all_the_same_are_noticed(argon: PackedDataset) -> None:
    frames = list(argon)
    told = sentences([replace(frame, energy=-7.0) for frame in frames], ARGON)
    assert told.startswith("all 3 frames have the same energy, though forces act and atoms move; write the energy of e")
    assert sentences([replace(frames[0], energy=-7.0)], ARGON) == ""
    assert sentences([replace(frame, energy=-7.0 - k) for k, frame in enumerate(frames)], ARGON) == ""


def test_zeros_that_stand_for_what_was_not_computed_are_noticed(argon: PackedDataset) -> None:
    first, second, third = (replace(frame, energy=-7.0 - k, virial=None) for k, frame in enumerate(argon))
    nothing = np.zeros_like(first.forces)
    assert sentences([first, replace(second, energy=0.0), third], ARGON) == ""  # the zero of energies
    told = sentences([first, replace(second, energy=0.0), replace(third, energy=0.0)], ARGON)
    assert told.startswith(f"2 frames have an energy of exactly zero (timesteps {second.name.split()[1]}, ")
    told = sentences([first, second, replace(third, forces=nothing)])
    assert told.startswith(f"1 frame has forces of exactly zero ({third.name}), though symmetry does not ask for it")
    told = sentences([first, replace(second, virial=np.zeros((3, 3))), third], ARGON)
    assert told.startswith(f"1 frame has a stress or virial of exactly zero ({second.name}), though forces act")


def test_forces_of_a_perfect_crystal_may_vanish(argon: PackedDataset) -> None:
    x, y, z = np.mgrid[:4, :4, :4].reshape(3, -1)
    lattice = 4.0 * np.column_stack([x, y, z]).astype(float)
    frame = replace(
        argon[0],
        cell=16.0 * np.eye(3),
        origin=np.zeros(3),
        ids=np.arange(1, 65),
        types=np.ones(64, dtype=np.int64),
        positions=lattice,
        forces=np.zeros((64, 3)),
        charges=None,
        velocities=None,
        virial=None,
    )
    moved = replace(frame, positions=lattice + [[0.1, 0.0, 0.0]] * (np.arange(64) == 5)[:, None])
    assert "exactly zero" not in sentences([argon[0], frame])
    assert "1 frame has forces of exactly zero" in sentences([argon[0], moved])
