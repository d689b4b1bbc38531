from __future__ import annotations

import gc
import gzip
import tracemalloc
import warnings
from pathlib import Path

import ase.io
import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.trajectory.elements import ElementTypes
from gnnformd.trajectory.formats.dump import read_dump
from gnnformd.units import KCAL_PER_MOL_PER_EV

TRICLINIC = "ITEM: BOX BOUNDS xy xz yz pp pp pp\n-1.0 14.0 2.0\n-2.0 13.0 1.5\n-3.0 9.0 -2.5"
"""xy 2, xz 1.5, yz -2.5: bounds of the box around a cell with x from -1 to 10.5, y from 0.5 to 13, z from -3 to 9."""


def one_atom(words: str, columns: str, box: str, folder: Path, extra: str = "") -> Path:
    path = folder / "one.dump"
    path.write_text(f"{extra}ITEM: TIMESTEP\n7\nITEM: NUMBER OF ATOMS\n1\n{box}\nITEM: ATOMS {columns}\n{words}\n")
    return path


def test_a_dump_written_by_hand_is_read_to_the_letter(tmp_path: Path) -> None:
    path = tmp_path / "two.dump"
    path.write_text(
        "ITEM: TIMESTEP\n20\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp ff ps\n-1 4\n0 6.5\n1e0 8\n"
        "ITEM: ATOMS fz id q vx type mol x z y fx fy\n"
        "0.3 5 -0.5 99 2 8 1 3 2 0.1 0.2\n"
        "-0.3 2 0.5 99 1 7 1.5 3.5 2.5 -0.1 -0.2\n"
    )
    (frame,) = read_dump(path)
    assert frame.timestep == 20
    assert frame.ids.tolist() == [2, 5]
    assert frame.types.tolist() == [1, 2]
    assert frame.molecule_ids is not None and frame.molecule_ids.tolist() == [7, 8]
    assert frame.charges is not None and frame.charges.tolist() == [0.5, -0.5]
    assert frame.positions.tolist() == [[1.5, 2.5, 3.5], [1, 2, 3]]
    assert frame.forces is not None and frame.forces.tolist() == [[-0.1, -0.2, -0.3], [0.1, 0.2, 0.3]]
    assert frame.cell.tolist() == [[5, 0, 0], [0, 6.5, 0], [0, 0, 7]]
    assert frame.origin.tolist() == [-1, 0, 1]
    assert frame.periodic == (True, False, False)


@pytest.mark.parametrize("box", [TRICLINIC, "ITEM: BOX BOUNDS pp pp pp\n-1.0 10.0\n-2.0 11.0\n-3.0 12.0"])
@pytest.mark.parametrize("axes", ["x y z", "xs ys zs", "xu yu zu", "xsu ysu zsu"])
def test_positions_forces_and_box_agree_with_ase(write_dump, box: str, axes: str) -> None:
    path = write_dump(columns=f"id type {axes} fx fy fz", box=box, atoms=9)
    theirs = ase.io.read(path, format="lammps-dump-text", index=":")
    ours = list(read_dump(path))
    assert len(ours) == len(theirs) == 3
    for frame, atoms in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(frame.cell, atoms.cell.array, rtol=0, atol=1e-14)
        np.testing.assert_allclose(frame.origin, atoms.get_celldisp().ravel(), rtol=0, atol=1e-14)
        np.testing.assert_array_equal(frame.forces, atoms.get_forces())
        np.testing.assert_array_equal(frame.types, atoms.numbers)
        if axes in ("xsu ysu zsu", "xs ys zs"):  # ASE leaves out the lower corner of the box
            np.testing.assert_allclose(
                frame.positions - frame.origin, atoms.get_scaled_positions(wrap=False) @ frame.cell, atol=1e-12
            )
        else:
            np.testing.assert_array_equal(frame.positions, atoms.positions)


def test_the_box_around_a_tilted_cell_is_undone(tmp_path: Path) -> None:
    (frame,) = read_dump(one_atom("1 1 0.5 0.5 0.5 0 0 0", "id type xs ys zs fx fy fz", TRICLINIC, tmp_path))
    assert frame.cell.tolist() == [[11.5, 0, 0], [2, 12.5, 0], [1.5, -2.5, 12]]
    assert frame.origin.tolist() == [-1, 0.5, -3]
    assert frame.positions.tolist() == [[6.5, 5.5, 3]]


def test_a_general_triclinic_box_keeps_its_three_vectors(tmp_path: Path) -> None:
    box = "ITEM: BOX BOUNDS abc origin pp pp pp\n0 2 0 0.5\n-3 0 0 0.25\n0 1 4 0"
    (frame,) = read_dump(one_atom("1 1 0.5 0.5 0.5 1 2 3", "id type xs ys zs fx fy fz", box, tmp_path))
    assert frame.cell.tolist() == [[0, 2, 0], [-3, 0, 0], [0, 1, 4]]
    assert frame.positions.tolist() == [[-1.0, 1.75, 2.0]]


@pytest.mark.parametrize(
    ("columns", "words"),
    [("id type x y z ix iy iz", "1 1 4 2 1 1 0 -2"), ("id type xs ys zs ix iy iz", "1 1 0.0 0.0 0.25 1 0 -2")],
)
def test_image_flags_unwrap_along_the_lattice_vectors(tmp_path: Path, columns: str, words: str) -> None:
    box = "ITEM: BOX BOUNDS xy xz yz pp pp pp\n0 13 1\n0 12 2\n0 4 2"  # cell 10 0 0, 1 10 0, 2 2 4
    (frame,) = read_dump(one_atom(words, columns, box, tmp_path), require_forces=False)
    wrapped = {"x": [4, 2, 1], "xs": [0.5, 0.5, 1]}["xs" if "xs" in columns else "x"]
    assert frame.positions.tolist() == [[wrapped[0] + 10 - 4, wrapped[1] - 4, wrapped[2] - 8]]
    assert frame.forces is None


def test_unwrapped_columns_are_preferred_and_not_moved_by_image_flags(tmp_path: Path) -> None:
    box = "ITEM: BOX BOUNDS pp pp pp\n0 10\n0 10\n0 10"
    columns = "id type x y z xu yu zu ix iy iz"
    (frame,) = read_dump(one_atom("1 1 1 2 3 11 2 3 1 0 0", columns, box, tmp_path), require_forces=False)
    assert frame.positions.tolist() == [[11, 2, 3]]


def test_lammps_writes_what_is_read_back(tmp_path: Path) -> None:
    from gnnformd.reference.library import open_lammps

    lammps = open_lammps()
    variants = ["x y z", "xs ys zs", "xu yu zu", "xsu ysu zsu", "x y z ix iy iz", "xs ys zs ix iy iz"]
    lammps.commands_string(
        """units metal
        boundary p p f
        region box prism -1 6 -2 5 0.5 8 1.3 -0.7 0.9
        create_box 2 box
        create_atoms 1 random 30 7 NULL
        set atom 1*11 type 2
        mass * 1.0
        set atom 3 image 2 -1 0
        set atom 20 image -1 3 0
        pair_style lj/cut 3.0
        pair_coeff * * 0.01 1.0
        """
    )
    for k, columns in enumerate(variants):
        lammps.command(f"dump {k} all custom 1 {tmp_path / f'{k}.dump'} fx fy fz type {columns} id")
        lammps.command(f"dump_modify {k} units yes time yes format float %.17g")
    lammps.command("run 0 post no")
    order = np.argsort(lammps.numpy.extract_atom("id")[:30])  # ghosts come after
    forces, types = lammps.numpy.extract_atom("f")[order], lammps.numpy.extract_atom("type")[order]
    low, high, xy, yz, xz, _, _ = lammps.extract_box()
    cell = np.array([[high[0] - low[0], 0, 0], [xy, high[1] - low[1], 0], [xz, yz, high[2] - low[2]]])
    wrapped = lammps.numpy.extract_atom("x")[order].copy()
    packed = lammps.numpy.extract_atom("image")[order].astype(np.int64)
    images = np.stack([(packed & 1023) - 512, (packed >> 10 & 1023) - 512, (packed >> 20) - 512], axis=1)
    assert np.abs(images).sum() == 7
    for k, columns in enumerate(variants):
        (frame,) = read_dump(tmp_path / f"{k}.dump")
        unwrapped = "u" in columns or "ix" in columns
        expected = wrapped + images @ cell if unwrapped else wrapped
        # LAMMPS adds and subtracts 512 to unwrap scaled positions, and so loses nine bits
        np.testing.assert_allclose(frame.positions, expected, rtol=0, atol=1e-12 if "xsu" in columns else 2e-14)
        np.testing.assert_allclose(frame.cell, cell, rtol=0, atol=2e-15)
        np.testing.assert_allclose(frame.origin, low, rtol=0, atol=2e-15)
        np.testing.assert_array_equal(frame.forces, forces * KCAL_PER_MOL_PER_EV)
        np.testing.assert_array_equal(frame.types, types)
        assert frame.periodic == (True, True, False)
    lammps.close()


def test_rows_in_any_order_give_the_same_frame(write_dump) -> None:
    rows = [f"{k + 1} 1 {k} 0 0 0 0 {k}" for k in range(6)]
    columns = "id type x y z fx fy fz"
    straight = next(read_dump(write_dump("a", columns=columns, rows=rows)))
    shuffled = next(read_dump(write_dump("b", columns=columns, rows=[rows[k] for k in (3, 0, 5, 1, 4, 2)])))
    np.testing.assert_array_equal(straight.ids, shuffled.ids)
    np.testing.assert_array_equal(straight.positions, shuffled.positions)
    np.testing.assert_array_equal(straight.forces, shuffled.forces)


def test_ids_with_gaps_are_sorted_too(write_dump) -> None:
    path = write_dump(atoms=3, columns="id type x y z fx fy fz", rows=[f"{i} 1 {i} 0 0 0 0 0" for i in (900, 7, 30)])
    frame = next(read_dump(path))
    assert frame.ids.tolist() == [7, 30, 900]
    assert frame.positions[:, 0].tolist() == [7, 30, 900]


def test_frames_share_what_does_not_change_and_nothing_else(write_dump) -> None:
    first, second, _ = read_dump(write_dump())
    assert not np.array_equal(first.positions, second.positions)
    assert not any(np.shares_memory(getattr(first, n), getattr(second, n)) for n in ("positions", "forces"))
    assert first.ids is second.ids and not first.ids.flags.writeable


def test_the_box_may_change_from_frame_to_frame(write_dump, tmp_path: Path) -> None:
    path = tmp_path / "npt.dump"
    for edge in (10, 11):
        box = f"ITEM: BOX BOUNDS pp pp pp\n0 {edge}\n0 {edge}\n0 {edge}"
        with path.open("ab") as file:
            file.write(write_dump("part", frames=1, box=box).read_bytes())
    assert [frame.cell[0, 0] for frame in read_dump(path)] == [10, 11]


def test_columns_may_change_from_frame_to_frame(write_dump, tmp_path: Path) -> None:
    path = tmp_path / "both.dump"
    a = write_dump("a", frames=1).read_bytes()
    b = write_dump("b", frames=1, columns="fz fy fx z y x id type").read_bytes()
    path.write_bytes(a + b + a)
    first, second, third = read_dump(path)
    assert second.molecule_ids is None
    np.testing.assert_array_equal(first.positions, third.positions)


def test_windows_line_ends_and_gzip_change_nothing(write_dump, tmp_path: Path) -> None:
    plain = write_dump("plain.dump")
    packed = tmp_path / "packed.dump.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for other in (write_dump("windows.dump", end="\r\n"), packed):
        for a, b in zip(read_dump(plain), read_dump(other), strict=True):
            np.testing.assert_array_equal(a.positions, b.positions)
            np.testing.assert_array_equal(a.forces, b.forces)


def test_a_file_longer_than_the_window_is_read_whole(write_dump) -> None:
    box = "ITEM: BOX BOUNDS pp pp pp\n0.0 30.0\n0.0 30.0\n0.0 30.0"
    path = write_dump(frames=4, atoms=5000, box=box)  # 0.7 MB a frame
    theirs = ase.io.read(path, format="lammps-dump-text", index=":")
    for frame, atoms in zip(read_dump(path), theirs, strict=True):
        np.testing.assert_array_equal(frame.positions, atoms.positions)
        np.testing.assert_array_equal(frame.forces, atoms.get_forces())


def test_a_pattern_is_read_in_natural_order(write_dump, tmp_path: Path) -> None:
    for k in (10, 9, 100):
        write_dump(f"run-{k}.dump", frames=1, columns="id type x y z fx fy fz", atoms=1, rows=[f"1 1 {k} 0 0 0 0 0"])
    assert [f.positions[0, 0] for f in read_dump(tmp_path / "run-*.dump")] == [9, 10, 100]
    two = [tmp_path / "run-100.dump", tmp_path / "run-9.dump"]
    assert [f.positions[0, 0] for f in read_dump(two)] == [100, 9]


def test_elements_are_numbered_by_atomic_number_or_as_told(write_dump) -> None:
    path = write_dump(columns="id element x y z fx fy fz")
    assert next(read_dump(path)).types.tolist() == [2, 1, 1, 2, 1, 1]
    assert next(read_dump(path, elements=ElementTypes(["O", "H"]))).types.tolist() == [1, 2, 2, 1, 2, 2]
    with pytest.raises(InputError, match=r"water.dump, line 9: element H is not one of C, N"):
        next(read_dump(path, elements=ElementTypes(["C", "N"])))


def test_elements_that_appear_later_are_numbered_on(write_dump, tmp_path: Path) -> None:
    columns = "id element x y z fx fy fz"
    a = write_dump("a", frames=1, atoms=1, columns=columns, rows=["1 Fe 0 0 0 0 0 0"]).read_bytes()
    b = write_dump("b", frames=1, atoms=1, columns=columns, rows=["1 C 0 0 0 0 0 0"]).read_bytes()
    (tmp_path / "aba").write_bytes(a + b + a)
    elements = ElementTypes()
    assert [int(f.types[0]) for f in read_dump(tmp_path / "aba", elements=elements)] == [1, 2, 1]
    assert elements.names == ("Fe", "C")


def test_units_metal_are_converted_and_stay_for_later_frames(write_dump) -> None:
    rows = ["1 1 0 0 0 1 -2 0"]
    options = {"atoms": 1, "columns": "id type x y z fx fy fz", "rows": rows, "frames": 2}
    path = write_dump(before="ITEM: UNITS\nmetal\nITEM: TIME\n0.5", **options)
    for frame in read_dump(path):
        assert frame.forces.tolist() == [[KCAL_PER_MOL_PER_EV, -2 * KCAL_PER_MOL_PER_EV, 0]]
    with pytest.raises(InputError, match=r"line 2: units 'lj' have no scale; write 'lj epsilon="):
        list(read_dump(write_dump(before="ITEM: UNITS\nlj", **options)))


def test_velocities_are_read_where_there_are_any_and_are_in_angstrom_per_femtosecond(write_dump) -> None:
    options = {"atoms": 1, "columns": "vz id q type x y z vx vy fx fy fz", "rows": ["3 1 0.5 1 0 0 0 1 -2 7 8 9"]}
    (real,) = read_dump(write_dump(frames=1, before="ITEM: UNITS\nreal", **options))
    assert real.velocities.tolist() == [[1.0, -2.0, 3.0]]
    assert (real.forces.tolist(), real.charges.tolist()) == ([[7.0, 8.0, 9.0]], [0.5])
    (metal,) = read_dump(write_dump(frames=1, before="ITEM: UNITS\nmetal", **options))
    assert metal.velocities.tolist() == [[0.001, -0.002, 0.003]]  # there they are in angstrom per picosecond
    (none,) = read_dump(write_dump(frames=1, atoms=1))
    assert none.velocities is None


@pytest.mark.parametrize("lost", [1, 2, 5, 150, 200, 300, 340])
def test_a_cut_off_last_frame_is_dropped_with_a_warning(write_dump, lost: int) -> None:
    path = write_dump(frames=3)
    text = path.read_bytes()
    third = text.rindex(b"ITEM: TIMESTEP")
    path.write_bytes(text[: max(len(text) - lost, third + 3)])
    line = path.read_bytes().count(b"\n") + 1
    with pytest.warns(UserWarning, match=rf"water\.dump, line {line}: the file ends inside a frame") as caught:
        assert [f.timestep for f in read_dump(path)] == [0, 10]
    assert len(caught) == 1


def test_every_place_to_cut_a_file_keeps_exactly_the_complete_frames(write_dump) -> None:
    path = write_dump(frames=2, atoms=2)
    text = path.read_bytes()
    second = text.rindex(b"ITEM: TIMESTEP")
    for stop in range(second, len(text) + 1):
        path.write_bytes(text[:stop])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            frames = list(read_dump(path))
        assert len(frames) == (2 if stop == len(text) else 1)
        assert len(caught) == (0 if stop in (second, len(text)) else 1), stop


def test_a_gzip_file_that_breaks_off_keeps_the_frames_before(write_dump, tmp_path: Path) -> None:
    packed = tmp_path / "packed.dump.gz"
    packed.write_bytes(gzip.compress(write_dump(frames=40).read_bytes())[:-2000])
    with pytest.warns(UserWarning, match="the file ends inside a frame"):
        count = sum(1 for _ in read_dump(packed))
    assert 25 < count < 40


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.dump.gz").write_bytes(b"this is not gzip at all")
    with pytest.raises(InputError, match=r"no\.dump\.gz: cannot be read"):
        list(read_dump(tmp_path / "no.dump.gz"))


def test_a_file_without_a_complete_frame_is_refused(write_dump, tmp_path: Path) -> None:
    (tmp_path / "empty.dump").write_text("")
    with pytest.raises(InputError, match=r"empty\.dump: contains no complete frame"):
        list(read_dump(tmp_path / "empty.dump"))
    path = write_dump(frames=1)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.warns(UserWarning, match="dropped"), pytest.raises(InputError, match="contains no complete frame"):
        list(read_dump(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.dump: no such file"):
        next(read_dump(tmp_path / "nowhere.dump"))


FAULTS = [
    ("id type x y z", None, r"line 9: the forces are missing; add 'fx fy fz'"),
    ("id type fx fy fz", None, r"line 9: the positions are missing"),
    ("type x y z fx fy fz", None, r"line 9: column 'id' is missing"),
    ("id x y z fx fy fz", None, r"line 9: columns 'type' and 'element' are missing"),
    ("id type x x y z fx fy fz", None, r"line 9: column 'x' occurs twice"),
    ("id type x y z fx fy fz", ["1 1 0 0 0 0 0 0", "1 1 0 0 0 0 0 0"], r"line 11: atom id 1 occurs twice"),
    ("id type x y z fx fy fz", ["8 1 0 0 0 0 0 0", "8 1 0 0 0 0 0 0"], r"line 11: atom id 8 occurs twice"),
    ("id type x y z fx fy fz", ["1 1 0 0 0 0 0 0", "2 1 0 0 0 0 0"], r"line 11: too few columns"),
    ("id type x y z fx fy fz", ["1 1 0 0 0 0 0 0 5", "2 1 0 0 0 0 0 0"], r"line 10: too many columns"),
    ("id type x y z fx fy fz", ["1 1 0 0 0 0 0 0", "2 1 0 nan 0 0 0 0"], r"line 11: y is nan"),
    ("id type x y z fx fy fz", ["1 1.5 0 0 0 0 0 0", "2 1 0 0 0 0 0 0"], r"line 10: type is '1.5', .* whole number"),
    ("id type x y z fx fy fz", ["1 0 0 0 0 0 0 0", "2 1 0 0 0 0 0 0"], r"line 9: atom types start at 1"),
    ("id type x y z fx fy fz", ["99999999999999999999 1 0 0 0 0 0 0"] * 2, r"line 10: id is '9+', .* whole number"),
    ("id type x y z fx fy fz", ["1 1 0 0 0 0 0 0", "ITEM: TIMESTEP"], r"line 11: id is 'ITEM:'"),
    (
        "id type x y z fx fy fz",
        ["1 1 0 0 0 0 0 0"] + ["2 1 0 0 0 0 0 0"] * 2,
        r"line 12: '2 1 0 0 .*' is not an 'ITEM:' line",
    ),
]


@pytest.mark.parametrize(("columns", "rows", "message"), FAULTS)
def test_a_fault_in_the_rows_is_named_with_file_and_line(write_dump, columns, rows, message) -> None:
    with pytest.raises(InputError, match=r"water\.dump, " + message):
        list(read_dump(write_dump(atoms=2, frames=2, columns=columns, rows=rows)))


HEADER_FAULTS = [
    ("ITEM: TIMESTEP\n0", "ITEM: TIMESTEP\nzero", r"line 2: 'zero' is not a whole number"),
    ("ITEM: TIMESTEP\n0", "ITEM: TIMESTEP\n1_0", r"line 2: '1_0' is not a whole number"),
    (
        "ITEM: TIMESTEP\n0",
        f"ITEM: TIMESTEP\n{2**63}",
        r"line 2: '9223372036854775808' is larger than any",
    ),
    ("0.0 10.0", "0.0 1e-300", r"line 8: an edge of the box is 1e-300 angstrom long"),
    ("0.0 10.0", "0.0 1e10", r"line 8: an edge of the box is 1e\+10 angstrom long"),
    ("ATOMS\n2", "ATOMS\n-2", r"line 4: a frame cannot have -2 atoms"),
    ("0.0 10.0", "0.0 ten", r"line 6: '0.0 ten' should be 2 finite numbers"),
    ("0.0 10.0", "0.0 inf", r"line 6: '0.0 inf' should be 2 finite numbers"),
    ("0.0 10.0", "0.0 10.0 3.0", r"line 6: .* should be 2 finite numbers"),
    ("0.0 10.0", "10.0 0.0", r"line 8: the volume of the box is zero"),
    ("pp pp pp", "pp pp", r"line 5: the boundary flags 'pp pp'"),
    ("ITEM: TIMESTEP\n0\n", "", r"line 7: the frame has no TIMESTEP"),
    ("ITEM: BOX", "ITEM: SPHERE", r"line 5: 'ITEM: SPHERE BOUNDS pp pp pp' is unknown"),
    ("ITEM: TIMESTEP", "LAMMPS data file", r"line 1: 'LAMMPS data file' is not an 'ITEM"),
]


@pytest.mark.parametrize(("right", "wrong", "message"), HEADER_FAULTS)
def test_a_fault_in_the_header_is_named_with_file_and_line(write_dump, right, wrong, message) -> None:
    path = write_dump(atoms=2, frames=1)
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong, 1))
    with pytest.raises(InputError, match=r"water\.dump, " + message):
        list(read_dump(path))


def test_a_changing_number_of_atoms_stops(write_dump, tmp_path: Path) -> None:
    path = tmp_path / "lost.dump"
    path.write_bytes(write_dump("a", frames=1).read_bytes() + write_dump("b", frames=1, atoms=5).read_bytes())
    with pytest.raises(InputError, match=r"lost\.dump, line 24: 5 atoms, but 6 in the previous frame"):
        list(read_dump(path))


def test_a_binary_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 8000)
    with pytest.raises(InputError, match="binary, line 1"):
        list(read_dump(tmp_path / "binary"))
    (tmp_path / "binary").write_bytes(b"\x01" * 3_000_000)
    with pytest.raises(InputError, match="longer than 128 kilobytes"):
        list(read_dump(tmp_path / "binary"))


def test_memory_does_not_grow_with_the_file(write_dump, tmp_path: Path) -> None:
    part = write_dump("part.dump", frames=20, atoms=300).read_bytes()
    peaks = []
    for copies in (2, 20):  # 1.3 and 13 MB
        path = tmp_path / f"{copies}.dump"
        path.write_bytes(part * copies)
        list(zip(range(1), read_dump(path), strict=False))  # loads what is loaded once
        gc.collect()
        tracemalloc.start()
        assert sum(1 for _ in read_dump(path)) == 20 * copies
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000
    assert peaks[1] < 2_000_000


def test_a_dump_in_units_metal_that_does_not_say_so_is_refused_by_velocities_or_times(write_dump) -> None:
    options = {"atoms": 1, "frames": 1, "columns": "id type x y z vx vy vz fx fy fz"}
    fast = {**options, "rows": ["1 1 0 0 0 1.5 -2 3 7 8 9"]}
    with pytest.raises(
        InputError, match=r"does not say its units, and they are not 'real': the mean velocity would be"
    ):
        list(read_dump(write_dump(**fast)))
    (metal,) = read_dump(write_dump(before="ITEM: UNITS\nmetal", **fast))
    np.testing.assert_allclose(metal.velocities, [[0.0015, -0.002, 0.003]])
    slow = {**options, "rows": ["1 1 0 0 0 0.015 -0.02 0.03 7 8 9"]}
    (real,) = read_dump(write_dump(**slow))
    assert real.velocities.tolist() == [[0.015, -0.02, 0.03]]
    path = write_dump(atoms=1, frames=2)
    path.write_text(path.read_text().replace("ITEM: TIMESTEP\n10\n", "ITEM: TIME\n0.01\nITEM: TIMESTEP\n10\n"))
    with pytest.raises(InputError, match=r"a step would last 0\.001 fs"):
        list(read_dump(path))
    path.write_text(path.read_text().replace("\n0.01\n", "\n10.0\n"))
    assert [f.timestep for f in read_dump(path)] == [0, 10]


def test_a_byte_order_mark_is_skipped(write_dump) -> None:
    path = write_dump()
    plain = list(read_dump(path))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    for frame, expected in zip(read_dump(path), plain, strict=True):
        np.testing.assert_array_equal(frame.positions, expected.positions)


def test_a_dump_in_reduced_units_that_does_not_say_so_is_refused_by_its_density(write_dump) -> None:
    rows = [f"{n} 1 {n % 4} {n // 4 % 4} {n // 16} 0 0 0" for n in range(1, 65)]
    liquid = {"atoms": 64, "frames": 1, "columns": "id type x y z fx fy fz", "rows": rows}
    with pytest.raises(
        InputError, match=r"water\.dump: does not say its units, and they are not 'real': there would be"
    ):
        list(read_dump(write_dump(box="ITEM: BOX BOUNDS pp pp pp\n0 4.2\n0 4.2\n0 4.2", **liquid)))
